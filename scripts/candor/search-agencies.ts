/** The part of `candor search --agencies` that is with partners: asks, waits for each, shows what became of it. Called by search.ts. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type agencyAnswerSchema, askSchema } from '../../cloud/api/shared-search.ts'
import { describeError } from '../../shared/errors.ts'
import { type Client, withClient } from './client.ts'
import { usageError } from './options.ts'
import { showAnswer } from './search-answer.ts'
import { answerSchema } from './search-call.ts'
import { printable, printJson, seenTime, table } from './terminal.ts'

const ASK_EVERY_MS = 200
const PATH = '/api/v1/search/agencies'

type Ask = z.infer<typeof askSchema>
type AgencyAnswer = z.infer<typeof agencyAnswerSchema>

export interface AgencyOptions {
  agencies?: string[]
  agencyCameras?: string[]
  purpose?: string
  pictures?: string
}

/** `asked`: as for the own search, whose answer is shown at once; partners are asked for a plate or pattern in a window, and no more. */
export async function searchAgencies(
  options: AgencyOptions & { limit: number; offset: number; json?: boolean },
  { plate, fromMs, toMs, cameras, purpose, caseNumber, offenceType, reason, ...more }: Record<string, unknown>,
): Promise<void> {
  const isMore = Object.values(more).some((value) => value !== null && (!Array.isArray(value) || value.length > 0))
  if (purpose === null || plate === null || options.offset > 0 || isMore) {
    throw usageError('--agencies needs --plate and --purpose, takes --from, --to and --camera, and no more')
  }
  const named = (options.agencies ?? []).flatMap((text) => text.split(','))
  const json = {
    ...{ plate, fromMs, toMs, cameras, purpose, caseNumber, offenceType, reason, limit: options.limit },
    ...{ agencies: named.includes('all') ? 'all' : named, agencyCameras: options.agencyCameras ?? [] },
  }
  await withClient(async (client) => {
    const { own, ask } = await client.call(z.object({ own: answerSchema, ask: askSchema }), 'POST', PATH, { json })
    if (options.json !== true) showAnswer(own, options, null)
    const answers = await followAgencies(client, ask, (answer) => {
      if (options.json !== true) process.stdout.write(describeAnswer(answer))
    })
    if (options.json === true) printJson({ ...own, agencies: answers })
    if (options.pictures !== undefined) await savePictures(client, answers, options.pictures)
  })
}

async function followAgencies(
  client: Client,
  ask: Ask,
  onAnswer: (answer: AgencyAnswer) => void,
): Promise<AgencyAnswer[]> {
  const told = new Map<string, AgencyAnswer>()
  for (let now = ask; ; now = await client.call(askSchema, 'GET', `${PATH}/${ask.askId}`)) {
    for (const { agency, answer } of now.agencies) {
      if (answer === null || told.has(agency)) continue
      told.set(agency, answer)
      onAnswer(answer)
    }
    if (told.size === now.agencies.length) return [...told.values()]
    await sleep(ASK_EVERY_MS)
  }
}

function describeAnswer({
  agency,
  outcome,
  rule,
  message,
  results,
  total,
  truncated,
  dropped,
  ...numbers
}: AgencyAnswer): string {
  const { auditSeq, theirAuditSeq } = numbers
  const audit =
    auditSeq === null && theirAuditSeq === null
      ? 'It was not asked.'
      : `Audit entry ${auditSeq ?? 'none'} here, ${theirAuditSeq ?? 'none'} there.`
  if (outcome !== 'answered') {
    const why = [rule, message].filter((one) => one !== null).join(': ')
    return `\n${agency}: ${outcome.replaceAll('_', ' ')}${why === '' ? '' : ` (${printable(why)})`}. ${audit}\n`
  }
  const marks = { exact: '=', near: '≈', pattern: '~' }
  const rows = results.map(
    ({ kind, cameraId, seenAtMs, clockTrusted, plate, jurisdiction, confidence, sightingId }) => [
      ...[seenTime(seenAtMs, clockTrusted), cameraId, `${marks[kind]} ${plate}`, jurisdiction?.code ?? ''],
      ...[confidence.toFixed(2), sightingId],
    ],
  )
  const shown = rows.length === 0 ? '' : table(['seen', 'camera', 'plate', 'of', 'confidence', 'sighting'], rows)
  const more = truncated ? ' or more; narrow the search' : ''
  const bad = dropped === 0 ? '' : ` ${dropped} results were malformed or not asked for, and dropped.`
  return `\n${agency}: ${total} ${total === 1 ? 'sighting' : 'sightings'}${more}.${bad} ${audit}\n${shown}`
}

/** Every picture that the answers name, as `AGENCY-SIGHTING.jpg`. */
async function savePictures(client: Client, answers: readonly AgencyAnswer[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const { agency, results } of answers) {
    for (const { picture, sightingId } of results) {
      if (picture === null) continue
      const path = `/api/v1/partners/${agency}/picture?picture=${encodeURIComponent(picture)}`
      try {
        await writeFile(join(folder, `${agency}-${sightingId}.jpg`), await client.bytes(path), { mode: 0o600 })
      } catch (thrown) {
        process.stderr.write(`${agency} ${sightingId}: ${describeError(thrown)}\n`)
      }
    }
  }
}

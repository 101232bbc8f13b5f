/** `candor search`: stored reads of a plate, for a stated purpose. */
import type { Command } from 'commander'
import { timeAt, usageError, wholeNumber } from './options.ts'

interface Options {
  plate: string
  from?: number
  to?: number
  camera: string[]
  case?: string
  offence?: string
  reason?: string
  limit: number
  offset: number
  agencies?: string[]
  agencyCameras?: string[]
  purpose?: string
  pictures?: string
  json?: boolean
}

export function register(program: Command): void {
  program
    .command('search')
    .description('search stored reads; case number, offence type and reason are required, and every search is audited')
    .requiredOption('--plate <plate>', 'a plate, or a pattern with * (any characters) and ? (one)')
    .option('--from <time>', 'seen from: 2026-01-31 or 2026-01-31T08:00:00Z', timeAt('start'))
    .option('--to <time>', 'seen before; a date counts to its end', timeAt('end'))
    .option('--camera <name>', 'only this camera; may be repeated', (value, before: string[]) => [...before, value], [])
    // Not required by the parser: a search without them must reach the cloud, be refused there and stand in the audit.
    .option('--case <number>', 'case number (required)')
    .option('--offence <type>', 'offence type (required)')
    .option('--reason <text>', 'what the search is for (required)')
    .option('--limit <count>', 'results of one page, at most 200', wholeNumber(1, 200), 50)
    .option('--offset <count>', 'results to skip', wholeNumber(0), 0)
    .option('--agencies <names...>', 'partners to ask as well; all: each that has a grant for the purpose')
    .option('--agency-cameras <names...>', 'with --agencies: only these cameras of theirs')
    .option('--purpose <name>', 'with --agencies: one of those that the grant is for')
    .option('--pictures <folder>', 'with --agencies: save the partners’ evidence pictures there')
    .option('--json', 'one JSON document')
    .action(async (options: Options) => {
      const { z } = await import('zod')
      const { sightingSchema } = await import('../../shared/wire/index.ts')
      const { connect } = await import('./client.ts')
      const { printJson, seenTime, table } = await import('./terminal.ts')
      const answerSchema = z.object({
        auditSeq: z.int(),
        total: z.int(),
        truncated: z.boolean(),
        results: z.array(
          z.object({
            kind: z.enum(['exact', 'near', 'pattern']),
            sighting: sightingSchema,
            receivedAtMs: z.int(),
            seenAtMs: z.int(),
            clockTrusted: z.boolean(),
            pictureVoucher: z.string().nullable(),
          }),
        ),
      })
      const partners = options.agencies === undefined ? null : await import('./search-agencies.ts')
      if (partners !== null && (options.purpose === undefined || options.offset > 0)) {
        throw usageError('--agencies needs --purpose, and has no --offset')
      }
      const asked = {
        plate: options.plate,
        fromMs: options.from ?? null,
        toMs: options.to ?? null,
        cameras: options.camera,
        caseNumber: options.case ?? '',
        offenceType: options.offence ?? '',
        reason: options.reason ?? '',
        limit: options.limit,
      }
      const client = await connect()
      const shared = (await partners?.askAgencies(client, answerSchema, options, asked)) ?? null
      const answer =
        shared?.own ??
        (await client.call(answerSchema, 'POST', '/api/v1/search', { json: { ...asked, offset: options.offset } }))
      if (options.json === true) {
        return printJson(shared === null ? answer : { ...answer, agencies: await shared.follow() })
      }
      const marks = { exact: '=', near: '≈', pattern: '~' }
      const rows = answer.results.map(({ kind, sighting, seenAtMs, clockTrusted }) => [
        seenTime(seenAtMs, clockTrusted),
        sighting.cameraId,
        `${marks[kind]} ${sighting.plate ?? ''}`,
        sighting.jurisdiction?.code ?? '',
        sighting.confidence.toFixed(2),
        sighting.sightingId,
      ])
      if (rows.length > 0)
        process.stdout.write(table(['seen', 'camera', 'plate', 'of', 'confidence', 'sighting'], rows))
      const more = answer.truncated ? ' or more; narrow the search' : ''
      process.stdout.write(`${answer.total} sightings${more}. Audit entry ${answer.auditSeq}.\n`)
      await shared?.follow((text) => process.stdout.write(text))
    })
}

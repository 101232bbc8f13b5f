/**
 * From a card that was just flashed to a camera: reads what `scripts/flash` has put on the FAT partition. Where that says all, it enrols by the
 * claim until an administrator has approved, writes the camera's folder, removes the claim from the card and starts candor-edge; where something is left to
 * be said, it opens the set-up page. Cut short anywhere, the next start goes on with the same key. Run by candor-provision.service, and again when the page
 * has ended; later starts find the camera there and end at once.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { edgeConfigSchema } from '../../edge/config.ts'
import { enrolUnit, readClaim, type UnitClaim } from '../../edge/enrolment/enrol.ts'
import { CONFIG_FILE, type UnitSettings, unitSettingsSchema } from '../../edge/enrolment/folder.ts'
import { bareCode } from '../../edge/setup/access.ts'
import { MARK_FILE } from '../../edge/setup/draft.ts'
import { systemClock } from '../../shared/clock.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError, describeError, EXIT } from '../../shared/errors.ts'
import { random } from '../../shared/ids.ts'
import { PUBLIC_MODE, writeFileDurably } from '../../shared/secret-file.ts'
import { type Card, CLAIM_FILE, LOGIN_FILE, openCard, SETUP_CODE_FILE, UNIT_FILE } from './card.ts'
import { runCommand } from './command.ts'
import { UNIT_FOLDER, UNIT_PLACES } from './places.ts'
import { clearPage, type NextStep, nextStep, openPage, preparePage, takeOverFromPage } from './set-up.ts'

/** Between looks at a card on which something is missing, milliseconds: it may be put in while the unit runs. */
const LOOK_AGAIN_MS = 60_000
const SYSTEMCTL_MS = 60_000
const STATUS_FILE = '/run/candor-unit/provision.json'
/** The file that edge writes its health to; candor-confirm reads it. Relative: to systemd's RuntimeDirectory. */
const EDGE_STATUS = 'status.json'

/** What a unit is to be; `edge` is an edge.json without what enrolment says: who it is, and the cloud's keys. Without a source it is set up by its page. */
export const unitSchema = z.strictObject({
  /** For people: where the unit hangs. */
  site: z.string().max(200).optional(),
  broker: unitSettingsSchema.shape.broker,
  edge: z.looseObject({ source: z.looseObject({ kind: z.string() }).optional() }),
})
export type UnitFile = z.infer<typeof unitSchema>

/** Fields of edge.json that are the enrolment's to say, or the image's. */
const ENROLMENTS_OWN = [
  ...['agency', 'cameraId', 'broker', 'listKeysFile', 'sealingKeyFile', 'dataFolder', 'statusFile', 'updates'],
]

/** Throws `configuration` for everything that would only show on the pole. */
export function parseUnit(text: string): UnitFile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new AppError('configuration', `${UNIT_FILE} is not JSON`)
  }
  const unit = checkConfig(json, unitSchema, UNIT_FILE)
  const foreign = ENROLMENTS_OWN.filter((field) => field in unit.edge)
  if (foreign.length > 0)
    throw new AppError('configuration', `${UNIT_FILE}: edge.${foreign.join(', edge.')}: said by the enrolment`)
  const { broker, ...fields } = unitSettings(unit)
  const enrolled = { agency: 'agency', cameraId: 'camera', source: { kind: 'replay', path: 'frames' } }
  checkConfig({ ...enrolled, ...fields, broker: { url: 'mqtts://host:8883', ...broker } }, edgeConfigSchema, UNIT_FILE)
  return unit
}

/** Fields of the camera's edge.json, beside what the enrolment says. null: the card says nothing. */
export const unitSettings = (unit: UnitFile | null): UnitSettings => ({
  ...unit?.edge,
  ...(unit?.broker === undefined ? {} : { broker: unit.broker }),
  // Where releases are put, and what is said of them, are the defaults: places.ts has the same.
  ...{ statusFile: EDGE_STATUS, updates: {} },
})

async function report(state: string, message: string, fingerprint: string | null = null): Promise<void> {
  process.stdout.write(`${message}\n`)
  const status = { state, message, fingerprint, atMs: systemClock.nowMs() }
  await writeFileDurably(STATUS_FILE, `${JSON.stringify(status)}\n`, PUBLIC_MODE)
}

interface OnCard {
  claim: { text: string; file: UnitClaim } | null
  unit: UnitFile | null
  login: string | null
  code: string | null
  /** What is not as it should be, or missing. */
  problems: string[]
}

/** What is wrong on it is as if it were not there, and told. */
export function readCard(card: Pick<Card, 'read'>): OnCard {
  const problems: string[] = []
  const read = <T>(name: string, parse: (text: string) => T): T | null => {
    try {
      const text = card.read(name)
      return text === null ? null : parse(text)
    } catch (thrown) {
      problems.push(describeError(thrown))
      return null
    }
  }
  const claim = read(CLAIM_FILE, (text) => {
    const read = readClaim(text)
    if ('file' in read) return { text, file: read.file }
    throw new AppError('bad_input', `${CLAIM_FILE} must be what \`candor camera claim --out\` writes`)
  })
  const unit = read(UNIT_FILE, parseUnit)
  const missing = [claim === null ? CLAIM_FILE : '', unit === null ? UNIT_FILE : ''].filter(Boolean).join(' and ')
  if (problems.length === 0 && missing !== '')
    problems.push(`the card's folder candor lacks ${missing}: write it with scripts/flash`)
  // A page that is opened with a wrong one ends at once, and a camera that was to be set up again would stay dark.
  const code = read(SETUP_CODE_FILE, (text) => {
    if (bareCode(text.trim()) !== null) return text
    throw new AppError('bad_input', `${SETUP_CODE_FILE} on the card is no code: eight letters or digits, no I, L, O, U`)
  })
  return { claim, unit, login: read(LOGIN_FILE, (text) => text), code, problems }
}

/** Also when the power went in between: a claim that is used up opens nothing, but should not lie about. */
async function clean(card: Card, names: readonly string[]): Promise<void> {
  for (const name of names) if (card.read(name) !== null) await card.remove(name)
}

async function enrol(claim: UnitClaim, unit: UnitFile, login: string | null): Promise<void> {
  await takeOverFromPage(UNIT_PLACES)
  const { enrollingFolder: folder, cameraFolder } = UNIT_PLACES
  if (!existsSync(join(folder, CONFIG_FILE))) {
    let fingerprint = ''
    const { camera } = await enrolUnit(
      { claim, folder, settings: unitSettings(unit) },
      {
        clock: systemClock,
        random,
        onKey(shown) {
          fingerprint = shown
          process.stdout.write(`this unit's key: ${shown}\n`)
        },
        onPending: (name) => void report('pending', `${name} waits for its approval: ${fingerprint}`, fingerprint),
        onTrouble: (problem, retryInMs) =>
          void report('unreachable', `${problem}; again in ${Math.ceil(retryInMs / 1_000)} s`, fingerprint),
        onClockOff: (offMs) =>
          process.stdout.write(`this unit's clock is off by ${Math.round(offMs / 60_000)} minutes\n`),
      },
      new AbortController().signal,
    )
    process.stdout.write(`enrolled as ${camera}\n`)
  }
  // Empty where there is none: the unit's service names it as a credential.
  await writeFileDurably(join(folder, LOGIN_FILE), login ?? '')
  await rename(folder, cameraFolder)
}

/** One look at unit and card, and what follows from it, but for waiting. */
async function provisionOnce(): Promise<NextStep> {
  const { cameraFolder, pageOpenedFile } = UNIT_PLACES
  const card = await openCard()
  let found: OnCard
  let next: NextStep
  try {
    found = readCard(card)
    const isCamera = existsSync(join(cameraFolder, CONFIG_FILE))
    next = nextStep({
      isCamera,
      isMarked: existsSync(join(cameraFolder, MARK_FILE)),
      isCardComplete: found.claim !== null && found.unit?.edge.source !== undefined,
      hasCode: found.code !== null,
      wasPageOpened: existsSync(pageOpenedFile),
    })
    if (isCamera) await clean(card, [CLAIM_FILE, LOGIN_FILE])
    if (next === 'set-up') {
      const { claim, code, login, unit } = found
      await preparePage(UNIT_PLACES, { claim: claim?.text ?? null, code, login, settings: unitSettings(unit) })
      // It is in the camera's folder now, for as long as the set-up takes.
      await clean(card, [SETUP_CODE_FILE])
    }
  } finally {
    await card.close()
  }
  const { claim, unit, login, problems } = found
  if (next === 'enrol' && claim !== null && unit !== null) await enrol(claim.file, unit, login)
  if (next === 'set-up') {
    for (const problem of problems) process.stdout.write(`${problem}\n`)
    await report('set-up', 'the set-up page opens: its address and code follow')
    await openPage(UNIT_PLACES)
  }
  if (next === 'camera') {
    const isUnfinished = existsSync(join(cameraFolder, MARK_FILE))
    if (!isUnfinished) await clearPage(UNIT_PLACES)
    for (const problem of problems.filter((one) => one.startsWith(SETUP_CODE_FILE)))
      process.stdout.write(`${problem}\n`)
    const what = isUnfinished ? 'its set-up is not finished: switched off and on, it opens its page again' : ''
    await report('enrolled', `this unit is a camera${what === '' ? '' : `; ${what}`}`)
    await runCommand('systemctl', ['--no-block', 'start', 'candor-edge.service'], SYSTEMCTL_MS)
  }
  if (next === 'wait') {
    const again = 'Switched off and on, this unit opens its set-up page again'
    await report('waiting', [...problems, again].join('. '))
  }
  return next
}

/** Exit code. */
export async function provisionProcess(): Promise<number> {
  // Its user passes through to the camera's folder while the set-up page is open (candor-setup.service).
  await mkdir(UNIT_FOLDER, { recursive: true, mode: 0o711 })
  for (;;) {
    const next = await provisionOnce().catch(async (thrown: unknown) => {
      await report('waiting', describeError(thrown))
      return 'wait' as const
    })
    if (next === 'camera' || next === 'set-up') return EXIT.done
    if (next === 'wait') await systemClock.sleep(LOOK_AGAIN_MS)
  }
}

/**
 * From a card that was just flashed to a camera: reads what `scripts/flash` has put on the FAT partition, enrols by the claim until an
 * administrator has approved, writes the camera's folder, removes the claim from the card and starts candor-edge. Cut short anywhere, the
 * next start goes on with the same key. Run by candor-provision.service; later starts find the camera there and end at once.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { edgeConfigSchema } from '../../edge/config.ts'
import { enrolUnit, readClaim } from '../../edge/enrolment/enrol.ts'
import { CONFIG_FILE } from '../../edge/enrolment/folder.ts'
import { systemClock } from '../../shared/clock.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError, describeError, EXIT } from '../../shared/errors.ts'
import { random } from '../../shared/ids.ts'
import { PUBLIC_MODE, readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { CLAIM_FILE, LOGIN_FILE, openCard, UNIT_FILE } from './card.ts'
import { runCommand } from './command.ts'
import { CAMERA_FOLDER, UNIT_FOLDER } from './places.ts'

/** Between looks at a card on which something is missing, milliseconds: it may be put in while the unit runs. */
const LOOK_AGAIN_MS = 60_000
const SYSTEMCTL_MS = 60_000
const STATUS_FILE = '/run/candor-unit/provision.json'
/** The file that edge writes its health to; candor-confirm reads it. Relative: to systemd's RuntimeDirectory. */
const EDGE_STATUS = 'status.json'

/** What a unit is to be; `edge` is an edge.json without what enrolment says: who it is, and the cloud's keys. */
export const unitSchema = z.strictObject({
  /** For people: where the unit hangs. */
  site: z.string().max(200).optional(),
  broker: z.strictObject({ url: z.string(), keepaliveSeconds: z.number().optional() }).partial().optional(),
  edge: z.looseObject({ source: z.looseObject({ kind: z.string() }) }),
})
export type UnitSettings = z.infer<typeof unitSchema>

/** Fields of edge.json that are the enrolment's to say. */
const ENROLMENTS_OWN = [
  ...['agency', 'cameraId', 'broker', 'listKeysFile', 'sealingKeyFile', 'dataFolder', 'statusFile', 'updates'],
]

/** Throws `configuration` for everything that would only show on the pole. */
export function parseUnit(text: string): UnitSettings {
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
  cameraConfig({ agency: 'agency', cameraId: 'camera', broker: { url: 'mqtts://host:8883' } }, unit)
  return unit
}

/** The camera's edge.json: what the enrolment has written, with the unit's own settings. Throws `configuration`. */
export function cameraConfig(enrolled: Record<string, unknown>, unit: UnitSettings): Record<string, unknown> {
  const broker = { ...(enrolled.broker as object), ...unit.broker }
  // Where releases are put, and what is said of them, are the defaults: places.ts has the same.
  const config = { ...enrolled, ...unit.edge, broker, statusFile: EDGE_STATUS, updates: {} }
  checkConfig(config, edgeConfigSchema, UNIT_FILE)
  return config
}

async function report(state: string, message: string, fingerprint: string | null = null): Promise<void> {
  process.stdout.write(`${message}\n`)
  const status = { state, message, fingerprint, atMs: systemClock.nowMs() }
  await writeFileDurably(STATUS_FILE, `${JSON.stringify(status)}\n`, PUBLIC_MODE)
}

/** The card's files, looked for until they are there and right. */
async function readCard(): Promise<{ claim: string; unit: UnitSettings; login: string }> {
  for (;;) {
    try {
      const card = await openCard()
      try {
        const [claim, unit] = [card.read(CLAIM_FILE), card.read(UNIT_FILE)]
        if (claim !== null && unit !== null) {
          readClaim(claim)
          return { claim, unit: parseUnit(unit), login: card.read(LOGIN_FILE) ?? '' }
        }
        const missing = [claim === null ? CLAIM_FILE : '', unit === null ? UNIT_FILE : ''].filter(Boolean).join(' and ')
        await report('waiting', `the card's folder candor lacks ${missing}: write it with scripts/flash`)
      } finally {
        await card.close()
      }
    } catch (thrown) {
      await report('waiting', describeError(thrown))
    }
    await systemClock.sleep(LOOK_AGAIN_MS)
  }
}

async function enrol(): Promise<void> {
  const folder = join(UNIT_FOLDER, 'enrolling')
  const { claim: text, unit, login } = await readCard()
  const claim = readClaim(text)
  if (!('file' in claim))
    throw new AppError('bad_input', `${CLAIM_FILE} must be what \`candor camera claim --out\` writes`)
  const enrolled = await readFileIfThere(join(folder, CONFIG_FILE))
  if (enrolled === null) {
    let fingerprint = ''
    const { camera } = await enrolUnit(
      { claim: claim.file, folder, frames: 'frames' },
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
  await writeFileDurably(join(folder, LOGIN_FILE), login)
  const written: unknown = JSON.parse((await readFileIfThere(join(folder, CONFIG_FILE))) ?? '{}')
  const config = cameraConfig(written as Record<string, unknown>, unit)
  await writeFileDurably(join(folder, CONFIG_FILE), `${JSON.stringify(config, null, 2)}\n`)
  await rename(folder, CAMERA_FOLDER)
}

/** Exit code. */
export async function provisionProcess(): Promise<number> {
  await mkdir(UNIT_FOLDER, { recursive: true, mode: 0o700 })
  const isNew = !existsSync(join(CAMERA_FOLDER, CONFIG_FILE))
  if (isNew) await enrol()
  // Also when the power went between the two: a claim that is used up opens nothing, but should not lie about.
  const card = await openCard()
  try {
    for (const name of [CLAIM_FILE, LOGIN_FILE]) if (card.read(name) !== null) await card.remove(name)
  } finally {
    await card.close()
  }
  await report('enrolled', 'this unit is a camera')
  if (isNew) await runCommand('systemctl', ['--no-block', 'start', 'candor-edge.service'], SYSTEMCTL_MS)
  return EXIT.done
}

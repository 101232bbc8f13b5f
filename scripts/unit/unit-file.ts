/**
 * What stands in the card's files unit.json and camera-login, checked as the camera will check it: by the unit, and by `scripts/flash` before
 * anything is written, so that no card is made that could not work.
 */
import { z } from 'zod'
import { numberedPortProblem } from '../../edge/capture/gphoto2.ts'
import { credentialsIn, MAX_CREDENTIALS_BYTES } from '../../edge/capture/stream.ts'
import { type EdgeConfig, edgeConfigSchema } from '../../edge/config.ts'
import { type UnitSettings, unitSettingsSchema } from '../../edge/enrolment/folder.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { LOGIN_FILE, UNIT_FILE } from './card.ts'

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

/** Fields of edge.json that are the enrolment's to say, the image's, or of who writes the file. */
const ENROLMENTS_OWN = [
  ...[
    'agency',
    'cameraId',
    'broker',
    'listKeysFile',
    'sealingKeyFile',
    'dataFolder',
    'statusFile',
    'updates',
    'written',
  ],
]

/** What a camera of an image cannot have, or null. */
function problemOf({ source, unmatchedInMemory, upload }: EdgeConfig): string | null {
  if (unmatchedInMemory && upload !== 'matches-only')
    return `edge.upload: must be matches-only with unmatchedInMemory (got ${upload})`
  if (source.kind === 'rpicam')
    return 'edge.source: cameras on the CSI connector need Raspberry Pi OS and the Debian package there, no image has rpicam-vid'
  if (source.kind === 'stream' && source.credentialsFile !== undefined && source.credentialsFile !== LOGIN_FILE)
    return `edge.source.credentialsFile: must be ${LOGIN_FILE}, no other file of the card reaches the camera (got ${source.credentialsFile})`
  const problem = source.kind === 'gphoto2' ? numberedPortProblem(source.port) : null
  return problem === null ? null : `edge.${problem}`
}

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
  const whole = { ...enrolled, ...fields, broker: { url: 'mqtts://host:8883', ...broker } }
  const problem = problemOf(checkConfig(whole, edgeConfigSchema, UNIT_FILE))
  if (problem !== null) throw new AppError('configuration', `${UNIT_FILE}: ${problem}`)
  return unit
}

/** Fields of the camera's edge.json, beside what the enrolment says. null: the card says nothing. */
export const unitSettings = (unit: UnitFile | null): UnitSettings => ({
  ...unit?.edge,
  ...(unit?.broker === undefined ? {} : { broker: unit.broker }),
  // Where releases are put, and what is said of them, are the defaults: places.ts has the same.
  ...{ statusFile: EDGE_STATUS, updates: {} },
})

/** Does its camera want a log-in? */
export const namesLogin = ({ edge }: UnitFile): boolean => edge.source?.credentialsFile !== undefined

/** Why the camera would not start for want of its log-in; null: it has it, or needs none. */
export const lacksLogin = (unit: UnitFile, hasLogin: boolean): string | null =>
  namesLogin(unit) && !hasLogin ? `${UNIT_FILE} names ${LOGIN_FILE}, which is missing or empty` : null

/** Throws `bad_input`. */
export function parseLogin(text: string): string {
  if (credentialsIn(text) !== null) return text
  throw new AppError(
    'bad_input',
    `${LOGIN_FILE} must hold one line, user:password, of at most ${MAX_CREDENTIALS_BYTES} bytes`,
  )
}

/** What may wait on the unit for the cloud, bytes. */
export const outboxBytes = (unit: UnitFile | null): number =>
  edgeConfigSchema.shape.outbox.parse(unit?.edge.outbox).maxBytes

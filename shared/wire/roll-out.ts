/**
 * What changes a camera unit from afar: a release of its system (an image), or settings of its camera. Both come as a signed command for
 * one camera, are tried there, and are kept only when the unit is well with them; each step is acknowledged.
 */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { sha256Schema, timeMsSchema } from './sighting.ts'

export const ROLL_OUT_KINDS = ['image', 'settings'] as const
export type RollOutKind = (typeof ROLL_OUT_KINDS)[number]

/** Largest release, bytes: the image's root is about 1 GB, and a third of that compressed. What the cloud takes, the unit's updater takes. */
export const MAX_RELEASE_BYTES = 1024 ** 3
/** Of settings as JSON, bytes. */
export const MAX_SETTINGS_BYTES = 8 * 1024
/** Of a command with its signature, bytes. */
export const MAX_ROLL_OUT_COMMAND_BYTES = 24 * 1024
export const MAX_ROLL_OUT_MESSAGE = 200

export const releaseVersionSchema = z.string().regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/, 'must be a version such as 1.4.0')
export const compatibleSchema = z
  .string()
  .max(64)
  .regex(/^[a-z0-9][a-z0-9.-]*$/, 'must be a-z, 0-9, dots and dashes')
  .describe('the family of units that it is built for')

/** One field; what it may be depends on the kind of source, which the unit alone knows: its own strict schema decides there. */
const value = z.json()

/**
 * What may be changed from afar: nothing that names a file, a program or an address, who the camera is, or whom it trusts; what leaves it
 * and how long that is kept is the policy's. A field that is absent stands as in the unit's own file.
 */
export const cameraSettingsSchema = z
  .strictObject({
    source: z
      .strictObject({
        framesPerSecond: value,
        widthPx: value,
        heightPx: value,
        quality: value,
        rotation: value,
        roi: value,
        settings: value,
        night: value,
        capture: value,
        keepOnCamera: value,
        stallMs: value,
      })
      .partial(),
    vision: z
      .strictObject({
        detector: value,
        reader: value,
        threads: value,
        smallestPlatePx: value,
        motionGate: value,
        minConfidence: value,
        frameTimeoutMs: value,
        aim: value,
      })
      .partial(),
    track: z.strictObject({ gapMs: value, repeatWindowMs: value }).partial(),
    inFlight: value,
    healthIntervalMs: value,
    logLevel: value,
  })
  .partial()
export type CameraSettings = z.infer<typeof cameraSettingsSchema>

/** Fields of settings that a unit may name at a time; there are no more. */
export const MAX_SETTINGS_FIELDS = 32

/** Part of a camera's health: by which settings it works. */
export const settingsInForceSchema = z.strictObject({
  version: z.int().min(0).describe('of the settings from afar that it works by; 0: by its own alone'),
  trial: z.boolean().describe('they are tried, and not kept yet'),
  changed: z
    .array(z.string().max(64))
    .max(MAX_SETTINGS_FIELDS)
    .describe('fields of them that somebody has set otherwise at the camera, such as source.settings'),
})
export type SettingsInForce = z.infer<typeof settingsInForceSchema>

/** Names of the fields that settings have a say in, such as `source.settings` and `logLevel`. */
export function fieldsOf(settings: CameraSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) =>
    ['source', 'vision', 'track'].includes(name)
      ? Object.keys(value as object).map((part) => `${name}.${part}`)
      : [name],
  )
}

/** Without these fields, named as by `fieldsOf`. */
export function withoutFields(settings: CameraSettings, fields: readonly string[]): CameraSettings {
  const left = (of: object, prefix: string) =>
    Object.fromEntries(Object.entries(of).filter(([name]) => !fields.includes(`${prefix}${name}`)))
  const groups = Object.entries(left(settings, '')).map(([name, value]) => [
    name,
    ['source', 'vision', 'track'].includes(name) ? left(value as object, `${name}.`) : value,
  ])
  return Object.fromEntries(groups)
}

/** For a person; `meant`: the version that the cloud has for the camera, null: none. */
export function settingsText(said: SettingsInForce | null, meant: number | null): string {
  if (said === null) return meant === null ? '' : `not said, meant ${meant}`
  const { version, trial, changed } = said
  const own = changed.length === 0 ? '' : `, changed there: ${changed.join(' ')}`
  const other = trial || version === (meant ?? 0) ? '' : `, meant ${meant ?? 0}`
  return `${version === 0 ? 'own' : version}${trial ? ' on trial' : ''}${other}${own}`
}

const command = {
  agency: slugSchema,
  cameraId: slugSchema,
  /** Of this camera's turn in the roll-out: acknowledgements name it. */
  targetId: z.uuidv7(),
  issuedAtMs: timeMsSchema,
  expiresAtMs: timeMsSchema.describe('a unit that gets it later leaves it'),
}

/** Signed; at `commands/update/{targetId}`, QoS 0, said again while it is not acknowledged. */
export const updateCommandSchema = z.strictObject({
  ...command,
  release: z.strictObject({
    version: releaseVersionSchema,
    compatible: compatibleSchema,
    sha256: sha256Schema.describe('of the bundle'),
    bytes: z.int().min(1).max(MAX_RELEASE_BYTES),
  }),
  fetch: z.strictObject({
    port: z.int().min(1).max(65_535).describe('of HTTPS, on the host of the broker'),
    path: z
      .string()
      .max(200)
      .regex(/^\/[A-Za-z0-9/._-]*$/),
    token: z.string().max(100).describe('lets this camera fetch this release'),
  }),
})
export type UpdateCommand = z.infer<typeof updateCommandSchema>

/** Signed; at `commands/configure/{targetId}`, QoS 0, said again while it is not acknowledged. */
export const configureCommandSchema = z.strictObject({
  ...command,
  version: z.int().min(1).describe('of the settings, counted for the whole agency'),
  settings: cameraSettingsSchema.describe('all of them: those of before count no more'),
  keepSetHere: z
    .boolean()
    .optional()
    .describe('of a roll-out of before: fields that somebody has set at the camera stay as they are there'),
})
export type ConfigureCommand = z.infer<typeof configureCommandSchema>

/** `probation`: in use, and watched; the last four end a camera's turn. */
export const TARGET_STATES = [
  'fetching',
  'installing',
  'probation',
  'confirmed',
  'rolled_back',
  'failed',
  'refused',
] as const
export type TargetState = (typeof TARGET_STATES)[number]
export const ENDED_STATES: ReadonlySet<string> = new Set<TargetState>(['confirmed', 'rolled_back', 'failed', 'refused'])

/** Published by a camera at `acks/update/{targetId}` or `acks/configure/{targetId}`; the newest again with each connection. */
export const rollOutAckSchema = z.strictObject({
  targetId: z.uuidv7(),
  state: z.enum(TARGET_STATES),
  message: z.string().max(MAX_ROLL_OUT_MESSAGE).nullable().describe('why, where it did not go well'),
  atMs: timeMsSchema,
})
export type RollOutAck = z.infer<typeof rollOutAckSchema>

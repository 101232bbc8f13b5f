/**
 * The camera's configuration: one JSON file, checked strictly; `candor camera add` writes one that is ready to use.
 * Relative paths are taken from the file's own folder, so that a folder of files can be moved as it is.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { z } from 'zod'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import { loadConfig, type TellUnknown } from '../shared/config.ts'
import { AppError, systemCode } from '../shared/errors.ts'
import { slugSchema } from '../shared/names.ts'
import { SEAL_BYTES } from '../shared/sealing.ts'
import { createVerifier } from '../shared/signing.ts'
import type { TrustedKeys } from '../shared/signing-keys.ts'
import {
  DEFAULT_RETENTION_DAYS,
  MAX_CROP_BYTES,
  MAX_RETENTION_DAYS,
  MAX_SETTINGS_FIELDS,
  MAX_SIGHTING_BYTES,
} from '../shared/wire/index.ts'
import { sourceSchema } from './capture/sources.ts'
import { areasSchema } from './vision/areas.ts'
import { MAX_AIM, visionConfigSchema } from './vision/types.ts'

const path = z.string().min(1).max(4_096)
const retentionDays = z.number().gt(0).max(MAX_RETENTION_DAYS).default(DEFAULT_RETENTION_DAYS)

/** `mqtts://host:port`; plain MQTT is not offered. */
const brokerUrlSchema = z
  .string()
  .max(300)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : null
    return url?.protocol === 'mqtts:' && url.hostname !== '' && url.username === '' && url.pathname.length <= 1
  }, 'must be mqtts://host:port')

/** Smallest outbox: the largest sighting with the largest crop, or nothing could ever be put. */
export const MIN_OUTBOX_BYTES = MAX_SIGHTING_BYTES + MAX_CROP_BYTES + 2 * SEAL_BYTES

export const edgeConfigSchema = z.strictObject({
  agency: slugSchema.describe('the agency that owns the camera'),
  cameraId: slugSchema.describe('name of this camera, as in its certificate'),
  dataFolder: path
    .default('data')
    .describe("where the databases are; made when missing; relative: to systemd's StateDirectory, else to this file"),
  broker: z.strictObject({
    url: brokerUrlSchema.describe('mqtts://host:port'),
    caFile: path.default('ca.pem').describe("certificate of the cloud's authority"),
    certificateFile: path.default('certificate.pem').describe("the camera's certificate"),
    keyFile: path.default('key.pem').describe("the camera's private key; others must not be able to read it"),
    keepaliveSeconds: z.int().min(5).max(300).default(30).describe('MQTT keep-alive, seconds'),
  }),
  listKeysFile: path.default('list-keys.pem').describe('public keys trusted for hotlists and policy'),
  sealingKeyFile: path
    .default('sealing.pem')
    .describe("the cloud's public key to which waiting sightings and pictures are sealed"),
  source: sourceSchema.describe('where frames come from'),
  view: areasSchema.prefault({}).describe('what of the picture counts'),
  vision: visionConfigSchema.default(() => visionConfigSchema.parse({})),
  setHere: z
    .record(z.string().max(MAX_AIM), z.string().max(MAX_AIM))
    .refine((fields) => Object.keys(fields).length <= MAX_SETTINGS_FIELDS, `at most ${MAX_SETTINGS_FIELDS} fields`)
    .default({})
    .describe(
      'fields that somebody has set at the camera, each with a name of that time; settings from afar of before leave them. The set-up page writes it',
    ),
  written: z
    .string()
    .max(64)
    .optional()
    .describe(
      'SHA-256 of all else, by the enrolment or set-up page that wrote it; while it fits, fields that this release does not know are of a newer one, and left out',
    ),
  track: z
    .strictObject({
      gapMs: z
        .int()
        .min(100)
        .max(MINUTE_MS)
        .default(1_500)
        .describe('a vehicle not seen for this long is gone, milliseconds'),
      repeatWindowMs: z
        .int()
        .min(0)
        .max(DAY_MS)
        .default(5 * MINUTE_MS)
        .describe(
          'a plate seen again within this time of when it was last seen makes no new sighting, milliseconds; 0: always',
        ),
    })
    .prefault({}),
  outbox: z
    .strictObject({
      maxBytes: z
        .int()
        .min(MIN_OUTBOX_BYTES)
        .max(1024 ** 4)
        .default(1024 ** 3)
        .describe('sightings and crops that wait, bytes; beyond it the least important are dropped'),
      maxRows: z.int().min(2).max(10_000_000).default(200_000).describe('sightings and crops that wait'),
    })
    .prefault({}),
  inFlight: z.int().min(1).max(1_000).default(20).describe('publishes that wait for their acknowledgement'),
  upload: z
    .enum(['all', 'matches-only'])
    .default('all')
    .describe('which sightings may leave the camera until a signed policy says otherwise'),
  unmatchedInMemory: z
    .boolean()
    .default(false)
    .describe(
      'with upload matches-only: sightings without a match touch no disk, until a signed policy says otherwise',
    ),
  retention: z
    .strictObject({
      unmatchedDays: retentionDays.describe('sightings without a match, days'),
      matchedDays: retentionDays.describe('sightings with a match, days'),
      cropDays: retentionDays.describe('evidence pictures, days'),
    })
    .prefault({})
    .describe('until a signed policy says otherwise'),
  updates: z
    .strictObject({
      folder: path
        .default('updates')
        .describe("where releases are put for the system's updater; relative: to systemd's StateDirectory"),
      statusFile: path.default('/run/candor-update/status.json').describe('what the updater says of them'),
    })
    .nullable()
    .default(null)
    .describe('where the unit runs an image of Candor; null: its system is kept by other means'),
  healthIntervalMs: z
    .int()
    .min(100)
    .max(HOUR_MS)
    .default(30 * SECOND_MS)
    .describe('health report every, milliseconds'),
  statusFile: path
    .nullable()
    .default(null)
    .describe(
      "file in which the health report stands as well, with `connected`, for other programs of this machine; relative: to systemd's RuntimeDirectory, else to this file; null: none",
    ),
  assumeClockSynced: z
    .boolean()
    .default(false)
    .describe('do not ask the system whether its clock is synchronised (containers, trials)'),
  exitWhenDone: z
    .boolean()
    .default(false)
    .describe('end with exit code 0 when the source has ended and everything is acknowledged'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})
export type EdgeConfig = z.infer<typeof edgeConfigSchema>

const [UNIT_FOLDER, UNIT_STATE_FOLDER] = ['/etc/candor-edge', '/var/lib/candor-edge']

/**
 * systemd's StateDirectory of the camera whose configuration lies in `folder`, for programs beside it, which are not told (candor-edge.service,
 * candor-edge@.service). null: not a folder of theirs.
 */
export function stateFolderBeside(folder: string): string | null {
  const below = relative(UNIT_FOLDER, folder)
  return isAbsolute(below) || below.startsWith('..') ? null : join(UNIT_STATE_FOLDER, below)
}

/** Reads `file`, resolves its paths and checks the files it names. `tell`: of fields that were left out. Throws `configuration`. */
export function loadEdgeConfig(
  file: string,
  stateFolder: string | null = process.env.STATE_DIRECTORY ?? null,
  runtimeFolder: string | null = process.env.RUNTIME_DIRECTORY ?? null,
  tell?: TellUnknown,
): EdgeConfig {
  const config = resolvePaths(loadConfig(file, edgeConfigSchema, tell), dirname(file), stateFolder, runtimeFolder)
  checkFiles(config)
  return config
}

/** The same configuration with absolute or caller-relative paths; `folder` is that of the configuration file. */
export function resolvePaths(
  config: EdgeConfig,
  folder: string,
  stateFolder: string | null,
  runtimeFolder: string | null = null,
): EdgeConfig {
  const from = (base: string, name: string) => (isAbsolute(name) ? name : join(base, name))
  return {
    ...config,
    dataFolder: from(stateFolder ?? folder, config.dataFolder),
    updates: config.updates && { ...config.updates, folder: from(stateFolder ?? folder, config.updates.folder) },
    statusFile: config.statusFile === null ? null : from(runtimeFolder ?? folder, config.statusFile),
    broker: {
      ...config.broker,
      caFile: from(folder, config.broker.caFile),
      certificateFile: from(folder, config.broker.certificateFile),
      keyFile: from(folder, config.broker.keyFile),
    },
    listKeysFile: from(folder, config.listKeysFile),
    sealingKeyFile: from(folder, config.sealingKeyFile),
    source: resolveSource(config.source, (name) => from(folder, name)),
  }
}

/** A program is looked for as a shell does when it is a mere name. */
export function resolveSource(source: EdgeConfig['source'], from: (name: string) => string): EdgeConfig['source'] {
  if (source.kind === 'replay') return { ...source, path: from(source.path) }
  if (source.kind === 'rpicam' && source.program?.includes('/')) return { ...source, program: from(source.program) }
  if (source.kind === 'stream' && source.credentialsFile !== undefined)
    return { ...source, credentialsFile: from(source.credentialsFile) }
  return source
}

/** Group members may read a private key (systemd's LoadCredential grants by an ACL that shows as group); nobody else may. */
const KEY_MODE_FORBIDDEN = 0o027

/** Throws `configuration` with one line a problem when two fields do not go together, or a file that the configuration names is missing, unreadable or wrong. */
export function checkFiles(config: EdgeConfig): void {
  const problems: string[] = []
  if (config.unmatchedInMemory && config.upload !== 'matches-only') {
    problems.push(`upload: must be matches-only with unmatchedInMemory (got ${config.upload})`)
  }
  const pem = (field: string, file: string, label: RegExp): void => {
    try {
      accessSync(file, constants.R_OK)
      if (!label.test(readFileSync(file, 'utf8'))) problems.push(`${field}: no ${label.source} in it (got ${file})`)
    } catch (thrown) {
      problems.push(`${field}: ${systemCode(thrown) === 'ENOENT' ? 'no such file' : 'cannot be read'} (got ${file})`)
    }
  }
  const secret = (field: string, file: string, what: string): void => {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode
    if (mode === undefined || (mode & KEY_MODE_FORBIDDEN) === 0) return
    const shown = (mode & 0o777).toString(8).padStart(4, '0')
    problems.push(`${field}: others may read or change ${what}: chmod 600 (got mode ${shown})`)
  }
  const { broker } = config
  pem('broker.caFile', broker.caFile, /BEGIN CERTIFICATE/)
  pem('broker.certificateFile', broker.certificateFile, /BEGIN CERTIFICATE/)
  pem('broker.keyFile', broker.keyFile, /BEGIN ([A-Z]+ )?PRIVATE KEY/)
  pem('listKeysFile', config.listKeysFile, /BEGIN PUBLIC KEY/)
  pem('sealingKeyFile', config.sealingKeyFile, /BEGIN PUBLIC KEY/)
  if (problems.length === 0) problems.push(...keyProblems(broker))
  secret('broker.keyFile', broker.keyFile, 'the private key')
  const { source } = config
  if (source.kind === 'replay') {
    try {
      accessSync(source.path, constants.R_OK)
    } catch {
      problems.push(`source.path: cannot be read (got ${source.path})`)
    }
  }
  if (source.kind === 'stream' && source.credentialsFile !== undefined)
    secret('source.credentialsFile', source.credentialsFile, 'the password')
  if (problems.length > 0) {
    throw new AppError(
      'configuration',
      `${problems.length} problem(s)\n${problems.map((line) => `  ${line}`).join('\n')}`,
      { hint: 'keys and certificates of a camera come from `candor camera add` or `candor camera replace`' },
    )
  }
}

/** A key of another certificate would be found out only by the broker, and look like a broker that is not trusted. */
function keyProblems({ certificateFile, keyFile }: EdgeConfig['broker']): string[] {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(readFileSync(certificateFile))
  } catch {
    return [`broker.certificateFile: is damaged (got ${certificateFile})`]
  }
  try {
    if (certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile)))) return []
  } catch {
    return [`broker.keyFile: is damaged, or needs a password (got ${keyFile})`]
  }
  return [`broker.keyFile: is not the key of broker.certificateFile (got ${keyFile}, ${certificateFile})`]
}

/** Most keys in the list keys' file: the current one, the next one, and some of before. */
export const MAX_LIST_KEYS = 8

/** The version of the signing keys that a camera was enrolled with stands before them, as PEM allows [RFC 7468, 2]. */
const ENROLLED_VERSION = /^Signing keys, version ([1-9][0-9]{0,8})$/m

/** What the camera trusts before it has followed any rotation. Throws `configuration`. */
export function readEnrolledKeys(file: string): TrustedKeys {
  const pems = readListKeys(file)
  return { version: Number(ENROLLED_VERSION.exec(readFileSync(file, 'utf8'))?.[1] ?? 1), pems }
}

/** The public keys in `file`, one PEM block each. Throws `configuration`. */
export function readListKeys(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const keys = text.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? []
  if (keys.length === 0 || keys.length > MAX_LIST_KEYS) {
    throw new AppError(
      'configuration',
      `listKeysFile: 1 to ${MAX_LIST_KEYS} public keys are needed (got ${keys.length})`,
    )
  }
  createVerifier(keys)
  return keys
}

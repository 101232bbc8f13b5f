/** The cloud's configuration file: strict, every field described; the README's table is made from it. */
import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { AppError, toAppError } from '../shared/errors.ts'
import { slugSchema } from '../shared/names.ts'
import { DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS } from '../shared/wire/index.ts'
import { fleetConfigSchema } from './fleet/config.ts'
import { PROFILES } from './policy/profiles/index.ts'

/** What is to be kept for longer is a matter of evidence holds. */
export const MAX_BACKUP_DAYS = 366
/** The tables alone, empty, take three quarters of one. */
export const MIN_DATABASE_MEBIBYTES = 2

const port = z.int().min(0).max(65_535)
const claimValues = z.array(z.string().min(1).max(256)).min(1).max(16)

const oidcSchema = z.strictObject({
  issuer: z
    .url({ protocol: /^https$/ })
    .describe('the agency’s OpenID Connect provider, as its discovery document names it'),
  clientId: z.string().min(1).max(256).describe('how the provider knows this cloud'),
  clientSecretFile: z.string().min(1).describe('a file with the client’s secret in its first line'),
  accountClaim: z
    .string()
    .min(1)
    .max(64)
    .default('preferred_username')
    .describe('claim of the ID token that is the account’s name here; the account must exist'),
  acr: claimValues.optional().describe('the log-in must be of one of these classes (`acr`), and is asked for so'),
  amr: claimValues.optional().describe('the log-in must have used one of these methods (`amr`), such as `mfa`'),
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('certificates of authorities (PEM) that the provider may have besides the public ones'),
})
export type OidcConfig = z.infer<typeof oidcSchema>

const fieldsSchema = z.strictObject({
  agency: slugSchema.describe('the agency; part of every topic and certificate'),
  dataFolder: z.string().min(1).describe('database, authority and keys; made with mode 0700'),
  auditHeadFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'signed head of the audit; best on another disk than the database (default: `audit/head.json` in the data folder)',
    ),
  host: z.string().min(1).default('0.0.0.0').describe('address to listen on'),
  mqttPort: port.default(8_883).describe('MQTT over TLS; 0 takes any free port'),
  httpsPort: port.default(8_443).describe('page, API and MQTT over WebSocket; 0 takes any free port'),
  federationPort: port
    .nullable()
    .default(null)
    .describe('clouds of partner agencies, over mutual TLS; null: none is listened for; 0 takes any free port'),
  hostnames: z
    .array(z.string().min(1).max(253))
    .min(1)
    .max(32)
    .default(['localhost', '127.0.0.1'])
    .describe('names and addresses on the server certificate, as cameras and browsers reach it'),
  pageOrigin: z
    .url({ protocol: /^https$/ })
    .optional()
    .describe(
      'the page as browsers reach it, such as `https://candor.example`; security keys are bound to its host name (default: first host name and `httpsPort`)',
    ),
  secondFactor: z
    .enum(['required', 'optional'])
    .default('required')
    .describe('`required`: an account without a second factor can do nothing but add one'),
  passwordLogin: z
    .enum(['everyone', 'account-admins'])
    .default('everyone')
    .describe('who may log in by password; `account-admins`: everybody else by `oidc`'),
  oidc: oidcSchema.optional().describe('log-in by the agency’s own OpenID Connect provider'),
  retentionDays: z
    .number()
    .gt(0)
    .max(MAX_RETENTION_DAYS)
    .default(DEFAULT_RETENTION_DAYS)
    .describe('in the first policy, for every class; later changes go through the policy'),
  upload: z
    .enum(['all', 'matches-only'])
    .default('all')
    .describe('in the first policy: which sightings leave a camera'),
  profile: z
    .enum(PROFILES.map(({ id }) => id))
    .optional()
    .describe('the first policy is made from this profile, and not from the two above; `candor policy profiles`'),
  databaseMaxMebibytes: z
    .int()
    .min(MIN_DATABASE_MEBIBYTES)
    .nullable()
    .default(null)
    .describe('ceiling of the database file; above it nothing is acknowledged; null: the disk decides'),
  webhookCaFile: z
    .string()
    .min(1)
    .optional()
    .describe('certificates of authorities (PEM) that receivers of webhooks may have besides the public ones'),
  backupDays: z
    .number()
    .gt(0)
    .max(MAX_BACKUP_DAYS)
    .default(DEFAULT_RETENTION_DAYS)
    .describe('a backup can be read for so long, and no longer than the shortest time that the policy keeps anything'),
  backupKeysFolder: z
    .string()
    .min(1)
    .optional()
    .describe(
      'keys of backups, one a day; best on a medium of its own, never among the backups (default: `backup-keys` in the data folder)',
    ),
  fleet: fleetConfigSchema
    .prefault({})
    .describe('when an alarm about a camera is raised, and what is kept of its past'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('least severe lines to write'),
})

export const cloudConfigSchema = fieldsSchema.superRefine((config, context) => {
  const wrong = (field: keyof typeof config, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message, input: config[field] })
  if (config.passwordLogin === 'account-admins' && config.oidc === undefined)
    wrong('passwordLogin', 'needs `oidc`, or nobody else could log in')
  if (config.secondFactor === 'required' && config.oidc !== undefined && !config.oidc.acr && !config.oidc.amr)
    wrong('oidc', 'needs `acr` or `amr`: nothing else shows that the provider asks for a second factor')
})
export type CloudConfig = z.infer<typeof cloudConfigSchema>

/** Where everything lies. Relative paths are relative to the configuration file's folder (or `base`). */
export function cloudPaths(
  config: Pick<CloudConfig, 'dataFolder' | 'auditHeadFile' | 'webhookCaFile' | 'backupKeysFolder' | 'oidc'>,
  base: string,
) {
  const dataFolder = resolve(base, config.dataFolder)
  return {
    dataFolder,
    databaseFile: join(dataFolder, 'candor.db'),
    authorityFolder: join(dataFolder, 'authority'),
    keysFolder: join(dataFolder, 'keys'),
    releasesFolder: join(dataFolder, 'releases'),
    auditHeadFile:
      config.auditHeadFile === undefined ? join(dataFolder, 'audit', 'head.json') : resolve(base, config.auditHeadFile),
    setupCodeFile: join(dataFolder, 'setup-code'),
    backupKeysFolder:
      config.backupKeysFolder === undefined ? join(dataFolder, 'backup-keys') : resolve(base, config.backupKeysFolder),
    /** There after a restore, until the cloud's first start. */
    restoredFile: join(dataFolder, 'restored.json'),
    webhookCaFile: config.webhookCaFile === undefined ? null : resolve(base, config.webhookCaFile),
    oidcSecretFile: config.oidc === undefined ? null : resolve(base, config.oidc.clientSecretFile),
    oidcCaFile: config.oidc?.caFile === undefined ? null : resolve(base, config.oidc.caFile),
  }
}

/** The folder that relative paths of a configuration file start from. */
export function configBase(configFile: string): string {
  return dirname(resolve(configFile))
}

/** Throws `configuration`. */
export function makeDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new AppError('configuration', `dataFolder: cannot make ${folder}: ${toAppError(cause).message}`, {
      hint: 'name a folder that this user may write',
      cause,
    })
  }
}

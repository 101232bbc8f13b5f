/** The cloud's configuration file: strict, every field described; the README's table is made from it. */
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { slugSchema } from '../shared/names.ts'
import { DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS } from '../shared/wire/index.ts'
import { PROFILES } from './policy/profiles/index.ts'

const port = z.int().min(0).max(65_535)

export const cloudConfigSchema = z.strictObject({
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
  hostnames: z
    .array(z.string().min(1).max(253))
    .min(1)
    .max(32)
    .default(['localhost', '127.0.0.1'])
    .describe('names and addresses on the server certificate, as cameras and browsers reach it'),
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
    .min(1)
    .nullable()
    .default(null)
    .describe('ceiling of the database file; above it nothing is acknowledged; null: the disk decides'),
  webhookCaFile: z
    .string()
    .min(1)
    .optional()
    .describe('certificates of authorities (PEM) that receivers of webhooks may have besides the public ones'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('least severe lines to write'),
})
export type CloudConfig = z.infer<typeof cloudConfigSchema>

/** Where everything lies. Relative paths are relative to the configuration file's folder (or `base`). */
export function cloudPaths(config: Pick<CloudConfig, 'dataFolder' | 'auditHeadFile' | 'webhookCaFile'>, base: string) {
  const dataFolder = resolve(base, config.dataFolder)
  return {
    dataFolder,
    databaseFile: join(dataFolder, 'candor.db'),
    authorityFolder: join(dataFolder, 'authority'),
    keysFolder: join(dataFolder, 'keys'),
    auditHeadFile:
      config.auditHeadFile === undefined ? join(dataFolder, 'audit', 'head.json') : resolve(base, config.auditHeadFile),
    setupCodeFile: join(dataFolder, 'setup-code'),
    webhookCaFile: config.webhookCaFile === undefined ? null : resolve(base, config.webhookCaFile),
  }
}

/** The folder that relative paths of a configuration file start from. */
export function configBase(configFile: string): string {
  return dirname(resolve(configFile))
}

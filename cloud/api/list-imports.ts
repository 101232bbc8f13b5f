/** What an import of a list file is answered, and the route that tells how far one is. */
import { z } from 'zod'
import { ERROR_CODES } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { MAPPED_FIELDS } from '../hotlists/mapping.ts'
import { IMPORT_PHASES, type Imports } from '../hotlists/progress.ts'
import type { Door, TypedApi } from './door.ts'

export const differenceSchema = z
  .object({
    added: z.int(),
    unchanged: z.int(),
    changed: z.int().describe('the same plate, jurisdiction and case, and something else new'),
    removed: z.int(),
    ended: z.int().describe('of the changed: in force today, and not any more by the new file'),
  })
  .describe('beside the version in force')

export const importReportSchema = z.object({
  list: slugSchema,
  applied: z.boolean(),
  version: z.int().nullable(),
  notApplied: z.string().nullable().describe('why nothing was applied'),
  rows: z.int(),
  good: z.int(),
  bad: z.int(),
  prohibited: z.int().describe('rows of a prohibited category, dropped'),
  patterns: z.int().describe('of the good rows: patterns, which the cloud alone matches'),
  problems: z.array(z.object({ line: z.int().nullable(), problem: z.string() })).describe('the first'),
  problemKinds: z.array(z.object({ problem: z.string(), rows: z.int() })).describe('all of them, counted'),
  mapping: slugSchema.nullable().describe('by which the file was read; null: by our own column names'),
  columns: z.array(z.object({ column: z.string(), field: z.enum(MAPPED_FIELDS) })),
  leftOutColumns: z.array(z.string()).describe('known, and not taken'),
  unknownColumns: z.array(z.string()),
  unusable: z.boolean(),
  sourceSha256: z.string(),
  needsApproval: z.boolean().describe('most of the list would go: a second person must approve'),
  pendingVersion: z.int().nullable().describe('the version that waits for a second person'),
  difference: differenceSchema,
  warnings: z.array(z.string()).describe('what is taken as it is, and is most likely not meant'),
})
export type ImportReply = z.infer<typeof importReportSchema>

export const importProgressSchema = z.object({
  importId: z.uuid(),
  list: slugSchema,
  startedAtMs: timeMsSchema,
  state: z.enum(['running', 'done', 'failed']),
  phase: z.enum(IMPORT_PHASES),
  done: z.int().describe('of `total`: bytes, entries or chunks'),
  total: z.int().describe('0: not known'),
  rows: z.int().describe('read until now'),
  reply: importReportSchema.nullable().describe('what the import was answered, when done'),
  failure: z
    .object({ code: z.enum(ERROR_CODES), message: z.string(), hint: z.string().nullable() })
    .nullable()
    .describe('when failed'),
})

export function registerListImports(app: TypedApi, imports: Imports<ImportReply>, door: Door): void {
  app.route({
    method: 'GET',
    url: '/api/v1/hotlists/:list/progress',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'How far an import of the list is, or how it ended: the newest, or the one with the id it was given',
      params: z.object({ list: slugSchema }),
      querystring: z.strictObject({ importId: z.uuid().optional() }),
      response: { 200: z.object({ progress: importProgressSchema.nullable() }) },
    },
    handler: async (request) => ({ progress: imports.of(request.params.list, request.query.importId) }),
  })
}

/** Routes of hotlists. A list file is the request's body, as text; its options stand in the query. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { matchRuleSchema, timeMsSchema } from '../../shared/wire/index.ts'
import { MAX_IMPORT_BYTES, MAX_REASON_LENGTH } from '../hotlists/csv.ts'
import { DEFAULT_GROUPS, MAX_GROUPS_PER_LIST, MAX_MAX_AGE_MS } from '../hotlists/settings.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { groupWarnings } from './group-warnings.ts'

const flag = z.enum(['true', 'false']).default('false')
const listParams = z.object({ list: slugSchema })

const differenceSchema = z
  .object({
    added: z.int(),
    unchanged: z.int(),
    removed: z.int(),
    ended: z.int().describe('of the unchanged: in force today, and not any more by the new file'),
  })
  .describe('beside the version in force')

const reportSchema = z.object({
  list: slugSchema,
  applied: z.boolean(),
  version: z.int().nullable(),
  notApplied: z.string().nullable().describe('why nothing was applied'),
  rows: z.int(),
  good: z.int(),
  bad: z.int(),
  prohibited: z.int().describe('rows of a prohibited category, dropped'),
  problems: z.array(z.object({ line: z.int().nullable(), problem: z.string() })),
  unknownColumns: z.array(z.string()),
  unusable: z.boolean(),
  sourceSha256: z.string(),
  pendingVersion: z.int().nullable().describe('the version that waits for a second person'),
  difference: differenceSchema,
  warnings: z.array(z.string()).describe('what is taken as it is, and is most likely not meant'),
})

const statusSchema = z.object({
  list: slugSchema,
  groups: z.array(slugSchema),
  rule: matchRuleSchema,
  maxAgeMs: z.int(),
  version: z.int().nullable(),
  entries: z.int(),
  issuedAtMs: timeMsSchema.nullable(),
  ageMs: z.int().nullable(),
  stale: z.boolean(),
  pending: z.array(
    z.object({
      version: z.int(),
      entries: z.int(),
      madeBy: slugSchema,
      madeAtMs: timeMsSchema,
      difference: differenceSchema,
      settings: z.object({
        groups: z.array(slugSchema).readonly().optional(),
        rule: matchRuleSchema.optional(),
        maxAgeMs: z.int().optional(),
      }),
      sourceSha256: z.string().nullable(),
    }),
  ),
  versions: z.array(
    z.object({ version: z.int(), entries: z.int(), madeAtMs: timeMsSchema, madeBy: slugSchema, kept: z.boolean() }),
  ),
})

const diffEntrySchema = z.object({
  plate: z.string(),
  jurisdiction: z.string().nullable(),
  caseNumber: z.string().nullable(),
})

export function registerLists(app: TypedApi, parts: CloudParts, door: Door): void {
  const { accounts, hotlists, cameras } = parts
  const subject = (list: string) => ({ kind: 'hotlist', id: list })
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account

  async function warningsOf(list: string, wanted: readonly string[] | undefined): Promise<string[]> {
    const known = (await hotlists.status()).find((one) => one.list === list)
    return groupWarnings(accounts, wanted ?? known?.groups ?? DEFAULT_GROUPS)
  }

  app.route({
    method: 'GET',
    url: '/api/v1/hotlists',
    onRequest: door.guard('hotlists.read'),
    schema: {
      summary: 'Lists, their versions, and which camera has which',
      response: {
        200: z.object({
          hotlists: z.array(statusSchema),
          cameras: z.array(
            z.object({
              camera: slugSchema,
              list: slugSchema,
              version: z.int(),
              result: z.enum(['applied', 'refused']),
              reason: z.string().nullable(),
              atMs: timeMsSchema,
            }),
          ),
        }),
      },
    },
    async handler() {
      const lists = await hotlists.status()
      const acks = (await cameras.list()).flatMap(({ camera, acks: own }) =>
        own.flatMap(({ subject: about, version, result, reason, atMs }) =>
          about.startsWith('hotlists/') ? [{ camera, list: about.slice(9), version, result, reason, atMs }] : [],
        ),
      )
      return { hotlists: lists.map((list) => ({ ...list, groups: [...list.groups] })), cameras: acks }
    },
  })

  app.route({
    method: 'PUT',
    url: '/api/v1/hotlists/:list',
    onRequest: door.guard('hotlists.write'),
    bodyLimit: MAX_IMPORT_BYTES,
    schema: {
      summary: 'Imports a list file (text/csv) as a new version; all rows or none',
      params: listParams,
      querystring: z.strictObject({
        match: matchRuleSchema.optional(),
        groups: z.string().max(2_000).optional().describe('comma-separated'),
        maxAgeMs: z.coerce.number().int().min(1).max(MAX_MAX_AGE_MS).optional(),
        dryRun: flag,
        skipBad: flag,
        allowEmpty: flag,
      }),
      consumes: ['text/csv'],
      response: { 200: reportSchema },
    },
    async handler(request) {
      const { list } = request.params
      const { match, groups, maxAgeMs, dryRun, skipBad, allowEmpty } = request.query
      const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const started = {
        operation: 'hotlist.import',
        subject: subject(list),
        detail: { bytes: bytes.length, dryRun, skipBad },
      }
      const wanted = groups?.split(',').map((group) => group.trim())
      return door.audited(request, started, async (seq) => {
        const report = await hotlists.import({
          list,
          bytes,
          settings: {
            ...(match === undefined ? {} : { rule: match }),
            ...(wanted === undefined ? {} : { groups: wanted }),
            ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
          },
          dryRun: dryRun === 'true',
          skipBad: skipBad === 'true',
          allowEmpty: allowEmpty === 'true',
          by: by(request),
        })
        const { applied, version, pendingVersion, difference, good, bad, prohibited, sourceSha256 } = report
        await door.audit(request, {
          operation: 'hotlist.imported',
          subject: subject(list),
          completes: seq,
          results: good,
          detail: { applied, version, pendingVersion, ...difference, bad, prohibited, sourceSha256 },
        })
        return { ...report, warnings: await warningsOf(list, wanted) }
      })
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/hotlists/:list',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Changes which groups are alerted, the default rule and the maximum age',
      params: listParams,
      body: z.strictObject({
        groups: z.array(slugSchema).min(1).max(MAX_GROUPS_PER_LIST).optional(),
        rule: matchRuleSchema.optional(),
        maxAgeMs: z.int().min(1).max(MAX_MAX_AGE_MS).optional(),
      }),
      response: { 200: statusSchema },
    },
    async handler(request) {
      const { list } = request.params
      const { groups, rule, maxAgeMs } = request.body
      const settings = {
        ...(groups === undefined ? {} : { groups }),
        ...(rule === undefined ? {} : { rule }),
        ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
      }
      const status = await door.audited(
        request,
        { operation: 'hotlist.configure', subject: subject(list), detail: settings },
        () => hotlists.configure(list, settings),
      )
      return { ...status, groups: [...status.groups] }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/hotlists/:list/rollback',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'A new version with the entries of an older one',
      params: listParams,
      body: z.strictObject({
        version: z.int().min(1).nullable().default(null).describe('null: the one before'),
        allowEmpty: z.boolean().default(false).describe('also to a version without entries'),
      }),
      response: { 200: z.object({ version: z.int(), entries: z.int() }) },
    },
    async handler(request) {
      const { list } = request.params
      const { version, allowEmpty } = request.body
      const detail = { version, allowEmpty }
      return door.audited(request, { operation: 'hotlist.rollback', subject: subject(list), detail }, () =>
        hotlists.rollback(list, version, by(request), { allowEmpty }),
      )
    },
  })

  const waiting = z.object({ list: slugSchema, version: z.coerce.number().int().min(1) })

  app.route({
    method: 'POST',
    url: '/api/v1/hotlists/:list/pending/:version/approve',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Brings a version that would take away most of its list into force; not for who imported it',
      params: waiting,
      response: { 200: z.object({ version: z.int(), entries: z.int() }) },
    },
    async handler(request) {
      const { list, version } = request.params
      return door.audited(request, { operation: 'hotlist.approve', subject: subject(list), detail: { version } }, () =>
        hotlists.approve(list, version, by(request)),
      )
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/hotlists/:list/pending/:version/reject',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Drops a version that waits for a second person',
      params: waiting,
      response: { 200: z.object({ version: z.int() }) },
    },
    async handler(request) {
      const { list, version } = request.params
      await door.audited(request, { operation: 'hotlist.reject', subject: subject(list), detail: { version } }, () =>
        hotlists.reject(list, version),
      )
      return { version }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/hotlist-key',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary:
        'Replaces the key of the plates on cameras, with a new version of every list: after a camera unit was stolen',
      body: z.strictObject({ reason: z.string().trim().min(1).max(MAX_REASON_LENGTH) }),
      response: { 200: z.object({ lists: z.int().describe('lists that got a new version') }) },
    },
    async handler(request) {
      const { reason } = request.body
      return door.audited(request, { operation: 'hotlist.replace_key', reason }, () => hotlists.replaceKey(by(request)))
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/hotlists/:list/diff',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'What came and went between two kept versions',
      params: listParams,
      querystring: z.strictObject({ from: z.coerce.number().int().min(1), to: z.coerce.number().int().min(1) }),
      response: {
        200: z.object({
          from: z.int(),
          to: z.int(),
          added: z.int(),
          removed: z.int(),
          addedEntries: z.array(diffEntrySchema),
          removedEntries: z.array(diffEntrySchema),
        }),
      },
    },
    async handler(request) {
      const { list } = request.params
      const { from, to } = request.query
      return door.audited(request, { operation: 'hotlist.diff', subject: subject(list), detail: { from, to } }, () =>
        hotlists.diff(list, from, to),
      )
    },
  })
}

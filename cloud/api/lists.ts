/** Routes of hotlists. A list file is the request's body, as text; its options stand in the query. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { listRuleSchema, timeMsSchema } from '../../shared/wire/index.ts'
import { MAX_IMPORT_BYTES, MAX_REASON_LENGTH } from '../hotlists/csv.ts'
import { createImports, type OnImportStep } from '../hotlists/progress.ts'
import { DEFAULT_GROUPS, LIST_SOURCES, MAX_GROUPS_PER_LIST, MAX_MAX_AGE_MS } from '../hotlists/settings.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { groupWarnings } from './group-warnings.ts'
import { differenceSchema, type ImportReply, importReportSchema, registerListImports } from './list-imports.ts'

const flag = z.enum(['true', 'false']).default('false')
const listParams = z.object({ list: slugSchema })

const settingsSchema = z.object({
  source: z.enum(LIST_SOURCES),
  groups: z.array(slugSchema),
  rule: listRuleSchema.describe('of rows that do not say'),
  priority: z.int().min(1).max(5).describe('of rows that do not say; 1 is the most urgent'),
  maxAgeMs: z.int().describe('older, the list is stale'),
  effectiveAtMs: timeMsSchema.nullable().describe('the list matches from then on'),
  expiresAtMs: timeMsSchema.nullable().describe('and before that'),
})

const statusSchema = settingsSchema.extend({
  list: slugSchema,
  version: z.int().nullable(),
  entries: z.int(),
  cloudEntries: z.int().describe('of the entries: patterns, which no camera has'),
  issuedAtMs: timeMsSchema.nullable(),
  ageMs: z.int().nullable(),
  stale: z.boolean(),
  pending: z.array(
    z.object({
      version: z.int(),
      entries: z.int(),
      patterns: z.int(),
      madeBy: slugSchema,
      madeAtMs: timeMsSchema,
      difference: differenceSchema,
      settings: settingsSchema.extend({ groups: z.array(slugSchema).readonly() }).partial(),
      sourceSha256: z.string().nullable(),
    }),
  ),
  versions: z.array(
    z.object({ version: z.int(), entries: z.int(), madeAtMs: timeMsSchema, madeBy: slugSchema, kept: z.boolean() }),
  ),
})

const signingKeySchema = z.object({
  version: z.int(),
  keyId: z.string(),
  rotating: z.boolean().describe('the key of before is still trusted'),
  waitingFor: z.array(slugSchema).describe('cameras that were seen and do not trust the new key yet'),
})

const enforcedSchema = z.object({
  version: z.int(),
  entries: z.int(),
  prohibited: z.int().describe('left out: of a category that is prohibited by now'),
})

const diffEntrySchema = z.object({
  plate: z.string(),
  jurisdiction: z.string().nullable(),
  caseNumber: z.string().nullable(),
})

/** What was given, and no more. */
function given<T extends object>(wanted: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>
  }
}

export function registerLists(app: TypedApi, parts: CloudParts, door: Door): void {
  const { accounts, hotlists, listMappings, cameras } = parts
  const imports = createImports<ImportReply>(parts)
  registerListImports(app, imports, door)
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
        match: listRuleSchema.optional(),
        source: z.enum(LIST_SOURCES).optional(),
        priority: z.coerce.number().int().min(1).max(5).optional(),
        groups: z.string().max(2_000).optional().describe('comma-separated'),
        maxAgeMs: z.coerce.number().int().min(1).max(MAX_MAX_AGE_MS).optional(),
        mapping: slugSchema
          .optional()
          .describe('by which the file is read, `none` for our own column names; else as the last one was'),
        importId: z.uuid().optional().describe('under which its progress can be asked for'),
        dryRun: flag,
        skipBad: flag,
        allowEmpty: flag,
        acceptCloudOnly: flag,
      }),
      consumes: ['text/csv'],
      response: { 200: importReportSchema },
    },
    async handler(request) {
      const { list } = request.params
      const { match, source, priority, groups, maxAgeMs, dryRun, skipBad, allowEmpty, acceptCloudOnly } = request.query
      const { importId = parts.newId() } = request.query
      const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const started = {
        operation: 'hotlist.import',
        subject: subject(list),
        detail: { bytes: bytes.length, dryRun, skipBad, mapping: request.query.mapping ?? null },
      }
      const wanted = groups?.split(',').map((group) => group.trim())
      const work = (onStep: OnImportStep) => async (seq: number) => {
        const chosen = await listMappings.choose(list, request.query.mapping)
        const mapping = chosen?.name ?? null
        const report = await hotlists.import({
          ...{ list, bytes, onStep, mapping: chosen?.mapping ?? null },
          settings: given({ rule: match, source, priority, groups: wanted, maxAgeMs }),
          dryRun: dryRun === 'true',
          skipBad: skipBad === 'true',
          allowEmpty: allowEmpty === 'true',
          acceptCloudOnly: acceptCloudOnly === 'true',
          by: by(request),
        })
        const { applied, version, pendingVersion, difference, good, bad, prohibited, patterns, sourceSha256 } = report
        await door.audit(request, {
          operation: 'hotlist.imported',
          subject: subject(list),
          completes: seq,
          results: good,
          detail: { applied, version, pendingVersion, ...difference, bad, prohibited, patterns, sourceSha256, mapping },
        })
        const warnings = await warningsOf(list, wanted)
        if (patterns > 0) warnings.push(`${patterns} entries are patterns: no camera has them, the cloud matches them`)
        if (report.version !== null || report.pendingVersion !== null) {
          // The list is in force: that must be told whatever comes of this.
          await listMappings.remember(list, mapping).catch(() => {
            warnings.push('by what the file was read could not be kept: name the mapping with the next import too')
          })
        }
        return { ...report, mapping, warnings }
      }
      return imports.follow(list, importId, (onStep) => door.audited(request, started, work(onStep)))
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/hotlists/:list',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Changes what is known of a list beside its entries; what is not given stays',
      params: listParams,
      body: z.strictObject({
        source: z.enum(LIST_SOURCES).optional(),
        groups: z.array(slugSchema).min(1).max(MAX_GROUPS_PER_LIST).optional(),
        rule: listRuleSchema.optional(),
        priority: z.int().min(1).max(5).optional(),
        maxAgeMs: z.int().min(1).max(MAX_MAX_AGE_MS).optional(),
        effectiveAtMs: timeMsSchema.nullable().optional(),
        expiresAtMs: timeMsSchema.nullable().optional(),
      }),
      response: { 200: statusSchema },
    },
    async handler(request) {
      const { list } = request.params
      const settings = given(request.body)
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
      response: { 200: enforcedSchema },
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
      response: { 200: enforcedSchema },
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
    url: '/api/v1/signing-key',
    onRequest: door.guard('hotlists.read'),
    schema: {
      summary: 'The key that signs lists, policy and commands, and which cameras have not followed to it yet',
      response: { 200: signingKeySchema },
    },
    handler: () => parts.keyRotation.state(),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/signing-key',
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Replaces the key that signs lists, policy and commands; cameras follow by themselves',
      body: z.strictObject({
        reason: z.string().trim().min(1).max(MAX_REASON_LENGTH),
        retireNow: z.boolean().default(false).describe('trust the key of before no longer, whoever has not followed'),
      }),
      response: { 200: signingKeySchema },
    },
    async handler(request) {
      const { reason, retireNow } = request.body
      const record = { operation: 'hotlist.rotate_signing_key', reason, detail: { retireNow } }
      return door.audited(request, record, () => parts.keyRotation.rotate({ retireNow }))
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

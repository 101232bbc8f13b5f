/** Routes of entries that people make by hand. The audit has their plates as digests, with the case number and the reason. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { normalisePattern, normalisePlate } from '../../shared/plate.ts'
import { jurisdictionSchema, listRuleSchema, timeMsSchema } from '../../shared/wire/index.ts'
import { withoutPlates } from '../audit/plates.ts'
import { MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_REASON_LENGTH } from '../hotlists/csv.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'

/** Longest plate or pattern that is read at all, characters. */
const MAX_PLATE_FIELD = 32

const entrySchema = z.object({
  entryId: z.uuidv7(),
  list: slugSchema,
  state: z
    .enum(['waiting', 'approved', 'in_force', 'over'])
    .describe('waiting: for a second person; approved: in force when nothing is in the way'),
  plate: z.string(),
  jurisdiction: jurisdictionSchema.nullable(),
  category: z.string(),
  priority: z.int(),
  rule: listRuleSchema,
  reason: z.string(),
  caseNumber: z.string(),
  madeAtMs: timeMsSchema,
  madeBy: slugSchema,
  decidedBy: slugSchema.nullable(),
  expiresAtMs: timeMsSchema,
})

export function registerListEntries(app: TypedApi, parts: CloudParts, door: Door): void {
  const { hotlists, audit } = parts
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account

  app.route({
    method: 'GET',
    url: '/api/v1/list-entries',
    onRequest: door.guard('hotlists.enter'),
    schema: {
      summary: 'Entries made by hand, newest first',
      querystring: z.strictObject({
        list: slugSchema.optional(),
        over: z.enum(['true', 'false']).default('false').describe('also those that are over and not yet forgotten'),
      }),
      response: { 200: z.object({ entries: z.array(entrySchema) }) },
    },
    async handler(request) {
      const { list, over } = request.query
      const entries = await hotlists.entries.list(list ?? null, over === 'true')
      await door.audit(request, {
        operation: 'hotlist.entries_listed',
        results: entries.length,
        detail: { list: list ?? null, over: over === 'true' },
      })
      return { entries }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/hotlists/:list/entries',
    onRequest: door.guard('hotlists.enter'),
    schema: {
      summary: 'Puts a plate on a list of entries made by hand; a new list is made',
      params: z.object({ list: slugSchema }),
      body: z.strictObject({
        plate: z.string().min(1).max(MAX_PLATE_FIELD).describe('with match rule wildcard: a pattern with * and ?'),
        jurisdiction: jurisdictionSchema.nullable().default(null),
        category: z.string().trim().max(MAX_CATEGORY_LENGTH).default(''),
        priority: z.int().min(1).max(5).nullable().default(null).describe('null: the list’s'),
        rule: listRuleSchema.nullable().default(null).describe('null: the list’s'),
        acceptCloudOnly: z.boolean().default(false).describe('a pattern although cameras send only their matches'),
        reason: z.string().trim().min(1).max(MAX_REASON_LENGTH),
        caseNumber: z.string().trim().min(1).max(MAX_CASE_LENGTH),
        expires: z
          .union([timeMsSchema, z.literal('end-of-shift')])
          .describe('compulsory; the policy says how far ahead'),
      }),
      response: { 200: entrySchema },
    },
    async handler(request) {
      const { list } = request.params
      const { body } = request
      const plate = normalisePlate(body.plate) ?? normalisePattern(body.plate)
      const text = (typed: string) => withoutPlates(typed, [plate], audit.plateDigest)
      const record = {
        operation: 'hotlist.entry_add',
        subject: { kind: 'hotlist', id: list },
        reason: text(body.reason),
        caseNumber: text(body.caseNumber),
        detail: {
          plate: plate === null ? null : audit.plateDigest(plate),
          category: text(body.category),
          expires: body.expires,
        },
      }
      return door.audited(request, record, async (seq) => {
        const entry = await hotlists.entries.add({ ...body, list, by: by(request) })
        await door.audit(request, {
          operation: 'hotlist.entry_added',
          subject: { kind: 'entry', id: entry.entryId },
          completes: seq,
          detail: { list, state: entry.state, expiresAtMs: entry.expiresAtMs },
        })
        return entry
      })
    },
  })

  for (const [verb, permission, summary] of [
    ['approve', 'hotlists.write', 'A waiting entry comes into force; not for who made it'],
    ['reject', 'hotlists.write', 'Drops a waiting entry'],
    ['end', 'hotlists.enter', 'Takes an entry off its list before its time'],
  ] as const) {
    app.route({
      method: 'POST',
      url: `/api/v1/hotlists/:list/entries/:entryId/${verb}`,
      onRequest: door.guard(permission),
      schema: {
        summary,
        params: z.object({ list: slugSchema, entryId: z.uuidv7() }),
        response: { 200: entrySchema },
      },
      async handler(request) {
        const { list, entryId } = request.params
        const record = { operation: `hotlist.entry_${verb}`, subject: { kind: 'entry', id: entryId }, detail: { list } }
        return door.audited(request, record, () => hotlists.entries[verb](list, entryId, by(request)))
      },
    })
  }
}

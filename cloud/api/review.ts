/** Routes of the review of use: findings, the audit entries that they are about, and what a reviewer decides. */
import { z } from 'zod'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { entrySchema } from '../audit/entry.ts'
import { readEntries } from '../audit/reading.ts'
import type { CloudParts } from '../parts.ts'
import { FLAGS } from '../review/flags.ts'
import { DECISIONS, MAX_FINDING_PAGE, MAX_REVIEW_NOTE } from '../review.ts'
import type { Door, TypedApi } from './door.ts'

const states = z.enum(['open', ...DECISIONS])
const findingSchema = z.object({
  findingId: z.uuidv7(),
  fromMs: timeMsSchema.describe('first moment of the period'),
  toMs: timeMsSchema.describe('end of the period'),
  who: z.string().describe('account, or organisation/account'),
  flag: z.enum(FLAGS),
  why: z.string(),
  entries: z.array(z.int()).describe('numbers of audit entries, the first 50'),
  entryCount: z.int(),
  madeAtMs: timeMsSchema,
  decision: states,
  note: z.string().nullable(),
  decidedAtMs: timeMsSchema.nullable(),
  decidedBy: z.string().nullable(),
})
const params = z.object({ findingId: z.uuidv7() })

export function registerReview(app: TypedApi, { review, database }: CloudParts, door: Door): void {
  const subject = (findingId: string) => ({ kind: 'finding', id: findingId })
  const reads = door.guard('review.read')

  app.route({
    method: 'GET',
    url: '/api/v1/review/status',
    onRequest: reads,
    schema: {
      summary: 'How many findings are open and overdue, and when the next period is over',
      response: {
        200: z.object({
          open: z.int(),
          overdue: z.int().describe('open for longer than a period'),
          oldestOpenAtMs: timeMsSchema.nullable(),
          last: z
            .object({ fromMs: timeMsSchema, toMs: timeMsSchema, findings: z.int(), leftOut: z.int() })
            .nullable()
            .describe('the last period that was looked at'),
          nextAtMs: timeMsSchema.nullable(),
        }),
      },
    },
    handler: () => review.status(),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/review/findings',
    onRequest: reads,
    schema: {
      summary: 'Findings, newest first',
      querystring: z.strictObject({
        decision: states.optional().describe('default: all'),
        limit: z.coerce.number().int().min(1).max(MAX_FINDING_PAGE).default(50),
        offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
      }),
      response: { 200: z.object({ findings: z.array(findingSchema) }) },
    },
    async handler(request) {
      const { decision = null, limit, offset } = request.query
      await door.audit(request, { operation: 'review.listed', detail: { decision, limit, offset } })
      return { findings: await review.list({ decision, limit, offset }) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/review/findings/:findingId',
    onRequest: reads,
    schema: {
      summary: 'A finding with the audit entries that it is about',
      params,
      response: { 200: z.object({ finding: findingSchema, entries: z.array(entrySchema) }) },
    },
    async handler(request) {
      const { findingId } = request.params
      const finding = await review.get(findingId)
      await door.audit(request, { operation: 'review.viewed', subject: subject(findingId) })
      return { finding, entries: await readEntries(database, finding.entries) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/review/findings/:findingId/decision',
    onRequest: door.guard('review.decide'),
    schema: {
      summary: 'Decides a finding about somebody else, once',
      params,
      body: z.strictObject({
        decision: z.enum(DECISIONS),
        note: z
          .string()
          .max(MAX_REVIEW_NOTE)
          .default('')
          .describe('what explains it, or what follows from a concern; needed for both'),
      }),
      response: { 200: findingSchema },
    },
    handler(request) {
      const { findingId } = request.params
      const { decision, note } = request.body
      const { account } = door.session(request)
      const record = { operation: 'review.decide', subject: subject(findingId), detail: { decision } }
      return door.audited(request, record, () => review.decide(findingId, decision, note, account))
    },
  })
}

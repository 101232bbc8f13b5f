/**
 * Routes of searching at partners: the own search runs first, by its own rules, and is answered at once; what each partner says is fetched
 * as it comes, so that a slow one holds nothing up.
 */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { MAX_PURPOSE_CHARACTERS, MAX_REASON_CHARACTERS, MAX_SEARCH_CAMERAS } from '../search/request.ts'
import { ASK_OUTCOMES } from '../sharing/asking.ts'
import { MAX_PARTNERS } from '../sharing/partners.ts'
import { MAX_SHARED_RESULTS, sharedResultSchema } from '../sharing/wire.ts'
import type { Door, TypedApi } from './door.ts'

/** Letters of a pattern with separators. */
const MAX_PLATE_FIELD = 32
/** Of what names a picture: numbers, names and two vouchers. */
const MAX_PICTURE_CHARACTERS = 400

export const agencyAnswerSchema = z.object({
  agency: slugSchema,
  outcome: z.enum(ASK_OUTCOMES).describe('what became of the search there'),
  auditSeq: z.int().nullable().describe('number of our own entry about asking'),
  theirAuditSeq: z.int().nullable().describe('number that the other agency’s audit gave it'),
  rule: z.string().nullable().describe('by which of their rules it was refused'),
  message: z.string().nullable(),
  results: z.array(
    sharedResultSchema
      .omit({ pictureVoucher: true })
      .extend({ picture: z.string().nullable().describe('names the evidence picture; null: none is given') }),
  ),
  total: z.int(),
  truncated: z.boolean(),
  dropped: z.int().describe('results that were malformed or not asked for'),
})

export const askSchema = z.object({
  askId: z.string(),
  agencies: z.array(
    z.object({ agency: slugSchema, answer: agencyAnswerSchema.nullable().describe('null: not answered yet') }),
  ),
})

export function registerSharedSearch(app: TypedApi, parts: CloudParts, door: Door): void {
  const { search, sharing } = parts

  app.route({
    method: 'POST',
    url: '/api/v1/search/agencies',
    onRequest: door.guard('search.run'),
    schema: {
      summary: 'Searches own reads and puts the same search to partners, whose answers are fetched by `askId`',
      body: z.strictObject({
        agencies: z
          .union([z.literal('all'), z.array(slugSchema).min(1).max(MAX_PARTNERS)])
          .describe('`all`: each that has a grant for this purpose'),
        agencyCameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]).describe('cameras of the partners'),
        plate: z.string().max(MAX_PLATE_FIELD).describe('a plate, or a pattern with * and ?'),
        fromMs: timeMsSchema.nullable().default(null),
        toMs: timeMsSchema.nullable().default(null),
        cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]).describe('own cameras'),
        purpose: slugSchema,
        // Missing ones are refused by the search itself, so that the refusal is audited.
        caseNumber: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        offenceType: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        reason: z.string().max(MAX_REASON_CHARACTERS).default(''),
        limit: z.int().min(1).max(MAX_SHARED_RESULTS).default(50),
      }),
      response: {
        200: z.object({
          own: z.looseObject({ auditSeq: z.int() }).describe('as of /api/v1/search'),
          ask: askSchema,
        }),
      },
    },
    async handler(request) {
      const { agencies, agencyCameras, ...own } = request.body
      const known = sharing.partners.allActive().map(({ partner }) => partner)
      const unknown = agencies === 'all' ? undefined : agencies.find((agency) => !known.includes(agency))
      if (unknown !== undefined) throw new AppError('not_found', `there is no partner ${unknown}`)
      const actor = door.actor(request)
      const answer = await search.run({ ...own, offset: 0 }, actor)
      const asked = { ...own, cameras: agencyCameras }
      const ask = sharing.asks.start(
        { agencies: agencies === 'all' ? known : [...new Set(agencies)], isOnlyGranted: agencies === 'all' },
        asked,
        { actor, completes: answer.auditSeq },
      )
      return { own: { ...answer }, ask }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/search/agencies/:askId',
    onRequest: door.guard('search.run'),
    schema: {
      summary: 'What the partners have answered until now; to the session that searched, for ten minutes',
      params: z.object({ askId: z.uuidv7() }),
      response: { 200: askSchema },
    },
    async handler(request) {
      const ask = sharing.asks.find(request.params.askId, door.session(request).sessionId)
      if (ask === null)
        throw new AppError('not_found', 'there is no such search, or it is over', { hint: 'search again' })
      return ask
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/partners/:partner/picture',
    onRequest: door.guard('sightings.view'),
    schema: {
      summary: 'The evidence picture of a result of a partner (image/jpeg), fetched there',
      params: z.object({ partner: slugSchema }),
      querystring: z.strictObject({
        picture: z
          .string()
          .max(MAX_PICTURE_CHARACTERS)
          .describe('the result’s `picture`; good for the session that searched'),
      }),
      produces: ['image/jpeg'],
    },
    async handler(request, reply) {
      const { partner } = request.params
      const jpeg = await sharing.asking.picture({ partner, picture: request.query.picture }, door.actor(request))
      return reply.type('image/jpeg').send(jpeg)
    },
  })
}

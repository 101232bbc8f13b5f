/**
 * Routes of searching stored sightings: search, its further pages, opening one, exporting all, and tracing an export. The plate travels in
 * the body, never in an address that a log could keep.
 */
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { jurisdictionSchema, sightingSchema, timeMsSchema, vehicleSchema } from '../../shared/wire/index.ts'
import { entrySchema } from '../audit/entry.ts'
import type { CloudParts } from '../parts.ts'
import { MARK_DIGITS, MAX_TRACED_MARKS } from '../search/export.ts'
import {
  MAX_PURPOSE_CHARACTERS,
  MAX_REASON_CHARACTERS,
  MAX_SEARCH_CAMERAS,
  MAX_SEARCH_LISTS,
  MAX_SEARCH_MATCHES,
  MAX_SEARCH_PAGE,
  MAX_SEARCH_PLACES,
} from '../search/request.ts'
import type { Door, TypedApi } from './door.ts'

/** Letters of a pattern with separators. */
const MAX_PLATE_FIELD = 32
/** Exports that one address may take in a minute; each is up to 5,000 sightings. */
export const MAX_EXPORTS_PER_MINUTE = 20

const pageFields = {
  limit: z.int().min(1).max(MAX_SEARCH_PAGE).default(50),
  offset: z.int().min(0).max(MAX_SEARCH_MATCHES).default(0),
}

const seenSchema = {
  sighting: sightingSchema,
  receivedAtMs: timeMsSchema,
  seenAtMs: timeMsSchema.describe('captured, or received when the camera’s clock cannot be trusted'),
  clockTrusted: z.boolean(),
}

const answerSchema = z.object({
  auditSeq: z.int().describe('number of this search in the audit'),
  results: z.array(
    z.object({
      kind: z.enum(['exact', 'near', 'pattern', 'any']),
      ...seenSchema,
      placesMet: z.array(z.int()).nullable().describe('of several places, which its vehicle passed, from 0'),
      voucher: z.string().describe('opens the sighting; good for the session that searched'),
      pictureVoucher: z.string().nullable().describe('for the evidence picture; null: there is none'),
    }),
  ),
  total: z.int(),
  vehicles: z.int().nullable().describe('of a search in several places'),
  truncated: z.boolean(),
  timedOut: z.boolean().describe('truncated because it took too long'),
  fromMs: timeMsSchema.nullable().describe('what was looked back to; null: all that is kept'),
  unknown: z
    .array(z.string())
    .optional()
    .describe('of a new search: cameras and lists that it named and that are not here; none found there says nothing'),
})

const searchSchema = z.object({ auditSeq: z.coerce.number().int().min(1) })
const shownSchema = z.strictObject({
  search: z.coerce.number().int().min(1).describe('audit number of the search that found it'),
  voucher: z.string().max(128).describe('the result’s voucher; good for the session that searched'),
  camera: slugSchema.describe('the sighting’s camera'),
})
const sightingParams = z.object({ sightingId: z.uuidv7() })

/** Aborts when the connection ends before the answer is sent: nobody waits for the search any more. */
function untilGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

export function registerSearch(app: TypedApi, parts: CloudParts, door: Door): void {
  const { search, sightings, clock } = parts

  /** A name with a slip in it finds nothing, and must not look like a car that was not there. */
  async function unknownOf(named: { cameras: string[]; places: { camera: string }[]; lists: string[] }) {
    const cameras = new Set([...named.cameras, ...named.places.map(({ camera }) => camera)])
    if (cameras.size === 0 && named.lists.length === 0) return []
    const known = new Set((await parts.cameras.list()).map(({ camera }) => camera))
    const lists = new Set((await parts.hotlists.status()).map(({ list }) => list))
    return [...[...cameras].filter((one) => !known.has(one)), ...named.lists.filter((one) => !lists.has(one))]
  }

  app.route({
    method: 'POST',
    url: '/api/v1/search',
    onRequest: door.guard('search.run'),
    schema: {
      summary: 'Searches stored reads; refused, and audited, without case number, offence type and reason',
      body: z.strictObject({
        plate: z.string().max(MAX_PLATE_FIELD).nullable().default(null).describe('a plate, or a pattern with * and ?'),
        match: z
          .enum(['exact', 'confusable'])
          .nullable()
          .default(null)
          .describe('also what reading confuses, marked near; null: for a whole plate, not for a pattern'),
        fromMs: timeMsSchema.nullable().default(null).describe('seen from this time on'),
        toMs: timeMsSchema.nullable().default(null).describe('seen before this time'),
        cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]),
        lists: z
          .array(slugSchema)
          .max(MAX_SEARCH_LISTS)
          .default([])
          .describe('with an alert or a match of one of these'),
        jurisdiction: jurisdictionSchema.nullable().default(null).describe('a country means its states as well'),
        colour: vehicleSchema.shape.colour.nullable().default(null),
        places: z
          .array(z.strictObject({ camera: slugSchema, fromMs: timeMsSchema, toMs: timeMsSchema }))
          .max(MAX_SEARCH_PLACES)
          .default([])
          .describe('vehicles that passed at least placesMet of these'),
        placesMet: z.int().min(2).max(MAX_SEARCH_PLACES).nullable().default(null).describe('null: all of them'),
        purpose: z
          .string()
          .max(MAX_PURPOSE_CHARACTERS)
          .nullable()
          .default(null)
          .describe('one of the policy’s purposes'),
        // Missing ones are refused by the search itself, so that the refusal is audited.
        caseNumber: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        offenceType: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        reason: z.string().max(MAX_REASON_CHARACTERS).default(''),
        ...pageFields,
      }),
      response: { 200: answerSchema },
    },
    async handler(request, reply) {
      const answer = await search.run(request.body, door.actor(request), untilGone(reply))
      return { ...answer, unknown: await unknownOf(request.body) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/search/:auditSeq/page',
    onRequest: door.guard('search.run'),
    schema: {
      summary: 'Another page of a search of this session; an entry of the audit of its own',
      params: searchSchema,
      body: z.strictObject(pageFields),
      response: { 200: answerSchema },
    },
    handler: (request) => search.page(request.params.auditSeq, request.body, door.actor(request)),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/search/:auditSeq/export',
    config: { rateLimit: { max: MAX_EXPORTS_PER_MINUTE, timeWindow: 60_000 } },
    onRequest: door.guard('search.export'),
    schema: {
      summary: 'All that a search of this session found, as a file in which every row names its entry in the audit',
      params: searchSchema,
      body: z.strictObject({ format: z.enum(['csv', 'json']) }),
      response: { 200: z.object({ auditSeq: z.int(), rows: z.int(), text: z.string() }) },
    },
    handler: (request) => search.export(request.params.auditSeq, request.body.format, door.actor(request)),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/audit/trace',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Which exports the marks in a file are of, and whether it is as it was written',
      body: z.strictObject({
        marks: z
          .array(
            z.strictObject({
              agency: slugSchema,
              auditSeq: z.int().min(1),
              digest: z.string().length(MARK_DIGITS),
            }),
          )
          .min(1)
          .max(MAX_TRACED_MARKS),
        end: z.strictObject({ bodySha256: z.string().length(64), digest: z.string().length(64) }).nullable(),
      }),
      response: {
        200: z.object({
          traced: z.array(z.object({ mark: z.unknown(), entry: entrySchema.nullable() })),
          isUnchanged: z.boolean().nullable().describe('null: it cannot be told'),
        }),
      },
    },
    async handler(request) {
      const { marks, end } = request.body
      const traced = await search.trace(marks, end)
      const found = traced.traced.filter(({ entry }) => entry !== null)
      await door.audit(request, {
        operation: 'audit.traced',
        results: found.length,
        detail: { marks: marks.length, exports: found.map(({ mark }) => String(mark.auditSeq)) },
      })
      return traced
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/sightings/:sightingId',
    onRequest: door.guard('sightings.view'),
    schema: {
      summary: 'A sighting that a search found, opened',
      params: sightingParams,
      querystring: shownSchema,
      response: { 200: z.object({ ...seenSchema, matched: z.boolean() }) },
    },
    handler(request) {
      const { search: auditSeq, voucher, camera: cameraId } = request.query
      return search.view({ auditSeq, voucher, cameraId, ...request.params }, door.actor(request))
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/sightings/:sightingId/crop',
    onRequest: door.guard('sightings.view'),
    schema: {
      summary: 'The evidence picture of a sighting that a search found (image/jpeg)',
      params: sightingParams,
      querystring: shownSchema,
      produces: ['image/jpeg'],
    },
    async handler(request, reply) {
      const { sightingId } = request.params
      const { search: auditSeq, voucher, camera: cameraId } = request.query
      if (!search.vouchesFor({ auditSeq, cameraId, sightingId, voucher }, door.actor(request))) {
        await parts.audit.append({
          operation: 'sighting.crop_viewed',
          outcome: 'refused',
          rule: 'not_found_by_search',
          actor: door.actor(request),
          subject: { kind: 'sighting', id: sightingId },
        })
        throw new AppError('forbidden', 'no search of this session has found that sighting', {
          hint: 'pictures are seen after a search with case number, offence type and reason',
        })
      }
      const crop = await sightings.crop(cameraId, sightingId, clock.nowMs())
      if (crop === null) throw new AppError('not_found', 'there is no such picture, or it is past its retention')
      await door.audit(request, {
        operation: 'sighting.crop_viewed',
        subject: { kind: 'sighting', id: sightingId },
        completes: auditSeq,
        detail: { sha256: crop.sha256 },
      })
      return reply.type('image/jpeg').send(crop.jpeg)
    },
  })
}

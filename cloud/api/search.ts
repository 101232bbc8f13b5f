/** Routes of searching stored reads. The plate travels in the body, never in an address that a log could keep. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { sightingSchema, timeMsSchema } from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import {
  createSearch,
  MAX_PURPOSE_CHARACTERS,
  MAX_REASON_CHARACTERS,
  MAX_SEARCH_CAMERAS,
  MAX_SEARCH_MATCHES,
  MAX_SEARCH_PAGE,
} from '../search.ts'
import type { Door, TypedApi } from './door.ts'

/** Letters of a pattern with separators. */
const MAX_PLATE_FIELD = 32

export function registerSearch(app: TypedApi, parts: CloudParts, door: Door): void {
  const { sightings, clock } = parts
  const search = createSearch(parts)

  app.route({
    method: 'POST',
    url: '/api/v1/search',
    onRequest: door.guard('search.run'),
    schema: {
      summary: 'Searches stored reads; refused, and audited, without case number, offence type and reason',
      body: z.strictObject({
        plate: z.string().max(MAX_PLATE_FIELD).describe('a plate, or a pattern with * and ?'),
        fromMs: timeMsSchema.nullable().default(null).describe('seen from this time on'),
        toMs: timeMsSchema.nullable().default(null).describe('seen before this time'),
        cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]),
        // Missing ones are refused by the search itself, so that the refusal is audited.
        caseNumber: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        offenceType: z.string().max(MAX_PURPOSE_CHARACTERS).default(''),
        reason: z.string().max(MAX_REASON_CHARACTERS).default(''),
        limit: z.int().min(1).max(MAX_SEARCH_PAGE).default(50),
        offset: z.int().min(0).max(MAX_SEARCH_MATCHES).default(0),
      }),
      response: {
        200: z.object({
          auditSeq: z.int().describe('number of this search in the audit'),
          results: z.array(
            z.object({
              kind: z.enum(['exact', 'near', 'pattern']),
              sighting: sightingSchema,
              receivedAtMs: timeMsSchema,
              seenAtMs: timeMsSchema.describe('captured, or received when the camera’s clock cannot be trusted'),
              clockTrusted: z.boolean(),
              pictureVoucher: z.string().nullable().describe('for the evidence picture; null: there is none'),
            }),
          ),
          total: z.int(),
          truncated: z.boolean(),
        }),
      },
    },
    handler: (request) => search.run(request.body, door.actor(request)),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/sightings/:sightingId/crop',
    onRequest: door.guard('sightings.view'),
    schema: {
      summary: 'The evidence picture of a sighting that a search found (image/jpeg)',
      params: z.object({ sightingId: z.uuidv7() }),
      querystring: z.strictObject({
        search: z.coerce.number().int().min(1).describe('audit number of the search that found it'),
        voucher: z.string().max(128).describe('the result’s pictureVoucher; good for the session that searched'),
        camera: slugSchema.describe('the sighting’s camera'),
      }),
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

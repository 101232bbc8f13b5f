/**
 * Routes of evidence holds. Who may list them sees that they are there; what they keep, which is what a search would have found, is
 * seen by those who may make them, and each look is audited. A selection by plate finds what it keeps, and so needs the right to search.
 */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { normalisePlate } from '../../shared/plate.ts'
import { ALERT_OUTCOMES, ALERT_STATES, alertSchema, sightingSchema, timeMsSchema } from '../../shared/wire/index.ts'
import { withoutPlates } from '../audit/plates.ts'
import { MAX_HOLD_PAGE } from '../holds/content.ts'
import { MAX_NAMED } from '../holds/selecting.ts'
import { type HoldSelection, MAX_BASIS_CHARACTERS, MAX_CASE_CHARACTERS, type Selected } from '../holds.ts'
import type { CloudParts } from '../parts.ts'
import { may, requirePermission } from '../permissions.ts'
import { MAX_PURPOSE_CHARACTERS, MAX_SEARCH_CAMERAS } from '../search/request.ts'
import { refusalOf, scopeOf } from '../search/rules.ts'
import type { Door, TypedApi } from './door.ts'

const params = z.object({ holdId: z.uuidv7() })
const caseNumber = z.string().trim().min(1).max(MAX_CASE_CHARACTERS)
const named = z.array(z.uuidv7()).min(1).max(MAX_NAMED)

const holdSchema = z.object({
  holdId: z.uuidv7(),
  caseNumber: z.string(),
  basis: z.string().describe('plates that it is about stand in it as digests'),
  madeAtMs: timeMsSchema,
  madeBy: slugSchema,
  untilMs: timeMsSchema,
  extendedAtMs: timeMsSchema.nullable(),
  extendedBy: slugSchema.nullable(),
  selection: z.record(z.string(), z.unknown()).describe('what was asked for, a plate as its keyed digest'),
  sightings: z.int(),
  alerts: z.int(),
})

const selectionSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('sightings'), sightingIds: named }),
  z.strictObject({
    kind: z.literal('plate'),
    plate: z.string().max(32),
    fromMs: timeMsSchema.describe('seen from this time on'),
    toMs: timeMsSchema.describe('seen before this time'),
    cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]),
    near: z.boolean().default(false).describe('reads that reading may have confused with the plate, too'),
    purpose: z.string().max(MAX_PURPOSE_CHARACTERS).nullable().default(null).describe('as of a search'),
    offenceType: z.string().max(MAX_PURPOSE_CHARACTERS).default('').describe('as of a search'),
  }),
  z.strictObject({ kind: z.literal('alerts'), alertIds: named }),
])

export function registerHolds(app: TypedApi, parts: CloudParts, door: Door): void {
  const { holds, audit, policy, clock } = parts
  const subject = (holdId: string) => ({ kind: 'hold', id: holdId })
  const writes = door.guard('holds.write')

  app.route({
    method: 'GET',
    url: '/api/v1/holds',
    onRequest: door.guard('holds.read'),
    schema: {
      summary: 'Evidence holds in force, newest first, without what they keep',
      querystring: z.strictObject({ case: caseNumber.optional() }),
      response: { 200: z.object({ holds: z.array(holdSchema) }) },
    },
    async handler(request) {
      const listed = await holds.list(request.query.case ?? null)
      await door.audit(request, {
        operation: 'hold.listed',
        caseNumber: request.query.case ?? null,
        results: listed.length,
      })
      return { holds: listed }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/holds',
    onRequest: writes,
    schema: {
      summary: 'Keeps these sightings or alerts beyond their retention, for a case; nothing that arrives later',
      body: z.strictObject({
        caseNumber,
        basis: z.string().max(MAX_BASIS_CHARACTERS).describe('legal basis: an order, a request, a section'),
        untilMs: timeMsSchema,
        selection: selectionSchema,
      }),
      response: { 201: holdSchema },
    },
    async handler(request, reply) {
      const { body } = request
      const { account, groups, roles } = door.session(request)
      const selection: HoldSelection = body.selection.kind === 'alerts' ? { ...body.selection, groups } : body.selection
      const record = (text: (typed: string) => string) => ({
        operation: 'hold.add',
        caseNumber: text(body.caseNumber),
        reason: text(body.basis),
        offenceType: selection.kind === 'plate' ? text(selection.offenceType ?? '') || null : null,
        query: selection.kind === 'plate' ? queryOf(selection, audit.plateDigest) : null,
        detail: { until: new Date(body.untilMs).toISOString(), kind: selection.kind },
      })
      const asked = selection.kind === 'plate' ? [selection.plate] : []
      const refused = (rule: string) =>
        audit.append({
          ...record((typed) => withoutPlates(typed, asked, audit.plateDigest)),
          ...{ outcome: 'refused', rule, actor: door.actor(request) },
        })
      if (selection.kind === 'plate' && !may(roles, 'search.run')) {
        await refused('search.run')
        requirePermission(roles, 'search.run')
      }
      if (selection.kind === 'plate') {
        // It finds what a search would: the same rules go before it.
        const { caseNumber, basis: reason } = body
        const refusal = refusalOf(
          { ...selection, offenceType: selection.offenceType ?? '', caseNumber, reason, limit: 1, offset: 0 },
          { policy: policy.current(), scope: scopeOf(roles, policy.current()), nowMs: clock.nowMs() },
        )
        if (refusal !== null) {
          await refused(refusal.rule)
          throw new AppError('bad_input', refusal.message, { hint: refusal.hint })
        }
      }
      let selected: Selected
      try {
        // Looks before it is written down, and tells nothing: the texts may hold plates that only what is found can name.
        selected = await holds.select(selection)
      } catch (thrown) {
        await refused(thrown instanceof AppError ? thrown.code : 'internal')
        throw thrown
      }
      const told = { ...record(selected.withoutPlates), results: selected.sightings.length + selected.alertIds.length }
      const made = await door.audited(request, told, () => holds.add({ ...body, selected, by: account }))
      return reply.code(201).send(made)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/holds/:holdId',
    onRequest: writes,
    schema: {
      summary: 'A hold with the sightings and alerts that it keeps, past their own retention too',
      params,
      querystring: z.strictObject({
        offset: z.coerce.number().int().min(0).default(0),
        limit: z.coerce.number().int().min(1).max(MAX_HOLD_PAGE).default(50).describe('sightings of one page'),
      }),
      response: {
        200: z.object({
          hold: holdSchema,
          sightings: z.array(
            z.object({
              sighting: sightingSchema,
              receivedAtMs: timeMsSchema,
              seenAtMs: timeMsSchema,
              clockTrusted: z.boolean(),
              matched: z.boolean(),
              hasPicture: z.boolean(),
            }),
          ),
          alerts: z.array(
            z.object({
              alert: alertSchema
                .pick({ alertId: true, raisedAtMs: true, match: true, sighting: true })
                .extend({ state: z.enum(ALERT_STATES), outcome: z.enum(ALERT_OUTCOMES).nullable() }),
              steps: z.array(
                z.object({
                  revision: z.int(),
                  step: z.string(),
                  account: z.string(),
                  atMs: timeMsSchema,
                  auditSeq: z.int(),
                }),
              ),
            }),
          ),
        }),
      },
    },
    async handler(request) {
      const { holdId } = request.params
      const hold = await holds.get(holdId)
      await door.audit(request, {
        operation: 'hold.viewed',
        subject: subject(holdId),
        caseNumber: hold.caseNumber,
        detail: { ...request.query },
      })
      return { hold, sightings: await holds.sightings(holdId, request.query), alerts: await holds.alerts(holdId) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/holds/:holdId/sightings/:cameraId/:sightingId/crop',
    onRequest: writes,
    schema: {
      summary: 'The evidence picture of a held sighting (image/jpeg)',
      params: params.extend({ cameraId: slugSchema, sightingId: z.uuidv7() }),
      produces: ['image/jpeg'],
    },
    async handler(request, reply) {
      const { holdId, cameraId, sightingId } = request.params
      const hold = await holds.get(holdId)
      const crop = await holds.crop(holdId, cameraId, sightingId)
      if (crop === null) throw new AppError('not_found', 'the hold keeps no such picture')
      await door.audit(request, {
        operation: 'hold.crop_viewed',
        subject: subject(holdId),
        caseNumber: hold.caseNumber,
        detail: { sightingId, sha256: crop.sha256 },
      })
      return reply.type('image/jpeg').send(crop.jpeg)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/holds/:holdId/extend',
    onRequest: writes,
    schema: {
      summary: 'Another end of a hold that is in force',
      params,
      body: z.strictObject({ untilMs: timeMsSchema }),
      response: { 200: holdSchema },
    },
    handler(request) {
      const { holdId } = request.params
      const { untilMs } = request.body
      const detail = { until: new Date(untilMs).toISOString() }
      return door.audited(request, { operation: 'hold.extend', subject: subject(holdId), detail }, () =>
        holds.extend(holdId, untilMs, door.session(request).account),
      )
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/holds/:holdId/release',
    onRequest: writes,
    schema: {
      summary: 'Ends a hold now: what is past its own retention is deleted with the next purge',
      params,
      response: { 200: holdSchema },
    },
    handler(request) {
      const { holdId } = request.params
      return door.audited(request, { operation: 'hold.release', subject: subject(holdId) }, () => holds.release(holdId))
    },
  })
}

function queryOf(selection: HoldSelection & { kind: 'plate' }, plateDigest: (plate: string) => string) {
  const { plate, fromMs, toMs, cameras } = selection
  const purpose = slugSchema.safeParse(selection.purpose)
  return {
    plateDigest: plateDigest(normalised(plate)),
    plateKind: 'exact' as const,
    ...{ fromMs, toMs, cameras: [...cameras], limit: null },
    ...(purpose.success ? { purpose: purpose.data } : {}),
  }
}

/** What is no plate is written down as a digest all the same. */
const normalised = (plate: string) => normalisePlate(plate) ?? plate

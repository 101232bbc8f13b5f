/** Routes of alerts: people see those of their groups, and take them step by step to their outcome. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  ALERT_OUTCOMES,
  ALERT_STATES,
  alertSchema,
  alertStepSchema,
  plateSchema,
  timeMsSchema,
} from '../../shared/wire/index.ts'
import { MAX_ALERT_PAGE } from '../alerts.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'

const alertParams = z.object({ alertId: z.uuidv7() })

export function registerAlerts(app: TypedApi, parts: CloudParts, door: Door): void {
  const { alerts, hotlists, sightings, suppressions, clock } = parts

  /** Lists whose alerts go to a group of the person's. */
  async function ownLists(request: Parameters<Door['session']>[0]): Promise<Set<string>> {
    const own = door.session(request).groups
    const lists = (await hotlists.status()).filter(({ groups }) => groups.some((group) => own.includes(group)))
    return new Set(lists.map(({ list }) => list))
  }

  app.route({
    method: 'GET',
    url: '/api/v1/alerts',
    onRequest: door.guard('alerts.read'),
    schema: {
      summary: 'Alerts of my groups, newest first',
      querystring: z.strictObject({
        state: z.enum(['open', ...ALERT_STATES]).optional(),
        before: z.coerce.number().int().optional().describe('raised before this time, milliseconds'),
        limit: z.coerce.number().int().min(1).max(MAX_ALERT_PAGE).default(50),
      }),
      response: { 200: z.object({ alerts: z.array(alertSchema) }) },
    },
    async handler(request) {
      const { state, before, limit } = request.query
      const { groups } = door.session(request)
      const listed = await alerts.list({ groups, state: state ?? null, beforeMs: before ?? null, limit })
      // Each alert shows a listed plate: who has looked at which is written down before it is shown.
      await door.audit(request, {
        operation: 'alert.listed',
        results: listed.length,
        detail: { state: state ?? 'any', before: before ?? null },
      })
      return { alerts: listed }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/alerts/:alertId',
    onRequest: door.guard('alerts.read'),
    schema: {
      summary: 'One alert, the steps taken, and what the list says of the plate',
      params: alertParams,
      response: {
        200: z.object({
          alert: alertSchema,
          steps: z.array(
            z.object({
              revision: z.int(),
              step: z.string(),
              account: z.string(),
              atMs: timeMsSchema,
              auditSeq: z.int(),
              outcome: z.enum(ALERT_OUTCOMES).nullable().describe('of a closing'),
              correctPlate: plateSchema
                .nullable()
                .describe('of a misread: what the plate says; null: it cannot be read'),
            }),
          ),
          source: z
            .object({ reason: z.string().nullable(), caseNumber: z.string().nullable() })
            .nullable()
            .describe('null: the entry is no longer on a kept version of the list'),
        }),
      },
    },
    async handler(request) {
      const { alertId } = request.params
      const { alert, steps } = await alerts.get(alertId, door.session(request).groups)
      await door.audit(request, { operation: 'alert.viewed', subject: { kind: 'alert', id: alertId } })
      const source = await hotlists.source(alert.match.list, alert.match.entryId)
      return { alert, steps, source }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/alerts/:alertId/steps',
    onRequest: door.guard('alerts.verify'),
    schema: {
      summary: 'Takes the alert one step on, or closes it',
      params: alertParams,
      body: alertStepSchema,
      response: { 200: alertSchema },
    },
    handler(request) {
      const { account, groups } = door.session(request)
      // Writes its own audit entry, before the step, with what the step says.
      return alerts.step(request.params.alertId, request.body, { actor: door.actor(request), account, groups })
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/suppressions',
    onRequest: door.guard('alerts.read'),
    schema: {
      summary: 'Entries of my groups’ lists that were cleared and raise no alert until their time is over',
      response: {
        200: z.object({
          suppressions: z.array(
            z.object({
              list: slugSchema,
              entryId: z.uuidv7(),
              untilMs: timeMsSchema,
              madeAtMs: timeMsSchema,
              madeBy: slugSchema,
              alertId: z.uuidv7(),
            }),
          ),
        }),
      },
    },
    async handler(request) {
      const own = await ownLists(request)
      return { suppressions: suppressions.list().filter(({ list }) => own.has(list)) }
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/suppressions/:list/:entryId',
    onRequest: door.guard('alerts.verify'),
    schema: {
      summary: 'A cleared entry raises alerts again',
      params: z.object({ list: slugSchema, entryId: z.uuidv7() }),
      response: { 200: z.object({ list: slugSchema, entryId: z.uuidv7() }) },
    },
    async handler(request) {
      const { list, entryId } = request.params
      const record = { operation: 'suppression.lift', subject: { kind: 'entry', id: entryId }, detail: { list } }
      await door.audited(request, record, async () => {
        if (!(await ownLists(request)).has(list)) {
          throw new AppError('not_found', 'there is no such entry for your groups')
        }
        await suppressions.lift(list, entryId)
      })
      return { list, entryId }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/alerts/:alertId/crop',
    onRequest: door.guard('alerts.read'),
    schema: { summary: 'The evidence picture (image/jpeg)', params: alertParams, produces: ['image/jpeg'] },
    async handler(request, reply) {
      const { alertId } = request.params
      const { alert } = await alerts.get(alertId, door.session(request).groups)
      const { cameraId, sightingId } = alert.sighting
      const crop = await sightings.crop(cameraId, sightingId, clock.nowMs())
      if (crop === null) throw new AppError('not_found', 'the picture has not arrived or is past its retention')
      await door.audit(request, {
        operation: 'alert.crop_viewed',
        subject: { kind: 'alert', id: alertId },
        detail: { sha256: crop.sha256 },
      })
      return reply.type('image/jpeg').send(crop.jpeg)
    },
  })
}

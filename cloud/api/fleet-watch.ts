/** Routes of the watch over the cameras: how they are, what they were, and what is wrong. */
import { z } from 'zod'
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  deviceSchema,
  fleetAlarmSchema,
  MAX_ALARM_NOTE,
  settingsInForceSchema,
  timeMsSchema,
} from '../../shared/wire/index.ts'
import { ROTATION_STEPS } from '../authority/rotation.ts'
import { authorityWarnings } from '../authority/watch.ts'
import { MAX_ALARM_PAGE } from '../fleet/alarms.ts'
import { METRIC_UNITS, METRICS } from '../fleet/metrics.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'

/** Longest past that one question may be about: hours of so many days are 2,400 lines. */
export const MAX_HISTORY_DAYS = 100

const figuresSchema = z
  .strictObject(
    Object.fromEntries(METRICS.map((metric) => [metric, z.number().optional().describe(METRIC_UNITS[metric])])),
  )
  .describe('what the camera did not say is absent')

const spreadsSchema = z
  .strictObject(Object.fromEntries(METRICS.map((metric) => [metric, z.array(z.number()).length(4).optional()])))
  .describe('least, mean, most, and of how many reports')

const fleetCameraSchema = z.object({
  camera: slugSchema,
  state: z.enum(['ok', 'alarm', 'serviced', 'new']).describe('new: never heard of'),
  online: z.boolean(),
  lastHeardAtMs: timeMsSchema.nullable(),
  figures: figuresSchema,
  vehiclesThisHour: z.int(),
  vehiclesLastHour: z.int(),
  versions: deviceSchema.shape.versions.unwrap().nullable(),
  throttle: deviceSchema.shape.throttle.unwrap().nullable(),
  dataEncrypted: z
    .boolean()
    .nullable()
    .describe('the data partition is sealed to the unit’s key store; null: it does not say'),
  hotlists: z.array(z.object({ list: slugSchema, version: z.int(), stale: z.boolean() })),
  settings: settingsInForceSchema.nullable().describe('by which it says that it works; null: it does not say'),
  settingsMeant: z.int().nullable().describe('the roll-out whose settings it is meant to work by; null: none'),
  maintenance: z.object({ untilMs: timeMsSchema, by: slugSchema, note: z.string() }).nullable(),
  alarms: z.array(fleetAlarmSchema),
})

const authorityStateSchema = z.object({
  expiresAtMs: timeMsSchema,
  alarmDays: z
    .int()
    .nullable()
    .describe('the authority that signs certificates ends within so many days; 0: it has ended'),
  rotation: z
    .object({
      step: z.enum(ROTATION_STEPS),
      sinceMs: timeMsSchema,
      takenUp: z.boolean().describe('false: the cloud is to be started again'),
      behind: z.int().describe('cameras that have not followed'),
      stalled: z.boolean(),
    })
    .nullable()
    .describe('to the next authority, while it is under way'),
  warnings: z.array(z.string()).describe('for people'),
})

const note = z.string().trim().min(1).max(MAX_ALARM_NOTE)
const timeQuery = z.coerce.number().pipe(timeMsSchema)

export function registerFleetWatch(app: TypedApi, parts: CloudParts, door: Door): void {
  const { fleet, rollOuts, clock } = parts
  const subject = (camera: string) => ({ kind: 'camera', id: camera })
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account

  app.route({
    method: 'GET',
    url: '/api/v1/fleet',
    onRequest: door.guard('cameras.read'),
    schema: {
      summary: 'How each camera is, with its open alarms, and how the authority stands that signs their certificates',
      response: {
        200: z.object({
          nowMs: timeMsSchema,
          cameras: z.array(fleetCameraSchema),
          authority: authorityStateSchema,
        }),
      },
    },
    async handler() {
      const authority = await parts.authorityWatch.state()
      const [cameras, meant] = [await fleet.cameras(), await rollOuts.meant()]
      return {
        nowMs: clock.nowMs(),
        cameras: cameras.map((one) => ({ ...one, settingsMeant: meant.get(one.camera) ?? null })),
        authority: { ...authority, warnings: authorityWarnings(authority) },
      }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/cameras/:camera/history',
    onRequest: door.guard('cameras.read'),
    schema: {
      summary: 'What a camera said of itself: single reports as long as they are kept, and hours of them',
      params: z.object({ camera: slugSchema }),
      querystring: z.strictObject({
        fromMs: timeQuery.optional().describe('default: a day before the end'),
        toMs: timeQuery.optional().describe('default: now'),
      }),
      response: {
        200: z.object({
          camera: slugSchema,
          fromMs: timeMsSchema,
          toMs: timeMsSchema,
          reports: z.array(z.object({ atMs: timeMsSchema, figures: figuresSchema })),
          hours: z.array(
            z.object({
              hour: z.int().describe('since 1970-01-01T00:00Z'),
              vehicles: z.int(),
              coveredMs: z.int().describe('of the hour, that reports tell of'),
              spreads: spreadsSchema,
            }),
          ),
        }),
      },
    },
    async handler(request) {
      const { camera } = request.params
      const toMs = request.query.toMs ?? clock.nowMs()
      const fromMs = request.query.fromMs ?? toMs - DAY_MS
      if (fromMs >= toMs || toMs - fromMs > MAX_HISTORY_DAYS * DAY_MS) {
        throw new AppError('bad_input', `the time must be one of at most ${MAX_HISTORY_DAYS} days`)
      }
      return { camera, fromMs, toMs, ...(await fleet.history(camera, fromMs, toMs)) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/camera-alarms',
    onRequest: door.guard('cameras.read'),
    schema: {
      summary: 'Alarms about cameras, newest first',
      querystring: z.strictObject({
        open: z.enum(['true', 'false']).default('true').describe('only those that are not over'),
        camera: slugSchema.optional(),
        limit: z.coerce.number().pipe(z.int().min(1).max(MAX_ALARM_PAGE)).default(100),
      }),
      response: { 200: z.object({ alarms: z.array(fleetAlarmSchema) }) },
    },
    async handler(request) {
      const { open, camera = null, limit } = request.query
      return { alarms: await fleet.alarms({ open: open === 'true', camera, limit }) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/camera-alarms/:alarmId/acknowledge',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'Somebody has seen the alarm; it ends by itself when it is over',
      params: z.object({ alarmId: z.uuidv7() }),
      body: z.strictObject({ note }),
      response: { 200: fleetAlarmSchema },
    },
    async handler(request) {
      const { alarmId } = request.params
      const { cameraId, kind } = await fleet.findAlarm(alarmId)
      const record = {
        ...{ operation: 'camera.alarm_acknowledged', subject: subject(cameraId), detail: { alarm: kind } },
        reason: request.body.note,
      }
      return door.audited(request, record, () => fleet.acknowledge(alarmId, request.body.note, by(request)))
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/cameras/:camera/maintenance',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'Until then no alarm is raised about the camera',
      params: z.object({ camera: slugSchema }),
      body: z.strictObject({ untilMs: timeMsSchema.nullable().describe('null: it is over'), note }),
      response: { 204: z.null() },
    },
    async handler(request, reply) {
      const { camera } = request.params
      const { untilMs } = request.body
      const record = {
        ...{ operation: 'camera.maintenance', subject: subject(camera), reason: request.body.note },
        detail: { untilMs },
      }
      await door.audited(request, record, () => fleet.setMaintenance(camera, untilMs, request.body.note, by(request)))
      return reply.code(204).send(null)
    },
  })
}

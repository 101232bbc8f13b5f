/** Alarms of the fleet: something is wrong with a camera. Published whole at every change, to people and to other programs. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { timeMsSchema } from './sighting.ts'

export const ALARM_KINDS = [
  'quiet',
  'reads_low',
  'dark',
  'covered',
  'blurred',
  'moved',
  'hot',
  'throttled',
  'under_voltage',
  'disk',
  'clock',
  'outbox_age',
  'rejected',
  'not_reading',
  'dropping',
  'source_down',
  'claim_misused',
] as const
export type AlarmKind = (typeof ALARM_KINDS)[number]

/** Longest note of a person, characters. */
export const MAX_ALARM_NOTE = 300

export const fleetAlarmSchema = z.strictObject({
  alarmId: z.uuidv7(),
  agency: slugSchema,
  cameraId: slugSchema,
  kind: z.enum(ALARM_KINDS),
  revision: z.int().min(0).describe('counts up with every change'),
  raisedAtMs: timeMsSchema,
  clearedAtMs: timeMsSchema.nullable().describe('null: it is so still'),
  detail: z
    .record(z.string().max(32), z.union([z.number(), z.string().max(64), z.boolean()]))
    .describe('figures that it was raised by'),
  acknowledged: z
    .strictObject({ atMs: timeMsSchema, by: slugSchema, note: z.string().max(MAX_ALARM_NOTE) })
    .nullable()
    .describe('by a person who has seen it; it stays open until it is over'),
})
export type FleetAlarm = z.infer<typeof fleetAlarmSchema>

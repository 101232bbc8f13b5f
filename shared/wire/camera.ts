/** What a camera says of itself: retained status (with a Will) and periodic health. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { deviceSchema, pictureSchema, rateSchema } from './heartbeat.ts'
import { settingsInForceSchema } from './roll-out.ts'
import { timeMsSchema } from './sighting.ts'

/** Retained at `status`. The Will is the same document with `online: false`, so birth and death pair by `sessionId`. */
export const cameraStatusSchema = z.strictObject({
  cameraId: slugSchema,
  online: z.boolean(),
  sessionId: z.uuidv7(),
  sinceMs: timeMsSchema,
  software: z.string().max(64),
})
export type CameraStatus = z.infer<typeof cameraStatusSchema>

const counter = z.int().min(0)

/**
 * Counters run from the start of the camera process; those of the outbox (`lost`, its part of `withheld`, `evicted`, `expired`) begin with
 * what no process before it had reported. Whoever adds up the last report of each process counts nothing twice. A member that a newer camera has and this cloud does not know is left out: the
 * rest counts.
 */
export const cameraHealthSchema = z.object({
  cameraId: slugSchema,
  sessionId: z.uuidv7(),
  atMs: timeMsSchema,
  uptimeMs: counter,
  clock: z.enum(['synced', 'unsynced']),
  frames: z.strictObject({
    read: counter,
    still: counter.default(0),
    dropped: counter,
    rejected: counter,
    failed: counter,
  }),
  source: z
    .strictObject({
      state: z.enum(['opening', 'delivering', 'lost']),
      reconnects: counter.describe('times that it gave frames again after a fault'),
      stalls: counter.describe(
        'times that it did not open in time, or gave no whole frame for too long, and was ended',
      ),
      frameAgeMs: counter.nullable().describe('since the last whole frame; null: there has been none'),
      errorCode: z.string().max(32).nullable().describe('of the newest fault, also when that is over'),
    })
    .optional()
    .describe('what a live camera does; absent where pictures are replayed'),
  rate: rateSchema.optional(),
  picture: pictureSchema.optional().describe('of the newest look; absent: no frame was read lately'),
  device: deviceSchema.optional(),
  settings: settingsInForceSchema.optional().describe('older cameras do not say'),
  vision: z.strictObject({ restarts: counter }),
  sightings: z.strictObject({
    made: counter,
    matched: counter,
    withheld: counter.describe('vehicles not stored for sending or not sent, by policy'),
    lost: counter.describe('vehicles of which nothing could be committed: disk full, or database busy'),
  }),
  outbox: z.strictObject({
    rows: counter,
    bytes: counter,
    oldestAgeMs: counter,
    evicted: z.strictObject({ crops: counter, sightings: counter }).describe('rows'),
    expired: counter.describe('rows past their retention, pictures among them'),
  }),
  memory: z
    .strictObject({
      held: counter.default(0),
      bytes: counter.default(0),
      expired: counter.default(0).describe('gone unmatched at the end of their time'),
      dropped: counter.default(0).describe('gone before, because there was no room'),
      matchedLate: counter.default(0).describe('met by a list that changed while they were held'),
    })
    .prefault({})
    .describe('sightings without a match that may touch no disk, by policy'),
  hotlists: z
    .array(
      z.strictObject({
        list: slugSchema,
        version: counter,
        entries: counter,
        ageMs: counter,
        stale: z.boolean(),
        keyed: z
          .boolean()
          .default(true)
          .describe('false: the camera waits for the key and matches nothing of this list'),
        failedDeltas: counter
          .default(0)
          .describe('deltas that did not come or did not fit, for each of which the snapshot was fetched'),
      }),
    )
    .max(64),
})
export type CameraHealth = z.infer<typeof cameraHealthSchema>

/** A vehicle's plate as one camera saw it: what several reads of one passing vehicle vote for. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { PLATE_PATTERN } from '../plate.ts'

/** Largest sighting on the wire, bytes; candidates are bounded so that a real one stays under 4 KiB. */
export const MAX_SIGHTING_BYTES = 16 * 1024
/** Largest evidence crop, bytes of JPEG. */
export const MAX_CROP_BYTES = 64 * 1024
export const MAX_CANDIDATES = 16
/** Longest side of a picture that a region may lie in, px. */
export const MAX_PICTURE_SIDE_PX = 20_000
/** Frames that one sighting may be voted from. */
export const MAX_FRAMES_PER_SIGHTING = 10_000
/** 2020-01-01T00:00:00Z: nothing was captured before the project existed. */
export const EARLIEST_TIME_MS = 1_577_836_800_000
/** 2100-01-01T00:00:00Z: keeps times well inside what a 53-bit integer and SQLite hold. */
export const LATEST_TIME_MS = 4_102_444_800_000

export const plateSchema = z.string().regex(PLATE_PATTERN, 'must be 2-12 of A-Z and 0-9')
export const timeMsSchema = z.int().min(EARLIEST_TIME_MS).max(LATEST_TIME_MS).describe('milliseconds since 1970 UTC')
export const confidenceSchema = z.number().min(0).max(1)
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
export const jurisdictionSchema = z.string().regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, 'must be like US-CA or RO')

/** In original pixels, floats, from the top left. */
export const regionSchema = z.strictObject({
  x: z.number().min(-MAX_PICTURE_SIDE_PX).max(MAX_PICTURE_SIDE_PX),
  y: z.number().min(-MAX_PICTURE_SIDE_PX).max(MAX_PICTURE_SIDE_PX),
  width: z.number().gt(0).max(MAX_PICTURE_SIDE_PX),
  height: z.number().gt(0).max(MAX_PICTURE_SIDE_PX),
})
export type Region = z.infer<typeof regionSchema>

export const candidateSchema = z.strictObject({ plate: plateSchema, confidence: confidenceSchema })
export type Candidate = z.infer<typeof candidateSchema>

/** What the camera found in its own copy of the list; only the cloud raises alerts. */
export const hotlistMatchSchema = z.strictObject({
  list: slugSchema,
  listVersion: z.int().min(1),
  entryId: z.uuidv7(),
  kind: z.enum(['exact', 'near']),
  score: confidenceSchema
    .optional()
    .describe('of a near match: how likely the reader thought the listed text, 0 if it did not'),
})
export type HotlistMatch = z.infer<typeof hotlistMatchSchema>

/** What of the vehicle is recorded beside its plate: nothing of people. */
export const vehicleSchema = z.strictObject({
  colour: z.enum([
    'white',
    'silver',
    'grey',
    'black',
    'red',
    'orange',
    'brown',
    'yellow',
    'beige',
    'green',
    'blue',
    'purple',
  ]),
  confidence: confidenceSchema,
})
export type Vehicle = z.infer<typeof vehicleSchema>

export const sightingSchema = z.strictObject({
  sightingId: z.uuidv7(),
  revision: z.int().min(0).max(1).describe('0 preview, 1 final'),
  cameraId: slugSchema,
  capturedAtMs: timeMsSchema,
  clock: z.enum(['synced', 'unsynced']),
  plate: plateSchema.nullable().describe('null: a vehicle whose plate cannot be read'),
  confidence: confidenceSchema,
  candidates: z.array(candidateSchema).max(MAX_CANDIDATES),
  jurisdiction: z.strictObject({ code: jurisdictionSchema, confidence: confidenceSchema }).nullable(),
  region: regionSchema,
  vehicle: vehicleSchema.nullable().optional().describe('colour of the body around the plate; null where not clear'),
  frames: z.int().min(1).max(MAX_FRAMES_PER_SIGHTING).describe('frames that voted'),
  match: hotlistMatchSchema.nullable(),
  crop: z.strictObject({ sha256: sha256Schema, bytes: z.int().min(1).max(MAX_CROP_BYTES) }).nullable(),
  versions: z.strictObject({
    software: z.string().max(64),
    detector: z.string().max(64),
    reader: z.string().max(64),
  }),
})
export type Sighting = z.infer<typeof sightingSchema>

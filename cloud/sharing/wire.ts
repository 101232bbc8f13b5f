/**
 * What two clouds say to each other, version 1: bounds and schemas. Both ends check with the same ones, since neither
 * believes the other. Used by listener.ts and answering.ts on one side, by link.ts and asking.ts on the other.
 */
import { z } from 'zod'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  confidenceSchema,
  jurisdictionSchema,
  MAX_CROP_BYTES,
  plateSchema,
  timeMsSchema,
  vehicleSchema,
} from '../../shared/wire/index.ts'
import { MAX_PURPOSE_CHARACTERS, MAX_REASON_CHARACTERS, MAX_SEARCH_CAMERAS } from '../search/request.ts'

export const PATHS = {
  search: '/federation/v1/search',
  crop: '/federation/v1/crop',
  grants: '/federation/v1/grants',
  searches: '/federation/v1/searches',
} as const

/** A search over 64 cameras with the longest reason stays below 6 KiB. */
export const MAX_REQUEST_BYTES = 16 * 1024
/** MAX_SHARED_RESULTS of at most 700 bytes, or a page of the record. */
export const MAX_ANSWER_BYTES = 256 * 1024
/** Of a picture in base64, with what is around it. */
export const MAX_CROP_ANSWER_BYTES = Math.ceil((MAX_CROP_BYTES * 4) / 3) + 1_024
/** Results of one answer. There are no pages: who needs more narrows the search, and that is one more entry on both sides. */
export const MAX_SHARED_RESULTS = 200
/** A request that was sent longer ago, or is ahead by more, is refused; within it its id is known for sure. */
export const REPLAY_WINDOW_MS = 5 * MINUTE_MS
/** Rows of the record in one answer. */
export const MAX_RECORD_PAGE = 500
/** Grants of one partner that wait or are in force. */
export const MAX_GRANTS_PER_PARTNER = 32
const MAX_PLATE_CHARACTERS = 32
const MAX_ROLES = 16

export interface SharingLimits {
  /** A partner's whole answer, from the name look-up to its last byte, milliseconds. */
  timeoutMs: number
  /** Requests of one partner that are looked at in a minute. */
  requestsPerMinute: number
  /** Requests of one partner that are worked on at once. */
  concurrent: number
}

export const SHARING_LIMITS: SharingLimits = { timeoutMs: 10 * SECOND_MS, requestsPerMinute: 60, concurrent: 4 }

const seqSchema = z.int().min(1)
/** What a partner says of itself is shown on terminals and pages. */
const plainText = z
  .string()
  .max(300)
  .regex(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*$/u)
const rule = z.string().regex(/^[a-z_]{1,64}$/)

export const personSchema = z.strictObject({
  account: slugSchema,
  roles: z.array(slugSchema).max(MAX_ROLES),
  organisation: slugSchema.describe('as in the certificate'),
})

export const searchRequestSchema = z.strictObject({
  requestId: z.uuidv7().describe('new for each request; one that was seen is refused'),
  sentAtMs: timeMsSchema,
  auditSeq: seqSchema.describe('of the entry in which the asking cloud wrote this request down'),
  person: personSchema.describe('who asks'),
  purpose: slugSchema,
  caseNumber: z.string().max(MAX_PURPOSE_CHARACTERS),
  offenceType: z.string().max(MAX_PURPOSE_CHARACTERS),
  reason: z.string().max(MAX_REASON_CHARACTERS),
  plate: z.string().max(MAX_PLATE_CHARACTERS).describe('a plate, or a pattern with * and ?'),
  fromMs: timeMsSchema.nullable(),
  toMs: timeMsSchema.nullable(),
  cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).describe('of the partner; empty: all that the grant names'),
  limit: z.int().min(1).max(MAX_SHARED_RESULTS),
})
export type SharedSearchRequest = z.infer<typeof searchRequestSchema>

/** A read as a partner sees it: neither the lists that it met nor what the reader thought besides. */
export const sharedResultSchema = z.strictObject({
  kind: z.enum(['exact', 'near', 'pattern']),
  sightingId: z.uuidv7(),
  cameraId: slugSchema,
  seenAtMs: timeMsSchema,
  clockTrusted: z.boolean(),
  plate: plateSchema,
  confidence: confidenceSchema,
  jurisdiction: z.strictObject({ code: jurisdictionSchema, confidence: confidenceSchema }).nullable(),
  vehicle: vehicleSchema.nullable(),
  pictureVoucher: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .describe('shows the picture; null: there is none, or the grant gives none'),
})
export type SharedResult = z.infer<typeof sharedResultSchema>

export const searchAnswerSchema = z.strictObject({
  auditSeq: seqSchema.describe('of the entry in which the answering cloud wrote this search down'),
  grantId: z.uuidv7(),
  results: z.array(sharedResultSchema),
  total: z.int().min(0),
  truncated: z.boolean(),
})
export type SharedSearchAnswer = z.infer<typeof searchAnswerSchema>

/** The same as it comes from outside: each result is looked at alone, so that one bad one costs nothing but itself. */
export const foreignAnswerSchema = searchAnswerSchema.extend({
  results: z.array(z.unknown()).max(MAX_SHARED_RESULTS),
})

export const refusalSchema = z.strictObject({
  refused: z.strictObject({ auditSeq: seqSchema, rule, message: plainText }),
})
export type Refusal = z.infer<typeof refusalSchema>['refused']

export const cropRequestSchema = z.strictObject({
  person: personSchema,
  auditSeq: seqSchema.describe('of the search that found it, at the answering cloud'),
  grantId: z.uuidv7(),
  cameraId: slugSchema,
  sightingId: z.uuidv7(),
  voucher: z.string().regex(/^[0-9a-f]{64}$/),
})
export type CropRequest = z.infer<typeof cropRequestSchema>

export const cropAnswerSchema = z.strictObject({
  auditSeq: seqSchema,
  jpeg: z.base64().max(MAX_CROP_ANSWER_BYTES),
})

/** What a partner may ask: a grant as the one it is for sees it. */
export const givenGrantSchema = z.strictObject({
  grantId: z.uuidv7(),
  purposes: z.array(slugSchema),
  what: z.enum(['sightings', 'matches']),
  cameras: z.array(slugSchema),
  maxAgeDays: z.number(),
  fromMs: timeMsSchema,
  untilMs: timeMsSchema,
  crops: z.boolean(),
  patterns: z.boolean(),
})
export type GivenGrant = z.infer<typeof givenGrantSchema>
export const givenGrantsSchema = z.strictObject({ grants: z.array(givenGrantSchema).max(MAX_GRANTS_PER_PARTNER) })

export const recordRequestSchema = z.strictObject({
  fromMs: timeMsSchema,
  toMs: timeMsSchema,
  /** Rows behind this one. */
  after: z.strictObject({ atMs: timeMsSchema, requestId: z.uuidv7() }).nullable(),
})
export const recordRowSchema = z.strictObject({
  requestId: z.uuidv7(),
  direction: z.enum(['asked', 'answered']).describe('as the sender of this row sees it'),
  ownSeq: seqSchema.nullable(),
  theirSeq: seqSchema.nullable(),
  atMs: timeMsSchema,
  outcome: rule,
  results: z.int().min(0).nullable(),
})
export type RecordRow = z.infer<typeof recordRowSchema>
export const recordAnswerSchema = z.strictObject({ rows: z.array(recordRowSchema).max(MAX_RECORD_PAGE) })

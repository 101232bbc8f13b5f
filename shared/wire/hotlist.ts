/**
 * A hotlist on its way to cameras: a signed manifest and a snapshot in chunks of whole records, and beside it, where it is much shorter,
 * a delta for cameras that have the version before. Plates travel as keyed digests; no plate, name, reason or case number does.
 */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { jurisdictionSchema, sha256Schema, timeMsSchema } from './sighting.ts'

/** Entries of one list. */
export const MAX_LIST_ENTRIES = 1_000_000
/** Most bytes of one snapshot chunk. */
export const SNAPSHOT_CHUNK_BYTES = 128 * 1024
export const MAX_SNAPSHOT_CHUNKS = 4_096
/** Bytes of one entry in a snapshot. */
export const SNAPSHOT_RECORD_BYTES = 52
/** Bytes of one change in a delta: a record and what happens to it. */
export const DELTA_RECORD_BYTES = SNAPSHOT_RECORD_BYTES + 1
/** A delta has at most this share of its snapshot's bytes. A longer one saves little: its changes lie scattered over the camera's table. */
export const MAX_DELTA_SHARE = 0.25
/** Changes of one delta, puts and removals together: the share of the longest list. */
export const MAX_DELTA_ENTRIES = Math.floor(
  (MAX_LIST_ENTRIES * SNAPSHOT_RECORD_BYTES * MAX_DELTA_SHARE) / DELTA_RECORD_BYTES,
)
/** Largest retained or published packet that a camera takes, bytes. */
export const MAX_MANIFEST_BYTES = 8 * 1024

export const matchRuleSchema = z.enum(['exact', 'near'])
export type MatchRule = z.infer<typeof matchRuleSchema>
/** As matchRuleSchema, and `wildcard`: a pattern, which the cloud alone matches, for it has no digest. */
export const listRuleSchema = z.enum(['exact', 'near', 'wildcard'])
export type ListRule = z.infer<typeof listRuleSchema>

/**
 * What leads from one snapshot to the next. Its digest and that of the snapshot it starts from are both signed, so they determine the
 * result as the snapshot's own digest does.
 */
export const deltaSchema = z.strictObject({
  fromVersion: z.int().min(1),
  fromDigest: sha256Schema.describe('digest of the snapshot it starts from, under the same key'),
  chunks: z.int().min(0).max(MAX_SNAPSHOT_CHUNKS).describe('0 where nothing has changed: there is nothing to wait for'),
  bytes: z
    .int()
    .min(0)
    .max(MAX_DELTA_ENTRIES * DELTA_RECORD_BYTES),
  digest: sha256Schema.describe('SHA-256 over the delta: all chunks in order'),
  entries: z.int().min(0).max(MAX_DELTA_ENTRIES).describe('changes: puts and removals'),
})
export type Delta = z.infer<typeof deltaSchema>

/** Signed (envelope, retained at `hotlists/{list}/manifest`). */
export const manifestSchema = z.strictObject({
  agency: slugSchema,
  list: slugSchema,
  version: z.int().min(1),
  minimumVersion: z.int().min(1).describe('older versions must not be applied or kept'),
  entries: z.int().min(0).max(MAX_LIST_ENTRIES),
  chunks: z.int().min(0).max(MAX_SNAPSHOT_CHUNKS).describe('0 for an empty list: there is nothing to wait for'),
  bytes: z
    .int()
    .min(0)
    .max(MAX_LIST_ENTRIES * SNAPSHOT_RECORD_BYTES),
  keyId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .describe('names the key of the digests; a camera asks for it when it has it not'),
  digest: sha256Schema.describe('SHA-256 over the snapshot: all chunks in order'),
  delta: deltaSchema
    .nullable()
    .default(null)
    .describe('null: every camera needs the snapshot; cameras of another version than fromVersion always do'),
  issuedAtMs: timeMsSchema,
  expiresAtMs: timeMsSchema.describe('a camera marks the list stale from here on'),
})
export type Manifest = z.infer<typeof manifestSchema>

/** One record of the snapshot, taken apart (snapshot.ts says how); sorted by digest, then entryId. */
export const snapshotEntrySchema = z.strictObject({
  entryId: z.uuidv7(),
  digest: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .describe('HMAC-SHA256 of the plate under the list key, its first 16 bytes'),
  jurisdiction: jurisdictionSchema.nullable(),
  priority: z.int().min(1).max(5),
  rule: matchRuleSchema,
  effectiveAtMs: timeMsSchema.nullable(),
  expiresAtMs: timeMsSchema.nullable(),
})
export type SnapshotEntry = z.infer<typeof snapshotEntrySchema>

/** Published by a camera at `acks/hotlists/{list}` after it applied or refused a version. */
export const hotlistAckSchema = z.strictObject({
  list: slugSchema,
  version: z.int().min(0),
  digest: sha256Schema.nullable(),
  result: z.enum(['applied', 'refused']),
  reason: z.string().max(200).nullable(),
  atMs: timeMsSchema,
})
export type HotlistAck = z.infer<typeof hotlistAckSchema>

/** Published by a camera at `requests/list-key/{id}`: it has no key for `keyId`, or none at all. */
export const listKeyRequestSchema = z.strictObject({
  keyId: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .nullable(),
})
export type ListKeyRequest = z.infer<typeof listKeyRequestSchema>

/** Signed; the answer at `commands/list-key/{id}`, QoS 0, so that it lies in no queue. */
export const listKeySchema = z.strictObject({
  agency: slugSchema,
  cameraId: slugSchema,
  requestId: z.uuidv7(),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  key: z.base64().length(44),
})
export type ListKeyAnswer = z.infer<typeof listKeySchema>

/** A hotlist on its way to cameras: a signed manifest and a snapshot in chunks. No names, reasons or case numbers travel. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { jurisdictionSchema, plateSchema, sha256Schema, timeMsSchema } from './sighting.ts'

/** Entries of one list on the wire; larger lists come with deltas and digests. */
export const MAX_LIST_ENTRIES = 1_000_000
/** Bytes of one snapshot chunk. */
export const SNAPSHOT_CHUNK_BYTES = 128 * 1024
export const MAX_SNAPSHOT_CHUNKS = 4_096
/** Largest retained or published packet that a camera takes, bytes. */
export const MAX_MANIFEST_BYTES = 8 * 1024

export const matchRuleSchema = z.enum(['exact', 'near'])
export type MatchRule = z.infer<typeof matchRuleSchema>

/** Signed (envelope, retained at `hotlists/{list}/manifest`). */
export const manifestSchema = z.strictObject({
  agency: slugSchema,
  list: slugSchema,
  version: z.int().min(1),
  minimumVersion: z.int().min(1).describe('older versions must not be applied or kept'),
  entries: z.int().min(0).max(MAX_LIST_ENTRIES),
  chunks: z.int().min(0).max(MAX_SNAPSHOT_CHUNKS).describe('0 for an empty list: there is nothing to wait for'),
  bytes: z.int().min(0),
  digest: sha256Schema.describe('SHA-256 over the snapshot: all chunks in order'),
  issuedAtMs: timeMsSchema,
  expiresAtMs: timeMsSchema.describe('a camera marks the list stale from here on'),
})
export type Manifest = z.infer<typeof manifestSchema>

/** One line (JSON, ended by \n) of the snapshot, sorted by entryId. */
export const snapshotEntrySchema = z.strictObject({
  entryId: z.uuidv7(),
  plate: plateSchema,
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

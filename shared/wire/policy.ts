/** The agency's policy: one signed, versioned document; retention and what leaves a camera are its first fields. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { timeMsSchema } from './sighting.ts'

/** 3 years, the longest retention of any profile (New Jersey AG Directive 2022-12). */
export const MAX_RETENTION_DAYS = 1_096
export const DEFAULT_RETENTION_DAYS = 30

const retentionDays = z.number().gt(0).max(MAX_RETENTION_DAYS)

/** Signed (envelope, retained at `policy`). */
export const policySchema = z.strictObject({
  agency: slugSchema,
  version: z.int().min(1),
  issuedAtMs: timeMsSchema,
  upload: z.enum(['all', 'matches-only']).describe('which sightings may leave a camera'),
  retention: z.strictObject({
    unmatchedDays: retentionDays.describe('sightings without a match, on camera and cloud'),
    matchedDays: retentionDays.describe('sightings with a match, and their alerts'),
    cropDays: retentionDays.describe('evidence pictures'),
    quarantineDays: retentionDays.describe('publishes that could never be valid'),
  }),
})
export type Policy = z.infer<typeof policySchema>

/** Published by a camera at `acks/policy`. */
export const policyAckSchema = z.strictObject({
  version: z.int().min(0),
  result: z.enum(['applied', 'refused']),
  reason: z.string().max(200).nullable(),
  atMs: timeMsSchema,
})
export type PolicyAck = z.infer<typeof policyAckSchema>

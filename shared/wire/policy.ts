/** The agency's policy: one signed, versioned document; retention, what leaves a camera, and what may be on a hotlist. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { timeMsSchema } from './sighting.ts'

/** 3 years, the longest retention of any profile (New Jersey AG Directive 2022-12). */
export const MAX_RETENTION_DAYS = 1_096
export const DEFAULT_RETENTION_DAYS = 30

/** Longest life of an entry that a person made: a year. */
export const MAX_MANUAL_HOURS = 8_784
export const MAX_PROHIBITED_CATEGORIES = 32
export const MAX_SHIFT_ENDS = 12

const retentionDays = z.number().gt(0).max(MAX_RETENTION_DAYS)

const hotlistRules = {
  prohibitedCategories: z
    .array(z.string().trim().min(2).max(40))
    .max(MAX_PROHIBITED_CATEGORIES)
    .describe('beside immigration, which always is: entries whose category contains one of these are dropped'),
  staleLists: z
    .enum(['mark', 'stop'])
    .describe('a list past its age limit still matches and its alerts say so, or it matches nothing'),
  manualNeedsSecondPerson: z.boolean().describe('an entry made by hand waits for a second person'),
  manualMaxHours: z.int().min(1).max(MAX_MANUAL_HOURS).describe('longest life of an entry made by hand'),
  shifts: z
    .strictObject({
      timeZone: z.string().max(64).refine(isTimeZone, 'not a time zone such as America/Los_Angeles'),
      ends: z
        .array(z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'not a time of day such as 06:00'))
        .min(1)
        .max(MAX_SHIFT_ENDS),
    })
    .nullable()
    .describe('when shifts end, local time: an entry made by hand may end with its shift'),
  checkPastHours: z
    .number()
    .min(0)
    .max(MAX_RETENTION_DAYS * 24)
    .describe('how far back new entries are held against stored sightings; 0: not at all'),
}

/** A change of some of the rules. */
export const hotlistRulesChangeSchema = z.strictObject(hotlistRules).partial()

/** What may be on a hotlist, and what an old one is still good for. A policy that was signed before there was a rule has its default. */
export const hotlistRulesSchema = z.strictObject({
  prohibitedCategories: hotlistRules.prohibitedCategories.default([]),
  staleLists: hotlistRules.staleLists.default('mark'),
  manualNeedsSecondPerson: hotlistRules.manualNeedsSecondPerson.default(false),
  manualMaxHours: hotlistRules.manualMaxHours.default(720),
  shifts: hotlistRules.shifts.default(null),
  checkPastHours: hotlistRules.checkPastHours.default(0),
})
export type HotlistRules = z.infer<typeof hotlistRulesSchema>

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

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
  hotlists: hotlistRulesSchema.prefault({}),
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

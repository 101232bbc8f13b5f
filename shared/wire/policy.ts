/** The agency's policy: one signed, versioned document; retention, what leaves a camera, and what may be on a hotlist. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { timeMsSchema } from './sighting.ts'

/** 3 years, the longest retention of any profile (New Jersey AG Directive 2022-12). */
export const MAX_RETENTION_DAYS = 1_096
export const DEFAULT_RETENTION_DAYS = 30
/** An audit that is gone before the next yearly one is none. */
export const MIN_AUDIT_DAYS = 366
export const MAX_AUDIT_DAYS = 36_600
export const MAX_HOLD_DAYS = 3_660

/** Longest life of an entry that a person made: a year. */
export const MAX_MANUAL_HOURS = 8_784
export const MAX_PROHIBITED_CATEGORIES = 32
export const MAX_SHIFT_ENDS = 12
export const MAX_PHRASE_CHARACTERS = 120
export const MAX_PURPOSES = 32
export const MAX_OFFENCE_TYPES = 200
export const MAX_PROHIBITED_WORDS = 32
export const MAX_SEARCH_SCOPES = 4
export const MAX_JURISDICTIONS = 64
/** The signed document as it is published, bytes. */
export const MAX_POLICY_BYTES = 64 * 1024

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
  manualEndsWithShift: z
    .boolean()
    .describe('an entry made by hand ends with the shift in which it was made, at the latest'),
  checkPastHours: z
    .number()
    .min(0)
    .max(MAX_RETENTION_DAYS * 24)
    .describe('how far back new entries are held against stored sightings; 0: not at all'),
}

/** What may be on a hotlist, and what an old one is still good for. A policy that was signed before there was a rule has its default. */
export const hotlistRulesSchema = z.strictObject({
  prohibitedCategories: hotlistRules.prohibitedCategories.default([]),
  staleLists: hotlistRules.staleLists.default('mark'),
  manualNeedsSecondPerson: hotlistRules.manualNeedsSecondPerson.default(false),
  manualMaxHours: hotlistRules.manualMaxHours.default(720),
  shifts: hotlistRules.shifts.default(null),
  manualEndsWithShift: hotlistRules.manualEndsWithShift.default(false),
  checkPastHours: hotlistRules.checkPastHours.default(0),
})
export type HotlistRules = z.infer<typeof hotlistRulesSchema>

const jurisdictionCode = z.string().regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, 'not a code such as US-CA')
const phrase = z.string().trim().min(2).max(MAX_PHRASE_CHARACTERS)

/** One use that a search may name, or that no search may have. */
const purposeSchema = z.strictObject({ code: slugSchema, label: phrase })

/** What stored reads may be used for. A policy that was signed before there was a rule has its default. */
export const usesSchema = z.strictObject({
  purposes: z
    .array(purposeSchema)
    .max(MAX_PURPOSES)
    .default([])
    .describe('a search names one of these; empty: none is asked for'),
  offenceTypes: z
    .array(phrase)
    .max(MAX_OFFENCE_TYPES)
    .default([])
    .describe('a search names one of these; empty: any text'),
  prohibited: z
    .array(purposeSchema.extend({ words: z.array(phrase).max(MAX_PROHIBITED_WORDS) }))
    .max(MAX_PURPOSES)
    .default([])
    .describe('uses that are refused; a reason or an offence type with one of the words is one of them'),
})

/** Who may search what, by role; the narrowest of what a person's roles allow does not count, the widest does. */
export const searchRulesSchema = z.strictObject({
  scopes: z
    .array(
      z.strictObject({
        role: z.enum(['investigator', 'partner']),
        maxAgeDays: retentionDays.nullable().describe('seen no longer ago; null: all that is kept'),
        purposes: z.array(slugSchema).max(MAX_PURPOSES).describe('of the purposes; empty: each of them'),
        patterns: z.boolean().describe('may search by pattern, place or colour, not by a whole plate alone'),
        exports: z.boolean().describe('may take results out of the system'),
      }),
    )
    .max(MAX_SEARCH_SCOPES)
    .default([])
    .describe('a role that is not named searches all that is kept and exports it; partners nothing'),
})

/** With whom reads are shared, and how far a grant may go. Nothing is shared without a grant that names the organisation. */
export const sharingRulesSchema = z.strictObject({
  allowed: z.boolean().default(false).describe('grants may be made at all'),
  jurisdictions: z
    .array(jurisdictionCode)
    .max(MAX_JURISDICTIONS)
    .default([])
    .describe('partners must be of one of these, such as US-VA; empty: any'),
  maxGrantDays: z.int().min(1).max(MAX_RETENTION_DAYS).default(365).describe('longest life of a grant'),
})

/** What is published of how the system is used. */
export const publicationRulesSchema = z.strictObject({
  everyDays: z.int().min(1).max(366).nullable().default(null).describe('how often; null: when somebody asks'),
  smallCount: z
    .int()
    .min(0)
    .max(100)
    .default(5)
    .describe('smaller counts of people or searches are shown as "fewer than"'),
  contact: z.string().trim().max(200).default('').describe('whom to ask whether one\u2019s own plate was searched'),
})

/** How the use of the system is looked at by somebody else. */
export const reviewRulesSchema = z.strictObject({
  everyDays: z.int().min(1).max(92).default(7).describe('a review covers so many days'),
  repeatedTarget: z
    .int()
    .min(2)
    .max(1_000)
    .default(5)
    .describe('so many searches of one plate by one person are flagged'),
  suddenVolume: z
    .number()
    .min(1.5)
    .max(100)
    .default(3)
    .describe('so many times a person\u2019s usual number of searches is flagged'),
})

/** Which published profile it began as. */
const profileSchema = z.strictObject({ id: slugSchema, citation: z.string().max(300) })

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** What no rule says by itself: rules that do not go together, and what is named twice or not there. */
function checkTogether(policy: Together, context: z.RefinementCtx): void {
  const wrong = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: path.split('.'), message, input: policy })
  const { uses, search, hotlists } = policy
  if (policy.unmatchedInMemory && policy.upload !== 'matches-only') {
    wrong('upload', 'must be matches-only with unmatchedInMemory: what no disk may hold must not leave the camera')
  }
  if (hotlists.manualEndsWithShift && hotlists.shifts === null) {
    wrong('hotlists.manualEndsWithShift', 'needs hotlists.shifts, which say when shifts end')
  }
  const codes = [...uses.purposes, ...uses.prohibited].map(({ code }) => code)
  const named: Record<string, string[]> = { uses: codes, 'search.scopes': search.scopes.map(({ role }) => role) }
  for (const [name, values] of Object.entries(named)) {
    const twice = values.find((value, index) => values.indexOf(value) !== index)
    if (twice !== undefined) wrong(name, `${twice} stands there twice`)
  }
  const unknown = search.scopes
    .flatMap(({ purposes }) => purposes)
    .find((code) => !uses.purposes.some((purpose) => purpose.code === code))
  if (unknown !== undefined) wrong('search.scopes', `${unknown} is none of uses.purposes`)
}

interface Together {
  upload: 'all' | 'matches-only'
  unmatchedInMemory: boolean
  hotlists: HotlistRules
  uses: z.infer<typeof usesSchema>
  search: z.infer<typeof searchRulesSchema>
}

const rulesSchema = z.strictObject({
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
  unmatchedInMemory: z
    .boolean()
    .default(false)
    .describe('a sighting without a match never touches a disk: it is gone after unmatchedDays, or with the power'),
  audit: z
    .strictObject({
      days: z.int().min(MIN_AUDIT_DAYS).max(MAX_AUDIT_DAYS).nullable().default(null).describe('null: for ever'),
    })
    .prefault({}),
  holds: z
    .strictObject({
      maxDays: z
        .int()
        .min(1)
        .max(MAX_HOLD_DAYS)
        .default(366)
        .describe('longest life of an evidence hold, which may be renewed'),
    })
    .prefault({}),
  hotlists: hotlistRulesSchema.prefault({}),
  uses: usesSchema.prefault({}),
  search: searchRulesSchema.prefault({}),
  sharing: sharingRulesSchema.prefault({}),
  review: reviewRulesSchema.prefault({}),
  publication: publicationRulesSchema.prefault({}),
  secondPerson: z.boolean().default(false).describe('a change of this policy waits for a second person'),
  profile: profileSchema.nullable().default(null).describe('the profile that it began as; null: none'),
})

/** Signed (envelope, retained at `policy`). */
export const policySchema = rulesSchema.superRefine(checkTogether)
export type Policy = z.infer<typeof policySchema>

/** Published by a camera at `acks/policy`. */
export const policyAckSchema = z.strictObject({
  version: z.int().min(0),
  result: z.enum(['applied', 'refused']),
  reason: z.string().max(200).nullable(),
  atMs: timeMsSchema,
})
export type PolicyAck = z.infer<typeof policyAckSchema>

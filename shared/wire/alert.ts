/** An alert is a match that a person must verify. The states are enforced by the cloud; the whole alert travels at every change. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import {
  candidateSchema,
  confidenceSchema,
  jurisdictionSchema,
  plateSchema,
  regionSchema,
  sha256Schema,
  timeMsSchema,
} from './sighting.ts'

export const ALERT_STATES = ['raised', 'image_compared', 'source_confirmed', 'actionable', 'closed'] as const
export type AlertState = (typeof ALERT_STATES)[number]

export const ALERT_OUTCOMES = ['misread', 'cleared', 'stale', 'wrong_jurisdiction', 'located', 'not_located'] as const
export type AlertOutcome = (typeof ALERT_OUTCOMES)[number]

/** The next state when a step succeeds; no step can be skipped. */
export const NEXT_STATE: Readonly<Record<AlertState, AlertState | null>> = {
  raised: 'image_compared',
  image_compared: 'source_confirmed',
  source_confirmed: 'actionable',
  actionable: null,
  closed: null,
}

/** Where an alert goes back to when its last step was a slip; a closed one begins again, so that nobody acts on what was never looked at. */
export const STATE_BEFORE: Readonly<Record<AlertState, AlertState | null>> = {
  raised: null,
  image_compared: 'raised',
  source_confirmed: 'image_compared',
  actionable: 'source_confirmed',
  closed: 'raised',
}

/** Outcomes that an alert may be closed with from each state. */
export const CLOSING_OUTCOMES: Readonly<Record<AlertState, readonly AlertOutcome[]>> = {
  raised: ['misread', 'cleared', 'stale', 'wrong_jurisdiction'],
  image_compared: ['misread', 'cleared', 'stale', 'wrong_jurisdiction'],
  source_confirmed: ['misread', 'cleared', 'stale', 'wrong_jurisdiction'],
  actionable: ALERT_OUTCOMES,
  closed: [],
}

/** For how long a cleared entry may be kept from raising alerts: long enough to have the list mended. */
export const MIN_SUPPRESSION_MS = 60 * 60 * 1_000
export const MAX_SUPPRESSION_MS = 30 * 24 * MIN_SUPPRESSION_MS

/** Sightings of an alert's trail that travel with it, the newest; more are only counted. A page of 200 alerts stays some ms of work. */
export const MAX_TRAIL = 20
/** Groups of one alert: those of its lists, and those it was escalated to. */
export const MAX_ALERT_GROUPS = 64
const listedPlateSchema = z.string().regex(/^[A-Z0-9*?]{2,16}$/)

/** Longest free text of a step, characters. */
export const MAX_STEP_TEXT = 500

/** What a person sends to take an alert one step on (HTTP). `revision` is the one they saw: a newer one refuses with `conflict`. */
export const alertStepSchema = z.discriminatedUnion('step', [
  z.strictObject({
    step: z.literal('image_compared'),
    revision: z.int().min(0),
    plateSeen: z
      .string()
      .min(1)
      .max(20)
      .describe('the plate as the officer reads it in the picture, typed before the read is shown'),
    jurisdictionSeen: jurisdictionSchema.nullable(),
  }),
  z.strictObject({
    step: z.literal('source_confirmed'),
    revision: z.int().min(0),
    confirmedWith: z.string().min(1).max(MAX_STEP_TEXT).describe('who or what system confirmed the entry'),
    result: z.string().min(1).max(MAX_STEP_TEXT),
  }),
  z.strictObject({ step: z.literal('actionable'), revision: z.int().min(0) }),
  /** Who works on it; changes no state. By another than who has it: taken over. */
  z.strictObject({ step: z.literal('acknowledged'), revision: z.int().min(0) }),
  z.strictObject({ step: z.literal('released'), revision: z.int().min(0) }),
  z.strictObject({
    step: z.literal('taken_back'),
    revision: z.int().min(0),
    reason: z.string().trim().min(1).max(MAX_STEP_TEXT).describe('what was wrong with the last step'),
  }),
  z
    .strictObject({
      step: z.literal('closed'),
      revision: z.int().min(0),
      outcome: z.enum(ALERT_OUTCOMES),
      note: z.string().max(MAX_STEP_TEXT).default(''),
      correctPlate: plateSchema
        .nullable()
        .optional()
        .describe('what the plate says; must be given for a misread, null: it cannot be read'),
      suppressForMs: z
        .int()
        .min(MIN_SUPPRESSION_MS)
        .max(MAX_SUPPRESSION_MS)
        .nullish()
        .describe('for a cleared one: its entry raises no alert for so long'),
    })
    .refine((step) => step.outcome !== 'misread' || step.correctPlate !== undefined, {
      path: ['correctPlate'],
      message: 'a misread says what the plate says, or null if it cannot be read',
    }),
])
export type AlertStep = z.infer<typeof alertStepSchema>

/** A further sighting of the entry while its alert was open. Nobody has compared it: it tells where the vehicle went, if it is the one. */
export const trailElementSchema = z.object({
  cameraId: slugSchema,
  sightingId: z.uuidv7(),
  seenAtMs: timeMsSchema,
  receivedAtMs: timeMsSchema.describe('its retention runs from this or from when it was seen, whichever is earlier'),
  clock: z.enum(['synced', 'unsynced']),
  plate: plateSchema.describe('as read'),
  kind: z.enum(['exact', 'near', 'wildcard']),
  confidence: confidenceSchema,
  stillMatches: z.boolean().describe('false: the final read of the vehicle no longer matches the entry'),
})
export type TrailElement = z.infer<typeof trailElementSchema>

/** Read by pages and clients of other versions: keys that they do not know are passed over. */
export const alertSchema = z.object({
  alertId: z.uuidv7(),
  agency: slugSchema,
  revision: z.int().min(0),
  state: z.enum(ALERT_STATES),
  outcome: z.enum(ALERT_OUTCOMES).nullable(),
  groups: z.array(slugSchema).min(1).max(MAX_ALERT_GROUPS),
  historical: z
    .boolean()
    .default(false)
    .describe('the vehicle was seen before its plate came onto the list; the sighting is of the past'),
  raisedAtMs: timeMsSchema,
  updatedAtMs: timeMsSchema,
  updatedBy: slugSchema.nullable().describe('account of the last step; null: the cloud itself'),
  expiresAtMs: timeMsSchema,
  basisRevision: z
    .int()
    .min(0)
    .default(0)
    .describe(
      'last revision that changed what a step is about; those after it added to the trail or told further groups',
    ),
  acknowledgedBy: slugSchema.nullable().default(null).describe('who works on it'),
  acknowledgedAtMs: timeMsSchema.nullable().default(null),
  escalatedAtMs: timeMsSchema
    .nullable()
    .default(null)
    .describe('nobody had taken it in time: further groups were told'),
  heldFor: z
    .array(z.object({ group: slugSchema, untilMs: timeMsSchema.nullable() }))
    .max(MAX_ALERT_GROUPS)
    .default([])
    .describe('groups it was not pushed to: until their quiet hours end, or, null, as not urgent enough for them'),
  sightings: z.int().min(1).default(1).describe('of the vehicle, those that are only counted too'),
  trail: z.array(trailElementSchema).max(MAX_TRAIL).default([]).describe('in the order in which it was seen'),
  match: z.object({
    kind: z.enum(['exact', 'near', 'wildcard']),
    score: confidenceSchema
      .default(1)
      .describe('of a near match: how likely the reader thought the listed text, 0 if it did not'),
    list: slugSchema,
    listVersion: z.int().min(1),
    entryId: z.uuidv7(),
    listedPlate: listedPlateSchema.describe('of a wildcard match: the pattern, with * (any number) and ? (one)'),
    listedJurisdiction: jurisdictionSchema.nullable(),
    category: z.string().max(64),
    priority: z.int().min(1).max(5).describe('1 is the most urgent'),
    stale: z.boolean().default(false).describe('the list was past its age limit: the entry may be over'),
    cameraAgreed: z.boolean().describe('the camera had found the same entry'),
    stillMatches: z.boolean().describe('false: the final read of the vehicle no longer matches the entry'),
  }),
  sighting: z.object({
    sightingId: z.uuidv7(),
    revision: z.int().min(0).max(1),
    cameraId: slugSchema,
    capturedAtMs: timeMsSchema,
    receivedAtMs: timeMsSchema,
    seenAtMs: timeMsSchema.describe(
      'the time to go by: captured, or received when the camera’s clock cannot be trusted',
    ),
    clock: z.enum(['synced', 'unsynced']).describe('unsynced: the camera’s clock cannot be trusted'),
    plate: plateSchema,
    confidence: confidenceSchema,
    candidates: z.array(candidateSchema).max(16),
    jurisdiction: z.object({ code: jurisdictionSchema, confidence: confidenceSchema }).nullable(),
    region: regionSchema,
    crop: z.object({ sha256: sha256Schema, bytes: z.int() }).nullable(),
  }),
})
export type Alert = z.infer<typeof alertSchema>

/** Everything on the wire, versioned by the topic root `candor/v1`. `candor schema` prints these as JSON Schema. */
import { z } from 'zod'
import { envelopeSchema } from '../signing.ts'
import { alertSchema, alertStepSchema } from './alert.ts'
import { cameraHealthSchema, cameraStatusSchema } from './camera.ts'
import { certificateAnswerSchema, certificateRequestSchema } from './enrolment.ts'
import {
  hotlistAckSchema,
  listKeyRequestSchema,
  listKeySchema,
  manifestSchema,
  snapshotEntrySchema,
} from './hotlist.ts'
import { policyAckSchema, policySchema } from './policy.ts'
import { configureCommandSchema, rollOutAckSchema, updateCommandSchema } from './roll-out.ts'
import { sightingSchema } from './sighting.ts'
import { cosignedSchema, signingKeysAckSchema, signingKeysSchema } from './signing-keys.ts'

export * from './alert.ts'
export * from './camera.ts'
export * from './enrolment.ts'
export * from './hotlist.ts'
export * from './policy.ts'
export * from './roll-out.ts'
export * from './sighting.ts'
export * from './signing-keys.ts'
export * from './snapshot.ts'

/** Largest MQTT packet of any kind that the broker takes, bytes: a crop or a snapshot chunk with its topic. */
export const MAX_PACKET_BYTES = 256 * 1024

export const WIRE_SCHEMAS = {
  sighting: sightingSchema,
  alert: alertSchema,
  alertStep: alertStepSchema,
  cameraStatus: cameraStatusSchema,
  cameraHealth: cameraHealthSchema,
  envelope: envelopeSchema,
  manifest: manifestSchema,
  snapshotEntry: snapshotEntrySchema,
  hotlistAck: hotlistAckSchema,
  listKeyRequest: listKeyRequestSchema,
  listKey: listKeySchema,
  certificateRequest: certificateRequestSchema,
  certificateAnswer: certificateAnswerSchema,
  policy: policySchema,
  policyAck: policyAckSchema,
  cosigned: cosignedSchema,
  signingKeys: signingKeysSchema,
  signingKeysAck: signingKeysAckSchema,
  updateCommand: updateCommandSchema,
  configureCommand: configureCommandSchema,
  rollOutAck: rollOutAckSchema,
} as const

export function wireJsonSchemas(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(WIRE_SCHEMAS).map(([name, schema]) => [name, z.toJSONSchema(schema, { target: 'draft-2020-12' })]),
  )
}

/** Bytes that should be JSON of `schema`, or the reason why they are not; never throws. Invalid UTF-8 is refused. */
export function parseWire<T>(
  schema: z.ZodType<T>,
  bytes: Uint8Array,
  maxBytes: number,
): { ok: true; value: T } | { ok: false; reason: string } {
  if (bytes.length === 0) return { ok: false, reason: 'empty' }
  if (bytes.length > maxBytes) return { ok: false, reason: `too long: ${bytes.length} bytes, at most ${maxBytes}` }
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return { ok: false, reason: 'not JSON' }
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return { ok: true, value: parsed.data }
  const issue = parsed.error.issues[0]
  // The message names the field and the rule, never the value: it may be a plate.
  return {
    ok: false,
    reason: issue === undefined ? 'wrong shape' : `${issue.path.join('.') || 'document'}: ${issue.message}`,
  }
}

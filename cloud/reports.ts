/** What a camera says of itself and asks for: status, health, acknowledgements, the key of the lists. Called by ingest. */
import { z } from 'zod'
import { CERTIFICATE, CONFIGURE, LIST_KEY, type Topic, UPDATE } from '../shared/topics.ts'
import {
  cameraHealthSchema,
  cameraStatusSchema,
  certificateRequestSchema,
  hotlistAckSchema,
  listKeyRequestSchema,
  parseWire,
  policyAckSchema,
  rollOutAckSchema,
  signingKeysAckSchema,
} from '../shared/wire/index.ts'
import type { Cameras } from './cameras.ts'
import type { QuarantineReason } from './quarantine.ts'
import type { RollOuts } from './roll-outs.ts'
import type { CameraDays } from './usage/cameras.ts'

/** Largest status, health, ack or request, bytes. */
export const MAX_REPORT_BYTES = 16 * 1024

export interface ReportDeps {
  cameras: Pick<Cameras, 'recordStatus' | 'recordHealth' | 'recordAck'>
  usage: { cameras: CameraDays }
  rollOuts: Pick<RollOuts, 'recordAck'>
  /** A camera asks for the key of the lists. Nothing of it is stored, and nothing waits for the answer. */
  onListKeyRequest: (camera: string, requestId: string, keyId: string | null) => void
  /** The same for a new certificate. */
  onCertificateRequest: (camera: string, requestId: string, csrPem: string) => void
}

export interface ReportRefusal {
  reason: QuarantineReason
  detail: string
}

const malformed = (detail: string): ReportRefusal => ({ reason: 'malformed', detail })
const NOT_ITS_OWN: ReportRefusal = { reason: 'not_its_own', detail: 'cameraId' }

/** Why it can never be valid, or null when it is recorded. */
export async function recordReport(
  { topic, payload }: { topic: Topic & { camera: string }; payload: Buffer },
  { cameras, usage, rollOuts, onListKeyRequest, onCertificateRequest }: ReportDeps,
): Promise<ReportRefusal | null> {
  if (topic.kind === 'status') {
    const parsed = parseWire(cameraStatusSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (parsed.value.cameraId !== topic.camera) return NOT_ITS_OWN
    await cameras.recordStatus(parsed.value)
    await usage.cameras.recordStatus(parsed.value)
    return null
  }
  if (topic.kind === 'health') {
    const parsed = parseWire(cameraHealthSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (parsed.value.cameraId !== topic.camera) return NOT_ITS_OWN
    await cameras.recordHealth(parsed.value)
    await usage.cameras.recordHealth(parsed.value)
    return null
  }
  if (topic.kind === 'request' && topic.operation === LIST_KEY) {
    const parsed = parseWire(listKeyRequestSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (!z.uuidv7().safeParse(topic.id).success) return malformed('id: not a UUIDv7')
    onListKeyRequest(topic.camera, topic.id, parsed.value.keyId)
    return null
  }
  if (topic.kind === 'request' && topic.operation === CERTIFICATE) {
    const parsed = parseWire(certificateRequestSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (!z.uuidv7().safeParse(topic.id).success) return malformed('id: not a UUIDv7')
    onCertificateRequest(topic.camera, topic.id, parsed.value.csrPem)
    return null
  }
  if (topic.kind === 'ack' && topic.subject === 'signing-keys') {
    const parsed = parseWire(signingKeysAckSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    await cameras.recordAck(topic.camera, topic.subject, parsed.value)
    return null
  }
  if (topic.kind === 'ack' && topic.subject === 'policy') {
    const parsed = parseWire(policyAckSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    await cameras.recordAck(topic.camera, topic.subject, parsed.value)
    return null
  }
  if (topic.kind === 'ack' && topic.subject.startsWith('hotlists/')) {
    const parsed = parseWire(hotlistAckSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (topic.subject !== `hotlists/${parsed.value.list}`) return malformed('list: not the topic’s')
    await cameras.recordAck(topic.camera, topic.subject, parsed.value)
    return null
  }
  if (topic.kind === 'ack' && (topic.subject.startsWith(`${UPDATE}/`) || topic.subject.startsWith(`${CONFIGURE}/`))) {
    const parsed = parseWire(rollOutAckSchema, payload, MAX_REPORT_BYTES)
    if (!parsed.ok) return malformed(parsed.reason)
    if (!topic.subject.endsWith(`/${parsed.value.targetId}`)) return malformed('targetId: not the topic’s')
    await rollOuts.recordAck(topic.camera, parsed.value)
    return null
  }
  return { reason: 'unknown_topic', detail: topic.kind }
}

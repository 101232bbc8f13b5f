/**
 * MQTT topics: made and taken apart only here; who may publish and subscribe what. Agency and camera stand at fixed places,
 * so that rights are patterns.
 */
import { z } from 'zod'
import { SLUG_PATTERN } from './names.ts'

export const TOPIC_ROOT = 'candor/v1'
/** The operation by which a camera gets the key of the lists' digests. */
export const LIST_KEY = 'list-key'
/** The operation by which a camera gets a new certificate, and the one by which it is told to. */
export const CERTIFICATE = 'certificate'
export const RENEW = 'renew'
/** The operations by which a unit's system and its camera's settings are changed; acknowledged under the same name. */
export const UPDATE = 'update'
export const CONFIGURE = 'configure'
/** Longest topic the broker takes, in bytes of UTF-8. The longest of ours is under 200. */
export const MAX_TOPIC_BYTES = 256

export type Topic =
  | { kind: 'sightings'; agency: string; camera: string }
  | { kind: 'crop'; agency: string; camera: string; sightingId: string }
  | { kind: 'status'; agency: string; camera: string }
  | { kind: 'health'; agency: string; camera: string }
  | { kind: 'ack'; agency: string; camera: string; subject: string }
  | { kind: 'command'; agency: string; camera: string; operation: string; id: string }
  | { kind: 'request'; agency: string; camera: string; operation: string; id: string }
  | { kind: 'manifest'; agency: string; list: string }
  | { kind: 'snapshot' | 'delta'; agency: string; list: string; version: number; chunk: number }
  | { kind: 'policy'; agency: string }
  | { kind: 'signing-keys'; agency: string; version: number }
  | { kind: 'alerts'; agency: string; group: string }

const cameraTopic = (agency: string, camera: string, rest: string) =>
  `${TOPIC_ROOT}/${agency}/cameras/${camera}/${rest}`

export const topics = {
  sightings: (agency: string, camera: string) => cameraTopic(agency, camera, 'sightings'),
  crop: (agency: string, camera: string, sightingId: string) => cameraTopic(agency, camera, `crops/${sightingId}`),
  status: (agency: string, camera: string) => cameraTopic(agency, camera, 'status'),
  health: (agency: string, camera: string) => cameraTopic(agency, camera, 'health'),
  /** `subject` is `hotlists/{list}`, `policy`, `signing-keys`, `update/{targetId}` or `configure/{targetId}`. */
  ack: (agency: string, camera: string, subject: string) => cameraTopic(agency, camera, `acks/${subject}`),
  commands: (agency: string, camera: string) => cameraTopic(agency, camera, 'commands/+/+'),
  command: (agency: string, camera: string, operation: string, id: string) =>
    cameraTopic(agency, camera, `commands/${operation}/${id}`),
  /** What a camera asks the cloud for; the answer is the command of the same operation and id. */
  request: (agency: string, camera: string, operation: string, id: string) =>
    cameraTopic(agency, camera, `requests/${operation}/${id}`),
  manifest: (agency: string, list: string) => `${TOPIC_ROOT}/${agency}/hotlists/${list}/manifest`,
  manifests: (agency: string) => `${TOPIC_ROOT}/${agency}/hotlists/+/manifest`,
  snapshotChunk: (agency: string, list: string, version: number, chunk: number) =>
    `${TOPIC_ROOT}/${agency}/hotlists/${list}/snapshot/${version}/${chunk}`,
  snapshotChunks: (agency: string, list: string, version: number) =>
    `${TOPIC_ROOT}/${agency}/hotlists/${list}/snapshot/${version}/+`,
  /** Of what leads to `version` from the one before. */
  deltaChunk: (agency: string, list: string, version: number, chunk: number) =>
    `${TOPIC_ROOT}/${agency}/hotlists/${list}/delta/${version}/${chunk}`,
  deltaChunks: (agency: string, list: string, version: number) =>
    `${TOPIC_ROOT}/${agency}/hotlists/${list}/delta/${version}/+`,
  policy: (agency: string) => `${TOPIC_ROOT}/${agency}/policy`,
  signingKeys: (agency: string, version: number) => `${TOPIC_ROOT}/${agency}/signing-keys/${version}`,
  allSigningKeys: (agency: string) => `${TOPIC_ROOT}/${agency}/signing-keys/+`,
  alerts: (agency: string, group: string) => `${TOPIC_ROOT}/${agency}/alerts/${group}`,
  /** Every camera's sightings: only for those who may watch them live. */
  allSightings: (agency: string) => `${TOPIC_ROOT}/${agency}/cameras/+/sightings`,
  allStatus: (agency: string) => `${TOPIC_ROOT}/${agency}/cameras/+/status`,
} as const

const slug = z.string().regex(SLUG_PATTERN)
const whole = z.string().regex(/^[0-9]{1,9}$/)

/** A topic name (no wildcards) taken apart, or null when it is none of ours. */
export function parseTopic(topic: string): Topic | null {
  if (Buffer.byteLength(topic) > MAX_TOPIC_BYTES) return null
  const [root, version, agency, branch, name, leaf, ...rest] = topic.split('/')
  if (`${root}/${version}` !== TOPIC_ROOT || agency === undefined || !slug.safeParse(agency).success) return null
  if (branch === 'policy' && name === undefined) return { kind: 'policy', agency }
  if (name === undefined || !slug.safeParse(name).success) return null
  if (branch === 'signing-keys') {
    return leaf === undefined && whole.safeParse(name).success ? { kind: branch, agency, version: Number(name) } : null
  }
  if (branch === 'alerts') return leaf === undefined ? { kind: 'alerts', agency, group: name } : null
  if (branch === 'hotlists') return parseHotlistTopic(agency, name, leaf, rest)
  if (branch === 'cameras') return parseCameraTopic(agency, name, leaf, rest)
  return null
}

function parseHotlistTopic(agency: string, list: string, leaf: string | undefined, rest: string[]): Topic | null {
  if (leaf === 'manifest' && rest.length === 0) return { kind: 'manifest', agency, list }
  const [version, chunk] = rest
  if ((leaf !== 'snapshot' && leaf !== 'delta') || rest.length !== 2) return null
  if (!whole.safeParse(version).success || !whole.safeParse(chunk).success) return null
  return { kind: leaf, agency, list, version: Number(version), chunk: Number(chunk) }
}

function parseCameraTopic(agency: string, camera: string, leaf: string | undefined, rest: string[]): Topic | null {
  const [first, second] = rest
  if (leaf === 'sightings' || leaf === 'status' || leaf === 'health') {
    return rest.length === 0 ? { kind: leaf, agency, camera } : null
  }
  if (leaf === 'crops')
    return first !== undefined && rest.length === 1 ? { kind: 'crop', agency, camera, sightingId: first } : null
  if (leaf === 'acks')
    return rest.length === 1 || rest.length === 2 ? { kind: 'ack', agency, camera, subject: rest.join('/') } : null
  if ((leaf === 'commands' || leaf === 'requests') && first && second && rest.length === 2) {
    return { kind: leaf === 'commands' ? 'command' : 'request', agency, camera, operation: first, id: second }
  }
  return null
}

/** Who is connected, as the broker established it: by certificate (camera) or by account and token (person). */
export type Identity =
  | { kind: 'camera'; agency: string; camera: string }
  | { kind: 'person'; agency: string; account: string; groups: readonly string[]; mayWatchSightings: boolean }

/** What cameras follow of a list. */
const LIST_KINDS: ReadonlySet<Topic['kind']> = new Set(['manifest', 'snapshot', 'delta'])

/** May `identity` publish on this topic name? People publish nothing over MQTT: they act over HTTP. */
export function mayPublish(identity: Identity, topicName: string): boolean {
  if (identity.kind !== 'camera') return false
  const topic = parseTopic(topicName)
  if (topic === null || topic.agency !== identity.agency || !('camera' in topic) || topic.camera !== identity.camera)
    return false
  return topic.kind !== 'command'
}

/**
 * May `identity` subscribe to this filter? Filters are compared as text with the few patterns that are allowed: a filter
 * that merely overlaps a permitted one is refused.
 */
export function maySubscribe(identity: Identity, filter: string): boolean {
  if (identity.kind === 'camera') {
    if (filter === topics.manifests(identity.agency) || filter === topics.policy(identity.agency)) return true
    if (filter === topics.commands(identity.agency, identity.camera)) return true
    if (filter === topics.allSigningKeys(identity.agency)) return true
    const topic = parseTopic(filter.replace(/\/\+$/, '/0'))
    return topic !== null && topic.agency === identity.agency && LIST_KINDS.has(topic.kind)
  }
  if (filter === topics.manifests(identity.agency) || filter === topics.allStatus(identity.agency)) return true
  if (identity.mayWatchSightings && filter === topics.allSightings(identity.agency)) return true
  const topic = parseTopic(filter)
  return topic?.kind === 'alerts' && topic.agency === identity.agency && identity.groups.includes(topic.group)
}

/** May this publish be delivered to `identity`? Asked again at every delivery, also from an offline queue. */
export function mayReceive(identity: Identity, topicName: string): boolean {
  const topic = parseTopic(topicName)
  if (topic === null || topic.agency !== identity.agency) return false
  if (identity.kind === 'camera') {
    if (LIST_KINDS.has(topic.kind) || topic.kind === 'policy' || topic.kind === 'signing-keys') return true
    return topic.kind === 'command' && topic.camera === identity.camera
  }
  if (topic.kind === 'manifest' || topic.kind === 'status') return true
  if (topic.kind === 'sightings') return identity.mayWatchSightings
  return topic.kind === 'alerts' && identity.groups.includes(topic.group)
}

/** The table that `candor topics` prints. */
export const TOPIC_RIGHTS: readonly {
  topic: string
  publishes: string
  subscribes: string
  qos: string
  retained: boolean
}[] = [
  {
    topic: 'cameras/{camera}/sightings',
    publishes: 'that camera',
    subscribes: 'people who may watch sightings (QoS 0)',
    qos: '1',
    retained: false,
  },
  {
    topic: 'cameras/{camera}/crops/{sightingId}',
    publishes: 'that camera',
    subscribes: 'nobody',
    qos: '1',
    retained: false,
  },
  {
    topic: 'cameras/{camera}/status',
    publishes: 'that camera (also its Will)',
    subscribes: 'people',
    qos: '1',
    retained: true,
  },
  { topic: 'cameras/{camera}/health', publishes: 'that camera', subscribes: 'nobody', qos: '0-1', retained: false },
  {
    topic: 'cameras/{camera}/acks/{subject}',
    publishes: 'that camera',
    subscribes: 'nobody',
    qos: '1',
    retained: false,
  },
  {
    topic: 'cameras/{camera}/requests/{operation}/{id}',
    publishes: 'that camera',
    subscribes: 'nobody',
    qos: '1',
    retained: false,
  },
  {
    topic: 'cameras/{camera}/commands/{operation}/{id}',
    publishes: 'the cloud',
    subscribes: 'that camera',
    qos: '0-1',
    retained: false,
  },
  {
    topic: 'hotlists/{list}/manifest',
    publishes: 'the cloud',
    subscribes: 'cameras, people',
    qos: '1',
    retained: true,
  },
  {
    topic: 'hotlists/{list}/snapshot/{version}/{chunk}',
    publishes: 'the cloud',
    subscribes: 'cameras',
    qos: '1',
    retained: true,
  },
  {
    topic: 'hotlists/{list}/delta/{version}/{chunk}',
    publishes: 'the cloud',
    subscribes: 'cameras',
    qos: '1',
    retained: true,
  },
  { topic: 'signing-keys/{version}', publishes: 'the cloud', subscribes: 'cameras', qos: '1', retained: true },
  { topic: 'policy', publishes: 'the cloud', subscribes: 'cameras', qos: '1', retained: true },
  { topic: 'alerts/{group}', publishes: 'the cloud', subscribes: 'people of that group', qos: '1', retained: false },
]

/** What the cloud sends to a camera: hotlist manifests and chunks, policy, commands. Each is bounded, checked and acknowledged. */
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { NewId } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { CERTIFICATE, CONFIGURE, LIST_KEY, parseTopic, RENEW, topics, UPDATE } from '../../shared/topics.ts'
import {
  type HotlistAck,
  MAX_MANIFEST_BYTES,
  MAX_POLICY_BYTES,
  MAX_ROLL_OUT_COMMAND_BYTES,
  type PolicyAck,
  type RollOutAck,
  type SigningKeysAck,
  SNAPSHOT_CHUNK_BYTES,
} from '../../shared/wire/index.ts'
import type { Hotlists } from '../hotlist/hotlist.ts'
import type { CameraPolicy } from '../policy.ts'
import type { SigningKeys } from '../signing-keys.ts'
import type { Connection } from './connection.ts'
import type { Renewal } from './renewal.ts'

/** A request for the list key that is not answered is made again after this, milliseconds. */
export const KEY_REQUEST_MS = 30 * SECOND_MS
type Ack = HotlistAck | PolicyAck | SigningKeysAck | RollOutAck

/** What a broker may send on one connection that cannot be taken; beyond it the connection is ended, and tried again later. */
export const MAX_REFUSALS_PER_CONNECTION = 1_000

export interface InboxDeps {
  agency: string
  cameraId: string
  hotlists: Pick<Hotlists, 'takeManifest' | 'takeChunk' | 'wanted' | 'advance' | 'asked' | 'missingKeys' | 'takeKey'>
  policy: Pick<CameraPolicy, 'take'>
  signingKeys: Pick<SigningKeys, 'take'>
  renewal: Renewal
  rollOuts: RollOuts
  clock: Pick<Clock, 'monotonicMs'>
  newId: NewId
  log: Log
  /** Something was received that is not for this camera, too long, or cannot be stored. */
  onRefused(): void
}

/** What changes the unit from afar. */
export interface RollOuts {
  /** Resolves with what is to be acknowledged. Rejects with `storage_full` or `unavailable`. */
  take(operation: RollOutOperation, targetId: string, payload: Buffer): Promise<RollOutAck>
  /** The newest of each operation. */
  acks(): [RollOutOperation, RollOutAck][]
}
export type RollOutOperation = typeof UPDATE | typeof CONFIGURE

export interface Inbox {
  /** Subscribes to all that this camera follows; manifests and policy come again, as they are retained. */
  open(connection: Connection): Promise<void>
  receive(topic: string, payload: Buffer): void
  /** Tells the cloud, now if it is connected; with each connection the newest goes again. */
  acknowledge(operation: RollOutOperation, ack: RollOutAck): void
  /** Takes downloads on; call now and then. Never rejects. */
  advance(): Promise<void>
}

export function createInbox(deps: InboxDeps): Inbox {
  const { agency, cameraId, hotlists, policy, log } = deps
  let connection: Connection | null = null
  /** The filter of chunks subscribed to on the present connection. */
  let subscribed: string | null = null
  let advancing = false
  let refusals = 0
  /** Open requests for list keys on this connection, by the key's name. */
  const requests = new Map<string, { id: string; atMs: number }>()
  /** By subject, while one is on its way: the newest that waits for it, or null. A broker that acknowledges nothing gets no heap of them. */
  const acks = new Map<string, Ack | null>()

  function countRefusal(): void {
    refusals += 1
    if (refusals <= MAX_REFUSALS_PER_CONNECTION) return
    connection?.destroy(new AppError('too_large', 'the broker goes on sending what this camera cannot take'))
  }

  function refuse(reason: string, bytes: number): void {
    deps.onRefused()
    if (refusals <= MAX_REFUSALS_PER_CONNECTION) log.warn('received_refused', { reason, bytes })
    countRefusal()
  }

  function send(subject: string, ack: Ack | null): void {
    if (ack === null || connection === null) return
    if ('result' in ack && ack.result === 'refused') countRefusal()
    if (acks.has(subject)) {
      acks.set(subject, ack)
      return
    }
    acks.set(subject, null)
    void publishAck(connection, subject, ack)
  }

  async function publishAck(on: Connection, subject: string, ack: Ack): Promise<void> {
    let next: Ack | null = ack
    while (next !== null) {
      // Lost with the connection: the retained manifest comes again with the next one, and so does its ack.
      await on
        .publish(topics.ack(agency, cameraId, subject), Buffer.from(JSON.stringify(next)), { qos: 1 })
        .catch(() => {})
      if (connection !== on) return
      next = acks.get(subject) ?? null
      if (next === null) acks.delete(subject)
      else acks.set(subject, null)
    }
  }

  /** The one download's chunks are subscribed to, and nothing else. */
  async function follow(): Promise<void> {
    const wanted = hotlists.wanted
    const chunksOf = wanted?.kind === 'delta' ? topics.deltaChunks : topics.snapshotChunks
    const filter = wanted === null ? null : chunksOf(agency, wanted.list, wanted.version)
    if (connection === null || filter === subscribed) return
    const before = subscribed
    subscribed = filter
    if (before !== null) await connection.unsubscribe(before)
    if (filter !== null) {
      hotlists.asked()
      await connection.subscribe([filter])
    }
  }

  /** Asks for each list key that is missing. */
  function askForKeys(): void {
    const missing = hotlists.missingKeys
    for (const keyId of requests.keys()) if (!missing.includes(keyId)) requests.delete(keyId)
    const nowMs = deps.clock.monotonicMs()
    for (const keyId of missing) {
      if (connection === null || nowMs - (requests.get(keyId)?.atMs ?? Number.NEGATIVE_INFINITY) < KEY_REQUEST_MS)
        continue
      const id = deps.newId()
      requests.set(keyId, { id, atMs: nowMs })
      const topic = topics.request(agency, cameraId, LIST_KEY, id)
      // Lost with the connection: the next one asks at once.
      connection.publish(topic, Buffer.from(JSON.stringify({ keyId })), { qos: 1 }).catch(() => {})
    }
  }

  async function advance(): Promise<void> {
    if (advancing) return
    advancing = true
    try {
      askForKeys()
      for (;;) {
        const ack = await hotlists.advance()
        if (ack !== null) send(`hotlists/${ack.list}`, ack)
        await follow()
        if (ack === null) return
      }
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'unavailable') return
      refuse(error.message, 0)
    } finally {
      advancing = false
    }
  }

  function takeKey(requestId: string, payload: Buffer): string | null {
    if (![...requests.values()].some(({ id }) => id === requestId)) return 'a list key that was not asked for'
    // A refused one is asked for again when its time has come.
    return hotlists.takeKey(payload, { cameraId, requestId })
  }

  const acknowledge = (operation: RollOutOperation, ack: RollOutAck) => send(`${operation}/${ack.targetId}`, ack)

  function takeRollOut(operation: RollOutOperation, targetId: string, payload: Buffer): null {
    deps.rollOuts.take(operation, targetId, payload).then(
      (ack) => {
        if (ack.state === 'refused') countRefusal()
        acknowledge(operation, ack)
      },
      // The disk is full or busy: the cloud says it again.
      (thrown: unknown) => refuse(toAppError(thrown).message, payload.length),
    )
    return null
  }

  function takeSigningKeys(version: number, payload: Buffer): void {
    const { ack, changed } = deps.signingKeys.take(version, payload)
    send('signing-keys', ack)
    if (!changed || connection === null) return
    // What came before them was refused; retained, it comes again for a new subscription.
    requests.clear()
    connection.subscribe([topics.manifests(agency), topics.policy(agency)]).catch(() => {})
  }

  /** Why it is refused, or null. An empty payload is a retained document that was cleared: nobody signed the end of what it said. */
  function take(topicName: string, payload: Buffer): string | null {
    const topic = parseTopic(topicName)
    if (topic === null || topic.agency !== agency) return 'not a topic of this agency'
    const isChunk = topic.kind === 'snapshot' || topic.kind === 'delta'
    const isPolicy = topic.kind === 'policy'
    const isRollOut = topic.kind === 'command' && (topic.operation === UPDATE || topic.operation === CONFIGURE)
    const most = isChunk
      ? SNAPSHOT_CHUNK_BYTES
      : isPolicy
        ? MAX_POLICY_BYTES
        : isRollOut
          ? MAX_ROLL_OUT_COMMAND_BYTES
          : MAX_MANIFEST_BYTES
    if (payload.length > most) return `${topic.kind} too long`
    if (payload.length === 0) return null
    if (topic.kind === 'manifest') send(`hotlists/${topic.list}`, hotlists.takeManifest(topic.list, payload))
    else if (isChunk) hotlists.takeChunk(topic, topic.chunk, payload)
    else if (topic.kind === 'signing-keys') takeSigningKeys(topic.version, payload)
    else if (isPolicy) send('policy', policy.take(payload))
    else if (topic.kind === 'command' && topic.operation === LIST_KEY) return takeKey(topic.id, payload)
    else if (topic.kind === 'command' && topic.operation === RENEW) connection !== null && deps.renewal.told(connection)
    else if (topic.kind === 'command' && topic.operation === CERTIFICATE)
      return connection === null ? 'not connected' : deps.renewal.take(connection, topic.id, payload)
    else if (topic.kind === 'command' && (topic.operation === UPDATE || topic.operation === CONFIGURE))
      return takeRollOut(topic.operation, topic.id, payload)
    else if (topic.kind === 'command') return `this version knows no command ${topic.operation}`
    else return `a camera does not take ${topic.kind}`
    return null
  }

  return {
    async open(opened) {
      connection = opened
      subscribed = null
      refusals = 0
      requests.clear()
      acks.clear()
      await opened.subscribe([topics.allSigningKeys(agency)])
      await opened.subscribe([topics.manifests(agency), topics.policy(agency), topics.commands(agency, cameraId)])
      await follow()
      askForKeys()
      for (const [operation, ack] of deps.rollOuts.acks()) acknowledge(operation, ack)
    },
    acknowledge,
    receive(topicName, payload) {
      try {
        const reason = take(topicName, payload)
        if (reason !== null) refuse(reason, payload.length)
      } catch (thrown) {
        const error = toAppError(thrown)
        if (error.code === 'internal') throw error
        // The disk is full or busy: the download stalls, is given up and asked for again later.
        refuse(error.message, payload.length)
      }
      void advance()
    },
    advance,
  }
}

/**
 * Outbox → MQTT QoS 1. Publishes only while connected, a fixed number at a time, and removes a row only on its PUBACK
 * [MQTT-4.3.2-1]; when the connection ends, what was in flight is still in the outbox and goes again. Reconnects by itself.
 */
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError, type ErrorCode, toAppError } from '../../shared/errors.ts'
import type { NewId, Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { cameraClientId } from '../../shared/names.ts'
import { createBackOff } from '../../shared/retry.ts'
import type { Verifier } from '../../shared/signing.ts'
import { topics } from '../../shared/topics.ts'
import { type CameraStatus, EARLIEST_TIME_MS } from '../../shared/wire/index.ts'
import type { ClockState } from '../clock-state.ts'
import type { Hotlists } from '../hotlist/hotlist.ts'
import type { Identity } from '../identity.ts'
import { limitLog } from '../limited-log.ts'
import type { Outbox, OutboxRow } from '../outbox/outbox.ts'
import type { CameraPolicy } from '../policy.ts'
import type { SigningKeys } from '../signing-keys.ts'
import { type Connection, openConnection } from './connection.ts'
import { createInbox, type Inbox, type RollOuts } from './inbox.ts'
import { createRenewal } from './renewal.ts'
import { createSetBacks } from './set-backs.ts'

/** A publish without PUBACK for this long: the connection is no good, milliseconds. */
export const ACK_TIMEOUT_MS = 30 * SECOND_MS
/** Between looks at timeouts and at rows that may be tried again, milliseconds. */
const TICK_MS = SECOND_MS
/** A connection that lasted this long was a good one: the next failure is tried again soon. Milliseconds. */
const GOOD_CONNECTION_MS = 30 * SECOND_MS
const RECONNECT = { firstMs: 500, mostMs: 60 * SECOND_MS }
/** For the last status and DISCONNECT, milliseconds. */
const FAREWELL_MS = SECOND_MS

export interface UplinkCounters {
  connections: number
  /** Connections that failed or ended, by code. */
  failures: Partial<Record<ErrorCode, number>>
  acknowledged: number
  setBacks: number
  refused: number
}

export interface Uplink {
  readonly connected: boolean
  readonly inFlight: number
  readonly sessionId: string
  readonly counters: UplinkCounters
  /** Something was put into the outbox. */
  wake(): void
  /** What has become of an update or of settings. */
  acknowledge: Inbox['acknowledge']
  /** QoS 0, dropped while not connected. */
  publishHealth(payload: Uint8Array): void
  /** Connects again and again until `signal` aborts; then says good-bye and resolves. */
  run(signal: AbortSignal): Promise<void>
}

export interface UplinkConfig {
  agency: string
  cameraId: string
  broker: { url: string; keepaliveSeconds: number }
  inFlight: number
}

export interface UplinkDeps {
  config: UplinkConfig
  outbox: Outbox
  hotlists: Hotlists
  policy: CameraPolicy
  signingKeys: SigningKeys
  identity: Identity
  verifier: Verifier
  rollOuts: RollOuts
  clockState: Pick<ClockState, 'agingMs' | 'state'>
  software: string
  clock: Clock
  newId: NewId
  random: Random
  log: Log
}

/** Where a row goes; what is sealed is sealed for this place. */
export function outboxTopic(
  { agency, cameraId }: Pick<UplinkConfig, 'agency' | 'cameraId'>,
  kind: OutboxRow['kind'],
  sightingId: string,
): string {
  return kind === 'sighting' ? topics.sightings(agency, cameraId) : topics.crop(agency, cameraId, sightingId)
}

export function createUplink(deps: UplinkDeps): Uplink {
  return new OutboxUplink(deps)
}

class OutboxUplink implements Uplink {
  readonly #deps: UplinkDeps
  readonly #inbox: Inbox
  readonly #setBacks = createSetBacks()
  readonly counters: UplinkCounters = { connections: 0, failures: {}, acknowledged: 0, setBacks: 0, refused: 0 }
  #connection: Connection | null = null
  #sessionId: string
  /** Unacknowledged rows in the order in which they were sent. */
  readonly #sent = new Map<number, { wasSetBack: boolean; sentAtMs: number }>()
  /** Acknowledged and not yet removed; outlives a connection, so that a full disk does not make them go twice. */
  readonly #acked = new Set<number>()
  #flushing = false

  constructor(deps: UplinkDeps) {
    this.#deps = deps
    this.#sessionId = deps.newId()
    this.#inbox = createInbox({
      agency: deps.config.agency,
      cameraId: deps.config.cameraId,
      hotlists: deps.hotlists,
      policy: deps.policy,
      signingKeys: deps.signingKeys,
      renewal: createRenewal({ ...deps, ...deps.config }),
      rollOuts: deps.rollOuts,
      clock: deps.clock,
      newId: deps.newId,
      log: limitLog(deps.log, deps.clock),
      onRefused: () => {
        this.counters.refused += 1
      },
    })
  }

  get connected(): boolean {
    return this.#connection?.isOpen ?? false
  }

  get inFlight(): number {
    return this.#sent.size
  }

  get sessionId(): string {
    return this.#sessionId
  }

  wake(): void {
    this.#pump()
  }

  acknowledge(...told: Parameters<Inbox['acknowledge']>): void {
    this.#inbox.acknowledge(...told)
  }

  publishHealth(payload: Uint8Array): void {
    const { agency, cameraId } = this.#deps.config
    // Health says how things are now; one that is lost is replaced by the next.
    this.#connection?.publish(topics.health(agency, cameraId), payload, { qos: 0 }).catch(() => {})
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, random } = this.#deps
    const backOff = createBackOff(RECONNECT, random)
    while (!signal.aborted) {
      const startedAtMs = clock.monotonicMs()
      const ackedBefore = this.counters.acknowledged
      const error = await this.#session(signal)
      if (signal.aborted) return
      this.counters.failures[error.code] = (this.counters.failures[error.code] ?? 0) + 1
      const wasGood = this.counters.acknowledged > ackedBefore || clock.monotonicMs() - startedAtMs > GOOD_CONNECTION_MS
      // A broker that sends what passes every limit is no good one, whatever it acknowledges meanwhile.
      if (wasGood && error.code !== 'too_large') backOff.reset()
      const retryInMs = backOff.nextMs()
      log.warn('uplink_down', {
        code: error.code,
        error: error.message,
        hint: error.hint,
        retryInMs,
        attempt: backOff.attempts,
      })
      await clock.sleep(retryInMs, signal).catch(() => {})
    }
  }

  /** One connection, from TLS to its end; resolves with why it ended. */
  async #session(signal: AbortSignal): Promise<AppError> {
    const { clock, config, log, newId, identity, clockState } = this.#deps
    this.#sessionId = newId()
    const sinceMs = Math.max(EARLIEST_TIME_MS, clock.nowMs())
    let connection: Connection
    try {
      // Read each time: a renewed certificate is taken without a restart.
      const own = await identity.load()
      connection = await openConnection({
        url: config.broker.url,
        clientId: cameraClientId(config.agency, config.cameraId),
        keepaliveSeconds: config.broker.keepaliveSeconds,
        ...own,
        isClockTrusted: clockState.state === 'synced',
        will: { topic: topics.status(config.agency, config.cameraId), payload: this.#status(false, sinceMs) },
        signal,
        onPublish: (topic, payload) => this.#inbox.receive(topic, payload),
      })
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'unauthenticated' || error.code === 'forbidden') identity.refused()
      return error
    }
    identity.accepted()
    this.counters.connections += 1
    log.info('uplink_up', { sessionId: this.#sessionId, url: config.broker.url })
    return await this.#converse(connection, sinceMs, signal)
  }

  async #converse(connection: Connection, sinceMs: number, signal: AbortSignal): Promise<AppError> {
    const { clock } = this.#deps
    const over = new AbortController()
    const leave = () => over.abort()
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) over.abort()
    this.#connection = connection
    connection.closed.then(leave)
    this.#publishStatus(connection, true, sinceMs)
    this.#inbox.open(connection).catch((thrown: unknown) => connection.destroy(toAppError(thrown)))
    this.#pump()
    while (!over.signal.aborted) {
      await clock.sleep(TICK_MS, over.signal).catch(() => {})
      this.#checkAcks(connection)
      this.#flush()
      this.#pump()
      void this.#inbox.advance()
    }
    signal.removeEventListener('abort', leave)
    if (signal.aborted) await this.#farewell(connection, sinceMs)
    const error = await connection.closed
    this.#connection = null
    this.#closed(signal.aborted)
    return error
  }

  async #farewell(connection: Connection, sinceMs: number): Promise<void> {
    const { clock } = this.#deps
    const polite = async () => {
      await this.#publishStatus(connection, false, sinceMs)
      await connection.end()
    }
    await Promise.race([polite(), clock.sleep(FAREWELL_MS)])
    connection.destroy(new AppError('unavailable', 'closed by the camera'))
  }

  async #publishStatus(connection: Connection, online: boolean, sinceMs: number): Promise<void> {
    const { agency, cameraId } = this.#deps.config
    const topic = topics.status(agency, cameraId)
    // Fails only with the connection, which says so itself.
    await connection.publish(topic, this.#status(online, sinceMs), { qos: 1, retain: true }).catch(() => {})
  }

  #status(online: boolean, sinceMs: number): Buffer {
    const { config, software } = this.#deps
    const status: CameraStatus = { cameraId: config.cameraId, online, sessionId: this.#sessionId, sinceMs, software }
    return Buffer.from(JSON.stringify(status))
  }

  /** Sends as many rows as may be in flight; a row that was set back goes alone. */
  #pump(): void {
    const connection = this.#connection
    if (connection === null || !connection.isOpen) return
    const { outbox, policy, clock, clockState, config } = this.#deps
    const cutoffs = policy.cutoffs(clockState.agingMs())
    const busy = new Set([...this.#sent.keys(), ...this.#acked])
    const room = (this.#setBacks.probing ? 1 : config.inFlight) - this.#sent.size
    if (room <= 0 || [...this.#sent.values()].some((row) => row.wasSetBack)) return
    const rows = outbox.oldest(room, busy, cutoffs, false)
    if (this.#setBacks.maySend(clock.monotonicMs(), rows.length + this.#sent.size > 0)) {
      const [row] = outbox.oldest(1, busy, cutoffs, true)
      if (row !== undefined) {
        // First what is in flight must be acknowledged, so that a close is surely this row's.
        if (this.#sent.size === 0) this.#send(connection, row, true)
        return
      }
    }
    for (const row of rows) this.#send(connection, row, false)
  }

  #send(connection: Connection, row: OutboxRow, wasSetBack: boolean): void {
    const { config, clock, outbox } = this.#deps
    const topic = outboxTopic(config, row.kind, row.sightingId)
    this.#sent.set(row.rowId, { wasSetBack, sentAtMs: clock.monotonicMs() })
    outbox.sent(row.rowId)
    connection.publish(topic, row.payload, { qos: 1 }).then(
      () => {
        this.#sent.delete(row.rowId)
        this.#acked.add(row.rowId)
        this.#setBacks.acked({ rowId: row.rowId, wasSetBack })
        this.counters.acknowledged += 1
        this.#flushSoon()
      },
      // The row is still in the outbox; #closed looks at it.
      () => {},
    )
  }

  /** All acknowledgements of one turn are removed in one transaction. */
  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      this.#flush()
      this.#pump()
    })
  }

  #flush(): void {
    if (this.#acked.size === 0) return
    try {
      this.#deps.outbox.remove([...this.#acked])
      this.#acked.clear()
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code !== 'storage_full' && error.code !== 'unavailable') throw error
      this.#deps.log.warn('outbox_not_removed', { code: error.code, count: this.#acked.size })
    }
  }

  #checkAcks(connection: Connection): void {
    const [oldest] = this.#sent.values()
    if (oldest === undefined || this.#deps.clock.monotonicMs() - oldest.sentAtMs < ACK_TIMEOUT_MS) return
    connection.destroy(new AppError('unavailable', `no acknowledgement for ${ACK_TIMEOUT_MS} ms`))
  }

  #closed(byUs: boolean): void {
    const { outbox, clock, log } = this.#deps
    this.#flush()
    const [head] = this.#sent
    outbox.unacknowledged([...this.#sent.keys()])
    this.#sent.clear()
    if (byUs) return
    const wasHead = head === undefined ? null : { rowId: head[0], wasSetBack: head[1].wasSetBack }
    if (!this.#setBacks.closed(wasHead, clock.monotonicMs()) || wasHead === null) return
    try {
      outbox.setBack(wasHead.rowId)
      this.counters.setBacks += 1
      log.warn('row_set_back', { seq: wasHead.rowId, count: this.counters.setBacks })
    } catch (thrown) {
      log.warn('row_not_set_back', { seq: wasHead.rowId, code: toAppError(thrown).code })
    }
  }
}

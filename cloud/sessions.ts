/**
 * The broker's memory on SQLite: subscriptions, queues, retained messages and wills survive a restart or SIGKILL of the cloud.
 * It extends aedes' in-memory store, which keeps the topic tree, and writes through. Queues are bounded; what is past its
 * retention is never delivered and is purged, for queued alerts hold plates too. Owns the broker_ tables but the queues'.
 *
 * Inbound QoS 2 handshakes stay in memory, bounded: ingest is idempotent, so a repeat after a restart does no harm.
 */
import type { Readable } from 'node:stream'
import type { Client, Subscription } from 'aedes'
import MemoryPersistence, { type StoredPacket } from 'aedes-persistence/asyncPersistence.js'
import { DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { openQueues, type Queues, type QueuesDeps, toDeleted } from './broker/queues.ts'
import { toBuffer } from './broker/stored-packet.ts'
import type { Database } from './database/database.ts'
import type { Deleted, PurgeStep } from './purge-receipt.ts'

export const MAX_SUBSCRIPTIONS_PER_SESSION = 32
/** QoS 2 publishes of a session that wait for their PUBREL, over all its connections: each holds its payload. */
export const MAX_HALF_OPEN_QOS2 = 100
/** Persistent sessions, cameras and people together. */
export const MAX_SESSIONS = 20_000
/** Persistent sessions of one account; a further device takes the place of the one that was away for longest. */
export const MAX_SESSIONS_PER_ACCOUNT = 16
/** A session whose client has not come for this long is forgotten. */
export const SESSION_FORGOTTEN_AFTER_MS = 30 * DAY_MS

export interface SessionsDeps extends QueuesDeps {
  /** Subscriptions that were not granted to the client are not stored: aedes hands over the whole SUBSCRIBE packet. */
  mayKeep: (client: { id: string }, topic: string) => boolean
  /** A stored Will that may not be published would be tried for ever. */
  mayLeaveWill: (clientId: string, topic: string) => boolean
  /** The account that a client id belongs to; null for a camera's, which has one session by its nature. */
  accountOf: (clientId: string) => string | null
  isConnected: (clientId: string) => boolean
}

type Named = Pick<Client, 'id'>

export class Sessions extends MemoryPersistence {
  readonly #deps: SessionsDeps
  /** Writes one after the other: an update must find what its enqueue stored. */
  readonly #database: Database
  readonly #queues: Queues
  /** Message ids of half-open QoS 2 publishes, by client id. */
  readonly #halfOpen = new Map<string, Set<number>>()
  /** Packets whose filters are being stored. */
  readonly #storing = new Map<Subscription[], Promise<void>>()

  constructor(deps: SessionsDeps) {
    super()
    this.#deps = deps
    this.#database = deps.database
    this.#queues = openQueues(deps)
  }

  /** Loads what the last run left; called by aedes before it listens. */
  override async setup(broker: unknown): Promise<void> {
    await super.setup(broker)
    const { build } = this.#database
    for (const row of await this.#database.read(build.selectFrom('broker_subscriptions').selectAll())) {
      await super.addSubscriptions({ id: row.client_id }, [{ topic: row.topic, qos: row.qos as 0 | 1 | 2 }])
    }
    for (const row of await this.#database.read(build.selectFrom('broker_retained').selectAll())) {
      await super.storeRetained({ cmd: 'publish', topic: row.topic, qos: row.qos, retain: true, payload: row.payload })
    }
    for (const row of await this.#database.read(build.selectFrom('broker_wills').selectAll())) {
      const packet = { ...JSON.parse(row.packet), payload: row.payload }
      if (!this.#deps.mayLeaveWill(row.client_id, packet.topic)) {
        await this.#database.writeBatch([build.deleteFrom('broker_wills').where('client_id', '=', row.client_id)])
        continue
      }
      await super.putWill({ id: row.client_id }, packet)
      // super stamps this broker's id; a will of an earlier run must look like that of a dead broker, so that it is published.
      packet.brokerId = row.broker_id
    }
  }

  override async storeRetained(packet: StoredPacket): Promise<void> {
    const { build } = this.#database
    const payload = toBuffer(packet.payload)
    const row = { topic: packet.topic, qos: packet.qos, stored_at_ms: this.#deps.clock.nowMs(), payload }
    await this.#database.writeBatch([
      payload.length === 0
        ? build.deleteFrom('broker_retained').where('topic', '=', packet.topic)
        : build
            .insertInto('broker_retained')
            .values(row)
            .onConflict((conflict) => conflict.column('topic').doUpdateSet(row)),
    ])
    await super.storeRetained({ ...packet, payload })
  }

  /** aedes calls this for each filter of a packet, each time with all of them: the first call stores them. */
  override addSubscriptions(client: Named, subscriptions: Subscription[]): Promise<void> {
    const first = this.#storing.get(subscriptions)
    if (first !== undefined) return first
    const storing = this.#addSubscriptions(client, subscriptions)
    this.#storing.set(subscriptions, storing)
    const stored = () => this.#storing.delete(subscriptions)
    storing.then(stored, stored)
    return storing
  }

  async #addSubscriptions(client: Named, subscriptions: Subscription[]): Promise<void> {
    const known = await super.subscriptionsByClient(client)
    // Only now: at the first call, the rest of the packet has not been granted yet.
    const kept = subscriptions.filter((subscription) => this.#deps.mayKeep(client, subscription.topic))
    if (kept.length === 0) return
    const topics = new Set([...known, ...kept].map((subscription) => subscription.topic))
    if (topics.size > MAX_SUBSCRIPTIONS_PER_SESSION) {
      throw new AppError('too_large', `at most ${MAX_SUBSCRIPTIONS_PER_SESSION} subscriptions a session`)
    }
    if (known.length === 0) await this.#makeRoomFor(client.id)
    const seen_at_ms = this.#deps.clock.nowMs()
    await this.#database.writeBatch(
      kept.map(({ topic, qos }) =>
        this.#database.build
          .insertInto('broker_subscriptions')
          .values({ client_id: client.id, topic, qos, seen_at_ms })
          .onConflict((conflict) => conflict.columns(['client_id', 'topic']).doUpdateSet({ qos, seen_at_ms })),
      ),
    )
    await super.addSubscriptions(client, kept)
  }

  override async removeSubscriptions(client: Named, topics: string[]): Promise<void> {
    // What was never held needs no statement; one for each topic, as a list of any length would be a new statement each time.
    const held = new Set((await super.subscriptionsByClient(client)).map(({ topic }) => topic))
    const removed = topics.filter((topic) => held.has(topic))
    if (removed.length === 0) return
    await this.#database.writeBatch(
      removed.map((topic) =>
        this.#database.build
          .deleteFrom('broker_subscriptions')
          .where('client_id', '=', client.id)
          .where('topic', '=', topic),
      ),
    )
    await super.removeSubscriptions(client, removed)
  }

  /** A clean session, or one that is forgotten: neither its subscriptions nor what was queued for it stays. */
  override async cleanSubscriptions(client: Named): Promise<void> {
    const known = await super.subscriptionsByClient(client)
    // Most clean connections never had a session: then there is nothing to write.
    if (known.length > 0 || !(await this.#queues.isEmpty(client.id))) await this.#end(client.id)
    await super.cleanSubscriptions(client)
  }

  /** Deletes what is stored of a session; returns the queued publishes that went with it. */
  async #end(clientId: string): Promise<Deleted[]> {
    const { build } = this.#database
    const [, outgoing] = await this.#database.writeBatch([
      build.deleteFrom('broker_subscriptions').where('client_id', '=', clientId),
      this.#queues.emptying(clientId),
    ])
    await super.cleanSubscriptions({ id: clientId })
    await this.cleanIncoming({ id: clientId })
    return toDeleted(outgoing?.rows ?? [])
  }

  /** Before a session is added. Throws `too_large` when there are too many in all, or all of the account's are in use. */
  async #makeRoomFor(clientId: string): Promise<void> {
    const account = this.#deps.accountOf(clientId)
    if (account !== null) {
      const { build } = this.#database
      const others = await this.#database.read(
        build
          .selectFrom('broker_subscriptions')
          .select(['client_id', (eb) => eb.fn.max('seen_at_ms').as('seen_at_ms')])
          .where('client_id', '>', `${account}.`)
          // '/' is the character after '.'.
          .where('client_id', '<', `${account}/`)
          .groupBy('client_id')
          .orderBy('seen_at_ms'),
      )
      const away = others.filter((other) => !this.#deps.isConnected(other.client_id))
      for (let held = others.length; held >= MAX_SESSIONS_PER_ACCOUNT; held -= 1) {
        const oldest = away.shift()
        if (oldest === undefined) {
          throw new AppError('too_large', `at most ${MAX_SESSIONS_PER_ACCOUNT} persistent sessions an account`)
        }
        // Its alerts stay listed over HTTP.
        const dropped = (await this.#end(oldest.client_id)).length
        if (dropped > 0) this.#deps.onDropped(dropped)
      }
    }
    if ((await super.countOffline()).clientsCount >= MAX_SESSIONS) {
      throw new AppError('too_large', `at most ${MAX_SESSIONS} persistent sessions`)
    }
  }

  override async outgoingEnqueue(subscription: { clientId: string }, packet: StoredPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet)
  }

  override async outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: StoredPacket): Promise<void> {
    await this.#queues.enqueue(new Set(subscriptions.map((subscription) => subscription.clientId)), packet)
  }

  override outgoingUpdate(client: Named, packet: StoredPacket): Promise<void> {
    return this.#queues.update(client.id, packet)
  }

  override outgoingClearMessageId(client: Named, packet: StoredPacket): Promise<StoredPacket | undefined> {
    return this.#queues.clearMessageId(client.id, packet)
  }

  override outgoingStream(client: Named): Readable {
    return this.#queues.stream(client.id)
  }

  override async incomingStorePacket(client: Named, packet: StoredPacket): Promise<void> {
    const ids = this.#halfOpen.get(client.id) ?? new Set()
    const id = packet.messageId ?? 0
    if (!ids.has(id) && ids.size >= MAX_HALF_OPEN_QOS2) {
      throw new AppError('too_large', `at most ${MAX_HALF_OPEN_QOS2} half-open QoS 2 publishes a session`)
    }
    this.#halfOpen.set(client.id, ids.add(id))
    await super.incomingStorePacket(client, packet)
  }

  override async incomingDelPacket(client: Named, packet: StoredPacket): Promise<void> {
    await super.incomingDelPacket(client, packet)
    this.#halfOpen.get(client.id)?.delete(packet.messageId ?? 0)
  }

  override async cleanIncoming(client: Named): Promise<void> {
    this.#halfOpen.delete(client.id)
    await super.cleanIncoming(client)
  }

  override async putWill(client: Named, packet: StoredPacket): Promise<void> {
    await super.putWill(client, packet)
    const { payload, ...rest } = packet
    const row = {
      client_id: client.id,
      broker_id: packet.brokerId ?? '',
      packet: JSON.stringify(rest),
      payload: toBuffer(payload),
    }
    await this.#database.writeBatch([
      this.#database.build
        .insertInto('broker_wills')
        .values(row)
        .onConflict((conflict) => conflict.column('client_id').doUpdateSet(row)),
    ])
  }

  override async delWill(client: Named): Promise<StoredPacket | undefined> {
    const will = await super.delWill(client)
    if (will !== undefined) {
      await this.#database.writeBatch([
        this.#database.build.deleteFrom('broker_wills').where('client_id', '=', client.id),
      ])
    }
    return will
  }

  /** The session's client is here: its time to be forgotten starts again when it leaves. */
  async touch(clientId: string): Promise<void> {
    await this.#database.writeBatch([
      this.#database.build
        .updateTable('broker_subscriptions')
        .set({ seen_at_ms: this.#deps.clock.nowMs() })
        .where('client_id', '=', clientId),
    ])
  }

  /** What an account may no longer receive is neither kept for it nor queued: `maySubscribe` is by its rights of now. */
  async restrict(account: string, maySubscribe: (filter: string) => boolean): Promise<void> {
    const { build } = this.#database
    const rows = await this.#database.read(build.selectFrom('broker_subscriptions').select(['client_id', 'topic']))
    for (const { client_id, topic } of rows) {
      if (this.#deps.accountOf(client_id) !== account || maySubscribe(topic)) continue
      await this.removeSubscriptions({ id: client_id }, [topic])
      await this.#queues.dropTopic(client_id, topic)
    }
  }

  /** The payload that is retained at `topic`, or null. */
  async retained(topic: string): Promise<Buffer | null> {
    const { build } = this.#database
    const [row] = await this.#database.read(
      build.selectFrom('broker_retained').select('payload').where('topic', '=', topic),
    )
    return row?.payload ?? null
  }

  /** Before the database is closed: what was acknowledged has left its queue. */
  settled(): Promise<void> {
    return this.#queues.settled()
  }

  /** Ends the stored sessions of the clients that match: a camera that was revoked. */
  async forget(matches: (clientId: string) => boolean): Promise<void> {
    const { build } = this.#database
    const rows = await this.#database.read(build.selectFrom('broker_subscriptions').select('client_id').distinct())
    for (const { client_id } of rows) {
      if (matches(client_id)) await this.cleanSubscriptions({ id: client_id })
    }
  }

  /**
   * Deletes at most `limit` queued publishes past retention, and sessions whose client stays away by at most as many of their
   * subscriptions: their queued publishes go with them.
   */
  async purge(limit: number): Promise<PurgeStep> {
    const { build } = this.#database
    const nowMs = this.#deps.clock.nowMs()
    // DISTINCT would walk the whole table in the order of its key instead of the idle rows.
    const idle = await this.#database.read(
      build
        .selectFrom('broker_subscriptions')
        .select('client_id')
        .where('seen_at_ms', '<=', nowMs - SESSION_FORGOTTEN_AFTER_MS)
        .limit(limit),
    )
    const forgotten: Deleted[] = []
    for (const client_id of new Set(idle.map((row) => row.client_id))) {
      if (this.#deps.isConnected(client_id)) await this.touch(client_id)
      else forgotten.push(...(await this.#end(client_id)))
    }
    const expired = await this.#queues.purge(limit)
    return {
      deleted: { queue: [...forgotten, ...expired] },
      isDone: expired.length < limit && idle.length < limit,
    }
  }
}

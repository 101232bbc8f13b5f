/** What waits for persistent sessions whose clients are away or have not acknowledged it. Owns the table broker_outgoing. */
import { Readable } from 'node:stream'
import type { StoredPacket } from 'aedes-persistence/asyncPersistence.js'
import type { Selectable } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import { sha256Hex } from '../../shared/signing.ts'
import type { Database, Statement } from '../database/database.ts'
import type { BrokerOutgoingTable } from '../database/schema.ts'
import type { Deleted } from '../purge-receipt.ts'
import { createGathering } from './gathering.ts'
import { toPacket, toRow } from './stored-packet.ts'

/** Publishes waiting for one offline session; the oldest is dropped for a newer one, counted. Alerts stay listed over HTTP. */
export const MAX_QUEUED_PER_SESSION = 1_000
/**
 * An acknowledged publish leaves its queue within this, together with those of others: nobody waits for that. What a crash leaves is
 * delivered again, as QoS 1 allows. Milliseconds.
 */
const CLEAR_WITHIN_MS = 10
/** Rows read at once while a queue is delivered. */
const DELIVERY_STEP = 50

export interface QueuesDeps {
  database: Database
  clock: Clock
  /** How long a queued publish may be delivered, milliseconds from `retainedFrom`. */
  keptMs: () => number
  /** Where the retention of a queued publish starts to run. */
  retainedFrom: (packet: { topic: string; payload: Buffer }, nowMs: number) => number
  onDropped: (count: number) => void
}

export interface Queues {
  enqueue(clientIds: ReadonlySet<string>, packet: StoredPacket): Promise<void>
  /** Gives the queued packet its message id, or puts the PUBREL of QoS 2 in the place of its PUBLISH. Throws if there is none. */
  update(clientId: string, packet: StoredPacket): Promise<void>
  /** Takes the acknowledged packet out and returns it. */
  clearMessageId(clientId: string, packet: StoredPacket): Promise<StoredPacket | undefined>
  /** Oldest first, read in steps; never a packet past its retention. */
  stream(clientId: string): Readable
  isEmpty(clientId: string): Promise<boolean>
  /** The statement that empties it, for a transaction in which the session ends; its rows are for `toDeleted`. */
  emptying(clientId: string): Statement
  dropTopic(clientId: string, topic: string): Promise<void>
  /** Deletes at most `limit` publishes past retention. */
  purge(limit: number): Promise<Deleted[]>
  /** Resolves when what was acknowledged until now has left its queue. */
  settled(): Promise<void>
}

export function openQueues({ database, clock, keptMs, retainedFrom, onDropped }: QueuesDeps): Queues {
  const { build } = database
  // Before anything else runs: aedes takes a publish that a later one overtakes for one that the client has had already.
  const enqueueing = createGathering(database, queueMicrotask)
  const naming = createGathering(database, setImmediate)
  const clearing = createGathering(database, (commit) => void clock.sleep(CLEAR_WITHIN_MS).then(commit))
  const toQueued = (packet: StoredPacket) => toRow(packet, (of) => retainedFrom(of, clock.nowMs()))

  return {
    async enqueue(clientIds, packet) {
      if (clientIds.size === 0) return
      const row = toQueued(packet)
      const statements: Statement[] = [...clientIds].flatMap((client_id) => [
        build.insertInto('broker_outgoing').values({ ...row, client_id, message_id: null }),
        build
          .deleteFrom('broker_outgoing')
          .where('client_id', '=', client_id)
          .where(
            'position',
            '<=',
            build
              .selectFrom('broker_outgoing')
              .select('position')
              .where('client_id', '=', client_id)
              .orderBy('position', 'desc')
              .limit(1)
              .offset(MAX_QUEUED_PER_SESSION),
          ),
      ])
      const written = await enqueueing.write(statements)
      const dropped = written.reduce((sum, { changes }, i) => (i % 2 === 1 ? sum + changes : sum), 0)
      if (dropped > 0) onDropped(dropped)
    },

    async update(clientId, packet) {
      const own = build.updateTable('broker_outgoing').where('client_id', '=', clientId)
      const message_id = packet.messageId ?? null
      const [named] = await naming.write([
        own
          .set({ message_id })
          .where('broker_id', '=', packet.brokerId ?? '')
          .where('broker_counter', '=', packet.brokerCounter ?? 0),
      ])
      if (named !== undefined && named.changes > 0) return
      const { packet: document, payload } = toQueued(packet)
      const [replaced] = await naming.write([
        own.set({ packet: document, payload }).where('message_id', '=', message_id),
      ])
      if (replaced === undefined || replaced.changes === 0) throw new Error('no such packet')
    },

    async clearMessageId(clientId, packet) {
      if (packet.messageId === undefined || packet.messageId === null) return undefined
      const [row] = await database.read(
        build
          .selectFrom('broker_outgoing')
          .selectAll()
          .where('client_id', '=', clientId)
          .where('message_id', '=', packet.messageId)
          .orderBy('position')
          .limit(1),
      )
      if (row === undefined) return undefined
      await clearing.write([build.deleteFrom('broker_outgoing').where('position', '=', row.position)])
      return toPacket(row)
    },

    stream(clientId) {
      async function* stored() {
        let after = 0
        for (;;) {
          const rows = await database.read(
            build
              .selectFrom('broker_outgoing')
              .selectAll()
              .where('client_id', '=', clientId)
              .where('position', '>', after)
              .where('retained_from_ms', '>', clock.nowMs() - keptMs())
              .orderBy('position')
              .limit(DELIVERY_STEP),
          )
          for (const row of rows) yield toPacket(row)
          const last = rows.at(-1)
          if (last === undefined) return
          after = last.position
        }
      }
      return Readable.from(stored())
    },

    async isEmpty(clientId) {
      const queued = build.selectFrom('broker_outgoing').select('position').where('client_id', '=', clientId)
      return (await database.read(queued.limit(1))).length === 0
    },

    emptying: (clientId) => build.deleteFrom('broker_outgoing').where('client_id', '=', clientId).returning(QUEUED),

    async dropTopic(clientId, topic) {
      const queued = await database.read(
        build.selectFrom('broker_outgoing').select(['position', 'packet']).where('client_id', '=', clientId),
      )
      await database.writeBatch(
        queued
          .filter(({ packet }) => (JSON.parse(packet) as StoredPacket).topic === topic)
          .map(({ position }) => build.deleteFrom('broker_outgoing').where('position', '=', position)),
      )
    },

    async purge(limit) {
      const [deleted] = await database.writeBatch([
        build
          .deleteFrom('broker_outgoing')
          .where(
            'position',
            'in',
            build
              .selectFrom('broker_outgoing')
              .select('position')
              .where('retained_from_ms', '<=', clock.nowMs() - keptMs())
              .limit(limit),
          )
          .returning(QUEUED),
      ])
      return toDeleted(deleted?.rows ?? [])
    },

    settled: () => clearing.settled(),
  }
}

const QUEUED = ['position', 'retained_from_ms', 'payload'] as const

/** What is written down of queued publishes that a purge deleted. */
export function toDeleted(rows: readonly unknown[]): Deleted[] {
  return (rows as Selectable<Pick<BrokerOutgoingTable, (typeof QUEUED)[number]>>[]).map((row) => ({
    id: String(row.position),
    sha256: sha256Hex(row.payload),
    retainedFromMs: row.retained_from_ms,
  }))
}

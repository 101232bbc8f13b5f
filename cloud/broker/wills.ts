/**
 * Wills, published by us and not by aedes: one that cannot be stored at once is kept and tried again, and a connection that takes the
 * place of another keeps its own. Called by broker.ts.
 */
import type { StoredPacket } from 'aedes-persistence/asyncPersistence.js'
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'
import type { Sessions } from '../sessions.ts'
import { toBuffer } from './stored-packet.ts'

/** A camera that comes back within this time after a restart of the cloud was never offline: its Will is not published. */
const WILL_GRACE_MS = 2 * MINUTE_MS
/** Broker id of a Will that was to be published and could not be. */
const UNPUBLISHED = ''

export interface WillsDeps {
  sessions: Sessions
  clock: Clock
  /** Resolves when what the Will says is durable. */
  store: (will: StoredPacket) => Promise<void>
  publish: (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>
  isClosed: () => boolean
  onFailed: (name: string, thrown: unknown) => void
}

export interface Wills {
  /** Of a client that went away. Never throws: a Will that cannot be published is tried again by `publishLeft`, or by the next run. */
  publish(will: StoredPacket): Promise<void>
  /** Called once a minute: those that could not be published, and those of clients that did not come back after a restart. */
  publishLeft(brokerId: string): Promise<void>
}

export function createWills({ sessions, clock, store, publish, isClosed, onFailed }: WillsDeps): Wills {
  const startedMs = clock.monotonicMs()

  const wills: Wills = {
    async publish(will) {
      // The end of the cloud is not that of its cameras.
      if (isClosed()) return
      const client = { id: will.clientId ?? '' }
      try {
        await store(will)
        await publish(will.topic, toBuffer(will.payload), { qos: will.qos === 0 ? 0 : 1, retain: will.retain ?? false })
        // The client may be back, with another Will.
        if ((await sessions.getWill(client)) === will) await sessions.delWill(client)
      } catch (thrown) {
        will.brokerId = UNPUBLISHED
        onFailed('will_not_published', thrown)
      }
    },
    async publishLeft(brokerId) {
      const mayComeBack = clock.monotonicMs() - startedMs < WILL_GRACE_MS
      for await (const will of sessions.streamWill({ [brokerId]: true })) {
        if (will.brokerId === UNPUBLISHED || !mayComeBack) await wills.publish(will)
      }
    },
  }
  return wills
}

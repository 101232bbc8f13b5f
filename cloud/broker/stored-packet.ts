/** A queued packet as a row and back. Used by sessions.ts alone. */
import type { StoredPacket } from 'aedes-persistence/asyncPersistence.js'
import type { BrokerOutgoingTable } from '../database/schema.ts'

type PacketRow = Pick<BrokerOutgoingTable, 'broker_id' | 'broker_counter' | 'retained_from_ms' | 'packet' | 'payload'>

/** `retainedFrom`: where the retention of such a publish starts, milliseconds since 1970 UTC. */
export function toRow(
  packet: StoredPacket,
  retainedFrom: (of: { topic: string; payload: Buffer }) => number,
): PacketRow {
  // Only what travels: aedes adds its own bookkeeping to the object, and assigns the message id anew.
  const { cmd = 'publish', topic, qos = 0, retain = false, dup = false, brokerId, brokerCounter } = packet
  const rest = { cmd, topic, qos, retain, dup, brokerId, brokerCounter, isText: typeof packet.payload === 'string' }
  const payload = toBuffer(packet.payload)
  return {
    broker_id: packet.brokerId ?? '',
    broker_counter: packet.brokerCounter ?? 0,
    retained_from_ms: retainedFrom({ topic: packet.topic ?? '', payload }),
    packet: JSON.stringify(rest),
    payload,
  }
}

export function toBuffer(payload: string | Buffer | undefined): Buffer {
  if (payload === undefined) return Buffer.alloc(0)
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}

export function toPacket(row: Pick<BrokerOutgoingTable, 'packet' | 'payload' | 'message_id'>): StoredPacket {
  const { isText, ...packet } = JSON.parse(row.packet) as StoredPacket & { isText: boolean }
  if (packet.cmd === 'pubrel') return { cmd: packet.cmd, messageId: row.message_id ?? undefined } as StoredPacket
  return {
    ...packet,
    payload: isText ? row.payload.toString() : row.payload,
    messageId: row.message_id ?? undefined,
  }
}

/**
 * Looks at packets before aedes does: what is too long, or asks for more than a session may hold, ends the connection before it
 * costs anything. Used by broker.ts alone.
 */
import type { Duplex } from 'node:stream'
import type { Client } from 'aedes'
import { MAX_PACKET_BYTES } from '../../shared/wire/index.ts'
import { MAX_SUBSCRIPTIONS_PER_SESSION } from '../sessions.ts'
import { MAX_UNSENT_BYTES } from './delivery.ts'

export type PacketFault = 'packet_too_large' | 'subscribe'

/** The parts of aedes' parser that are looked at: the length of the packet that is being read, and what comes out. */
interface Parser {
  packet: { length: number }
  prependListener(name: 'packet', listener: (packet: Packet) => void): void
}

interface Packet {
  cmd: string
  subscriptions?: unknown[]
  unsubscriptions?: unknown[]
}

export function guardPackets(client: Client, stream: Duplex, onFault: (fault: PacketFault) => void): void {
  const parser = (client as unknown as { _parser: Parser })._parser
  // The parser would buffer up to 256 MiB for one packet; its length is known from the fixed header on [MQTT-2.2.3].
  stream.on('readable', () => {
    if (parser.packet.length <= MAX_PACKET_BYTES) return
    onFault('packet_too_large')
    stream.destroy()
  })
  parser.prependListener('packet', (packet) => {
    const topics = packet.subscriptions ?? packet.unsubscriptions ?? []
    if (topics.length > MAX_SUBSCRIPTIONS_PER_SESSION) {
      // aedes gets the packet all the same; emptied, it costs nothing.
      topics.length = 0
      onFault('subscribe')
      stream.destroy()
    }
    // Whoever never reads what is answered.
    if (stream.writableLength > MAX_UNSENT_BYTES) stream.destroy()
  })
}

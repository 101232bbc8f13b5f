/** The package's types describe its callback interface of old; this is the asynchronous one that aedes 1 uses. */
declare module 'aedes-persistence/asyncPersistence.js' {
  import type { Readable } from 'node:stream'
  import type { Subscription } from 'aedes'

  /** A packet as aedes hands it over: PUBLISH, or PUBREL in its place. */
  export interface StoredPacket {
    cmd: string
    topic: string
    payload: string | Buffer
    qos: number
    retain?: boolean
    dup?: boolean
    messageId?: number | undefined
    brokerId?: string
    brokerCounter?: number
    clientId?: string
  }

  export default class MemoryPersistence {
    static readonly Packet: new (
      original: StoredPacket,
    ) => StoredPacket
    setup(broker: unknown): Promise<void>
    storeRetained(packet: object): Promise<void>
    addSubscriptions(client: { id: string }, subscriptions: Pick<Subscription, 'topic' | 'qos'>[]): Promise<void>
    removeSubscriptions(client: { id: string }, topics: string[]): Promise<void>
    subscriptionsByClient(client: { id: string }): Promise<{ topic: string; qos: 0 | 1 | 2 }[]>
    countOffline(): Promise<{ subsCount: number; clientsCount: number }>
    cleanSubscriptions(client: { id: string }): Promise<void>
    outgoingEnqueue(subscription: { clientId: string }, packet: StoredPacket): Promise<void>
    outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: StoredPacket): Promise<void>
    outgoingUpdate(client: { id: string }, packet: StoredPacket): Promise<void>
    outgoingClearMessageId(client: { id: string }, packet: StoredPacket): Promise<StoredPacket | undefined>
    outgoingStream(client: { id: string }): Readable
    incomingStorePacket(client: { id: string }, packet: StoredPacket): Promise<void>
    incomingDelPacket(client: { id: string }, packet: StoredPacket): Promise<void>
    cleanIncoming(client: { id: string }): Promise<void>
    putWill(client: { id: string }, packet: object): Promise<void>
    getWill(client: { id: string }): Promise<StoredPacket | undefined>
    delWill(client: { id: string }): Promise<StoredPacket | undefined>
    subscriptionsByTopic(topic: string): Promise<{ clientId: string; topic: string; qos: number }[]>
    createRetainedStream(pattern: string): AsyncIterable<StoredPacket>
    streamWill(brokers: object): AsyncIterable<StoredPacket>
    destroy(): Promise<void>
  }
}

/**
 * The MQTT broker: who may connect, on which topics, and within which limits. Cameras come with a certificate of our authority
 * over TLS, people with account and token over TLS or secure WebSocket. What a camera publishes goes to ingest before it is
 * acknowledged. Owns no table; its memory is sessions.ts. MQTT 3.1 and 3.1.1; version 5 is refused by aedes with code 1.
 */
import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer, type Server, TLSSocket } from 'node:tls'
import type { AuthenticateError, Client, PublishPacket } from 'aedes'
import type { StoredPacket } from 'aedes-persistence/asyncPersistence.js'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { type Clock, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { cameraClientId } from '../shared/names.ts'
import type { Opener } from '../shared/sealing.ts'
import { type Identity, mayPublish, mayReceive, maySubscribe, parseTopic } from '../shared/topics.ts'
import { MAX_PACKET_BYTES } from '../shared/wire/index.ts'
import { PromptAedes, unsentAction } from './broker/delivery.ts'
import { guardPackets } from './broker/guard.ts'
import { createIdentify, type Identified, type IdentifyDeps } from './broker/identify.ts'
import { openedPayload } from './broker/sealed.ts'
import { createWills } from './broker/wills.ts'
import {
  CIPHERS,
  CONNECTION_LIMITS,
  type ConnectionLimits,
  createAdmission,
  endFailedHandshakes,
} from './connections.ts'
import type { Denial, Denied } from './denials.ts'
import type { Ingest } from './ingest.ts'
import { MAX_REPORT_BYTES } from './reports.ts'
import { MAX_SUBSCRIPTIONS_PER_SESSION, type Sessions } from './sessions.ts'

/** Longest keep-alive interval a client may ask for; a dead peer is noticed after 1.5 times this [MQTT-3.1.2-24]. */
export const MAX_KEEP_ALIVE_MS = 10 * MINUTE_MS
/** Packets a client may send before it is authenticated. */
const MAX_QUEUED_BEFORE_CONNECTED = 42
/** A reader of its queue that takes nothing for this long is cut off: the queue is on disk. */
const DRAIN_TIMEOUT_MS = 30 * SECOND_MS
/** Refusals of one connection that are logged a line each; the audit and the metrics count them all. */
export const MAX_LOGGED_DENIALS = 32
export const WEBSOCKET_PATH = '/mqtt'

export interface Broker {
  readonly mqttServer: Server
  /** Takes over an HTTP upgrade of the page's WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Resolves when the publish is in the queue of every subscribed persistent session. */
  publish(topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }): Promise<void>
  /** Ends matching connections at once, also those that are only being set up; returns how many. */
  disconnect(matches: (identity: Identity, sessionId: string | null) => boolean): number
  /** Ends the connections of cameras whose certificate has run out. */
  endExpired(nowMs: number): void
  /** Called once a minute: Wills that found no room, and those of cameras that did not come back after a restart. Never throws. */
  publishLeftWills(): Promise<void>
  /** From now on new connections see this certificate. */
  renew(tls: { key: string; cert: string }): void
  /** Also while its queue is still being delivered. */
  isConnected(clientId: string): boolean
  /** Was the filter granted to this connection? Asked by the session store before it keeps one. */
  hasFilter(client: { id: string }, filter: string): boolean
  connections(): { cameras: number; people: number }
  close(): Promise<void>
}

export interface BrokerDeps extends IdentifyDeps {
  tls: { key: string; cert: string; ca: string }
  limits?: ConnectionLimits
  sessions: Sessions
  ingest: Ingest
  sealing: Opener
  clock: Clock
  log: Log
  /** A fault of the broker's own, which ended nothing. */
  onFailed: () => void
  onDenied: (denied: Denied) => void
  /** A person is about to watch sightings live. Rejects when it cannot be written down: then there is nothing to watch. */
  onWatch: (session: { account: string; sessionId: string }) => Promise<void>
  onConnection: (change: 1 | -1, kind: Identity['kind']) => void
}

interface Connection extends Identified {
  /** Filters granted. */
  filters: Set<string>
  denials: number
}

export async function openBroker(deps: BrokerDeps): Promise<Broker> {
  const { agency, log, sessions, ingest } = deps
  const limits = deps.limits ?? CONNECTION_LIMITS
  const connections = new WeakMap<object, Connection>()
  /** Who has shown who they are and whose socket is open, ready or not. */
  const authenticated = new Map<Client, Connection>()
  /** Those of them that are ready. */
  const live = new Map<Client, Connection>()
  const admission = createAdmission(limits, (address) =>
    deps.onDenied({ rule: 'too_many_connections', who: null, address, topic: null }),
  )

  const deny = (rule: Denial, client: Client | null, topic: string | null, who: string | null = null): void => {
    const connection = client === null ? undefined : connections.get(client)
    const identity = connection?.identity
    if (connection !== undefined) connection.denials += 1
    const known = identity === undefined ? null : identity.kind === 'camera' ? identity.camera : identity.account
    const denied = { rule, who: known ?? who, address: client === null ? null : addressOf(client), topic }
    if (connection === undefined || connection.denials <= MAX_LOGGED_DENIALS) {
      // The kind alone: a topic that somebody made up may hold a plate.
      const kind = topic === null ? null : (parseTopic(topic)?.kind ?? 'other')
      log.warn('denied', { code: rule, clientId: denied.who, kind })
    }
    deps.onDenied(denied)
  }

  const identify = createIdentify(deps)

  /**
   * After `identify`: the Will is published in this client's name, so it must be one that the client may publish itself. Another is
   * dropped before it is stored; stored, it would be refused at every try.
   */
  function dropForbiddenWill(client: Client, identity: Identity): void {
    const leaving = client as unknown as { _will?: PublishPacket | undefined }
    const will = leaving._will ?? null
    if (will === null) return
    const isTooLong = Buffer.byteLength(will.payload) > MAX_REPORT_BYTES
    if (!isTooLong && isOwnStatus(agency, client.id, will.topic) && publishRefusal(identity, will) === null) return
    leaving._will = undefined
    deny('publish', client, will.topic)
  }

  const aedes = new PromptAedes({
    persistence: sessions as never,
    connectTimeout: limits.connectTimeoutMs,
    keepaliveLimit: MAX_KEEP_ALIVE_MS / SECOND_MS,
    queueLimit: MAX_QUEUED_BEFORE_CONNECTED,
    drainTimeout: DRAIN_TIMEOUT_MS,
    maxClientsIdLength: 23,
    authenticate(client, username, password, done) {
      identify(client, username, password).then(
        (found) => {
          if ('rule' in found) {
            deny(found.rule, client, null, found.who)
            done(notAuthorised(found.rule), false)
            return
          }
          const connection: Connection = { ...found, filters: new Set(), denials: 0 }
          connections.set(client, connection)
          dropForbiddenWill(client, found.identity)
          authenticated.set(client, connection)
          client.conn.once('close', () => authenticated.delete(client))
          done(null, true)
        },
        (thrown: unknown) => {
          log.error('authentication_failed', { error: toAppError(thrown).message })
          done(notAuthorised('unavailable', 3), false)
        },
      )
    },
    authorizePublish(client, packet, done) {
      const refusal =
        client === null ? leftWillRefusal(packet) : publishRefusal(connections.get(client)?.identity ?? null, packet)
      if (refusal !== null) {
        deny(refusal, client, packet.topic)
        // Only closing the connection tells a publisher that it was refused [MQTT-3.3.5-2].
        done(new Error(refusal))
        return
      }
      // aedes would forget a Will that could not be stored, and with it that of a new connection of the same client.
      if (client !== null && packet === (client as unknown as { will: unknown }).will) {
        void wills.publish(packet as unknown as StoredPacket)
        return
      }
      store(packet).then(
        () => done(null),
        (thrown: unknown) => done(toAppError(thrown)),
      )
    },
    authorizeSubscribe(client, subscription, done) {
      const connection = connections.get(client)
      const isFull =
        connection !== undefined &&
        !connection.filters.has(subscription.topic) &&
        connection.filters.size >= MAX_SUBSCRIPTIONS_PER_SESSION
      if (connection === undefined || isFull || !maySubscribe(connection.identity, subscription.topic)) {
        deny('subscribe', client, subscription.topic)
        done(null, null)
        return
      }
      connection.filters.add(subscription.topic)
      // Watching is live: sightings are never queued for a person.
      if (parseTopic(subscription.topic.replace('/+/', '/x/'))?.kind !== 'sightings') {
        done(null, subscription)
        return
      }
      subscription.qos = 0
      const { identity, sessionId } = connection
      const watched =
        identity.kind === 'person' ? deps.onWatch({ account: identity.account, sessionId: sessionId ?? '' }) : null
      Promise.resolve(watched).then(
        () => done(null, subscription),
        () => {
          connection.filters.delete(subscription.topic)
          done(null, null)
        },
      )
    },
    authorizeForward(client, packet) {
      const connection = connections.get(client)
      if (connection === undefined || !mayReceive(connection.identity, packet.topic)) return null
      // A camera publishes its sightings at QoS 1, and who watches them gets them at QoS 0 (authorizeSubscribe).
      const qos = parseTopic(packet.topic)?.kind === 'sightings' ? 0 : packet.qos
      const action = unsentAction(client.conn.writableLength, qos)
      if (action === 'end') client.conn.destroy()
      // aedes takes what may not be forwarded out of the session's queue: what only cannot be sent now must stay there.
      return action === 'send' || qos > 0 ? packet : null
    },
  })
  // A fault of the broker's own, such as a stored Will that cannot be published on a full disk: it is tried again.
  aedes.on('error' as never, (error: unknown) => failed('broker_error', error))
  await aedes.listen()

  /** Of a camera's publish that was allowed; resolves when it is durable. */
  async function store(packet: { topic: string; payload: string | Buffer }): Promise<void> {
    const topic = parseTopic(packet.topic)
    if (topic === null || !('camera' in topic)) throw new AppError('bad_input', 'no topic of a camera')
    const payload = openedPayload(packet, deps.sealing)
    const outcome = await ingest.accept({ topic, topicName: packet.topic, payload })
    // Whoever watches sees what was sealed.
    packet.payload = payload
    // Whoever watches live must not be handed what could not be stored.
    if (outcome === 'quarantined') packet.payload = Buffer.alloc(0)
  }

  const publish: Broker['publish'] = (topic, payload, { qos, retain }) =>
    new Promise((resolve, reject) => {
      aedes.publish({ cmd: 'publish', topic, payload, qos, retain, dup: false }, (error) =>
        error ? reject(toAppError(error)) : resolve(),
      )
    })

  function failed(name: string, thrown: unknown): void {
    const error = toAppError(thrown)
    log.error(name, { code: error.code, error: error.message })
    deps.onFailed()
  }

  const isClosed = () => aedes.closed
  const wills = createWills({ sessions, clock: deps.clock, store, publish, isClosed, onFailed: failed })

  /** A Will left by an earlier run of the cloud: its client id says whose it is. */
  function leftWillRefusal(packet: PublishPacket): Denial | null {
    return isOwnStatus(agency, (packet as { clientId?: string }).clientId ?? '', packet.topic) ? null : 'publish'
  }

  /** The rule by which this publish is refused, or null. */
  function publishRefusal(identity: Identity | null, packet: PublishPacket): Denial | null {
    const topic = parseTopic(packet.topic)
    if (topic === null || identity === null || !mayPublish(identity, packet.topic)) return 'publish'
    const mustBeKept = topic.kind === 'sightings' || topic.kind === 'crop'
    if (mustBeKept && packet.qos === 0) return 'publish_mode'
    // A retained sighting would outlive its retention and be handed to every later subscriber.
    if (packet.retain && topic.kind !== 'status') return 'publish_mode'
    return null
  }

  aedes.on('clientReady', (client) => {
    const connection = connections.get(client)
    // aedes tells of one that was closed meanwhile too, after it has told of its end.
    if (connection === undefined || client.closed) return
    live.set(client, connection)
    deps.onConnection(1, connection.identity.kind)
    if (!client.clean) {
      sessions.touch(client.id).catch((thrown: unknown) => {
        log.warn('session_not_touched', { error: toAppError(thrown).message })
      })
    }
    log.info('connected', { clientId: client.id })
  })
  aedes.on('clientDisconnect', (client) => {
    const connection = live.get(client)
    if (connection === undefined) return
    live.delete(client)
    deps.onConnection(-1, connection.identity.kind)
    log.info('disconnected', { clientId: client.id })
  })
  aedes.on('unsubscribe', (topics, client) => {
    const connection = connections.get(client)
    for (const topic of topics) connection?.filters.delete(topic)
  })
  aedes.on('clientError', (client, error) => {
    log.debug('client_error', { clientId: connections.has(client) ? client.id : null, error: error.message })
  })
  aedes.on('connectionError', (_client, error) => log.debug('connection_error', { error: error.message }))

  function handle(stream: Duplex, request: IncomingMessage | undefined): void {
    const client = aedes.handle(stream as never, request as never)
    guardPackets(client, stream, (fault) => deny(fault, client, null))
  }

  const secureContext = {
    ...deps.tls,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    // A resumed session would skip the look at the certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const
  const mqttServer = createServer(
    {
      ...secureContext,
      requestCert: true,
      // People come without a certificate; whoever shows one must show a good one (identifyCamera).
      rejectUnauthorized: false,
      handshakeTimeout: limits.connectTimeoutMs,
    },
    (socket) => handle(socket, undefined),
  )
  // Before the handshake, or those who never finish it would not count.
  mqttServer.on('connection', (socket: Socket) => admission.admit(socket, socket.remoteAddress ?? ''))
  endFailedHandshakes(mqttServer, (error) => log.debug('tls_error', { error: error.message }))

  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PACKET_BYTES,
    handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : offered.has('mqttv3.1') ? 'mqttv3.1' : false),
  })

  return {
    mqttServer,
    upgrade(request, socket, head) {
      const { origin, host } = request.headers
      // A page of another site must not speak with the cookies or the network position of this browser [RFC 6455, 10.2].
      if (request.url !== WEBSOCKET_PATH || (origin !== undefined && origin !== `https://${host}`)) {
        deps.onDenied({ rule: 'origin', who: null, address: request.socket.remoteAddress ?? null, topic: null })
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n')
        return
      }
      if (!admission.admit(socket, request.socket.remoteAddress ?? '')) return
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', (error) => log.debug('websocket_error', { error: error.message }))
        handle(createWebSocketStream(webSocket), request)
      })
    },
    publish,
    disconnect(matches) {
      let ended = 0
      for (const [client, connection] of authenticated) {
        if (client.closed || !matches(connection.identity, connection.sessionId)) continue
        client.close()
        ended += 1
      }
      return ended
    },
    endExpired(nowMs) {
      for (const [client, { expiresAtMs }] of authenticated) {
        if (expiresAtMs === null || nowMs < expiresAtMs || client.closed) continue
        deny('certificate_expired', client, null)
        client.close()
      }
    },
    publishLeftWills: () => wills.publishLeft(aedes.id),
    renew: (tls) => mqttServer.setSecureContext({ ...secureContext, ...tls }),
    isConnected: (clientId) => [...authenticated.keys()].some((client) => client.id === clientId),
    hasFilter: (client, filter) => connections.get(client)?.filters.has(filter) ?? false,
    connections() {
      let cameras = 0
      for (const { identity } of live.values()) if (identity.kind === 'camera') cameras += 1
      return { cameras, people: live.size - cameras }
    },
    async close() {
      webSockets.close()
      const ended = mqttServer.listening
        ? new Promise<void>((resolve) => mqttServer.close(() => resolve()))
        : Promise.resolve()
      await new Promise<void>((resolve) => aedes.close(() => resolve()))
      // Those that never said who they are: the server would wait for them.
      admission.close()
      await ended
    },
  }
}

/** Is the topic the status of the camera that this client id is of? No other Will may be left. */
export function isOwnStatus(agency: string, clientId: string, topicName: string): boolean {
  const topic = parseTopic(topicName)
  return topic?.kind === 'status' && topic.agency === agency && clientId === cameraClientId(agency, topic.camera)
}

function addressOf(client: Client): string | null {
  if (client.req !== undefined) return client.req.socket.remoteAddress ?? null
  return client.conn instanceof TLSSocket ? (client.conn.remoteAddress ?? null) : null
}

/** CONNACK code 5: not authorised; 3: server unavailable [MQTT 3.1.1, table 3.1]. */
function notAuthorised(reason: string, returnCode = 5): AuthenticateError {
  return Object.assign(new Error(reason), { returnCode }) as AuthenticateError
}

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
import { Aedes, type AuthenticateError, type Client, type PublishPacket } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { cameraClientId, parsePersonClientId } from '../shared/names.ts'
import { type Identity, mayPublish, mayReceive, maySubscribe, parseTopic } from '../shared/topics.ts'
import { MAX_PACKET_BYTES } from '../shared/wire/index.ts'
import type { Session } from './accounts/sessions.ts'
import type { Cameras } from './cameras.ts'
import type { Denial, Denied } from './denials.ts'
import type { Ingest } from './ingest.ts'
import { may } from './permissions.ts'
import { MAX_SUBSCRIPTIONS_PER_SESSION, type Sessions } from './sessions.ts'

/** Connections at once, in whatever state. */
export const MAX_CONNECTIONS = 5_000
/** From one address; a department behind one router, or a bench, stays below. */
export const MAX_CONNECTIONS_PER_ADDRESS = 1_000
/** Of one account, over all its devices and sessions; a further one is refused. */
export const MAX_CONNECTIONS_PER_ACCOUNT = 16
/** A TLS handshake or a CONNECT that takes longer is cut off. */
export const CONNECT_TIMEOUT_MS = 10 * SECOND_MS
/** Longest keep-alive interval a client may ask for; a dead peer is noticed after 1.5 times this [MQTT-3.1.2-24]. */
export const MAX_KEEP_ALIVE_MS = 10 * MINUTE_MS
/** Packets a client may send before it is authenticated. */
const MAX_QUEUED_BEFORE_CONNECTED = 42
/** Unacknowledged QoS 2 publishes of one client. */
const MAX_INFLIGHT_QOS2 = 100
/** A reader that takes nothing for this long is cut off: its queue is on disk. */
const DRAIN_TIMEOUT_MS = 30 * SECOND_MS
/** Longest password that is looked at; tokens have 43 characters. */
const MAX_TOKEN_BYTES = 256
export const WEBSOCKET_PATH = '/mqtt'

export interface Broker {
  readonly mqttServer: Server
  /** Takes over an HTTP upgrade of the page's WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Resolves when the publish is in the queue of every subscribed persistent session. */
  publish(topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }): Promise<void>
  /** Ends matching connections at once; returns how many. */
  disconnect(matches: (identity: Identity, sessionId: string | null) => boolean): number
  isConnected(clientId: string): boolean
  /** May this connected client subscribe to the filter? Asked by the session store before it keeps one. */
  maySubscribe(client: { id: string }, filter: string): boolean
  connections(): { cameras: number; people: number }
  close(): Promise<void>
}

export interface BrokerDeps {
  agency: string
  tls: { key: string; cert: string; ca: string }
  cameras: Pick<Cameras, 'identify'>
  authenticate: (token: string) => Promise<Session | null>
  sessions: Sessions
  ingest: Ingest
  log: Log
  onDenied: (denied: Denied) => void
  onConnection: (change: 1 | -1, kind: Identity['kind']) => void
}

interface Connection {
  identity: Identity
  /** Of the account's log-in; null for cameras. */
  sessionId: string | null
}

export async function openBroker(deps: BrokerDeps): Promise<Broker> {
  const { agency, log, sessions, ingest } = deps
  const connections = new WeakMap<object, Connection>()
  const live = new Map<Client, Connection>()
  const ofAccount = new Map<string, Set<Client>>()
  const perAddress = new Map<string, number>()
  const sockets = new Set<Duplex>()

  const deny = (rule: Denial, client: Client | null, topic: string | null, who: string | null = null): void => {
    const identity = client === null ? undefined : connections.get(client)?.identity
    const known = identity === undefined ? null : identity.kind === 'camera' ? identity.camera : identity.account
    const denied = {
      rule,
      who: known ?? who ?? client?.id ?? null,
      address: client === null ? null : addressOf(client),
      topic,
    }
    // The kind alone: a topic that somebody made up may hold a plate.
    log.warn('denied', {
      code: rule,
      clientId: denied.who,
      kind: topic === null ? null : (parseTopic(topic)?.kind ?? 'other'),
    })
    deps.onDenied(denied)
  }

  /** Who this is, or the rule by which they are refused. */
  async function identify(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Connection | Denial> {
    const socket = client.req === undefined ? client.conn : null
    const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : null
    if (socket instanceof TLSSocket && certificate !== null && Object.keys(certificate).length > 0) {
      return identifyCamera(client, socket)
    }
    if (username === undefined || password === undefined || password.length > MAX_TOKEN_BYTES) return 'credentials'
    const name = parsePersonClientId(client.id)
    const session = await deps.authenticate(password.toString('utf8'))
    if (session === null || session.account !== username) return 'credentials'
    // An account named like the agency could otherwise take a camera's client id, and with it its session.
    if (name === null || name.account !== session.account || name.account === agency) return 'client_id'
    if (!holdConnection(client, session.account)) return 'too_many_connections'
    return {
      sessionId: session.sessionId,
      identity: {
        kind: 'person',
        agency,
        account: session.account,
        groups: session.groups,
        mayWatchSightings: may(session.roles, 'sightings.watch'),
      },
    }
  }

  /** false: the account has all the connections it may have; one that a new connection takes the place of does not count. */
  function holdConnection(client: Client, account: string): boolean {
    const held = ofAccount.get(account) ?? new Set()
    if ([...held].filter((other) => other.id !== client.id).length >= MAX_CONNECTIONS_PER_ACCOUNT) return false
    ofAccount.set(account, held.add(client))
    client.conn.once('close', () => {
      held.delete(client)
      if (held.size === 0) ofAccount.delete(account)
    })
    return true
  }

  function identifyCamera(client: Client, socket: TLSSocket): Connection | Denial {
    if (!socket.authorized) {
      return String(socket.authorizationError) === 'CERT_HAS_EXPIRED' ? 'certificate_expired' : 'certificate_untrusted'
    }
    const identified = deps.cameras.identify(socket.getPeerCertificate())
    if (!identified.ok) return CAMERA_DENIALS[identified.reason]
    if (client.id !== cameraClientId(agency, identified.camera)) return 'client_id'
    return { sessionId: null, identity: { kind: 'camera', agency, camera: identified.camera } }
  }

  const aedes = await Aedes.createBroker({
    persistence: sessions as never,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepaliveLimit: MAX_KEEP_ALIVE_MS / SECOND_MS,
    queueLimit: MAX_QUEUED_BEFORE_CONNECTED,
    maxInflightInbound: MAX_INFLIGHT_QOS2,
    drainTimeout: DRAIN_TIMEOUT_MS,
    maxClientsIdLength: 23,
    authenticate(client, username, password, done) {
      identify(client, username, password).then(
        (found) => {
          if (typeof found === 'string') {
            deny(found, client, null, username ?? null)
            done(notAuthorised(found), false)
            return
          }
          connections.set(client, found)
          done(null, true)
        },
        (thrown: unknown) => {
          log.error('authentication_failed', { error: toAppError(thrown).message })
          done(notAuthorised('unavailable', 3), false)
        },
      )
    },
    authorizePublish(client, packet, done) {
      const refusal = publishRefusal(client, packet)
      if (refusal !== null) {
        deny(refusal, client, packet.topic)
        // Only closing the connection tells a publisher that it was refused [MQTT-3.3.5-2].
        done(new Error(refusal))
        return
      }
      const topic = parseTopic(packet.topic)
      if (topic === null || !('camera' in topic)) {
        done(new Error('publish'))
        return
      }
      const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
      ingest.accept({ topic, topicName: packet.topic, payload }).then(
        (outcome) => {
          // Whoever watches live must not be handed what could not be stored.
          if (outcome === 'quarantined') packet.payload = Buffer.alloc(0)
          done(null)
        },
        (thrown: unknown) => done(toAppError(thrown)),
      )
    },
    authorizeSubscribe(client, subscription, done) {
      const connection = connections.get(client)
      const held = Object.keys((client as unknown as { subscriptions: object }).subscriptions).length
      if (
        connection === undefined ||
        held >= MAX_SUBSCRIPTIONS_PER_SESSION ||
        !maySubscribe(connection.identity, subscription.topic)
      ) {
        deny('subscribe', client, subscription.topic)
        done(null, null)
        return
      }
      // Watching is live: sightings are never queued for a person.
      if (parseTopic(subscription.topic.replace('/+/', '/x/'))?.kind === 'sightings') subscription.qos = 0
      done(null, subscription)
    },
    authorizeForward(client, packet) {
      const connection = connections.get(client)
      return connection !== undefined && mayReceive(connection.identity, packet.topic) ? packet : null
    },
  })

  /** The rule by which this publish is refused, or null. */
  function publishRefusal(client: Client | null, packet: PublishPacket): Denial | null {
    const topic = parseTopic(packet.topic)
    if (topic === null) return 'publish'
    if (client === null) {
      // A Will left by an earlier run of the cloud: its client id says whose it is.
      const owner = (packet as { clientId?: string }).clientId
      return 'camera' in topic && topic.kind === 'status' && owner === cameraClientId(agency, topic.camera)
        ? null
        : 'publish'
    }
    const connection = connections.get(client)
    if (connection === undefined || !mayPublish(connection.identity, packet.topic)) return 'publish'
    const mustBeKept = topic.kind === 'sightings' || topic.kind === 'crop'
    if (mustBeKept && packet.qos === 0) return 'publish_mode'
    // A retained sighting would outlive its retention and be handed to every later subscriber.
    if (packet.retain && topic.kind !== 'status') return 'publish_mode'
    return null
  }

  aedes.on('clientReady', (client) => {
    const connection = connections.get(client)
    if (connection === undefined) return
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
  aedes.on('clientError', (client, error) => log.debug('client_error', { clientId: client.id, error: error.message }))
  aedes.on('connectionError', (_client, error) => log.debug('connection_error', { error: error.message }))

  function admit(socket: Duplex, address: string): boolean {
    const fromAddress = perAddress.get(address) ?? 0
    if (sockets.size >= MAX_CONNECTIONS || fromAddress >= MAX_CONNECTIONS_PER_ADDRESS) {
      deps.onDenied({ rule: 'too_many_connections', who: null, address, topic: null })
      socket.destroy()
      return false
    }
    sockets.add(socket)
    perAddress.set(address, fromAddress + 1)
    socket.once('close', () => {
      sockets.delete(socket)
      const left = (perAddress.get(address) ?? 1) - 1
      if (left <= 0) perAddress.delete(address)
      else perAddress.set(address, left)
    })
    return true
  }

  function handle(stream: Duplex, request: IncomingMessage | undefined): void {
    const client = aedes.handle(stream as never, request as never)
    const parser = (client as unknown as { _parser: { packet: { length: number } } })._parser
    // The parser would buffer up to 256 MiB for one packet; its length is known from the fixed header on [MQTT-2.2.3].
    stream.on('readable', () => {
      if (parser.packet.length <= MAX_PACKET_BYTES) return
      deny('packet_too_large', client, null)
      stream.destroy()
    })
  }

  const mqttServer = createServer(
    {
      key: deps.tls.key,
      cert: deps.tls.cert,
      ca: deps.tls.ca,
      requestCert: true,
      // People come without a certificate; whoever shows one must show a good one (identifyCamera).
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      // A resumed session would skip the look at the certificate.
      secureOptions: constants.SSL_OP_NO_TICKET,
    },
    (socket) => handle(socket, undefined),
  )
  // Before the handshake, or those who never finish it would not count.
  mqttServer.on('connection', (socket: Socket) => admit(socket, socket.remoteAddress ?? ''))
  mqttServer.on('tlsClientError', (error) => log.debug('tls_error', { error: error.message }))

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
      if (!admit(socket, request.socket.remoteAddress ?? '')) return
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', (error) => log.debug('websocket_error', { error: error.message }))
        handle(createWebSocketStream(webSocket), request)
      })
    },
    publish: (topic, payload, { qos, retain }) =>
      new Promise((resolve, reject) => {
        aedes.publish({ cmd: 'publish', topic, payload, qos, retain, dup: false }, (error) =>
          error ? reject(toAppError(error)) : resolve(),
        )
      }),
    disconnect(matches) {
      let ended = 0
      for (const [client, connection] of live) {
        if (!matches(connection.identity, connection.sessionId)) continue
        client.close()
        ended += 1
      }
      return ended
    },
    isConnected: (clientId) => [...live.keys()].some((client) => client.id === clientId),
    maySubscribe(client, filter) {
      const connection = connections.get(client)
      return connection !== undefined && maySubscribe(connection.identity, filter)
    },
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
      for (const socket of sockets) socket.destroy()
      await ended
    },
  }
}

const CAMERA_DENIALS = {
  no_certificate: 'certificate_untrusted',
  not_a_camera: 'certificate_untrusted',
  other_agency: 'camera_other_agency',
  unknown: 'camera_unknown',
  revoked: 'camera_revoked',
  expired: 'certificate_expired',
} as const satisfies Record<string, Denial>

function addressOf(client: Client): string | null {
  if (client.req !== undefined) return client.req.socket.remoteAddress ?? null
  return client.conn instanceof TLSSocket ? (client.conn.remoteAddress ?? null) : null
}

/** CONNACK code 5: not authorised; 3: server unavailable [MQTT 3.1.1, table 3.1]. */
function notAuthorised(reason: string, returnCode = 5): AuthenticateError {
  return Object.assign(new Error(reason), { returnCode }) as AuthenticateError
}

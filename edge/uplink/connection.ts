/**
 * One MQTT connection over TLS, from CONNECT to close; never used again afterwards, so that mqtt.js has nothing to queue and the
 * outbox stays the only queue. The only importer of mqtt on the camera; translates its errors.
 */
import { X509Certificate } from 'node:crypto'
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt'
import { MqttClient as Client, connect as connectMqtt } from 'mqtt'
import { AppError, systemCode } from '../../shared/errors.ts'
import { openTls, serverProblem, untrusted } from '../server-trust.ts'
import { createPacketGauge } from './packet-limit.ts'

/** TCP, TLS and CONNACK together, milliseconds. */
export const CONNECT_TIMEOUT_MS = 15_000
/** Largest packet taken from the broker, bytes after the fixed header: the wire's limit with room for a topic. */
export const MAX_INCOMING_BYTES = 256 * 1024

export interface ConnectionOptions {
  /** `mqtts://host:port`. */
  url: string
  clientId: string
  keepaliveSeconds: number
  caPem: string
  certificatePem: string
  keyPem: string
  /** false: the clock may be years off, and may not say whether the broker's certificate is valid. */
  isClockTrusted: boolean
  will: { topic: string; payload: Buffer }
  /** Gives it up while it is being opened; later it changes nothing. */
  signal: AbortSignal
  /** Called for every publish received, before it is acknowledged. Must not throw. */
  onPublish(topic: string, payload: Buffer): void
}

export interface Connection {
  readonly isOpen: boolean
  /** QoS 1 resolves at PUBACK, QoS 0 when written. Rejects with `unavailable` when the connection ends first. */
  publish(topic: string, payload: Uint8Array, options: { qos: 0 | 1; retain?: boolean }): Promise<void>
  subscribe(filters: readonly string[]): Promise<void>
  unsubscribe(filter: string): Promise<void>
  /** Resolves with the reason when the connection is over. */
  readonly closed: Promise<AppError>
  /** Sends DISCONNECT, so that the Will is not published. */
  end(): Promise<void>
  /** Ends at once; the broker publishes the Will. */
  destroy(reason: AppError): void
}

/**
 * TLS without the clock: everything of the broker's certificate but the time. It must not have ended before the own one was issued, which
 * is the one time that a unit without a clock knows to be past.
 */
async function openWithoutClock(
  { caPem, certificatePem, keyPem, signal }: ConnectionOptions,
  at: { host: string; port: number },
) {
  const { socket, certificate } = await openTls(at, { key: keyPem, cert: certificatePem }, signal)
  const knownPastMs = new Date(new X509Certificate(certificatePem).validFrom).getTime()
  const hasEnded = new Date(certificate.validTo).getTime() <= knownPastMs
  const problem = hasEnded
    ? 'it ended before this camera was enrolled'
    : serverProblem(certificate, { caPem, host: at.host, atMs: null })
  if (problem === null) return socket
  socket.destroy()
  throw untrusted(problem)
}

/** Rejects with `unauthenticated` (certificates), `forbidden` (refused by the broker) or `unavailable`. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const url = new URL(options.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 8883 : Number(url.port)
  const opened = options.isClockTrusted ? null : await openWithoutClock(options, { host, port })
  const { signal } = options
  return new Promise((resolve, reject) => {
    let client: MqttClient
    try {
      const session: IClientOptions = {
        protocolVersion: 4,
        clientId: options.clientId,
        clean: false,
        keepalive: options.keepaliveSeconds,
        connectTimeout: CONNECT_TIMEOUT_MS,
        reconnectPeriod: 0,
        resubscribe: false,
        queueQoSZero: false,
        will: { ...options.will, qos: 1, retain: true },
      }
      const own = { ca: options.caPem, cert: options.certificatePem, key: options.keyPem }
      client =
        opened === null
          ? connectMqtt({ protocol: 'mqtts', host, port, ...session, ...own })
          : new Client(() => opened, session)
    } catch (thrown) {
      // Found out by OpenSSL before anything is sent: files that were changed since the start and do not fit together.
      const message = thrown instanceof Error ? thrown.message : String(thrown)
      reject(
        new AppError('unauthenticated', `the camera's own certificate and key cannot be used: ${message}`, {
          hint: 'check broker.certificateFile and broker.keyFile: they must be of one enrolment',
          cause: thrown,
        }),
      )
      return
    }
    const pending = new Set<(error: AppError) => void>()
    let reason: AppError | null = null
    let isOpen = false
    let onClosed: (error: AppError) => void = () => {}
    const closed = new Promise<AppError>((done) => {
      onClosed = done
    })

    const giveUp = () => destroy(new AppError('unavailable', 'given up: the camera is ending'))

    function over(): void {
      signal.removeEventListener('abort', giveUp)
      const error = reason ?? new AppError('unavailable', 'the broker closed the connection')
      isOpen = false
      for (const fail of [...pending]) fail(error)
      pending.clear()
      onClosed(error)
      reject(error)
    }

    function destroy(error: AppError): void {
      reason ??= error
      isOpen = false
      client.end(true)
      client.stream.destroy()
    }

    /** Settles with the callback or with the end of the connection, whichever comes first. */
    function answer(start: (callback: (error?: Error | null) => void) => void): Promise<void> {
      return new Promise((done, fail) => {
        if (!isOpen) {
          fail(reason ?? new AppError('unavailable', 'not connected'))
          return
        }
        pending.add(fail)
        start((error) => {
          if (!pending.delete(fail)) return
          if (error == null) done()
          else fail(toConnectionError(error))
        })
      })
    }

    const gauge = createPacketGauge(MAX_INCOMING_BYTES)
    client.stream.on('data', (bytes: Buffer) => {
      if (!gauge(bytes))
        destroy(new AppError('too_large', `the broker sent a packet of more than ${MAX_INCOMING_BYTES} bytes`))
    })
    client.handleMessage = (packet: IPublishPacket, done: (error?: Error) => void) => {
      const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
      options.onPublish(packet.topic, payload)
      done()
    }
    client.on('error', (error) => {
      reason ??= toConnectionError(error)
      // A refused CONNECT and a broken packet leave the stream to us.
      client.stream.destroy()
    })
    client.on('close', over)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    client.on('connect', () => {
      signal.removeEventListener('abort', giveUp)
      isOpen = true
      resolve({
        get isOpen() {
          return isOpen
        },
        closed,
        destroy,
        publish: (topic, payload, { qos, retain }) =>
          answer((callback) => client.publish(topic, Buffer.from(payload), { qos, retain: retain ?? false }, callback)),
        subscribe: (filters) => answer((callback) => client.subscribe([...filters], { qos: 1 }, callback)),
        unsubscribe: (filter) => answer((callback) => client.unsubscribe(filter, callback)),
        end: () =>
          new Promise((done) => {
            reason ??= new AppError('unavailable', 'closed by the camera')
            isOpen = false
            // mqtt.js would wait for every acknowledgement before DISCONNECT; unacknowledged rows stay in the outbox.
            client.outgoing = {}
            client.end(false, () => done())
          }),
      })
    })
  })
}

/** OpenSSL's and Node's codes for a peer whose certificate is not good. */
const UNTRUSTED =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/

export function toConnectionError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  const code = systemCode(thrown) ?? ''
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (/ALERT/.test(code) || /alert (bad|unknown|certificate|unsupported)/i.test(message)) {
    return new AppError('unauthenticated', `the broker refused the camera's certificate: ${message}`, {
      hint: 'see `candor camera list`: it may be revoked or expired; replace it with `candor camera replace`',
      cause: thrown,
    })
  }
  if (UNTRUSTED.test(code)) {
    return new AppError('unauthenticated', `the broker's certificate is not trusted: ${message} (${code})`, {
      hint: 'check broker.url (the name must be in the certificate), broker.caFile and the clock',
      cause: thrown,
    })
  }
  if (/^Connection refused: (Not authorized|Bad user|Identifier rejected)/.test(message)) {
    return new AppError('forbidden', `the broker refused the camera: ${message}`, {
      hint: 'see `candor camera list`: is it registered, and not revoked?',
      cause: thrown,
    })
  }
  return new AppError('unavailable', message === '' ? code : message, { cause: thrown })
}

/**
 * The only port that a unit ever opens: HTTPS at its private addresses, while it is set up. Here is everything that holds for each request
 * before a route sees it: who may connect, how many, how long, by which name, from which page, how much. Called by main.ts of this folder.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../../shared/clock.ts'
import { MINUTE_MS } from '../../shared/clock.ts'
import { AppError, HTTP_STATUS, systemCode, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { mayReach, type OwnAddress, ownHost, plainAddress } from './addresses.ts'
import type { PageCertificate } from './certificate.ts'
import type { ServerLimits } from './limits.ts'

/** What a route gives: JSON, or bytes. */
export interface Answer {
  status?: number
  headers?: Readonly<Record<string, string>>
  json?: unknown
  bytes?: Buffer
}

export interface Asked {
  /** Of the cookie; null: none. */
  token: string | null
  query: URLSearchParams
  /** Parsed; undefined where the method has none. */
  json: unknown
  /** Aborts when the browser is gone. */
  signal: AbortSignal
}

export interface Route {
  method: 'GET' | 'POST'
  path: string
  /** Nobody need be logged in for the page itself and for logging in. */
  open?: boolean
  answer(asked: Asked): Answer | Promise<Answer>
}

export interface SetupServer {
  /** `https://…` of each address that it listens at. */
  readonly origins: readonly string[]
  readonly port: number
  /** Addresses that the unit has now; ports of those that are gone are closed. */
  listenAt(addresses: readonly OwnAddress[]): Promise<void>
  close(): Promise<void>
}

export interface SetupServerDeps {
  certificate: PageCertificate
  routes: readonly Route[]
  limits: ServerLimits
  /** 0: any that is free. */
  port: number
  hostname: string
  isLoggedIn(token: string | null): boolean
  clock: Clock
  log: Log
}

/** Only with this prefix is it sure that no other page of this host has set it [RFC 6265bis, 4.1.3.2]. */
export const COOKIE = '__Host-candor-setup'

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  'cache-control': 'no-store',
}

export function createSetupServer(deps: SetupServerDeps): SetupServer {
  const { certificate, routes, limits, clock, log } = deps
  const servers = new Map<string, Server>()
  let own: readonly OwnAddress[] = []
  let { port } = deps
  const byPath = new Map(routes.map((route) => [`${route.method} ${route.path}`, route]))
  const paths = new Set(routes.map(({ path }) => path))
  const sockets = new Map<string, number>()
  let minute = { startedMs: clock.monotonicMs(), requests: new Map<string, number>() }

  /** Before the first byte is read. */
  function admit(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '')
    const count = (sockets.get(address) ?? 0) + 1
    const all = [...sockets.values()].reduce((sum, each) => sum + each, 0)
    const isFar = !mayReach(socket.remoteAddress ?? '', own)
    if (isFar || count > limits.maxPerAddress || all >= limits.maxConnections) {
      log.warn('setup_connection_refused', { reason: isFar ? 'not of this network' : 'too many' })
      socket.destroy()
      return
    }
    sockets.set(address, count)
    socket.once('close', () => {
      const left = (sockets.get(address) ?? 1) - 1
      if (left > 0) sockets.set(address, left)
      else sockets.delete(address)
    })
  }

  function countRequest(address: string): void {
    const nowMs = clock.monotonicMs()
    if (nowMs - minute.startedMs >= MINUTE_MS) minute = { startedMs: nowMs, requests: new Map() }
    const count = (minute.requests.get(address) ?? 0) + 1
    minute.requests.set(address, count)
    if (count > limits.maxRequestsPerMinute)
      throw new Refusal(429, 'too_large', `more than ${limits.maxRequestsPerMinute} requests in a minute`)
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    countRequest(plainAddress(request.socket.remoteAddress ?? ''))
    const host = ownHost(request.headers.host, own, deps.hostname)
    // A page elsewhere that gave its own name this unit's address.
    if (host === null) throw new Refusal(421, 'forbidden', 'this is not the name of this unit')
    // No path is ever looked up anywhere: it is one of these, to the letter.
    const [path = '', search = ''] = (request.url ?? '').split('?', 2)
    const route = byPath.get(`${request.method} ${path}`)
    if (route === undefined) {
      if (paths.has(path)) throw new Refusal(405, 'not_found', `not by ${request.method}`)
      throw new AppError('not_found', 'there is no such page')
    }
    const site = request.headers['sec-fetch-site']
    if (route.open !== true && site !== undefined && site !== 'same-origin')
      throw new AppError('forbidden', 'asked for by another page')
    let json: unknown
    const token = tokenIn(request.headers.cookie)
    if (route.method === 'POST') {
      if (request.headers.origin !== `https://${request.headers.host}`)
        throw new AppError('forbidden', 'sent by another page')
      if (!/^application\/json(;|$)/i.test(request.headers['content-type'] ?? ''))
        throw new AppError('bad_input', 'JSON is needed')
    }
    if (route.open !== true && !deps.isLoggedIn(token)) throw new AppError('unauthenticated', 'log in')
    if (route.method === 'POST') json = await bodyOf(request, limits.maxBodyBytes)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    return await route.answer({ token, query: new URLSearchParams(search), json, signal: gone.signal })
  }

  function send(request: IncomingMessage, response: ServerResponse, given: Answer): void {
    const { status = 200, headers = {}, json, bytes } = given
    const body = bytes ?? (json === undefined ? null : Buffer.from(JSON.stringify(json)))
    const type: Record<string, string> =
      bytes === undefined && body !== null ? { 'content-type': 'application/json' } : {}
    // Who sent a body that nobody has read is not waited for.
    if (!request.complete && request.method !== 'GET') response.shouldKeepAlive = false
    response.writeHead(status, { ...SECURITY_HEADERS, ...type, 'content-length': body?.length ?? 0, ...headers })
    response.end(body)
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(request, response, await answer(request, response))
    } catch (thrown) {
      const { code, message, hint } = toAppError(thrown)
      const status = thrown instanceof Refusal ? thrown.status : HTTP_STATUS[code]
      if (code === 'internal') log.error('setup_request_failed', { error: message })
      const shown = code === 'internal' ? 'something went wrong here' : message
      if (!response.headersSent) send(request, response, { status, json: { error: { code, message: shown, hint } } })
    }
  }

  async function open(at: OwnAddress): Promise<void> {
    const server = createServer(
      {
        key: certificate.keyPem,
        cert: certificate.certificatePem,
        minVersion: 'TLSv1.2',
        handshakeTimeout: limits.handshakeMs,
        maxHeaderSize: limits.maxHeadBytes,
        headersTimeout: limits.headMs,
        requestTimeout: limits.requestMs,
        keepAliveTimeout: limits.silentMs,
        // Node looks at all requests together, this often.
        connectionsCheckingInterval: Math.min(1_000, limits.headMs),
      },
      (request, response) => void handle(request, response),
    )
    server.on('connection', admit)
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    server.setTimeout(limits.silentMs, (socket: Socket) => socket.destroy())
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: at.listenAt, port, ipv6Only: true }, resolve)
    })
    server.on('error', (error) => log.warn('setup_server', { error: error.message }))
    port = (server.address() as AddressInfo).port
    servers.set(at.listenAt, server)
  }

  const stop = async (server: Server) => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  return {
    get port() {
      return port
    },
    get origins() {
      return own
        .filter(({ listenAt }) => servers.has(listenAt) && !listenAt.includes('%'))
        .map(({ address }) => `https://${address.includes(':') ? `[${address}]` : address}:${port}`)
    },
    async listenAt(addresses) {
      own = addresses
      const wanted = new Set(addresses.map(({ listenAt }) => listenAt))
      for (const [at, server] of servers) {
        if (wanted.has(at)) continue
        servers.delete(at)
        await stop(server)
      }
      for (const address of addresses) {
        if (servers.has(address.listenAt)) continue
        await open(address).catch((thrown: unknown) => {
          // An address that came up a moment ago may not be ready; it is tried again.
          log.warn('setup_not_listening', { code: systemCode(thrown) ?? '', error: toAppError(thrown).message })
        })
      }
    },
    async close() {
      const all = [...servers.values()]
      servers.clear()
      await Promise.all(all.map(stop))
    },
  }
}

/** Refused by HTTP's own rules, with a status that none of our codes stands for. */
class Refusal extends AppError {
  readonly status: number
  constructor(status: number, code: 'forbidden' | 'not_found' | 'too_large', message: string) {
    super(code, message)
    this.status = status
  }
}

function tokenIn(cookies: string | undefined): string | null {
  for (const pair of (cookies ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2)
    if (name === COOKIE && value !== undefined && value !== '') return value
  }
  return null
}

/** At most `mostBytes`, whatever the head says of its length. */
async function bodyOf(request: IncomingMessage, mostBytes: number): Promise<unknown> {
  const tooLarge = () => new AppError('too_large', `more than ${mostBytes} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > mostBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let bytes = 0
  // Who sends too much is still told so, before the connection ends.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > mostBytes) throw tooLarge()
    chunks.push(chunk)
  }
  if (bytes === 0) return {}
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new AppError('bad_input', 'this is not JSON')
  }
}

/**
 * One POST to a receiver, strictly bounded: one deadline for everything, no redirect followed, no more of the answer read than
 * a few kilobytes, TLS verified, and the address checked at the moment of connecting. Called by delivery.ts and webhooks.ts.
 */
import type { LookupAddress, LookupOptions } from 'node:dns'
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import { hostOf, mayConnect } from './address.ts'

/** Name look-up, connecting, sending and the answer's first kilobytes together. */
export const POST_TIMEOUT_MS = 10 * SECOND_MS
/** An alert with every candidate and group that it may have stays below 8 KiB. */
export const MAX_POST_BYTES = 64 * 1024
/** Of the answer only the status counts; what is read beyond it lets the receiver finish. */
export const MAX_ANSWER_BYTES = 16 * 1024

export interface Answer {
  status: number
  /** Of `Retry-After` as it stands there; null: none. */
  retryAfter: string | null
}

/** As `dns.lookup` with `all`. */
export type Lookup = (
  hostname: string,
  options: LookupOptions & { all: true },
  done: (error: Error | null, found: LookupAddress[]) => void,
) => void

export interface Sending {
  clock: Clock
  timeoutMs: number
  /** Authorities beside those of Node.js, PEM; null: none. */
  caPem: readonly string[] | null
  lookup: Lookup
}

/**
 * Resolves with the answer's status, whatever that is. Throws `unavailable` with a short reason that names no address, and
 * `too_large`. `signal` ends it at once.
 */
export async function post(
  url: URL,
  sent: { headers: Record<string, string>; body: Buffer },
  sending: Sending,
  signal: AbortSignal,
): Promise<Answer> {
  if (sent.body.length > MAX_POST_BYTES) throw new AppError('too_large', `more than ${MAX_POST_BYTES} bytes to send`)
  signal.throwIfAborted()
  const over = new AbortController()
  const abort = () => over.abort()
  signal.addEventListener('abort', abort, { once: true })
  let timedOut = false
  sending.clock.sleep(sending.timeoutMs, over.signal).then(
    () => {
      timedOut = true
      over.abort()
    },
    () => {},
  )
  try {
    return await exchange(url, sent, sending, over.signal)
  } catch (cause) {
    const reason = timedOut ? `no answer within ${sending.timeoutMs / SECOND_MS} s` : reasonOf(cause)
    throw new AppError('unavailable', reason, { cause })
  } finally {
    signal.removeEventListener('abort', abort)
    over.abort()
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof AppError ? cause.message : (systemCode(cause) ?? 'the connection failed')
}

function exchange(
  url: URL,
  { headers, body }: { headers: Record<string, string>; body: Buffer },
  { caPem, lookup }: Sending,
  signal: AbortSignal,
): Promise<Answer> {
  const loopbackOnly = url.protocol === 'http:'
  const host = hostOf(url)
  const refused = new AppError('forbidden', 'the name leads to an address that is refused')
  // A host that is an address already is never looked up.
  if (isIP(host) !== 0 && !mayConnect(host, loopbackOnly)) return Promise.reject(refused)
  const options: RequestOptions & { ca?: string[] } = {
    method: 'POST',
    headers: { ...headers, 'content-length': body.length },
    agent: false,
    signal,
    ...(caPem === null ? {} : { ca: [...caPem] }),
    lookup(hostname, wanted, done) {
      lookup(hostname, { ...wanted, all: true }, (error, found) => {
        const allowed = (found ?? []).filter(({ address }) => mayConnect(address, loopbackOnly))
        const [first] = allowed
        if (error !== null || first === undefined) done(error ?? refused, '')
        else if (wanted.all === true) done(null, allowed)
        else done(null, first.address, first.family)
      })
    },
  }
  return new Promise((resolve, reject) => {
    const outgoing = (loopbackOnly ? requestHttp : requestHttps)(url, options, (incoming: IncomingMessage) => {
      const answer = { status: incoming.statusCode ?? 0, retryAfter: incoming.headers['retry-after'] ?? null }
      // The status has been said: however the rest ends changes nothing.
      const done = () => {
        resolve(answer)
        outgoing.destroy()
      }
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > MAX_ANSWER_BYTES) done()
      })
      for (const ending of ['end', 'error', 'close']) incoming.once(ending, done)
      outgoing.off('error', reject)
      outgoing.on('error', done)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/**
 * One request to a partner's cloud over mutual TLS, strictly bounded: one deadline for everything, no more of the answer read than
 * allowed, the other end known by its pinned authority and by the agency that its certificate names. Called by asking.ts and reconcile.ts.
 */
import type { IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { checkServerIdentity } from 'node:tls'
import type { Clock } from '../../shared/clock.ts'
import { systemCode } from '../../shared/errors.ts'
import { CIPHERS } from '../connections.ts'
import { agencyOf } from './identity.ts'
import type { Partner } from './partners.ts'

/** How it ended when there is no answer to look at. */
export const LINK_FAILURES = [
  'no_address', // the partner has none, and only asks
  'unreachable',
  'timed_out',
  'not_trusted', // what answers there is not who we were paired with
  'not_admitted', // the other end does not take our certificate
  'too_large',
  'malformed',
  'ended', // the partner was revoked meanwhile, or this cloud stops
] as const
export type LinkFailure = (typeof LINK_FAILURES)[number]

export type LinkAnswer =
  | { ok: true; status: number; json: unknown }
  | { ok: false; failure: LinkFailure; reason: string }

export interface LinkDeps {
  clock: Clock
  timeoutMs: number
  /** The certificate of this cloud for partners. */
  own: () => Promise<{ keyPem: string; certPem: string }>
}

/** Never throws: a partner that misbehaves is an answer too. `signal` ends it at once. */
export async function askPartner(
  { partner, url, caPem }: Pick<Partner, 'partner' | 'url' | 'caPem'>,
  asked: { path: string; body: unknown; maxBytes: number },
  deps: LinkDeps,
  signal: AbortSignal,
): Promise<LinkAnswer> {
  if (url === null) return { ok: false, failure: 'no_address', reason: 'it asks, and is not asked' }
  if (signal.aborted) return { ok: false, failure: 'ended', reason: 'the partnership has ended' }
  const over = new AbortController()
  const abort = () => over.abort()
  signal.addEventListener('abort', abort, { once: true })
  let timedOut = false
  deps.clock.sleep(deps.timeoutMs, over.signal).then(
    () => {
      timedOut = true
      over.abort()
    },
    () => {},
  )
  try {
    const { keyPem, certPem } = await deps.own()
    const bytes = Buffer.from(JSON.stringify(asked.body))
    return await exchange(new URL(asked.path, url), bytes, asked.maxBytes, {
      ...{ key: keyPem, cert: certPem, ca: [caPem], signal: over.signal },
      checkServerIdentity(host: string, certificate: Parameters<typeof checkServerIdentity>[1]) {
        const wrong = checkServerIdentity(host, certificate)
        if (wrong !== undefined) return wrong
        return agencyOf(certificate.subjectaltname) === partner ? undefined : new NotThatAgency()
      },
    })
  } catch (thrown) {
    if (timedOut) return { ok: false, failure: 'timed_out', reason: `no answer within ${deps.timeoutMs} ms` }
    if (signal.aborted) return { ok: false, failure: 'ended', reason: 'the partnership has ended' }
    if (thrown instanceof TooLarge) return { ok: false, failure: 'too_large', reason: 'the answer is too large' }
    const code = systemCode(thrown) ?? 'the connection failed'
    return { ok: false, failure: failureOf(thrown, code), reason: code }
  } finally {
    signal.removeEventListener('abort', abort)
    over.abort()
  }
}

class TooLarge extends Error {}
/** Behind the head of an answer: they have taken our certificate. */
class BrokenOff extends Error {
  readonly code = 'ECONNABORTED'
}
class NotThatAgency extends Error {
  readonly code = 'ERR_TLS_CERT_ALTNAME_INVALID'
}

/** Codes that mean: that is not who we were paired with [Node.js, TLS errors; OpenSSL, X509_V_ERR]. */
const TRUST_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

function failureOf(thrown: unknown, code: string): LinkFailure {
  if (TRUST_CODES.has(code)) return 'not_trusted'
  // Their end said by an alert that it does not take our certificate [RFC 8446, 6.2], or hung up on it.
  if (/ALERT/.test(code) || code === 'ECONNRESET') return 'not_admitted'
  return thrown instanceof SyntaxError ? 'malformed' : 'unreachable'
}

function exchange(url: URL, body: Buffer, maxBytes: number, tls: object): Promise<LinkAnswer> {
  return new Promise((resolve, reject) => {
    const options = {
      ...{ method: 'POST', agent: false as const, minVersion: 'TLSv1.2' as const, ciphers: CIPHERS },
      ...tls,
      headers: { 'content-type': 'application/json', 'content-length': body.length },
    }
    const outgoing = requestHttps(url, options, (incoming: IncomingMessage) => {
      const chunks: Buffer[] = []
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > maxBytes) outgoing.destroy(new TooLarge())
        else chunks.push(chunk)
      })
      incoming.once('error', () => reject(new BrokenOff()))
      incoming.once('end', () => {
        try {
          const json: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
          resolve({ ok: true, status: incoming.statusCode ?? 0, json })
        } catch (thrown) {
          reject(thrown)
        }
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/**
 * Is this server the agency's cloud? Checked here and not by OpenSSL where the unit's clock is not to be trusted: OpenSSL tells one
 * problem of several, and one with the time can hide one with the signature. Used by enrolment and by the uplink.
 */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { AppError } from '../shared/errors.ts'

/** TCP and TLS together, milliseconds. */
export const HANDSHAKE_TIMEOUT_MS = 15_000
/** id-kp-serverAuth [RFC 5280, 4.2.1.12] */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
/** An authority that is being replaced and the next one. */
export const MAX_AUTHORITIES = 4

/** The certificates in a PEM text. Throws `configuration` for none, too many or a damaged one. */
export function authoritiesIn(caPem: string): X509Certificate[] {
  const blocks = caPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0 || blocks.length > MAX_AUTHORITIES) {
    throw new AppError(
      'configuration',
      `1 to ${MAX_AUTHORITIES} certificates of authorities are needed (got ${blocks.length})`,
    )
  }
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch (cause) {
    throw new AppError('configuration', 'the certificate of the authority is damaged', { cause })
  }
}

/** The authority that signed it and may; null: none of these. */
export function issuerOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | null {
  const signed = (authority: X509Certificate) =>
    authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
  return authorities.find(signed) ?? null
}

const isValidAt = (certificate: X509Certificate, atMs: number) =>
  new Date(certificate.validFrom).getTime() <= atMs && atMs < new Date(certificate.validTo).getTime()

/**
 * What is wrong with a server's certificate, in words, or null. One authority, nothing between: that is all that a Candor cloud has.
 * `atMs` null: the time is looked at later.
 */
export function serverProblem(
  certificate: X509Certificate,
  { caPem, host, atMs }: { caPem: string; host: string; atMs: number | null },
): string | null {
  const issuer = issuerOf(certificate, authoritiesIn(caPem))
  if (issuer === null) return 'it is not signed by the authority of the agency'
  if (certificate.ca || certificate.keyUsage?.includes(SERVER_AUTH) !== true)
    return 'it is not the certificate of a server'
  const covered = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)
  if (covered === undefined) return `it is not for ${host}`
  if (atMs !== null && !(isValidAt(certificate, atMs) && isValidAt(issuer, atMs)))
    return `it is not valid at ${new Date(atMs).toISOString()}`
  return null
}

export const untrusted = (problem: string) =>
  new AppError('unauthenticated', `the server’s certificate is not trusted: ${problem}`, {
    hint: 'is the address right, and is the claim of this cloud?',
  })

/**
 * A TLS connection to whoever answers; nothing may be sent before `serverProblem` has looked at `certificate`. Rejects with
 * `unavailable`.
 */
export function openTls(
  { host, port }: { host: string; port: number },
  own: { key: string | Buffer; cert: string | Buffer } | null = null,
  signal?: AbortSignal,
): Promise<{ socket: TLSSocket; certificate: X509Certificate }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host, port, minVersion: 'TLSv1.2', rejectUnauthorized: false, timeout: HANDSHAKE_TIMEOUT_MS },
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(own ?? {}),
    })
    const fail = (message: string, cause?: unknown) => {
      signal?.removeEventListener('abort', given)
      socket.destroy()
      reject(new AppError('unavailable', `${host}:${port}: ${message}`, { cause }))
    }
    const failed = (error: Error) =>
      fail(error.message === '' ? String((error as { code?: string }).code) : error.message, error)
    const late = () => fail('no answer')
    const closed = () => fail('the connection was closed')
    const given = () => fail('given up')
    signal?.addEventListener('abort', given, { once: true })
    if (signal?.aborted) given()
    socket.once('error', failed).once('timeout', late).once('close', closed)
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      if (certificate === undefined) {
        fail('it shows no certificate')
        return
      }
      socket.off('error', failed).off('timeout', late).off('close', closed)
      signal?.removeEventListener('abort', given)
      socket.setTimeout(0)
      resolve({ socket, certificate })
    })
  })
}

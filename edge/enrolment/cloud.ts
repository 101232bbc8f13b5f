/**
 * The unit's way to the cloud before it has a certificate: HTTPS that trusts one authority, with the time that this cloud tells in the
 * place of the unit's own clock, which may stand in 1970. Called by enrol.ts.
 */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { z } from 'zod'
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, ERROR_CODES, type ErrorCode } from '../../shared/errors.ts'
import {
  type EnrolmentAnswer,
  type EnrolmentDoor,
  enrolmentAnswerSchema,
  enrolmentDoorSchema,
} from '../../shared/wire/index.ts'
import { authoritiesIn, openTls, serverProblem, untrusted } from '../server-trust.ts'

/** Largest answer that is read, bytes: certificates and keys. */
export const MAX_ANSWER_BYTES = 64 * 1024
/** For one answer, milliseconds. */
const ANSWER_TIMEOUT_MS = 30 * SECOND_MS
/** The cloud's clock may have been set back since it made the claim, by no more than this. */
export const CLOCK_MARGIN_MS = 5 * MINUTE_MS

/** Whom to ask and whom to believe. */
export interface CloudAddress {
  /** `https://host:port` */
  url: string
  /** The authority's certificate, or SHA-256 over it (DER), hex. */
  trust: { caPem: string } | { caSha256: string }
  /** The cloud's time when it made the claim, where that is known: it cannot be earlier now. */
  notBeforeMs: number | null
}

export interface Cloud {
  readonly agency: string
  readonly caPem: string
  /** By the cloud's clock, carried on by the unit's monotonic one. */
  nowMs(): number
  /** Throws the cloud's own refusal, `unauthenticated` for a server that is not the cloud, `unavailable` when asking again may help. */
  ask(code: string, csrPem: string): Promise<EnrolmentAnswer>
}

const failureSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }),
})

export async function openCloud(address: CloudAddress, clock: Pick<Clock, 'monotonicMs'>): Promise<Cloud> {
  const url = new URL(address.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const at = { host, port: url.port === '' ? 443 : Number(url.port) }
  const first = await openTls(at)
  let door: EnrolmentDoor
  try {
    // Nothing secret is in this request, and nothing of the answer is believed before the certificate is.
    if ('caPem' in address.trust) {
      const problem = serverProblem(first.certificate, { caPem: address.trust.caPem, host, atMs: null })
      if (problem !== null) throw untrusted(problem)
    }
    door = await exchange(first.socket, url.host, enrolmentDoorSchema, { method: 'GET' })
  } finally {
    first.socket.destroy()
  }
  const caPem = trustedOf(address.trust, door.caPem)
  const { notBeforeMs } = address
  if (notBeforeMs !== null && door.nowMs < notBeforeMs - CLOCK_MARGIN_MS)
    throw untrusted('its time is before the claim was made')
  const problem = serverProblem(first.certificate, { caPem, host, atMs: door.nowMs })
  if (problem !== null) throw untrusted(problem)
  const sinceMs = clock.monotonicMs()
  const nowMs = () => door.nowMs + Math.round(clock.monotonicMs() - sinceMs)
  return {
    agency: door.agency,
    caPem,
    nowMs,
    async ask(code, csrPem) {
      const { socket, certificate } = await openTls(at)
      try {
        const found = serverProblem(certificate, { caPem, host, atMs: nowMs() })
        if (found !== null) throw untrusted(found)
        const body = JSON.stringify({ code, csrPem })
        return await exchange(socket, url.host, enrolmentAnswerSchema, { method: 'POST', body })
      } finally {
        socket.destroy()
      }
    },
  }
}

/** The pinned authority; by a digest, it is what the cloud says when that fits. */
function trustedOf(trust: CloudAddress['trust'], said: string): string {
  if ('caPem' in trust) return trust.caPem
  const wanted = trust.caSha256.replaceAll(':', '').toLowerCase()
  const found = authoritiesIn(said).find(({ raw }) => createHash('sha256').update(raw).digest('hex') === wanted)
  if (found === undefined) throw untrusted('its authority has another SHA-256')
  return found.toString()
}

/** One request on a connection of its own. */
function exchange<T>(
  socket: TLSSocket,
  host: string,
  schema: z.ZodType<T>,
  { method, body }: { method: string; body?: string },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const unavailable = (message: string, cause?: unknown) => reject(new AppError('unavailable', message, { cause }))
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), ANSWER_TIMEOUT_MS)
    const outgoing = request(
      {
        ...{ createConnection: () => socket, method, path: '/api/v1/enrolment' },
        headers: { host, connection: 'close', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      },
      (incoming) => {
        const chunks: Buffer[] = []
        let bytes = 0
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > MAX_ANSWER_BYTES) socket.destroy(new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`))
          else chunks.push(chunk)
        })
        incoming.on('error', (error) => unavailable(error.message, error))
        incoming.on('end', () => {
          try {
            resolve(read(schema, incoming.statusCode ?? 0, Buffer.concat(chunks).toString('utf8')))
          } catch (thrown) {
            reject(thrown)
          }
        })
      },
    )
    outgoing.on('error', (error) => unavailable(error.message, error))
    outgoing.on('close', () => clearTimeout(timer))
    outgoing.end(body)
  })
}

function read<T>(schema: z.ZodType<T>, status: number, text: string): T {
  let json: unknown = null
  try {
    json = JSON.parse(text)
  } catch {
    // Below: it is no answer of ours.
  }
  if (status === 200) {
    const parsed = schema.safeParse(json)
    if (parsed.success) return parsed.data
    throw new AppError('unavailable', 'the answer is not one of a Candor cloud')
  }
  const failure = failureSchema.safeParse(json)
  if (!failure.success) throw new AppError('unavailable', `the server answers with status ${status}`)
  const { code, message, hint } = failure.data.error
  const known: ErrorCode = (ERROR_CODES as readonly string[]).includes(code) ? (code as ErrorCode) : 'unavailable'
  throw new AppError(status >= 500 ? 'unavailable' : known, message, hint === null ? {} : { hint })
}

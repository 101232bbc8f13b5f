/** HTTP of the demo and the trials: JSON over TLS that trusts one authority and nothing else. */
import { request } from 'node:https'
import { z } from 'zod'
import { AppError, ERROR_CODES } from '../../shared/errors.ts'

/** A list of a million entries takes about a minute. */
const TIMEOUT_MS = 5 * 60_000

export interface Https {
  /** The parsed answer. Throws with the server's own message when it is no success. */
  call(method: string, path: string, options?: { token?: string; json?: unknown; text?: string }): Promise<unknown>
  readonly origin: string
}

export function createHttps(origin: string, caPem: string): Https {
  return {
    origin,
    call: (method, path, { token, json, text } = {}) =>
      new Promise((resolve, reject) => {
        const body = text ?? (json === undefined ? undefined : JSON.stringify(json))
        const headers: Record<string, string> = {}
        if (token !== undefined) headers.authorization = `Bearer ${token}`
        if (body !== undefined) headers['content-type'] = text === undefined ? 'application/json' : 'text/csv'
        const sent = request(new URL(path, origin), { method, headers, ca: caPem, timeout: TIMEOUT_MS }, (reply) => {
          const chunks: Buffer[] = []
          reply.on('data', (chunk: Buffer) => chunks.push(chunk))
          reply.once('error', reject)
          reply.once('end', () => {
            const answer = Buffer.concat(chunks).toString('utf8')
            const status = reply.statusCode ?? 0
            if (status < 200 || status >= 300) {
              reject(refusal(`${method} ${path}: ${status}`, answer))
              return
            }
            resolve(answer === '' ? null : JSON.parse(answer))
          })
        })
        sent.once('timeout', () => sent.destroy(new Error('timed out')))
        sent.once('error', reject)
        sent.end(body)
      }),
  }
}

const refusalSchema = z.object({
  error: z.object({ code: z.enum(ERROR_CODES), message: z.string(), hint: z.string().nullable().optional() }),
})

/** The server's own code and words where there are any. */
function refusal(request: string, answer: string): AppError {
  let json: unknown = null
  try {
    json = JSON.parse(answer)
  } catch {
    // Said below, as it came.
  }
  const { data } = refusalSchema.safeParse(json)
  if (data === undefined) return new AppError('unavailable', `${request} ${answer}`)
  const { code, message, hint } = data.error
  return new AppError(code, `${request} ${message}`, hint == null ? {} : { hint })
}

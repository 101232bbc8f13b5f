/** Requests to the agency's OpenID Connect provider: HTTPS only, by its authority, no redirect followed, answers bounded. Called by oidc.ts. */
import { request } from 'node:https'
import { AppError } from '../../shared/errors.ts'

/** Of an answer, bytes: a discovery document or a set of keys is a few kilobytes. */
export const MAX_PROVIDER_ANSWER_BYTES = 256 * 1024

interface Outgoing {
  method: string
  headers: Record<string, string>
  body?: unknown
  signal?: AbortSignal
}

/** Like `fetch`, which cannot be given an authority. `caPem` null: those of Node.js. */
export function createProviderFetch(caPem: readonly string[] | null) {
  return (url: string, { method, headers, body, signal }: Outgoing): Promise<Response> =>
    new Promise((resolve, reject) => {
      const options = { method, headers, agent: false, ...(signal && { signal }), ...(caPem && { ca: [...caPem] }) }
      const outgoing = request(url, options, (incoming) => {
        const chunks: Buffer[] = []
        let bytes = 0
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > MAX_PROVIDER_ANSWER_BYTES)
            outgoing.destroy(new AppError('too_large', 'the provider answers too much'))
          else chunks.push(chunk)
        })
        incoming.once('error', reject)
        incoming.once('end', () => {
          // A status that may have no body, or is none, throws here, where nobody would catch it.
          try {
            const headers = new Headers()
            for (const [name, value] of Object.entries(incoming.headers)) {
              if (value !== undefined) headers.set(name, String(value))
            }
            const body = bytes === 0 ? null : Buffer.concat(chunks)
            resolve(new Response(body, { status: incoming.statusCode ?? 502, headers }))
          } catch (cause) {
            reject(new AppError('unavailable', 'the provider’s answer is no answer of HTTP', { cause }))
          }
        })
      })
      outgoing.once('error', reject)
      outgoing.end(body === null || body === undefined ? undefined : String(body))
    })
}

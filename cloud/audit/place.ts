/**
 * Where a log is published: a folder, or a web server with the same files. Part of the stand-alone verifier; also what a witness
 * reads.
 */
import { readFile } from 'node:fs/promises'
import { request as requestHttp } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { AppError, systemCode } from '../../shared/errors.ts'

/** Bytes of one file: a bundle of 256 of the longest entries. */
export const MAX_PLACE_BYTES = 256 * (2 + 2 ** 16 - 1)
const TIMEOUT_MS = 30_000

export interface Place {
  readonly name: string
  /** A file's bytes, or null when there is none. Throws `unavailable`, `too_large`. */
  read(path: string): Promise<Buffer | null>
}

/** `where`: a folder, or an address that begins with http:// or https://. `caPem`: the authority that its server has, if no public one. */
export function openPlace(where: string, caPem: string | null = null): Place {
  if (!/^https?:\/\//.test(where)) return { name: where, read: (path) => readFileAt(join(where, path)) }
  const base = where.replace(/\/+$/, '')
  return { name: base, read: (path) => fetchFile(new URL(`${base}/${path}`), caPem) }
}

async function readFileAt(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT' || systemCode(cause) === 'ENOTDIR') return null
    throw new AppError('unavailable', `${path} cannot be read`, { cause })
  }
}

function fetchFile(url: URL, caPem: string | null): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const failed = (problem: string, cause?: unknown) =>
      reject(new AppError('unavailable', `${url.href}: ${problem}`, { cause }))
    const options = { timeout: TIMEOUT_MS, ...(caPem === null ? {} : { ca: caPem }) }
    const outgoing = (url.protocol === 'https:' ? request : requestHttp)(url, options, (incoming) => {
      const chunks: Buffer[] = []
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= MAX_PLACE_BYTES) chunks.push(chunk)
        else outgoing.destroy(new AppError('too_large', `${url.href} is longer than ${MAX_PLACE_BYTES} bytes`))
      })
      incoming.on('error', (cause) => failed('the answer broke off', cause))
      incoming.on('end', () => {
        if (incoming.statusCode === 404) resolve(null)
        else if (incoming.statusCode === 200) resolve(Buffer.concat(chunks))
        else failed(`answered ${incoming.statusCode}`)
      })
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', (cause) => (cause instanceof AppError ? reject(cause) : failed(explained(cause), cause)))
    outgoing.end()
  })
}

/** Of authorities that this machine does not know [Node.js, X509 certificate error codes]. */
const UNKNOWN_AUTHORITY = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]

function explained(cause: Error): string {
  if (!UNKNOWN_AUTHORITY.includes(systemCode(cause) ?? '')) return cause.message
  return `${cause.message}; name the authority of the server\u2019s certificate with --ca FILE`
}

/**
 * Plates of hotlists as keyed digests: what travels to cameras and lies on their cards says nothing about any plate without the key,
 * which the cloud keeps in a file and a camera in memory alone. Used by both, so that one plate has one digest.
 */
import { createHash, createHmac, createSecretKey } from 'node:crypto'
import { AppError } from './errors.ts'

/** Bytes of the HMAC-SHA256 key: as long as its output [RFC 2104, 3]. */
export const LIST_KEY_BYTES = 32
/** HMAC-SHA256 cut to its first 16 bytes [RFC 2104, 5]: among a million entries two share one with a chance of 10^-27. */
export const PLATE_DIGEST_BYTES = 16
const KEY_ID_LENGTH = 16

export interface ListKey {
  /** First 16 hex digits of SHA-256 over the key: names it, and shows that another one was given. */
  readonly keyId: string
  /** Of a normalised plate. About 3 µs. */
  digest(plate: string): Buffer
}

/** Throws `bad_input` for a key of another length. */
export function createListKey(key: Uint8Array): ListKey {
  if (key.length !== LIST_KEY_BYTES) throw new AppError('bad_input', `not a list key of ${LIST_KEY_BYTES} bytes`)
  const secret = createSecretKey(key)
  return {
    keyId: createHash('sha256').update(key).digest('hex').slice(0, KEY_ID_LENGTH),
    digest: (plate) => createHmac('sha256', secret).update(plate).digest().subarray(0, PLATE_DIGEST_BYTES),
  }
}

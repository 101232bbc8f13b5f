/** The only door to randomness; everything else is handed `newId` or `random`. */
import { randomBytes, randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

/** A new UUIDv7 [RFC 9562, 5.7]: sorts by the millisecond it was made. */
export type NewId = () => string

export const newId: NewId = () => v7()

/** Uniform in [0, 1); for jitter, never for secrets. */
export type Random = () => number

export const random: Random = () => (randomFillSync(new Uint32Array(1))[0] ?? 0) / 2 ** 32

/** `byteCount` secret random bytes as base64url without padding. */
export function newSecret(byteCount: number): string {
  return randomBytes(byteCount).toString('base64url')
}

/** Secrets in the database, sealed under a key that lies outside it (AES-256-GCM). Called by factors.ts. */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'

/** [NIST SP 800-38D, 8.2]: 96 random bits for each sealing. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Bound to `owner`: a row that is copied to another account does not open there. */
export function sealSecret(
  key: Buffer,
  owner: string,
  secret: Uint8Array,
  newSecret: (byteCount: number) => string,
): Buffer {
  const nonce = Buffer.from(newSecret(NONCE_BYTES), 'base64url')
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(owner))
  const sealed = Buffer.concat([cipher.update(secret), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()])
}

/** Throws `integrity` when key, owner or bytes are not those it was sealed with. */
export function openSecret(key: Buffer, owner: string, sealed: Buffer): Buffer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
    decipher.setAAD(Buffer.from(owner)).setAuthTag(sealed.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw new AppError('integrity', `the second factor of ${owner} does not open with this key`, {
      hint: 'restore keys/factor-secrets.key, or `candor account reset-factors` on the server',
      cause,
    })
  }
}

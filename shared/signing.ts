/**
 * Signatures: Ed25519 over the exact bytes that are sent, never over re-serialised JSON. One envelope for hotlists, policy,
 * the audit's head, later commands and updates.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { z } from 'zod'
import { AppError } from './errors.ts'

/** `payload` and `signature` are base64 of bytes; `keyId` names the key by its first 16 hex digits of SHA-256 over its SPKI. */
export const envelopeSchema = z.strictObject({
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  payload: z.base64(),
  signature: z.base64().length(88),
})
export type Envelope = z.infer<typeof envelopeSchema>

export interface Signer {
  readonly keyId: string
  readonly publicKeyPem: string
  seal(payload: Uint8Array): Envelope
}

export interface Verifier {
  readonly keyIds: readonly string[]
  /** The payload's exact bytes. Throws `integrity` for an unknown key or a signature that does not verify, `bad_input` for another shape. */
  open(envelope: unknown): Buffer
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function keyIdOf(publicKey: KeyObject): string {
  return sha256Hex(publicKey.export({ type: 'spki', format: 'der' })).slice(0, 16)
}

/** Name of an Ed25519 public key, as in envelopes. Throws `integrity` for what is none. */
export function keyIdOfPem(publicKeyPem: string): string {
  try {
    const key = createPublicKey(publicKeyPem)
    if (key.asymmetricKeyType === 'ed25519') return keyIdOf(key)
  } catch {
    // Said below.
  }
  throw new AppError('integrity', 'a signing key is not an Ed25519 public key')
}

/** A new Ed25519 key pair as PEM (PKCS #8 and SPKI). */
export function newSigningKeyPem(): { privateKeyPem: string; publicKeyPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

export function createSigner(privateKeyPem: string): Signer {
  const privateKey = createPrivateKey(privateKeyPem)
  const publicKey = createPublicKey(privateKey)
  const keyId = keyIdOf(publicKey)
  return {
    keyId,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    seal: (payload) => ({
      keyId,
      payload: Buffer.from(payload).toString('base64'),
      signature: sign(null, payload, privateKey).toString('base64'),
    }),
  }
}

/** Trusts exactly these public keys. Throws `configuration` when one of them is no Ed25519 public key. */
export function createVerifier(publicKeyPems: readonly string[]): Verifier {
  const keys = new Map<string, KeyObject>()
  for (const pem of publicKeyPems) {
    let key: KeyObject
    try {
      key = createPublicKey(pem)
    } catch (cause) {
      throw new AppError('configuration', 'a verification key is not a PEM public key', { cause })
    }
    if (key.asymmetricKeyType !== 'ed25519') throw new AppError('configuration', 'a verification key is not Ed25519')
    keys.set(keyIdOf(key), key)
  }
  return {
    keyIds: [...keys.keys()],
    open(untrusted) {
      const parsed = envelopeSchema.safeParse(untrusted)
      if (!parsed.success) throw new AppError('bad_input', 'not a signed envelope')
      const key = keys.get(parsed.data.keyId)
      if (key === undefined) throw new AppError('integrity', `signed by an unknown key ${parsed.data.keyId}`)
      const payload = Buffer.from(parsed.data.payload, 'base64')
      if (!verify(null, payload, key, Buffer.from(parsed.data.signature, 'base64'))) {
        throw new AppError('integrity', 'the signature does not verify: the content was changed on the way')
      }
      return payload
    },
  }
}

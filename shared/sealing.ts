/**
 * What a camera keeps on its card until the cloud has it, readable by the cloud alone: X25519 with a key pair of the camera process's own,
 * HKDF-SHA256 and AES-256-GCM, as in RFC 9180 with one context a process. The key that seals is in memory only, so that a unit without
 * power cannot open what it has written, not even itself.
 *
 * Sealed bytes: `CSR1`, the process's public key (32), a counter (8, big-endian), the ciphertext, the tag (16).
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import { AppError } from './errors.ts'

const MAGIC = Buffer.from('CSR1')
const PUBLIC_BYTES = 32
const COUNTER_BYTES = 8
const TAG_BYTES = 16
const NONCE_BYTES = 12
const KEY_BYTES = 32
const HEADER_BYTES = MAGIC.length + PUBLIC_BYTES + COUNTER_BYTES
/** What sealing adds. */
export const SEAL_BYTES = HEADER_BYTES + TAG_BYTES
/** Keys of camera processes that an opener remembers; each takes 0.1 ms to make again. */
const MAX_REMEMBERED = 1_024
const INFO = 'candor sealed row 1'
/** DER of an X25519 public key before its 32 bytes [RFC 8410, 4]. */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex')

export interface Sealer {
  /** `context` says what the bytes are and must be the same for opening; it is not in them. About 5 µs. */
  seal(plain: Uint8Array, context: string): Buffer
}

export interface Opener {
  readonly publicKeyPem: string
  /** Throws `integrity` for bytes that were not sealed to this key, were changed, or are of another context. */
  open(sealed: Uint8Array, context: string): Buffer
}

export function isSealed(bytes: Uint8Array): boolean {
  return bytes.length >= SEAL_BYTES && MAGIC.equals(bytes.subarray(0, MAGIC.length))
}

/** A new X25519 key pair as PEM (PKCS #8 and SPKI). */
export function newSealingKeyPem(): { privateKeyPem: string; publicKeyPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/** Seals to the owner of this key. Throws `configuration` for what is no X25519 public key. */
export function createSealer(publicKeyPem: string): Sealer {
  const theirs = parsed(() => createPublicKey(publicKeyPem))
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  const own = rawOf(publicKey)
  const key = keyOf(privateKey, theirs, own, rawOf(theirs))
  let counter = 0n
  return {
    seal(plain, context) {
      const header = Buffer.alloc(HEADER_BYTES)
      MAGIC.copy(header)
      own.copy(header, MAGIC.length)
      header.writeBigUInt64BE(counter, MAGIC.length + PUBLIC_BYTES)
      counter += 1n
      const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header))
      cipher.setAAD(Buffer.concat([header, Buffer.from(context)]))
      return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
  }
}

/** Throws `configuration` for what is no X25519 private key. */
export function createOpener(privateKeyPem: string): Opener {
  const privateKey = parsed(() => createPrivateKey(privateKeyPem))
  const publicKey = createPublicKey(privateKey)
  const own = rawOf(publicKey)
  const keys = new Map<string, Buffer>()

  function keyFor(theirs: Buffer): Buffer {
    const name = theirs.toString('latin1')
    let key = keys.get(name)
    if (key === undefined) {
      const theirKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, theirs]), format: 'der', type: 'spki' })
      key = keyOf(privateKey, theirKey, theirs, own)
      if (keys.size >= MAX_REMEMBERED) keys.delete(keys.keys().next().value ?? '')
      keys.set(name, key)
    }
    return key
  }

  return {
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    open(sealed, context) {
      try {
        const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
        if (!isSealed(bytes)) throw new Error('not sealed')
        const header = bytes.subarray(0, HEADER_BYTES)
        const key = keyFor(header.subarray(MAGIC.length, MAGIC.length + PUBLIC_BYTES))
        const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(header))
        decipher.setAAD(Buffer.concat([header, Buffer.from(context)]))
        decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
        return Buffer.concat([
          decipher.update(bytes.subarray(HEADER_BYTES, bytes.length - TAG_BYTES)),
          decipher.final(),
        ])
      } catch (cause) {
        throw new AppError('integrity', 'sealed bytes that cannot be opened', { cause })
      }
    },
  }
}

function keyOf(privateKey: KeyObject, publicKey: KeyObject, sender: Buffer, receiver: Buffer): Buffer {
  const shared = diffieHellman({ privateKey, publicKey })
  return Buffer.from(hkdfSync('sha256', shared, Buffer.concat([sender, receiver]), INFO, KEY_BYTES))
}

/** The counter never comes again under one key. */
function nonceOf(header: Buffer): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES)
  header.copy(nonce, NONCE_BYTES - COUNTER_BYTES, MAGIC.length + PUBLIC_BYTES)
  return nonce
}

const rawOf = (key: KeyObject) => key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length)

function parsed(parse: () => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = parse()
  } catch (cause) {
    throw new AppError('configuration', 'a sealing key is not a PEM key', { cause })
  }
  if (key.asymmetricKeyType !== 'x25519') throw new AppError('configuration', 'a sealing key is not X25519')
  return key
}

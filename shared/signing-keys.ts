/**
 * Who may say which keys are trusted next, after TUF's root rules (The Update Framework 1.0, 5.3): step by step, signed by a key of
 * the version before, and by each new key, so that nobody is handed a key that nobody holds. Used by both sides.
 */
import { AppError } from './errors.ts'
import { createVerifier, keyIdOfPem, type Signer } from './signing.ts'
import {
  type Cosigned,
  cosignedSchema,
  MAX_SIGNING_KEYS_BYTES,
  parseWire,
  type SigningKeysDocument,
  signingKeysSchema,
} from './wire/index.ts'

export interface TrustedKeys {
  version: number
  /** Public keys, PEM. */
  pems: readonly string[]
}

export function cosign(document: SigningKeysDocument, signers: readonly Signer[]): Cosigned {
  const payload = Buffer.from(JSON.stringify(document))
  const signatures = signers.map((signer) => signer.seal(payload)).map(({ keyId, signature }) => ({ keyId, signature }))
  return { payload: payload.toString('base64'), signatures }
}

/** The document, its signatures not yet looked at. Throws `too_large` or `bad_input`. */
export function readSigningKeys(bytes: Uint8Array): { document: SigningKeysDocument; cosigned: Cosigned } {
  if (bytes.length > MAX_SIGNING_KEYS_BYTES) {
    throw new AppError('too_large', `more than ${MAX_SIGNING_KEYS_BYTES} bytes`)
  }
  const cosigned = parseWire(cosignedSchema, bytes, MAX_SIGNING_KEYS_BYTES)
  if (!cosigned.ok) throw new AppError('bad_input', cosigned.reason)
  const payload = Buffer.from(cosigned.value.payload, 'base64')
  const document = parseWire(signingKeysSchema, payload, MAX_SIGNING_KEYS_BYTES)
  if (!document.ok) throw new AppError('bad_input', document.reason)
  return { document: document.value, cosigned: cosigned.value }
}

/** The document, if `trusted` may be followed by it. Throws `integrity`, `conflict` (not the next version), `too_large` or `bad_input`. */
export function followSigningKeys(bytes: Uint8Array, trusted: TrustedKeys, agency: string): SigningKeysDocument {
  const { document, cosigned } = readSigningKeys(bytes)
  if (document.agency !== agency) throw new AppError('integrity', 'of another agency')
  if (document.version !== trusted.version + 1) {
    throw new AppError('conflict', `version ${document.version} cannot follow version ${trusted.version}`)
  }
  const pems = document.keys.map(({ publicKeyPem }) => publicKeyPem)
  const before = trusted.pems.map(keyIdOfPem)
  const after = pems.map(keyIdOfPem)
  if (document.keys.some(({ keyId }, index) => keyId !== after[index]) || new Set(after).size < after.length) {
    throw new AppError('integrity', 'its keys are not those that they are called')
  }
  const dropped = before.filter((keyId) => !after.includes(keyId))
  if (dropped.length !== document.retired.length || document.retired.some((keyId) => !dropped.includes(keyId))) {
    throw new AppError('integrity', 'it does not say what became of each key')
  }
  const hasSigned = (keyId: string) => {
    const signature = cosigned.signatures.find((one) => one.keyId === keyId)?.signature
    if (signature === undefined) return false
    createVerifier([...trusted.pems, ...pems]).open({ keyId, payload: cosigned.payload, signature })
    return true
  }
  if (!before.some(hasSigned)) throw new AppError('integrity', 'signed by no key of the version before')
  if (!after.every((keyId) => before.includes(keyId) || hasSigned(keyId))) {
    throw new AppError('integrity', 'a new key has not signed it')
  }
  return document
}

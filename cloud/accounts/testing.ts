/** A security key of software, for tests: what a browser would send for it, as JSON. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { newSecret } from '../../shared/ids.ts'
import type { KeyDocument } from './security-keys.ts'

/** [WebAuthn Level 3, 6.1] */
const USER_PRESENT = 0x01
const HAS_CREDENTIAL = 0x40
const AAGUID_BYTES = 16
const ID_BYTES = 16

const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest()
const base64url = (bytes: Buffer) => bytes.toString('base64url')

export interface SoftwareKey {
  /** The answer to `startRegistering`, without attestation. */
  register(options: KeyDocument): KeyDocument
  /** The answer to `startAsking`. */
  answer(options: KeyDocument): KeyDocument
}

/** ECDSA on P-256. `origin`: of the page that asks. */
export function createSecurityKey(origin: string): SoftwareKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = Buffer.from(newSecret(ID_BYTES), 'base64url')
  let uses = 0

  const documentOf = (response: object): KeyDocument => ({
    ...{ id: base64url(id), rawId: base64url(id), type: 'public-key', response, clientExtensionResults: {} },
  })
  const clientData = (type: 'create' | 'get', { challenge }: KeyDocument) =>
    Buffer.from(JSON.stringify({ type: `webauthn.${type}`, challenge, origin, crossOrigin: false }))
  function authenticatorData(flags: number, credential = Buffer.alloc(0)): Buffer {
    const counted = Buffer.alloc(5)
    counted.writeUInt8(flags)
    counted.writeUInt32BE(uses++, 1)
    return Buffer.concat([sha256(new URL(origin).hostname), counted, credential])
  }

  return {
    register(options) {
      const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
      // COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y} [RFC 9053, 7.1.1].
      const [head, between] = [Buffer.from('a5010203262001215820', 'hex'), Buffer.from('225820', 'hex')]
      const cose = [head, Buffer.from(x, 'base64url'), between, Buffer.from(y, 'base64url')]
      const named = [Buffer.alloc(AAGUID_BYTES), Buffer.from([0, ID_BYTES]), id]
      const bytes = authenticatorData(USER_PRESENT | HAS_CREDENTIAL, Buffer.concat([...named, ...cose]))
      // CBOR: {fmt: 'none', attStmt: {}, authData: bytes}.
      const start = [Buffer.from([0xa3, 0x63]), 'fmt', Buffer.from([0x64]), 'none', Buffer.from([0x67]), 'attStmt']
      const parts = [...start, Buffer.from([0xa0, 0x68]), 'authData', Buffer.from([0x58, bytes.length]), bytes]
      const attestationObject = base64url(Buffer.concat(parts.map((part) => Buffer.from(part as Buffer))))
      return documentOf({ clientDataJSON: base64url(clientData('create', options)), attestationObject })
    },
    answer(options) {
      const [seen, bytes] = [clientData('get', options), authenticatorData(USER_PRESENT)]
      const signature = base64url(sign('sha256', Buffer.concat([bytes, sha256(seen)]), privateKey))
      return documentOf({ clientDataJSON: base64url(seen), authenticatorData: base64url(bytes), signature })
    },
  }
}

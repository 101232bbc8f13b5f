/**
 * A camera's key and the request for its certificate (PKCS #10), made where the camera is. Written out here in DER and not with the
 * authority's package, which takes 10 MiB and more of a unit's memory. Called by the commands, by
 * edge/enrolment/ and edge/uplink/.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { sha256Hex } from './signing.ts'

/** Characters of a key's digest that people compare: 80 bits, which nobody finds a second key for. */
export const FINGERPRINT_CHARACTERS = 20

const [SEQUENCE, SET, INTEGER, BIT_STRING, OID, UTF8_STRING, ATTRIBUTES] = [0x30, 0x31, 0x02, 0x03, 0x06, 0x0c, 0xa0]
/** 2.5.4.3 [RFC 5280, A.1] */
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03])
/** 1.2.840.10045.4.3.2 [RFC 5758, 3.2] */
const ECDSA_WITH_SHA256 = Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])

/** One element of DER [X.690, 8.1]. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const length: number[] = []
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff)
  const head = content.length < 0x80 ? [content.length] : [0x80 | length.length, ...length]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

/** A new P-256 key, PKCS #8 PEM: taken by every TLS stack, also on the smallest camera [FIPS 186-5]. */
export function newCameraKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** The request for `name` by the key, PKCS #10 PEM [RFC 2986, 4]. The cloud takes its key and nothing else of it. */
export function cameraRequest(name: string, keyPem: string): string {
  const key = createPrivateKey(keyPem)
  const subject = der(SEQUENCE, der(SET, der(SEQUENCE, der(OID, COMMON_NAME), der(UTF8_STRING, Buffer.from(name)))))
  const info = der(SEQUENCE, der(INTEGER, Buffer.from([0])), subject, spkiOf(createPublicKey(key)), der(ATTRIBUTES))
  const signature = sign('sha256', info, key)
  const algorithm = der(SEQUENCE, der(OID, ECDSA_WITH_SHA256))
  const request = der(SEQUENCE, info, algorithm, der(BIT_STRING, Buffer.from([0]), signature))
  const lines = request.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
}

/** Both at once. The key never leaves the machine that makes it. */
export function newCameraRequest(name: string): { keyPem: string; csrPem: string } {
  const keyPem = newCameraKey()
  return { keyPem, csrPem: cameraRequest(name, keyPem) }
}

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

/** SHA-256 of a public key, or of the public half of a private one in PEM, hex: by this a request that comes again is known. */
export function keyDigest(key: KeyObject | string): string {
  return sha256Hex(spkiOf(typeof key === 'string' ? createPublicKey(key) : key))
}

/** What a person compares, `1f3a-09bc-77e0-4d51-a2c8`. */
export function shortFingerprint(digestHex: string): string {
  return (digestHex.slice(0, FINGERPRINT_CHARACTERS).match(/.{4}/g) ?? []).join('-')
}

/** As a person may type it: capitals, blanks and other separators do not count. */
export function sameFingerprint(typed: string, shown: string): boolean {
  const bare = (text: string) => text.toLowerCase().replace(/[^0-9a-f]/g, '')
  return bare(typed).length === FINGERPRINT_CHARACTERS && bare(typed) === bare(shown)
}

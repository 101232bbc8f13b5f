/**
 * A camera's key and the request for its certificate (PKCS #10), made where the camera is. Written out in DER (der.ts). Called by the
 * commands, by edge/enrolment/ and edge/uplink/.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { bitString, commonName, der, ecdsaWithSha256, pem, TAG } from './der.ts'
import { sha256Hex } from './signing.ts'

/** Characters of a key's digest that people compare: 80 bits, which nobody finds a second key for. */
export const FINGERPRINT_CHARACTERS = 20

/** The attributes of a request, of which there are none [RFC 2986, 4.1]. */
const ATTRIBUTES = 0xa0

/** A new P-256 key, PKCS #8 PEM: taken by every TLS stack, also on the smallest camera [FIPS 186-5]. */
export function newCameraKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** The request for `name` by the key, PKCS #10 PEM [RFC 2986, 4]. The cloud takes its key and nothing else of it. */
export function cameraRequest(name: string, keyPem: string): string {
  const key = createPrivateKey(keyPem)
  const version = der(TAG.integer, Buffer.from([0]))
  const info = der(TAG.sequence, version, commonName(name), spkiOf(createPublicKey(key)), der(ATTRIBUTES))
  const request = der(TAG.sequence, info, ecdsaWithSha256(), bitString(sign('sha256', info, key)))
  return pem('CERTIFICATE REQUEST', request)
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

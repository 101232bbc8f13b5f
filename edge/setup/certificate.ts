/**
 * The certificate of the set-up page: made at each start, signed by itself, its key in memory alone. Nobody can vouch for a unit that has
 * no name yet, so the technician compares its SHA-256 with what the unit's console shows. Called by main.ts of this folder.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign } from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'
import { newCameraKey } from '../../shared/certificate-request.ts'
import { DAY_MS } from '../../shared/clock.ts'
import { bitString, commonName, der, ecdsaWithSha256, pem, TAG } from '../../shared/der.ts'

export interface PageCertificate {
  keyPem: string
  certificatePem: string
  /** SHA-256 over the certificate, `AB:CD:…`, as browsers show it. */
  fingerprint: string
}

/** Browsers of phones take no certificate that is good for more than 825 days without a further warning. */
const VALID_MS = { before: 2 * DAY_MS, after: 30 * DAY_MS } as const
/** Where the unit's clock is not to be trusted: from before the project until UTCTime ends [RFC 5280, 4.1.2.5.1]. */
const ANY_TIME = { from: '200101000000Z', to: '491231235959Z' } as const
const SERIAL_BYTES = 16

/** Object identifiers [RFC 5280, 4.2.1]. */
const OID = {
  subjectAltName: Buffer.from([0x55, 0x1d, 0x11]),
  keyUsage: Buffer.from([0x55, 0x1d, 0x0f]),
  extendedKeyUsage: Buffer.from([0x55, 0x1d, 0x25]),
  serverAuth: Buffer.from([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]),
}
/** Context-specific tags of the certificate and of the names in it. */
const [VERSION, EXTENSIONS, DNS_NAME, IP_ADDRESS] = [0xa0, 0xa3, 0x82, 0x87]

const utcTime = (ms: number) =>
  `${new Date(ms)
    .toISOString()
    .replace(/[-:T]|\.\d+/g, '')
    .slice(2)}`

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(address.includes('::') ? missing : 0).fill('0'), ...groups(tail)]
  return Buffer.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]))
}

const extension = (oid: Buffer, isCritical: boolean, value: Buffer) =>
  der(
    TAG.sequence,
    der(TAG.oid, oid),
    ...(isCritical ? [der(TAG.boolean, Buffer.from([0xff]))] : []),
    der(TAG.octetString, value),
  )

/** `names`: host names and addresses of the unit. `nowMs` null: its clock is not to be trusted. */
export function newPageCertificate(names: readonly string[], nowMs: number | null): PageCertificate {
  const keyPem = newCameraKey()
  const key = createPrivateKey(keyPem)
  const serial = randomBytes(SERIAL_BYTES)
  // Positive, and not with a zero in front.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  const from = nowMs === null ? ANY_TIME.from : utcTime(nowMs - VALID_MS.before)
  const to = nowMs === null ? ANY_TIME.to : utcTime(nowMs + VALID_MS.after)
  const time = (text: string) => der(TAG.utcTime, Buffer.from(text))
  const altNames = names.map((name) =>
    isIP(name) === 0 ? der(DNS_NAME, Buffer.from(name)) : der(IP_ADDRESS, addressBytes(name)),
  )
  const extensions = der(
    TAG.sequence,
    // digitalSignature
    extension(OID.keyUsage, true, der(TAG.bitString, Buffer.from([7, 0x80]))),
    extension(OID.extendedKeyUsage, false, der(TAG.sequence, der(TAG.oid, OID.serverAuth))),
    extension(OID.subjectAltName, false, der(TAG.sequence, ...altNames)),
  )
  const signed = der(
    TAG.sequence,
    der(VERSION, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    ecdsaWithSha256(),
    commonName('Candor set-up'),
    der(TAG.sequence, time(from), time(to)),
    commonName('Candor set-up'),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(EXTENSIONS, extensions),
  )
  const certificate = der(TAG.sequence, signed, ecdsaWithSha256(), bitString(sign('sha256', signed, key)))
  const digest = createHash('sha256').update(certificate).digest('hex').toUpperCase()
  return {
    keyPem,
    certificatePem: pem('CERTIFICATE', certificate),
    fingerprint: (digest.match(/../g) ?? []).join(':'),
  }
}

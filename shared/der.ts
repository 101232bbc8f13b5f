/**
 * The few elements of DER that requests and certificates of a unit are made of [X.690], written out here because the authority's package
 * takes 10 MiB and more of a unit's memory. Used by certificate-request.ts and by the certificate of the set-up page.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const

/** 2.5.4.3 [RFC 5280, A.1] */
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03])
/** 1.2.840.10045.4.3.2 [RFC 5758, 3.2] */
const ECDSA_WITH_SHA256 = Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])

/** One element [X.690, 8.1]. */
export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const length: number[] = []
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff)
  const head = content.length < 0x80 ? [content.length] : [0x80 | length.length, ...length]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

/** A name that has nothing but CN. */
export function commonName(name: string): Buffer {
  const pair = der(TAG.sequence, der(TAG.oid, COMMON_NAME), der(TAG.utf8String, Buffer.from(name)))
  return der(TAG.sequence, der(TAG.set, pair))
}

export const ecdsaWithSha256 = (): Buffer => der(TAG.sequence, der(TAG.oid, ECDSA_WITH_SHA256))

export const bitString = (bytes: Buffer): Buffer => der(TAG.bitString, Buffer.from([0]), bytes)

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

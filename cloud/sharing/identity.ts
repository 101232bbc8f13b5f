/**
 * What an agency's cloud hands to another one to be known by: its name, where it answers, and its authority, signed by the authority's
 * own key. Whoever imports it compares the fingerprint of that key by telephone. Pure; called by partners.ts, the API and `candor partner`.
 */
import { createHash, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { parsePartnerUrn, slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'

/** An identity with a P-256 authority is under 2 KiB. */
export const MAX_IDENTITY_BYTES = 16 * 1024
const MAX_URL_CHARACTERS = 300

/** An origin: https, host and port, nothing else. */
const urlSchema = z
  .string()
  .max(MAX_URL_CHARACTERS)
  .refine((text) => URL.canParse(text) && new URL(text).protocol === 'https:' && new URL(text).origin === text, {
    message: 'must be https://host:port and nothing else',
  })

const payloadSchema = z.strictObject({
  format: z.literal('candor-partner-1'),
  agency: slugSchema,
  url: urlSchema.nullable().describe('where it answers partners; null: it only asks'),
  caPem: z.string().max(MAX_IDENTITY_BYTES),
  issuedAtMs: timeMsSchema,
})

/** The file that travels. `payload` is base64 of the exact bytes that are signed: ECDSA with SHA-256, r and s. */
export const identitySchema = z.strictObject({ payload: z.base64(), signature: z.base64().max(128) })
export type IdentityFile = z.infer<typeof identitySchema>

export interface Identity {
  agency: string
  url: string | null
  caPem: string
  /** SHA-256 of the authority's public key (SPKI), 64 hex digits. */
  fingerprint: string
  issuedAtMs: number
}

/** Keeps a signature of the authority under an identity from ever being one under something else. */
const DOMAIN = Buffer.from('candor partner identity v1\n')

export async function makeIdentity(
  facts: { agency: string; url: string | null; caPem: string; issuedAtMs: number },
  sign: (bytes: Uint8Array) => Promise<string>,
): Promise<IdentityFile> {
  const payload = Buffer.from(JSON.stringify({ format: 'candor-partner-1', ...facts }))
  return { payload: payload.toString('base64'), signature: await sign(Buffer.concat([DOMAIN, payload])) }
}

/** Throws `too_large`, `bad_input` for another shape, `integrity` when the authority in it has not signed it. */
export function readIdentity(file: unknown): Identity {
  const parsed = identitySchema.safeParse(file)
  if (!parsed.success) throw new AppError('bad_input', 'not the identity of a cloud', { hint: MAKE_ANEW })
  const bytes = Buffer.from(parsed.data.payload, 'base64')
  if (bytes.length > MAX_IDENTITY_BYTES) throw new AppError('too_large', `more than ${MAX_IDENTITY_BYTES} bytes`)
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new AppError('bad_input', 'not the identity of a cloud', { hint: MAKE_ANEW, cause })
  }
  const payload = payloadSchema.safeParse(json)
  if (!payload.success) {
    const issue = payload.error.issues[0]
    throw new AppError('bad_input', `identity: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong'}`)
  }
  const { agency, url, caPem, issuedAtMs } = payload.data
  const key = authorityKey(caPem)
  const signature = Buffer.from(parsed.data.signature, 'base64')
  if (!verify('sha256', Buffer.concat([DOMAIN, bytes]), { key, dsaEncoding: 'ieee-p1363' }, signature)) {
    throw new AppError('integrity', 'the identity was not signed by the authority in it', { hint: MAKE_ANEW })
  }
  return { agency, url, caPem, issuedAtMs, fingerprint: fingerprintOf(key) }
}

const MAKE_ANEW = 'let the other agency make the file anew: `candor partner identity`'

/** The key of a certificate that is an authority's, signed by itself, on P-256. Throws `bad_input`. */
function authorityKey(caPem: string): KeyObject {
  try {
    const certificate = new X509Certificate(caPem)
    const key = certificate.publicKey
    const isP256 = key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    if (certificate.ca && isP256 && certificate.verify(key)) return key
  } catch {
    // Said below.
  }
  throw new AppError('bad_input', 'identity: caPem: not the certificate of an authority')
}

function fingerprintOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

/** The pinned key. */
export function publicKeyOf(caPem: string): KeyObject {
  return createPublicKey(caPem)
}

/** `1f3a 09bc …`: sixteen groups of four, as it is read out on the telephone. */
export function spokenFingerprint(fingerprint: string): string {
  return fingerprint.match(/.{4}/g)?.join(' ') ?? fingerprint
}

/** What somebody typed or pasted, as it is compared. */
export function normaliseFingerprint(text: string): string {
  return text.toLowerCase().replace(/[\s:]/g, '')
}

/** The agency that a certificate says it is of, by its only name of that kind; null: none, or several. */
export function agencyOf(subjectAltName: string | undefined): string | null {
  // Node.js quotes a name that holds a comma, so that none can pose as two [CVE-2021-44532].
  const named = (subjectAltName ?? '').split(', ').map((name) => parsePartnerUrn(name.replace(/^URI:/, '')))
  const agencies = named.filter((agency) => agency !== null)
  return agencies.length === 1 ? (agencies[0] ?? null) : null
}

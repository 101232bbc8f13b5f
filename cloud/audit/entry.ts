/**
 * One entry of the audit: its fields, its canonical bytes and its hash. The bytes are what is stored, chained and what the
 * Merkle tree takes as leaves; nothing is ever re-serialised. Pure: used by the log, the verifier and the commands.
 */
import { createHmac } from 'node:crypto'
import canonicalizeExport from 'canonicalize'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { ROLES } from '../permissions.ts'
import { leafHash } from './tree.ts'

// The package's types say `exports.default`, its code says `module.exports`.
const canonicalize = canonicalizeExport as unknown as typeof canonicalizeExport.default

/** Bytes of one entry; a search over every camera of a large agency stays under 4 KiB. */
export const MAX_ENTRY_BYTES = 16 * 1024
/** Characters of any one text. */
export const MAX_AUDIT_TEXT = 1_000
export const MAX_AUDIT_CAMERAS = 256
export const MAX_AUDIT_LISTS = 64
export const MAX_AUDIT_AGENCIES = 64

const text = z.string().max(MAX_AUDIT_TEXT)
const hash = z.string().regex(/^[0-9a-f]{64}$/)
const operation = z
  .string()
  .regex(/^[a-z_]+(\.[a-z_]+)*$/)
  .max(64)
const detail = z.union([
  z.string().max(MAX_AUDIT_TEXT),
  z.number().finite(),
  z.boolean(),
  z.null(),
  z.array(z.string().max(64)).max(64),
])

/** Who acts. All null: the cloud itself. */
export const actorSchema = z.strictObject({
  account: slugSchema.nullable(),
  roles: z.array(z.enum(ROLES)),
  session: z.string().max(64).nullable(),
  /** IP address, or `host` for a command on the server itself. */
  source: z.string().max(64).nullable(),
  /** The other agency for whom it is done; absent: the own one. */
  organisation: slugSchema.optional(),
  /** Its person for whom it is done, an account as that agency says. */
  onBehalfOf: slugSchema.optional(),
})
export type Actor = z.infer<typeof actorSchema>

export const CLOUD_ACTOR: Actor = { account: null, roles: [], session: null, source: null }

/** What was asked of the stored reads. A plate or a pattern appears only as its keyed digest. */
const querySchema = z.strictObject({
  plateDigest: hash.nullable(),
  plateKind: z.enum(['exact', 'pattern', 'any']).nullable(),
  fromMs: z.int().nullable(),
  toMs: z.int().nullable(),
  /** Empty: every camera. */
  cameras: z.array(slugSchema).max(MAX_AUDIT_CAMERAS),
  limit: z.int().nullable(),
  /** Further elements, absent where the query has none. */
  purpose: slugSchema.optional(),
  jurisdiction: z.string().max(16).optional(),
  colour: z.string().max(32).optional(),
  lists: z.array(slugSchema).max(MAX_AUDIT_LISTS).optional(),
  /** Of a search in several places: how many they are, and how many a vehicle must have passed. */
  places: z.int().min(2).optional(),
  placesMet: z.int().min(2).optional(),
  /** Other agencies that were asked as well. */
  agencies: z.array(slugSchema).max(MAX_AUDIT_AGENCIES).optional(),
})
export type AuditQuery = z.infer<typeof querySchema>

/** What a caller says; the log adds the rest. */
export const recordSchema = z.strictObject({
  operation,
  outcome: z.enum(['allowed', 'refused']),
  /** By which rule it was refused, such as `case_number_missing`. */
  rule: z.string().max(64).nullable().default(null),
  actor: actorSchema,
  /** What it was done to, such as `{kind: 'camera', id: 'elm-st-1'}`. */
  subject: z
    .strictObject({ kind: z.string().max(32), id: z.string().max(128) })
    .nullable()
    .default(null),
  caseNumber: text.nullable().default(null),
  offenceType: text.nullable().default(null),
  reason: text.nullable().default(null),
  query: querySchema.nullable().default(null),
  /** Number of results. */
  results: z.int().min(0).nullable().default(null),
  /** `seq` of the entry that this one completes. */
  completes: z.int().min(1).nullable().default(null),
  detail: z.record(z.string().max(64), detail).default({}),
})
export type AuditRecord = z.input<typeof recordSchema>

export const entrySchema = recordSchema.extend({
  seq: z.int().min(1),
  /** UTC, ISO 8601 with milliseconds. */
  at: z.iso.datetime({ precision: 3 }),
  agency: slugSchema,
  /** Hash of the entry before, hex; ZERO_HASH for the first. */
  previous: hash,
})
export type AuditEntry = z.infer<typeof entrySchema>

/** What the first entry calls its predecessor. */
export const ZERO_HASH = '0'.repeat(64)

/** A place in the chain: the last entry's number and its hash in hex. seq 0: before the first. */
export interface ChainPoint {
  readonly seq: number
  readonly hash: string
}

export const CHAIN_START: ChainPoint = { seq: 0, hash: ZERO_HASH }

export interface AuditRow {
  seq: number
  bytes: Buffer
  hash: Buffer
}

/** The next row after `previous`. Throws `bad_input` or `too_large` for a record that cannot be written down. */
export function makeRow(record: AuditRecord, place: { previous: ChainPoint; atMs: number; agency: string }): AuditRow {
  const parsed = recordSchema.safeParse(record)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new AppError('bad_input', `audit record: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong shape'}`)
  }
  const seq = place.previous.seq + 1
  const bytes = canonicalBytes({
    ...parsed.data,
    seq,
    at: new Date(place.atMs).toISOString(),
    agency: place.agency,
    previous: place.previous.hash,
  })
  if (bytes.length > MAX_ENTRY_BYTES) {
    throw new AppError('too_large', `an audit entry is longer than ${MAX_ENTRY_BYTES} bytes`)
  }
  return { seq, bytes, hash: leafHash(bytes) }
}

/** JSON in the one canonical form [RFC 8785], UTF-8. Lone surrogates, which have no UTF-8, are replaced by U+FFFD. */
export function canonicalBytes(value: unknown): Buffer {
  const json = canonicalize(value)
  if (json === undefined) throw new AppError('internal', 'nothing to canonicalise')
  // JSON.stringify writes a lone surrogate as an escape, which the standard forbids; parsing and writing again would keep it.
  return Buffer.from(json.replace(LONE_SURROGATE_ESCAPE, '\uFFFD'), 'utf8')
}
const LONE_SURROGATE_ESCAPE = /(?<=(?<!\\)(?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g

/** The one problem that may be the entry's before as well. */
export const DOES_NOT_FOLLOW = 'it does not follow from the entry before'

/** What is wrong with `row` as the successor of `previous`, or the new place in the chain. */
export function checkRow(
  row: AuditRow,
  previous: ChainPoint,
): { ok: true; point: ChainPoint; entry: AuditEntry } | { ok: false; problem: string } {
  const bad = (problem: string) => ({ ok: false, problem }) as const
  if (row.seq !== previous.seq + 1) return bad(`expected entry ${previous.seq + 1}: it is missing`)
  if (!Buffer.isBuffer(row.bytes) || !Buffer.isBuffer(row.hash)) return bad('its bytes or its hash are of another type')
  const computed = leafHash(row.bytes)
  if (!computed.equals(row.hash)) return bad('its hash does not fit its bytes')
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(row.bytes))
  } catch {
    return bad('its bytes are not JSON')
  }
  const entry = entrySchema.safeParse(json)
  if (!entry.success) return bad(`its field ${entry.error.issues[0]?.path.join('.') ?? ''} is wrong`)
  if (!canonicalBytes(json).equals(row.bytes)) return bad('its bytes are not in canonical form')
  if (entry.data.seq !== row.seq) return bad(`it calls itself entry ${entry.data.seq}`)
  if (entry.data.previous !== previous.hash) return bad(DOES_NOT_FOLLOW)
  return { ok: true, point: { seq: row.seq, hash: computed.toString('hex') }, entry: entry.data }
}

/** The entry of bytes that the log itself stored. Throws `integrity`. */
export function parseEntry(bytes: Uint8Array): AuditEntry {
  try {
    return entrySchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (cause) {
    throw new AppError('integrity', 'a stored audit entry cannot be read', { hint: 'run `candor audit verify`', cause })
  }
}

/**
 * Keyed digest of a plate or pattern (HMAC-SHA256, hex): equal queries can be recognised by who holds the key, and destroying
 * the key makes the plates in an audit kept for ever unreadable. A plain hash would be reversed by trying every plate.
 */
export function plateDigest(key: Uint8Array, plate: string): string {
  return createHmac('sha256', key).update(plate, 'utf8').digest('hex')
}

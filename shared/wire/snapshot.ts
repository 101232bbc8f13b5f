/**
 * A snapshot's records: 52 bytes an entry instead of 150 of JSON, and no parser between a million of them and the camera's table. Big-endian:
 *
 * | at | bytes | |
 * | --- | --- | --- |
 * | 0 | 16 | digest of the plate |
 * | 16 | 16 | entryId |
 * | 32 | 6 | effectiveAtMs, 0: always |
 * | 38 | 6 | expiresAtMs, 0: never |
 * | 44 | 6 | jurisdiction in ASCII, filled up with zeros; all zeros: unknown |
 * | 50 | 1 | priority 1-5 |
 * | 51 | 1 | rule: 0 exact, 1 near |
 *
 * So a record has SNAPSHOT_RECORD_BYTES. A delta's changes are such records with one byte more, so that both are sorted alike, each digest
 * and entryId once:
 *
 * | at | bytes | |
 * | --- | --- | --- |
 * | 0 | 52 | the record; of a removal, digest and entryId alone, the rest zeros |
 * | 52 | 1 | 0 remove, 1 put: it is new, or takes the place of the record of the same digest and entryId |
 */
import { PLATE_DIGEST_BYTES } from '../list-key.ts'
import { SNAPSHOT_RECORD_BYTES, type SnapshotEntry } from './hotlist.ts'

const AT = {
  entryId: PLATE_DIGEST_BYTES,
  effective: 32,
  expires: 38,
  jurisdiction: 44,
  priority: 50,
  rule: 51,
} as const
/** What happens to a delta's record. */
export const DELTA_REMOVE = 0
export const DELTA_PUT = 1
const TIME_BYTES = 6
const JURISDICTION_BYTES = 6
/** Records are in the order of digest and entryId. */
export const RECORD_ORDER_BYTES = AT.effective

export type RecordFields = Omit<SnapshotEntry, 'digest'> & { digest: Uint8Array }

/** Writes one record at `at` of `into`. */
export function writeRecord(into: Buffer, at: number, entry: RecordFields): void {
  into.set(entry.digest, at)
  into.write(entry.entryId.replaceAll('-', ''), at + AT.entryId, 'hex')
  into.writeUIntBE(entry.effectiveAtMs ?? 0, at + AT.effective, TIME_BYTES)
  into.writeUIntBE(entry.expiresAtMs ?? 0, at + AT.expires, TIME_BYTES)
  into.fill(0, at + AT.jurisdiction, at + AT.jurisdiction + JURISDICTION_BYTES)
  into.write(entry.jurisdiction ?? '', at + AT.jurisdiction, 'latin1')
  into[at + AT.priority] = entry.priority
  into[at + AT.rule] = entry.rule === 'near' ? 1 : 0
}

/** The record at `at`, as its bytes say; the caller checks it. */
export function readRecord(from: Buffer, at: number): RecordFields {
  const id = from.toString('hex', at + AT.entryId, at + AT.effective)
  const jurisdiction = from.toString('latin1', at + AT.jurisdiction, at + AT.priority).replace(/\0+$/, '')
  return {
    digest: from.subarray(at, at + PLATE_DIGEST_BYTES),
    entryId: `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`,
    effectiveAtMs: from.readUIntBE(at + AT.effective, TIME_BYTES) || null,
    expiresAtMs: from.readUIntBE(at + AT.expires, TIME_BYTES) || null,
    jurisdiction: jurisdiction === '' ? null : jurisdiction,
    priority: from[at + AT.priority] ?? 0,
    rule: from[at + AT.rule] === 1 ? 'near' : 'exact',
  }
}

/** Writes a change at `at` of `into`: that this record is new or other than before. */
export function writePut(into: Buffer, at: number, entry: RecordFields): void {
  writeRecord(into, at, entry)
  into[at + SNAPSHOT_RECORD_BYTES] = DELTA_PUT
}

/** Writes a change at `at` of `into`: that the record of this digest and id goes. */
export function writeRemoval(
  into: Buffer,
  at: number,
  { digest, entryId }: Pick<RecordFields, 'digest' | 'entryId'>,
): void {
  into.fill(0, at, at + SNAPSHOT_RECORD_BYTES)
  into.set(digest, at)
  into.write(entryId.replaceAll('-', ''), at + AT.entryId, 'hex')
  into[at + SNAPSHOT_RECORD_BYTES] = DELTA_REMOVE
}

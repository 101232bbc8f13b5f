/** A list as cameras get it: records with keyed digests, sorted, in chunks, described by a signed manifest. No plate, reason or case number travels. */
import type { ListKey } from '../../shared/list-key.ts'
import type { Signer } from '../../shared/signing.ts'
import { type Manifest, type MatchRule, SNAPSHOT_RECORD_BYTES, writeRecord } from '../../shared/wire/index.ts'
import type { ListEntry } from './matcher.ts'
import { createSortedRecords, type SortedRecords } from './sorted-records.ts'

/** What travels of an entry, beside its digest. */
export type PackedEntry = Omit<ListEntry, 'category' | 'rule'> & { rule: MatchRule }

/** From when to when a list matches as a whole; null: always. */
export interface ListDates {
  effectiveAtMs: number | null
  expiresAtMs: number | null
}

/** Within the list's dates, which hold for each of its entries. null for a pattern: it has no digest, and the cloud alone matches it. */
export function packable(entry: Omit<ListEntry, 'category'> | null, dates: ListDates): PackedEntry | null {
  if (entry === null || entry.rule === 'wildcard') return null
  if (dates.effectiveAtMs === null && dates.expiresAtMs === null) return entry as PackedEntry
  const within = (own: number | null, list: number | null, pick: (...times: number[]) => number) =>
    own === null || list === null ? (own ?? list) : pick(own, list)
  return {
    ...(entry as PackedEntry),
    effectiveAtMs: within(entry.effectiveAtMs, dates.effectiveAtMs, Math.max),
    expiresAtMs: within(entry.expiresAtMs, dates.expiresAtMs, Math.min),
  }
}

export interface SnapshotBuilder extends Pick<SortedRecords, 'end'> {
  /** In any order. */
  add(entry: PackedEntry): Promise<void>
}

/** `turn` lets the event loop go on between steps. */
export function createSnapshotBuilder(key: ListKey, turn: () => Promise<unknown>): SnapshotBuilder {
  const records = createSortedRecords(SNAPSHOT_RECORD_BYTES, turn)
  return {
    add: (entry) => records.add((into, at) => writeRecord(into, at, { ...entry, digest: key.digest(entry.plate) })),
    end: records.end,
  }
}

/** The signed manifest, as it stands in the table and goes out. */
export function sealManifest(signer: Signer, manifest: Manifest): string {
  return JSON.stringify(signer.seal(Buffer.from(JSON.stringify(manifest))))
}

/** A manifest made by `sealManifest`; one of before there were keys names none, one of before there were deltas has none. */
export function openManifest(
  sealed: string,
): Omit<Manifest, 'keyId' | 'delta'> & Partial<Pick<Manifest, 'keyId' | 'delta'>> {
  const { payload } = JSON.parse(sealed) as { payload: string }
  return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Manifest
}

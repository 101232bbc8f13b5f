/** One snapshot being received: its entries are written as a new generation, beside what matches. */
import { AppError } from '../../shared/errors.ts'
import {
  EARLIEST_TIME_MS,
  LATEST_TIME_MS,
  type Manifest,
  type RecordFields,
  readRecord,
  SNAPSHOT_RECORD_BYTES,
  snapshotEntrySchema,
} from '../../shared/wire/index.ts'
import { type Chunks, createChunks } from './chunks.ts'
import type { ListTables } from './tables.ts'

/** Entries of one transaction: keeps the event loop free (under 50 ms on a Raspberry Pi class machine). */
const ENTRIES_PER_STEP = 500

/** What comes of a version: its snapshot, or the delta that leads to it. */
export interface Download extends Pick<Chunks, 'add' | 'complete'> {
  readonly kind: 'snapshot' | 'delta'
  readonly manifest: Manifest
  /** Its number in hotlist_generations. */
  readonly generation: number
  /** Checks digest, bytes, count and every entry, and writes them. Nothing of it matches yet. Throws `integrity`, `storage_full`. */
  write(): Promise<void>
}

/** `turn` lets the event loop go on between steps. */
export function createSnapshot(manifest: Manifest, tables: ListTables, turn: () => Promise<void>): Download {
  const generation = tables.newGeneration()
  const chunks = createChunks(manifest, generation, tables, turn)
  return {
    ...{ kind: 'snapshot', manifest, generation, add: chunks.add },
    get complete() {
      return chunks.complete
    },
    async write() {
      await chunks.check()
      const form = { recordBytes: SNAPSHOT_RECORD_BYTES, perStep: ENTRIES_PER_STEP }
      await chunks.eachStep(form, checkedEntry, (entries) => tables.putEntries(generation, entries))
    },
  }
}

/** By hand what snapshotEntrySchema says: a million entries through it take a camera a minute. */
export function checkedEntry(bytes: Buffer, at: number, index: number): RecordFields {
  const entry = readRecord(bytes, at)
  const { shape } = snapshotEntrySchema
  const isKnown = entry.jurisdiction === null || shape.jurisdiction.safeParse(entry.jurisdiction).success
  const isTime = [entry.effectiveAtMs, entry.expiresAtMs].every(
    (timeMs) => timeMs === null || (timeMs >= EARLIEST_TIME_MS && timeMs <= LATEST_TIME_MS),
  )
  const isRule = (bytes[at + SNAPSHOT_RECORD_BYTES - 1] ?? 2) <= 1
  if (!isKnown || !isTime || !isRule || entry.priority < 1 || entry.priority > 5 || !isId(entry.entryId)) {
    throw new AppError('integrity', `entry ${index}: not an entry`)
  }
  return entry
}

/** A UUIDv7, as far as its digits can be wrong. */
export const isId = (entryId: string): boolean => entryId.charAt(14) === '7'

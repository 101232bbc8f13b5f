/** What came, changed and went between two versions, as cameras get it: only what differs is digested, in the one walk over the version. */
import type { ListKey } from '../../shared/list-key.ts'
import {
  DELTA_RECORD_BYTES,
  MAX_DELTA_ENTRIES,
  MAX_DELTA_SHARE,
  writePut,
  writeRemoval,
} from '../../shared/wire/index.ts'
import type { PackedEntry } from './snapshot.ts'
import { createSortedRecords, type RecordTotals } from './sorted-records.ts'

export interface DeltaBuilder {
  /** The same entry in the older and the newer version, or null where it is not. Throws nothing for too many: then there is no delta. */
  add(old: PackedEntry | null, now: PackedEntry | null): Promise<void>
  /** More than a delta may have: the rest need not be added. */
  readonly isTooLong: boolean
  /** null: it is not much shorter than a snapshot of `snapshotBytes`. */
  end(snapshotBytes: number): Promise<{ totals: RecordTotals; chunks: Buffer[] } | null>
}

/** `turn` lets the event loop go on between steps. Holds at most twice MAX_DELTA_ENTRIES records: 26 MB. */
export function createDeltaBuilder(key: ListKey, turn: () => Promise<unknown>): DeltaBuilder {
  const records = createSortedRecords(DELTA_RECORD_BYTES, turn)
  let isTooLong = false

  async function write(entry: PackedEntry, operation: typeof writePut | typeof writeRemoval): Promise<void> {
    isTooLong ||= records.count >= MAX_DELTA_ENTRIES
    if (isTooLong) return
    await records.add((into, at) => operation(into, at, { ...entry, digest: key.digest(entry.plate) }))
  }

  return {
    async add(old, now) {
      if (old !== null && now !== null && isSame(old, now)) return
      // One of another plate has another digest: it is another record, whatever its id.
      if (old !== null && old.plate !== now?.plate) await write(old, writeRemoval)
      if (now !== null) await write(now, writePut)
    },
    get isTooLong() {
      return isTooLong
    },
    async end(snapshotBytes) {
      const isShort = records.count * DELTA_RECORD_BYTES <= snapshotBytes * MAX_DELTA_SHARE
      return isTooLong || !isShort ? null : await records.end()
    },
  }
}

/** In everything that a record has. */
function isSame(a: PackedEntry, b: PackedEntry): boolean {
  return (
    a.plate === b.plate &&
    a.jurisdiction === b.jurisdiction &&
    a.priority === b.priority &&
    a.rule === b.rule &&
    a.effectiveAtMs === b.effectiveAtMs &&
    a.expiresAtMs === b.expiresAtMs
  )
}

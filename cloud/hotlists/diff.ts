/** What came and went between two versions of a list. */
import type { HotlistEntriesTable } from '../database/schema-administration.ts'

/** Entries named by `diff` on each side; all are counted. */
export const MAX_DIFF_ENTRIES = 100

export interface DiffEntry {
  plate: string
  jurisdiction: string | null
  caseNumber: string | null
}

export interface ListDiff {
  from: number
  to: number
  added: number
  removed: number
  addedEntries: DiffEntry[]
  removedEntries: DiffEntry[]
}

/** Walks both versions side by side in the order of their ids, a step of each at a time. */
export async function compareVersions(
  { from, to }: { from: number; to: number },
  older: AsyncGenerator<HotlistEntriesTable>,
  newer: AsyncGenerator<HotlistEntriesTable>,
): Promise<ListDiff> {
  const diff: ListDiff = { from, to, added: 0, removed: 0, addedEntries: [], removedEntries: [] }
  const name = (named: DiffEntry[], { plate, jurisdiction, case_number }: HotlistEntriesTable) => {
    if (named.length < MAX_DIFF_ENTRIES) named.push({ plate, jurisdiction, caseNumber: case_number })
  }
  let [old, now] = [await older.next(), await newer.next()]
  while (old.done !== true || now.done !== true) {
    if (now.done === true || (old.done !== true && old.value.entry_id < now.value.entry_id)) {
      diff.removed += 1
      name(diff.removedEntries, old.value)
      old = await older.next()
    } else if (old.done === true || now.value.entry_id < old.value.entry_id) {
      diff.added += 1
      name(diff.addedEntries, now.value)
      now = await newer.next()
    } else {
      ;[old, now] = [await older.next(), await newer.next()]
    }
  }
  return diff
}

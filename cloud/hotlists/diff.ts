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

type Row = HotlistEntriesTable
type Identified = Pick<Row, 'entry_id'>

/**
 * Both versions in the order of their ids, a step of each at a time: the same entry in both, or null where it is not. `isEnough` ends the
 * older one early; the newer one is always read whole.
 */
export async function* sideBySide<Old extends Identified, Now extends Identified>(
  older: AsyncGenerator<Old>,
  newer: AsyncGenerator<Now>,
  isEnough: () => boolean = () => false,
): AsyncGenerator<{ old: Old | null; now: Now } | { old: Old; now: null }> {
  let [old, now] = [await older.next(), await newer.next()]
  while (old.done !== true || now.done !== true) {
    if (old.done !== true && isEnough()) old = { done: true, value: undefined }
    else if (old.done !== true && (now.done === true || old.value.entry_id < now.value.entry_id)) {
      yield { old: old.value, now: null }
      old = await older.next()
    } else if (now.done !== true && (old.done === true || now.value.entry_id < old.value.entry_id)) {
      yield { old: null, now: now.value }
      now = await newer.next()
    } else if (old.done !== true && now.done !== true) {
      yield { old: old.value, now: now.value }
      ;[old, now] = [await older.next(), await newer.next()]
    }
  }
}

export async function compareVersions(
  { from, to }: { from: number; to: number },
  older: AsyncGenerator<Row>,
  newer: AsyncGenerator<Row>,
): Promise<ListDiff> {
  const diff: ListDiff = { from, to, added: 0, removed: 0, addedEntries: [], removedEntries: [] }
  const name = (named: DiffEntry[], { plate, jurisdiction, case_number }: Row) => {
    if (named.length < MAX_DIFF_ENTRIES) named.push({ plate, jurisdiction, caseNumber: case_number })
  }
  for await (const { old, now } of sideBySide(older, newer)) {
    if (now === null) {
      diff.removed += 1
      name(diff.removedEntries, old)
    } else if (old === null) {
      diff.added += 1
      name(diff.addedEntries, now)
    }
  }
  return diff
}

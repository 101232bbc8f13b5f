/**
 * The lists in force, in memory, for matching every sighting as it arrives: a hash lookup by confusable key, no query. A list
 * is swapped whole, so the old version matches until the new one is in.
 */
import { comparePlates, confusableKey, type MatchKind } from '../../shared/plate.ts'
import type { MatchRule } from '../../shared/wire/hotlist.ts'

/** Entries of all lists in force together; 1,000,000 take about 230 MB (measured with plates of 7 characters). */
export const MAX_MATCHED_ENTRIES = 1_000_000

export interface ListEntry {
  entryId: string
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: MatchRule
  effectiveAtMs: number | null
  expiresAtMs: number | null
}

/** What a read met in the lists: everything that an alert says of it. */
export interface ListMatch {
  kind: MatchKind
  list: string
  listVersion: number
  entryId: string
  /** As listed, not as read. */
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  /** Groups of every list that the read met, sorted. */
  groups: readonly string[]
}

/** One list, being filled or in force. One entry a key is the common case and is kept without an array. */
export interface ListIndex {
  add(entry: ListEntry): void
  readonly size: number
  candidates(key: string): readonly ListEntry[]
}

const NONE: readonly ListEntry[] = []

export function createListIndex(): ListIndex {
  const byKey = new Map<string, ListEntry | ListEntry[]>()
  // A list has few categories; one string each instead of one an entry.
  const categories = new Map<string, string>()
  let size = 0
  return {
    add(entry) {
      const category = categories.get(entry.category) ?? entry.category
      categories.set(category, category)
      const kept = { ...entry, category }
      const key = confusableKey(entry.plate)
      const there = byKey.get(key)
      if (there === undefined) byKey.set(key, kept)
      else if (Array.isArray(there)) there.push(kept)
      else byKey.set(key, [there, kept])
      size += 1
    },
    get size() {
      return size
    },
    candidates(key) {
      const there = byKey.get(key)
      if (there === undefined) return NONE
      return Array.isArray(there) ? there : [there]
    },
  }
}

export interface ListInForce {
  list: string
  version: number
  groups: readonly string[]
  index: ListIndex
}

/**
 * The best entry for a read: exact before near, the read's own jurisdiction before an unknown and that before another one,
 * then the more urgent priority. Another jurisdiction does not hide a match, because the read of it may be wrong: the person
 * who verifies sees both. `jurisdiction` is what was read, or null.
 */
export function findMatch(
  lists: Iterable<ListInForce>,
  plate: string,
  nowMs: number,
  jurisdiction: string | null,
): ListMatch | null {
  const key = confusableKey(plate)
  let best: { entry: ListEntry; kind: MatchKind; in: ListInForce; rank: number } | null = null
  let groups: Set<string> | null = null
  for (const inForce of lists) {
    for (const entry of inForce.index.candidates(key)) {
      const kind = comparePlates(plate, entry.plate)
      if (kind === null || (kind === 'near' && entry.rule === 'exact')) continue
      if (entry.effectiveAtMs !== null && nowMs < entry.effectiveAtMs) continue
      if (entry.expiresAtMs !== null && nowMs >= entry.expiresAtMs) continue
      groups ??= new Set()
      for (const group of inForce.groups) groups.add(group)
      const rank = rankOf(kind, entry, jurisdiction)
      if (best === null || rank < best.rank || (rank === best.rank && entry.entryId < best.entry.entryId)) {
        best = { entry, kind, in: inForce, rank }
      }
    }
  }
  if (best === null || groups === null) return null
  const { entry } = best
  return {
    kind: best.kind,
    list: best.in.list,
    listVersion: best.in.version,
    entryId: entry.entryId,
    plate: entry.plate,
    jurisdiction: entry.jurisdiction,
    category: entry.category,
    priority: entry.priority,
    groups: [...groups].sort(),
  }
}

/** Smaller is better; the digits are kind, jurisdiction, priority. */
function rankOf(kind: MatchKind, entry: ListEntry, jurisdiction: string | null): number {
  const place = entry.jurisdiction === null || jurisdiction === null ? 1 : entry.jurisdiction === jurisdiction ? 0 : 2
  return (kind === 'exact' ? 0 : 100) + place * 10 + entry.priority
}

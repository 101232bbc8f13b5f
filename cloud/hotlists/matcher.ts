/**
 * The lists in force, in memory, for matching every sighting as it arrives: a hash lookup for the read and one for each text that it may
 * have been, no query. A list is swapped whole, so the old version matches until the new one is in.
 */
import { compareMatches, type Ranked } from '../../shared/match-order.ts'
import { type MatchKind, type NearVariant, nearVariants } from '../../shared/plate.ts'
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
  /** How likely the reader thought the listed text, 0-1; 1 for an exact match. */
  score: number
  list: string
  listVersion: number
  entryId: string
  /** As listed, not as read. */
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  /** An officer has cleared the entry: it raises no alert until its time is over. */
  suppressed: boolean
  /** Groups of every list that the read met, sorted. */
  groups: readonly string[]
}

/** One list, being filled or in force. One entry a plate is the common case and is kept without an array. */
export interface ListIndex {
  add(entry: ListEntry): void
  readonly size: number
  /** Entries that may be met by a near read. */
  readonly nearSize: number
  entriesFor(plate: string): readonly ListEntry[]
}

const NONE: readonly ListEntry[] = []

export function createListIndex(): ListIndex {
  const byPlate = new Map<string, ListEntry | ListEntry[]>()
  // A list has few categories; one string each instead of one an entry.
  const categories = new Map<string, string>()
  let size = 0
  let nearSize = 0
  return {
    add(entry) {
      const category = categories.get(entry.category) ?? entry.category
      categories.set(category, category)
      const kept = { ...entry, category }
      const there = byPlate.get(entry.plate)
      if (there === undefined) byPlate.set(entry.plate, kept)
      else if (Array.isArray(there)) there.push(kept)
      else byPlate.set(entry.plate, [there, kept])
      size += 1
      if (entry.rule === 'near') nearSize += 1
    },
    get size() {
      return size
    },
    get nearSize() {
      return nearSize
    },
    entriesFor(plate) {
      const there = byPlate.get(plate)
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

/** What is matched: a plate as read, and what else its reader thought it might be. */
export interface MatchedRead {
  plate: string
  candidates: readonly { plate: string; confidence: number }[]
  jurisdiction: { code: string } | null
}

/**
 * The best entry for a read, in the order of match-order.ts, with the groups of every list that the read met; one that is suppressed only
 * where there is no other.
 */
export function findMatch(
  lists: Iterable<ListInForce>,
  read: MatchedRead,
  nowMs: number,
  isSuppressed: (list: string, entryId: string, nowMs: number) => boolean,
): ListMatch | null {
  let best: (Ranked & { entry: ListEntry; in: ListInForce; suppressed: boolean }) | null = null
  let groups: Set<string> | null = null
  const exact = [{ plate: read.plate, score: 1 }]
  let near: readonly NearVariant[] | null = null
  for (const inForce of lists) {
    const { index } = inForce
    for (const kind of ['exact', 'near'] as const) {
      if (kind === 'near' && index.nearSize === 0) continue
      if (kind === 'near') near ??= nearVariants(read.plate, read.candidates)
      for (const { plate, score } of kind === 'exact' ? exact : (near ?? [])) {
        for (const entry of index.entriesFor(plate)) {
          if (kind === 'near' && entry.rule === 'exact') continue
          if (entry.effectiveAtMs !== null && nowMs < entry.effectiveAtMs) continue
          if (entry.expiresAtMs !== null && nowMs >= entry.expiresAtMs) continue
          const { entryId, jurisdiction, priority } = entry
          const suppressed = isSuppressed(inForce.list, entryId, nowMs)
          groups ??= new Set()
          // Nobody is told of an alert for the sake of an entry that raises none.
          if (!suppressed) for (const group of inForce.groups) groups.add(group)
          const ranked = { kind, score, entryId, jurisdiction, priority, entry, in: inForce, suppressed }
          const isBetter =
            best === null ||
            (best.suppressed !== suppressed
              ? best.suppressed
              : compareMatches(ranked, best, read.jurisdiction?.code ?? null) < 0)
          if (isBetter) best = ranked
        }
      }
    }
  }
  if (best === null || groups === null) return null
  const { entry } = best
  return {
    kind: best.kind,
    score: best.score,
    list: best.in.list,
    listVersion: best.in.version,
    entryId: entry.entryId,
    plate: entry.plate,
    jurisdiction: entry.jurisdiction,
    category: entry.category,
    priority: entry.priority,
    suppressed: best.suppressed,
    groups: [...groups].sort(),
  }
}

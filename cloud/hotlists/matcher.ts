/**
 * The lists in force, in memory, for matching every sighting as it arrives: a hash lookup for the read and one for each text that it may
 * have been, and a look at each pattern; no query. A list is swapped whole, so the old version matches until the new one is in.
 */
import { compareMatches, type ListMatchKind, type Ranked } from '../../shared/match-order.ts'
import { type NearVariant, nearVariants, patternToRegExp } from '../../shared/plate.ts'
import { type ListRule, MAX_LIST_ENTRIES } from '../../shared/wire/hotlist.ts'
import type { HotlistRules } from '../../shared/wire/policy.ts'
import type { ListSettings } from './settings.ts'

/** Entries of all lists in force together; 1,000,000 take about 230 MB (measured with plates of 7 characters). */
export const MAX_MATCHED_ENTRIES = 1_000_000
/** Patterns of all lists in force together; each read is held against each of them, 60 ns apiece. */
export const MAX_MATCHED_PATTERNS = 1_000

export interface ListEntry {
  entryId: string
  /** By rule `wildcard`: a pattern. */
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: ListRule
  effectiveAtMs: number | null
  expiresAtMs: number | null
}

/** What a read met in the lists: everything that an alert says of it. */
export interface ListMatch {
  kind: ListMatchKind
  /** How likely the reader thought the listed text, 0-1; 1 unless it is a near match. */
  score: number
  list: string
  listVersion: number
  entryId: string
  /** As listed, not as read. */
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  /** The list is past its age limit. */
  stale: boolean
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
  /** Entries that are patterns, of `size`. */
  readonly patternSize: number
  entriesFor(plate: string): readonly ListEntry[]
  /** Entries whose pattern means this plate. */
  patternsFor(plate: string): readonly ListEntry[]
}

const NONE: readonly ListEntry[] = []

/** One map of a million plates stops the event loop for 100 ms when it grows; one of so many shares, for under 1 ms. */
const SHARES = 256

type Share = Map<string, ListEntry | ListEntry[]>

export function createListIndex(): ListIndex {
  const shares: Share[] = Array.from({ length: SHARES }, () => new Map())
  const shareOf = (plate: string) => shares[shareNumber(plate)] as Share
  // A list has few categories; one string each instead of one an entry.
  const categories = new Map<string, string>()
  const patterns: { entry: ListEntry; means: RegExp }[] = []
  let size = 0
  let nearSize = 0
  return {
    add(entry) {
      const category = categories.get(entry.category) ?? entry.category
      categories.set(category, category)
      const kept = { ...entry, category }
      size += 1
      if (entry.rule === 'wildcard') {
        patterns.push({ entry: kept, means: patternToRegExp(entry.plate) })
        return
      }
      const share = shareOf(entry.plate)
      const there = share.get(entry.plate)
      if (there === undefined) share.set(entry.plate, kept)
      else if (Array.isArray(there)) there.push(kept)
      else share.set(entry.plate, [there, kept])
      if (entry.rule === 'near') nearSize += 1
    },
    get size() {
      return size
    },
    get nearSize() {
      return nearSize
    },
    get patternSize() {
      return patterns.length
    },
    entriesFor(plate) {
      const there = shareOf(plate).get(plate)
      if (there === undefined) return NONE
      return Array.isArray(there) ? there : [there]
    },
    patternsFor(plate) {
      return patterns.length === 0 ? NONE : patterns.filter(({ means }) => means.test(plate)).map(({ entry }) => entry)
    },
  }
}

/** Any even spread would do [FNV-1a, of the characters]. */
function shareNumber(plate: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < plate.length; at++) hash = Math.imul(hash ^ plate.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 16)) & (SHARES - 1)
}

export interface ListInForce {
  list: string
  version: number
  groups: readonly string[]
  /** The list as a whole matches from then on and before that; null: always. */
  effectiveAtMs: number | null
  expiresAtMs: number | null
  /** From here on it is past its age limit. */
  staleAtMs: number
  index: ListIndex
}

export function inForceOf(
  current: Pick<ListInForce, 'list' | 'version' | 'index'>,
  { groups, effectiveAtMs, expiresAtMs }: ListSettings,
  staleAtMs: number,
): ListInForce {
  const { list, version, index } = current
  return { list, version, index, groups, effectiveAtMs, expiresAtMs, staleAtMs }
}

/** Why so many entries of `list` do not fit in beside those of the others; null: they do. */
export function noRoomFor(
  lists: Iterable<ListInForce>,
  list: string,
  { entries, patterns }: { entries: number; patterns: number },
  maxMatchedEntries: number,
): string | null {
  let [allEntries, allPatterns] = [entries, patterns]
  for (const other of lists) {
    if (other.list === list) continue
    allEntries += other.index.size
    allPatterns += other.index.patternSize
  }
  if (allPatterns > MAX_MATCHED_PATTERNS) return `more than ${MAX_MATCHED_PATTERNS} patterns in all lists together`
  const isMany = entries > MAX_LIST_ENTRIES || allEntries > maxMatchedEntries
  return isMany ? `more than ${maxMatchedEntries} entries in all lists together` : null
}

/** What is matched: a plate as read, and what else its reader thought it might be. */
export interface MatchedRead {
  plate: string
  candidates: readonly { plate: string; confidence: number }[]
  jurisdiction: { code: string } | null
}

/**
 * The best entry for a read, in the order of match-order.ts, with the groups of every list that the read met; one that is suppressed only
 * where there is no other. `staleLists`: of lists past their age limit.
 */
export function findMatch(
  lists: Iterable<ListInForce>,
  read: MatchedRead,
  nowMs: number,
  isSuppressed: (list: string, entryId: string, nowMs: number) => boolean,
  staleLists: HotlistRules['staleLists'] = 'mark',
): ListMatch | null {
  let best: (Ranked & { entry: ListEntry; in: ListInForce; suppressed: boolean }) | null = null
  let groups: Set<string> | null = null
  const asRead = [{ plate: read.plate, score: 1 }]
  let near: readonly NearVariant[] | null = null
  for (const inForce of lists) {
    const { index } = inForce
    if (!isWithin(inForce, nowMs) || (staleLists === 'stop' && nowMs >= inForce.staleAtMs)) continue
    for (const kind of ['exact', 'near', 'wildcard'] as const) {
      if (kind === 'near' && index.nearSize === 0) continue
      if (kind === 'near') near ??= nearVariants(read.plate, read.candidates)
      for (const { plate, score } of kind === 'near' ? (near ?? []) : asRead) {
        for (const entry of kind === 'wildcard' ? index.patternsFor(plate) : index.entriesFor(plate)) {
          if (kind === 'near' && entry.rule === 'exact') continue
          if (!isWithin(entry, nowMs)) continue
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
    stale: nowMs >= best.in.staleAtMs,
    suppressed: best.suppressed,
    groups: [...groups].sort(),
  }
}

function isWithin(dates: { effectiveAtMs: number | null; expiresAtMs: number | null }, nowMs: number): boolean {
  if (dates.effectiveAtMs !== null && nowMs < dates.effectiveAtMs) return false
  return dates.expiresAtMs === null || nowMs < dates.expiresAtMs
}

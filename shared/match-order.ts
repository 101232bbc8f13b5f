/** Which of several listed entries a read meets best: one order for the camera and the cloud, or they would disagree for no reason. */
import type { MatchKind } from './plate.ts'

/** A pattern of the list meets more than one plate: it is the weakest. Cameras know no patterns. */
export type ListMatchKind = MatchKind | 'wildcard'
const PLACE_OF_KIND: Readonly<Record<ListMatchKind, number>> = { exact: 0, near: 1, wildcard: 2 }

export interface Ranked {
  kind: ListMatchKind
  /** Of a near match; see `nearVariants`. */
  score: number
  /** As listed; null: not listed. */
  jurisdiction: string | null
  /** 1 is the most urgent. */
  priority: number
  entryId: string
}

/**
 * Exact before near before a pattern; the read's own jurisdiction before an unknown and that before another one; the likelier text; the more urgent entry;
 * the older id. Another jurisdiction does not hide a match, because the read of it may be wrong: the person who verifies sees both.
 * Negative when `a` comes first. `jurisdiction` is what was read, or null.
 */
export function compareMatches(a: Ranked, b: Ranked, jurisdiction: string | null): number {
  if (a.kind !== b.kind) return PLACE_OF_KIND[a.kind] - PLACE_OF_KIND[b.kind]
  const places = placeOf(a, jurisdiction) - placeOf(b, jurisdiction)
  if (places !== 0) return places
  if (a.score !== b.score) return b.score - a.score
  if (a.priority !== b.priority) return a.priority - b.priority
  return a.entryId < b.entryId ? -1 : a.entryId > b.entryId ? 1 : 0
}

function placeOf(entry: Ranked, jurisdiction: string | null): number {
  if (entry.jurisdiction === null || jurisdiction === null) return 1
  return entry.jurisdiction === jurisdiction ? 0 : 2
}

/**
 * Plate text: how it is normalised, which characters optical reading confuses, and how far two plates are apart.
 * Used by the camera's match, the cloud's match, the import and the search, so that all of them mean the same.
 */

export const PLATE_MIN_LENGTH = 2
export const PLATE_MAX_LENGTH = 12
export const PLATE_PATTERN = /^[A-Z0-9]{2,12}$/

/**
 * Characters that plate readers take for each other; each class is read as its first member. After the OCR equivalents
 * that list systems use (0/O/D/Q, 1/I, 2/Z, 5/S, 8/B, 6/G).
 */
export const CONFUSABLE_CLASSES = ['0ODQ', '1I', '2Z', '5S', '8B', '6G'] as const

/** Most characters that may differ in a near match; more would pair too many different vehicles. */
export const MAX_NEAR_SUBSTITUTIONS = 1
/** A near match on a very short plate pairs strangers; shorter plates match exactly or not at all. */
export const NEAR_MIN_LENGTH = 5

const representative: ReadonlyMap<string, string> = new Map(
  CONFUSABLE_CLASSES.flatMap((members) => [...members].map((member): [string, string] => [member, members.charAt(0)])),
)

/**
 * Upper case, separators dropped: `abc-12 3` → `ABC123`. Returns null for what cannot be a plate: other characters than
 * letters, digits and separators, or a length outside 2-12.
 */
export function normalisePlate(text: string): string | null {
  const plate = text.toUpperCase().replace(/[\s.\-·•_/]/gu, '')
  return PLATE_PATTERN.test(plate) ? plate : null
}

/** The plate with every character replaced by its class's first member: equal for plates that may be confused. */
export function confusableKey(plate: string): string {
  let key = ''
  for (const character of plate) key += representative.get(character) ?? character
  return key
}

/** Number of differing places if the plates differ only by confusable characters; null if they differ otherwise. */
export function confusableDistance(a: string, b: string): number | null {
  if (a.length !== b.length) return null
  let distance = 0
  for (let i = 0; i < a.length; i++) {
    const left = a.charAt(i)
    const right = b.charAt(i)
    if (left === right) continue
    const leftClass = representative.get(left)
    if (leftClass === undefined || leftClass !== representative.get(right)) return null
    distance += 1
  }
  return distance
}

/** The characters that `character` may have been, without itself. */
const confusables: ReadonlyMap<string, readonly string[]> = new Map(
  CONFUSABLE_CLASSES.flatMap((members) =>
    [...members].map((member): [string, string[]] => [member, [...members].filter((other) => other !== member)]),
  ),
)

/** A text that a plate may have been read from, and how likely its reader thought it, 0-1. */
export interface NearVariant {
  plate: string
  score: number
}

/**
 * What a read may have been, within MAX_NEAR_SUBSTITUTIONS: the reader's own other candidates, and the texts in which one character is
 * another that reading confuses. Likeliest first; a text that the reader did not name itself scores 0. Empty for reads shorter than
 * NEAR_MIN_LENGTH. Camera and cloud both match by it, the camera by the digest of each.
 */
export function nearVariants(
  read: string,
  candidates: readonly { plate: string; confidence: number }[],
): NearVariant[] {
  if (read.length < NEAR_MIN_LENGTH) return []
  const scores = new Map<string, number>()
  for (const { plate, confidence } of candidates) {
    if (plate !== read && substitutions(plate, read) <= MAX_NEAR_SUBSTITUTIONS) {
      scores.set(plate, Math.max(confidence, scores.get(plate) ?? 0))
    }
  }
  for (let at = 0; at < read.length; at++) {
    for (const other of confusables.get(read.charAt(at)) ?? []) {
      const variant = read.slice(0, at) + other + read.slice(at + 1)
      if (!scores.has(variant)) scores.set(variant, 0)
    }
  }
  return [...scores].map(([plate, score]) => ({ plate, score })).sort((a, b) => b.score - a.score)
}

/** Places in which two texts differ; infinite when they are not of one length. */
function substitutions(a: string, b: string): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let count = 0
  for (let i = 0; i < a.length; i++) if (a.charAt(i) !== b.charAt(i)) count += 1
  return count
}

/** A pattern with fewer letters and digits would mean half the town. */
export const MIN_PATTERN_CHARACTERS = 3
export const MAX_PATTERN_STARS = 3

/**
 * A pattern with `*` (any number of characters) and `?` (one), normalised as plates are; null: other characters, no `*` or `?` at all,
 * fewer than MIN_PATTERN_CHARACTERS, or longer than any plate.
 */
export function normalisePattern(text: string): string | null {
  const pattern = text
    .toUpperCase()
    .replace(/[\s.\-·•_/]/gu, '')
    .replace(/\*+/g, '*')
  if (!/^[A-Z0-9*?]*[*?][A-Z0-9*?]*$/.test(pattern)) return null
  const stars = pattern.split('*').length - 1
  const characters = pattern.replace(/[*?]/g, '').length
  const isNarrow = stars <= MAX_PATTERN_STARS && characters >= MIN_PATTERN_CHARACTERS
  return isNarrow && pattern.length - stars <= PLATE_MAX_LENGTH ? pattern : null
}

/** Matches whole plates that a normalised pattern means. */
export function patternToRegExp(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}

/** How a read meets a listed plate. `near` is shown as ≈ and never as a fact. */
export type MatchKind = 'exact' | 'near'

/** null: no match. `near` only within MAX_NEAR_SUBSTITUTIONS and from NEAR_MIN_LENGTH characters on. */
export function comparePlates(read: string, listed: string): MatchKind | null {
  if (read === listed) return 'exact'
  if (read.length < NEAR_MIN_LENGTH) return null
  const distance = confusableDistance(read, listed)
  return distance !== null && distance <= MAX_NEAR_SUBSTITUTIONS ? 'near' : null
}

/**
 * How a pattern is found among the keys of plates: by the part of it that the fewest keys have. A start is a range of `plate_keys`; a
 * middle or an end is a range of `plate_suffixes`. A long range is walked in parts, by the next character. Pure; called by find.ts.
 */
import { confusableKey } from '../../shared/plate.ts'

/** Every character that a key may have, in order. */
export const KEY_CHARACTERS = [
  ...new Set([...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'].map((character) => confusableKey(character))),
].sort()

/** A part of a walk: keys (or suffixes) that are `from`, or lie from it on and before `to`. */
export interface KeyRange {
  from: string
  /** Null: `from` alone. */
  to: string | null
}

export interface KeyWalk {
  /** Of `plate_keys`, or of `plate_suffixes` with what stands before. */
  by: 'key' | 'suffix'
  /** In SQL's LIKE; `head` is null by key. */
  like: { head: string | null; rest: string }
  ranges: KeyRange[]
}

export const toLike = (pattern: string) => pattern.replaceAll('*', '%').replaceAll('?', '_')

/** Characters of a middle that one of a start is worth: a key has as many middles as places, about seven. */
const MIDDLE_COSTS = 0.8

/** `pattern` as `normalisePattern` gives it; the walk meets each key that its plates may have. */
export function walkOf(pattern: string): KeyWalk {
  const key = confusableKey(pattern)
  const literal = (text: string) => /^[^*?]*/.exec(text)?.[0] ?? ''
  const start = literal(key)
  const end = /[^*?]*$/.exec(key)?.[0] ?? ''
  const middles = [...key.matchAll(/[^*?]+/g)].map(({ 0: text, index }) => ({ text, at: index }))
  const middle = middles.reduce((a, b) => (b.text.length > a.text.length ? b : a))
  const weights = [start.length, end.length, middle.text.length - MIDDLE_COSTS]
  const best = weights.indexOf(Math.max(...weights))
  if (best === 0) return { by: 'key', like: { head: null, rest: toLike(key) }, ranges: rangesFrom(start, 'key') }
  const at = best === 1 ? key.length - end.length : middle.at
  const rest = key.slice(at)
  return {
    by: 'suffix',
    like: { head: toLike(key.slice(0, at)), rest: toLike(rest) },
    ranges: best === 1 ? [{ from: end, to: null }] : rangesFrom(literal(rest), 'suffix'),
  }
}

/** One, unless it would be long: an ending that begins with one given character has every tenth place of all plates. */
function rangesFrom(start: string, by: KeyWalk['by']): KeyRange[] {
  // '~' sorts after every character of a key.
  if (by === 'key' || start.length > 1) return [{ from: start, to: `${start}~` }]
  return [
    { from: start, to: null },
    ...KEY_CHARACTERS.map((character) => ({ from: start + character, to: `${start}${character}~` })),
  ]
}

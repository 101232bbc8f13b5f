/**
 * How a pattern is found among the keys of plates, each of which stands once in a table of its own: all that begin as it does, or, where
 * it begins with anything, all there are, in parts. Pure; called by find.ts.
 */
import { confusableKey } from '../../shared/plate.ts'

/** Keys from `from` on and before `to`. */
export interface KeyRange {
  from: string
  to: string
}

export interface KeyWalk {
  /** In SQL's LIKE. */
  like: string
  ranges: readonly KeyRange[]
}

/** Where the parts of a walk over all keys begin: of one part, some hundred thousand keys are looked at in a tenth of a second. */
const PARTS = ['', '3', '5', '7', '9', 'C', 'H', 'N', 'T']
/** Sorts after every character of a key. */
const END = '~'

const ALL: readonly KeyRange[] = PARTS.map((from, i) => ({ from, to: PARTS[i + 1] ?? END }))

export const toLike = (pattern: string) => pattern.replaceAll('*', '%').replaceAll('?', '_')

/** `pattern` as `normalisePattern` gives it; the walk meets each key that its plates may have. */
export function walkOf(pattern: string): KeyWalk {
  const key = confusableKey(pattern)
  const start = /^[^*?]*/.exec(key)?.[0] ?? ''
  return { like: toLike(key), ranges: start === '' ? ALL : [{ from: start, to: start + END }] }
}

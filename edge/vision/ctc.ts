/** Connectionist temporal classification (Graves et al. 2006): rows of character probabilities → texts and how likely each is. */

/** Character classes of a plate; index 0 of a row is the blank, then these. */
export const PLATE_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
export const PLATE_CLASSES = PLATE_ALPHABET.length + 1

/** `steps` rows of PLATE_CLASSES probabilities, blank first, each summing to 1. */
export interface CharacterRows {
  steps: number
  values: Float32Array
}

/** A text and its probability over all ways of writing it in the rows, 0-1. */
export interface DecodedText {
  text: string
  probability: number
}

/** Texts kept at each step; the best one does not change from 8 on (measured on street plates). */
const BEAM_WIDTH = 10
/** Classes less likely than this at a step are not followed. */
const MIN_CLASS_PROBABILITY = 0.003

interface Beam {
  blank: number
  character: number
}

/** Prefix beam search: the likeliest texts, best first, at most `most`. */
export function decodeTexts(rows: CharacterRows, most: number): DecodedText[] {
  let beams = new Map<string, Beam>([['', { blank: 1, character: 0 }]])
  for (let step = 0; step < rows.steps; step++) {
    const offset = step * PLATE_CLASSES
    const next = new Map<string, Beam>()
    const beam = (text: string): Beam => {
      let found = next.get(text)
      if (found === undefined) {
        found = { blank: 0, character: 0 }
        next.set(text, found)
      }
      return found
    }
    for (const [text, { blank, character }] of beams) {
      const total = blank + character
      const same = beam(text)
      same.blank += total * (rows.values[offset] ?? 0)
      const last = text.charAt(text.length - 1)
      for (let k = 1; k < PLATE_CLASSES; k++) {
        const probability = rows.values[offset + k] ?? 0
        if (probability < MIN_CLASS_PROBABILITY) continue
        const next = PLATE_ALPHABET.charAt(k - 1)
        if (next === last) {
          same.character += character * probability
          beam(text + next).character += blank * probability
        } else {
          beam(text + next).character += total * probability
        }
      }
    }
    beams = new Map(
      [...next].sort((a, b) => b[1].blank + b[1].character - (a[1].blank + a[1].character)).slice(0, BEAM_WIDTH),
    )
  }
  return [...beams]
    .map(([text, { blank, character }]) => ({ text, probability: Math.min(1, blank + character) }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, most)
}

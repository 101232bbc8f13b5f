/** Connectionist temporal classification (Graves et al. 2006): rows of character probabilities → text and its alternatives. */

/** Character classes of a plate; index 0 of a row is the blank, then these. */
export const PLATE_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
export const PLATE_CLASSES = PLATE_ALPHABET.length + 1

/** `steps` rows of PLATE_CLASSES probabilities (blank first); a row's sum is below 1 by what the network gave to other characters. */
export interface CharacterRows {
  steps: number
  values: Float32Array
}

export interface DecodedCharacter {
  character: string
  /** Highest probability of the character in its run of steps. */
  probability: number
  /** Step of that highest probability. */
  step: number
}

/** Best path: the likeliest class of each step, runs merged, blanks dropped. */
export function decodeBestPath(rows: CharacterRows): DecodedCharacter[] {
  const out: DecodedCharacter[] = []
  let before = 0
  for (let step = 0; step < rows.steps; step++) {
    const offset = step * PLATE_CLASSES
    let best = 0
    for (let k = 1; k < PLATE_CLASSES; k++) {
      if ((rows.values[offset + k] ?? 0) > (rows.values[offset + best] ?? 0)) best = k
    }
    const probability = rows.values[offset + best] ?? 0
    const last = out[out.length - 1]
    if (best !== 0 && best !== before) {
      out.push({ character: PLATE_ALPHABET.charAt(best - 1), probability, step })
    } else if (best !== 0 && last !== undefined && probability > last.probability) {
      last.probability = probability
      last.step = step
    }
    before = best
  }
  return out
}

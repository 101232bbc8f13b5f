/** How far a text in a place looks like a plate at all; without any country's format, so that nothing is rewritten to fit one. */
import { PLATE_MAX_LENGTH } from '../../shared/plate.ts'
import type { TextBox } from './geometry.ts'

/** Reads of fewer characters are words, house numbers and fragments. */
export const MIN_READ_LENGTH = 4
/** Longest text that one line of a plate shows on any street the project knows. */
export const MAX_READ_LENGTH = Math.min(9, PLATE_MAX_LENGTH)

/** A date as cameras print it into the corner of their pictures. */
const PRINTED_DATE = /^(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])$/

/** Weights measured on street scenes of three countries: what is a plate there, and what is other writing. */
const WEIGHT_OF_LENGTH: Readonly<Record<number, number>> = { 4: 0.5, 5: 0.8, 6: 1, 7: 1, 8: 0.8, 9: 0.5 }
const WEIGHT_LETTERS_ONLY = 0.15
const WEIGHT_DIGITS_ONLY = 0.55
const WEIGHT_PRINTED_DATE = 0.05
const WEIGHT_ODD_PITCH = 0.5
/** Width of a character with its gap, as part of the line's height. */
const PITCH = { least: 0.3, most: 1.3 } as const
/** Height of text from which reading no longer gains, px. */
const CLEAR_HEIGHT_PX = 16
/** A nearer vehicle is more likely the one meant. */
const NEAR_HEIGHT_PX = 24
const MOST_FOR_NEAR = 1.3

/** 0 for what is no plate; above 1 for large text. */
export function plausibility(text: string, box: TextBox): number {
  const weight = WEIGHT_OF_LENGTH[text.length]
  if (weight === undefined) return 0
  let digits = 0
  for (const character of text) if (character <= '9') digits += 1
  let value = weight
  if (digits === 0) value *= WEIGHT_LETTERS_ONLY
  else if (digits === text.length) value *= WEIGHT_DIGITS_ONLY
  if (PRINTED_DATE.test(text)) value *= WEIGHT_PRINTED_DATE
  const pitch = box.widthPx / box.heightPx / text.length
  if (pitch < PITCH.least || pitch > PITCH.most) value *= WEIGHT_ODD_PITCH
  value *= 1 - Math.min(0.5, Math.abs(box.angle) / 1.2)
  value *= Math.min(1, box.heightPx / CLEAR_HEIGHT_PX) ** 0.3
  value *= Math.min(MOST_FOR_NEAR, (box.heightPx / NEAR_HEIGHT_PX) ** 0.15)
  return value
}

/** Confidence of a read, 0-1: the cube root evens out that a text's probability falls with each of its characters. */
export function confidenceOf(text: string, probability: number, box: TextBox): number {
  return Math.min(1, Math.cbrt(probability) * plausibility(text, box))
}

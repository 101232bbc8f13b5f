/**
 * Plate characters as strokes of our own, so that no font is needed or copied. Each is the centre line of a stroke in a box
 * 100 units high; the pen is PEN_WIDTH wide.
 */

export const GLYPH_HEIGHT = 100
export const PEN_WIDTH = 15
/** Between the boxes of two characters, pen included. */
const SPACING = 34

const O = 'M25 0C42 0 50 10 50 28V72C50 90 42 100 25 100C8 100 0 90 0 72V28C0 10 8 0 25 0Z'
const P = 'M0 100V0H26C44 0 50 12 50 28C50 44 44 56 26 56H0'

const STROKES: Readonly<Record<string, string>> = {
  A: 'M0 100L25 0L50 100M9 68H41',
  B: 'M0 49H26M0 0H26C43 0 46 12 46 24C46 38 41 49 26 49C44 49 50 60 50 74C50 90 44 100 27 100H0Z',
  C: 'M50 26C50 8 40 0 25 0C8 0 0 10 0 28V72C0 90 8 100 25 100C40 100 50 92 50 74',
  D: 'M0 0H22C42 0 50 14 50 34V66C50 86 42 100 22 100H0Z',
  E: 'M48 0H0V100H48M0 48H40',
  F: 'M48 0H0V100M0 50H40',
  G: 'M50 26C50 8 40 0 25 0C8 0 0 10 0 28V72C0 90 8 100 25 100C42 100 50 90 50 74V54H28',
  H: 'M0 0V100M50 0V100M0 50H50',
  I: 'M25 0V100',
  J: 'M46 0V74C46 92 38 100 23 100C8 100 0 92 0 76',
  K: 'M0 0V100M48 0L2 58M16 42L50 100',
  L: 'M0 0V100H47',
  M: 'M0 100V0L28 62L56 0V100',
  N: 'M0 100V0L50 100V0',
  O,
  P,
  Q: `${O}M30 76L54 106`,
  R: `${P}M24 56L50 100`,
  S: 'M49 24C47 8 40 0 25 0C10 0 1 8 1 24C1 42 12 45 26 49C40 53 50 58 50 76C50 92 40 100 25 100C10 100 1 92 0 76',
  T: 'M0 0H52M26 0V100',
  U: 'M0 0V72C0 90 8 100 25 100C42 100 50 90 50 72V0',
  V: 'M0 0L25 100L50 0',
  W: 'M0 0L15 100L32 20L49 100L64 0',
  X: 'M0 0L50 100M50 0L0 100',
  Y: 'M0 0L25 50L50 0M25 50V100',
  Z: 'M1 0H50L0 100H51',
  '0': 'M23 0C40 0 46 20 46 50C46 80 40 100 23 100C6 100 0 80 0 50C0 20 6 0 23 0Z',
  '1': 'M6 24L28 0V100',
  '2': 'M2 27C2 10 10 0 25 0C40 0 48 10 48 25C48 40 40 50 28 63L0 100H50',
  '3': 'M2 22C4 8 12 0 24 0C40 0 47 10 47 24C47 38 39 48 24 48C41 48 50 58 50 74C50 90 41 100 25 100C10 100 2 92 0 77',
  '4': 'M32 0L0 70H52M38 44V100',
  '5': 'M46 0H7L4 47C9 41 16 38 25 38C42 38 50 50 50 68C50 88 41 100 24 100C10 100 2 92 0 79',
  '6': 'M37 0L11 40C3 52 0 60 0 70C0 88 9 100 25 100C41 100 50 88 50 70C50 53 41 42 26 42C17 42 10 45 6 50',
  '7': 'M0 0H50L18 100',
  '8': 'M25 0C39 0 47 10 47 24C47 38 39 48 25 48C11 48 3 38 3 24C3 10 11 0 25 0ZM25 48C41 48 50 58 50 74C50 90 41 100 25 100C9 100 0 90 0 74C0 58 9 48 25 48Z',
  '9': 'M13 100L39 60C47 48 50 40 50 30C50 12 41 0 25 0C9 0 0 12 0 30C0 47 9 58 24 58C33 58 40 55 44 50',
  '-': 'M4 52H30',
  '·': 'M12 52H12.1',
}

const WIDTHS: Readonly<Record<string, number>> = { '-': 34, '·': 24, ' ': 18, M: 56, W: 64, '1': 34, I: 50, '0': 46 }

/** Advance of one character, units. */
const widthOf = (character: string) => WIDTHS[character] ?? 50

/** Width of a line of text in units, first stroke's centre to last stroke's centre. */
export function textWidth(text: string): number {
  return [...text].reduce((width, character, i) => width + widthOf(character) + (i === 0 ? 0 : SPACING), 0)
}

/** SVG of a line of text, its box from (0, 0) to (textWidth, GLYPH_HEIGHT). Throws for a character it has no stroke for. */
export function textSvg(text: string, colour: string, penWidth: number = PEN_WIDTH): string {
  let x = 0
  let paths = ''
  for (const character of text) {
    const stroke = STROKES[character]
    if (stroke !== undefined) paths += `<path transform="translate(${x} 0)" d="${stroke}"/>`
    else if (character !== ' ') throw new Error(`no stroke for "${character}"`)
    x += widthOf(character) + SPACING
  }
  return `<g fill="none" stroke="${colour}" stroke-width="${penWidth}" stroke-linecap="round" stroke-linejoin="round">${paths}</g>`
}

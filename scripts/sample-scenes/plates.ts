/** Number plates of several kinds as SVG, and invented texts for them. Sizes are those of the real plates, millimetres. */
import { GLYPH_HEIGHT, PEN_WIDTH, textSvg, textWidth } from './glyphs.ts'

/** Uniform in [0, 1), seeded: the same seed draws the same pictures. */
export type Draw = () => number

/** Mulberry32 [Tommy Ettinger, public domain]: small and good enough for pictures. */
export function seeded(seed: number): Draw {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const PLATE_STYLES = ['us', 'eu', 'br', 'dark'] as const
export type PlateStyle = (typeof PLATE_STYLES)[number]

export interface Plate {
  style: PlateStyle
  /** As written on the plate, with its gaps. */
  written: string
  /** As a reader should give it. */
  text: string
}

/** Sizes in millimetres: US [SAE J686], EU [Council Regulation 2411/98 leaves it to the states; most use this], Mercosur [GMC 33/14]. */
export const PLATE_SIZE: Readonly<Record<PlateStyle, { width: number; height: number }>> = {
  us: { width: 305, height: 152 },
  eu: { width: 520, height: 112 },
  br: { width: 400, height: 130 },
  dark: { width: 460, height: 110 },
}

/** Characters that no two readers take for each other. Plates of the samples are to be read; hard ones are for measuring. */
const LETTERS = 'ACEFHJKLMNPRTVWXY'
const DIGITS = '234679'
const FORMATS: Readonly<Record<PlateStyle, readonly string[]>> = {
  us: ['9AAA999', 'AAA9999'],
  eu: ['AA 999 AA', 'AA·AA 999'],
  br: ['AAA9A99'],
  dark: ['AAA 9999', 'AA 999 A'],
}

export function pick<T>(draw: Draw, from: readonly T[]): T {
  const chosen = from[Math.floor(draw() * from.length)]
  if (chosen === undefined) throw new Error('nothing to pick from')
  return chosen
}

/** An invented plate in a format of its kind. */
export function inventPlate(draw: Draw, style: PlateStyle): Plate {
  const written = pick(draw, FORMATS[style]).replace(/[A9]/g, (place) =>
    place === 'A' ? pick(draw, [...LETTERS]) : pick(draw, [...DIGITS]),
  )
  return { style, written, text: written.replace(/[^A-Z0-9]/g, '') }
}

/** Text of `height` mm in the middle of a box, squeezed when it would be wider than the box. */
function centred(
  text: string,
  colour: string,
  box: { x: number; y: number; width: number; height: number },
  height: number,
  pen = PEN_WIDTH,
) {
  const scaleY = height / GLYPH_HEIGHT
  const scaleX = Math.min(scaleY, box.width / (textWidth(text) + pen))
  const x = box.x + (box.width - textWidth(text) * scaleX) / 2
  const y = box.y + (box.height - height) / 2
  return `<g transform="translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${scaleX.toFixed(4)} ${scaleY.toFixed(4)})">${textSvg(text, colour, pen)}</g>`
}

const sheet = (width: number, height: number, fill: string, border: string) =>
  `<rect width="${width}" height="${height}" rx="8" fill="${fill}"/>` +
  `<rect x="3" y="3" width="${width - 6}" height="${height - 6}" rx="6" fill="none" stroke="${border}" stroke-width="3"/>`

const bolt = (x: number, y: number) =>
  `<circle cx="${x}" cy="${y}" r="4.5" fill="#777" stroke="#444" stroke-width="1"/>`

/** SVG of a plate in millimetres, its top left corner at (0, 0). */
export function plateSvg(plate: Plate): string {
  const { width, height } = PLATE_SIZE[plate.style]
  switch (plate.style) {
    case 'us':
      return (
        sheet(width, height, '#f4f2e6', '#3a5a94') +
        `<rect x="6" y="6" width="${width - 12}" height="26" fill="#3a5a94" opacity="0.28"/>` +
        centred(plate.written, '#1d2f63', { x: 16, y: 34, width: width - 32, height: height - 44 }, 72) +
        bolt(60, 15) +
        bolt(width - 60, 15)
      )
    case 'eu': {
      const stars = Array.from({ length: 12 }, (_, i) => {
        const angle = (i * Math.PI) / 6
        return `<circle cx="${(24 + 13 * Math.cos(angle)).toFixed(1)}" cy="${(34 + 13 * Math.sin(angle)).toFixed(1)}" r="2" fill="#ffd617"/>`
      }).join('')
      return (
        sheet(width, height, '#f7f7f4', '#16181c') +
        `<rect x="4" y="4" width="42" height="${height - 8}" rx="5" fill="#0b3d91"/>${stars}` +
        centred(plate.written, '#101114', { x: 58, y: 0, width: width - 76, height }, 74)
      )
    }
    case 'br':
      return (
        sheet(width, height, '#f7f7f4', '#16181c') +
        `<rect x="4" y="4" width="${width - 8}" height="28" rx="4" fill="#123a8c"/>` +
        `<rect x="${width - 42}" y="9" width="26" height="18" fill="#1d8f4e"/><path d="M${width - 39} 18l10-7 10 7-10 7z" fill="#f2d21b"/>` +
        centred(plate.written, '#101114', { x: 18, y: 34, width: width - 36, height: height - 40 }, 66)
      )
    case 'dark':
      return (
        sheet(width, height, '#141518', '#c9ccd1') +
        centred(plate.written, '#f1f2f4', { x: 18, y: 0, width: width - 36, height }, 70)
      )
  }
}

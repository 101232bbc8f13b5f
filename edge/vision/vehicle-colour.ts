/** The colour of a vehicle's body around its plate, where it is clear; null elsewhere. Pure. */
import type { Region, Vehicle } from './types.ts'

/** Where body is likely, in widths of the plate from its edges: beside it and above it. Below are bumper, shadow and road. */
const BESIDE = { near: 0.12, far: 0.45 } as const
const ABOVE = { near: 0.1, far: 0.35 } as const
/** Each place is averaged to so many samples a side. */
export const SAMPLES_A_SIDE = 12
/** Share of all samples that must be of one colour. */
const CLEAR_SHARE = 0.6
/** Difference of the largest and the least of red, green and blue, 0-255, below which a sample has no hue. */
const MOST_GREY_CHROMA = 30
/** Samples that are all without any hue come from a camera at night, which sees no colours: white and black cannot be told from others. */
const INFRARED_CHROMA = 3
/** Limits of brightness, 0-255, between black, grey, silver and white. */
const BRIGHTNESS = { grey: 55, silver: 130, white: 195 } as const

export type Colour = Vehicle['colour']

/** Colour of one sample, 0-255 each. */
export function colourOf(red: number, green: number, blue: number): Colour {
  const most = Math.max(red, green, blue)
  const chroma = most - Math.min(red, green, blue)
  if (chroma < MOST_GREY_CHROMA || most < BRIGHTNESS.grey) {
    if (most < BRIGHTNESS.grey) return 'black'
    if (most < BRIGHTNESS.silver) return 'grey'
    return most < BRIGHTNESS.white ? 'silver' : 'white'
  }
  const hue = hueOf(red, green, blue, most, chroma)
  if (hue < 18 || hue >= 335) return 'red'
  if (hue < 42) return most < 150 ? 'brown' : 'orange'
  if (hue < 70) return chroma < 90 ? 'beige' : 'yellow'
  if (hue < 170) return 'green'
  return hue < 265 ? 'blue' : 'purple'
}

/** Degrees, 0 red, 120 green, 240 blue. */
function hueOf(red: number, green: number, blue: number, most: number, chroma: number): number {
  let sixth = (red - green) / chroma + 4
  if (most === red) sixth = (green - blue) / chroma + 6
  else if (most === green) sixth = (blue - red) / chroma + 2
  return (sixth % 6) * 60
}

/** The colour that most samples (RGB bytes) have. */
export function dominantColour(samples: Buffer): Vehicle | null {
  const counts = new Map<Colour, number>()
  let chroma = 0
  const count = samples.length / 3
  for (let at = 0; at < samples.length; at += 3) {
    const red = samples[at] ?? 0
    const green = samples[at + 1] ?? 0
    const blue = samples[at + 2] ?? 0
    chroma += Math.max(red, green, blue) - Math.min(red, green, blue)
    const colour = colourOf(red, green, blue)
    counts.set(colour, (counts.get(colour) ?? 0) + 1)
  }
  if (count === 0 || chroma / count < INFRARED_CHROMA) return null
  const [first] = [...counts].sort((a, b) => b[1] - a[1])
  if (first === undefined || first[1] / count < CLEAR_SHARE) return null
  return { colour: first[0], confidence: first[1] / count }
}

/** Where the body around a plate is looked at; in the plate's pixels. */
export function bodyPlaces(plate: Region): Region[] {
  const w = plate.width
  const beside = { y: plate.y, width: w * (BESIDE.far - BESIDE.near), height: plate.height }
  return [
    { x: plate.x - w * BESIDE.far, ...beside },
    { x: plate.x + w * (1 + BESIDE.near), ...beside },
    { x: plate.x, y: plate.y - w * ABOVE.far, width: w, height: w * (ABOVE.far - ABOVE.near) },
  ]
}

/**
 * Which US state a plate is of, by the small writing above and below its number. Slow (about 0.3 s a plate): asked for once a vehicle,
 * off the way of the frames. The number itself is not looked at: its format would be a guess.
 */
import { aspectOf } from './geometry.ts'
import { MIN_JURISDICTION_WIDTH_PX } from './limits.ts'
import { grey, type Mat, straightened, withMats } from './opencv.ts'
import { encodeGrey } from './picture.ts'
import { stateNamed } from './state-names.ts'
import { openTesseract, type Tesseract } from './tesseract.ts'
import type { Corners, Jurisdiction } from './types.ts'

/** Plates of the US are 12 × 6 inches; seen from the side they look narrower. Longer ones have no state's name. */
const MOST_ASPECT = 2.8

/** The plate is pulled straight to this size, px. */
const WIDTH_PX = 800
const HEIGHT_PX = 400
/** Parts of the height that hold writing: above the number and below it. */
const STRIPS = [
  { top: 0, bottom: 0.3 },
  { top: 0.72, bottom: 1 },
] as const
const LAYOUTS = ['line', 'scattered'] as const
/** So sure after some strips that the others are not read. */
const SURE = 0.95
const BORDER_PX = 8

export interface JurisdictionReader {
  /** Null where nothing is written that only one state writes. `picture` is RGB and stays the caller's. */
  read(picture: Mat, corners: Corners): Promise<Jurisdiction | null>
  close(): Promise<void>
}

/** Loads nothing until it is asked for the first time: cameras outside the US never pay for it. */
export function createJurisdictionReader(folder: string): JurisdictionReader {
  let opened: Promise<Tesseract> | null = null
  return {
    async read(picture, corners) {
      if (!mayNameState(corners)) return null
      opened ??= openTesseract(folder, null)
      const tesseract = await opened
      const lines: string[] = []
      for (const layout of LAYOUTS) {
        for (const { top, bottom } of STRIPS) {
          const height = Math.round((bottom - top) * HEIGHT_PX)
          const pixels = withMats((keep) =>
            keep(grey(keep(straightened(picture, part(corners, top, bottom), WIDTH_PX, height)))).getData(),
          )
          lines.push(await tesseract.text(await encodeGrey(pixels, WIDTH_PX, height, BORDER_PX), layout))
        }
        const named = stateNamed(lines)
        if (named !== null && named.confidence >= SURE) return named
      }
      return stateNamed(lines)
    },
    async close() {
      await (await opened)?.close()
    },
  }
}

function mayNameState(corners: Corners): boolean {
  const [topLeft, topRight] = corners
  const width = Math.hypot(topRight.x - topLeft.x, topRight.y - topLeft.y)
  return width >= MIN_JURISDICTION_WIDTH_PX && aspectOf(corners) <= MOST_ASPECT
}

/** The corners of a strip of the plate, `top` and `bottom` being parts of its height. */
function part([topLeft, topRight, bottomRight, bottomLeft]: Corners, top: number, bottom: number): Corners {
  const between = (a: { x: number; y: number }, b: { x: number; y: number }, share: number) => ({
    x: a.x + (b.x - a.x) * share,
    y: a.y + (b.y - a.y) * share,
  })
  return [
    between(topLeft, bottomLeft, top),
    between(topRight, bottomRight, top),
    between(topRight, bottomRight, bottom),
    between(topLeft, bottomLeft, bottom),
  ]
}

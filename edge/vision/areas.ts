/**
 * What of the picture counts: a region of interest, outside of which no plate is reported, and privacy masks, which are black before
 * anything looks at the picture. Pure, on bare pixels. Part of the camera's configuration; frame-reader.ts goes by it.
 */
import { z } from 'zod'
import {
  areaOf,
  boundsOfPolygon,
  crossesItself,
  isInside,
  MAX_MASKS,
  MAX_POLYGON_POINTS,
  MIN_POLYGON_POINTS,
  MIN_REGION_SIDE,
  type Polygon,
  touches,
} from '../../shared/polygon.ts'
import type { Corners, Region } from './types.ts'

const share = z.number().min(0).max(1)
const polygonSchema = z
  .array(z.tuple([share, share]))
  .min(MIN_POLYGON_POINTS)
  .max(MAX_POLYGON_POINTS)
  .refine((polygon) => !crossesItself(polygon), 'its lines cross')
  .refine((polygon) => areaOf(polygon) > 0, 'it has no inside')

export const areasSchema = z.strictObject({
  region: polygonSchema
    .refine((polygon) => {
      const { left, top, right, bottom } = boundsOfPolygon(polygon)
      return right - left >= MIN_REGION_SIDE && bottom - top >= MIN_REGION_SIDE
    }, `must be at least ${MIN_REGION_SIDE} of the picture wide and high`)
    .nullable()
    .default(null)
    .describe(
      `plates whose centre is outside are not reported; 3 to ${MAX_POLYGON_POINTS} points \`[x, y]\` as shares of the picture’s sides, from the top left; null: everywhere`,
    ),
  masks: z
    .array(polygonSchema)
    .max(MAX_MASKS)
    .default([])
    .describe(`up to ${MAX_MASKS} such polygons that are made black before anything looks at the picture`),
})
export type Areas = z.infer<typeof areasSchema>

export const WHOLE_PICTURE: Areas = { region: null, masks: [] }

/** A plate at the edge of the region is seen whole by the detector: so much around the region's bounds, as a share of the picture's width. */
const MARGIN = 0.05
/** A plate comes too near to a mask when it would touch it at this multiple of its size: what is left of half a plate is read as another. */
const NEAR_MASK = 1.15

/** The part of a picture in which plates are searched; whole pixels within it. */
export function searchedPart({ region }: Areas, widthPx: number, heightPx: number): Region {
  if (region === null) return { x: 0, y: 0, width: widthPx, height: heightPx }
  const { left, top, right, bottom } = boundsOfPolygon(region)
  const margin = widthPx * MARGIN
  const x = Math.max(0, Math.floor(left * widthPx - margin))
  const y = Math.max(0, Math.floor(top * heightPx - margin))
  return {
    x,
    y,
    width: Math.min(widthPx, Math.ceil(right * widthPx + margin)) - x,
    height: Math.min(heightPx, Math.ceil(bottom * heightPx + margin)) - y,
  }
}

/** Whether a plate with these corners is reported: its centre within the region, and no mask on it. */
export function isReported(areas: Areas, corners: Corners, widthPx: number, heightPx: number): boolean {
  const plate = corners.map(({ x, y }): [number, number] => [x / widthPx, y / heightPx])
  const centre = [0, 1].map((axis) => plate.reduce((sum, point) => sum + (point[axis] ?? 0), 0) / plate.length)
  const [x = 0, y = 0] = centre
  if (areas.region !== null && !isInside(areas.region, [x, y])) return false
  const larger: Polygon = plate.map(([px, py]) => [x + (px - x) * NEAR_MASK, y + (py - y) * NEAR_MASK])
  return areas.masks.every((mask) => !touches(mask, larger))
}

/** One byte a cell of a grid over the picture, 1 where a mask is in the cell or beside it. */
export function maskedCells({ masks }: Areas, columns: number, rows: number): Uint8Array {
  const cells = new Uint8Array(columns * rows)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [left, right] = [(column - 1) / columns, (column + 2) / columns]
      const [top, bottom] = [(row - 1) / rows, (row + 2) / rows]
      const around: Polygon = [
        [left, top],
        [right, top],
        [right, bottom],
        [left, bottom],
      ]
      if (masks.some((mask) => touches(mask, around))) cells[row * columns + column] = 1
    }
  }
  return cells
}

/** Bytes of a picture's buffer that are to be black: first, and the one behind the last. */
export type Span = readonly [number, number]

/**
 * Of each row, every pixel that a mask touches on one of five lines through the row; RGB, 3 bytes a pixel. The same for all frames of
 * a size.
 */
export function maskedSpans(masks: readonly Polygon[], widthPx: number, heightPx: number): Span[] {
  const spans: Span[] = []
  for (const mask of masks) {
    const points = mask.map(([x, y]) => [x * widthPx, y * heightPx] as const)
    const { top, bottom } = boundsOfPolygon(points)
    for (let row = Math.floor(top); row < Math.min(heightPx, Math.ceil(bottom)); row += 1) {
      for (const [from, to] of crossings(points, row)) {
        const first = Math.max(0, Math.floor(from))
        const end = Math.min(widthPx, Math.ceil(to))
        if (end > first) spans.push([(row * widthPx + first) * 3, (row * widthPx + end) * 3])
      }
    }
  }
  return spans
}

/** Heights within a row at which it is looked at; its very edges belong to two rows. */
const LINES = [0.001, 0.25, 0.5, 0.75, 0.999] as const

/** From where to where a row lies within the polygon, by x. */
function crossings(points: Polygon, row: number): [number, number][] {
  return LINES.flatMap((line) => {
    const y = row + line
    const xs = points
      .flatMap(([ax, ay], n) => {
        const [bx, by] = points[(n + 1) % points.length] ?? [ax, ay]
        return ay > y === by > y ? [] : [ax + ((bx - ax) * (y - ay)) / (by - ay)]
      })
      .sort((a, b) => a - b)
    const pairs: [number, number][] = []
    for (let n = 0; n + 1 < xs.length; n += 2) pairs.push([xs[n] ?? 0, xs[n + 1] ?? 0])
    return pairs
  })
}

/** Makes the masks of `areas` black in pictures, remembering where they lie in the size of the last one. */
export function createBlackener(areas: Areas): (pixels: Uint8Array, widthPx: number, heightPx: number) => void {
  let known: { widthPx: number; heightPx: number; spans: Span[] } | null = null
  return (pixels, widthPx, heightPx) => {
    if (areas.masks.length === 0) return
    if (known?.widthPx !== widthPx || known.heightPx !== heightPx)
      known = { widthPx, heightPx, spans: maskedSpans(areas.masks, widthPx, heightPx) }
    for (const [from, to] of known.spans) pixels.fill(0, from, to)
  }
}

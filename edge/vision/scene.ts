/**
 * How good a picture is, whatever it shows: how bright, and how sharp. Pure, on grey pixels. Used by the watch over the view
 * (view-watch.ts) and by whatever helps to focus a lens.
 */

/** 8 bits a pixel, no padding. */
export interface GreyPicture {
  widthPx: number
  heightPx: number
  pixels: Uint8Array
}

/** Mean brightness, 0-255. */
export function luminance({ pixels }: GreyPicture): number {
  let sum = 0
  for (const value of pixels) sum += value
  return pixels.length === 0 ? 0 : sum / pixels.length
}

/** The picture is cut into so many fields; in each, the tile with the most to see in it is judged, so that no one thing decides. */
export const SHARPNESS_FIELDS = { columns: 6, rows: 4 } as const
/** Side of a tile, px. */
const TILE_PX = 64
/** Candidates for a tile lie so far apart, and are compared by pixels so far apart, px. */
const TILE_STEP_PX = 32
const SAMPLE_STEP_PX = 4
/** An edge is looked at through two Gaussians of these widths, px: the more it is blurred already, the less they differ. */
const FINE_PX = 1
const COARSE_PX = 2.5
/** What the difference of two neighbours blurs by itself, as a variance: a box of two pixels. */
const DIFFERENCE_VARIANCE = 1 / 3
/** The ratio of gradients at an edge that is not blurred at all. */
const STEEPEST = Math.sqrt((COARSE_PX ** 2 + DIFFERENCE_VARIANCE) / (FINE_PX ** 2 + DIFFERENCE_VARIANCE))
/** Around a tile, for the wider Gaussian, px. */
const MARGIN_PX = 8
/** Change of brightness a pixel, behind the wider Gaussian, from which an edge stands out of noise. */
const LEAST_EDGE = 2.5
/** Of a tile's pixels, this part with the strongest edges is used, if there are so many. */
const STRONGEST = 0.06
const LEAST_EDGE_PIXELS = 24
/** Fields that must have an edge: fewer say more of one thing in the picture, or of a burnt-in clock, than of the lens. */
export const LEAST_FIELDS = 4
/** Smallest picture that has a tile with its margins, px. */
export const LEAST_SIDE_PX = TILE_PX + 2 * MARGIN_PX

/**
 * 0-1: how steep edges are beside how steep they could be, 1 as steep as pixels allow, 0.6 blurred by about a pixel, 0.3 by two, 0.1
 * by four (standard deviation of a Gaussian). It says nothing of contrast, so that night and day, sun and cloud can be compared, and is measured
 * across the edge alone, where noise has no part in the mean. Null where there are too few edges to tell: a black night, fog, a covered lens.
 * After "Defocus map estimation from a single image" (Zhuo and Sim, Pattern Recognition 2011): there, too, an edge is blurred once more
 * and the ratio of gradients gives its blur.
 */
export function sharpness(picture: GreyPicture): number | null {
  const { widthPx, heightPx } = picture
  if (Math.min(widthPx, heightPx) < LEAST_SIDE_PX) return null
  const found: number[] = []
  const { columns, rows } = SHARPNESS_FIELDS
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const tile = liveliestTile(picture, {
        left: Math.floor((column * widthPx) / columns),
        right: Math.floor(((column + 1) * widthPx) / columns),
        top: Math.floor((row * heightPx) / rows),
        bottom: Math.floor(((row + 1) * heightPx) / rows),
      })
      const ratio = tile === null ? null : steepness(picture, tile.x, tile.y)
      if (ratio !== null) found.push(ratio)
    }
  }
  if (found.length < LEAST_FIELDS) return null
  const ratio = median(found)
  return Math.min(1, Math.max(0, (ratio - 1) / (STEEPEST - 1)))
}

interface Field {
  left: number
  right: number
  top: number
  bottom: number
}

/** The upper left corner of the tile in `field` whose brightness changes most; null: no tile fits. */
function liveliestTile({ widthPx, heightPx, pixels }: GreyPicture, field: Field): { x: number; y: number } | null {
  // Smaller pictures have smaller fields than tiles: neighbours then share pixels.
  const mostX = Math.min(Math.max(field.left, field.right - TILE_PX), widthPx - TILE_PX - MARGIN_PX)
  const mostY = Math.min(Math.max(field.top, field.bottom - TILE_PX), heightPx - TILE_PX - MARGIN_PX)
  let best: { x: number; y: number } | null = null
  let most = 0
  for (let y = Math.min(mostY, Math.max(MARGIN_PX, field.top)); y <= mostY; y += TILE_STEP_PX) {
    for (let x = Math.min(mostX, Math.max(MARGIN_PX, field.left)); x <= mostX; x += TILE_STEP_PX) {
      let change = 0
      for (let dy = 0; dy < TILE_PX; dy += SAMPLE_STEP_PX) {
        let at = (y + dy) * widthPx + x
        for (let dx = 0; dx < TILE_PX; dx += SAMPLE_STEP_PX, at += SAMPLE_STEP_PX) {
          const value = pixels[at] ?? 0
          change += Math.abs(value - (pixels[at + SAMPLE_STEP_PX] ?? 0))
          change += Math.abs(value - (pixels[at + SAMPLE_STEP_PX * widthPx] ?? 0))
        }
      }
      if (change > most) {
        most = change
        best = { x, y }
      }
    }
  }
  return best
}

/** How much steeper the edges of a tile are behind the narrow Gaussian than behind the wide one; null: it has too few. */
function steepness(picture: GreyPicture, x: number, y: number): number | null {
  const side = TILE_PX + 2 * MARGIN_PX
  const cut = new Float32Array(side * side)
  for (let row = 0; row < side; row++) {
    const from = (y - MARGIN_PX + row) * picture.widthPx + x - MARGIN_PX
    for (let column = 0; column < side; column++) cut[row * side + column] = picture.pixels[from + column] ?? 0
  }
  const fine = blurred(cut, side, FINE_KERNEL)
  const coarse = blurred(cut, side, COARSE_KERNEL)
  const edges: { strength: number; ratio: number }[] = []
  for (let row = MARGIN_PX; row < side - MARGIN_PX; row++) {
    for (let column = MARGIN_PX; column < side - MARGIN_PX; column++) {
      const at = row * side + column
      const cx = slope(coarse, at, 1)
      const cy = slope(coarse, at, side)
      const square = cx * cx + cy * cy
      if (square < LEAST_EDGE * LEAST_EDGE || !isRidge(coarse, at, side, Math.abs(cx) >= Math.abs(cy) ? 1 : side)) {
        continue
      }
      const along = (slope(fine, at, 1) * cx + slope(fine, at, side) * cy) / square
      edges.push({ strength: square, ratio: along })
    }
  }
  if (edges.length < LEAST_EDGE_PIXELS) return null
  edges.sort((a, b) => b.strength - a.strength)
  const used = edges.slice(0, Math.max(LEAST_EDGE_PIXELS, Math.round(STRONGEST * TILE_PX * TILE_PX)))
  return median(used.map(({ ratio }) => ratio))
}

const slope = (values: Float32Array, at: number, step: number) =>
  ((values[at + step] ?? 0) - (values[at - step] ?? 0)) / 2

/** Is the change greatest here, across the edge? */
function isRidge(values: Float32Array, at: number, side: number, step: number): boolean {
  const strength = (i: number) => slope(values, i, 1) ** 2 + slope(values, i, side) ** 2
  const own = strength(at)
  return own >= strength(at - step) && own > strength(at + step)
}

function kernel(sigmaPx: number): Float32Array {
  const radius = Math.min(MARGIN_PX - 1, Math.ceil(3 * sigmaPx))
  const values = new Float32Array(2 * radius + 1)
  for (let i = -radius; i <= radius; i++) values[i + radius] = Math.exp(-(i * i) / (2 * sigmaPx * sigmaPx))
  const sum = values.reduce((total, value) => total + value, 0)
  return values.map((value) => value / sum)
}

const FINE_KERNEL = kernel(FINE_PX)
const COARSE_KERNEL = kernel(COARSE_PX)

/** Of a square of `side`; within the kernel's radius of its edge the values are of no use. */
function blurred(values: Float32Array, side: number, weights: Float32Array): Float32Array {
  const radius = (weights.length - 1) / 2
  const across = new Float32Array(values.length)
  const both = new Float32Array(values.length)
  for (let row = 0; row < side; row++) {
    for (let column = radius; column < side - radius; column++) {
      let sum = 0
      const from = row * side + column - radius
      for (let i = 0; i < weights.length; i++) sum += (weights[i] ?? 0) * (values[from + i] ?? 0)
      across[row * side + column] = sum
    }
  }
  for (let row = radius; row < side - radius; row++) {
    for (let column = radius; column < side - radius; column++) {
      let sum = 0
      const from = (row - radius) * side + column
      for (let i = 0; i < weights.length; i++) sum += (weights[i] ?? 0) * (across[from + i * side] ?? 0)
      both[row * side + column] = sum
    }
  }
  return both
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

/**
 * Finds plates with the project's own network (models/plate-detector.md): for every cell of three grids it gives a score and
 * the four corners of the plate around the cell.
 */
import { boundsOf, lineWithin, overlap } from './geometry.ts'
import { openNetwork } from './network.ts'
import { type Mat, resized } from './opencv.ts'
import type { PlateDetector, TextRegion } from './stages.ts'
import type { Corners, Region } from './types.ts'

/** Cells of the grids are this wide, px of the network's input; in the order of its output. */
const STRIDES = [8, 16, 32] as const
/** Corners are offsets from the cell's centre in units of this many strides. */
const OFFSET_STRIDES = 2
/** Score, then x and y of the corners from the top left clockwise. */
const VALUES_PER_CELL = 9
const SIDE_MULTIPLE_PX = 32

/** The network was trained for plates of this width and more in its input, px. */
const LEAST_PLATE_PX = 15
/** Pixels of the input that are always worth their time: a small picture is not made smaller than this. */
const LEAST_INPUT_PIXELS = 640 * 384
/** Most pixels of the input: a 3840×2160 frame at half its size, which takes 200 MB of memory. */
export const MOST_INPUT_PIXELS = 9 * LEAST_INPUT_PIXELS
/** Score from which a cell is looked at; what is no plate after all, the reader tells. */
const MIN_SCORE = 0.4
/** Cells that are looked at, best first; each plate has about 5. */
const MAX_CELLS = 400
/** Cells whose plates overlap by more show one plate. */
const SAME_PLATE_OVERLAP = 0.3
/** Cells whose corners are averaged: at least so sure beside the surest, and overlapping it by so much. */
const AGREEING_SCORE = 0.5
const AGREEING_OVERLAP = 0.6

/** Shrinking by a whole number averages whole pixels, many times as fast; it is taken where it comes so near to the scale wanted. */
const NEAR_WHOLE = 0.06

/** The network's input, and the rows of it that the picture fills; below them its last row is repeated. */
export interface InputSize {
  width: number
  height: number
  filledRows: number
}

/** So much smaller that plates of `smallestPlatePx` can still be found in it. */
export function inputSize(widthPx: number, heightPx: number, smallestPlatePx: number): InputSize {
  const shrunkTo = (pixels: number) => Math.sqrt((widthPx * heightPx) / pixels)
  const wanted = Math.min(smallestPlatePx / LEAST_PLATE_PX, shrunkTo(LEAST_INPUT_PIXELS))
  const scale = Math.max(1, wanted, shrunkTo(MOST_INPUT_PIXELS))
  const whole = Math.round(scale)
  const width = widthPx / whole
  const filledRows = heightPx / whole
  const fits = width % SIDE_MULTIPLE_PX === 0 && Number.isInteger(filledRows)
  if (fits && Math.abs(scale / whole - 1) <= NEAR_WHOLE) {
    return { width, height: Math.ceil(filledRows / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX, filledRows }
  }
  const side = (px: number) => Math.max(SIDE_MULTIPLE_PX, Math.round(px / scale / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX)
  return { width: side(widthPx), height: side(heightPx), filledRows: side(heightPx) }
}

interface ScoredCell {
  score: number
  /** Centre, px of the network's input. */
  x: number
  y: number
  stride: number
  offset: number
}

/** The cells with a score, best first. */
function likelyCells(cells: Float32Array, width: number, height: number): ScoredCell[] {
  const found: ScoredCell[] = []
  let offset = 0
  for (const stride of STRIDES) {
    const columns = width / stride
    const count = columns * (height / stride)
    for (let cell = 0; cell < count; cell++, offset += VALUES_PER_CELL) {
      const score = cells[offset] ?? 0
      if (score < MIN_SCORE) continue
      const row = Math.floor(cell / columns)
      found.push({ score, x: (cell - row * columns + 0.5) * stride, y: (row + 0.5) * stride, stride, offset })
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, MAX_CELLS)
}

interface Seen {
  score: number
  region: Region
  corners: Corners
}

/** Cells that see the same plate nearly as surely: their corners' mean is nearer the truth than those of any one of them. */
function agreed(best: Seen, all: readonly Seen[]): Corners {
  const others = all.filter(
    (other) => other.score >= best.score * AGREEING_SCORE && overlap(other.region, best.region) >= AGREEING_OVERLAP,
  )
  const weight = others.reduce((sum, { score }) => sum + score, 0)
  const mean = (n: 0 | 1 | 2 | 3) => ({
    x: others.reduce((sum, { score, corners }) => sum + score * corners[n].x, 0) / weight,
    y: others.reduce((sum, { score, corners }) => sum + score * corners[n].y, 0) / weight,
  })
  return [mean(0), mean(1), mean(2), mean(3)]
}

/** Plates in the network's output, best first, one for each place; `toX` and `toY` scale to the picture's pixels. */
export function platesIn(
  cells: Float32Array,
  { width, height }: { width: number; height: number },
  toX: number,
  toY: number,
): TextRegion[] {
  const seen = likelyCells(cells, width, height).map(({ score, x, y, stride, offset }): Seen => {
    const corner = (n: number) => ({
      x: (x + (cells[offset + 1 + 2 * n] ?? 0) * OFFSET_STRIDES * stride) * toX,
      y: (y + (cells[offset + 2 + 2 * n] ?? 0) * OFFSET_STRIDES * stride) * toY,
    })
    const corners: Corners = [corner(0), corner(1), corner(2), corner(3)]
    return { score, corners, region: boundsOf(corners) }
  })
  const best: Seen[] = []
  for (const one of seen) {
    if (best.every((better) => overlap(better.region, one.region) <= SAME_PLATE_OVERLAP)) best.push(one)
  }
  return best.map((one) => {
    const corners = agreed(one, seen)
    return { region: boundsOf(corners), corners, confidence: one.score, text: lineWithin(corners), isPlate: true }
  })
}

function inputOf(picture: Mat, { width, height, filledRows }: InputSize): Buffer {
  const small = resized(picture, width, filledRows)
  try {
    const pixels = small.getData()
    const lastRow = pixels.subarray(pixels.length - width * 3)
    return Buffer.concat([pixels, ...Array<Buffer>(height - filledRows).fill(lastRow)])
  } finally {
    small.release()
  }
}

export async function openCandorDetector(
  modelPath: string,
  threads: number,
  smallestPlatePx: number,
): Promise<PlateDetector> {
  const network = await openNetwork(modelPath, threads)
  return {
    version: 'candor-detector-1',
    async detect(picture) {
      const size = inputSize(picture.cols, picture.rows, smallestPlatePx)
      const [{ values }] = await network.run(inputOf(picture, size), [1, size.height, size.width, 3])
      return platesIn(values, size, picture.cols / size.width, picture.rows / size.filledRows)
    },
    close: () => network.close(),
  }
}

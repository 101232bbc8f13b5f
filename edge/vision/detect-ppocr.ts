/**
 * Finds text with PP-OCRv4's detector (differentiable binarisation, Liao et al. 2020): the network gives for each pixel how
 * likely it is inside shrunk text; connected parts are boxed and grown back.
 */
import { alongText, type TextBox } from './geometry.ts'
import type { Network } from './network.ts'
import { blobs, type Mat, resized, withMats } from './opencv.ts'

/** The network halves its input five times. */
const SIDE_MULTIPLE_PX = 32
/** Mean and deviation of ImageNet, in the network's channel order (blue, green, red), as its training configuration has them. */
const MEAN = [0.485, 0.456, 0.406] as const
const DEVIATION = [0.229, 0.224, 0.225] as const
/** Most boxes of one pass: a street scene has under 50. */
const MAX_BOXES = 400

export interface TextDetection {
  /** Pixels of the network's input in all. */
  pixels: number
  maxScale: number
  /** Probability from which a pixel is text. */
  threshold: number
  /** Mean probability in a box below which it is dropped. */
  minScore: number
  /** How far a shrunk box is grown back: area × ratio / circumference. */
  unclip: number
}

export interface FoundText {
  box: TextBox
  score: number
}

function inputSize(widthPx: number, heightPx: number, options: TextDetection): { width: number; height: number } {
  const scale = Math.min(options.maxScale, Math.sqrt(options.pixels / (widthPx * heightPx)))
  const side = (px: number) => Math.max(SIDE_MULTIPLE_PX, Math.round((px * scale) / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX)
  return { width: side(widthPx), height: side(heightPx) }
}

function toInput(rgb: Buffer, count: number): Float32Array {
  const values = new Float32Array(count * 3)
  for (let channel = 0; channel < 3; channel++) {
    const mean = (MEAN[channel] ?? 0) * 255
    const factor = 1 / ((DEVIATION[channel] ?? 1) * 255)
    const offset = channel * count
    for (let i = 0, from = 2 - channel; i < count; i++, from += 3) {
      values[offset + i] = ((rgb[from] ?? 0) - mean) * factor
    }
  }
  return values
}

/** Text of `picture` (RGB), in its own pixels, best first. */
export async function findText(network: Network, picture: Mat, options: TextDetection): Promise<FoundText[]> {
  const { width, height } = inputSize(picture.cols, picture.rows, options)
  const values = withMats((keep) => toInput(keep(resized(picture, width, height)).getData(), width * height))
  const { values: likely } = await network.run(values, [1, 3, height, width])
  const mask = Buffer.alloc(width * height)
  for (let i = 0; i < mask.length; i++) if ((likely[i] ?? 0) > options.threshold) mask[i] = 255
  const found: FoundText[] = []
  const toX = picture.cols / width
  const toY = picture.rows / height
  for (const { box, bounds } of blobs(mask, width, height, MAX_BOXES)) {
    const text = alongText(box)
    if (text.heightPx < 2 || text.widthPx < 4) continue
    let sum = 0
    let count = 0
    for (let y = bounds.y; y < bounds.y + bounds.height; y++) {
      for (let x = bounds.x; x < bounds.x + bounds.width; x++) {
        const i = y * width + x
        if (mask[i] === 0) continue
        sum += likely[i] ?? 0
        count += 1
      }
    }
    const score = count === 0 ? 0 : sum / count
    if (score < options.minScore) continue
    const grow = (text.widthPx * text.heightPx * options.unclip) / (2 * (text.widthPx + text.heightPx))
    const scale = (toX + toY) / 2
    found.push({
      score,
      box: {
        centre: { x: (text.centre.x + 0.5) * toX, y: (text.centre.y + 0.5) * toY },
        widthPx: (text.widthPx + 1 + 2 * grow) * scale,
        heightPx: (text.heightPx + 1 + 2 * grow) * scale,
        angle: text.angle,
      },
    })
  }
  return found.sort((a, b) => b.score - a.score)
}

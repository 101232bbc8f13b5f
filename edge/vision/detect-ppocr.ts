/**
 * Finds text with PP-OCRv4's detector (differentiable binarisation, Liao et al. 2020): the network gives for each pixel how
 * likely it is inside shrunk text; connected parts are boxed and grown back.
 */
import { alongText, type TextBox } from './geometry.ts'
import { openNetwork } from './network.ts'
import { blobs, resized, withMats } from './opencv.ts'
import { type PlateDetector, plateOutline } from './stages.ts'

/** The network halves its input five times. */
const SIDE_MULTIPLE_PX = 32
/** Mean and deviation of ImageNet, in the network's channel order (blue, green, red), as its training configuration has them. */
const MEAN = [0.485, 0.456, 0.406] as const
const DEVIATION = [0.229, 0.224, 0.225] as const
/** Most boxes of one pass: a street scene has under 50. */
const MAX_BOXES = 400

/** Pixels of the network's input in all: plates of 50 px in 1280×720 are found, in 0.2 s on two cores. */
const INPUT_PIXELS = 800_000
/** A small picture is enlarged at most so much. */
const MAX_ENLARGEMENT = 1.5
/** Probability from which a pixel is text; the network's own default. */
const TEXT_THRESHOLD = 0.3
/** Mean probability of its pixels below which a box is dropped. */
const MIN_SCORE = 0.4
/** How far a shrunk box is grown back: area × ratio / circumference. The default is 1.5; the reader cuts closer itself. */
const UNCLIP_RATIO = 1.6
/** Text whose box is lower than this in the picture cannot be read, px. */
const MIN_TEXT_HEIGHT_PX = 8
/** Sides of a plate's line of text: width / height. */
const MIN_ASPECT = 1.2
const MAX_ASPECT = 9

function inputSize(widthPx: number, heightPx: number): { width: number; height: number } {
  const scale = Math.min(MAX_ENLARGEMENT, Math.sqrt(INPUT_PIXELS / (widthPx * heightPx)))
  const side = (px: number) =>
    Math.max(SIDE_MULTIPLE_PX, Math.round((px * scale) / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX)
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

/** Boxes of `likely` (width × height probabilities), in its pixels, with their scores. */
function boxesOf(likely: Float32Array, width: number, height: number): { box: TextBox; score: number }[] {
  const mask = Buffer.alloc(width * height)
  for (let i = 0; i < mask.length; i++) if ((likely[i] ?? 0) > TEXT_THRESHOLD) mask[i] = 255
  const found: { box: TextBox; score: number }[] = []
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
    if (score < MIN_SCORE) continue
    const grow = (text.widthPx * text.heightPx * UNCLIP_RATIO) / (2 * (text.widthPx + text.heightPx))
    found.push({
      score,
      box: { ...text, widthPx: text.widthPx + 1 + 2 * grow, heightPx: text.heightPx + 1 + 2 * grow },
    })
  }
  return found
}

export async function openPpocrDetector(modelPath: string, threads: number): Promise<PlateDetector> {
  const network = await openNetwork(modelPath, threads)
  return {
    version: 'pp-ocrv4-det-mobile',
    async detect(picture) {
      const { width, height } = inputSize(picture.cols, picture.rows)
      const values = withMats((keep) => toInput(keep(resized(picture, width, height)).getData(), width * height))
      const [output] = await network.run(values, [1, 3, height, width])
      const toX = picture.cols / width
      const toY = picture.rows / height
      const scale = (toX + toY) / 2
      const lines = boxesOf(output.values, width, height)
        .map(({ box, score }) => ({
          score,
          box: {
            centre: { x: (box.centre.x + 0.5) * toX, y: (box.centre.y + 0.5) * toY },
            widthPx: box.widthPx * scale,
            heightPx: box.heightPx * scale,
            angle: box.angle,
          },
        }))
        .filter(({ box }) => box.heightPx >= MIN_TEXT_HEIGHT_PX)
      return lines
        .filter(({ box }) => box.widthPx >= MIN_ASPECT * box.heightPx && box.widthPx <= MAX_ASPECT * box.heightPx)
        .sort((a, b) => b.score - a.score)
        .map(({ box, score }) => ({ text: box, confidence: score, isPlate: false, ...plateOutline(box) }))
    },
    close: () => network.close(),
  }
}

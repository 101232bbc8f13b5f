/**
 * Frames larger than 1280×720: labelled pictures side by side, so that every plate is as wide as before while the frame has many
 * times the pixels. Shows what the detector loses when it sees a large frame coarser. Used by reading.ts.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { VisionConfig } from '../../../edge/vision/types.ts'
import { quantile } from '../statistics.ts'
import { FOUND_OVERLAP, type Label, overlapOf, parseLabels } from './score.ts'
import { openBenchVision, SETS } from './sets.ts'

const TILE = { width: 1280, height: 720 } as const
const GREY = '#777777'

/** Of `vision.smallestPlatePx`: shrinks a frame by 2, 3 or 4 at most. */
const SMALLEST_PLATES_PX = [30, 45, 60] as const
/** Pictures across and down: 2560×1440 and 3840×2160. */
const ACROSS = [2, 3] as const

export interface LargeScore {
  widthPx: number
  heightPx: number
  smallestPlatePx: number
  plates: number
  foundPercent: number
  strictPercent: number
  medianMs: number
}

interface Tile {
  path: string
  labels: readonly Label[]
}

interface LargeFrame {
  jpeg: Buffer
  labels: Label[]
}

/** `tiles` row by row, `across` in each. */
async function frameOf(tiles: readonly Tile[], across: number): Promise<LargeFrame> {
  const labels: Label[] = []
  const pictures = await Promise.all(
    tiles.map(async ({ path, labels: own }, place) => {
      const left = (place % across) * TILE.width
      const top = Math.floor(place / across) * TILE.height
      const { width, height } = await sharp(path).metadata()
      const scale = Math.min(1, TILE.width / width, TILE.height / height)
      for (const { plate, region } of own) {
        const { x, y } = region
        const size = { width: region.width * scale, height: region.height * scale }
        labels.push({ plate, region: { x: left + x * scale, y: top + y * scale, ...size } })
      }
      const input = await sharp(path)
        .resize(Math.round(width * scale), Math.round(height * scale))
        .png()
        .toBuffer()
      return { input, left, top }
    }),
  )
  const size = { width: TILE.width * across, height: TILE.height * Math.ceil(tiles.length / across) }
  const jpeg = await sharp({ create: { ...size, channels: 3, background: GREY } })
    .composite(pictures)
    .jpeg({ quality: 95 })
    .toBuffer()
  return { jpeg, labels }
}

/** As many whole frames as there are pictures for; neighbours in a frame are of all sets. */
export async function framesOf(folder: string, across: number): Promise<LargeFrame[]> {
  const tiles: Tile[] = []
  for (const set of SETS) {
    const labels = join(folder, set, 'labels.tsv')
    if (!existsSync(labels)) continue
    for (const [file, own] of parseLabels(await readFile(labels, 'utf8')))
      tiles.push({ path: join(folder, set, file), labels: own })
  }
  const count = across * across
  const frames: LargeFrame[] = []
  const step = Math.floor(tiles.length / count)
  for (let frame = 0; frame < step; frame++) {
    const own = tiles.filter((_, at) => at % step === frame).slice(0, count)
    frames.push(await frameOf(own, across))
  }
  return frames
}

export async function measureLarge(
  folder: string,
  config: VisionConfig,
  onFrame: (done: number, all: number) => void,
): Promise<LargeScore[]> {
  const scores: LargeScore[] = []
  for (const across of ACROSS) {
    const frames = await framesOf(folder, across)
    for (const smallestPlatePx of SMALLEST_PLATES_PX) {
      const vision = await openBenchVision({ ...config, smallestPlatePx, frameTimeoutMs: 60_000 })
      let [plates, found, strict] = [0, 0, 0]
      const times: number[] = []
      try {
        for (const [index, { jpeg, labels }] of frames.entries()) {
          onFrame(index, frames.length)
          const { reads, elapsedMs } = await vision.read(jpeg)
          times.push(elapsedMs)
          for (const label of labels) {
            plates += 1
            if (reads.some((read) => overlapOf(read.region, label.region) >= FOUND_OVERLAP)) found += 1
            if (reads.some((read) => read.plate === label.plate)) strict += 1
          }
        }
      } finally {
        await vision.close()
      }
      scores.push({
        widthPx: TILE.width * across,
        heightPx: TILE.height * across,
        smallestPlatePx,
        plates,
        foundPercent: (100 * found) / Math.max(1, plates),
        strictPercent: (100 * strict) / Math.max(1, plates),
        medianMs: quantile(times, 0.5),
      })
    }
  }
  return scores
}

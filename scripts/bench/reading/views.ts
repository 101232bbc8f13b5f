/**
 * What a region of interest and masks cost and bring: large frames of labelled pictures are read as they are, with a region around each
 * plate, and with as many masks as there may be, one after another. Used by reading.ts.
 */

import { type Areas, WHOLE_PICTURE } from '../../../edge/vision/areas.ts'
import type { FrameReading, VisionConfig } from '../../../edge/vision/types.ts'
import { MAX_MASKS, MAX_POLYGON_POINTS, type PolygonPoint } from '../../../shared/polygon.ts'
import { quantile } from '../statistics.ts'
import { framesOf } from './large.ts'
import { FOUND_OVERLAP, fold, type Label, overlapOf } from './score.ts'
import { openBenchVision } from './sets.ts'

/** Of the frame's sides. */
const REGION_SIDE = 0.5

export interface ViewScore {
  view: string
  plates: number
  foundPercent: number
  rightPercent: number
  medianMs: number
  /** Masks and, where asked for, the picture for a person. */
  viewMs: number
  detectMs: number
}

function regionAround({ region }: Label, widthPx: number, heightPx: number): Areas['region'] {
  const from = (middle: number, side: number) => Math.min(1 - REGION_SIDE, Math.max(0, middle / side - REGION_SIDE / 2))
  const left = from(region.x + region.width / 2, widthPx)
  const top = from(region.y + region.height / 2, heightPx)
  return [
    [left, top],
    [left + REGION_SIDE, top],
    [left + REGION_SIDE, top + REGION_SIDE],
    [left, top + REGION_SIDE],
  ]
}

/** Flat ones along the upper edge and the middle of the frame, with all the corners that they may have. */
function mostMasks(): Areas['masks'] {
  return Array.from({ length: MAX_MASKS }, (_, n) => {
    const [x, y] = [((n % (MAX_MASKS / 2)) + 0.5) / (MAX_MASKS / 2), n < MAX_MASKS / 2 ? 0.03 : 0.5]
    return Array.from({ length: MAX_POLYGON_POINTS }, (_, corner): [number, number] => {
      const angle = (2 * Math.PI * corner) / MAX_POLYGON_POINTS
      const inside = (value: number) => Math.min(1, Math.max(0, value))
      const point: PolygonPoint = [x + 0.06 * Math.cos(angle), y + 0.02 * Math.sin(angle)]
      return [inside(point[0]), inside(point[1])]
    })
  })
}

/** In frames of 2560×1440 with four plates each. */
const ACROSS = 2
const FRAME = { widthPx: 2_560, heightPx: 1_440 } as const

export async function measureViews(
  folder: string,
  config: VisionConfig,
  onFrame: (done: number, all: number) => void,
): Promise<ViewScore[]> {
  const names = [
    'whole',
    'with a region of half its sides around the plate',
    `with ${MAX_MASKS} masks of ${MAX_POLYGON_POINTS} corners`,
  ]
  const tally = names.map((view) => ({ view, plates: 0, found: 0, right: 0, all: [] as FrameReading[] }))
  const vision = await openBenchVision({ ...config, frameTimeoutMs: 60_000 })
  async function count(n: number, view: Areas, jpeg: Buffer, labels: readonly Label[]): Promise<void> {
    const one = tally[n]
    if (one === undefined) return
    vision.setAreas(view)
    // Where masks lie is found out once, when they are set; a camera's are set once.
    if (one.all.length === 0 || view.masks.length > 0) await vision.read(jpeg)
    const reading = await vision.read(jpeg)
    one.all.push(reading)
    for (const label of labels) {
      const read = reading.reads.find(({ region }) => overlapOf(region, label.region) >= FOUND_OVERLAP)
      one.plates += 1
      if (read !== undefined) one.found += 1
      if (read?.plate !== undefined && read.plate !== null && fold(read.plate) === fold(label.plate)) one.right += 1
    }
  }
  try {
    const frames = await framesOf(folder, ACROSS)
    const masks = mostMasks()
    for (const [index, { jpeg, labels }] of frames.entries()) {
      onFrame(index, frames.length)
      await count(0, WHOLE_PICTURE, jpeg, labels)
      await count(2, { region: null, masks }, jpeg, labels)
      for (const label of labels)
        await count(1, { region: regionAround(label, FRAME.widthPx, FRAME.heightPx), masks: [] }, jpeg, [label])
    }
  } finally {
    await vision.close()
  }
  return tally.map(({ view, plates, found, right, all }) => {
    const median = (of: (reading: FrameReading) => number) => quantile(all.map(of), 0.5)
    return {
      ...{
        view,
        plates,
        foundPercent: (100 * found) / Math.max(1, plates),
        rightPercent: (100 * right) / Math.max(1, plates),
      },
      medianMs: median(({ elapsedMs }) => elapsedMs),
      viewMs: median(({ stagesMs }) => stagesMs.areas ?? 0),
      detectMs: median(({ stagesMs }) => stagesMs.detect ?? 0),
    }
  })
}

/**
 * What a region of interest and masks cost and bring: each labelled picture is read as it is, with a region of half its sides around its
 * plate, and with as many masks as there may be, one after another. Used by reading.ts.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FrameReading, VisionConfig } from '../../../edge/vision/types.ts'
import { type View, WHOLE_VIEW } from '../../../edge/vision/view.ts'
import { MAX_MASKS, MAX_POLYGON_POINTS, type PolygonPoint } from '../../../shared/polygon.ts'
import { quantile } from '../statistics.ts'
import { FOUND_OVERLAP, fold, type Label, overlapOf, parseLabels } from './score.ts'
import { openBenchVision, SETS } from './sets.ts'

/** Of the picture's sides. */
const REGION_SIDE = 0.5

export interface ViewScore {
  view: string
  pictures: number
  rightPercent: number
  medianMs: number
  /** Masks and, where asked for, the picture for a person. */
  viewMs: number
  detectMs: number
}

function regionAround({ region }: Label, widthPx: number, heightPx: number): View['region'] {
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

/** Circles along the upper and lower edge of the picture, with all the corners that they may have. */
function mostMasks(): View['masks'] {
  return Array.from({ length: MAX_MASKS }, (_, n) => {
    const [x, y] = [((n % (MAX_MASKS / 2)) + 0.5) / (MAX_MASKS / 2), n < MAX_MASKS / 2 ? 0.1 : 0.95]
    return Array.from({ length: MAX_POLYGON_POINTS }, (_, corner): [number, number] => {
      const angle = (2 * Math.PI * corner) / MAX_POLYGON_POINTS
      const inside = (value: number) => Math.min(1, Math.max(0, value))
      const point: PolygonPoint = [x + 0.06 * Math.cos(angle), y + 0.05 * Math.sin(angle)]
      return [inside(point[0]), inside(point[1])]
    })
  })
}

export async function measureViews(
  folder: string,
  config: VisionConfig,
  onPicture: (done: number, all: number) => void,
): Promise<ViewScore[]> {
  const names = [
    'the whole picture',
    'a region of half its sides',
    `${MAX_MASKS} masks of ${MAX_POLYGON_POINTS} corners`,
  ]
  const found = names.map((view) => ({ view, right: 0, all: [] as FrameReading[] }))
  const vision = await openBenchVision(config)
  try {
    const pictures: { path: string; label: Label }[] = []
    for (const set of SETS) {
      for (const [file, [label]] of parseLabels(await readFile(join(folder, set, 'labels.tsv'), 'utf8')))
        if (label !== undefined) pictures.push({ path: join(folder, set, file), label })
    }
    for (const [index, { path, label }] of pictures.entries()) {
      onPicture(index, pictures.length)
      const encoded = await readFile(path)
      const { widthPx, heightPx } = await vision.read(encoded)
      const views: View[] = [
        WHOLE_VIEW,
        { region: regionAround(label, widthPx, heightPx), masks: [] },
        { region: null, masks: mostMasks() },
      ]
      for (const [n, view] of views.entries()) {
        vision.setView(view)
        // Where the masks lie is found out once for each size of picture.
        await vision.read(encoded)
        const reading = await vision.read(encoded)
        const one = found[n]
        if (one === undefined) continue
        one.all.push(reading)
        const read = reading.reads.find(({ region }) => overlapOf(region, label.region) >= FOUND_OVERLAP)
        if (read?.plate !== undefined && read.plate !== null && fold(read.plate) === fold(label.plate)) one.right += 1
      }
      vision.setView(WHOLE_VIEW)
    }
  } finally {
    await vision.close()
  }
  return found.map(({ view, right, all }) => {
    const median = (of: (reading: FrameReading) => number) => quantile(all.map(of), 0.5)
    return {
      ...{ view, pictures: all.length, rightPercent: (100 * right) / Math.max(1, all.length) },
      medianMs: median(({ elapsedMs }) => elapsedMs),
      viewMs: median(({ stagesMs }) => stagesMs.view ?? 0),
      detectMs: median(({ stagesMs }) => stagesMs.detect ?? 0),
    }
  })
}

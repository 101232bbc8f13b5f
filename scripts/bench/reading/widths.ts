/** How well plates are read by how wide they are in the picture: the labelled pictures, made smaller step by step. Used by reading.ts. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { VisionConfig } from '../../../edge/vision/types.ts'
import { fold, type Label, overlapOf, parseLabels } from './score.ts'
import { openBenchVision, SETS } from './sets.ts'

/** Of the plates, px of the picture that is read. */
export const WIDTHS_PX = [24, 28, 32, 36, 40, 45, 50, 60, 70, 80, 100, 120] as const
/** A read that lies on the label by so much is of its plate. */
const ON_LABEL = 0.3
const JPEG_QUALITY = 92

export interface WidthScore {
  widthPx: number
  plates: number
  /** With O as 0 and I as 1. */
  rightPercent: number
  /** Read as something else. */
  wrongPercent: number
}

export async function measureWidths(
  folder: string,
  config: VisionConfig,
  onPicture: (done: number, all: number) => void,
): Promise<WidthScore[]> {
  const counts = WIDTHS_PX.map((widthPx) => ({ widthPx, plates: 0, right: 0, wrong: 0 }))
  const vision = await openBenchVision(config)
  try {
    const pictures: { path: string; label: Label }[] = []
    for (const set of SETS) {
      const labels = parseLabels(await readFile(join(folder, set, 'labels.tsv'), 'utf8'))
      for (const [file, [label, another]] of labels) {
        if (label !== undefined && another === undefined) pictures.push({ path: join(folder, set, file), label })
      }
    }
    for (const [index, { path, label }] of pictures.entries()) {
      onPicture(index, pictures.length)
      const encoded = await readFile(path)
      const { width } = await sharp(encoded).metadata()
      for (const count of counts) {
        const scale = count.widthPx / label.region.width
        if (scale > 1) continue
        const smallWidth = Math.round(width * scale)
        const small = await sharp(encoded).resize({ width: smallWidth }).jpeg({ quality: JPEG_QUALITY }).toBuffer()
        const { x, y, height } = label.region
        const place = { x: x * scale, y: y * scale, width: count.widthPx, height: height * scale }
        const read = (await vision.read(small)).reads.find(
          ({ plate, region }) => plate !== null && overlapOf(region, place) >= ON_LABEL,
        )
        count.plates += 1
        if (read === undefined || read.plate === null) continue
        if (fold(read.plate) === fold(label.plate)) count.right += 1
        else count.wrong += 1
      }
    }
  } finally {
    await vision.close()
  }
  return counts.map(({ widthPx, plates, right, wrong }) => ({
    ...{ widthPx, plates },
    rightPercent: (100 * right) / Math.max(1, plates),
    wrongPercent: (100 * wrong) / Math.max(1, plates),
  }))
}

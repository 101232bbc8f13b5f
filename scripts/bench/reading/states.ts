/** US plates of every state: how many have their state named, and how many of those rightly. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { VisionConfig } from '../../../edge/vision/types.ts'
import { openBenchVision } from './sets.ts'

export interface StatesScore {
  pictures: number
  /** Plates found, read or not. */
  foundPercent: number
  namedPercent: number
  /** Of those named. */
  rightPercent: number
  /** Text as labelled, O as 0 and I as 1; the labels of this set leave small letters out and are rough. */
  foldedPercent: number
  /** `file: state named as other`. */
  wrong: string[]
}

const percent = (part: number, whole: number) => Math.round((1000 * part) / Math.max(1, whole)) / 10
const fold = (plate: string) => plate.replaceAll('O', '0').replaceAll('I', '1')

export async function measureStates(
  folder: string,
  config: VisionConfig,
  onPicture: (done: number, all: number) => void,
): Promise<StatesScore> {
  const rows = (await readFile(join(folder, 'states', 'labels.tsv'), 'utf8')).trim().split(/\r?\n/).slice(1)
  const vision = await openBenchVision(config)
  let pictures = 0
  let found = 0
  let named = 0
  let folded = 0
  const wrong: string[] = []
  try {
    for (const [index, row] of rows.entries()) {
      const [file = '', state = '', plate = ''] = row.split('\t')
      onPicture(index, rows.length)
      pictures += 1
      const picture = await readFile(join(folder, 'states', file))
      const [best] = (await vision.read(picture)).reads
      if (best?.corners === undefined) continue
      found += 1
      if (best.plate !== null && fold(best.plate) === fold(plate)) folded += 1
      const jurisdiction = best.jurisdiction ?? (await vision.jurisdiction(picture, best.corners))
      if (jurisdiction === null) continue
      named += 1
      if (jurisdiction.code !== `US-${state}`) wrong.push(`${file}: ${state} named as ${jurisdiction.code}`)
    }
  } finally {
    await vision.close()
  }
  return {
    pictures,
    foundPercent: percent(found, pictures),
    namedPercent: percent(named, pictures),
    rightPercent: percent(named - wrong.length, named),
    foldedPercent: percent(folded, pictures),
    wrong,
  }
}

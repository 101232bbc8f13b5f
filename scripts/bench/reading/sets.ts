/** Labelled street pictures through the camera's own vision process, one after another. Used by reading.ts and its test. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openVision } from '../../../edge/vision/door.ts'
import type { FrameReading, VisionConfig, VisionDoor } from '../../../edge/vision/types.ts'
import { systemClock } from '../../../shared/clock.ts'
import { toAppError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'
import { overlapOf, type PictureScore, parseLabels, type SetScore, scorePicture, scoreSet } from './score.ts'
import { UNLABELLED } from './unlabelled.ts'

/** Scenes with one labelled plate each, by where they were taken. */
export const SETS = ['us', 'eu', 'br'] as const

export interface SetsScore {
  sets: Record<string, SetScore>
  /** Of all sets: how sure each reported read was, and whether it was right. */
  reads: { confidence: number; right: boolean }[]
}

export interface MeasureOptions {
  /** Told of each picture. */
  onPicture?: (set: string, done: number, all: number) => void
}

export const openBenchVision = (config: VisionConfig): Promise<VisionDoor> =>
  openVision(config, { clock: systemClock, log: createLog({ level: 'error', part: 'bench' }) })

/** Reads the sets under `folder` with `config`. Pictures that cannot be read count as not read. */
export async function measureSets(
  folder: string,
  config: VisionConfig,
  options: MeasureOptions = {},
): Promise<SetsScore> {
  let vision = await openBenchVision(config)
  const sets: Record<string, SetScore> = {}
  const reads: SetsScore['reads'] = []
  try {
    for (const set of SETS) {
      const labelsPath = join(folder, set, 'labels.tsv')
      if (!existsSync(labelsPath)) continue
      const labels = [...parseLabels(await readFile(labelsPath, 'utf8'))]
      const pictures: (PictureScore & { elapsedMs: number })[] = []
      for (const [index, [file, plates]] of labels.entries()) {
        options.onPicture?.(set, index, labels.length)
        const startedMs = systemClock.monotonicMs()
        try {
          const reading: FrameReading = await vision.read(await readFile(join(folder, set, file)))
          // Real plates that the labels leave out are no false reads; the best read still decides, whichever plate it is of.
          const left = UNLABELLED[`${set}/${file}`] ?? []
          const counted = reading.reads.filter((read) => left.every((region) => overlapOf(read.region, region) === 0))
          const { falseReads, falseVehicles } = scorePicture(plates, counted)
          const score = { ...scorePicture(plates, reading.reads), falseReads, falseVehicles }
          pictures.push({ ...score, elapsedMs: reading.elapsedMs })
          for (const { plate, confidence } of counted) {
            if (plate !== null) reads.push({ confidence, right: plates.some((label) => label.plate === plate) })
          }
        } catch (thrown) {
          const { code, message } = toAppError(thrown)
          if (code === 'internal') throw thrown
          process.stderr.write(`${set}/${file} counts as not read: ${message}\n`)
          pictures.push({ ...scorePicture(plates, []), elapsedMs: systemClock.monotonicMs() - startedMs })
          if (code !== 'unavailable') continue
          // It died of this picture or took too long over it; the next one must not pay for that.
          await vision.close()
          vision = await openBenchVision(config)
        }
      }
      sets[set] = scoreSet(pictures)
    }
  } finally {
    await vision.close()
  }
  return { sets, reads }
}

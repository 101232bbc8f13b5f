/** `candor bench reading`: the labelled pictures through the camera's own vision process, one after another. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openVision } from '../../edge/vision/door.ts'
import { DETECTORS, READERS, type VisionConfig, visionConfigSchema } from '../../edge/vision/types.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { createLog } from '../../shared/log.ts'
import { type PictureScore, parseLabels, type SetScore, scorePicture, scoreSet } from './score.ts'

/** Scenes with one labelled plate each, by where they were taken. */
const SETS = ['us', 'eu', 'br'] as const

export interface CombinationScore {
  detector: string
  reader: string
  isDefault: boolean
  sets: Record<string, SetScore>
}

export interface MeasureOptions {
  /** Every n-th picture of each set; 1 for all. */
  every?: number
}

/** Reads the sets under `folder` with `config`. Pictures that cannot be read count as not read. */
export async function measure(
  folder: string,
  config: VisionConfig,
  options: MeasureOptions = {},
): Promise<CombinationScore> {
  const open = () => openVision(config, { clock: systemClock, log: createLog({ level: 'error', part: 'bench' }) })
  let vision = await open()
  const defaults = visionConfigSchema.parse({})
  const sets: Record<string, SetScore> = {}
  try {
    for (const set of SETS) {
      const labelsPath = join(folder, set, 'labels.tsv')
      if (!existsSync(labelsPath)) continue
      const labels = [...parseLabels(await readFile(labelsPath, 'utf8'))]
      const pictures: (PictureScore & { elapsedMs: number })[] = []
      for (const [index, [file, plates]] of labels.entries()) {
        if (index % (options.every ?? 1) !== 0) continue
        const startedMs = systemClock.monotonicMs()
        try {
          const { reads, elapsedMs } = await vision.read(await readFile(join(folder, set, file)))
          pictures.push({ ...scorePicture(plates, reads), elapsedMs })
        } catch (thrown) {
          const { code, message } = toAppError(thrown)
          if (code === 'internal') throw thrown
          process.stderr.write(`${set}/${file} counts as not read: ${message}\n`)
          pictures.push({ ...scorePicture(plates, []), elapsedMs: systemClock.monotonicMs() - startedMs })
          if (code !== 'unavailable') continue
          // It died of this picture or took too long over it; the next one must not pay for that.
          await vision.close()
          vision = await open()
        }
      }
      sets[set] = scoreSet(pictures)
    }
  } finally {
    await vision.close()
  }
  const isDefault = config.detector === defaults.detector && config.reader === defaults.reader
  return { detector: config.detector, reader: config.reader, isDefault, sets }
}

function print({ detector, reader, isDefault, sets }: CombinationScore): void {
  process.stdout.write(`${detector} + ${reader}${isDefault ? ' (default)' : ''}\n`)
  process.stdout.write('  set  pictures  strict %  folded %  found %  false/picture  CER %  median ms  p95 ms\n')
  for (const [name, score] of Object.entries(sets)) {
    const cells = [
      score.pictures.toString().padStart(8),
      score.strictPercent.toFixed(1).padStart(8),
      score.foldedPercent.toFixed(1).padStart(8),
      score.foundPercent.toFixed(1).padStart(7),
      score.falseReadsPerPicture.toFixed(2).padStart(13),
      score.characterErrorPercent.toFixed(1).padStart(5),
      score.medianMs.toString().padStart(9),
      score.p95Ms.toString().padStart(6),
    ]
    process.stdout.write(`  ${name.padEnd(3)}  ${cells.join('  ')}\n`)
  }
}

export async function run(options: Record<string, string | boolean>): Promise<void> {
  const folder = typeof options.plates === 'string' ? options.plates : process.env.CANDOR_PLATES
  if (folder === undefined || !SETS.some((set) => existsSync(join(folder, set, 'labels.tsv')))) {
    throw new AppError('configuration', 'no labelled pictures', {
      hint: 'name their folder with --plates or CANDOR_PLATES; it holds us, eu or br with labels.tsv in each',
    })
  }
  const results: CombinationScore[] = []
  for (const detector of DETECTORS) {
    for (const reader of READERS) {
      if (options.detector !== undefined && detector !== options.detector) continue
      if (options.reader !== undefined && reader !== options.reader) continue
      const result = await measure(folder, visionConfigSchema.parse({ detector, reader }))
      results.push(result)
      if (options.json !== true) print(result)
    }
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
}

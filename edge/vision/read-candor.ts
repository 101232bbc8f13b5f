/**
 * Reads plates with the project's own network (models/plate-reader.md): a plate pulled straight goes in, for each of its two
 * possible lines rows of character probabilities come out.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { confidencesOf, loadCalibration } from './calibration.ts'
import { type DecodedText, decodeTexts, PLATE_ALPHABET, PLATE_CLASSES } from './ctc.ts'
import { openNetwork } from './network.ts'
import { straightenedPlate } from './opencv.ts'
import type { PlateReader } from './stages.ts'
import type { Jurisdiction } from './types.ts'

const WIDTH_PX = 160
const HEIGHT_PX = 48
/** What the network sees around the plate, as parts of the plate's sides; as in its training. */
const MARGIN = { x: 0.04, y: 0.08 } as const
const LINES = 2
const STEPS = 40
/** Texts kept of each line, and of both together. */
const TEXTS = 8

/** Two lines of a plate as one text: every pair, likeliest first. */
export function joined(first: readonly DecodedText[], second: readonly DecodedText[]): DecodedText[] {
  const pairs = first.flatMap((a) =>
    second.map((b) => ({ text: a.text + b.text, probability: a.probability * b.probability })),
  )
  const sums = new Map<string, number>()
  for (const { text, probability } of pairs) sums.set(text, (sums.get(text) ?? 0) + probability)
  return [...sums]
    .map(([text, probability]) => ({ text, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, TEXTS)
}

/** plate-reader.json: what the outputs stand for. */
const classesSchema = z.strictObject({ characters: z.string(), jurisdictions: z.array(z.string()) })

/** So sure must the network be of a country; below it is none. */
const MIN_COUNTRY_PROBABILITY = 0.9
/** Looks of some US state: which one, only its small writing tells (jurisdiction.ts). */
const SOME_STATE = 'US'

/** The country that a plate looks like; null for none, for a US state, and where it is not clear. */
export function countryOf(likely: ArrayLike<number>, jurisdictions: readonly string[]): Jurisdiction | null {
  for (const [index, code] of jurisdictions.entries()) {
    const confidence = likely[index] ?? 0
    if (confidence < MIN_COUNTRY_PROBABILITY) continue
    return code === '' || code === SOME_STATE ? null : { code, confidence: Math.min(1, confidence) }
  }
  return null
}

export async function openCandorReader(
  modelPath: string,
  calibrationPath: string,
  threads: number,
): Promise<PlateReader> {
  const calibration = await loadCalibration(calibrationPath)
  const classes = classesSchema.parse(JSON.parse(await readFile(modelPath.replace(/\.onnx$/, '.json'), 'utf8')))
  if (classes.characters !== PLATE_ALPHABET) throw new Error('the reader was trained for other characters')
  const network = await openNetwork(modelPath, threads)
  return {
    version: 'candor-reader-1',
    async read(picture, regions) {
      if (regions.length === 0) return []
      const bytes = WIDTH_PX * HEIGHT_PX * 3
      const pixels = Buffer.alloc(bytes * regions.length)
      for (const [index, { corners }] of regions.entries()) {
        const plate = straightenedPlate(picture, corners, { widthPx: WIDTH_PX, heightPx: HEIGHT_PX, margin: MARGIN })
        try {
          plate.getData().copy(pixels, index * bytes)
        } finally {
          plate.release()
        }
      }
      const [characters, looks] = await network.run(pixels, [regions.length, HEIGHT_PX, WIDTH_PX, 3])
      const { values } = characters
      const perLine = STEPS * PLATE_CLASSES
      return regions.map((_, index) => {
        const line = (n: number) => {
          const from = (index * LINES + n) * perLine
          return decodeTexts({ steps: STEPS, values: values.subarray(from, from + perLine) }, TEXTS)
        }
        const from = index * classes.jurisdictions.length
        const likely = looks?.values.subarray(from, from + classes.jurisdictions.length) ?? []
        return { texts: joined(line(0), line(1)), jurisdiction: countryOf(likely, classes.jurisdictions) }
      })
    },
    confidences: (texts, region) =>
      confidencesOf(calibration, texts, { score: region.confidence, widthPx: region.region.width }),
    close: () => network.close(),
  }
}

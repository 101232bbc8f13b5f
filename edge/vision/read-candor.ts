/**
 * Reads plates with the project's own network (models/plate-reader.md): a plate pulled straight goes in, for each of its two
 * possible lines rows of character probabilities come out.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { confidencesOf, loadCalibration } from './calibration.ts'
import { type DecodedText, decodeTexts, PLATE_ALPHABET, PLATE_CLASSES } from './ctc.ts'
import { aspectOf } from './geometry.ts'
import { openNetwork } from './network.ts'
import { type Mat, movedCorners, type StraightSize, straightenedPlate } from './opencv.ts'
import type { PlateReader, RegionLook } from './stages.ts'
import type { Corners, Jurisdiction } from './types.ts'

/** The network's picture of a plate, as in its training. */
const SIZE: StraightSize = { widthPx: 160, heightPx: 48, margin: { x: 0.06, y: 0.14 } }
/** How far the plate's corners are off: x and y of each. */
const VALUES_PER_PLATE = 8
const LINES = 2
const STEPS = 40
/** Looks after the first, each by the corners that the one before saw. */
const MORE_LOOKS = 4
/** A place where the first look makes out a text less likely than this, or fewer characters, is not looked at again: it is no plate. */
const WORTH_ANOTHER_LOOK = { probability: 0.005, characters: 3 } as const
/** From this on another look would tell nothing new. */
const SURE_PROBABILITY = 0.98
/** Texts kept of each line, and of both together. */
const TEXTS = 8

/** Two lines of a plate as one text: every pair, likeliest first. */
export function joined(first: readonly DecodedText[], second: readonly DecodedText[]): DecodedText[] {
  const pairs = first.flatMap((a) =>
    second.map((b) => ({ text: a.text + b.text, probability: a.probability * b.probability })),
  )
  const sums = new Map<string, number>()
  for (const { text, probability } of pairs) sums.set(text, (sums.get(text) ?? 0) + probability)
  return likeliest(sums)
}

function likeliest(sums: ReadonlyMap<string, number>): DecodedText[] {
  return [...sums]
    .map(([text, probability]) => ({ text, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, TEXTS)
}

/** plate-reader.json: what the outputs stand for. */
const classesSchema = z.object({ characters: z.string(), jurisdictions: z.array(z.string()) })

/** So sure must the network be of a country; below it is none. */
const MIN_COUNTRY_PROBABILITY = 0.9
/** Looks of some US state: which one, only its small writing tells (jurisdiction.ts). */
const SOME_STATE = 'US'

/** Outside America a plate with one line of text is at least so much wider than high; the network sees every plate at one shape. */
const LEAST_LONG_ASPECT = 2.4

/**
 * The country that a plate looks like; null for none, for a US state, and where it is not clear. `likely` are probabilities of
 * `jurisdictions`; the plate's shape in the picture decides too.
 */
export function countryOf(
  likely: ArrayLike<number>,
  jurisdictions: readonly string[],
  shape: { aspect: number; lines: number },
): Jurisdiction | null {
  if (shape.lines === 1 && shape.aspect < LEAST_LONG_ASPECT) return null
  for (const [index, code] of jurisdictions.entries()) {
    const confidence = likely[index] ?? 0
    if (confidence < MIN_COUNTRY_PROBABILITY) continue
    return code === '' || code === SOME_STATE ? null : { code, confidence: Math.min(1, confidence) }
  }
  return null
}

/** What two looks at one plate say together: the mean of each text's probability. */
export function together(one: readonly DecodedText[], other: readonly DecodedText[]): DecodedText[] {
  const sums = new Map<string, number>()
  for (const { text, probability } of [...one, ...other]) sums.set(text, (sums.get(text) ?? 0) + probability / 2)
  return likeliest(sums)
}

/** After the look `again` (0 the first). The corners of the first are the detector's, so that one is never enough for a plate. */
export function isWorthAnotherLook(texts: readonly DecodedText[], again: number): boolean {
  const [best] = texts
  if (best === undefined || best.text.length < WORTH_ANOTHER_LOOK.characters) return false
  if (best.probability < WORTH_ANOTHER_LOOK.probability) return false
  return again === 0 || best.probability < SURE_PROBABILITY
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

  /** One look at each plate, all in one run. */
  async function look(picture: Mat, plates: readonly Corners[]): Promise<(RegionLook & { corners: Corners })[]> {
    if (plates.length === 0) return []
    const bytes = SIZE.widthPx * SIZE.heightPx * 3
    const pixels = Buffer.alloc(bytes * plates.length)
    for (const [index, corners] of plates.entries()) {
      const plate = straightenedPlate(picture, corners, SIZE)
      try {
        plate.getData().copy(pixels, index * bytes)
      } finally {
        plate.release()
      }
    }
    const shape = [plates.length, SIZE.heightPx, SIZE.widthPx, 3]
    const [characters, countries, misses] = await network.run(pixels, shape)
    if (countries === undefined || misses === undefined) throw new Error('the reader gave too little')
    return plates.map((corners, index) => {
      const line = (n: number) => {
        const from = (index * LINES + n) * STEPS * PLATE_CLASSES
        return decodeTexts(
          { steps: STEPS, values: characters.values.subarray(from, from + STEPS * PLATE_CLASSES) },
          TEXTS,
        )
      }
      const part = ({ values }: { values: Float32Array }, width: number) =>
        values.subarray(index * width, (index + 1) * width)
      const [first, second] = [line(0), line(1)]
      const moved = movedCorners(corners, SIZE, part(misses, VALUES_PER_PLATE))
      const shape = { aspect: aspectOf(moved), lines: (second[0]?.text ?? '') === '' ? 1 : 2 }
      return {
        texts: joined(first, second),
        jurisdiction: countryOf(part(countries, classes.jurisdictions.length), classes.jurisdictions, shape),
        corners: moved,
      }
    })
  }

  return {
    version: 'candor-reader-1',
    async read(picture, regions) {
      const looks = await look(
        picture,
        regions.map(({ corners }) => corners),
      )
      // The detector saw the frame made smaller; with the corners that the reader sees, most plates are read better.
      for (let again = 0; again < MORE_LOOKS; again++) {
        const worth = looks.flatMap(({ texts }, place) => (isWorthAnotherLook(texts, again) ? [place] : []))
        const better = await look(
          picture,
          worth.map((place) => looks[place]?.corners as Corners),
        )
        for (const [n, place] of worth.entries()) {
          const one = looks[place]
          const other = better[n]
          if (one === undefined || other === undefined) continue
          // The first look is by the detector's corners alone; those after it agree with each other.
          looks[place] = again === 0 ? other : { ...other, texts: together(one.texts, other.texts) }
        }
      }
      return looks
    },
    confidences: (texts, region) => confidencesOf(calibration, texts, { score: region.confidence }),
    close: () => network.close(),
  }
}

/**
 * Reads a plate's line of text with PP-OCRv4's recogniser. All characters but A-Z and 0-9 count as "no character", so that a sticker,
 * a seal or a hyphen between two groups is left out, and other writing gives no plate.
 */
import { readFile } from 'node:fs/promises'
import { type CharacterRows, type DecodedText, decodeTexts, PLATE_ALPHABET, PLATE_CLASSES } from './ctc.ts'
import { cornersOf, grown, type TextBox } from './geometry.ts'
import { openNetwork } from './network.ts'
import { type Mat, straightened } from './opencv.ts'
import { confidenceOf } from './plausible.ts'
import type { PlateReader, RegionLook, TextRegion } from './stages.ts'

/** The network was made for lines of this height. */
const LINE_HEIGHT_PX = 48
const MIN_LINE_WIDTH_PX = 48
const MAX_LINE_WIDTH_PX = 480
/** Texts kept of each crop. */
const TEXTS = 8

/** How a line is cut out: parts of its height added on each side, and a stretch of its width. */
interface Cut {
  left: number
  right: number
  top: number
  bottom: number
  stretch: number
}

const FIRST_CUTS: readonly Cut[] = [
  { left: 0.1, right: 0.1, top: -0.08, bottom: -0.08, stretch: 1 },
  { left: 0.2, right: 0.2, top: 0.12, bottom: 0.12, stretch: 0.85 },
]
/** Cut when the first ones are not sure. */
const MORE_CUTS: readonly Cut[] = [
  { left: 0.1, right: 0.1, top: 0.15, bottom: 0, stretch: 1 },
  { left: 0.1, right: 0.1, top: 0, bottom: 0.15, stretch: 1 },
]
/** A text at least so likely needs no more cuts. */
const SURE = 0.9

/** Small letters that look like their capital; the others (l, i, b …) look like something else or like nothing on a plate. */
const SAME_WHEN_SMALL = new Set('COPSUVWXYZK')

function toInput(rgb: Buffer, count: number): Float32Array {
  const values = new Float32Array(count * 3)
  for (let channel = 0; channel < 3; channel++) {
    const offset = channel * count
    for (let i = 0, from = 2 - channel; i < count; i++, from += 3) values[offset + i] = (rgb[from] ?? 0) / 127.5 - 1
  }
  return values
}

/** Adds up what several cuts say; the probabilities are means over the cuts. */
export function agreed(readings: readonly (readonly DecodedText[])[]): DecodedText[] {
  const sums = new Map<string, number>()
  for (const texts of readings) {
    for (const { text, probability } of texts) sums.set(text, (sums.get(text) ?? 0) + probability / readings.length)
  }
  return [...sums]
    .map(([text, probability]) => ({ text, probability }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, TEXTS)
}

export async function openPpocrReader(
  modelPath: string,
  dictionaryPath: string,
  threads: number,
): Promise<PlateReader> {
  const dictionary = (await readFile(dictionaryPath, 'utf8')).split(/\r?\n/)
  const classOf = (character: string) => {
    const index = dictionary.indexOf(character)
    if (index < 0) throw new Error(`the dictionary lacks ${character}`)
    return index + 1
  }
  const classes = [...PLATE_ALPHABET].map((character) =>
    SAME_WHEN_SMALL.has(character) ? [classOf(character), classOf(character.toLowerCase())] : [classOf(character)],
  )
  const network = await openNetwork(modelPath, threads)

  async function rowsOf(line: Mat): Promise<CharacterRows> {
    const width = line.cols
    const [output] = await network.run(toInput(line.getData(), width * LINE_HEIGHT_PX), [1, 3, LINE_HEIGHT_PX, width])
    const steps = output.shape[1] ?? 0
    const wide = output.shape[2] ?? 0
    const values = new Float32Array(steps * PLATE_CLASSES)
    for (let step = 0; step < steps; step++) {
      let sum = 0
      for (let k = 0; k < classes.length; k++) {
        let probability = 0
        for (const index of classes[k] ?? []) probability += output.values[step * wide + index] ?? 0
        values[step * PLATE_CLASSES + k + 1] = probability
        sum += probability
      }
      values[step * PLATE_CLASSES] = Math.max(0, 1 - sum)
    }
    return { steps, values }
  }

  async function readCut(picture: Mat, box: TextBox, cut: Cut): Promise<DecodedText[]> {
    const wider = grown(box, cut)
    const wanted = Math.round((LINE_HEIGHT_PX * wider.widthPx * cut.stretch) / wider.heightPx)
    const width = Math.min(MAX_LINE_WIDTH_PX, Math.max(MIN_LINE_WIDTH_PX, wanted))
    const line = straightened(picture, cornersOf(wider), width, LINE_HEIGHT_PX)
    try {
      return decodeTexts(await rowsOf(line), TEXTS)
    } finally {
      line.release()
    }
  }

  return {
    version: 'pp-ocrv4-rec-mobile',
    async read(picture, regions) {
      const looks: RegionLook[] = []
      for (const region of regions)
        looks.push({ texts: await readRegion(picture, region), corners: null, jurisdiction: null })
      return looks
    },
    confidences: (texts, region) => texts.map(({ text, probability }) => confidenceOf(text, probability, region.text)),
    close: () => network.close(),
  }

  async function readRegion(picture: Mat, region: TextRegion): Promise<DecodedText[]> {
    const readings: DecodedText[][] = []
    for (const cut of FIRST_CUTS) readings.push(await readCut(picture, region.text, cut))
    const first = agreed(readings)
    const best = first[0]
    // Nothing that could be a plate: other writing, which is most of a street.
    if (best === undefined || best.text.length < 3 || best.probability >= SURE) return first
    for (const cut of MORE_CUTS) readings.push(await readCut(picture, region.text, cut))
    return agreed(readings)
  }
}

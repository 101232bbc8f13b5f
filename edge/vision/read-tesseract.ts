/** Reads a plate's line of text with Tesseract. Kept as a measure; `candor bench reading` shows how far it is behind. */
import { type DecodedText, PLATE_ALPHABET } from './ctc.ts'
import { cornersOf, grown } from './geometry.ts'
import { grey, type Mat, straightened, withMats } from './opencv.ts'
import { encodeGrey } from './picture.ts'
import { confidenceOf } from './plausible.ts'
import type { PlateReader, RegionLook, TextRegion } from './stages.ts'
import { openTesseract, type TextSymbol } from './tesseract.ts'

/** Tesseract was trained on capitals of about 30 px. */
const LINE_HEIGHT_PX = 60
const MAX_LINE_WIDTH_PX = 600
/** White around the line, px; Tesseract drops characters that touch the edge. */
const BORDER_PX = 12

export async function openTesseractReader(folder: string): Promise<PlateReader> {
  const tesseract = await openTesseract(folder, PLATE_ALPHABET)

  async function readRegion(picture: Mat, region: TextRegion): Promise<DecodedText[]> {
    const box = grown(region.text, { left: 0.1, right: 0.1, top: 0, bottom: 0 })
    const width = Math.min(MAX_LINE_WIDTH_PX, Math.round((LINE_HEIGHT_PX * box.widthPx) / box.heightPx))
    const pixels = withMats((keep) => {
      const line = keep(straightened(picture, cornersOf(box), width, LINE_HEIGHT_PX))
      return keep(grey(line)).getData()
    })
    return plateText(await tesseract.symbols(await encodeGrey(pixels, width, LINE_HEIGHT_PX, BORDER_PX)))
  }

  return {
    version: 'tesseract.js-7-eng-best-int',
    async read(picture, regions) {
      const looks: RegionLook[] = []
      for (const region of regions)
        looks.push({ texts: await readRegion(picture, region), corners: null, jurisdiction: null })
      return looks
    },
    confidences: (texts, region) => texts.map(({ text, probability }) => confidenceOf(text, probability, region.text)),
    close: () => tesseract.close(),
  }
}

/** Text of all symbols; its probability is the product of theirs, since the page's own confidence is 0 with a whitelist. */
function plateText(all: readonly TextSymbol[]): DecodedText[] {
  const symbols = all.filter((symbol) => PLATE_ALPHABET.includes(symbol.text))
  if (symbols.length === 0) return []
  return [
    {
      text: symbols.map((symbol) => symbol.text).join(''),
      probability: symbols.reduce((product, symbol) => product * symbol.confidence, 1),
    },
  ]
}

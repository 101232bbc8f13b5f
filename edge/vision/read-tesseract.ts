/**
 * Reads a plate's line of text with Tesseract's LSTM network, offline. The only importer of tesseract.js. Kept as a measure and for
 * other scripts; `candor bench reading` shows how far it is behind.
 */
import { type Block, createWorker, OEM, PSM } from 'tesseract.js'
import { type DecodedText, PLATE_ALPHABET } from './ctc.ts'
import { cornersOf, grown } from './geometry.ts'
import { grey, type Mat, straightened } from './opencv.ts'
import { encodeGrey } from './picture.ts'
import { confidenceOf } from './plausible.ts'
import type { PlateReader, TextRegion } from './stages.ts'

/** Tesseract was trained on capitals of about 30 px. */
const LINE_HEIGHT_PX = 60
const MAX_LINE_WIDTH_PX = 600
/** White around the line, px; Tesseract drops characters that touch the edge. */
const BORDER_PX = 12

export async function openTesseractReader(folder: string): Promise<PlateReader> {
  const worker = await createWorker(
    'eng',
    OEM.LSTM_ONLY,
    { langPath: folder, gzip: true, cacheMethod: 'none' },
    { load_system_dawg: '0', load_freq_dawg: '0' },
  )
  await worker.setParameters({
    tessedit_char_whitelist: PLATE_ALPHABET,
    tessedit_pageseg_mode: PSM.SINGLE_LINE,
    // The pictures say none, and each would bring a warning; this is the value it would then take.
    user_defined_dpi: '70',
  })
  return {
    version: 'tesseract.js-7-eng-best-int',
    async read(picture, regions) {
      const texts: DecodedText[][] = []
      for (const region of regions) texts.push(await readRegion(picture, region))
      return texts
    },
    confidence: ({ text, probability }, region) => confidenceOf(text, probability, region.text),
    async close() {
      await worker.terminate()
    },
  }

  async function readRegion(picture: Mat, region: TextRegion): Promise<DecodedText[]> {
    const box = grown(region.text, { left: 0.1, right: 0.1, top: 0, bottom: 0 })
    const width = Math.min(MAX_LINE_WIDTH_PX, Math.round((LINE_HEIGHT_PX * box.widthPx) / box.heightPx))
    const line = straightened(picture, cornersOf(box), width, LINE_HEIGHT_PX)
    let png: Buffer
    try {
      const light = grey(line)
      try {
        png = await encodeGrey(light.getData(), width, LINE_HEIGHT_PX, BORDER_PX)
      } finally {
        light.release()
      }
    } finally {
      line.release()
    }
    const { data } = await worker.recognize(png, {}, { text: true, blocks: true })
    return plateText(data.blocks ?? [])
  }
}

/** Text of all symbols; its probability is the product of theirs, since the page's own confidence is 0 with a whitelist. */
function plateText(blocks: readonly Block[]): DecodedText[] {
  const symbols = blocks
    .flatMap((block) => block.paragraphs.flatMap((paragraph) => paragraph.lines.flatMap((line) => line.words)))
    .flatMap((word) => word.symbols)
    .filter((symbol) => PLATE_ALPHABET.includes(symbol.text))
  if (symbols.length === 0) return []
  return [
    {
      text: symbols.map((symbol) => symbol.text).join(''),
      probability: symbols.reduce((product, symbol) => product * (symbol.confidence / 100), 1),
    },
  ]
}

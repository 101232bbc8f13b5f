/** Tesseract's LSTM network for English, offline. The only importer of tesseract.js; its worker is a thread of the vision process. */
import { type Block, createWorker, OEM, PSM } from 'tesseract.js'

export interface TextSymbol {
  text: string
  /** 0-1. */
  confidence: number
}

export interface Tesseract {
  /** One line of the allowed characters. */
  symbols(png: Buffer): Promise<TextSymbol[]>
  /** All writing, wherever it stands. */
  text(png: Buffer, layout: 'line' | 'scattered'): Promise<string>
  close(): Promise<void>
}

/** `only` restricts the characters, without a dictionary's words; null reads any writing, helped by them. */
export async function openTesseract(folder: string, only: string | null): Promise<Tesseract> {
  const words = only === null ? '1' : '0'
  const worker = await createWorker(
    'eng',
    OEM.LSTM_ONLY,
    { langPath: folder, gzip: true, cacheMethod: 'none' },
    { load_system_dawg: words, load_freq_dawg: words },
  )
  await worker.setParameters({
    ...(only !== null && { tessedit_char_whitelist: only }),
    tessedit_pageseg_mode: PSM.SINGLE_LINE,
    // The pictures say none, and each would bring a warning; this is the value it would then take.
    user_defined_dpi: '70',
    // Remarks on every line are no log.
    debug_file: '/dev/null',
  })
  return {
    async symbols(png) {
      const { data } = await worker.recognize(png, {}, { text: true, blocks: true })
      return symbolsOf(data.blocks ?? [])
    },
    async text(png, layout) {
      const mode = layout === 'line' ? PSM.SINGLE_LINE : PSM.SPARSE_TEXT
      await worker.setParameters({ tessedit_pageseg_mode: mode })
      const { data } = await worker.recognize(png)
      return data.text.replaceAll(/\s+/g, ' ').trim()
    },
    async close() {
      await worker.terminate()
    },
  }
}

function symbolsOf(blocks: readonly Block[]): TextSymbol[] {
  return blocks
    .flatMap((block) => block.paragraphs.flatMap((paragraph) => paragraph.lines.flatMap((line) => line.words)))
    .flatMap((word) => word.symbols)
    .map(({ text, confidence }) => ({ text, confidence: confidence / 100 }))
}

/** Reads a straightened line of text with PP-OCRv4's recogniser, all characters but A-Z and 0-9 masked away. */
import { readFile } from 'node:fs/promises'
import { type CharacterRows, PLATE_ALPHABET, PLATE_CLASSES } from './ctc.ts'
import { type Network, openNetwork } from './network.ts'
import { type Mat, withMats } from './opencv.ts'

/** The network was made for lines of this height. */
export const LINE_HEIGHT_PX = 48
export const MIN_LINE_WIDTH_PX = 48
export const MAX_LINE_WIDTH_PX = 480

export interface LineRows extends CharacterRows {
  /** Mean over the steps of what went to characters that no plate has, 0-1. */
  foreign: number
}

export interface LineReader {
  /** `line`: RGB, LINE_HEIGHT_PX high. */
  read(line: Mat): Promise<LineRows>
  close(): Promise<void>
}

export async function openLineReader(modelPath: string, dictionaryPath: string, threads: number): Promise<LineReader> {
  const dictionary = (await readFile(dictionaryPath, 'utf8')).split(/\r?\n/)
  const classes = [...PLATE_ALPHABET].map((character) => dictionary.indexOf(character) + 1)
  if (classes.includes(0)) throw new Error('the dictionary lacks a character of A-Z, 0-9')
  const lower = [...PLATE_ALPHABET.toLowerCase()].map((c, i) => (i < 10 ? 0 : dictionary.indexOf(c) + 1))
  const network: Network = await openNetwork(modelPath, threads)
  return {
    async read(line) {
      const width = line.cols
      const count = width * LINE_HEIGHT_PX
      const rgb = line.getData()
      const values = new Float32Array(count * 3)
      for (let channel = 0; channel < 3; channel++) {
        const offset = channel * count
        for (let i = 0, from = 2 - channel; i < count; i++, from += 3) values[offset + i] = (rgb[from] ?? 0) / 127.5 - 1
      }
      const output = await network.run(values, [1, 3, LINE_HEIGHT_PX, width])
      const steps = output.shape[1] ?? 0
      const wide = output.shape[2] ?? 0
      const rows = new Float32Array(steps * PLATE_CLASSES)
      let foreign = 0
      for (let step = 0; step < steps; step++) {
        const from = step * wide
        const to = step * PLATE_CLASSES
        let sum = 0
        rows[to] = output.values[from] ?? 0
        sum += rows[to] ?? 0
        for (let k = 0; k < classes.length; k++) {
          let p = output.values[from + (classes[k] ?? 0)] ?? 0
          const small = lower[k] ?? 0
          if (small > 0) p += output.values[from + small] ?? 0
          rows[to + k + 1] = p
          sum += p
        }
        foreign += Math.max(0, 1 - sum)
      }
      return { steps, values: rows, foreign: steps === 0 ? 1 : foreign / steps }
    },
    close: () => network.close(),
  }
}

export { withMats }

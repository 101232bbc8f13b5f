/** The map of an image's blocks that hold something, as bmaptool writes it (format 2.0, an XML of one shape). Read by write.ts. */
import { AppError } from '../../shared/errors.ts'

/** The map of a 2 GB image has some hundred ranges; bytes of the file. */
export const MAX_BLOCK_MAP_BYTES = 4 * 1024 * 1024

export interface BlockRange {
  /** Bytes from the image's beginning. */
  start: number
  /** The first byte after it. */
  end: number
  sha256: string
}

export interface BlockMap {
  imageBytes: number
  /** Of all ranges together. */
  mappedBytes: number
  ranges: BlockRange[]
}

/** Throws `bad_input`. */
export function parseBlockMap(text: string): BlockMap {
  const wrong = (problem: string) => new AppError('bad_input', `the image's map (.bmap): ${problem}`)
  if (text.length > MAX_BLOCK_MAP_BYTES) throw wrong(`larger than ${MAX_BLOCK_MAP_BYTES} bytes`)
  const number = (name: string) => {
    const found = new RegExp(`<${name}>\\s*(\\d{1,15})\\s*</${name}>`).exec(text)
    if (found === null) throw wrong(`no ${name}`)
    return Number(found[1])
  }
  if (!/<ChecksumType>\s*sha256\s*<\/ChecksumType>/.test(text)) throw wrong('its sums are not SHA-256')
  const imageBytes = number('ImageSize')
  const blockBytes = number('BlockSize')
  if (blockBytes < 512 || blockBytes > 1024 ** 2) throw wrong(`blocks of ${blockBytes} bytes`)
  const ranges: BlockRange[] = []
  for (const [, sha256 = '', first, last] of text.matchAll(
    /<Range chksum="([0-9a-f]{64})">\s*(\d{1,12})(?:-(\d{1,12}))?\s*<\/Range>/g,
  )) {
    const start = Number(first) * blockBytes
    const end = Math.min(imageBytes, (Number(last ?? first) + 1) * blockBytes)
    if (start < (ranges.at(-1)?.end ?? 0) || end <= start) throw wrong('ranges that are not in order')
    ranges.push({ start, end, sha256 })
  }
  if (ranges.length === 0) throw wrong('no ranges')
  if (ranges.length !== (text.match(/<Range\b/g) ?? []).length) throw wrong('a range that is not understood')
  return { imageBytes, mappedBytes: ranges.reduce((sum, { start, end }) => sum + end - start, 0), ranges }
}

/** Writes an image's mapped blocks to a card or file, and reads them back. Used by put-image.ts. */
import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../shared/errors.ts'
import type { BlockMap, BlockRange } from './block-map.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

/** The image as it comes out of its compression goes by; what the map names is written, and its sums checked before that counts. */
export async function writeMapped(
  image: AsyncIterable<Uint8Array>,
  map: BlockMap,
  target: FileHandle,
  onWritten: (bytes: number) => void,
): Promise<void> {
  let at = 0
  let next = 0
  let written = 0
  let hash = createHash('sha256')
  for await (const chunk of image) {
    let from = 0
    while (from < chunk.length) {
      const range = map.ranges[next]
      if (range === undefined) break
      const position = at + from
      if (position < range.start) {
        from = Math.min(chunk.length, from + range.start - position)
        continue
      }
      const part = chunk.subarray(from, Math.min(chunk.length, from + range.end - position))
      hash.update(part)
      await writeAll(target, part, position)
      from += part.length
      written += part.length
      onWritten(written)
      if (position + part.length === range.end) {
        checkRange(hash, range, 'the image is damaged')
        hash = createHash('sha256')
        next++
      }
    }
    at += chunk.length
  }
  if (at !== map.imageBytes || next !== map.ranges.length)
    throw new AppError('integrity', `the image has ${at} bytes, and its map is of one with ${map.imageBytes}`)
  await target.sync()
}

export async function writeAll(target: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await target.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

function checkRange(hash: Hash, { start, end, sha256 }: BlockRange, problem: string): void {
  if (hash.digest('hex') !== sha256)
    throw new AppError('integrity', `${problem}: bytes ${start} to ${end} are not what the map says`)
}

/** Throws `integrity` for a card that does not give back what was written to it. */
export async function readBack(target: FileHandle, map: BlockMap, onRead: (bytes: number) => void): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  let read = 0
  for (const range of map.ranges) {
    const hash = createHash('sha256')
    for (let at = range.start; at < range.end; ) {
      const { bytesRead } = await target.read(chunk, 0, Math.min(CHUNK_BYTES, range.end - at), at)
      if (bytesRead === 0) throw new AppError('integrity', `the card ends at ${at} bytes`)
      hash.update(chunk.subarray(0, bytesRead))
      at += bytesRead
      read += bytesRead
      onRead(read)
    }
    checkRange(hash, range, 'the card does not hold what was written to it; it may be worn out or a forgery')
  }
}

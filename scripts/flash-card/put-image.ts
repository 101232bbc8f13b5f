/**
 * An image onto a card that may have been a unit's: what the image's map names is written, what of the old unit could still be started or
 * opened is written over with zeros, and both are read back. Not every reader can discard what a card holds. Used by flash.ts.
 */
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../shared/errors.ts'
import type { BlockMap } from './block-map.ts'
import { type Partition, partitionNamed, partitionsOf } from './partitions.ts'
import { readBack, writeAll, writeMapped } from './write.ts'

const MIB = 1024 * 1024
/** Of a slot without an image: the superblock by which a boot loader or a kernel would know a file system, bytes. */
export const SLOT_HEAD_BYTES = MIB
/** Where the old data partition began: a LUKS2 header with all its key slots has 16 MiB, and without it the rest is noise. */
export const DATA_HEAD_BYTES = 32 * MIB
/** At the end of a disk: the copy of the old partition table, in which the old data partition stands. */
export const DISK_TAIL_BYTES = MIB

export interface ByteRange {
  start: number
  /** The first byte after it. */
  end: number
}

/**
 * What an old card could hold that the image does not write over, in order: its state of the slots, by whose number the old one would be
 * started; the other slot; the head of its data partition, and the table's copy that names that. Throws `bad_input` for an image without these
 * partitions.
 */
export function leftOf(partitions: readonly Partition[], map: BlockMap, diskBytes: number): ByteRange[] {
  const { start, end } = partitionNamed(partitions, 'bootstate')
  const other = partitionNamed(partitions, 'root-b')
  const dataStart = Math.max(...partitions.map((one) => one.end))
  const ranges = [
    { start, end },
    { start: other.start, end: Math.min(other.end, other.start + SLOT_HEAD_BYTES) },
    { start: dataStart, end: Math.min(diskBytes, dataStart + DATA_HEAD_BYTES) },
    { start: Math.max(dataStart + DATA_HEAD_BYTES, diskBytes - DISK_TAIL_BYTES), end: diskBytes },
  ]
  return ranges.flatMap((range) => without(range, map.ranges))
}

/** `ranges` in order. */
function without(whole: ByteRange, ranges: readonly ByteRange[]): ByteRange[] {
  const left: ByteRange[] = []
  let { start } = whole
  for (const range of ranges) {
    if (range.end <= start) continue
    if (range.start >= whole.end) break
    if (range.start > start) left.push({ start, end: range.start })
    start = range.end
  }
  if (start < whole.end) left.push({ start, end: whole.end })
  return left
}

async function inPieces({ start, end }: ByteRange, use: (bytes: number, at: number) => Promise<void>): Promise<void> {
  for (let at = start; at < end; at += MIB) await use(Math.min(MIB, end - at), at)
}

const ZEROS = Buffer.alloc(MIB)

/** Throws `integrity` for a card that still gives back what it held. */
async function readZeros(card: FileHandle, range: ByteRange): Promise<void> {
  const piece = Buffer.alloc(MIB)
  await inPieces(range, async (bytes, at) => {
    for (let done = 0; done < bytes; ) {
      const { bytesRead } = await card.read(piece, done, bytes - done, at + done)
      if (bytesRead === 0) throw new AppError('integrity', `the card ends at ${at + done} bytes`)
      done += bytesRead
    }
    if (!piece.subarray(0, bytes).equals(ZEROS.subarray(0, bytes)))
      throw new AppError('integrity', `the card still holds what it held: bytes ${at} to ${at + bytes} are not zero`, {
        hint: 'it may be worn out or a forgery; take another card',
      })
  })
}

export interface PutDeps {
  /** Of the card, or of the file that stands for one. */
  diskBytes: number
  onWritten(bytes: number): void
  onRead(bytes: number): void
  /** All is written; from here on the card itself is to be asked, and not the memory. */
  onAllWritten(clearedBytes: number): Promise<void>
}

/** Throws `integrity` for an image that is not what the map says, and for a card that does not hold what it was given. */
export async function putImage(
  image: AsyncIterable<Uint8Array>,
  map: BlockMap,
  card: FileHandle,
  { diskBytes, onWritten, onRead, onAllWritten }: PutDeps,
): Promise<void> {
  await writeMapped(image, map, card, onWritten)
  const left = leftOf(await partitionsOf(card), map, diskBytes)
  for (const range of left) await inPieces(range, (bytes, at) => writeAll(card, ZEROS.subarray(0, bytes), at))
  await card.sync()
  await onAllWritten(left.reduce((sum, { start, end }) => sum + end - start, 0))
  await readBack(card, map, onRead)
  for (const range of left) await readZeros(card, range)
}

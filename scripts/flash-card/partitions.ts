/** The partitions of a card, from its GUID partition table [UEFI 2.10, 5.3]. Used by flash.ts and put-image.ts. */
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../shared/errors.ts'

const SECTOR_BYTES = 512
const ENTRY_BYTES = 128
const MAX_ENTRIES = 128
const NAME_FROM = 56

export interface Partition {
  name: string
  /** Bytes from the disk's beginning. */
  start: number
  /** The first byte after it. */
  end: number
}

/** In the table's order. Throws `bad_input` when there is no table. */
export async function partitionsOf(disk: Pick<FileHandle, 'read'>): Promise<Partition[]> {
  const table = Buffer.alloc(SECTOR_BYTES * 2 + ENTRY_BYTES * MAX_ENTRIES)
  await disk.read(table, 0, table.length, 0)
  if (table.toString('latin1', SECTOR_BYTES, SECTOR_BYTES + 8) !== 'EFI PART')
    throw new AppError('bad_input', 'there is no partition table')
  const partitions: Partition[] = []
  for (let at = SECTOR_BYTES * 2; at < table.length; at += ENTRY_BYTES) {
    const first = Number(table.readBigUInt64LE(at + 32))
    if (first === 0) continue
    const last = Number(table.readBigUInt64LE(at + 40))
    const name = table.toString('utf16le', at + NAME_FROM, at + ENTRY_BYTES).replace(/\0.*$/s, '')
    partitions.push({ name, start: first * SECTOR_BYTES, end: (last + 1) * SECTOR_BYTES })
  }
  return partitions
}

/** Throws `bad_input` when there is no such partition. */
export function partitionNamed(partitions: readonly Partition[], name: string): Partition {
  const found = partitions.find((one) => one.name === name)
  if (found === undefined) throw new AppError('bad_input', `there is no partition ${name}`)
  return found
}

/** Bytes from the disk's beginning. Throws `bad_input` when there is no such partition. */
export const partitionOffset = async (disk: Pick<FileHandle, 'read'>, name: string): Promise<number> =>
  partitionNamed(await partitionsOf(disk), name).start

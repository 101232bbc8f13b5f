/** Where the FAT partition of a card begins, from its GUID partition table [UEFI 2.10, 5.3]. Used by flash.ts. */
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../shared/errors.ts'

const SECTOR_BYTES = 512
const ENTRY_BYTES = 128
const MAX_ENTRIES = 128
const NAME_FROM = 56

/** Bytes from the disk's beginning. Throws `bad_input` when there is no such partition. */
export async function partitionOffset(disk: Pick<FileHandle, 'read'>, name: string): Promise<number> {
  const table = Buffer.alloc(SECTOR_BYTES * 2 + ENTRY_BYTES * MAX_ENTRIES)
  await disk.read(table, 0, table.length, 0)
  if (table.toString('latin1', SECTOR_BYTES, SECTOR_BYTES + 8) !== 'EFI PART')
    throw new AppError('bad_input', 'there is no partition table')
  for (let at = SECTOR_BYTES * 2; at < table.length; at += ENTRY_BYTES) {
    const shown = table.toString('utf16le', at + NAME_FROM, at + ENTRY_BYTES).replace(/\0.*$/s, '')
    if (shown === name) return Number(table.readBigUInt64LE(at + 32)) * SECTOR_BYTES
  }
  throw new AppError('bad_input', `there is no partition ${name}`)
}

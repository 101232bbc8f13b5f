/** Disk space held back for the outbox, so that rows can still be dropped and removed when something else fills the disk. */
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { AppError } from '../../shared/errors.ts'

/** SQLite must write to delete: one run of the write-ahead log between two checkpoints fits in this. */
export const RESERVE_BYTES = 2 * 1024 * 1024

/** Best effort: without room for it there is nothing to reserve. */
export function makeReserve(file: string): void {
  try {
    if (statSync(file, { throwIfNoEntry: false })?.size === RESERVE_BYTES) return
    const handle = openSync(file, 'w', 0o600)
    try {
      // Written, not sparse: a hole would reserve nothing.
      if (writeSync(handle, Buffer.alloc(RESERVE_BYTES, 0x63)) !== RESERVE_BYTES)
        throw new AppError('storage_full', file)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  } catch {
    rmSync(file, { force: true })
  }
}

/** Gives the space back to the file system. */
export function useReserve(file: string): void {
  rmSync(file, { force: true })
}

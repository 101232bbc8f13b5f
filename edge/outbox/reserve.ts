/**
 * Disk space held back for the outbox: so that rows can still be dropped and removed when something else fills the disk, and so that a
 * camera whose disk is full can start. Used by outbox.ts, and by main.ts around a start and a stop.
 */
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { toStorageError } from '../../shared/sqlite.ts'

/** SQLite must write to delete: one run of the write-ahead log between two checkpoints fits in this. */
export const RESERVE_BYTES = 2 * 1024 * 1024
/** Left free beside it while the camera runs: the log must grow by what comes between two checkpoints. */
export const LOG_ROOM_BYTES = 512 * 1024
const STEP_BYTES = 64 * 1024

/** The reserve's file beside the outbox's. */
export const reserveOf = (outboxFile: string): string => `${outboxFile}.reserve`

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

const freeBeside = (file: string): number => {
  const { bavail, bsize } = statfsSync(dirname(file))
  return bavail * bsize
}

/** As much of it as there is room for beside `leaveBytes`, what is there already included: a part is enough to start by. */
export function makeReserve(file: string, leaveBytes = 0): void {
  try {
    let held = sizeOf(file)
    const mostBytes = Math.min(RESERVE_BYTES, held + freeBeside(file) - leaveBytes)
    if (held >= mostBytes) return
    const handle = openSync(file, 'a', 0o600)
    try {
      // Written, not sparse: a hole would reserve nothing.
      while (held < mostBytes) held += writeSync(handle, Buffer.alloc(Math.min(STEP_BYTES, mostBytes - held), 0x63))
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  } catch {
    // The disk is full: what was written before stays.
    if (sizeOf(file) === 0) rmSync(file, { force: true })
  }
}

/** Gives the space back to the file system. */
export function useReserve(file: string): void {
  rmSync(file, { force: true })
}

/** Gives the space back where less than that is free. */
export function useReserveIfFull(file: string): void {
  if (freeBeside(file) < RESERVE_BYTES) useReserve(file)
}

/**
 * What `open` gives. An orderly stop takes SQLite's `-wal` and `-shm` away, and on a full disk they cannot be made again: then the
 * reserve makes room, and it is tried once more.
 */
export function openWithReserve<T>(file: string, open: () => T): T {
  try {
    return open()
  } catch (thrown) {
    if (toStorageError(thrown).code !== 'storage_full') throw thrown
    useReserve(file)
    return open()
  }
}

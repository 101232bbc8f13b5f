/**
 * The database as it is at one moment, read while the cloud runs; used by backup. Nothing is copied in the clear: the bytes come from the
 * database file itself.
 */
import { statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { openDatabase, toStorageError } from '../../shared/sqlite.ts'

export interface Snapshot {
  readonly bytes: number
  /** The file, in parts. */
  read(onProgress: (doneBytes: number) => void): AsyncGenerator<Uint8Array>
  close(): Promise<void>
}

const READ_BYTES = 1024 * 1024
/** Writers come between emptying the log and the lock; milliseconds between tries. */
const TRIES = 50
const PAUSE_MS = 20

/**
 * Holds the file at this moment: while a reader began with an empty write-ahead log, nothing is moved from the log into the database file
 * [sqlite.org/walformat.html, 2.3.1, WAL_READ_LOCK(0)]; commits go on, into the log. The caller closes it. Throws `unavailable` while others
 * read for long.
 */
export async function takeSnapshot(databaseFile: string, clock: Pick<Clock, 'sleep'>): Promise<Snapshot> {
  const writer = openDatabase(databaseFile)
  const reader = openDatabase(databaseFile, { readonly: true })
  let file: FileHandle | null = null
  try {
    for (let attempt = 0; !begin(); attempt += 1) {
      if (attempt === TRIES)
        throw new AppError('unavailable', 'a reader holds the write-ahead log', { hint: 'try again' })
      await clock.sleep(PAUSE_MS)
    }
    file = await open(databaseFile, 'r')
  } catch (thrown) {
    reader.close()
    writer.close()
    throw toStorageError(thrown, databaseFile)
  }
  const handle = file
  const bytes = (await handle.stat()).size

  function begin(): boolean {
    writer.pragma('wal_checkpoint(TRUNCATE)')
    writer.exec('BEGIN IMMEDIATE')
    try {
      if (statSync(`${databaseFile}-wal`).size > 0) return false
      reader.exec('BEGIN')
      // The snapshot is taken at the first read, not at BEGIN.
      reader.prepare('SELECT count(*) FROM sqlite_master').get()
      return true
    } finally {
      writer.exec('ROLLBACK')
    }
  }

  return {
    bytes,
    async *read(onProgress) {
      for (let at = 0; at < bytes; ) {
        const part = Buffer.alloc(Math.min(READ_BYTES, bytes - at))
        const { bytesRead } = await handle.read(part, 0, part.length, at)
        if (bytesRead === 0) return
        at += bytesRead
        onProgress(at)
        yield part.subarray(0, bytesRead)
      }
    },
    async close() {
      reader.close()
      writer.close()
      // Last: closing a handle of the file drops this process's locks on it [fcntl(2)].
      await handle.close()
    },
  }
}

/**
 * One writer at a time, across processes: the running cloud and a command on the host (`candor account unlock`) append to the
 * same log. The lock is a write transaction on an empty SQLite file, which the operating system releases when its holder dies.
 * Whoever wants it takes a second lock first, the place at the head of the queue, and gives that back once it has the first: a
 * busy cloud that wants the lock again at once finds that place taken by whoever waits, and cannot starve it.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { openDatabase, type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'

/** Longest wait for the other process, milliseconds: it holds the lock for a few flushes to disk. */
export const LOCK_TIMEOUT_MS = 5_000
const RETRY_MS = 5

export interface AuditLock {
  /** Runs `work` while no other process appends. Throws `unavailable` after LOCK_TIMEOUT_MS. */
  exclusively<T>(work: () => Promise<T>): Promise<T>
  close(): void
}

export function openAuditLock(path: string, clock: Clock): AuditLock {
  const lock = openLockFile(path)
  const queue = openLockFile(`${path}.queue`)

  async function take(database: SqliteDatabase, deadlineMs: number): Promise<void> {
    for (;;) {
      try {
        database.exec('BEGIN IMMEDIATE')
        return
      } catch (thrown) {
        const error = toStorageError(thrown, path)
        if (error.code !== 'unavailable') throw error
        if (clock.monotonicMs() >= deadlineMs) {
          throw new AppError('unavailable', 'another process holds the audit', { cause: thrown })
        }
      }
      await clock.sleep(RETRY_MS)
    }
  }

  return {
    async exclusively(work) {
      const deadlineMs = clock.monotonicMs() + LOCK_TIMEOUT_MS
      await take(queue, deadlineMs)
      try {
        await take(lock, deadlineMs)
      } finally {
        queue.exec('ROLLBACK')
      }
      try {
        return await work()
      } finally {
        lock.exec('ROLLBACK')
      }
    },
    close() {
      lock.close()
      queue.close()
    },
  }
}

function openLockFile(path: string): SqliteDatabase {
  const database = openDatabase(path)
  // Waiting inside SQLite would stall the event loop.
  database.pragma('busy_timeout = 0')
  return database
}

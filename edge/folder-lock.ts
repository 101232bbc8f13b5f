/** One camera process a data folder: who holds its lock, and whether somebody does. Called by main.ts and the doctor. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '../shared/errors.ts'
import { openDatabase, type SqliteDatabase, toStorageError } from '../shared/sqlite.ts'

const LOCK_FILE = 'lock.db'

/**
 * Two processes would take the broker's session from each other, and each count an outbox that the other changes. A write transaction that is
 * never committed; the system lets go of it however the process ends. Throws `conflict`.
 */
export function lockFolder(folder: string): SqliteDatabase {
  const lock = openDatabase(join(folder, LOCK_FILE))
  try {
    lock.exec('BEGIN IMMEDIATE')
    return lock
  } catch (thrown) {
    lock.close()
    if (toStorageError(thrown).code !== 'unavailable') throw toStorageError(thrown, folder)
    throw new AppError('conflict', `another camera process works in ${folder}`, {
      hint: 'end it (`systemctl status candor-edge`), or give this one a dataFolder of its own',
    })
  }
}

/** Does a camera process work in this folder? false also where this process may not look. */
export function isFolderLocked(folder: string): boolean {
  const file = join(folder, LOCK_FILE)
  if (!existsSync(file)) return false
  try {
    const lock = openDatabase(file)
    try {
      lock.pragma('busy_timeout = 0')
      lock.exec('BEGIN IMMEDIATE')
      lock.exec('ROLLBACK')
      return false
    } finally {
      lock.close()
    }
  } catch (thrown) {
    return toStorageError(thrown).code === 'unavailable'
  }
}

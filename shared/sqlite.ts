/** The one place that opens SQLite; camera and cloud get the same durability and privacy settings. */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { AppError, systemCode } from './errors.ts'

export type SqliteDatabase = Database.Database
export type SqliteStatement = Database.Statement

/** Waiting for another connection's write lock, milliseconds; longer is `unavailable`. */
export const BUSY_TIMEOUT_MS = 5_000
/** The write-ahead log is cut back to this many bytes after a checkpoint. */
export const WAL_SIZE_LIMIT_BYTES = 16 * 1024 * 1024

export interface OpenOptions {
  readonly?: boolean
  /** Hard ceiling on the file's size, bytes; SQLITE_FULL (`storage_full`) above it. null: the disk decides. */
  maxBytes?: number | null
}

/**
 * Opens `path` (or ':memory:') in WAL mode with synchronous FULL: a committed row survives a power cut. better-sqlite3 is
 * built with SQLITE_DEFAULT_WAL_SYNCHRONOUS=1, so FULL must be set by hand. Deleted bytes are overwritten (secure_delete);
 * the `-wal` file keeps them until `wal_checkpoint(TRUNCATE)`, which retention does.
 */
export function openDatabase(path: string, options: OpenOptions = {}): SqliteDatabase {
  let database: SqliteDatabase
  try {
    database = new Database(path, { readonly: options.readonly ?? false, timeout: BUSY_TIMEOUT_MS })
  } catch (thrown) {
    throw toOpenError(thrown, path)
  }
  try {
    if (options.readonly !== true) {
      database.pragma('journal_mode = WAL')
      database.pragma('synchronous = FULL')
      database.pragma('secure_delete = ON')
      database.pragma(`journal_size_limit = ${WAL_SIZE_LIMIT_BYTES}`)
      if (options.maxBytes != null) {
        const pageBytes = Number(database.pragma('page_size', { simple: true }))
        database.pragma(`max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageBytes))}`)
      }
    }
    database.pragma('foreign_keys = ON')
    database.pragma('temp_store = MEMORY')
    return database
  } catch (thrown) {
    database.close()
    throw toOpenError(thrown, path)
  }
}

/** What finds no room looks like a broken disk (SQLITE_IOERR_SHMSIZE), or like a folder that is not there (SQLITE_CANTOPEN). */
function toOpenError(thrown: unknown, path: string): AppError {
  const code = systemCode(thrown) ?? ''
  const isLikely = code === 'SQLITE_CANTOPEN' || code.startsWith('SQLITE_IOERR')
  return isLikely && isFull(dirname(path)) ? noSpace(path, thrown) : toStorageError(thrown, path)
}

/** No block or no file more fits; false where that cannot be told. */
function isFull(folder: string): boolean {
  try {
    const { bavail, files, ffree } = statfsSync(folder)
    // Some file systems count no files.
    return bavail === 0 || (files > 0 && ffree === 0)
  } catch {
    return false
  }
}

function noSpace(path: string | null, cause: unknown): AppError {
  return new AppError('storage_full', `no space left for the database${path === null ? '' : ` (${path})`}`, {
    hint: 'free disk space or raise the budget in the configuration',
    cause,
  })
}

/** Of SQLITE_IOERR: those of a write, and that the log's index, which a clean close removes, cannot be made again or grow. */
const WRITE_FAULTS: ReadonlySet<string> = new Set([
  'SQLITE_IOERR_WRITE',
  'SQLITE_IOERR_FSYNC',
  'SQLITE_IOERR_SHMOPEN',
  'SQLITE_IOERR_SHMSIZE',
])

/** A SQLite error as AppError, by its code [sqlite.org/rescode.html]. */
export function toStorageError(thrown: unknown, path: string | null = null): AppError {
  if (thrown instanceof AppError) return thrown
  const code = systemCode(thrown) ?? ''
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const where = path === null ? '' : ` (${path})`
  if (code.startsWith('SQLITE_FULL') || code === 'ENOSPC') return noSpace(path, thrown)
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new AppError('unavailable', `database is busy${where}`, { cause: thrown })
  }
  if (WRITE_FAULTS.has(code)) {
    return new AppError('storage_full', `the disk refused a write${where}: ${message}`, {
      hint: 'free disk space; where there is some, the disk may be broken or read-only',
      cause: thrown,
    })
  }
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) {
    return new AppError('integrity', `database is damaged${where}: ${message}`, {
      hint: 'restore the last backup with `candor restore`',
      cause: thrown,
    })
  }
  if (code === 'SQLITE_CANTOPEN' || message.includes('directory does not exist')) {
    return new AppError('configuration', `cannot open the database${where}: ${message}`, {
      hint: 'check that the folder exists and may be written',
      cause: thrown,
    })
  }
  return new AppError('internal', `database error${where}: ${message}`, { cause: thrown })
}

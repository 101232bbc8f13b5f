/** The one place that opens SQLite; camera and cloud get the same durability and privacy settings. */
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
    throw toStorageError(thrown, path)
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
    throw toStorageError(thrown, path)
  }
}

/** A SQLite error as AppError, by its code [sqlite.org/rescode.html]. */
export function toStorageError(thrown: unknown, path: string | null = null): AppError {
  if (thrown instanceof AppError) return thrown
  const code = systemCode(thrown) ?? ''
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  const where = path === null ? '' : ` (${path})`
  if (code.startsWith('SQLITE_FULL') || code === 'ENOSPC') {
    return new AppError('storage_full', `no space left for the database${where}`, {
      hint: 'free disk space or raise the budget in the configuration',
      cause: thrown,
    })
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new AppError('unavailable', `database is busy${where}`, { cause: thrown })
  }
  if (code === 'SQLITE_IOERR_WRITE' || code === 'SQLITE_IOERR_FSYNC') {
    return new AppError('storage_full', `the disk refused a write${where}: ${message}`, { cause: thrown })
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

/** A consistent copy of the database file while the cloud runs; used by backup. */
import { openDatabase, toStorageError } from '../../shared/sqlite.ts'

export interface Snapshot {
  /** Writes the database as it was when the snapshot was taken to `path`, which must not exist. */
  copyTo(path: string, onProgress: (donePages: number, allPages: number) => void): Promise<void>
  close(): void
}

/** Pages copied in one step; about 4 MiB, a few milliseconds. */
const PAGES_PER_STEP = 1_000

/**
 * Holds the database at this moment: a read transaction in WAL mode sees no later commit, for however long it lasts
 * [sqlite.org/isolation.html]. The caller closes it.
 */
export function takeSnapshot(databaseFile: string): Snapshot {
  const connection = openDatabase(databaseFile, { readonly: true })
  try {
    connection.exec('BEGIN')
    // The snapshot is taken at the first read, not at BEGIN.
    connection.prepare('SELECT count(*) FROM sqlite_master').get()
  } catch (thrown) {
    connection.close()
    throw toStorageError(thrown, databaseFile)
  }
  return {
    async copyTo(path, onProgress) {
      try {
        await connection.backup(path, {
          progress: ({ totalPages, remainingPages }) => {
            onProgress(totalPages - remainingPages, totalPages)
            return PAGES_PER_STEP
          },
        })
      } catch (thrown) {
        throw toStorageError(thrown, path)
      }
    },
    close() {
      connection.close()
    },
  }
}

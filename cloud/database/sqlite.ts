/** The database door on SQLite: one connection, synchronous inside, prepared statements kept. */
import { type CompiledQuery, DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { AppError } from '../../shared/errors.ts'
import {
  BUSY_TIMEOUT_MS,
  openDatabase,
  type SqliteDatabase,
  type SqliteStatement,
  toStorageError,
} from '../../shared/sqlite.ts'
import type { Database, Statement, Written } from './database.ts'
import { migrate, type OnMigrating } from './migrate.ts'
import { keepPrepared } from './prepared.ts'
import { createResidue } from './residue.ts'
import type { Schema } from './schema.ts'

export interface SqliteOptions {
  path: string
  nowMs: number
  /** Ceiling of the file's size, bytes; null: the disk decides. */
  maxBytes?: number | null
  onMigrating?: OnMigrating
}

/** Pages that a reader keeps, KiB: the upper levels of the indexes of some millions of sightings. */
const READER_CACHE_KIBIBYTES = 64 * 1024

/** Kysely without a database behind it: builds and compiles for SQLite. */
export function createBuilder(): Kysely<Schema> {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

/** Opens the file (made if missing) and brings it to the newest migration. Throws AppError `configuration`, `integrity` or `storage_full`. */
export function openSqlite(options: SqliteOptions): Database {
  const connection = openDatabase(options.path, { maxBytes: options.maxBytes ?? null })
  try {
    migrate(connection, options.nowMs, undefined, options.onMigrating)
  } catch (thrown) {
    connection.close()
    throw toStorageError(thrown, options.path)
  }
  return wrap(connection, options.path)
}

/** A second connection for a worker thread: sees each commit of the first, waits for none, and writes nothing. */
export function openSqliteReader(path: string): Pick<Database, 'build' | 'read' | 'close'> {
  const connection = openDatabase(path, { readonly: true })
  connection.pragma(`cache_size = -${READER_CACHE_KIBIBYTES}`)
  return wrap(connection, path)
}

function wrap(connection: SqliteDatabase, path: string): Database {
  const build = createBuilder()
  const residue = createResidue(connection, path)
  const prepare = keepPrepared((sql): SqliteStatement => connection.prepare(sql))

  const run = connection.transaction((compiled: readonly CompiledQuery[]): Written[] =>
    compiled.map((query) => {
      const statement = prepare(query.sql, query.parameters.length)
      if (!statement.reader) return { changes: statement.run(...query.parameters).changes, rows: [] }
      const rows = statement.all(...query.parameters)
      return { changes: rows.length, rows }
    }),
  )

  return {
    build,
    async read<R>(query: Statement<R>): Promise<R[]> {
      const compiled = compile(query)
      try {
        return prepare(compiled.sql, compiled.parameters.length).all(...compiled.parameters) as R[]
      } catch (thrown) {
        throw toStorageError(thrown)
      }
    },
    async writeBatch(statements) {
      try {
        // IMMEDIATE takes the write lock at once, so that a batch never fails half-way for a lock [sqlite.org/lang_transaction.html].
        return run.immediate(statements.map(compile))
      } catch (thrown) {
        throw toStorageError(thrown)
      }
    },
    async truncateLog() {
      let busy = 1
      try {
        // A backup reads for minutes; waiting for it here would stop the event loop. The caller comes back.
        connection.pragma('busy_timeout = 0')
        busy = (connection.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[])[0]?.busy ?? 1
      } catch (thrown) {
        throw toStorageError(thrown)
      } finally {
        connection.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
      }
      if (busy !== 0) throw new AppError('unavailable', 'a reader holds the write-ahead log')
    },
    sweep: residue.sweep,
    async close() {
      if (connection.open) connection.close()
      await residue.close()
    },
  }
}

function compile<R>(statement: Statement<R>): CompiledQuery<R> {
  return 'sql' in statement ? statement : statement.compile()
}

/**
 * The database door of the cloud. Kysely builds and compiles statements and never executes them; `read` and `writeBatch` are
 * the only ways in, so that PostgreSQL can stand behind the same door. Everything else of SQLite stays in this folder.
 */
import type { Compilable, CompiledQuery, Kysely } from 'kysely'
import type { Schema } from './schema.ts'

/** A statement as Kysely's builder, or already compiled (ingest compiles its inserts once). */
export type Statement<R = unknown> = Compilable<R> | CompiledQuery<R>

export interface Written {
  /** Rows inserted, updated or deleted. */
  changes: number
  /** What a statement with RETURNING returned of them; empty for others. */
  rows: readonly unknown[]
}

export interface Database {
  /** Builds and compiles only; awaiting one of its queries throws. */
  readonly build: Kysely<Schema>
  /** Rows of one query. Throws AppError: `unavailable` when busy, `integrity` when the file is damaged. */
  read<R>(query: Statement<R>): Promise<R[]>
  /**
   * All statements or none, in one transaction that is durable when the promise resolves. Throws `storage_full` when the disk
   * or the budget is full; then nothing of the batch is stored.
   */
  writeBatch(statements: readonly Statement[]): Promise<Written[]>
  /** Bytes that deletes freed but the log still holds are cut away. Throws `unavailable` while a reader is in the way. */
  truncateLog(): Promise<void>
  /**
   * Bytes that deletes left behind within pages are overwritten, in the whole file, in small steps until the signal aborts (see
   * residue.ts). Call `truncateLog` before. Throws `unavailable` while a reader is in the way. Returns the pages that it cleaned.
   */
  sweep(signal: AbortSignal): Promise<{ pages: number }>
  close(): Promise<void>
}

/** Brings a database to the newest migration; owns table schema_migrations. */
import { AppError } from '../../shared/errors.ts'
import type { SqliteDatabase } from '../../shared/sqlite.ts'
import { MIGRATIONS } from './migrations/index.ts'

/**
 * `number` counts up without need of being dense; `sql` runs once, in the transaction that records it. One that takes long on a large
 * database is given in steps.
 */
export interface Migration {
  number: number
  name: string
  sql: string | readonly string[]
}

/** Told before each step of a migration that has several: a start that takes minutes must say what it does. `step` counts from 1. */
export type OnMigrating = (migration: string, step: number, steps: number) => void

/**
 * Runs what is missing, each in its own transaction, a new database whole in one.
 * Throws `configuration` when the file was made by a newer Candor.
 */
export function migrate(
  connection: SqliteDatabase,
  nowMs: number,
  migrations: readonly Migration[] = MIGRATIONS,
  onMigrating: OnMigrating = () => {},
): void {
  connection.exec(
    'CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT',
  )
  const applied = new Set(connection.prepare('SELECT number FROM schema_migrations').pluck().all() as number[])
  const known = new Set(migrations.map((migration) => migration.number))
  const unknown = [...applied].filter((number) => !known.has(number))
  if (unknown.length > 0) {
    throw new AppError('configuration', `the database was made by a newer Candor (migration ${unknown.join(', ')})`, {
      hint: 'install that version or restore an older backup',
    })
  }
  const record = connection.prepare('INSERT INTO schema_migrations VALUES (?, ?, ?)')
  const apply = connection.transaction((migration: Migration) => {
    const steps = typeof migration.sql === 'string' ? [migration.sql] : migration.sql
    for (const [i, sql] of steps.entries()) {
      if (steps.length > 1) onMigrating(migration.name, i + 1, steps.length)
      connection.exec(sql)
    }
    record.run(migration.number, migration.name, nowMs)
  })
  const missing = migrations.filter(({ number }) => !applied.has(number)).sort((a, b) => a.number - b.number)
  const all = () => missing.forEach(apply)
  if (applied.size === 0) connection.transaction(all)()
  else all()
}

/**
 * A database of the newest schema with the sightings of an invented city. Indexes and triggers are put aside and made again over all
 * rows, as the migration of an existing database does; that takes minutes where row by row would take an hour.
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { search } from '../../../cloud/database/migrations/0033-search.ts'
import { openSqlite } from '../../../cloud/database/sqlite.ts'
import { openDatabase, type SqliteDatabase } from '../../../shared/sqlite.ts'
import { cityRows } from './city.ts'

const ROWS_A_TRANSACTION = 20_000

export interface Filled {
  path: string
  /** Null: an earlier run had made it. */
  fillMs: number | null
  /** How long the migration took over all these rows; null as above. */
  migrationMs: number | null
}

/** Makes `path` unless it is there; whole or not at all. `endMs`: the newest sighting. */
export async function fillCity(
  path: string,
  rows: number,
  endMs: number,
  say: (text: string) => void,
): Promise<Filled> {
  if (existsSync(path)) return { path, fillMs: null, migrationMs: null }
  const part = `${path}.part`
  for (const ending of ['', '-wal', '-shm']) rmSync(part + ending, { force: true })
  await openSqlite({ path: part, nowMs: endMs }).close()
  const connection = openDatabase(part)
  try {
    const startMs = performance.now()
    // Of a bench that can be made again: nothing is lost with the power.
    connection.pragma('synchronous = OFF')
    undo(connection)
    const indexes = connection
      .prepare(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'sightings' AND sql IS NOT NULL",
      )
      .all() as { name: string; sql: string }[]
    for (const { name } of indexes) connection.exec(`DROP INDEX ${name}`)
    insertAll(connection, rows, endMs, say)
    say('indexes')
    for (const { sql } of indexes) connection.exec(sql)
    const fillMs = performance.now() - startMs
    const migratedFromMs = performance.now()
    const steps = search.sql as readonly string[]
    connection.transaction(() => {
      for (const [i, sql] of steps.entries()) {
        const stepMs = performance.now()
        connection.exec(sql)
        say(`migration, step ${i + 1} of ${steps.length}: ${Math.round(performance.now() - stepMs)} ms`)
      }
    })()
    const migrationMs = performance.now() - migratedFromMs
    connection.pragma('wal_checkpoint(TRUNCATE)')
    connection.close()
    for (const ending of ['', '-wal', '-shm']) if (existsSync(part + ending)) renameSync(part + ending, path + ending)
    return { path, fillMs, migrationMs }
  } finally {
    connection.close()
  }
}

/** As it was before the migration of searches. */
function undo(connection: SqliteDatabase): void {
  for (const name of ['plate_key_seen', 'plate_key_unseen']) {
    connection.exec(`DROP TRIGGER ${name}`)
  }
  connection.exec(`
    DROP INDEX sightings_by_key; DROP INDEX sightings_by_camera; DROP TABLE plate_keys;
    CREATE INDEX sightings_by_key ON sightings (confusable_key, seen_at_ms);
  `)
}

function insertAll(connection: SqliteDatabase, rows: number, endMs: number, say: (text: string) => void): void {
  const insert =
    connection.prepare(`INSERT INTO sightings (camera_id, sighting_id, revision, payload_sha256, seen_at_ms,
    received_at_ms, retained_from_ms, clock_trusted, plate, confusable_key, matched, match_disagreed, crop_sha256, document)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL, ?)`)
  const digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  let done = 0
  connection.exec('BEGIN')
  for (const row of cityRows(rows, endMs)) {
    insert.run(
      ...[row.cameraId, row.sightingId, row.revision, digest, row.seenAtMs, row.receivedAtMs],
      ...[
        Math.min(row.seenAtMs, row.receivedAtMs),
        row.clockTrusted,
        row.plate,
        row.confusableKey,
        row.matched,
        row.document,
      ],
    )
    done += 1
    if (done % ROWS_A_TRANSACTION === 0) connection.exec('COMMIT; BEGIN')
    if (done % 500_000 === 0) say(`${done} of ${rows} sightings`)
  }
  connection.exec('COMMIT')
}

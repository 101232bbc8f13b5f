/** Tables and SQL of the outbox. */
import { openDatabase, type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'

/** In the order of leaving; dropping goes the other way round. An alert never waits for a picture. */
export const RANK = { matchedSighting: 0, matchedCrop: 1, sighting: 2, crop: 3 } as const

/** A row that is to go or has gone. */
export interface Gone {
  row_id: number
  rank: number
  bytes: number
}

export const isCrop = ({ rank }: Pick<Gone, 'rank'>) => rank === RANK.crop || rank === RANK.matchedCrop

/** Rows born at or before these times, or not wanted by policy, never leave. Milliseconds since 1970. */
export interface Cutoffs {
  unmatchedMs: number
  matchedMs: number
  cropMs: number
  /** False: rows without a match stay and are purged. */
  unmatchedMayLeave: boolean
}

export const COUNTER_NAMES = ['evictedCrops', 'evictedSightings', 'expired', 'lost', 'withheld'] as const
export type CounterName = (typeof COUNTER_NAMES)[number]

const TABLES = `
CREATE TABLE IF NOT EXISTS outbox (
  row_id INTEGER PRIMARY KEY AUTOINCREMENT,
  rank INTEGER NOT NULL CHECK (rank BETWEEN 0 AND 3),
  set_backs INTEGER NOT NULL DEFAULT 0,
  sighting_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  born_at_ms INTEGER NOT NULL,
  unsynced INTEGER NOT NULL CHECK (unsynced IN (0, 1)),
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_by_order ON outbox (set_backs, rank, row_id);
-- As rows are dropped: the least important first, of these the oldest.
CREATE INDEX IF NOT EXISTS outbox_by_rank ON outbox (rank DESC, row_id);
CREATE INDEX IF NOT EXISTS outbox_by_birth ON outbox (born_at_ms);
CREATE INDEX IF NOT EXISTS outbox_by_sighting ON outbox (sighting_id);
-- Only rows from before the clock was right stand in it.
CREATE INDEX IF NOT EXISTS outbox_unsynced ON outbox (unsynced) WHERE unsynced = 1;
CREATE TABLE IF NOT EXISTS outbox_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
-- How far these had been told to the cloud.
CREATE TABLE IF NOT EXISTS outbox_reported (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
`

/** A folder from before there was outbox_reported had told all that it had counted, and more than once. */
const SEED_COUNTERS = `
INSERT OR IGNORE INTO outbox_counters (name, value) VALUES ${COUNTER_NAMES.map((name) => `('${name}', 0)`).join(', ')};
INSERT OR IGNORE INTO outbox_reported (name, value) SELECT name, value FROM outbox_counters;
`

/** Not past its retention; a crop never outlives what its sighting may. */
const FRESH = `CASE rank
  WHEN 0 THEN born_at_ms > @matchedMs
  WHEN 1 THEN born_at_ms > @matchedMs AND born_at_ms > @cropMs
  WHEN 2 THEN born_at_ms > @unmatchedMs
  ELSE born_at_ms > @unmatchedMs AND born_at_ms > @cropMs END`
const MAY_LEAVE = `(@unmatchedMayLeave OR rank < ${RANK.sighting}) AND ${FRESH}`

/** Pages of write-ahead log between checkpoints (512 KiB at 4 KiB): small enough that one run of it fits the reserve. */
const CHECKPOINT_PAGES = 128

/** `maxBytes`: of the database's file; null: as the disk allows. */
export function openTables(file: string, maxBytes: number | null): SqliteDatabase {
  const database = openDatabase(file, { maxBytes })
  try {
    database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    database.exec(TABLES)
    database.transaction(() => database.exec(SEED_COUNTERS))()
    return database
  } catch (thrown) {
    database.close()
    throw toStorageError(thrown, file)
  }
}

export function prepareStatements(database: SqliteDatabase) {
  const oldest = (setBack: string) =>
    database.prepare(
      `SELECT row_id, rank, sighting_id, payload FROM outbox
       WHERE set_backs ${setBack} AND row_id NOT IN (SELECT value FROM json_each(@except)) AND ${MAY_LEAVE}
       ORDER BY set_backs, rank, row_id LIMIT @limit`,
    )
  return {
    insert: database.prepare(
      `INSERT INTO outbox (rank, sighting_id, revision, born_at_ms, unsynced, payload)
       VALUES (@rank, @sightingId, @revision, @bornAtMs, @unsynced, @payload)`,
    ),
    victim: database.prepare(
      'SELECT row_id, rank, length(payload) AS bytes FROM outbox ORDER BY rank DESC, row_id ASC LIMIT 1',
    ),
    droppable: database
      .prepare(
        `SELECT coalesce(sum(length(payload) + @overhead), 0) FROM
         (SELECT payload FROM outbox WHERE rank > @rank ORDER BY rank DESC, row_id LIMIT @most)`,
      )
      .pluck(),
    remove: database.prepare('DELETE FROM outbox WHERE row_id = ?'),
    removeMany: database.prepare(
      `DELETE FROM outbox WHERE row_id IN (SELECT value FROM json_each(?))
       RETURNING row_id, rank, length(payload) AS bytes`,
    ),
    oldest: oldest('= 0'),
    oldestSetBack: oldest('> 0'),
    setBack: database.prepare(
      `UPDATE outbox SET set_backs = set_backs + 1
       WHERE sighting_id = (SELECT sighting_id FROM outbox WHERE row_id = ?)`,
    ),
    // The birth bound lets the index find them; without it each tick would walk the whole table.
    purgeExpired: database.prepare(
      `DELETE FROM outbox WHERE row_id IN (
           SELECT row_id FROM outbox WHERE born_at_ms <= @newestMs AND NOT (${FRESH}) ORDER BY born_at_ms LIMIT @limit
         ) RETURNING row_id, rank, length(payload) AS bytes`,
    ),
    purgeUnmatched: database.prepare(
      `DELETE FROM outbox WHERE row_id IN (SELECT row_id FROM outbox WHERE rank >= ${RANK.sighting} LIMIT ?)
       RETURNING row_id, rank, length(payload) AS bytes`,
    ),
    restamp: database.prepare(
      `UPDATE outbox SET born_at_ms = @nowMs, unsynced = 0
       WHERE row_id IN (SELECT row_id FROM outbox WHERE unsynced = 1 LIMIT @limit)`,
    ),
    oldestBorn: database.prepare('SELECT min(born_at_ms) FROM outbox').pluck(),
    counters: database.prepare('SELECT name, value FROM outbox_counters').raw(),
    reported: database.prepare('SELECT name, value FROM outbox_reported').raw(),
    markReported: database.prepare('INSERT OR REPLACE INTO outbox_reported SELECT name, value FROM outbox_counters'),
    count: database.prepare('UPDATE outbox_counters SET value = value + ? WHERE name = ?'),
    total: database.prepare('SELECT count(*) AS rows, coalesce(sum(length(payload)), 0) AS bytes FROM outbox'),
  }
}

export function bindings(cutoffs: Cutoffs) {
  return { ...cutoffs, unmatchedMayLeave: cutoffs.unmatchedMayLeave ? 1 : 0 }
}

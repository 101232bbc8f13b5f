/**
 * Tables of the camera's lists. Entries belong to a generation: a new version is written beside the old one in small steps and
 * becomes visible by one update of hotlist_lists, so that neither a match nor MQTT ever waits for a million rows.
 */
import { type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import type { Manifest, SnapshotEntry } from '../../shared/wire/index.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS hotlist_lists (
  list TEXT PRIMARY KEY,
  generation INTEGER,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  entries INTEGER NOT NULL,
  floor_version INTEGER NOT NULL,
  issued_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS hotlist_generations (
  generation INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL CHECK (state IN ('staging', 'active', 'dead'))
) STRICT;
CREATE TABLE IF NOT EXISTS hotlist_chunks (
  generation INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (generation, chunk)
) STRICT;
CREATE TABLE IF NOT EXISTS hotlist_entries (
  generation INTEGER NOT NULL,
  entry_id TEXT NOT NULL,
  plate TEXT NOT NULL,
  confusable_key TEXT NOT NULL,
  jurisdiction TEXT,
  priority INTEGER NOT NULL,
  rule TEXT NOT NULL CHECK (rule IN ('exact', 'near')),
  effective_at_ms INTEGER,
  expires_at_ms INTEGER,
  PRIMARY KEY (generation, entry_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hotlist_entries_by_plate ON hotlist_entries (plate);
CREATE INDEX IF NOT EXISTS hotlist_entries_by_key ON hotlist_entries (confusable_key);
`

/** What stands in hotlist_lists. */
export interface ListRow {
  list: string
  /** null: recalled by a later minimumVersion, nothing of it matches. */
  generation: number | null
  version: number
  digest: string
  entries: number
  floorVersion: number
  issuedAtMs: number
  expiresAtMs: number
}

export interface FoundEntry {
  list: string
  listVersion: number
  entryId: string
  plate: string
}

/** Rows looked at for one near match; more plates than this never share a confusable key in a real list. */
const MAX_NEAR_CANDIDATES = 256

export type ListTables = ReturnType<typeof openListTables>

/** Every call is one transaction and throws AppError. */
export function openListTables(database: SqliteDatabase) {
  const found = `SELECT l.list, l.version AS listVersion, e.entry_id AS entryId, e.plate
    FROM hotlist_entries e JOIN hotlist_lists l ON l.generation = e.generation`
  const inForce = `(e.effective_at_ms IS NULL OR e.effective_at_ms <= @nowMs)
    AND (e.expires_at_ms IS NULL OR e.expires_at_ms > @nowMs)`
  const order = 'ORDER BY e.priority, l.list, e.entry_id'

  function guarded<T>(run: () => T): T {
    try {
      return run()
    } catch (thrown) {
      throw toStorageError(thrown)
    }
  }
  const atomic = <T>(run: () => T): T => guarded(() => database.transaction(run).immediate())

  guarded(() => database.exec(TABLES))
  // What was being received when the process ended is asked for again at the next connection.
  guarded(() => database.exec(`UPDATE hotlist_generations SET state = 'dead' WHERE state = 'staging'`))

  const statements = {
    exact: database.prepare(`${found} WHERE e.plate = @plate AND ${inForce} ${order} LIMIT 1`),
    near: database.prepare(
      `${found} WHERE e.confusable_key = @key AND e.rule = 'near' AND ${inForce} ${order} LIMIT ${MAX_NEAR_CANDIDATES}`,
    ),
    lists: database.prepare(
      `SELECT list, generation, version, digest, entries, floor_version AS floorVersion, issued_at_ms AS issuedAtMs,
       expires_at_ms AS expiresAtMs FROM hotlist_lists ORDER BY list`,
    ),
    newGeneration: database.prepare(`INSERT INTO hotlist_generations (state) VALUES ('staging')`),
    setState: database.prepare('UPDATE hotlist_generations SET state = ? WHERE generation = ?'),
    dead: database.prepare(`SELECT generation FROM hotlist_generations WHERE state = 'dead' LIMIT 1`).pluck(),
    dropGeneration: database.prepare('DELETE FROM hotlist_generations WHERE generation = ?'),
    putChunk: database.prepare('INSERT OR REPLACE INTO hotlist_chunks (generation, chunk, payload) VALUES (?, ?, ?)'),
    chunk: database.prepare('SELECT payload FROM hotlist_chunks WHERE generation = ? AND chunk = ?').pluck(),
    dropChunks: database.prepare(
      'DELETE FROM hotlist_chunks WHERE rowid IN (SELECT rowid FROM hotlist_chunks WHERE generation = ? LIMIT ?)',
    ),
    putEntry: database.prepare(
      `INSERT INTO hotlist_entries (generation, entry_id, plate, confusable_key, jurisdiction, priority, rule,
         effective_at_ms, expires_at_ms)
       VALUES (@generation, @entryId, @plate, @key, @jurisdiction, @priority, @rule, @effectiveAtMs, @expiresAtMs)`,
    ),
    dropEntries: database.prepare(
      `DELETE FROM hotlist_entries WHERE generation = @generation AND entry_id IN
         (SELECT entry_id FROM hotlist_entries WHERE generation = @generation LIMIT @limit)`,
    ),
    putList: database.prepare(
      `INSERT INTO hotlist_lists (list, generation, version, digest, entries, floor_version, issued_at_ms, expires_at_ms)
       VALUES (@list, @generation, @version, @digest, @entries, @floorVersion, @issuedAtMs, @expiresAtMs)
       ON CONFLICT (list) DO UPDATE SET generation = excluded.generation, version = excluded.version,
         digest = excluded.digest, entries = excluded.entries, floor_version = excluded.floor_version,
         issued_at_ms = excluded.issued_at_ms, expires_at_ms = excluded.expires_at_ms`,
    ),
  }

  return {
    lists: () => guarded(() => statements.lists.all() as ListRow[]),
    exact: (plate: string, nowMs: number) =>
      guarded(() => (statements.exact.get({ plate, nowMs }) as FoundEntry | undefined) ?? null),
    near: (key: string, nowMs: number) => guarded(() => statements.near.all({ key, nowMs }) as FoundEntry[]),
    newGeneration: () => guarded(() => Number(statements.newGeneration.run().lastInsertRowid)),
    /** Nothing of it matches any more; its rows go in small steps. */
    bury: (generation: number) => guarded(() => void statements.setState.run('dead', generation)),
    putChunk: (generation: number, chunk: number, payload: Uint8Array) =>
      guarded(() => void statements.putChunk.run(generation, chunk, payload)),
    chunk: (generation: number, chunk: number) =>
      guarded(() => (statements.chunk.get(generation, chunk) as Buffer | undefined) ?? null),
    putEntries: (generation: number, entries: readonly { entry: SnapshotEntry; key: string }[]) =>
      atomic(() => {
        for (const { entry, key } of entries) statements.putEntry.run({ generation, key, ...entry })
      }),
    putList: (row: ListRow) => guarded(() => void statements.putList.run(row)),
    /** The one moment at which matching changes from the old version to the new one. */
    swap: (manifest: Manifest, generation: number, before: ListRow | null) =>
      atomic(() => {
        statements.putList.run({
          ...manifest,
          generation,
          floorVersion: Math.max(before?.floorVersion ?? 1, manifest.minimumVersion),
        })
        statements.setState.run('active', generation)
        if (before?.generation != null) statements.setState.run('dead', before.generation)
      }),
    /** The version is recalled: at once nothing of it matches. */
    recall: (row: ListRow, floorVersion: number) =>
      atomic(() => {
        statements.putList.run({ ...row, generation: null, floorVersion })
        if (row.generation !== null) statements.setState.run('dead', row.generation)
      }),
    /** Deletes at most `limit` rows of versions that are over; returns how many. */
    sweep: (limit: number) =>
      atomic(() => {
        const generation = statements.dead.get() as number | undefined
        if (generation === undefined) return 0
        const chunks = statements.dropChunks.run(generation, Math.ceil(limit / 100)).changes
        const entries = statements.dropEntries.run({ generation, limit }).changes
        if (chunks + entries === 0) statements.dropGeneration.run(generation)
        return chunks + entries + 1
      }),
  }
}

/**
 * Tables of the camera's lists. Entries belong to a generation: a new version is written beside the old one in small steps and
 * becomes visible by one update of hotlist_lists, so that neither a match nor MQTT ever waits for a million rows.
 */
import { type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import type { Manifest, RecordFields } from '../../shared/wire/index.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS hotlist_lists (
  list TEXT PRIMARY KEY,
  generation INTEGER,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  key_id TEXT NOT NULL,
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
CREATE TABLE IF NOT EXISTS hotlist_digests (
  generation INTEGER NOT NULL,
  digest BLOB NOT NULL,
  entry_id TEXT NOT NULL,
  jurisdiction TEXT,
  priority INTEGER NOT NULL,
  rule TEXT NOT NULL CHECK (rule IN ('exact', 'near')),
  effective_at_ms INTEGER,
  expires_at_ms INTEGER,
  PRIMARY KEY (generation, digest, entry_id)
) STRICT, WITHOUT ROWID;
`
/** What an earlier version of the camera kept: plates in the clear. The lists come again. */
const CLEAR_TABLES = `
DROP TABLE IF EXISTS hotlist_entries;
DROP TABLE IF EXISTS hotlist_lists;
DROP TABLE IF EXISTS hotlist_generations;
DROP TABLE IF EXISTS hotlist_chunks;
`

/** What stands in hotlist_lists. */
export interface ListRow {
  list: string
  /** null: recalled by a later minimumVersion, nothing of it matches. */
  generation: number | null
  version: number
  digest: string
  /** Key of the plates' digests. */
  keyId: string
  entries: number
  floorVersion: number
  issuedAtMs: number
  expiresAtMs: number
}

export interface FoundEntry {
  entryId: string
  jurisdiction: string | null
  priority: number
}

/** Entries of one list for one plate that are looked at; a list has an entry a case, and few of one vehicle. */
const MAX_FOUND = 64

export type ListTables = ReturnType<typeof openListTables>

/** Every call is one transaction and throws AppError. */
export function openListTables(database: SqliteDatabase) {
  function guarded<T>(run: () => T): T {
    try {
      return run()
    } catch (thrown) {
      throw toStorageError(thrown)
    }
  }
  const atomic = <T>(run: () => T): T => guarded(() => database.transaction(run).immediate())

  const hasClear = database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'hotlist_entries'`).get() !== undefined
  if (hasClear) guarded(() => database.exec(CLEAR_TABLES))
  guarded(() => database.exec(TABLES))
  // What was being received when the process ended is asked for again at the next connection.
  guarded(() => database.exec(`UPDATE hotlist_generations SET state = 'dead' WHERE state = 'staging'`))

  const statements = {
    found: database.prepare(
      `SELECT entry_id AS entryId, jurisdiction, priority FROM hotlist_digests
       WHERE generation = @generation AND digest = @digest AND (@rule = 'exact' OR rule = 'near')
         AND (effective_at_ms IS NULL OR effective_at_ms <= @nowMs) AND (expires_at_ms IS NULL OR expires_at_ms > @nowMs)
       ORDER BY priority, entry_id LIMIT ${MAX_FOUND}`,
    ),
    lists: database.prepare(
      `SELECT list, generation, version, digest, key_id AS keyId, entries, floor_version AS floorVersion, issued_at_ms AS issuedAtMs,
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
      `INSERT INTO hotlist_digests (generation, digest, entry_id, jurisdiction, priority, rule, effective_at_ms, expires_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    dropEntries: database.prepare(
      `DELETE FROM hotlist_digests WHERE generation = @generation AND (digest, entry_id) IN
         (SELECT digest, entry_id FROM hotlist_digests WHERE generation = @generation LIMIT @limit)`,
    ),
    putList: database.prepare(
      `INSERT INTO hotlist_lists (list, generation, version, digest, key_id, entries, floor_version, issued_at_ms, expires_at_ms)
       VALUES (@list, @generation, @version, @digest, @keyId, @entries, @floorVersion, @issuedAtMs, @expiresAtMs)
       ON CONFLICT (list) DO UPDATE SET generation = excluded.generation, version = excluded.version,
         digest = excluded.digest, key_id = excluded.key_id, entries = excluded.entries, floor_version = excluded.floor_version,
         issued_at_ms = excluded.issued_at_ms, expires_at_ms = excluded.expires_at_ms`,
    ),
  }

  return {
    lists: () => guarded(() => statements.lists.all() as ListRow[]),
    /** Entries in force with this digest, the most urgent first; `near`: only those that may be met by a near read. */
    found: (generation: number, digest: Uint8Array, rule: 'exact' | 'near', nowMs: number) =>
      guarded(() => statements.found.all({ generation, digest, rule, nowMs }) as FoundEntry[]),
    newGeneration: () => guarded(() => Number(statements.newGeneration.run().lastInsertRowid)),
    /** Nothing of it matches any more; its rows go in small steps. */
    bury: (generation: number) => guarded(() => void statements.setState.run('dead', generation)),
    putChunk: (generation: number, chunk: number, payload: Uint8Array) =>
      guarded(() => void statements.putChunk.run(generation, chunk, payload)),
    chunk: (generation: number, chunk: number) =>
      guarded(() => (statements.chunk.get(generation, chunk) as Buffer | undefined) ?? null),
    putEntries: (generation: number, entries: readonly RecordFields[]) =>
      atomic(() => {
        for (const { digest, entryId, jurisdiction, priority, rule, effectiveAtMs, expiresAtMs } of entries) {
          const { putEntry } = statements
          putEntry.run(generation, digest, entryId, jurisdiction, priority, rule, effectiveAtMs, expiresAtMs)
        }
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

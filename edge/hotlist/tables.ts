/**
 * Tables of the camera's lists. Entries belong to a generation: a snapshot is written beside the old one in small steps and becomes visible
 * by one update of hotlist_lists, so that neither a match nor MQTT ever waits for a million rows. A delta is a step within a generation: a
 * row matches from the step `since` which it came up to the step `until` which it went, and the same one update makes the step the list's.
 */
import { AppError } from '../../shared/errors.ts'
import { type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import type { Manifest, MatchRule, RecordFields } from '../../shared/wire/index.ts'
import type { Change } from './delta.ts'
import type { Download } from './snapshot.ts'

const TABLES = `
CREATE TABLE IF NOT EXISTS hotlist_lists (
  list TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  step INTEGER NOT NULL,
  recalled INTEGER NOT NULL,
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
  -- Of a step: the generation whose rows it changes. NULL: a generation of its own.
  within INTEGER,
  -- active: a snapshot in force, taken: a step in force, whose rows that went can be deleted, dead: all of it goes.
  state TEXT NOT NULL CHECK (state IN ('staging', 'active', 'taken', 'dead'))
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
  -- 0: with the generation, otherwise the number of a step.
  since INTEGER NOT NULL,
  until INTEGER,
  PRIMARY KEY (generation, digest, entry_id, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hotlist_digests_by_since ON hotlist_digests (since) WHERE since > 0;
CREATE INDEX IF NOT EXISTS hotlist_digests_by_until ON hotlist_digests (until) WHERE until IS NOT NULL;
`
/** What an earlier version of the camera kept: plates in the clear, or rows without steps. The lists come again. */
const OLDER_TABLES = `
DROP TABLE IF EXISTS hotlist_entries;
DROP TABLE IF EXISTS hotlist_digests;
DROP TABLE IF EXISTS hotlist_lists;
DROP TABLE IF EXISTS hotlist_generations;
DROP TABLE IF EXISTS hotlist_chunks;
`

/** What stands in hotlist_lists. */
export interface ListRow {
  list: string
  generation: number
  /** The last delta that was applied to it; 0: none. */
  step: number
  /** By a later minimumVersion: nothing of it matches. Its rows stay for the delta that may lead on from them. */
  recalled: boolean
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

/** What is left of a version or a step. */
interface Over {
  generation: number
  /** Of a step: the generation whose rows it changed. */
  within: number | null
  state: string
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
  /**
   * What no match looks at yet need not outlive a power cut by itself, and waiting for the card at each step would hold everything up. The
   * commit of the swap waits for it and for all that was written before it [sqlite.org/pragma.html#pragma_synchronous].
   */
  function staged<T>(run: () => T): T {
    database.pragma('synchronous = NORMAL')
    try {
      return atomic(run)
    } finally {
      database.pragma('synchronous = FULL')
    }
  }

  const isOfToday = database.prepare(`SELECT 1 FROM pragma_table_info('hotlist_digests') WHERE name = 'since'`).get()
  if (isOfToday === undefined) guarded(() => database.exec(OLDER_TABLES))
  guarded(() => database.exec(TABLES))
  // What was being received when the process ended is asked for again at the next connection.
  guarded(() => database.exec(`UPDATE hotlist_generations SET state = 'dead' WHERE state = 'staging'`))

  const statements = {
    found: database.prepare(
      `SELECT entry_id AS entryId, jurisdiction, priority FROM hotlist_digests
       WHERE generation = @generation AND digest = @digest AND (@rule = 'exact' OR rule = 'near')
         AND since <= @step AND (until IS NULL OR until > @step)
         AND (effective_at_ms IS NULL OR effective_at_ms <= @nowMs) AND (expires_at_ms IS NULL OR expires_at_ms > @nowMs)
       ORDER BY priority, entry_id LIMIT ${MAX_FOUND}`,
    ),
    lists: database.prepare(
      `SELECT list, generation, step, recalled, version, digest, key_id AS keyId, entries, floor_version AS floorVersion, issued_at_ms AS issuedAtMs,
       expires_at_ms AS expiresAtMs FROM hotlist_lists ORDER BY list`,
    ),
    newGeneration: database.prepare(`INSERT INTO hotlist_generations (within, state) VALUES (?, 'staging')`),
    setState: database.prepare('UPDATE hotlist_generations SET state = ? WHERE generation = ?'),
    over: database.prepare(
      `SELECT generation, within, state FROM hotlist_generations
       WHERE state IN ('taken', 'dead') ORDER BY within IS NULL, generation LIMIT 1`,
    ),
    failedStep: database.prepare(
      `SELECT generation, within, state FROM hotlist_generations WHERE state = 'dead' AND within IS NOT NULL LIMIT 1`,
    ),
    dropGeneration: database.prepare('DELETE FROM hotlist_generations WHERE generation = ?'),
    putChunk: database.prepare('INSERT OR REPLACE INTO hotlist_chunks (generation, chunk, payload) VALUES (?, ?, ?)'),
    chunk: database.prepare('SELECT payload FROM hotlist_chunks WHERE generation = ? AND chunk = ?').pluck(),
    dropChunks: database.prepare(
      'DELETE FROM hotlist_chunks WHERE rowid IN (SELECT rowid FROM hotlist_chunks WHERE generation = ? LIMIT ?)',
    ),
    putEntry: database.prepare(
      `INSERT INTO hotlist_digests (generation, digest, entry_id, jurisdiction, priority, rule, effective_at_ms, expires_at_ms, since)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    endEntry: database.prepare(
      `UPDATE hotlist_digests SET until = ? WHERE generation = ? AND digest = ? AND entry_id = ? AND until IS NULL`,
    ),
    dropEntries: database.prepare(
      `DELETE FROM hotlist_digests WHERE generation = @generation AND (digest, entry_id, since) IN
         (SELECT digest, entry_id, since FROM hotlist_digests WHERE generation = @generation LIMIT @limit)`,
    ),
    dropCome: database.prepare(
      `DELETE FROM hotlist_digests WHERE (generation, digest, entry_id, since) IN
         (SELECT generation, digest, entry_id, since FROM hotlist_digests WHERE since > 0 AND since = @step LIMIT @limit)`,
    ),
    dropGone: database.prepare(
      `DELETE FROM hotlist_digests WHERE (generation, digest, entry_id, since) IN
         (SELECT generation, digest, entry_id, since FROM hotlist_digests WHERE until = @step LIMIT @limit)`,
    ),
    keepGone: database.prepare(
      `UPDATE hotlist_digests SET until = NULL WHERE (generation, digest, entry_id, since) IN
         (SELECT generation, digest, entry_id, since FROM hotlist_digests WHERE until = @step LIMIT @limit)`,
    ),
    putList: database.prepare(
      `INSERT INTO hotlist_lists
         (list, generation, step, recalled, version, digest, key_id, entries, floor_version, issued_at_ms, expires_at_ms)
       VALUES (@list, @generation, @step, @recalled, @version, @digest, @keyId, @entries, @floorVersion, @issuedAtMs, @expiresAtMs)
       ON CONFLICT (list) DO UPDATE SET generation = excluded.generation, step = excluded.step, recalled = excluded.recalled,
         version = excluded.version,
         digest = excluded.digest, key_id = excluded.key_id, entries = excluded.entries, floor_version = excluded.floor_version,
         issued_at_ms = excluded.issued_at_ms, expires_at_ms = excluded.expires_at_ms`,
    ),
  }

  function put(generation: number, entry: RecordFields, since: number): void {
    const { digest, entryId, jurisdiction, priority, rule, effectiveAtMs, expiresAtMs } = entry
    const { putEntry } = statements
    putEntry.run(generation, digest, entryId, jurisdiction, priority, rule, effectiveAtMs, expiresAtMs, since)
  }
  const putList = (row: ListRow) => void statements.putList.run({ ...row, recalled: row.recalled ? 1 : 0 })

  /** Deletes or puts right at most `limit` rows of what is over, then forgets it; returns how many, 0 when nothing is. */
  function sweepOne(over: Over | undefined, limit: number): number {
    if (over === undefined) return 0
    const { generation, within, state } = over
    const { dropEntries, dropCome, dropGone, keepGone } = statements
    let rows = statements.dropChunks.run(generation, Math.ceil(limit / 100)).changes
    if (within === null) rows += dropEntries.run({ generation, limit }).changes
    else if (state === 'taken') rows += dropGone.run({ step: generation, limit }).changes
    else for (const part of [dropCome, keepGone]) rows += part.run({ step: generation, limit }).changes
    if (rows === 0) statements.dropGeneration.run(generation)
    return rows + 1
  }

  return {
    lists: () =>
      guarded(() => (statements.lists.all() as ListRow[]).map((row) => ({ ...row, recalled: Boolean(row.recalled) }))),
    /** Entries in force with this digest, the most urgent first; `near`: only those that may be met by a near read. */
    found: (
      { generation, step }: Pick<ListRow, 'generation' | 'step'>,
      digest: Uint8Array,
      rule: MatchRule,
      nowMs: number,
    ) => guarded(() => statements.found.all({ generation, step, digest, rule, nowMs }) as FoundEntry[]),
    newGeneration: () => guarded(() => Number(statements.newGeneration.run(null).lastInsertRowid)),
    /** A step to come within `generation`. */
    newStep: (generation: number) => guarded(() => Number(statements.newGeneration.run(generation).lastInsertRowid)),
    /** Nothing of it matches any more; its rows go in small steps. */
    bury: (generation: number) => guarded(() => void statements.setState.run('dead', generation)),
    putChunk: (generation: number, chunk: number, payload: Uint8Array) =>
      guarded(() => void statements.putChunk.run(generation, chunk, payload)),
    chunk: (generation: number, chunk: number) =>
      guarded(() => (statements.chunk.get(generation, chunk) as Buffer | undefined) ?? null),
    putEntries: (generation: number, entries: readonly RecordFields[]) =>
      staged(() => {
        for (const entry of entries) put(generation, entry, 0)
      }),
    /** What comes and goes with `step`; returns by how much the list grows. Throws `integrity` for a removal of what is not there. */
    change: (generation: number, step: number, changes: readonly Change[]) =>
      staged(() => {
        let growth = 0
        for (const { entry, removed } of changes) {
          const { changes: ended } = statements.endEntry.run(step, generation, entry.digest, entry.entryId)
          if (removed && ended === 0) throw new AppError('integrity', 'an entry is removed that is not there')
          if (!removed) put(generation, entry, step)
          growth += (removed ? 0 : 1) - ended
        }
        return growth
      }),
    putList: (row: ListRow) => guarded(() => putList(row)),
    /** The one moment at which matching changes from the old version to the new one. */
    swap: (
      { kind, manifest, generation }: Pick<Download, 'kind' | 'manifest' | 'generation'>,
      before: ListRow | null,
    ) =>
      atomic(() => {
        const floorVersion = Math.max(before?.floorVersion ?? 1, manifest.minimumVersion)
        if (kind === 'delta' && before !== null) {
          putList({ ...rowOf(manifest), generation: before.generation, step: generation, floorVersion })
          statements.setState.run('taken', generation)
          return
        }
        putList({ ...rowOf(manifest), generation, step: 0, floorVersion })
        statements.setState.run('active', generation)
        if (before !== null) statements.setState.run('dead', before.generation)
      }),
    /** The version is recalled: at once nothing of it matches. */
    recall: (row: ListRow, floorVersion: number) => guarded(() => putList({ ...row, recalled: true, floorVersion })),
    /** Deletes at most `limit` rows of versions that are over; returns how many. */
    sweep: (limit: number) => atomic(() => sweepOne(statements.over.get() as Over | undefined, limit)),
    /** The same for what deltas that failed have left: after it, rows are as they were before them. */
    undo: (limit: number) => atomic(() => sweepOne(statements.failedStep.get() as Over | undefined, limit)),
  }
}

/** What of a version's row its manifest says. */
function rowOf({ list, version, digest, keyId, entries, issuedAtMs, expiresAtMs }: Manifest) {
  return { list, version, digest, keyId, entries, issuedAtMs, expiresAtMs, recalled: false }
}

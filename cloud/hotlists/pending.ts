/** Versions that wait for a second person: their rows are there, and nothing of them matches. Called by rows.ts. */
import type { Database } from '../database/database.ts'
import { HAS_ROWS } from './retiring.ts'
import type { ListSettings } from './settings.ts'

export interface ListDifference {
  added: number
  unchanged: number
  /** The same plate, jurisdiction and case, and something else about it new. */
  changed: number
  removed: number
  /** Of the changed: in force, and over or not begun by what the new file says. */
  ended: number
}

/** A version that waits for a second person. */
export interface PendingVersion {
  version: number
  entries: number
  /** Of the entries. */
  patterns: number
  madeBy: string
  madeAtMs: number
  difference: ListDifference
  /** What its import asked for; the rest is as it is when it comes into force. */
  settings: Partial<ListSettings>
  sourceSha256: string | null
}

export function createPending(database: Database) {
  const { build } = database

  /** Its rows stay, and nothing of it matches. */
  async function setAside(
    list: string,
    version: number,
    waiting: Pick<PendingVersion, 'settings' | 'difference' | 'entries' | 'patterns' | 'sourceSha256'>,
  ): Promise<void> {
    const { settings, difference, entries, patterns, sourceSha256 } = waiting
    await database.writeBatch([
      // From here on people have seen the number: it is never given to another file.
      build.updateTable('hotlists').set({ last_version: version }).where('list', '=', list),
      build
        .updateTable('hotlist_versions')
        .set({
          state: 'pending',
          entries,
          cloud_entries: patterns,
          source_sha256: sourceSha256,
          pending: JSON.stringify({ settings, difference }),
        })
        .where('list', '=', list)
        .where('version', '=', version),
    ])
  }

  async function pendingOf(list: string): Promise<PendingVersion[]> {
    const waiting = await database.read(
      build
        .selectFrom('hotlist_versions')
        .selectAll()
        .where('list', '=', list)
        // By their numbers: asked for the rows at once, SQLite walks all versions of the list.
        .where(({ eb, selectFrom }) =>
          eb(
            'version',
            'in',
            selectFrom('hotlist_versions')
              .select('version')
              .where('list', '=', list)
              .where(HAS_ROWS)
              .where('state', '=', 'pending'),
          ),
        )
        .orderBy('version', 'desc'),
    )
    return waiting.map((row) => {
      const { settings, difference } = JSON.parse(row.pending ?? '') as Pick<PendingVersion, 'settings' | 'difference'>
      return {
        version: row.version,
        entries: row.entries,
        patterns: row.cloud_entries,
        madeBy: row.made_by,
        madeAtMs: row.made_at_ms,
        sourceSha256: row.source_sha256,
        settings,
        // Those that were set aside by older software did not tell the changed apart.
        difference: { ...difference, changed: difference.changed ?? 0 },
      }
    })
  }

  return { setAside, pendingOf }
}

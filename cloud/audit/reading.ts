/** Entries of the audit by their numbers, for those who may see some of them and not the whole log: reviews, answers about one plate; and what went by policy. */
import type { Database } from '../database/database.ts'
import { type AuditEntry, parseEntry } from './entry.ts'

/** Through which entry the bytes went by policy, or are about to, and whether that purge has ended; 0: none. */
export async function lastPurge(database: Database): Promise<{ throughSeq: number; isDone: boolean }> {
  const [row] = await database.read(
    database.build
      .selectFrom('audit_purges')
      .select(['through_seq', 'done_at_ms'])
      .orderBy('through_seq', 'desc')
      .limit(1),
  )
  return { throughSeq: row?.through_seq ?? 0, isDone: row !== undefined && row.done_at_ms !== null }
}

/** Entries of one question. */
export const MAX_ENTRIES_READ = 200

/** In the order of their numbers; those that are not there any more, or whose bytes went by policy, are left out. */
export async function readEntries(database: Database, numbers: readonly number[]): Promise<AuditEntry[]> {
  if (numbers.length === 0) return []
  const rows = await database.read(
    database.build
      .selectFrom('audit_entries')
      .select('bytes')
      .where('seq', 'in', numbers.slice(0, MAX_ENTRIES_READ))
      .orderBy('seq'),
  )
  return rows.filter(({ bytes }) => bytes.length > 0).map(({ bytes }) => parseEntry(bytes))
}

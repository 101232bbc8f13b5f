/** Entries of the audit by their numbers, for those who may see some of them and not the whole log: reviews and answers about one plate. */
import type { Database } from '../database/database.ts'
import { type AuditEntry, parseEntry } from './entry.ts'

/** Entries of one question. */
export const MAX_ENTRIES_READ = 200

/** In the order of their numbers; those that are not there any more are left out. */
export async function readEntries(database: Database, numbers: readonly number[]): Promise<AuditEntry[]> {
  if (numbers.length === 0) return []
  const rows = await database.read(
    database.build
      .selectFrom('audit_entries')
      .select('bytes')
      .where('seq', 'in', numbers.slice(0, MAX_ENTRIES_READ))
      .orderBy('seq'),
  )
  return rows.map(({ bytes }) => parseEntry(bytes))
}

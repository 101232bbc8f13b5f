import type { Migration } from '../migrate.ts'

export const suppressions: Migration = {
  number: 16,
  name: 'suppressions',
  sql: `
    CREATE TABLE suppressions (
      list TEXT NOT NULL,
      entry_id TEXT NOT NULL,
      until_ms INTEGER NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      alert_id TEXT NOT NULL,
      PRIMARY KEY (list, entry_id)
    ) STRICT, WITHOUT ROWID;
  `,
}

import type { Migration } from '../migrate.ts'

export const policies: Migration = {
  number: 14,
  name: 'policies',
  sql: `
    CREATE TABLE policies (
      version INTEGER PRIMARY KEY,
      envelope TEXT NOT NULL,
      issued_at_ms INTEGER NOT NULL,
      issued_by TEXT
    ) STRICT;
  `,
}

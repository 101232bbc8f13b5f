import type { Migration } from '../migrate.ts'

export const hotlists: Migration = {
  number: 13,
  name: 'hotlists',
  sql: `
    CREATE TABLE hotlists (
      list TEXT PRIMARY KEY,
      current_version INTEGER,
      alert_groups TEXT NOT NULL,
      default_rule TEXT NOT NULL,
      max_age_ms INTEGER NOT NULL,
      created_at_ms INTEGER NOT NULL
    ) STRICT;

    -- state: staging while rows are written, ready, retiring while they go, retired when they are gone.
    CREATE TABLE hotlist_versions (
      list TEXT NOT NULL REFERENCES hotlists (list),
      version INTEGER NOT NULL,
      state TEXT NOT NULL,
      entries INTEGER NOT NULL,
      chunks INTEGER NOT NULL,
      chunks_retained INTEGER NOT NULL,
      published INTEGER NOT NULL,
      manifest TEXT,
      source_sha256 TEXT,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      PRIMARY KEY (list, version)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hotlist_entries (
      list TEXT NOT NULL,
      version INTEGER NOT NULL,
      entry_id TEXT NOT NULL,
      plate TEXT NOT NULL,
      jurisdiction TEXT,
      category TEXT NOT NULL,
      priority INTEGER NOT NULL,
      rule TEXT NOT NULL,
      reason TEXT,
      case_number TEXT,
      effective_at_ms INTEGER,
      expires_at_ms INTEGER,
      PRIMARY KEY (list, version, entry_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX hotlist_entries_by_plate ON hotlist_entries (plate);
  `,
}

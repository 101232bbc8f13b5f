import type { Migration } from '../migrate.ts'

/**
 * `kind`: 'file', a list that files replace, or 'manual', one of entries that people made. `cloud_entries`: of a version's entries, those
 * that no camera has (patterns); its dates: those of the list, in which cameras hold all of its entries. `past_from_ms`: its new entries, those that version `past_since` had not, are still to be held against sightings
 * seen since then.
 */
export const listSettings: Migration = {
  number: 17,
  name: 'list-settings',
  sql: `
    ALTER TABLE hotlists ADD COLUMN kind TEXT NOT NULL DEFAULT 'file';
    ALTER TABLE hotlists ADD COLUMN source TEXT NOT NULL DEFAULT 'local';
    ALTER TABLE hotlists ADD COLUMN default_priority INTEGER NOT NULL DEFAULT 3;
    ALTER TABLE hotlists ADD COLUMN effective_at_ms INTEGER;
    ALTER TABLE hotlists ADD COLUMN expires_at_ms INTEGER;
    ALTER TABLE hotlist_versions ADD COLUMN cloud_entries INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hotlist_versions ADD COLUMN effective_at_ms INTEGER;
    ALTER TABLE hotlist_versions ADD COLUMN expires_at_ms INTEGER;
    ALTER TABLE hotlist_versions ADD COLUMN past_from_ms INTEGER;
    ALTER TABLE hotlist_versions ADD COLUMN past_since INTEGER;
    CREATE INDEX hotlist_versions_past ON hotlist_versions (list, version) WHERE past_from_ms IS NOT NULL;

    CREATE TABLE manual_entries (
      entry_id TEXT PRIMARY KEY,
      list TEXT NOT NULL,
      state TEXT NOT NULL,
      plate TEXT NOT NULL,
      jurisdiction TEXT,
      category TEXT NOT NULL,
      priority INTEGER NOT NULL,
      rule TEXT NOT NULL,
      reason TEXT NOT NULL,
      case_number TEXT NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      decided_by TEXT,
      effective_at_ms INTEGER NOT NULL,
      expires_at_ms INTEGER NOT NULL,
      over_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX manual_entries_by_list ON manual_entries (list, state);
    CREATE INDEX manual_entries_by_state ON manual_entries (state, list);
    CREATE INDEX manual_entries_by_end ON manual_entries (over_at_ms);
  `,
}

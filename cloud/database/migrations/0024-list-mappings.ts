import type { Migration } from '../migrate.ts'

/** `document`: the mapping as JSON. `list_mapping_uses`: what the last import of a list was read by. */
export const listMappings: Migration = {
  number: 24,
  name: 'list-mappings',
  sql: `
    CREATE TABLE list_mappings (
      name TEXT PRIMARY KEY,
      document TEXT NOT NULL,
      saved_at_ms INTEGER NOT NULL,
      saved_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE list_mapping_uses (
      list TEXT PRIMARY KEY,
      mapping TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,
}

import type { Migration } from '../migrate.ts'

/** What has been told of the authority's end and of rotations that stand still. */
export const endsTold: Migration = {
  number: 46,
  name: 'ends told',
  sql: `
    CREATE TABLE authority_alarms (
      alarm TEXT PRIMARY KEY,
      told_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,
}

import type { Migration } from '../migrate.ts'

/** `delta_chunks_retained`: chunks of the delta that leads to this version which the broker retains, as `chunks_retained` is of the snapshot. */
export const listDeltas: Migration = {
  number: 20,
  name: 'list-deltas',
  sql: `
    ALTER TABLE hotlist_versions ADD COLUMN delta_chunks_retained INTEGER NOT NULL DEFAULT 0;
  `,
}

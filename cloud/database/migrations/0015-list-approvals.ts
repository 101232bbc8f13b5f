import type { Migration } from '../migrate.ts'

/**
 * `pending`: JSON of a version that waits for a second person (state 'pending'): what its import asked for, and the difference.
 * `last_version`: the highest number that ever waited. It is not given again, or an approval could be moved to another file.
 */
export const listApprovals: Migration = {
  number: 15,
  name: 'list-approvals',
  sql: `
    ALTER TABLE hotlist_versions ADD COLUMN pending TEXT;
    ALTER TABLE hotlists ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0;
  `,
}

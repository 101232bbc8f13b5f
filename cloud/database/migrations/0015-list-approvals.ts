import type { Migration } from '../migrate.ts'

/** `pending`: JSON of a version that waits for a second person (state 'pending'): settings and difference. */
export const listApprovals: Migration = {
  number: 15,
  name: 'list-approvals',
  sql: `
    ALTER TABLE hotlist_versions ADD COLUMN pending TEXT;
  `,
}

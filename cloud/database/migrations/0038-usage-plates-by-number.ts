import type { Migration } from '../migrate.ts'

/** What the audit lets go of by number goes here as well, without looking at every plate that was ever searched. */
export const usagePlatesByNumber: Migration = {
  number: 38,
  name: 'usage-plates-by-number',
  sql: 'CREATE INDEX usage_plates_by_seq ON usage_plates (seq);',
}

import type { Migration } from '../migrate.ts'

/** `holder`: who has an alert, as its document says, for finding those of somebody who may not work on them any more. */
export const alertHolders: Migration = {
  number: 25,
  name: 'alert-holders',
  sql: `
    ALTER TABLE alerts ADD COLUMN holder TEXT;
    UPDATE alerts SET holder = json_extract(document, '$.acknowledgedBy');
    CREATE INDEX alerts_held ON alerts (holder) WHERE holder IS NOT NULL AND state <> 'closed';
  `,
}

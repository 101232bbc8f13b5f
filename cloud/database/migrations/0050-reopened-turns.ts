import type { Migration } from '../migrate.ts'

/** How many times in a row a turn was opened again, when last, and for which unit: a camera that never keeps its settings is told less and less. */
export const reopenedTurns: Migration = {
  number: 50,
  name: 'reopened-turns',
  sql: `
    ALTER TABLE roll_out_turns ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE roll_out_turns ADD COLUMN reopened_at_ms INTEGER;
    ALTER TABLE roll_out_turns ADD COLUMN reopened_for TEXT;
  `,
}

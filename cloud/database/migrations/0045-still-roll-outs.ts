import type { Migration } from '../migrate.ts'

/** Since when nothing has moved in a roll-out that runs, once that was told; null: it moves. */
export const stillRollOuts: Migration = {
  number: 45,
  name: 'still-roll-outs',
  sql: 'ALTER TABLE roll_outs ADD COLUMN still_since_ms INTEGER;',
}

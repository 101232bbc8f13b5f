import type { Migration } from '../migrate.ts'

/**
 * Since when nothing has moved in a roll-out that runs, once that was told; null: it moves. And which cameras a person has named to be first, as
 * JSON: the others are drawn anew while nobody was told. Of roll-outs of before nobody knows: theirs stay as they were drawn.
 */
export const stillRollOuts: Migration = {
  number: 45,
  name: 'still-roll-outs',
  sql: `
    ALTER TABLE roll_outs ADD COLUMN still_since_ms INTEGER;
    ALTER TABLE roll_outs ADD COLUMN named_first TEXT;
  `,
}

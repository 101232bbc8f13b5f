import type { Migration } from '../migrate.ts'

/**
 * `whole_from` in the place of `whole`: of a roll-out to all cameras, from which number on a turn says that a camera has had its own. One that
 * takes another back counts from further back. And when a person last let one go on that was held up.
 */
export const servedAndResumed: Migration = {
  number: 48,
  name: 'served-and-resumed',
  sql: `
    ALTER TABLE roll_outs ADD COLUMN whole_from INTEGER;
    UPDATE roll_outs SET whole_from = number WHERE whole = 1;
    DROP INDEX roll_outs_whole;
    ALTER TABLE roll_outs DROP COLUMN whole;
    CREATE INDEX roll_outs_whole ON roll_outs (number) WHERE kind = 'settings' AND whole_from IS NOT NULL AND state = 'done';
    ALTER TABLE roll_outs ADD COLUMN resumed_ms INTEGER;
  `,
}

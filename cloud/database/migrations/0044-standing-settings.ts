import type { Migration } from '../migrate.ts'

/**
 * Which settings a camera is meant to work by: those of its turn with `standing`, the newest that it has confirmed, or that it was given
 * because it came later. `whole`: the roll-out was to all cameras that there were. What was confirmed last before this stands.
 */
export const standingSettings: Migration = {
  number: 44,
  name: 'standing-settings',
  sql: `
    ALTER TABLE roll_outs ADD COLUMN whole INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX roll_outs_whole ON roll_outs (number) WHERE kind = 'settings' AND whole = 1 AND state = 'done';
    ALTER TABLE roll_out_turns ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX roll_out_turns_standing ON roll_out_turns (camera_id) WHERE standing = 1;
    UPDATE roll_out_turns SET standing = 1 WHERE target_id IN (
      SELECT target_id FROM (
        SELECT target_id, max(number) FROM roll_out_turns
        WHERE state = 'confirmed' AND number IN (SELECT number FROM roll_outs WHERE kind = 'settings')
        GROUP BY camera_id
      )
    );
  `,
}

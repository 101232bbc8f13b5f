import type { Migration } from '../migrate.ts'

/**
 * What a camera's losses were when they were last judged, so that none is left out where the cloud ends in between. And which settings that
 * went to all a roll-out takes back: of those of before it, the newest that had gone to all and were done.
 */
export const toldLosses: Migration = {
  number: 52,
  name: 'told-losses',
  sql: `
    CREATE TABLE fleet_losses (
      camera_id TEXT PRIMARY KEY,
      sightings INTEGER NOT NULL,
      crops INTEGER NOT NULL,
      lost INTEGER NOT NULL,
      uptime_ms INTEGER NOT NULL,
      at_ms INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE roll_outs ADD COLUMN takes_back INTEGER;
    UPDATE roll_outs SET takes_back = (
      SELECT max(before.number) FROM roll_outs AS before
      WHERE before.kind = 'settings' AND before.whole_from IS NOT NULL AND before.state = 'done' AND before.number < roll_outs.number
    ) WHERE whole_from < number AND state <> 'ended';
    CREATE INDEX roll_outs_taken_back ON roll_outs (takes_back) WHERE takes_back IS NOT NULL;
  `,
}

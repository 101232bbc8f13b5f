import type { Migration } from '../migrate.ts'

/**
 * Alerts that gather the sightings of one vehicle, are held back or escalated by rule, and are counted by outcome. `match_kind` is of
 * the alert's own sighting as it is now ('none': its final no longer matches; 'historical': nothing joins it), `raised_kind` as it was when the alert was raised.
 */
export const alertFlow: Migration = {
  number: 22,
  name: 'alert-flow',
  sql: `
    ALTER TABLE alerts ADD COLUMN list TEXT NOT NULL DEFAULT '';
    ALTER TABLE alerts ADD COLUMN match_kind TEXT NOT NULL DEFAULT 'none';
    ALTER TABLE alerts ADD COLUMN raised_kind TEXT NOT NULL DEFAULT 'exact';
    ALTER TABLE alerts ADD COLUMN first_seen_at_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE alerts ADD COLUMN last_seen_at_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE alerts ADD COLUMN sightings INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE alerts ADD COLUMN escalate_at_ms INTEGER;
    UPDATE alerts SET
      list = json_extract(document, '$.match.list'),
      match_kind = CASE WHEN json_extract(document, '$.match.stillMatches') THEN json_extract(document, '$.match.kind') ELSE 'none' END,
      raised_kind = json_extract(document, '$.match.kind'),
      first_seen_at_ms = json_extract(document, '$.sighting.seenAtMs'),
      last_seen_at_ms = json_extract(document, '$.sighting.seenAtMs');
    CREATE INDEX alerts_open_by_entry ON alerts (list, entry_id, match_kind, last_seen_at_ms) WHERE state <> 'closed';
    CREATE INDEX alerts_to_escalate ON alerts (escalate_at_ms) WHERE escalate_at_ms IS NOT NULL;

    -- push: due until the first publish decides; then pushed for good, held until quiet hours end, or listed only.
    ALTER TABLE alert_groups ADD COLUMN push TEXT NOT NULL DEFAULT 'due';
    ALTER TABLE alert_groups ADD COLUMN held_until_ms INTEGER;
    UPDATE alert_groups SET push = 'pushed';
    CREATE INDEX alert_groups_held ON alert_groups (held_until_ms) WHERE held_until_ms IS NOT NULL;

    -- Sightings that joined an open alert. shown: an element of its trail; else only counted.
    CREATE TABLE alert_sightings (
      alert_id TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      shown INTEGER NOT NULL,
      seen_at_ms INTEGER NOT NULL,
      received_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      clock_trusted INTEGER NOT NULL,
      plate TEXT NOT NULL,
      kind TEXT NOT NULL,
      confidence REAL NOT NULL,
      still_matches INTEGER NOT NULL,
      PRIMARY KEY (alert_id, camera_id, sighting_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alert_sightings_shown ON alert_sightings (alert_id, seen_at_ms) WHERE shown = 1;
    CREATE INDEX alert_sightings_by_sighting ON alert_sightings (camera_id, sighting_id);
    CREATE INDEX alert_sightings_by_age ON alert_sightings (retained_from_ms);

    -- No plate, so that it outlives the alerts. outcome: raised, grouped, duplicate, or how an alert was closed; of the day it was raised.
    CREATE TABLE alert_outcomes (
      utc_day INTEGER NOT NULL,
      camera_id TEXT NOT NULL,
      list TEXT NOT NULL,
      kind TEXT NOT NULL,
      outcome TEXT NOT NULL,
      count INTEGER NOT NULL,
      PRIMARY KEY (utc_day, camera_id, list, kind, outcome)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO alert_outcomes
      SELECT raised_at_ms / 86400000, camera_id, list, raised_kind, 'raised', count(*) FROM alerts GROUP BY 1, 2, 3, 4;
    INSERT INTO alert_outcomes
      SELECT raised_at_ms / 86400000, camera_id, list, raised_kind, json_extract(document, '$.outcome'), count(*)
      FROM alerts WHERE state = 'closed' GROUP BY 1, 2, 3, 4, 5;

    -- '' stands for any list or any group; document: what the rule says, as JSON.
    CREATE TABLE alert_rules (
      list TEXT NOT NULL,
      group_name TEXT NOT NULL,
      document TEXT NOT NULL,
      changed_at_ms INTEGER NOT NULL,
      changed_by TEXT NOT NULL,
      PRIMARY KEY (list, group_name)
    ) STRICT, WITHOUT ROWID;
  `,
}

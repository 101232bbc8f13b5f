import type { Migration } from '../migrate.ts'

/** Evidence holds: what each names, and, once its own retention is over, what is kept for them. */
export const holds: Migration = {
  number: 32,
  name: 'holds',
  sql: `
    CREATE TABLE holds (
      hold_id TEXT PRIMARY KEY,
      case_number TEXT NOT NULL,
      basis TEXT NOT NULL,
      selection TEXT NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      until_ms INTEGER NOT NULL,
      extended_at_ms INTEGER,
      extended_by TEXT
    ) STRICT;
    CREATE INDEX holds_by_case ON holds (case_number);
    CREATE INDEX holds_by_end ON holds (until_ms);

    CREATE TABLE hold_sightings (
      hold_id TEXT NOT NULL REFERENCES holds (hold_id),
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      PRIMARY KEY (hold_id, sighting_id, camera_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX hold_sightings_by_sighting ON hold_sightings (sighting_id, camera_id);

    CREATE TABLE hold_alerts (
      hold_id TEXT NOT NULL REFERENCES holds (hold_id),
      alert_id TEXT NOT NULL,
      PRIMARY KEY (hold_id, alert_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX hold_alerts_by_alert ON hold_alerts (alert_id);

    CREATE TABLE held_sightings (
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      payload_sha256 TEXT NOT NULL,
      seen_at_ms INTEGER NOT NULL,
      received_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      clock_trusted INTEGER NOT NULL,
      matched INTEGER NOT NULL,
      document TEXT NOT NULL,
      PRIMARY KEY (sighting_id, camera_id, revision)
    ) STRICT;

    CREATE TABLE held_crops (
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      jpeg BLOB NOT NULL,
      received_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      PRIMARY KEY (sighting_id, camera_id, sha256)
    ) STRICT;

    CREATE TABLE held_alerts (
      alert_id TEXT PRIMARY KEY,
      retained_from_ms INTEGER NOT NULL,
      document TEXT NOT NULL,
      steps TEXT NOT NULL
    ) STRICT;
  `,
}

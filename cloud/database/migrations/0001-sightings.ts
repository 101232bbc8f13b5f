import type { Migration } from '../migrate.ts'

export const sightings: Migration = {
  number: 1,
  name: 'sightings',
  sql: `
    CREATE TABLE sightings (
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      payload_sha256 TEXT NOT NULL,
      seen_at_ms INTEGER NOT NULL,
      received_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      clock_trusted INTEGER NOT NULL,
      plate TEXT,
      confusable_key TEXT,
      matched INTEGER NOT NULL,
      match_disagreed INTEGER NOT NULL,
      crop_sha256 TEXT,
      document TEXT NOT NULL,
      -- The id first: it alone finds a sighting, and as ids grow with time, rows of all cameras are added at one end.
      PRIMARY KEY (sighting_id, camera_id, revision)
    ) STRICT;
    CREATE INDEX sightings_by_key ON sightings (confusable_key, seen_at_ms);
    CREATE INDEX sightings_by_age ON sightings (matched, retained_from_ms);

    CREATE TABLE crops (
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      jpeg BLOB NOT NULL,
      received_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      PRIMARY KEY (camera_id, sighting_id, sha256)
    ) STRICT;
    CREATE INDEX crops_by_age ON crops (retained_from_ms);

    CREATE TABLE quarantine (
      quarantine_id TEXT PRIMARY KEY,
      camera_id TEXT NOT NULL,
      topic TEXT NOT NULL,
      reason TEXT NOT NULL,
      payload BLOB NOT NULL,
      payload_bytes INTEGER NOT NULL,
      payload_sha256 TEXT NOT NULL,
      received_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX quarantine_by_age ON quarantine (received_at_ms);
  `,
}

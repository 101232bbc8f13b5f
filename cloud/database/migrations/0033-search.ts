import type { Migration } from '../migrate.ts'

/** What every search compares. Jurisdiction and colour stay in the document: ingest would have to take them apart for each index. */
const COMPARED = 'matched, retained_from_ms, revision'

/**
 * What searches walk. Two indexes hold what every search compares, so that few rows are read; `plate_keys` holds each key once,
 * however many sightings have it. Triggers keep it: a key comes with its first sighting and goes with its last one, in the same
 * transaction.
 */
export const search: Migration = {
  number: 33,
  name: 'search',
  sql: [
    `DROP INDEX sightings_by_key;
     CREATE TABLE plate_keys (confusable_key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;`,
    `CREATE INDEX sightings_by_key ON sightings (confusable_key, seen_at_ms, camera_id, plate, ${COMPARED});`,
    `CREATE INDEX sightings_by_camera ON sightings (camera_id, seen_at_ms, plate, ${COMPARED});`,
    'INSERT INTO plate_keys SELECT DISTINCT confusable_key FROM sightings WHERE confusable_key IS NOT NULL ORDER BY 1;',
    `CREATE TRIGGER plate_key_seen AFTER INSERT ON sightings WHEN NEW.confusable_key IS NOT NULL BEGIN
       INSERT OR IGNORE INTO plate_keys VALUES (NEW.confusable_key);
     END;
     CREATE TRIGGER plate_key_unseen AFTER DELETE ON sightings
     WHEN OLD.confusable_key IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM sightings WHERE confusable_key = OLD.confusable_key) BEGIN
       DELETE FROM plate_keys WHERE confusable_key = OLD.confusable_key;
     END;`,
  ],
}

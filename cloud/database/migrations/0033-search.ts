import { PLATE_MAX_LENGTH } from '../../../shared/plate.ts'
import type { Migration } from '../migrate.ts'

/** The places in a key, from 1. */
const PLACES = Array.from({ length: PLATE_MAX_LENGTH }, (_, i) => `(${i + 1})`).join(', ')
const suffixesOf = (key: string, from: string) =>
  `SELECT substr(${key}, column1), substr(${key}, 1, column1 - 1) FROM ${from}(VALUES ${PLACES}) WHERE column1 <= length(${key})`

/** What searches compare besides. From the document: a new column of a STRICT table has SQLite check every row of it first. */
const COMPARED = `matched, retained_from_ms, revision,
  json_extract(document, '$.jurisdiction.code'), json_extract(document, '$.vehicle.colour')`

/**
 * What searches walk. Two indexes hold all that a search compares, so that it reads no document; `plate_keys` holds each key once,
 * however many sightings have it, and `plate_suffixes` every ending of it, so that a middle or an end of a plate is the start of
 * something. Triggers keep both: a key comes with its first sighting and goes with its last one, in the same transaction.
 */
export const search: Migration = {
  number: 33,
  name: 'search',
  sql: [
    `DROP INDEX sightings_by_key;
     CREATE TABLE plate_keys (confusable_key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
     CREATE TABLE plate_suffixes (suffix TEXT NOT NULL, head TEXT NOT NULL, PRIMARY KEY (suffix, head)) STRICT, WITHOUT ROWID;`,
    `CREATE INDEX sightings_by_key ON sightings (confusable_key, seen_at_ms, camera_id, plate, ${COMPARED});`,
    `CREATE INDEX sightings_by_camera ON sightings (camera_id, seen_at_ms, plate, ${COMPARED});`,
    'INSERT INTO plate_keys SELECT DISTINCT confusable_key FROM sightings WHERE confusable_key IS NOT NULL ORDER BY 1;',
    `INSERT INTO plate_suffixes ${suffixesOf('confusable_key', 'plate_keys, ')} ORDER BY 1, 2;`,
    `CREATE TRIGGER plate_key_seen AFTER INSERT ON sightings WHEN NEW.confusable_key IS NOT NULL BEGIN
       INSERT OR IGNORE INTO plate_keys VALUES (NEW.confusable_key);
     END;
     CREATE TRIGGER plate_key_added AFTER INSERT ON plate_keys BEGIN
       INSERT INTO plate_suffixes ${suffixesOf('NEW.confusable_key', '')};
     END;
     CREATE TRIGGER plate_key_unseen AFTER DELETE ON sightings
     WHEN OLD.confusable_key IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM sightings WHERE confusable_key = OLD.confusable_key) BEGIN
       DELETE FROM plate_keys WHERE confusable_key = OLD.confusable_key;
     END;
     CREATE TRIGGER plate_key_removed AFTER DELETE ON plate_keys BEGIN
       DELETE FROM plate_suffixes WHERE (suffix, head) IN (${suffixesOf('OLD.confusable_key', '')});
     END;`,
  ],
}

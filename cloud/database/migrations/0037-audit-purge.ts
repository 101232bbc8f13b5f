import type { Migration } from '../migrate.ts'

/** What the policy lets go of the audit: entries' bytes, never their hashes, and only below a purge that the audit itself tells of. */
export const auditPurge: Migration = {
  number: 37,
  name: 'audit-purge',
  sql: `
    CREATE TABLE audit_purges (
      through_seq INTEGER PRIMARY KEY,
      from_seq INTEGER NOT NULL,
      receipt_seq INTEGER NOT NULL,
      done_at_ms INTEGER
    ) STRICT;
    DROP TRIGGER audit_entries_no_update;
    CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
    WHEN NOT (
      NEW.seq IS OLD.seq AND NEW.hash IS OLD.hash AND length(NEW.bytes) = 0
      AND EXISTS (SELECT 1 FROM audit_purges WHERE through_seq >= OLD.seq AND receipt_seq > OLD.seq)
    ) BEGIN
      SELECT RAISE(ABORT, 'audit entries are never changed');
    END;
  `,
}

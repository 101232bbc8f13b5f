import type { Migration } from '../migrate.ts'

/** The triggers keep honest software honest; whoever gets round them is found by the signed head. */
export const audit: Migration = {
  number: 10,
  name: 'audit',
  sql: `
    CREATE TABLE audit_entries (
      seq INTEGER PRIMARY KEY,
      bytes BLOB NOT NULL,
      hash BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries BEGIN
      SELECT RAISE(ABORT, 'audit entries are never changed');
    END;
    CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries BEGIN
      SELECT RAISE(ABORT, 'audit entries are never deleted');
    END;
    -- Also stops REPLACE, which deletes without firing the trigger above, and two writers that both believe to be next.
    CREATE TRIGGER audit_entries_in_order BEFORE INSERT ON audit_entries
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_entries) BEGIN
      SELECT RAISE(ABORT, 'audit entries are appended in order');
    END;
  `,
}

import type { Migration } from '../migrate.ts'

/**
 * The Merkle tree's inner hashes that tiles consist of (level 0 are the hashes of the entries themselves), filled at the first
 * start; and those who watch the log from outside.
 */
export const auditTree: Migration = {
  number: 30,
  name: 'audit-tree',
  sql: `
    CREATE TABLE audit_nodes (
      level INTEGER NOT NULL,
      position INTEGER NOT NULL,
      hash BLOB NOT NULL,
      PRIMARY KEY (level, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER audit_nodes_no_update BEFORE UPDATE ON audit_nodes BEGIN
      SELECT RAISE(ABORT, 'audit nodes are never changed');
    END;
    CREATE TRIGGER audit_nodes_no_delete BEFORE DELETE ON audit_nodes BEGIN
      SELECT RAISE(ABORT, 'audit nodes are never deleted');
    END;
    -- Also stops REPLACE; the same hash again changes nothing.
    CREATE TRIGGER audit_nodes_once BEFORE INSERT ON audit_nodes
    WHEN EXISTS (
      SELECT 1 FROM audit_nodes WHERE level = NEW.level AND position = NEW.position AND hash IS NOT NEW.hash
    ) BEGIN
      SELECT RAISE(ABORT, 'audit nodes are never changed');
    END;

    CREATE TABLE audit_witnesses (
      witness TEXT PRIMARY KEY,
      verifier_key TEXT NOT NULL UNIQUE,
      added_at_ms INTEGER NOT NULL,
      added_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Checkpoints that a witness has cosigned, as the log signed them.
    CREATE TABLE audit_checkpoints (
      size INTEGER PRIMARY KEY,
      note TEXT NOT NULL
    ) STRICT;

    CREATE TABLE audit_cosignatures (
      size INTEGER NOT NULL REFERENCES audit_checkpoints (size),
      verifier_key TEXT NOT NULL,
      line TEXT NOT NULL,
      cosigned_at_ms INTEGER NOT NULL,
      received_at_ms INTEGER NOT NULL,
      PRIMARY KEY (size, verifier_key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX audit_cosignatures_by_witness ON audit_cosignatures (verifier_key, size);
  `,
}

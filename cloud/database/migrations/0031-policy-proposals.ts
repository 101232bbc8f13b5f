import type { Migration } from '../migrate.ts'

/** Who approved a version, and changes that wait for that person. */
export const policyProposals: Migration = {
  number: 31,
  name: 'policy-proposals',
  sql: `
    ALTER TABLE policies ADD COLUMN approved_by TEXT;

    CREATE TABLE policy_proposals (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      basis_version INTEGER NOT NULL,
      document TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'rejected', 'withdrawn')),
      reason TEXT,
      proposed_at_ms INTEGER NOT NULL,
      proposed_by TEXT NOT NULL,
      expires_at_ms INTEGER NOT NULL,
      decided_at_ms INTEGER,
      decided_by TEXT
    ) STRICT;
    CREATE INDEX policy_proposals_waiting ON policy_proposals (basis_version, expires_at_ms) WHERE state = 'waiting';
  `,
}

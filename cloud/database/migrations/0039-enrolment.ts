import type { Migration } from '../migrate.ts'

/** Claims of units, and certificates that a unit fetches and that take over when it first connects with them. */
export const enrolment: Migration = {
  number: 39,
  name: 'enrolment',
  sql: `
    CREATE TABLE camera_claims (
      claim_id TEXT PRIMARY KEY,
      code_sha256 TEXT NOT NULL UNIQUE,
      camera_id TEXT NOT NULL,
      site TEXT,
      replaces INTEGER NOT NULL,
      state TEXT NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      expires_at_ms INTEGER NOT NULL,
      key_sha256 TEXT,
      csr_pem TEXT,
      asked_at_ms INTEGER,
      source TEXT,
      decided_at_ms INTEGER,
      decided_by TEXT,
      fetched_at_ms INTEGER,
      misuses INTEGER NOT NULL DEFAULT 0,
      misused_at_ms INTEGER,
      alarm INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX camera_claims_open ON camera_claims (camera_id) WHERE state IN ('waiting', 'asked');
    CREATE INDEX camera_claims_by_camera ON camera_claims (camera_id, made_at_ms);
    CREATE INDEX camera_claims_by_end ON camera_claims (expires_at_ms);
    CREATE INDEX camera_claims_alarms ON camera_claims (claim_id) WHERE alarm = 1;

    ALTER TABLE camera_certificates ADD COLUMN key_sha256 TEXT;
    ALTER TABLE camera_certificates ADD COLUMN certificate_pem TEXT;
    ALTER TABLE camera_certificates ADD COLUMN takes_over INTEGER NOT NULL DEFAULT 0;
  `,
}

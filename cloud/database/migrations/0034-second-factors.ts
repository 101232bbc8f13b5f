import type { Migration } from '../migrate.ts'

/** `sealed`: the secret under a key outside the database. `sessions.factor`: what the log-in was proved by besides the password. */
export const secondFactors: Migration = {
  number: 34,
  name: 'second-factors',
  sql: `
    CREATE TABLE totp_secrets (
      account TEXT PRIMARY KEY REFERENCES accounts (account),
      sealed BLOB NOT NULL,
      last_step INTEGER NOT NULL,
      added_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE security_keys (
      credential_id TEXT PRIMARY KEY,
      account TEXT NOT NULL REFERENCES accounts (account),
      name TEXT NOT NULL,
      public_key BLOB NOT NULL,
      counter INTEGER NOT NULL,
      transports TEXT NOT NULL,
      added_at_ms INTEGER NOT NULL,
      used_at_ms INTEGER,
      UNIQUE (account, name)
    ) STRICT;

    CREATE TABLE recovery_codes (
      account TEXT NOT NULL REFERENCES accounts (account),
      digest TEXT NOT NULL,
      PRIMARY KEY (account, digest)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE oidc_subjects (
      account TEXT PRIMARY KEY REFERENCES accounts (account),
      issuer TEXT NOT NULL,
      subject TEXT NOT NULL,
      linked_at_ms INTEGER NOT NULL,
      UNIQUE (issuer, subject)
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE sessions ADD COLUMN factor TEXT;
  `,
}

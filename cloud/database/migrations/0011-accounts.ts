import type { Migration } from '../migrate.ts'

export const accounts: Migration = {
  number: 11,
  name: 'accounts and sessions',
  sql: `
    CREATE TABLE accounts (
      account TEXT PRIMARY KEY,
      password_hash TEXT NOT NULL,
      roles TEXT NOT NULL,
      alert_groups TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      created_by TEXT,
      password_changed_at_ms INTEGER NOT NULL,
      disabled_at_ms INTEGER,
      locked_at_ms INTEGER
    ) STRICT;

    CREATE TABLE login_failures (
      account TEXT NOT NULL REFERENCES accounts (account),
      at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX login_failures_by_account ON login_failures (account, at_ms);

    CREATE TABLE sessions (
      session_id TEXT PRIMARY KEY,
      token_digest TEXT NOT NULL UNIQUE,
      account TEXT NOT NULL REFERENCES accounts (account),
      source TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      used_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX sessions_by_account ON sessions (account, created_at_ms);
    CREATE INDEX sessions_by_age ON sessions (created_at_ms);
    CREATE INDEX sessions_by_use ON sessions (used_at_ms);
  `,
}

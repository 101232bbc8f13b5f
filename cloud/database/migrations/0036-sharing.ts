import type { Migration } from '../migrate.ts'

export const sharing: Migration = {
  number: 36,
  name: 'sharing',
  sql: `
    CREATE TABLE partners (
      partner TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      jurisdiction TEXT NOT NULL,
      url TEXT,
      ca_pem TEXT NOT NULL,
      fingerprint TEXT NOT NULL,
      added_at_ms INTEGER NOT NULL,
      added_by TEXT NOT NULL,
      revoked_at_ms INTEGER,
      revoked_by TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grants (
      grant_id TEXT PRIMARY KEY,
      partner TEXT NOT NULL REFERENCES partners (partner),
      purposes TEXT NOT NULL,
      what TEXT NOT NULL,
      cameras TEXT NOT NULL,
      max_age_days REAL NOT NULL,
      from_ms INTEGER NOT NULL,
      until_ms INTEGER NOT NULL,
      crops INTEGER NOT NULL,
      patterns INTEGER NOT NULL,
      state TEXT NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      decided_at_ms INTEGER,
      decided_by TEXT,
      revoked_at_ms INTEGER,
      revoked_by TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grants_by_partner ON grants (partner, state, until_ms);
    CREATE TABLE shared_searches (
      partner TEXT NOT NULL,
      direction TEXT NOT NULL,
      request_id TEXT NOT NULL,
      own_seq INTEGER,
      their_seq INTEGER,
      at_ms INTEGER NOT NULL,
      outcome TEXT NOT NULL,
      results INTEGER,
      PRIMARY KEY (partner, direction, request_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX shared_searches_in_order ON shared_searches (partner, at_ms, request_id);
    CREATE INDEX shared_searches_by_age ON shared_searches (at_ms);
  `,
}

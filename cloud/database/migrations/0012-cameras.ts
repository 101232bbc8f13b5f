import type { Migration } from '../migrate.ts'

export const cameras: Migration = {
  number: 12,
  name: 'cameras',
  sql: `
    CREATE TABLE cameras (
      camera_id TEXT PRIMARY KEY,
      added_at_ms INTEGER NOT NULL,
      added_by TEXT NOT NULL,
      revoked_at_ms INTEGER,
      status TEXT,
      status_at_ms INTEGER,
      health TEXT,
      health_at_ms INTEGER
    ) STRICT;

    CREATE TABLE camera_certificates (
      fingerprint TEXT PRIMARY KEY,
      camera_id TEXT NOT NULL REFERENCES cameras (camera_id),
      serial TEXT NOT NULL,
      issued_at_ms INTEGER NOT NULL,
      expires_at_ms INTEGER NOT NULL,
      revoked_at_ms INTEGER,
      revoked_by TEXT
    ) STRICT;
    CREATE INDEX camera_certificates_by_camera ON camera_certificates (camera_id);

    CREATE TABLE camera_acks (
      camera_id TEXT NOT NULL REFERENCES cameras (camera_id),
      subject TEXT NOT NULL,
      version INTEGER NOT NULL,
      digest TEXT,
      result TEXT NOT NULL,
      reason TEXT,
      at_ms INTEGER NOT NULL,
      received_at_ms INTEGER NOT NULL,
      PRIMARY KEY (camera_id, subject)
    ) STRICT, WITHOUT ROWID;
  `,
}

import type { Migration } from '../migrate.ts'

export const alerts: Migration = {
  number: 2,
  name: 'alerts',
  sql: `
    CREATE TABLE alerts (
      alert_id TEXT PRIMARY KEY,
      camera_id TEXT NOT NULL,
      sighting_id TEXT NOT NULL,
      entry_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      published_revision INTEGER NOT NULL,
      state TEXT NOT NULL,
      raised_at_ms INTEGER NOT NULL,
      retained_from_ms INTEGER NOT NULL,
      document TEXT NOT NULL,
      UNIQUE (camera_id, sighting_id, entry_id)
    ) STRICT;
    CREATE INDEX alerts_by_age ON alerts (retained_from_ms);
    CREATE INDEX alerts_unpublished ON alerts (alert_id) WHERE published_revision < revision;

    CREATE TABLE alert_groups (
      alert_id TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
      group_name TEXT NOT NULL,
      state TEXT NOT NULL,
      raised_at_ms INTEGER NOT NULL,
      PRIMARY KEY (alert_id, group_name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alert_groups_in_order ON alert_groups (group_name, state, raised_at_ms, alert_id);

    CREATE TABLE alert_steps (
      alert_id TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
      revision INTEGER NOT NULL,
      step TEXT NOT NULL,
      account TEXT NOT NULL,
      at_ms INTEGER NOT NULL,
      audit_seq INTEGER NOT NULL,
      details TEXT NOT NULL,
      PRIMARY KEY (alert_id, revision)
    ) STRICT, WITHOUT ROWID;
  `,
}

import type { Migration } from '../migrate.ts'

/** What cameras said of themselves, and alarms about them. */
export const fleet: Migration = {
  number: 40,
  name: 'fleet',
  sql: `
    CREATE TABLE fleet_reports (
      camera_id TEXT NOT NULL,
      at_ms INTEGER NOT NULL,
      figures TEXT NOT NULL,
      PRIMARY KEY (camera_id, at_ms)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fleet_reports_by_time ON fleet_reports (at_ms);

    CREATE TABLE fleet_hours (
      camera_id TEXT NOT NULL,
      hour INTEGER NOT NULL,
      vehicles INTEGER NOT NULL,
      covered_ms INTEGER NOT NULL,
      spreads TEXT NOT NULL,
      PRIMARY KEY (camera_id, hour)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX fleet_hours_by_time ON fleet_hours (hour);

    CREATE TABLE fleet_alarms (
      alarm_id TEXT PRIMARY KEY,
      camera_id TEXT NOT NULL,
      kind TEXT NOT NULL,
      revision INTEGER NOT NULL,
      raised_at_ms INTEGER NOT NULL,
      cleared_at_ms INTEGER,
      detail TEXT NOT NULL,
      acknowledged_at_ms INTEGER,
      acknowledged_by TEXT,
      note TEXT,
      told_revision INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX fleet_alarms_open ON fleet_alarms (camera_id, kind) WHERE cleared_at_ms IS NULL;
    CREATE INDEX fleet_alarms_open_by_time ON fleet_alarms (raised_at_ms) WHERE cleared_at_ms IS NULL;
    CREATE INDEX fleet_alarms_by_camera ON fleet_alarms (camera_id, raised_at_ms);
    CREATE INDEX fleet_alarms_by_time ON fleet_alarms (raised_at_ms);
    CREATE INDEX fleet_alarms_by_end ON fleet_alarms (cleared_at_ms) WHERE cleared_at_ms IS NOT NULL;
    CREATE INDEX fleet_alarms_untold ON fleet_alarms (alarm_id) WHERE told_revision < revision;

    CREATE TABLE fleet_maintenance (
      camera_id TEXT PRIMARY KEY,
      until_ms INTEGER NOT NULL,
      set_at_ms INTEGER NOT NULL,
      set_by TEXT NOT NULL,
      note TEXT NOT NULL
    ) STRICT;
  `,
}

import type { Migration } from '../migrate.ts'

/** Counts of use without a plate, which outlive what they count; what a reviewer looks at; and what was published, which never changes. */
export const reviewAndPublication: Migration = {
  number: 35,
  name: 'review-and-publication',
  sql: `
    CREATE TABLE usage_days (
      utc_day INTEGER NOT NULL,
      figure TEXT NOT NULL,
      name TEXT NOT NULL,
      count INTEGER NOT NULL,
      PRIMARY KEY (utc_day, figure, name)
    ) STRICT, WITHOUT ROWID;
    -- Up to where the audit has been read.
    CREATE TABLE usage_places (
      reader TEXT PRIMARY KEY,
      seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_searches (
      seq INTEGER PRIMARY KEY,
      who TEXT NOT NULL,
      at_ms INTEGER NOT NULL,
      outcome TEXT NOT NULL,
      rule TEXT,
      plate_digest BLOB,
      case_number TEXT,
      offence_type TEXT,
      reason TEXT,
      -- 1: only a further page of what the person had searched before.
      page INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX usage_searches_by_person ON usage_searches (who, at_ms);
    CREATE INDEX usage_searches_by_age ON usage_searches (at_ms);
    -- A person's acts that followed one from another session and source.
    CREATE TABLE usage_switches (
      seq INTEGER PRIMARY KEY,
      who TEXT NOT NULL,
      at_ms INTEGER NOT NULL,
      before_seq INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX usage_switches_by_person ON usage_switches (who, at_ms);
    CREATE INDEX usage_switches_by_age ON usage_switches (at_ms);
    CREATE TABLE usage_last_acts (
      who TEXT PRIMARY KEY,
      session_id TEXT NOT NULL,
      source TEXT NOT NULL,
      at_ms INTEGER NOT NULL,
      seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    -- As long as the audit, so that a person can be told whether their plate was searched.
    CREATE TABLE usage_plates (
      plate_digest BLOB NOT NULL,
      seq INTEGER NOT NULL,
      outcome TEXT NOT NULL,
      organisation TEXT NOT NULL,
      PRIMARY KEY (plate_digest, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_camera_days (
      utc_day INTEGER NOT NULL,
      camera_id TEXT NOT NULL,
      online_ms INTEGER NOT NULL,
      made INTEGER NOT NULL,
      withheld INTEGER NOT NULL,
      lost INTEGER NOT NULL,
      PRIMARY KEY (utc_day, camera_id)
    ) STRICT, WITHOUT ROWID;
    -- The last sign of life of a camera, and the counters of its last health report.
    CREATE TABLE usage_camera_signs (
      camera_id TEXT PRIMARY KEY,
      session_id TEXT NOT NULL,
      sign_at_ms INTEGER,
      health_at_ms INTEGER,
      uptime_ms INTEGER NOT NULL,
      made INTEGER NOT NULL,
      withheld INTEGER NOT NULL,
      lost INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE review_periods (
      from_ms INTEGER PRIMARY KEY,
      to_ms INTEGER NOT NULL,
      made_at_ms INTEGER NOT NULL,
      findings INTEGER NOT NULL,
      left_out INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE review_findings (
      finding_id TEXT PRIMARY KEY,
      from_ms INTEGER NOT NULL REFERENCES review_periods (from_ms),
      to_ms INTEGER NOT NULL,
      who TEXT NOT NULL,
      flag TEXT NOT NULL,
      why TEXT NOT NULL,
      entries TEXT NOT NULL,
      entry_count INTEGER NOT NULL,
      made_at_ms INTEGER NOT NULL,
      decision TEXT NOT NULL,
      note TEXT,
      decided_at_ms INTEGER,
      decided_by TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX review_findings_by_decision ON review_findings (decision, made_at_ms);
    CREATE INDEX review_findings_by_age ON review_findings (made_at_ms);
    CREATE INDEX review_findings_by_period ON review_findings (from_ms);
    CREATE INDEX review_findings_decided ON review_findings (decided_at_ms) WHERE decided_at_ms IS NOT NULL;

    CREATE TABLE transparency_reports (
      report_id INTEGER PRIMARY KEY,
      from_day INTEGER NOT NULL,
      to_day INTEGER NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT,
      manifest TEXT NOT NULL,
      json TEXT NOT NULL,
      csv TEXT NOT NULL,
      html TEXT NOT NULL
    ) STRICT;
    CREATE INDEX transparency_reports_by_day ON transparency_reports (to_day);
    CREATE TRIGGER transparency_reports_no_update BEFORE UPDATE ON transparency_reports BEGIN
      SELECT RAISE(ABORT, 'a published report is never changed');
    END;
    CREATE TRIGGER transparency_reports_no_delete BEFORE DELETE ON transparency_reports BEGIN
      SELECT RAISE(ABORT, 'a published report is never deleted');
    END;
  `,
}

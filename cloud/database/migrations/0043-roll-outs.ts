import type { Migration } from '../migrate.ts'

/** Releases of the units' system, and what is rolled out to cameras in stages. */
export const rollOuts: Migration = {
  number: 43,
  name: 'roll-outs',
  sql: `
    CREATE TABLE releases (
      version TEXT NOT NULL,
      compatible TEXT NOT NULL,
      sha256 TEXT NOT NULL UNIQUE,
      bytes INTEGER NOT NULL,
      notes TEXT,
      added_at_ms INTEGER NOT NULL,
      added_by TEXT NOT NULL,
      PRIMARY KEY (compatible, version)
    ) STRICT;

    CREATE TABLE roll_outs (
      number INTEGER PRIMARY KEY,
      kind TEXT NOT NULL,
      sha256 TEXT,
      settings TEXT,
      stages TEXT NOT NULL,
      soak_ms INTEGER NOT NULL,
      state TEXT NOT NULL,
      stage INTEGER NOT NULL,
      since_ms INTEGER NOT NULL,
      forgiven INTEGER NOT NULL,
      because TEXT,
      reason TEXT NOT NULL,
      made_at_ms INTEGER NOT NULL,
      made_by TEXT NOT NULL,
      approved_by TEXT,
      ended_at_ms INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX roll_outs_open ON roll_outs (kind) WHERE state IN ('proposed', 'running', 'paused', 'halted');

    CREATE TABLE roll_out_turns (
      target_id TEXT PRIMARY KEY,
      number INTEGER NOT NULL REFERENCES roll_outs (number),
      camera_id TEXT NOT NULL,
      stage INTEGER NOT NULL,
      state TEXT NOT NULL,
      message TEXT,
      token TEXT NOT NULL,
      told_at_ms INTEGER,
      told_again_ms INTEGER,
      changed_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX roll_out_turns_by_number ON roll_out_turns (number);
    CREATE INDEX roll_out_turns_by_camera ON roll_out_turns (camera_id, number);
  `,
}

/** What tests of searching share: a database of its own with rows as ingest stores them, straight into the table. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DAY_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { confusableKey } from '../../shared/plate.ts'
import type { Database } from '../database/database.ts'
import type { SightingsTable } from '../database/schema.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createSightings, type Retention, type Sightings, timesOf } from '../sightings.ts'
import type { FindRequest } from './find.ts'

export const NOW_MS = Date.UTC(2026, 10, 28)

/** Matched ones are kept longer. */
export const RETENTION: Retention = {
  ...{ unmatchedMs: 20 * DAY_MS, matchedMs: 25 * DAY_MS, cropMs: DAY_MS, quarantineMs: DAY_MS },
}

/** Finds everything that is visible; a test narrows it. */
export const FIND: FindRequest = {
  ...{ nowMs: NOW_MS, retention: RETENTION, plate: null, confusable: false, fromMs: null, toMs: null, cameras: [] },
  ...{ lists: [], jurisdiction: null, colour: null, places: [], placesMet: 0, limit: 5_000, limitMs: 60_000 },
}

/** A camera at which no search comes to an end in the thread of silent-worker-testing.ts. */
export const SILENT = 'silent'

export interface StoredRow {
  cameraId: string
  sightingId: string
  revision: 0 | 1
  plate: string | null
  capturedAtMs: number
  receivedAtMs: number
  clock: 'synced' | 'unsynced'
  matched: boolean
  jurisdiction: string | null
  colour: string | null
  /** Of the camera's own match. */
  list: string | null
}

export const storedRow = (change: Partial<StoredRow>): StoredRow => ({
  ...{ cameraId: 'elm-st-1', sightingId: newId(), revision: 1, plate: 'ABC1230', capturedAtMs: NOW_MS - DAY_MS },
  ...{ receivedAtMs: change.capturedAtMs ?? NOW_MS - DAY_MS, clock: 'synced', matched: false },
  ...{ jurisdiction: null, colour: null, list: null },
  ...change,
})

export function toTableRow(row: StoredRow): SightingsTable {
  const { seenAtMs, retainedFromMs, clockTrusted } = timesOf(row, row.receivedAtMs)
  const { jurisdiction, colour, list } = row
  return {
    camera_id: row.cameraId,
    sighting_id: row.sightingId,
    revision: row.revision,
    payload_sha256: 'x',
    seen_at_ms: seenAtMs,
    received_at_ms: row.receivedAtMs,
    retained_from_ms: retainedFromMs,
    clock_trusted: clockTrusted ? 1 : 0,
    plate: row.plate,
    confusable_key: row.plate === null ? null : confusableKey(row.plate),
    matched: row.matched ? 1 : 0,
    match_disagreed: 0,
    crop_sha256: null,
    document: JSON.stringify({
      jurisdiction: jurisdiction === null ? null : { code: jurisdiction },
      vehicle: colour === null ? null : { colour },
      match: list === null ? null : { list },
    }),
  }
}

export interface SearchWorld {
  database: Database
  databaseFile: string
  sightings: Sightings
  store(rows: readonly StoredRow[]): Promise<void>
}

export async function inDatabase(work: (world: SearchWorld) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-search-'))
  const databaseFile = join(folder, 'candor.db')
  const database = openSqlite({ path: databaseFile, nowMs: NOW_MS })
  const sightings = createSightings({ database, retention: () => RETENTION })
  try {
    await work({
      ...{ database, databaseFile, sightings },
      async store(rows) {
        await database.writeBatch(rows.map((row) => sightings.insert(toTableRow(row))))
      },
    })
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

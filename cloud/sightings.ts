/**
 * Stored sightings and their evidence crops: the inserts that ingest runs, and the only queries that read them, none of which
 * ever yields a row past its retention. Owns tables sightings and crops.
 */
import { type CompiledQuery, type SelectQueryBuilder, sql } from 'kysely'
import { seenAt } from '../shared/seen.ts'
import type { Sighting } from '../shared/wire/index.ts'
import type { Database, Statement } from './database/database.ts'
import type { CropsTable, Schema, SightingsTable } from './database/schema.ts'
import type { PurgeStep } from './purge-receipt.ts'
import { purgeSightings } from './sightings/purge.ts'

/** How long each class is kept, milliseconds; from the policy in force, so that a shorter one counts at once. */
export interface Retention {
  readonly unmatchedMs: number
  readonly matchedMs: number
  readonly cropMs: number
  readonly quarantineMs: number
}

/** When the vehicle was seen, and where retention starts to run: then, but never later than received. */
export function timesOf(
  sighting: Pick<Sighting, 'capturedAtMs' | 'clock'>,
  receivedAtMs: number,
): { seenAtMs: number; retainedFromMs: number; clockTrusted: boolean } {
  const seen = seenAt(sighting, receivedAtMs)
  return { ...seen, retainedFromMs: Math.min(seen.seenAtMs, receivedAtMs) }
}

/** A sighting as it is handed to those who may see it. */
export interface StoredSighting {
  sighting: Sighting
  receivedAtMs: number
  /** When the vehicle was seen: captured, or received when the camera's clock cannot be trusted. */
  seenAtMs: number
  clockTrusted: boolean
  matched: boolean
}

const SIGHTING_COLUMNS = [
  'camera_id',
  'sighting_id',
  'revision',
  'payload_sha256',
  'seen_at_ms',
  'received_at_ms',
  'retained_from_ms',
  'clock_trusted',
  'plate',
  'confusable_key',
  'matched',
  'match_disagreed',
  'crop_sha256',
  'document',
] as const satisfies readonly (keyof SightingsTable)[]

const CROP_COLUMNS = [
  'camera_id',
  'sighting_id',
  'sha256',
  'jpeg',
  'received_at_ms',
  'retained_from_ms',
] as const satisfies readonly (keyof CropsTable)[]

export type VisibleSightings = SelectQueryBuilder<Schema, 'sightings', object>

export interface Sightings {
  insert(row: SightingsTable): Statement
  insertCrop(row: CropsTable): Statement
  /** Every revision of it is kept as a matched one from now on. */
  markMatched(cameraId: string, sightingId: string): Statement
  /** What is stored of this sighting, by revision, with the SHA-256 of its payload. Sees expired rows: they still make a repeat a repeat. */
  storedRevisions(
    cameraId: string,
    sightingId: string,
  ): Promise<ReadonlyMap<number, { sha256: string; matched: boolean }>>
  /** Where the retention of a sighting starts that announced this picture, ms; null when none did. */
  announcedCrop(cameraId: string, sightingId: string, sha256: string): Promise<number | null>
  hasCrop(cameraId: string, sightingId: string, sha256: string): Promise<boolean>
  /** Every query of people starts here. Never yields an expired row, whether or not the purge has run. */
  visible(nowMs: number): VisibleSightings
  /** The latest revision of a visible sighting, or null. An id is one camera's; who knows the camera names it, and is sure. */
  get(sightingId: string, nowMs: number, cameraId?: string): Promise<StoredSighting | null>
  /** The evidence picture of a visible sighting, or null when it has not arrived or is past its own retention. */
  crop(cameraId: string, sightingId: string, nowMs: number): Promise<{ jpeg: Buffer; sha256: string } | null>
  /** Those of these rows that are visible, by row. A row may be another sighting's by now: the caller compares. */
  at(rows: readonly number[], nowMs: number): Promise<ReadonlyMap<number, StoredSighting>>
  /** Deletes at most `limit` expired rows of each kind; what an evidence hold names is moved aside. */
  purge(nowMs: number, limit: number): Promise<PurgeStep>
  counts(): Promise<{ sightings: number; crops: number }>
}

export function createSightings(deps: { database: Database; retention: () => Retention }): Sightings {
  const { database } = deps
  const { build } = database
  const insertSighting = template(
    build.insertInto('sightings').values(blank(SIGHTING_COLUMNS) as unknown as SightingsTable),
  )
  const insertCrop = template(
    build
      .insertInto('crops')
      .values(blank(CROP_COLUMNS) as unknown as CropsTable)
      .onConflict((conflict) => conflict.columns(['camera_id', 'sighting_id', 'sha256']).doNothing()),
  )
  const revisionsOf = template(
    build
      .selectFrom('sightings')
      .select(['revision', 'payload_sha256', 'matched'])
      .where('camera_id', '=', '')
      .where('sighting_id', '=', ''),
  )

  function visible(nowMs: number): VisibleSightings {
    const { unmatchedMs, matchedMs } = deps.retention()
    // No index serves this, and none must: by its age nearly every row is visible. An OR of the two classes would be answered
    // from the index by age, that is by reading the whole table.
    return build.selectFrom('sightings').where('retained_from_ms', '>', (eb) =>
      eb
        .case()
        .when('matched', '=', 1)
        .then(eb.val(nowMs - matchedMs))
        .else(eb.val(nowMs - unmatchedMs))
        .end(),
    )
  }

  return {
    insert: (row) => insertSighting(SIGHTING_COLUMNS.map((column) => row[column])),
    insertCrop: (row) => insertCrop(CROP_COLUMNS.map((column) => row[column])),
    markMatched: (cameraId, sightingId) =>
      build
        .updateTable('sightings')
        .set({ matched: 1 })
        .where('camera_id', '=', cameraId)
        .where('sighting_id', '=', sightingId),
    async storedRevisions(cameraId, sightingId) {
      const rows = (await database.read(revisionsOf([cameraId, sightingId]))) as Pick<
        SightingsTable,
        'revision' | 'payload_sha256' | 'matched'
      >[]
      return new Map(rows.map((row) => [row.revision, { sha256: row.payload_sha256, matched: row.matched === 1 }]))
    },
    async announcedCrop(cameraId, sightingId, sha256) {
      const [row] = await database.read(
        build
          .selectFrom('sightings')
          .select('retained_from_ms')
          .where('camera_id', '=', cameraId)
          .where('sighting_id', '=', sightingId)
          .where('crop_sha256', '=', sha256)
          .limit(1),
      )
      return row?.retained_from_ms ?? null
    },
    async hasCrop(cameraId, sightingId, sha256) {
      const rows = await database.read(
        build
          .selectFrom('crops')
          .select('sha256')
          .where('camera_id', '=', cameraId)
          .where('sighting_id', '=', sightingId)
          .where('sha256', '=', sha256),
      )
      return rows.length > 0
    },
    visible,
    async get(sightingId, nowMs, cameraId) {
      let query = visible(nowMs).selectAll().where('sighting_id', '=', sightingId)
      if (cameraId !== undefined) query = query.where('camera_id', '=', cameraId)
      const rows = await database.read(query.orderBy('revision', 'desc').orderBy('received_at_ms').limit(1))
      return rows[0] === undefined ? null : toStored(rows[0])
    },
    async crop(cameraId, sightingId, nowMs) {
      const shown = visible(nowMs).select('sighting_id').where('camera_id', '=', cameraId)
      const [row] = await database.read(
        build
          .selectFrom('crops')
          .select(['jpeg', 'sha256'])
          .where('camera_id', '=', cameraId)
          .where('sighting_id', 'in', shown.where('sighting_id', '=', sightingId))
          .where('retained_from_ms', '>', nowMs - deps.retention().cropMs)
          .orderBy('received_at_ms', 'desc')
          .limit(1),
      )
      return row ?? null
    },
    async at(rows, nowMs) {
      const row = sql<number>`sightings.rowid`
      const found = await database.read(
        visible(nowMs)
          .selectAll()
          .select(row.as('row'))
          .where(row, 'in', [...rows]),
      )
      return new Map(found.map((one) => [one.row, toStored(one)]))
    },
    purge: (nowMs, limit) => purgeSightings(database, deps.retention(), nowMs, limit),
    async counts() {
      const [sightings] = await database.read(
        build.selectFrom('sightings').select((eb) => eb.fn.countAll<number>().as('count')),
      )
      const [crops] = await database.read(
        build.selectFrom('crops').select((eb) => eb.fn.countAll<number>().as('count')),
      )
      return { sightings: sightings?.count ?? 0, crops: crops?.count ?? 0 }
    },
  }
}

export function toStored(row: SightingsTable): StoredSighting {
  return {
    sighting: JSON.parse(row.document) as Sighting,
    receivedAtMs: row.received_at_ms,
    seenAtMs: row.seen_at_ms,
    clockTrusted: row.clock_trusted === 1,
    matched: row.matched === 1,
  }
}

/** Any value will do: only the statement's text is kept. */
function blank(columns: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column, '']))
}

/** A statement compiled once; compiling anew costs more than SQLite's insert. Parameters in the order of the builder's values. */
function template(query: { compile(): CompiledQuery }): (parameters: readonly unknown[]) => CompiledQuery {
  const compiled = query.compile()
  return (parameters) => ({ ...compiled, parameters })
}

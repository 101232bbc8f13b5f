/**
 * Finds sightings: the statements of every kind of search, each bounded, with a pause between two of them. Knows nothing of people,
 * purposes or the audit. Runs in a worker thread beside the cloud (find-worker.ts), on the door of the database, so that another
 * database can stand behind it.
 */
import { type ExpressionBuilder, type SelectQueryBuilder, sql } from 'kysely'
import { confusableKey, nearVariants, patternToRegExp } from '../../shared/plate.ts'
import type { Database } from '../database/database.ts'
import type { Schema } from '../database/schema.ts'
import { createSightings, type Retention, type Sightings } from '../sightings.ts'
import { type KeyRange, type KeyWalk, toLike, walkOf } from './patterns.ts'
import { MAX_PLACE_SIGHTINGS, type Place, type PlateQuery, type ResultKind } from './request.ts'

export interface FindRequest {
  /** Nothing that is past its retention by then is found. */
  nowMs: number
  retention: Retention
  plate: PlateQuery | null
  /** Also what reading takes for the plate; without a plate, such reads in several places are one vehicle. */
  confusable: boolean
  fromMs: number | null
  toMs: number | null
  cameras: readonly string[]
  lists: readonly string[]
  jurisdiction: string | null
  colour: string | null
  places: readonly Place[]
  placesMet: number
  /** Sightings; one more only shows that there are more. */
  limit: number
  /** Ends with what was found until then, milliseconds. */
  limitMs: number
}

export interface Found {
  /** The row; camera, time and plate say whether it is still the same one. */
  row: number
  cameraId: string
  seenAtMs: number
  plate: string | null
  kind: ResultKind
  /** Of a search in several places: which of them its vehicle passed. */
  placesMet: number[] | null
}

export interface FoundAll {
  /** Newest first; of several places: by vehicle, most places first. At most `limit`. */
  found: Found[]
  vehicles: number | null
  truncated: boolean
  timedOut: boolean
}

/** Between two statements: false ends the search with what it has. */
export type GoOn = () => Promise<boolean>

/** Of a search without a plate, in one statement. */
const CAMERAS_OF_STATEMENT = 16

type Rows = SelectQueryBuilder<Schema, 'sightings', FoundRow>
type Source = Pick<Database, 'build' | 'read'> & Pick<Sightings, 'visible'>
type FoundRow = { row: number; camera_id: string; seen_at_ms: number; plate: string | null }

export async function find(
  { build, read }: Pick<Database, 'build' | 'read'>,
  request: FindRequest,
  goOn: GoOn,
): Promise<FoundAll> {
  // Made for its one rule of what is visible; it reads nothing by itself here.
  const { visible } = createSightings({ database: { build, read } as Database, retention: () => request.retention })
  const database: Source = { build, read, visible }
  if (request.places.length > 0) return findInPlaces(database, request, goOn)
  const { limit } = request
  const walk = request.plate === null ? byCamera : request.plate.kind === 'exact' ? byPlate : byPattern
  let kept: FoundRow[] = []
  let [truncated, timedOut] = [false, false]
  for await (const query of walk(database, request)) {
    // Each gives the newest of its own; of a pattern any are as good, and the first `limit` end it.
    const isFull = kept.length > limit && walk === byPattern
    if (isFull) break
    if (!(await goOn())) {
      timedOut = true
      break
    }
    kept.push(...(await database.read(query.limit(limit + 1 - (walk === byPattern ? kept.length : 0)))))
    if (walk === byCamera && kept.length > limit) {
      truncated = true
      kept = kept.sort(newestFirst).slice(0, limit)
    }
  }
  truncated ||= kept.length > limit || timedOut
  const kindOf = kinds(request.plate)
  const found = kept
    .sort(newestFirst)
    .slice(0, limit)
    .map((row) => toFound(row, kindOf(row.plate), null))
  return { found, vehicles: null, truncated, timedOut }
}

/** Read only of rows that meet all else. */
const JURISDICTION = sql<string>`json_extract(document, '$.jurisdiction.code')`
const COLOUR = sql<string>`json_extract(document, '$.vehicle.colour')`

/** What all walks have in common: visible, no preview that its final has corrected, and what the request narrows by. */
function rowsOf(database: Source, request: FindRequest): Rows {
  const { nowMs, retention, jurisdiction, colour, lists } = request
  let query = database
    .visible(nowMs)
    .select([sql<number>`sightings.rowid`.as('row'), 'camera_id', 'seen_at_ms', 'plate'])
    .where((eb) =>
      eb.or([
        // Most rows need no look at others.
        eb('revision', '=', 1),
        eb.not(
          eb.exists(
            eb
              .selectFrom('sightings as later')
              .select('later.revision')
              .whereRef('later.sighting_id', '=', 'sightings.sighting_id')
              .whereRef('later.camera_id', '=', 'sightings.camera_id')
              .whereRef('later.revision', '>', 'sightings.revision'),
          ),
        ),
      ]),
    )
  if (colour !== null) query = query.where(COLOUR, '=', colour)
  if (jurisdiction !== null) {
    query = query.where((eb) =>
      eb.or([eb(JURISDICTION, '=', jurisdiction), eb(JURISDICTION, 'like', `${jurisdiction}-%`)]),
    )
  }
  return lists.length === 0 ? query : query.where((eb) => ofLists(eb, lists, nowMs - retention.matchedMs))
}

function ofLists(eb: ExpressionBuilder<Schema, 'sightings'>, lists: readonly string[], shownFromMs: number) {
  const own = eb
    .selectFrom('alerts')
    .select('alerts.alert_id')
    .where('alerts.list', 'in', [...lists])
    .where('alerts.retained_from_ms', '>', shownFromMs)
  const raised = own
    .whereRef('alerts.camera_id', '=', 'sightings.camera_id')
    .whereRef('alerts.sighting_id', '=', 'sightings.sighting_id')
  const joined = own
    .innerJoin('alert_sightings', 'alert_sightings.alert_id', 'alerts.alert_id')
    .whereRef('alert_sightings.camera_id', '=', 'sightings.camera_id')
    .whereRef('alert_sightings.sighting_id', '=', 'sightings.sighting_id')
  const camera = sql<string>`json_extract(sightings.document, '$.match.list')`
  const met = eb.or([eb.exists(raised), eb.exists(joined), eb(camera, 'in', [...lists])])
  // Of 25 sightings one is matched, and only that is looked at. As a CASE, or SQLite might walk all that are.
  return eb(eb.case().when('matched', '=', 0).then(0).when(met).then(1).else(0).end(), '=', 1)
}

function inWindow(query: Rows, { fromMs, toMs }: Pick<FindRequest, 'fromMs' | 'toMs'>): Rows {
  const from = fromMs === null ? query : query.where('seen_at_ms', '>=', fromMs)
  return toMs === null ? from : from.where('seen_at_ms', '<', toMs)
}

/** Beside a plate: as a CASE, or SQLite might walk by camera and look at all that passed there. */
function pastCameras(query: Rows, { cameras }: FindRequest): Rows {
  if (cameras.length === 0) return query
  return query.where((eb) =>
    eb(
      eb
        .case()
        .when('camera_id', 'in', [...cameras])
        .then(1)
        .else(0)
        .end(),
      '=',
      1,
    ),
  )
}

/** The texts that a plate asked for may have been read as. */
const textsOf = ({ text }: PlateQuery, confusable: boolean) =>
  confusable ? [text, ...nearVariants(text, []).map(({ plate }) => plate)] : [text]

function* byPlate(database: Source, request: FindRequest): Generator<Rows> {
  const { plate } = request
  if (plate === null) return
  yield pastCameras(inWindow(rowsOf(database, request), request), request)
    .where('confusable_key', '=', confusableKey(plate.text))
    .where('plate', 'in', textsOf(plate, request.confusable))
    .orderBy('seen_at_ms', 'desc')
}

function* byPattern(database: Source, request: FindRequest): Generator<Rows> {
  const { plate } = request
  if (plate === null) return
  const walk = walkOf(plate.text)
  for (const range of walk.ranges) {
    const query = pastCameras(inWindow(rowsOf(database, request), request), request).where(
      'confusable_key',
      'in',
      keysOf(database, walk, range),
    )
    yield request.confusable ? query : query.where('plate', 'like', toLike(plate.text))
  }
}

const keysOf = ({ build }: Source, { like }: KeyWalk, { from, to }: KeyRange) =>
  build
    .selectFrom('plate_keys')
    .select('confusable_key')
    .where('confusable_key', '>=', from)
    .where('confusable_key', '<', to)
    .where('confusable_key', 'like', like)

/** Without a plate: some cameras at a time, of each time the newest. */
async function* byCamera(database: Source, request: FindRequest): AsyncGenerator<Rows> {
  const cameras = request.cameras.length > 0 ? [...new Set(request.cameras)] : await camerasOf(database)
  for (let from = 0; from < cameras.length; from += CAMERAS_OF_STATEMENT) {
    yield inWindow(rowsOf(database, request), request)
      .where('camera_id', 'in', cameras.slice(from, from + CAMERAS_OF_STATEMENT))
      .orderBy('seen_at_ms', 'desc')
  }
}

/** Every camera that has a sighting, from one to the next in the index: a DISTINCT would read all of it. */
async function camerasOf({ build, read }: Source): Promise<string[]> {
  const rows = await read(
    build
      .withRecursive('seen(camera_id)', (walk) =>
        walk
          .selectFrom('sightings')
          .select((eb) => eb.fn.min<string | null>('camera_id').as('camera_id'))
          .unionAll(
            walk
              .selectFrom('seen')
              .where('seen.camera_id', 'is not', null)
              .select((eb) =>
                eb
                  .selectFrom('sightings')
                  .select((of) => of.fn.min<string | null>('sightings.camera_id').as('next'))
                  .whereRef('sightings.camera_id', '>', 'seen.camera_id')
                  .as('camera_id'),
              ),
          ),
      )
      .selectFrom('seen')
      .select('camera_id'),
  )
  return rows.flatMap(({ camera_id }) => camera_id ?? [])
}

async function findInPlaces(database: Source, request: FindRequest, goOn: GoOn): Promise<FoundAll> {
  const { plate, confusable, places, limit } = request
  const isAsked = plate === null ? () => true : asked(plate, confusable)
  const vehicleOf = (read: string) => (confusable ? confusableKey(read) : read)
  const vehicles = new Map<string, { met: Set<number>; rows: Map<number, FoundRow> }>()
  let [truncated, timedOut] = [false, false]
  for (const [i, place] of places.entries()) {
    if (!(await goOn())) {
      timedOut = true
      break
    }
    const rows = await database.read(
      inWindow(inWindow(rowsOf(database, request), request), place)
        .where('camera_id', '=', place.camera)
        .where('plate', 'is not', null)
        .orderBy('seen_at_ms', 'desc')
        .limit(MAX_PLACE_SIGHTINGS + 1),
    )
    truncated ||= rows.length > MAX_PLACE_SIGHTINGS
    for (const row of rows.slice(0, MAX_PLACE_SIGHTINGS)) {
      if (row.plate === null || !isAsked(row.plate)) continue
      const vehicle = vehicles.get(vehicleOf(row.plate)) ?? { met: new Set(), rows: new Map() }
      vehicle.met.add(i)
      vehicle.rows.set(row.row, row)
      vehicles.set(vehicleOf(row.plate), vehicle)
    }
  }
  const kindOf = kinds(plate)
  const meeting = [...vehicles.values()]
    .filter(({ met }) => met.size >= request.placesMet)
    .map(({ met, rows }) => ({ met: [...met].sort((a, b) => a - b), rows: [...rows.values()].sort(newestFirst) }))
    .sort((a, b) => b.met.length - a.met.length || newestFirst(a.rows[0] as FoundRow, b.rows[0] as FoundRow))
  const found = meeting.flatMap(({ met, rows }) => rows.map((row) => toFound(row, kindOf(row.plate), met)))
  return {
    found: found.slice(0, limit),
    vehicles: meeting.length,
    truncated: truncated || timedOut || found.length > limit,
    timedOut,
  }
}

/** Does a read meet the plate or pattern asked for? */
function asked(plate: PlateQuery, confusable: boolean): (read: string) => boolean {
  if (plate.kind === 'exact') {
    const texts = new Set(textsOf(plate, confusable))
    return (read) => texts.has(read)
  }
  const pattern = patternToRegExp(confusable ? confusableKey(plate.text) : plate.text)
  return (read) => pattern.test(confusable ? confusableKey(read) : read)
}

/** How a read that was found meets what was asked for. */
function kinds(plate: PlateQuery | null): (read: string | null) => ResultKind {
  if (plate === null) return () => 'any'
  if (plate.kind === 'exact') return (read) => (read === plate.text ? 'exact' : 'near')
  const pattern = patternToRegExp(plate.text)
  return (read) => (read !== null && pattern.test(read) ? 'pattern' : 'near')
}

function newestFirst(a: FoundRow, b: FoundRow): number {
  return b.seen_at_ms - a.seen_at_ms || b.row - a.row
}

function toFound(row: FoundRow, kind: ResultKind, placesMet: number[] | null): Found {
  return { row: row.row, cameraId: row.camera_id, seenAtMs: row.seen_at_ms, plate: row.plate, kind, placesMet }
}

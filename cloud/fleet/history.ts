/**
 * The fleet's past: figures of single reports for some days, hours of them for longer. Statements for the transaction in which ingest
 * stores a batch, and reads for the page. At most one row a camera in ROW_INTERVAL_MS, however often it reports. Part of fleet.ts, the
 * owner of its tables.
 */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { CameraHealth } from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { FleetConfig } from './config.ts'
import { type CountedHour, isSameProcess, medianOf, pastHours } from './judging.ts'
import { type Figures, figuresOf, type Spreads, spreadOver } from './metrics.ts'
import type { UsualPicture } from './picture.ts'

/** Between two rows of one camera. The reference city writes 95 rows in it. */
export const ROW_INTERVAL_MS = 2 * MINUTE_MS
/** A gap longer than this between two reports is not covered by them: a camera may be set to report once an hour. */
export const MAX_COVERED_MS = 61 * MINUTE_MS
/** Rows deleted in one step. */
export const PURGE_STEP_ROWS = 500
const INTERVAL_ROWS = 5
/** Rows that a query of the past gives. */
export const MAX_REPORTS = 6_000
export const MAX_HOURS = 3_000
/** What is usual is the median of as many days, if there are the least. */
const USUAL_DAYS = 14
export const LEAST_USUAL_DAYS = 3
/** Sharpness says nothing of the hour: where that has too little past, all hours will do. */
const LEAST_USUAL_HOURS = 24

export interface OpenHour extends CountedHour {
  spreads: Spreads
}

/** What is kept of a camera between its reports. */
export interface CameraPast {
  /** The newest report. */
  latest: { health: CameraHealth; receivedAtMs: number } | null
  hour: OpenHour | null
  rowAtMs: number
}

export interface Reported {
  statements: Statement[]
  /** An hour that is over. */
  ended: OpenHour | null
}

export const hourOf = (atMs: number) => Math.floor(atMs / HOUR_MS)

export interface History {
  /** Counts a report in `past` and returns what is to be written. */
  report(past: CameraPast, health: CameraHealth, receivedAtMs: number): Reported
  /** What a camera was before this start of the cloud. */
  past(camera: string, nowMs: number): Promise<OpenHour | null>
  /** Usual time between its last rows, which are never closer than ROW_INTERVAL_MS; null: too few. */
  interval(camera: string): Promise<number | null>
  pastHours(camera: string, hour: number): Promise<CountedHour[]>
  usual(camera: string, hour: number): Promise<UsualPicture>
  reports(camera: string, fromMs: number, toMs: number): Promise<{ atMs: number; figures: Figures }[]>
  /** Vehicles of every camera in one hour. */
  vehiclesIn(hour: number): Promise<ReadonlyMap<string, number>>
  hours(camera: string, fromMs: number, toMs: number): Promise<OpenHour[]>
  /** Deletes one step of what is too old; how many rows. */
  purge(nowMs: number): Promise<number>
}

export function createHistory({ database, config }: { database: Database; config: FleetConfig }): History {
  const { build } = database

  const storeHour = (camera: string, { hour, vehicles, coveredMs, spreads }: OpenHour): Statement => {
    const values = { vehicles, covered_ms: coveredMs, spreads: JSON.stringify(spreads) }
    return build
      .insertInto('fleet_hours')
      .values({ camera_id: camera, hour, ...values })
      .onConflict((conflict) => conflict.columns(['camera_id', 'hour']).doUpdateSet(values))
  }

  const ofCamera = (camera: string) => build.selectFrom('fleet_hours').selectAll().where('camera_id', '=', camera)

  return {
    report(past, health, receivedAtMs) {
      const { latest } = past
      const before = latest !== null && isSameProcess(latest, { health, receivedAtMs }) ? latest.health : null
      const passedMs = before === null || latest === null ? health.uptimeMs : receivedAtMs - latest.receivedAtMs
      const coveredMs = passedMs >= 0 && passedMs <= MAX_COVERED_MS ? passedMs : 0
      const vehicles = Math.max(0, health.sightings.made - (before?.sightings.made ?? 0))
      const figures = figuresOf(health, receivedAtMs)
      const hour = hourOf(receivedAtMs)
      const statements: Statement[] = []
      let ended: OpenHour | null = null
      if (past.hour !== null && past.hour.hour !== hour) {
        ended = past.hour
        statements.push(storeHour(health.cameraId, ended))
        past.hour = null
      }
      const open = past.hour ?? { hour, vehicles: 0, coveredMs: 0, spreads: {} }
      past.hour = {
        hour,
        vehicles: open.vehicles + vehicles,
        coveredMs: Math.min(HOUR_MS, open.coveredMs + Math.round(coveredMs)),
        spreads: spreadOver(open.spreads, figures),
      }
      past.latest = { health, receivedAtMs }
      // A clock that was set back must not silence a camera for as long.
      const sinceRowMs = receivedAtMs - past.rowAtMs
      if (sinceRowMs >= 0 && sinceRowMs < ROW_INTERVAL_MS) return { statements, ended }
      past.rowAtMs = receivedAtMs
      statements.push(
        build
          .insertInto('fleet_reports')
          .values({ camera_id: health.cameraId, at_ms: receivedAtMs, figures: JSON.stringify(figures) })
          .onConflict((conflict) => conflict.doNothing()),
        storeHour(health.cameraId, past.hour),
      )
      return { statements, ended }
    },

    async past(camera, nowMs) {
      const [row] = await database.read(ofCamera(camera).where('hour', '=', hourOf(nowMs)))
      return row === undefined ? null : openHour(row)
    },

    async interval(camera) {
      const rows = await database.read(
        build
          .selectFrom('fleet_reports')
          .select('at_ms')
          .where('camera_id', '=', camera)
          .orderBy('at_ms', 'desc')
          .limit(INTERVAL_ROWS),
      )
      if (rows.length < INTERVAL_ROWS) return null
      return medianOf(rows.slice(1).map(({ at_ms }, i) => (rows[i]?.at_ms ?? at_ms) - at_ms))
    },

    async pastHours(camera, hour) {
      const rows = await database.read(
        build
          .selectFrom('fleet_hours')
          .select(['hour', 'vehicles', 'covered_ms'])
          .where('camera_id', '=', camera)
          .where('hour', 'in', pastHours(hour)),
      )
      return rows.map((row) => ({ hour: row.hour, vehicles: row.vehicles, coveredMs: row.covered_ms }))
    },

    async usual(camera, hour) {
      const rows = await database.read(
        ofCamera(camera)
          .where('hour', '>=', hour - 24 * USUAL_DAYS)
          .where('hour', '<', hour)
          .orderBy('hour'),
      )
      const hours = rows.map(openHour)
      const same = hours.filter((one) => (hour - one.hour) % 24 === 0)
      const means = (of: readonly OpenHour[], metric: 'luminance' | 'sharpness') =>
        of.flatMap(({ spreads }) => (spreads[metric] === undefined ? [] : [spreads[metric][1]]))
      const usualOf = (values: readonly number[], least: number) => (values.length < least ? null : medianOf(values))
      return {
        luminance: usualOf(means(same, 'luminance'), LEAST_USUAL_DAYS),
        sharpness:
          usualOf(means(same, 'sharpness'), LEAST_USUAL_DAYS) ?? usualOf(means(hours, 'sharpness'), LEAST_USUAL_HOURS),
      }
    },

    async reports(camera, fromMs, toMs) {
      const rows = await database.read(
        build
          .selectFrom('fleet_reports')
          .selectAll()
          .where('camera_id', '=', camera)
          .where('at_ms', '>=', fromMs)
          .where('at_ms', '<', toMs)
          .orderBy('at_ms', 'desc')
          .limit(MAX_REPORTS),
      )
      return rows.reverse().map((row) => ({ atMs: row.at_ms, figures: JSON.parse(row.figures) as Figures }))
    },

    async vehiclesIn(hour) {
      const rows = await database.read(
        build.selectFrom('fleet_hours').select(['camera_id', 'vehicles']).where('hour', '=', hour),
      )
      return new Map(rows.map((row) => [row.camera_id, row.vehicles]))
    },

    async hours(camera, fromMs, toMs) {
      const rows = await database.read(
        ofCamera(camera)
          .where('hour', '>=', hourOf(fromMs))
          .where('hour', '<=', hourOf(toMs))
          .orderBy('hour', 'desc')
          .limit(MAX_HOURS),
      )
      return rows.reverse().map(openHour)
    },

    async purge(nowMs) {
      const reports = build
        .selectFrom('fleet_reports')
        .select(['camera_id', 'at_ms'])
        .where('at_ms', '<', nowMs - config.historyDays * DAY_MS)
        .limit(PURGE_STEP_ROWS)
      const hours = build
        .selectFrom('fleet_hours')
        .select(['camera_id', 'hour'])
        .where('hour', '<', hourOf(nowMs - config.summaryDays * DAY_MS))
        .limit(PURGE_STEP_ROWS)
      const written = await database.writeBatch([
        build
          .deleteFrom('fleet_reports')
          .where(({ eb, refTuple }) =>
            eb(refTuple('camera_id', 'at_ms'), 'in', reports.$asTuple('camera_id', 'at_ms')),
          ),
        build
          .deleteFrom('fleet_hours')
          .where(({ eb, refTuple }) => eb(refTuple('camera_id', 'hour'), 'in', hours.$asTuple('camera_id', 'hour'))),
      ])
      return written.reduce((sum, { changes }) => sum + changes, 0)
    },
  }
}

const openHour = (row: { hour: number; vehicles: number; covered_ms: number; spreads: string }): OpenHour => ({
  ...{ hour: row.hour, vehicles: row.vehicles, coveredMs: row.covered_ms },
  spreads: JSON.parse(row.spreads) as Spreads,
})

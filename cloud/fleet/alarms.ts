/**
 * Alarms of the fleet as rows: raised, acknowledged, cleared; each in the audit before it is done, and told to people and other programs
 * until that has succeeded. One open alarm a camera and kind, which the table's index holds. Part of fleet.ts, the owner of its tables.
 */
import { sql } from 'kysely'
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { NewId } from '../../shared/ids.ts'
import type { AlarmKind, FleetAlarm } from '../../shared/wire/index.ts'
import { CLOUD_ACTOR } from '../audit/entry.ts'
import type { Audit } from '../audit/log.ts'
import type { Database, Statement, Written } from '../database/database.ts'
import type { FleetAlarmsTable } from '../database/schema-fleet.ts'
import type { Detail } from './judging.ts'

/** Alarms told in one step. */
const TELL_STEP = 25
export const MAX_ALARM_PAGE = 500
const PURGE_STEP_ROWS = 500

export interface AlarmsDeps {
  database: Database
  agency: string
  audit: Pick<Audit, 'append'>
  clock: Clock
  newId: NewId
  /** Cleared alarms are kept for so long, days. */
  keptDays: number
  /** Resolves when the broker has it in the queue of every subscribed session. */
  publish: (alarm: FleetAlarm) => Promise<void>
  /** Queues it for other programs, in the transaction that marks it as told. */
  queue: (alarms: readonly FleetAlarm[]) => { statements: Statement[]; committed(written: readonly Written[]): void }
}

export interface AlarmQuery {
  open: boolean
  camera: string | null
  limit: number
}

export function createAlarms(deps: AlarmsDeps) {
  const { database, agency, audit, clock } = deps
  const { build } = database
  let telling: Promise<void> = Promise.resolve()

  const toAlarm = (row: FleetAlarmsTable): FleetAlarm => ({
    ...{ alarmId: row.alarm_id, agency, cameraId: row.camera_id, kind: row.kind as AlarmKind, revision: row.revision },
    ...{ raisedAtMs: row.raised_at_ms, clearedAtMs: row.cleared_at_ms, detail: JSON.parse(row.detail) as Detail },
    acknowledged:
      row.acknowledged_at_ms === null
        ? null
        : { atMs: row.acknowledged_at_ms, by: row.acknowledged_by ?? '', note: row.note ?? '' },
  })

  const all = () => build.selectFrom('fleet_alarms').selectAll()
  // The condition of the partial index, word for word: only so is it used.
  const isOpen = sql<boolean>`cleared_at_ms IS NULL`

  const record = (operation: string, cameraId: string, kind: AlarmKind, detail: Detail = {}) =>
    audit.append({
      ...{ operation, outcome: 'allowed', actor: CLOUD_ACTOR, subject: { kind: 'camera', id: cameraId } },
      detail: { ...detail, alarm: kind },
    })

  async function tellStep(): Promise<number> {
    const rows = await database.read(
      all().where(sql<boolean>`told_revision < revision`).orderBy('alarm_id').limit(TELL_STEP),
    )
    if (rows.length === 0) return 0
    const alarms = rows.map(toAlarm)
    for (const alarm of alarms) await deps.publish(alarm)
    const queued = deps.queue(alarms)
    const written = await database.writeBatch([
      ...queued.statements,
      ...rows.map(({ alarm_id, revision }) =>
        build
          .updateTable('fleet_alarms')
          .set({ told_revision: revision })
          .where('alarm_id', '=', alarm_id)
          .where('told_revision', '<', revision),
      ),
    ])
    queued.committed(written)
    return rows.length
  }

  return {
    async open(): Promise<FleetAlarm[]> {
      return (await database.read(all().where(isOpen).orderBy('camera_id').orderBy('kind'))).map(toAlarm)
    },

    async raise(cameraId: string, kind: AlarmKind, detail: Detail): Promise<FleetAlarm> {
      await record('camera.alarm_raised', cameraId, kind, detail)
      const row: FleetAlarmsTable = {
        ...{ alarm_id: deps.newId(), camera_id: cameraId, kind, revision: 0, raised_at_ms: clock.nowMs() },
        ...{ cleared_at_ms: null, detail: JSON.stringify(detail), acknowledged_at_ms: null, acknowledged_by: null },
        ...{ note: null, told_revision: -1 },
      }
      await database.writeBatch([build.insertInto('fleet_alarms').values(row)])
      return toAlarm(row)
    },

    async clear({ alarmId, cameraId, kind }: FleetAlarm): Promise<void> {
      await record('camera.alarm_cleared', cameraId, kind)
      await database.writeBatch([
        build
          .updateTable('fleet_alarms')
          .set(({ eb }) => ({ cleared_at_ms: clock.nowMs(), revision: eb('revision', '+', 1) }))
          .where('alarm_id', '=', alarmId)
          .where('cleared_at_ms', 'is', null),
      ])
    },

    /** Throws `not_found`; `conflict` when somebody has. */
    async acknowledge(alarmId: string, note: string, by: string): Promise<FleetAlarm> {
      const [done] = await database.writeBatch([
        build
          .updateTable('fleet_alarms')
          .set(({ eb }) => ({
            ...{ acknowledged_at_ms: clock.nowMs(), acknowledged_by: by, note },
            revision: eb('revision', '+', 1),
          }))
          .where('alarm_id', '=', alarmId)
          .where('acknowledged_at_ms', 'is', null),
      ])
      const alarm = await this.find(alarmId)
      if (done?.changes === 1) return alarm
      throw new AppError('conflict', `${alarm.acknowledged?.by ?? 'somebody'} has acknowledged it already`)
    },

    async find(alarmId: string): Promise<FleetAlarm> {
      const [row] = await database.read(all().where('alarm_id', '=', alarmId))
      if (row === undefined) throw new AppError('not_found', 'there is no such alarm')
      return toAlarm(row)
    },

    /** Newest first. */
    async list({ open, camera, limit }: AlarmQuery): Promise<FleetAlarm[]> {
      let query = all().orderBy('raised_at_ms', 'desc').limit(limit)
      if (camera !== null) query = query.where('camera_id', '=', camera)
      if (open) query = query.where(isOpen)
      return (await database.read(query)).map(toAlarm)
    },

    /** What people and programs have not been told yet; one at a time. Rejects when that fails; then it is tried at the next call. */
    tell(): Promise<void> {
      const turn = telling.then(async () => {
        while ((await tellStep()) > 0) {}
      })
      telling = turn.catch(() => {})
      return turn
    },

    async purge(nowMs: number): Promise<number> {
      const old = build
        .selectFrom('fleet_alarms')
        .select('alarm_id')
        .where('cleared_at_ms', 'is not', null)
        .where('cleared_at_ms', '<', nowMs - deps.keptDays * DAY_MS)
        .limit(PURGE_STEP_ROWS)
      const [deleted] = await database.writeBatch([build.deleteFrom('fleet_alarms').where('alarm_id', 'in', old)])
      return deleted?.changes ?? 0
    },
  }
}

export type Alarms = ReturnType<typeof createAlarms>

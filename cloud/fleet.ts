/**
 * The watch over the cameras: keeps what they say of themselves, and raises alarms when one goes quiet, sees badly or is unwell. Ingest
 * hands it every report and writes its statements; everything else happens after that. Owns tables fleet_reports, fleet_hours,
 * fleet_alarms and fleet_maintenance. Built by main.ts; the API asks it.
 */
import { DAY_MS, HOUR_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type {
  AlarmKind,
  CameraHealth,
  CameraStatus,
  Device,
  FleetAlarm,
  SettingsInForce,
} from '../shared/wire/index.ts'
import type { Cameras } from './cameras.ts'
import type { Statement } from './database/database.ts'
import { type AlarmQuery, type AlarmsDeps, createAlarms } from './fleet/alarms.ts'
import type { FleetConfig } from './fleet/config.ts'
import { createHistory, type OpenHour } from './fleet/history.ts'
import { createLosses } from './fleet/losses.ts'
import { type Figures, figuresOf } from './fleet/metrics.ts'
import { createWatching, newWatched, type Watched } from './fleet/watching.ts'
import type { WebhookNotice } from './webhooks/notices.ts'

/** A camera is serviced for so long at most; longer ones are set anew. */
export const MAX_MAINTENANCE_MS = 14 * DAY_MS
/** Steps of a purge in one round of the upkeep. */
const PURGE_STEPS = 20

/** `serviced`: no alarm is raised. `new`: never heard of. */
export type CameraState = 'ok' | 'alarm' | 'serviced' | 'new'

export interface FleetCamera {
  camera: string
  state: CameraState
  online: boolean
  lastHeardAtMs: number | null
  figures: Figures
  /** Vehicles in the hour of now, and in the one before. */
  vehiclesThisHour: number
  vehiclesLastHour: number
  versions: NonNullable<Device['versions']> | null
  throttle: NonNullable<Device['throttle']> | null
  /** Is its data partition sealed to its key store? Null: it does not say. */
  dataEncrypted: boolean | null
  hotlists: { list: string; version: number; stale: boolean }[]
  /** By which settings it says that it works; null: it does not say. */
  settings: SettingsInForce | null
  maintenance: { untilMs: number; by: string; note: string } | null
  alarms: FleetAlarm[]
}

export interface Fleet {
  /** What is to be written with the batch in which the report arrived. Never throws, never waits. */
  recordHealth(health: CameraHealth, receivedAtMs: number): Statement[]
  recordStatus(status: CameraStatus, receivedAtMs: number): void
  cameras(): Promise<FleetCamera[]>
  /** By camera: the settings that it last said to work by, and when that came. */
  settings(): Map<string, SettingsInForce & { heardAtMs: number }>
  history(
    camera: string,
    fromMs: number,
    toMs: number,
  ): Promise<{ reports: { atMs: number; figures: Figures }[]; hours: OpenHour[] }>
  alarms(query: AlarmQuery): Promise<FleetAlarm[]>
  findAlarm(alarmId: string): Promise<FleetAlarm>
  acknowledge(alarmId: string, note: string, by: string): Promise<FleetAlarm>
  /** `untilMs` null: it is over. Throws `not_found`, `bad_input`. */
  setMaintenance(camera: string, untilMs: number | null, note: string, by: string): Promise<void>
  /** Claims that were used twice may have changed. */
  checkClaims(): Promise<void>
  /** Once a minute. */
  upkeep(): Promise<void>
  /** Everything that was asked of it is done. */
  settled(): Promise<void>
}

export interface FleetDeps extends Omit<AlarmsDeps, 'keptDays'> {
  config: FleetConfig
  cameras: Pick<Cameras, 'isRegistered' | 'list' | 'onRevoked' | 'certificatesInUse'>
  /** Claims that a second key has used. */
  misusedClaims: () => Promise<{ camera: string; misuses: number }[]>
  log: Log
  metrics: {
    alarmsOpen(open: Record<string, number>): void
    alarmRaised(kind: AlarmKind): void
  }
}

/** As other programs are told of it. */
export const noticeOf = (alarm: FleetAlarm): WebhookNotice => ({
  kind: alarm.kind === 'claim_misused' ? 'claim_misused' : 'camera_alarm',
  noticeId: alarm.alarmId,
  revision: alarm.revision,
  document: { alarm },
})

/** Opens what is stored: alarms that were open are open. */
export async function createFleet(deps: FleetDeps): Promise<Fleet> {
  const { database, config, clock, log } = deps
  const { build } = database
  const history = createHistory({ database, config })
  const losses = createLosses(database)
  const alarms = createAlarms({ ...deps, keptDays: config.summaryDays })
  const fleet = new Map<string, Watched>()
  const startedAtMs = clock.nowMs()
  let work: Promise<unknown> = Promise.resolve()

  const of = (camera: string): Watched => {
    const known = fleet.get(camera) ?? newWatched(camera)
    fleet.set(camera, known)
    return known
  }

  function countOpen(): void {
    const open: Record<string, number> = {}
    for (const watched of fleet.values()) for (const kind of watched.open.keys()) open[kind] = (open[kind] ?? 0) + 1
    deps.metrics.alarmsOpen(open)
  }

  const watching = createWatching({
    ...{ config, history, losses, alarms },
    onChanged(kind, change) {
      if (change === 'raised') deps.metrics.alarmRaised(kind)
      countOpen()
    },
  })

  for (const row of await database.read(build.selectFrom('fleet_maintenance').selectAll())) {
    const { until_ms: untilMs, set_by: by, note, set_at_ms: setAtMs } = row
    of(row.camera_id).maintenance = { untilMs, by, note, setAtMs }
  }
  for (const alarm of await alarms.open()) of(alarm.cameraId).open.set(alarm.kind, alarm)
  for (const { camera, state, health, healthAtMs, status, statusAtMs } of await deps.cameras.list()) {
    if (state === 'revoked') continue
    const watched = of(camera)
    if (status !== null) watched.online = status.online
    watched.onlineSinceMs = statusAtMs ?? 0
    if (health !== null && healthAtMs !== null) {
      watched.past.latest = { health, receivedAtMs: healthAtMs }
      watched.judged = await losses.judged({ health, receivedAtMs: healthAtMs })
    }
    watched.past.hour = await history.past(camera, startedAtMs)
    watched.intervalMs = Math.max(watched.intervalMs, (await history.interval(camera)) ?? 0)
  }
  countOpen()

  /** One after another, after ingest; a failure is logged: the next report says it again. */
  function later(name: string, task: () => Promise<void>): Promise<void> {
    const turn = work.then(task)
    const caught = turn.catch((thrown: unknown) => {
      const error = toAppError(thrown)
      log.error(name, { code: error.code, error: error.message })
    })
    work = caught
    return caught
  }

  function registered(camera: string): Watched {
    if (!deps.cameras.isRegistered(camera)) throw new AppError('not_found', `there is no camera ${camera}`)
    return of(camera)
  }

  const waiting = new Set<string>()
  /** Since the upkeep before. */
  const revoked = new Set<string>()
  deps.cameras.onRevoked((camera) => revoked.add(camera))

  /** Its unit may only have been replaced. */
  async function isRevoked(camera: string): Promise<boolean> {
    if (!revoked.has(camera)) return false
    const [row] = await database.read(
      build.selectFrom('cameras').select('revoked_at_ms').where('camera_id', '=', camera),
    )
    return row === undefined || row.revoked_at_ms !== null
  }

  async function endMaintenance(watched: Watched): Promise<void> {
    await database.writeBatch([build.deleteFrom('fleet_maintenance').where('camera_id', '=', watched.camera)])
    watched.maintenance = null
  }

  return {
    recordHealth(health, receivedAtMs) {
      const watched = of(health.cameraId)
      const gapMs = receivedAtMs - (watched.past.latest?.receivedAtMs ?? receivedAtMs)
      // Half of the way to what it was this time, and no jump after a silence.
      if (gapMs > 0) watched.intervalMs += 0.5 * (Math.min(gapMs, 2 * watched.intervalMs, HOUR_MS) - watched.intervalMs)
      watched.online ??= true
      const { statements, ended } = history.report(watched.past, health, receivedAtMs)
      // A camera that floods has one report waiting, not thousands.
      if (ended === null && waiting.has(health.cameraId)) return statements
      waiting.add(health.cameraId)
      void later('fleet_not_judged', async () => {
        waiting.delete(health.cameraId)
        await watching.judge(watched, { health, receivedAtMs }, ended)
        await alarms.tell()
      })
      return statements
    },

    recordStatus({ cameraId, online }, receivedAtMs) {
      const watched = of(cameraId)
      if (watched.online !== online) watched.onlineSinceMs = receivedAtMs
      watched.online = online
    },

    async cameras() {
      const nowMs = clock.nowMs()
      const listed = await deps.cameras.list()
      const thisHour = Math.floor(nowMs / HOUR_MS)
      const lastHour = await history.vehiclesIn(thisHour - 1)
      const found: FleetCamera[] = []
      for (const { camera, state, status, acks: _acks } of listed) {
        if (state === 'revoked') continue
        const watched = of(camera)
        const { latest, hour } = watched.past
        const isServiced = watching.isServiced(watched, nowMs)
        const { maintenance } = watched
        found.push({
          camera,
          state: isServiced ? 'serviced' : watched.open.size > 0 ? 'alarm' : latest === null ? 'new' : 'ok',
          online: status?.online === true,
          lastHeardAtMs: latest?.receivedAtMs ?? null,
          figures: latest === null ? {} : figuresOf(latest.health, latest.receivedAtMs),
          vehiclesThisHour: hour?.hour === thisHour ? hour.vehicles : 0,
          vehiclesLastHour: lastHour.get(camera) ?? 0,
          versions: latest?.health.device?.versions ?? null,
          throttle: latest?.health.device?.throttle ?? null,
          dataEncrypted: latest?.health.device?.dataEncrypted ?? null,
          hotlists: (latest?.health.hotlists ?? []).map(({ list, version, stale }) => ({ list, version, stale })),
          settings: latest?.health.settings ?? null,
          maintenance:
            isServiced && maintenance !== null
              ? { untilMs: maintenance.untilMs, by: maintenance.by, note: maintenance.note }
              : null,
          alarms: [...watched.open.values()],
        })
      }
      return found
    },

    settings: () =>
      new Map(
        [...fleet.values()].flatMap(({ camera, past: { latest } }) =>
          latest?.health.settings === undefined
            ? []
            : [[camera, { ...latest.health.settings, heardAtMs: latest.receivedAtMs }] as const],
        ),
      ),

    async history(camera, fromMs, toMs) {
      registered(camera)
      return {
        reports: await history.reports(camera, fromMs, toMs),
        hours: await history.hours(camera, fromMs, toMs),
      }
    },

    alarms: alarms.list,
    findAlarm: (alarmId) => alarms.find(alarmId),

    async acknowledge(alarmId, note, by) {
      const alarm = await alarms.acknowledge(alarmId, note, by)
      const open = fleet.get(alarm.cameraId)?.open
      if (open?.get(alarm.kind)?.alarmId === alarmId) open.set(alarm.kind, alarm)
      void later('fleet_not_told', () => alarms.tell())
      return alarm
    },

    async setMaintenance(camera, untilMs, note, by) {
      const watched = registered(camera)
      const nowMs = clock.nowMs()
      if (untilMs !== null && (untilMs <= nowMs || untilMs > nowMs + MAX_MAINTENANCE_MS)) {
        throw new AppError('bad_input', `the end must lie within ${MAX_MAINTENANCE_MS / DAY_MS} days from now`)
      }
      if (untilMs === null) {
        await endMaintenance(watched)
        return
      }
      const values = { until_ms: untilMs, set_at_ms: nowMs, set_by: by, note }
      await database.writeBatch([
        build
          .insertInto('fleet_maintenance')
          .values({ camera_id: camera, ...values })
          .onConflict((conflict) => conflict.column('camera_id').doUpdateSet(values)),
      ])
      watched.maintenance = { untilMs, by, note, setAtMs: nowMs }
    },

    checkClaims: () =>
      later('fleet_claims_not_checked', async () => {
        const misused = new Map((await deps.misusedClaims()).map(({ camera, misuses }) => [camera, misuses]))
        const open = [...fleet.values()].filter((watched) => watched.open.has('claim_misused'))
        for (const { camera } of open) if (!misused.has(camera)) misused.set(camera, 0)
        for (const [camera, misuses] of misused) await watching.judgeClaim(of(camera), misuses)
        await alarms.tell()
      }),

    upkeep: () =>
      later('fleet_upkeep_failed', async () => {
        const nowMs = clock.nowMs()
        for (const watched of [...fleet.values()]) {
          if (watched.maintenance !== null && watched.maintenance.untilMs <= nowMs) await endMaintenance(watched)
          if (!(await isRevoked(watched.camera))) await watching.judgeSilence(watched, startedAtMs, nowMs)
          else {
            await watching.clearAll(watched)
            if (watched.open.size === 0) fleet.delete(watched.camera)
          }
        }
        for (const { camera, issuedAtMs } of deps.cameras.certificatesInUse())
          await watching.judgeUnheard(of(camera), issuedAtMs, startedAtMs, nowMs)
        revoked.clear()
        countOpen()
        await alarms.tell()
        for (let step = 0; step < PURGE_STEPS; step++) {
          if ((await history.purge(nowMs)) + (await alarms.purge(nowMs)) === 0) break
        }
      }),

    settled: async () => {
      for (let before: unknown = null; before !== work; ) {
        before = work
        await work
      }
    },
  }
}

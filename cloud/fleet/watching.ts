/**
 * Counts how often a camera is said to have a fault, and raises and clears its alarms: after so many reports in a row, never for one. One
 * camera at a time; called by fleet.ts after ingest has taken a report, and once a minute.
 */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import type { AlarmKind, FleetAlarm } from '../../shared/wire/index.ts'
import type { Alarms } from './alarms.ts'
import type { FleetConfig } from './config.ts'
import { type CameraPast, type History, hourOf, type OpenHour } from './history.ts'
import {
  type Detail,
  type Heard,
  isLow,
  isSameProcess,
  PICTURE_KINDS,
  REPORT_KINDS,
  reportFaults,
  usualVehicles,
} from './judging.ts'
import type { Losses } from './losses.ts'
import type { UsualPicture } from './picture.ts'

/** Reports that come sooner than this after a judged one are not judged: a camera that floods counts no faster than others. */
export const JUDGE_INTERVAL_MS = 5 * SECOND_MS
/** An alarm is open for so long at least: what flickers is one alarm, and a hostile camera cannot fill the audit. */
export const LEAST_OPEN_MS = 10 * MINUTE_MS
/**
 * Raised by the first report that says so. Most is lost while the link is down, and then one report tells of all of it; what flickers is
 * held by LEAST_OPEN_MS.
 */
export const AT_ONCE: ReadonlySet<AlarmKind> = new Set(['dropping'])
/** Low hours in a row before `reads_low` is raised; one that is not low ends it. */
export const LOW_HOURS = 2
/** No camera is quiet sooner. */
export const LEAST_QUIET_MS = 2 * MINUTE_MS
/** Between two reports of a camera that has not said more than one. */
export const DEFAULT_INTERVAL_MS = 30 * SECOND_MS

/** What the running cloud knows of one camera. */
export interface Watched {
  readonly camera: string
  readonly past: CameraPast
  /** Null: never heard of it. */
  online: boolean | null
  onlineSinceMs: number
  /** Usual time between reports. */
  intervalMs: number
  judgedAtMs: number
  /** The report of then: what was counted in reports between that were not judged is judged with the next. */
  judged: Heard | null
  readonly counts: Map<AlarmKind, { bad: number; good: number }>
  readonly open: Map<AlarmKind, FleetAlarm>
  usual: { hour: number; of: UsualPicture } | null
  maintenance: { untilMs: number; by: string; note: string; setAtMs: number } | null
}

export const newWatched = (camera: string): Watched => ({
  camera,
  past: { latest: null, hour: null, rowAtMs: Number.NEGATIVE_INFINITY },
  online: null,
  onlineSinceMs: 0,
  intervalMs: DEFAULT_INTERVAL_MS,
  judgedAtMs: Number.NEGATIVE_INFINITY,
  judged: null,
  counts: new Map(),
  open: new Map(),
  usual: null,
  maintenance: null,
})

export interface WatchingDeps {
  config: FleetConfig
  history: Pick<History, 'usual' | 'pastHours'>
  losses: Pick<Losses, 'keep'>
  alarms: Pick<Alarms, 'raise' | 'clear'>
  /** The number of open alarms has changed. */
  onChanged: (kind: AlarmKind, change: 'raised' | 'cleared') => void
}

export function createWatching({ config, history, losses, alarms, onChanged }: WatchingDeps) {
  async function raise(watched: Watched, kind: AlarmKind, detail: Detail): Promise<void> {
    watched.open.set(kind, await alarms.raise(watched.camera, kind, detail))
    onChanged(kind, 'raised')
  }

  async function clear(watched: Watched, kind: AlarmKind): Promise<void> {
    const alarm = watched.open.get(kind)
    if (alarm === undefined) return
    await alarms.clear(alarm)
    watched.open.delete(kind)
    watched.counts.delete(kind)
    onChanged(kind, 'cleared')
  }

  /** `fault`: what was said this time; undefined: that all is well. */
  async function count(watched: Watched, kind: AlarmKind, fault: Detail | undefined, nowMs: number): Promise<void> {
    const counted = watched.counts.get(kind) ?? { bad: 0, good: 0 }
    watched.counts.set(kind, counted)
    counted.bad = fault === undefined ? 0 : counted.bad + 1
    counted.good = fault === undefined ? counted.good + 1 : 0
    const open = watched.open.get(kind)
    const raiseAfter = AT_ONCE.has(kind) ? 1 : config.raiseAfter
    if (open === undefined && fault !== undefined && counted.bad >= raiseAfter) await raise(watched, kind, fault)
    const isOver = open !== undefined && counted.good >= config.clearAfter
    if (isOver && nowMs - open.raisedAtMs >= LEAST_OPEN_MS) await clear(watched, kind)
  }

  const isServiced = ({ maintenance }: Watched, nowMs: number) => maintenance !== null && nowMs < maintenance.untilMs

  async function usualOf(watched: Watched, nowMs: number): Promise<UsualPicture> {
    const hour = hourOf(nowMs)
    if (watched.usual?.hour !== hour) watched.usual = { hour, of: await history.usual(watched.camera, hour) }
    return watched.usual.of
  }

  /** At the end alone: of what could not be told, the next report must tell. */
  async function judged(watched: Watched, heard: Heard): Promise<void> {
    await losses.keep(heard)
    watched.judged = heard
  }

  return {
    isServiced,

    /** A report, and the hour that ended with it. */
    async judge(watched: Watched, heard: Heard, ended: OpenHour | null): Promise<void> {
      const { health, receivedAtMs: nowMs } = heard
      if (isServiced(watched, nowMs)) {
        watched.counts.clear()
        // What is counted while somebody works on it is no alarm afterwards.
        await judged(watched, heard)
        return
      }
      if (ended !== null) await this.judgeHour(watched, ended)
      const sinceMs = nowMs - watched.judgedAtMs
      if (sinceMs >= 0 && sinceMs < JUDGE_INTERVAL_MS) return
      watched.judgedAtMs = nowMs
      const isSame = watched.judged !== null && isSameProcess(watched.judged, heard)
      const report = { ...heard, before: isSame ? (watched.judged?.health ?? null) : null }
      const faults = reportFaults(report, await usualOf(watched, nowMs), config, new Set(watched.open.keys()))
      for (const kind of REPORT_KINDS) {
        if (PICTURE_KINDS.has(kind) && health.picture === undefined) continue
        await count(watched, kind, faults.get(kind), nowMs)
      }
      // A report is the end of silence.
      if (watched.open.has('quiet')) await count(watched, 'quiet', undefined, nowMs)
      await judged(watched, heard)
    },

    async judgeHour(watched: Watched, ended: OpenHour): Promise<void> {
      const past = await history.pastHours(watched.camera, ended.hour)
      const low = isLow(ended, past, config)
      // An hour of which nothing can be said, such as one at night, changes nothing.
      if (low === null) return
      const counted = watched.counts.get('reads_low') ?? { bad: 0, good: 0 }
      watched.counts.set('reads_low', counted)
      counted.bad = low ? counted.bad + 1 : 0
      if (!low) await clear(watched, 'reads_low')
      else if (counted.bad >= LOW_HOURS && !watched.open.has('reads_low')) {
        await raise(watched, 'reads_low', { vehicles: ended.vehicles, usual: usualVehicles(ended.hour, past) ?? 0 })
      }
    },

    /** Nothing has come for too long. `sinceMs`: when the cloud itself began to listen. */
    async judgeSilence(watched: Watched, sinceMs: number, nowMs: number): Promise<void> {
      const { past, online, onlineSinceMs, intervalMs } = watched
      if (online === null || isServiced(watched, nowMs) || watched.open.has('quiet')) return
      const heardAtMs = Math.max(sinceMs, past.latest?.receivedAtMs ?? 0)
      const silentMs = nowMs - heardAtMs
      const mostMs = Math.max(LEAST_QUIET_MS, config.quietIntervals * intervalMs)
      const offlineMs = online ? 0 : nowMs - Math.max(sinceMs, onlineSinceMs)
      if (online ? silentMs <= mostMs : offlineMs <= config.disconnectedMinutes * MINUTE_MS) return
      watched.counts.delete('quiet')
      await raise(watched, 'quiet', { online, silentMs })
    },

    /**
     * It has never said anything. `sinceMs`: as above; `approvedAtMs`: when it was given its certificate. The time between is for mounting: a
     * unit is approved at the desk, often on the day before.
     */
    async judgeUnheard(watched: Watched, approvedAtMs: number, sinceMs: number, nowMs: number): Promise<void> {
      if (watched.online !== null || isServiced(watched, nowMs) || watched.open.has('quiet')) return
      const silentMs = nowMs - approvedAtMs
      // After a time without the cloud it has as long to come as others have to come back.
      if (nowMs - sinceMs <= config.disconnectedMinutes * MINUTE_MS) return
      if (silentMs <= config.neverHeardHours * HOUR_MS) return
      await raise(watched, 'quiet', { online: false, neverHeard: true, silentMs })
    },

    /** Of a camera that is no more. */
    async clearAll(watched: Watched): Promise<void> {
      for (const kind of [...watched.open.keys()]) if (kind !== 'claim_misused') await clear(watched, kind)
    },

    /** As enrolment says: how often another key than its own has used the camera's claim. Nobody waits for a second time. */
    async judgeClaim(watched: Watched, misuses: number): Promise<void> {
      if (misuses === 0) await clear(watched, 'claim_misused')
      else if (!watched.open.has('claim_misused')) await raise(watched, 'claim_misused', { misuses })
    },
  }
}

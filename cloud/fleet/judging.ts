/** What is wrong with a camera by one of its reports, and by its hours. Pure; watching.ts counts how often it is said. */
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import type { AlarmKind, CameraHealth, FleetAlarm } from '../../shared/wire/index.ts'
import { UPTIME_TOLERANCE_MS } from '../usage/cameras.ts'
import type { FleetConfig } from './config.ts'
import { ratio } from './metrics.ts'
import { pictureFaults, type UsualPicture } from './picture.ts'

export type Detail = FleetAlarm['detail']
export type Faults = Map<AlarmKind, Detail>

/** An open alarm of heat ends this far below where it begins, °C; one of the disk, at so much more free space. */
export const COOLER_C = 5
const MORE_DISK = 1.2
/** A report takes so long over a slow link: arriving later says nothing of the clock. */
export const LEAST_DELAY_MS = 10 * SECOND_MS
/** Frames between two reports below which a part of them says nothing. */
export const LEAST_FRAMES = 20
/** Times that the vision process died between two reports, from which it does not read, whatever it did between. */
export const LEAST_RESTARTS = 3

/** Kinds that one report can tell of; the others are about silence and about hours. */
export const REPORT_KINDS = [
  'dark',
  'covered',
  'blurred',
  'moved',
  'hot',
  'throttled',
  'under_voltage',
  'disk',
  'clock',
  'outbox_age',
  'rejected',
  'not_reading',
  'dropping',
  'source_down',
] as const satisfies readonly AlarmKind[]

/** Kinds of which a report without a picture says nothing, neither good nor bad. */
export const PICTURE_KINDS: ReadonlySet<AlarmKind> = new Set(['dark', 'covered', 'blurred', 'moved'])

export interface Heard {
  health: CameraHealth
  receivedAtMs: number
}

export interface Report extends Heard {
  /** The report that was judged before, of the same process; null: there is none, and counters are counted from 0. */
  before: CameraHealth | null
}

/** `open`: alarms that are raised: they end only well on the other side of their bound. */
export function reportFaults(
  { health, before, receivedAtMs }: Report,
  usual: UsualPicture,
  limits: FleetConfig,
  open: ReadonlySet<AlarmKind>,
): Faults {
  const { device, picture, outbox, source } = health
  const faults: Faults = new Map()
  if (picture !== undefined) {
    for (const fault of pictureFaults(picture, usual, limits)) faults.set(fault, pictureDetail(picture, usual))
  }
  const { temperatureC, throttle, disk, clockOffsetMs } = device ?? {}
  if (temperatureC !== undefined && temperatureC >= limits.hotC - (open.has('hot') ? COOLER_C : 0)) {
    faults.set('hot', { temperatureC })
  }
  if (throttle?.now.underVoltage === true) faults.set('under_voltage', {})
  const { frequencyCapped = false, throttled = false, softTemperatureLimit = false } = throttle?.now ?? {}
  if (frequencyCapped || throttled || softTemperatureLimit) {
    faults.set('throttled', { frequencyCapped, throttled, softTemperatureLimit })
  }
  if (disk !== undefined) {
    const free = ratio(disk.freeBytes, disk.totalBytes)
    if (free < limits.diskFreeRatio * (open.has('disk') ? MORE_DISK : 1)) faults.set('disk', { freeRatio: short(free) })
  }
  const delayMs = receivedAtMs - health.atMs
  const isLate = delayMs >= Math.max(limits.clockOffsetMs, LEAST_DELAY_MS) || -delayMs >= limits.clockOffsetMs
  const isOff = clockOffsetMs !== undefined && Math.abs(clockOffsetMs) >= limits.clockOffsetMs
  if (isLate || isOff || health.clock === 'unsynced') {
    faults.set('clock', { state: health.clock, delayMs, ...(clockOffsetMs === undefined ? {} : { clockOffsetMs }) })
  }
  if (outbox.oldestAgeMs >= limits.outboxAgeMinutes * MINUTE_MS) {
    faults.set('outbox_age', { oldestAgeMs: outbox.oldestAgeMs, rows: outbox.rows })
  }
  if (source?.state === 'lost') faults.set('source_down', { code: source.errorCode ?? 'unknown' })
  const since = grown(health, before)
  const { rejected, failed } = since
  const offered = since.seen + failed
  if (offered + rejected >= LEAST_FRAMES && rejected / (offered + rejected) >= limits.rejectedRatio) {
    faults.set('rejected', { rejected, frames: offered + rejected })
  }
  if (isNotReading(since, limits)) {
    faults.set('not_reading', { failed, read: since.seen, captured: since.captured, restarts: since.restarts })
  }
  const { sightings, crops, lost, unheld } = since
  if (sightings + crops + lost > 0) faults.set('dropping', { sightings, crops, lost, unheld })
  return faults
}

function pictureDetail(picture: NonNullable<CameraHealth['picture']>, usual: UsualPicture): Detail {
  const detail: Detail = { luminance: picture.luminance }
  if (usual.luminance !== null) detail.usualLuminance = short(usual.luminance)
  if (picture.sharpness !== null) detail.sharpness = picture.sharpness
  if (usual.sharpness !== null) detail.usualSharpness = short(usual.sharpness)
  if (picture.detail !== null) detail.detail = picture.detail
  if (picture.likeness !== null) detail.likeness = picture.likeness
  if (picture.displacementPx !== null) detail.displacementPx = picture.displacementPx
  return detail
}

type Counts = ReturnType<typeof countsOf>

function countsOf({ frames, vision, sightings, outbox, memory }: CameraHealth) {
  const { read, still, dropped, rejected, failed } = frames
  return {
    /** Frames that were looked at with success. */
    seen: read + still,
    rejected,
    failed,
    captured: read + still + dropped + rejected + failed,
    restarts: vision.restarts,
    /** Evicted from a full outbox. */
    sightings: outbox.evicted.sightings,
    crops: outbox.evicted.crops,
    lost: sightings.lost,
    /**
     * No room in memory for what may touch no disk: told beside a loss, and none itself. It met no list and may never leave, and of a policy
     * that keeps it for days the oldest always go. What expired there or in the outbox went by policy.
     */
    unheld: memory.dropped,
  }
}

/**
 * Do the counters of `now` go on from those of `before`? A process that ran for long without a link has more than one before it, so the times
 * decide; where the cloud's clock was set, the counters alone.
 */
export function isSameProcess(before: Heard, now: Heard): boolean {
  const passedMs = now.receivedAtMs - before.receivedAtMs
  const isByTime = Math.abs(now.health.uptimeMs - before.health.uptimeMs - passedMs) <= UPTIME_TOLERANCE_MS
  if (!isByTime && now.health.uptimeMs <= passedMs + UPTIME_TOLERANCE_MS) return false
  const [past, counts] = [countsOf(before.health), countsOf(now.health)]
  return (Object.keys(counts) as (keyof Counts)[]).every((name) => counts[name] >= past[name])
}

/** Never below 0: a counter that fell was of another process, or is one that the unit cannot count on. */
function grown(health: CameraHealth, before: CameraHealth | null): Counts {
  const now = countsOf(health)
  if (before === null) return now
  const past = countsOf(before)
  const since = (name: keyof Counts) => [name, Math.max(0, now[name] - past[name])]
  return Object.fromEntries((Object.keys(now) as (keyof Counts)[]).map(since)) as Counts
}

/** The source gives frames, and vision does not read them. */
function isNotReading({ seen, rejected, failed, captured, restarts }: Counts, limits: FleetConfig): boolean {
  if (restarts >= LEAST_RESTARTS) return true
  // Of a slow camera, or of vision that runs into its time limit, few fail between two reports; that none is read says enough.
  if (seen === 0 && failed > 0) return failed >= rejected || failed + rejected < LEAST_FRAMES
  // Of frames that reached nobody's eyes a few half ones change nothing.
  if (seen === 0) return captured - rejected >= LEAST_FRAMES
  // Where most are left out because vision hangs, few are seen or fail; there must be enough that came.
  return failed > 0 && captured >= LEAST_FRAMES && failed / (seen + failed) >= limits.failedRatio
}

const short = (value: number) => Math.round(value * 1_000) / 1_000

/** Of an hour, as far as reports covered it. */
export interface CountedHour {
  hour: number
  vehicles: number
  coveredMs: number
}

/** Of an hour that may be judged, and that others are judged by. */
export const COVERED_MS = 50 * MINUTE_MS
export const HOURS_A_WEEK = 168
/** Weeks that an hour is compared with, and of how many of them there must be figures. */
export const PAST_WEEKS = 8
export const LEAST_WEEKS = 3
/** The hour before and after counts as well: summer time moves the traffic by one. */
const NEIGHBOURS = [-1, 0, 1] as const

/** The past hours that `hour` is compared with. */
export function pastHours(hour: number): number[] {
  const weeks = Array.from({ length: PAST_WEEKS }, (_, i) => hour - (i + 1) * HOURS_A_WEEK)
  return weeks.flatMap((past) => NEIGHBOURS.map((off) => past + off))
}

/**
 * The least of the medians of past weeks at this hour of the week and the hours beside it; null: of one of the three there are too few.
 * A median stands against holidays and days on which the camera itself was down.
 */
export function usualVehicles(hour: number, past: readonly CountedHour[]): number | null {
  const medians = NEIGHBOURS.map((off) => {
    const same = past.filter((one) => one.coveredMs >= COVERED_MS && (hour + off - one.hour) % HOURS_A_WEEK === 0)
    return same.length < LEAST_WEEKS ? null : medianOf(same.map(({ vehicles }) => vehicles))
  })
  return medians.some((one) => one === null) ? null : Math.min(...medians.map((one) => one ?? 0))
}

/** Null: nothing can be said of this hour. */
export function isLow(now: CountedHour, past: readonly CountedHour[], limits: FleetConfig): boolean | null {
  if (now.coveredMs < COVERED_MS) return null
  const usual = usualVehicles(now.hour, past)
  if (usual === null || usual < limits.readsLowLeast) return null
  return now.vehicles < limits.readsLowRatio * usual
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

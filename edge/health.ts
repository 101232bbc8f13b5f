/**
 * The camera's own account of itself: one document at intervals, made from the counters of all parts, to the cloud at QoS 0 and, where the
 * configuration names one, into a file for other programs of the machine. Run by main.ts.
 */
import { rename, writeFile } from 'node:fs/promises'
import { type Clock, SECOND_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { type CameraHealth, EARLIEST_TIME_MS, type FrameRate } from '../shared/wire/index.ts'
import type { CaptureSource } from './capture/types.ts'
import type { ClockState } from './clock-state.ts'
import type { DeviceWatch } from './device.ts'
import type { Hotlists } from './hotlist/hotlist.ts'
import type { Memory } from './memory.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { Pipeline } from './pipeline.ts'
import type { Settings } from './roll-out/settings.ts'
import type { Uplink } from './uplink/uplink.ts'
import type { VisionDoor } from './vision/types.ts'

export interface HealthDeps {
  cameraId: string
  pipeline: Pick<Pipeline, 'counters'>
  /** Frames that capture replaced by newer ones, and files that were no pictures. */
  source: Pick<CaptureSource, 'dropped' | 'rejected' | 'live'>
  vision: Pick<VisionDoor, 'restarts' | 'picture'>
  device: DeviceWatch
  rate: RateMeter
  settings: Pick<Settings, 'inForce'>
  outbox: Pick<Outbox, 'rows' | 'bytes' | 'oldestBornAtMs' | 'counters' | 'reportCounters'>
  memory: Pick<Memory<unknown>, 'held' | 'bytes' | 'counters'>
  hotlists: Pick<Hotlists, 'status'>
  uplink: Pick<Uplink, 'sessionId' | 'publishHealth' | 'connected'>
  clockState: Pick<ClockState, 'state' | 'agingMs'>
  clock: Clock
  log: Log
  /** Monotonic milliseconds at the start of the process. */
  startedAtMs: number
}

/** As it is now; what the cloud is told is `reportHealth`'s. */
export function cameraHealth(deps: HealthDeps, counters = deps.outbox.counters()): CameraHealth {
  const { pipeline, source, outbox, clock } = deps
  const nowMs = clock.nowMs()
  const bornAtMs = outbox.oldestBornAtMs()
  const { read, still, rejected, failed, made, matched, withheld } = pipeline.counters
  // What was held in memory and met no list in its time was kept back as well.
  const { expired, dropped } = deps.memory.counters
  return {
    cameraId: deps.cameraId,
    sessionId: deps.uplink.sessionId,
    atMs: Math.max(EARLIEST_TIME_MS, nowMs),
    uptimeMs: Math.round(clock.monotonicMs() - deps.startedAtMs),
    clock: deps.clockState.state,
    ...(source.live === undefined ? {} : { source: { ...source.live } }),
    frames: { read, still, dropped: source.dropped, rejected: source.rejected + rejected, failed },
    ...(deps.rate.latest === null ? {} : { rate: deps.rate.latest }),
    ...(deps.vision.picture === null ? {} : { picture: deps.vision.picture }),
    ...(deps.device.latest === null ? {} : { device: deps.device.latest }),
    settings: deps.settings.inForce,
    vision: { restarts: deps.vision.restarts },
    sightings: { made, matched, withheld: withheld + counters.withheld + expired + dropped, lost: counters.lost },
    outbox: {
      rows: outbox.rows,
      bytes: outbox.bytes,
      oldestAgeMs: bornAtMs === null ? 0 : Math.max(0, Math.round(deps.clockState.agingMs() - bornAtMs)),
      evicted: { crops: counters.evictedCrops, sightings: counters.evictedSightings },
      expired: counters.expired,
    },
    memory: { held: deps.memory.held, bytes: deps.memory.bytes, ...deps.memory.counters },
    hotlists: deps.hotlists.status(nowMs),
  }
}

/** One report, if there is anyone to hear it. */
export function reportHealth(deps: HealthDeps): void {
  deps.rate.measure()
  if (!deps.uplink.connected) return
  // Written down before it is told: what is told and not written down would be told, and published, once more by the next process.
  deps.uplink.publishHealth(Buffer.from(JSON.stringify(cameraHealth(deps, deps.outbox.reportCounters()))))
}

/**
 * Into `file`, whole at any moment; not flushed, since it lies in memory (/run) and tells of this process alone. What goes wrong is logged:
 * a camera does not end for it.
 */
export async function writeStatusFile(file: string, deps: HealthDeps): Promise<void> {
  const status = { ...cameraHealth(deps), connected: deps.uplink.connected }
  try {
    await writeFile(`${file}.new`, `${JSON.stringify(status)}\n`, { mode: 0o644 })
    await rename(`${file}.new`, file)
  } catch (thrown) {
    deps.log.warn('status_not_written', { error: toAppError(thrown).message })
  }
}

/**
 * The status file is never older while the process works: an update is confirmed by it, and the set-up page shows it, however seldom the cloud is to be
 * told. Milliseconds.
 */
export const STATUS_MS = 5 * SECOND_MS

/** Reports at once and then every `healthIntervalMs`, and keeps `statusFile` (null: none), until `signal` aborts. */
export async function runHealth(
  deps: HealthDeps,
  { healthIntervalMs, statusFile }: { healthIntervalMs: number; statusFile: string | null },
  signal: AbortSignal,
): Promise<void> {
  const every = async (intervalMs: number, work: () => Promise<void>) => {
    while (!signal.aborted) {
      await work()
      if (!signal.aborted) await deps.clock.sleep(intervalMs, signal).catch(() => {})
    }
  }
  await Promise.all([
    every(healthIntervalMs, async () => {
      await deps.device.look()
      if (!signal.aborted) reportHealth(deps)
    }),
    statusFile !== null && every(STATUS_MS, () => writeStatusFile(statusFile, deps)),
  ])
}

export interface RateMeter {
  /** Between the last two measurements; null before the second. */
  readonly latest: FrameRate | null
  measure(): void
}

/** Most frames a second that are told: beyond it a counter was wrong. */
export const MAX_FRAMES_PER_SECOND = 10_000

export function createRateMeter(deps: Pick<HealthDeps, 'pipeline' | 'source' | 'clock'>): RateMeter {
  const count = () => {
    const { read, still, rejected, failed } = deps.pipeline.counters
    const seen = read + still
    return { atMs: deps.clock.monotonicMs(), seen, captured: seen + rejected + failed + deps.source.dropped }
  }
  let before = count()
  let latest: FrameRate | null = null
  return {
    get latest() {
      return latest
    },
    measure() {
      const now = count()
      const seconds = (now.atMs - before.atMs) / SECOND_MS
      if (seconds <= 0) return
      const rate = (frames: number) => Math.round(1_000 * Math.min(MAX_FRAMES_PER_SECOND, frames / seconds)) / 1_000
      latest = { capturedPerSecond: rate(now.captured - before.captured), readPerSecond: rate(now.seen - before.seen) }
      before = now
    },
  }
}

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS } from '../../shared/clock.ts'
import type { AlarmKind, CameraHealth, ScenePicture } from '../../shared/wire/index.ts'
import { UPTIME_TOLERANCE_MS } from '../usage/cameras.ts'
import { fleetConfigSchema } from './config.ts'
import {
  COOLER_C,
  COVERED_MS,
  type CountedHour,
  HOURS_A_WEEK,
  isLow,
  isSameProcess,
  LEAST_DELAY_MS,
  LEAST_FRAMES,
  LEAST_RESTARTS,
  LEAST_WEEKS,
  pastHours,
  reportFaults,
  usualVehicles,
} from './judging.ts'
import { figuresOf, spreadOver } from './metrics.ts'
import { GOOD_PICTURE, healthOf } from './testing.ts'

const LIMITS = fleetConfigSchema.parse({})
const USUAL = { luminance: 100, sharpness: 0.6 }
const AT = 1_750_000_000_000

function kinds(
  change: Partial<CameraHealth>,
  {
    before = null as CameraHealth | null,
    delayMs = 0,
    open = [] as AlarmKind[],
    usual = USUAL as typeof USUAL | null,
  } = {},
): AlarmKind[] {
  const known = usual ?? { luminance: null, sharpness: null }
  const report = { health: healthOf(AT, change), before, receivedAtMs: AT + delayMs }
  return [...reportFaults(report, known, LIMITS, new Set(open)).keys()]
}

const picture = (change: Partial<ScenePicture>) => ({ picture: { ...GOOD_PICTURE, ...change } })

test('a camera that is well has no fault, nor has one that says as little as older ones do', () => {
  assert.equal(kinds({}), [])
  assert.equal(kinds({ device: undefined, picture: undefined, rate: undefined }), [])
})

test('heat is a fault from its bound on, and an open alarm ends some degrees below it', () => {
  const at = (temperatureC: number) => ({ device: { temperatureC } })
  assert.equal(kinds(at(LIMITS.hotC - 0.1)), [])
  assert.equal(kinds(at(LIMITS.hotC)), ['hot'])
  assert.equal(kinds(at(LIMITS.hotC - COOLER_C), { open: ['hot'] }), ['hot'])
  assert.equal(kinds(at(LIMITS.hotC - COOLER_C - 0.1), { open: ['hot'] }), [])
})

test('what a Raspberry Pi says now is a fault, what it says of before is none', () => {
  const none = { underVoltage: false, frequencyCapped: false, throttled: false, softTemperatureLimit: false }
  const all = { underVoltage: true, frequencyCapped: true, throttled: true, softTemperatureLimit: true }
  assert.equal(kinds({ device: { throttle: { now: none, sinceBoot: all } } }), [])
  assert.equal(kinds({ device: { throttle: { now: { ...none, throttled: true }, sinceBoot: all } } }), ['throttled'])
  assert.equal(kinds({ device: { throttle: { now: { ...none, frequencyCapped: true } } } }), ['throttled'])
  assert.equal(kinds({ device: { throttle: { now: { underVoltage: true } } } }), ['under_voltage'])
})

test('a disk is full below its bound, and must have a fifth more before that is over', () => {
  const free = (part: number) => ({ device: { disk: { freeBytes: part * 1_000_000, totalBytes: 1_000_000 } } })
  assert.equal(kinds(free(0.05)), [])
  assert.equal(kinds(free(0.0499)), ['disk'])
  assert.equal(kinds(free(0.0599), { open: ['disk'] }), ['disk'])
  assert.equal(kinds(free(0.06), { open: ['disk'] }), [])
})

test('a clock is off by its own service, by when reports arrive, or when it is not synchronised', () => {
  const limitMs = LIMITS.clockOffsetMs
  const off = (clockOffsetMs: number) => ({ device: { clockOffsetMs } })
  assert.equal(kinds(off(limitMs - 1)), [])
  assert.equal(kinds(off(limitMs)), ['clock'])
  assert.equal(kinds(off(-limitMs)), ['clock'])
  assert.equal(kinds({}, { delayMs: LEAST_DELAY_MS - 1 }), [])
  assert.equal(kinds({}, { delayMs: LEAST_DELAY_MS }), ['clock'])
  // Nothing comes from the future.
  assert.equal(kinds({}, { delayMs: 1 - limitMs }), [])
  assert.equal(kinds({}, { delayMs: -limitMs }), ['clock'])
  assert.equal(kinds({ clock: 'unsynced' }), ['clock'])
})

test('sightings that wait too long are a fault', () => {
  const { outbox } = healthOf(AT)
  const limitMs = LIMITS.outboxAgeMinutes * MINUTE_MS
  assert.equal(kinds({ outbox: { ...outbox, oldestAgeMs: limitMs - 1 } }), [])
  assert.equal(kinds({ outbox: { ...outbox, oldestAgeMs: limitMs } }), ['outbox_age'])
})

test('a source that is lost is a fault, one that opens is none', () => {
  const source = { reconnects: 0, stalls: 0, frameAgeMs: null, errorCode: null }
  assert.equal(kinds({ source: { ...source, state: 'opening' } }), [])
  assert.equal(kinds({ source: { ...source, state: 'lost' } }), ['source_down'])
})

test('rejected pictures count from the report before, where there are enough', () => {
  const frames = (read: number, rejected: number) => ({
    frames: { read, still: 0, dropped: 0, rejected, failed: 0 },
  })
  const before = healthOf(AT, frames(1_000, 500))
  assert.equal(kinds(frames(1_000 + LEAST_FRAMES - 4, 504), { before }), ['rejected'])
  assert.equal(kinds(frames(1_000 + LEAST_FRAMES - 3, 503), { before }), [])
  assert.equal(kinds(frames(1_000, 500 + LEAST_FRAMES - 1), { before }), [])
})

test('a camera does not read when vision fails at a part of the frames, reads none that come, or dies again and again', () => {
  const none = { read: 0, still: 0, dropped: 0, rejected: 0, failed: 0 }
  const before = healthOf(AT, { frames: { ...none, read: 1_000, still: 50, failed: 500 } })
  const since = (change: Partial<typeof none>) => {
    const frames = { ...before.frames }
    for (const name of Object.keys(change) as (keyof typeof none)[]) frames[name] += change[name] ?? 0
    return kinds({ frames }, { before })
  }
  assert.equal(since({ read: 16, failed: 4 }), ['not_reading'])
  assert.equal(since({ read: 2, failed: 2, dropped: 700 }), ['not_reading'], 'it hangs at each second frame')
  assert.equal(since({ failed: 3, rejected: 4, dropped: 700 }), ['not_reading'], 'a few half ones besides')
  assert.equal(since({ rejected: 1, dropped: 700 }), ['not_reading'])
  assert.equal(since({ rejected: 300, dropped: LEAST_FRAMES - 1 }), ['rejected'])
  assert.equal(since({ read: 10, still: 7, failed: 4 }), [])
  assert.equal(since({ read: 15, failed: 4 }), [], 'too few to tell')
  assert.equal(since({ failed: 1 }), ['not_reading'], 'a slow camera')
  assert.equal(since({ dropped: LEAST_FRAMES }), ['not_reading'])
  assert.equal(since({ dropped: LEAST_FRAMES - 1 }), [])
  assert.equal(since({ dropped: 1_000, still: 1 }), [])
  assert.equal(since({}), [], 'no frame has come, which is the business of source_down')
  assert.equal(since({ rejected: LEAST_FRAMES, dropped: 1_000, failed: 1 }), ['rejected'])
  assert.equal(since({ rejected: 10, failed: 10 }), ['rejected', 'not_reading'])
  const died = (restarts: number) => kinds({ vision: { restarts: 40 + restarts } }, { before: dying })
  const dying = healthOf(AT, { vision: { restarts: 40 } })
  assert.equal(died(LEAST_RESTARTS - 1), [])
  assert.equal(died(LEAST_RESTARTS), ['not_reading'])
})

test('counters go on within one process, by its time and not by how much it has counted', () => {
  const heard = (uptimeMs: number, receivedAtMs: number, lost: number) => ({
    health: healthOf(receivedAtMs, { uptimeMs, sightings: { ...healthOf(AT).sightings, made: 10 + lost, lost } }),
    receivedAtMs,
  })
  const before = heard(10 * MINUTE_MS, AT, 500)
  assert.ok(isSameProcess(before, heard(11 * MINUTE_MS, AT + MINUTE_MS, 500)))
  assert.ok(isSameProcess(before, heard(11 * MINUTE_MS, AT + MINUTE_MS + UPTIME_TOLERANCE_MS, 501)))
  const dayMs = 24 * 60 * MINUTE_MS
  assert.not(isSameProcess(before, heard(3 * dayMs, AT + 3 * dayMs, 2_000)), 'begun after it, and lost more')
  assert.not(isSameProcess(before, heard(3 * dayMs, AT + MINUTE_MS, 400)), 'the clock was set, and a counter fell')
  assert.ok(isSameProcess(before, heard(3 * dayMs, AT + MINUTE_MS, 600)), 'the clock was set')
})

test('what a camera lost since the report before is a fault, what went by policy is none, and a new process counts from 0', () => {
  const outbox = (sightings: number, crops: number) => ({
    outbox: { ...healthOf(AT).outbox, evicted: { sightings, crops }, expired: 9 },
  })
  const lost = (lost: number) => ({ sightings: { ...healthOf(AT).sightings, lost, withheld: 9 } })
  const memory = (dropped: number) => ({ memory: { ...healthOf(AT).memory, dropped, expired: 9 } })
  for (const change of [outbox(1, 0), outbox(0, 1), lost(1)]) {
    assert.equal(kinds(change), ['dropping'])
    assert.equal(kinds(change, { before: healthOf(AT) }), ['dropping'])
    assert.equal(kinds(change, { before: healthOf(AT, change) }), [])
    assert.equal(kinds({}, { before: healthOf(AT, change) }), [])
  }
  for (const change of [outbox(0, 0), lost(0), memory(0)]) assert.equal(kinds(change), [])
  // What met no list and may touch no disk always goes when there is no more room.
  assert.equal(kinds(memory(900)), [])
})

test('dark is what is far below the usual, never what is bright enough, and nothing without a past', () => {
  assert.equal(kinds(picture({ luminance: 29.9 })), ['dark'])
  assert.equal(kinds(picture({ luminance: 30 })), [])
  assert.equal(kinds(picture({ luminance: 50 }), { usual: { luminance: 240, sharpness: 0.6 } }), [])
  assert.equal(kinds(picture({ luminance: 0 }), { usual: null }), [])
})

test('blurred is what is far below the usual, and nothing without a past or without edges', () => {
  assert.equal(kinds(picture({ sharpness: 0.389 })), ['blurred'])
  assert.equal(kinds(picture({ sharpness: 0.391 })), [])
  assert.equal(kinds(picture({ sharpness: null })), [])
  assert.equal(kinds(picture({ sharpness: 0 }), { usual: null }), [])
})

test('moved is a sure displacement, or another view; covered leaves few outlines, and others; fog is neither', () => {
  assert.equal(kinds(picture({ displacementRatio: LIMITS.movedRatio })), ['moved'])
  assert.equal(kinds(picture({ displacementRatio: LIMITS.movedRatio - 0.001 })), [])
  assert.equal(kinds(picture({ displacementRatio: 0.1, likeness: 0.44 })), [], 'not sure, and not another view')
  assert.equal(kinds(picture({ displacementRatio: 0.1, likeness: 0.45 })), ['moved'])
  assert.equal(kinds(picture({ likeness: 0.35 })), [])
  assert.equal(kinds(picture({ likeness: 0.34 })), ['moved'])
  assert.equal(kinds(picture({ likeness: 0.55, detail: 0.2 })), [], 'fog')
  assert.equal(kinds(picture({ likeness: 0.54, detail: 0.449 })), ['covered'])
  assert.equal(kinds(picture({ likeness: 0.54, detail: 0.45 })), [])
  assert.equal(kinds(picture({ likeness: 0.95, detail: 0.05 })), [])
  assert.equal(kinds(picture({ likeness: 0.95, detail: 0.049 })), ['covered'])
  assert.equal(kinds(picture({ likeness: 0, detail: 0.05 })), ['covered'])
  assert.equal(kinds(picture({ likeness: 0, detail: 0.05, luminance: 1 })), ['dark'])
  assert.equal(kinds(picture({ likeness: null, detail: null, displacementRatio: null })), [], 'it learns')
})

const HOUR = 500_000
const hours = (weeks: number, vehicles: number, coveredMs = COVERED_MS): CountedHour[] =>
  Array.from({ length: weeks }, (_, i) =>
    [-1, 0, 1].map((off) => ({ hour: HOUR + off - (i + 1) * HOURS_A_WEEK, vehicles, coveredMs })),
  ).flat()
const now = (vehicles: number, coveredMs = COVERED_MS): CountedHour => ({ hour: HOUR, vehicles, coveredMs })

test('an hour is low beside the median of past weeks, with weeks enough, and vehicles enough', () => {
  assert.is(isLow(now(29), hours(LEAST_WEEKS, 100), LIMITS), true)
  assert.is(isLow(now(30), hours(LEAST_WEEKS, 100), LIMITS), false)
  assert.is(isLow(now(0), hours(LEAST_WEEKS - 1, 100), LIMITS), null)
  assert.is(isLow(now(0), hours(LEAST_WEEKS, LIMITS.readsLowLeast), LIMITS), true)
  assert.is(isLow(now(0), hours(LEAST_WEEKS, LIMITS.readsLowLeast - 1), LIMITS), null)
})

test('hours that reports cover too little are neither judged nor compared with', () => {
  assert.is(isLow(now(0, COVERED_MS - 1), hours(LEAST_WEEKS, 100), LIMITS), null)
  assert.is(isLow(now(0), hours(LEAST_WEEKS, 100, COVERED_MS - 1), LIMITS), null)
})

test('the least of three neighbouring hours counts, so that summer time is no alarm', () => {
  const past = hours(4, 100).map((one) => ((HOUR - one.hour) % HOURS_A_WEEK === 0 ? one : { ...one, vehicles: 40 }))
  assert.is(usualVehicles(HOUR, past), 40)
  assert.equal(
    past.map(({ hour }) => pastHours(HOUR).includes(hour)),
    past.map(() => true),
  )
})

test('figures are those that a camera has said, and an hour of them has least, mean and most', () => {
  const figures = figuresOf(healthOf(AT), AT + 250)
  assert.equal([figures.temperature, figures.diskFree, figures.read, figures.delay], [55, 0.625, 5, 250])
  assert.not('temperature' in figuresOf(healthOf(AT, { device: undefined }), AT))
  const spreads = [{ read: 1 }, { read: 3 }, { read: 8 }, {}].reduce(spreadOver, {})
  assert.equal(spreads, { read: [1, 4, 8, 3] })
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ALARM_KINDS,
  cameraHealthSchema,
  deviceSchema,
  fleetAlarmSchema,
  MAX_ALARM_NOTE,
  pictureSchema,
} from './index.ts'

const PICTURE = {
  ...{
    luminance: 120,
    sharpness: 0.6,
    detail: 1,
    likeness: 0.9,
    displacementPx: 2,
    displacementRatio: 0.001,
    lookMs: 20,
  },
}
const ID = '01890a5d-ac96-774b-bcce-b302099a8057'
const HEALTH = {
  ...{ cameraId: 'north-1', sessionId: ID, atMs: 1_750_000_000_000, uptimeMs: 5, clock: 'synced' },
  frames: { read: 1, dropped: 0, rejected: 0, failed: 0 },
  vision: { restarts: 0 },
  sightings: { made: 0, matched: 0, withheld: 0, lost: 0 },
  outbox: { rows: 0, bytes: 0, oldestAgeMs: 0, evicted: { crops: 0, sightings: 0 }, expired: 0 },
  hotlists: [],
}

test('a camera that says nothing of unit and picture is understood, and one that says everything', () => {
  assert.ok(cameraHealthSchema.safeParse(HEALTH).success)
  const rate = { capturedPerSecond: 25, readPerSecond: 4 }
  assert.ok(cameraHealthSchema.safeParse({ ...HEALTH, rate, picture: PICTURE, device: {} }).success)
  assert.not(cameraHealthSchema.safeParse({ ...HEALTH, rate: { ...rate, readPerSecond: -1 } }).success)
  assert.not(cameraHealthSchema.safeParse({ ...HEALTH, picture: { ...PICTURE, more: 1 } }).success)
})

test('each figure of the picture is taken at its bounds and refused beyond; what could not be told is null', () => {
  const bounds: [keyof typeof PICTURE, number, number, boolean][] = [
    ['luminance', 0, 255, false],
    ['sharpness', 0, 1, true],
    ['detail', 0, 1e6, true],
    ['likeness', -1, 1, true],
    ['displacementPx', 0, 100_000, true],
    ['displacementRatio', 0, 1, true],
    ['lookMs', 0, 600_000, false],
  ]
  const takes = (field: string, value: unknown) => pictureSchema.safeParse({ ...PICTURE, [field]: value }).success
  for (const [field, least, most, mayBeNull] of bounds) {
    assert.ok(takes(field, least) && takes(field, most), field)
    assert.not(takes(field, least - 0.001) || takes(field, most + 0.001) || takes(field, undefined), field)
    assert.is(takes(field, null), mayBeNull, field)
  }
})

test('of the unit everything may be absent, and nothing may be longer or wilder than it can be', () => {
  const takes = (device: unknown) => deviceSchema.safeParse(device).success
  assert.ok(takes({ temperatureC: -100 }) && takes({ temperatureC: 300 }))
  assert.not(takes({ temperatureC: 301 }) || takes({ temperatureC: Number.NaN }))
  assert.ok(takes({ clockOffsetMs: -1e12 }))
  assert.not(takes({ clockOffsetMs: 2e12 }) || takes({ disk: { freeBytes: -1, totalBytes: 1 } }))
  assert.ok(takes({ throttle: { now: { underVoltage: true } } }))
  assert.not(takes({ throttle: { now: {} } }))
  assert.ok(takes({ dataEncrypted: false }))
  assert.not(takes({ dataEncrypted: 'no' }))
  const newer = deviceSchema.parse({ temperatureC: 50, later: { plate: 'ABC123' } })
  assert.equal(
    newer,
    { temperatureC: 50 },
    'what a newer unit says beside it is left out, and costs the report nothing',
  )
  const versions = { software: 'x'.repeat(64), node: 'v20', detector: 'candor', reader: 'candor' }
  assert.ok(takes({ versions }))
  assert.not(takes({ versions: { ...versions, software: 'x'.repeat(65) } }))
})

test('an alarm is of a known kind, with short figures and a short note', () => {
  const alarm = {
    ...{ alarmId: ID, agency: 'springfield', cameraId: 'north-1', revision: 0, raisedAtMs: 1_750_000_000_000 },
    ...{ clearedAtMs: null, detail: { temperatureC: 91 }, acknowledged: null },
  }
  const takes = (change: object) => fleetAlarmSchema.safeParse({ ...alarm, kind: 'hot', ...change }).success
  for (const kind of ALARM_KINDS) assert.ok(takes({ kind }), kind)
  assert.not(takes({ kind: 'lonely' }) || takes({ detail: { code: 'x'.repeat(65) } }))
  const note = (length: number) => ({ acknowledged: { atMs: alarm.raisedAtMs, by: 'tess', note: 'x'.repeat(length) } })
  assert.ok(takes(note(MAX_ALARM_NOTE)))
  assert.not(takes(note(MAX_ALARM_NOTE + 1)))
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createRateMeter, MAX_FRAMES_PER_SECOND } from './health.ts'

function world() {
  const counters = { read: 0, still: 0, rejected: 0, failed: 0, made: 0, matched: 0, withheld: 0, repeats: 0 }
  const source = { dropped: 0, rejected: 0 }
  const clock = { atMs: 1_000, nowMs: () => 0, monotonicMs: () => clock.atMs, sleep: async () => {} }
  return { counters, source, clock, meter: createRateMeter({ pipeline: { counters }, source, clock }) }
}

test('frames a second are those since the last measurement: captured with what was dropped, read with what was still', () => {
  const { counters, source, clock, meter } = world()
  assert.is(meter.latest, null)
  Object.assign(counters, { read: 20, still: 30, failed: 2, rejected: 3 })
  source.dropped = 45
  clock.atMs += 10_000
  meter.measure()
  assert.equal(meter.latest, { capturedPerSecond: 10, readPerSecond: 5 })
  counters.read += 1
  clock.atMs += 4_000
  meter.measure()
  assert.equal(meter.latest, { capturedPerSecond: 0.25, readPerSecond: 0.25 })
})

test('no time, no rate; and never more than the wire takes', () => {
  const { counters, clock, meter } = world()
  counters.read = 1
  meter.measure()
  assert.is(meter.latest, null)
  counters.read = MAX_FRAMES_PER_SECOND + 1
  clock.atMs += 1_000
  meter.measure()
  assert.is(meter.latest?.readPerSecond, MAX_FRAMES_PER_SECOND)
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_CLOCK_AHEAD_MS, seenAt } from './seen.ts'

const RECEIVED = 1_790_000_000_000

test('a vehicle was seen when its camera says so, however late that arrived', () => {
  for (const agoMs of [0, 1, 29 * 86_400_000]) {
    const capturedAtMs = RECEIVED - agoMs
    const seen = seenAt({ capturedAtMs, clock: 'synced' }, RECEIVED)
    assert.equal(seen, { seenAtMs: capturedAtMs, clockTrusted: true })
  }
})

test('a clock ahead by the limit is trusted, and by a millisecond more received time rules', () => {
  const at = (aheadMs: number) => seenAt({ capturedAtMs: RECEIVED + aheadMs, clock: 'synced' }, RECEIVED)
  assert.equal(at(MAX_CLOCK_AHEAD_MS), { seenAtMs: RECEIVED + MAX_CLOCK_AHEAD_MS, clockTrusted: true })
  assert.equal(at(MAX_CLOCK_AHEAD_MS + 1), { seenAtMs: RECEIVED, clockTrusted: false })
})

test('of an unsynced camera received time rules, whatever its clock says', () => {
  for (const capturedAtMs of [0, RECEIVED - 1, RECEIVED, RECEIVED + 1]) {
    assert.equal(seenAt({ capturedAtMs, clock: 'unsynced' }, RECEIVED), { seenAtMs: RECEIVED, clockTrusted: false })
  }
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CLOSES_BEFORE_SET_BACK, createSetBacks, FIRST_RETRY_MS, LONGEST_RETRY_MS } from './set-backs.ts'

const row = (rowId: number, wasSetBack = false) => ({ rowId, wasSetBack })

test('a row is set back at the third close in a row at which it was the head, and suspected until then', () => {
  const setBacks = createSetBacks()
  for (let closes = 1; closes < CLOSES_BEFORE_SET_BACK; closes += 1) {
    assert.not(setBacks.closed(row(1), 0))
    assert.ok(setBacks.probing)
  }
  assert.ok(setBacks.closed(row(1), 0))
  assert.not(setBacks.probing)
})

test('a close with another row at the head, or with none in flight, is held against nobody before', () => {
  const setBacks = createSetBacks()
  setBacks.closed(row(1), 0)
  setBacks.closed(row(1), 0)
  assert.not(setBacks.closed(null, 0))
  assert.ok(setBacks.probing, 'the suspicion stays')
  assert.not(setBacks.closed(row(2), 0))
  assert.not(setBacks.closed(row(1), 0))
  assert.not(setBacks.closed(row(1), 0))
  assert.ok(setBacks.closed(row(1), 0))
})

test('a suspect that is acknowledged after all is cleared, and one that left otherwise is forgotten', () => {
  const cleared = createSetBacks()
  cleared.closed(row(1), 0)
  cleared.acked(row(2))
  assert.ok(cleared.probing)
  cleared.acked(row(1))
  assert.not(cleared.probing)
  const gone = createSetBacks()
  gone.closed(row(1), 0)
  for (let acks = 1; acks < 50; acks += 1) gone.acked(row(1 + acks))
  assert.ok(gone.probing)
  gone.acked(row(99))
  assert.not(gone.probing)
})

test('a row that was set back is tried ever more rarely up to the longest pause, and at once again after a success', () => {
  const setBacks = createSetBacks()
  let nowMs = 0
  for (let waitMs: number = FIRST_RETRY_MS; ; waitMs = Math.min(LONGEST_RETRY_MS, waitMs * 2)) {
    assert.ok(setBacks.maySend(nowMs, false))
    assert.ok(setBacks.closed(row(1, true), nowMs), 'it stays set back')
    assert.not(setBacks.maySend(nowMs + waitMs - 1, false), `${waitMs}`)
    nowMs += waitMs
    if (nowMs > 4 * LONGEST_RETRY_MS) break
  }
  setBacks.acked(row(1, true))
  assert.ok(setBacks.maySend(nowMs - 1, true))
})

test('while others wait it is tried only when the cloud has just shown that it works', () => {
  const setBacks = createSetBacks()
  assert.not(setBacks.maySend(0, true))
  assert.ok(setBacks.maySend(0, false))
  setBacks.acked(row(5))
  assert.ok(setBacks.maySend(0, true))
  setBacks.closed(null, 0)
  assert.not(setBacks.maySend(0, true), 'a close takes the proof away')
})

test('while a suspect is looked for nothing that was set back is tried', () => {
  const setBacks = createSetBacks()
  setBacks.closed(row(1), 0)
  setBacks.acked(row(2))
  assert.not(setBacks.maySend(0, false))
})

test.run()

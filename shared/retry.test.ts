import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createBackOff } from './retry.ts'

test('the wait doubles from the first to the most and starts again after a success', () => {
  const backOff = createBackOff({ firstMs: 100, mostMs: 1_000 }, () => 0)
  assert.equal(
    [1, 2, 3, 4, 5, 6].map(() => backOff.nextMs()),
    [100, 200, 400, 800, 1_000, 1_000],
  )
  backOff.reset()
  assert.is(backOff.nextMs(), 100)
})

test('jitter takes off at most half', () => {
  const backOff = createBackOff({ firstMs: 100, mostMs: 1_000 }, () => 0.999999)
  assert.is(backOff.nextMs(), 50)
})

test('a thousand failures stay at the most', () => {
  const backOff = createBackOff({ firstMs: 1, mostMs: 60_000 }, () => 0)
  for (let i = 0; i < 1_000; i++) backOff.nextMs()
  assert.is(backOff.nextMs(), 60_000)
  assert.is(backOff.attempts, 1_001)
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { expectedCalibrationError, reliability } from './reading/calibration.ts'
import { bootstrap, quantile } from './statistics.ts'

const reads = (confidence: number, right: number, wrong: number) => [
  ...Array.from({ length: right }, () => ({ confidence, right: true })),
  ...Array.from({ length: wrong }, () => ({ confidence, right: false })),
]
const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 1e-9, `${value}`)

test('reads that are right as often as they say have no calibration error', () => {
  near(expectedCalibrationError([...reads(0.9, 9, 1), ...reads(0.5, 5, 5)]), 0)
})

test('each bin counts by its reads', () => {
  near(expectedCalibrationError([...reads(0.9, 5, 5), ...reads(0.5, 15, 15)]), 0.1)
  near(expectedCalibrationError(reads(0.95, 0, 10)), 0.95)
  assert.ok(Number.isNaN(expectedCalibrationError([])))
})

test('a confidence of 0 and of 1 have their bins', () => {
  const bins = reliability([...reads(0, 0, 2), ...reads(1, 3, 0)])
  assert.equal([bins[0]?.reads, bins.at(-1)?.reads, bins.at(-1)?.rightShare], [2, 3, 1])
})

test('an interval holds the figure, is the same each time, and is a point where there is no spread', () => {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const values = Array.from({ length: 50 }, (_, n) => n)
  const [least, most] = bootstrap(values, mean)
  assert.ok(least < 24.5 && most > 24.5 && most - least < 10)
  assert.equal(bootstrap(values, mean), [least, most])
  assert.equal(bootstrap([7, 7, 7], mean), [7, 7])
})

test('a quantile is the value at its nearest rank', () => {
  assert.is(quantile([5, 1, 3], 0.5), 3)
  assert.is(quantile([5, 1, 3], 1), 5)
  assert.ok(Number.isNaN(quantile([], 0.5)))
})

test.run()

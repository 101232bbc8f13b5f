import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { focusText, judgeWidth, meanOf, widestOf } from './meters.ts'

test('a plate is too small below the least width, marginal up to the good one, and judged as it is shown', () => {
  const stateOf = (px: number) => judgeWidth(px, { least: 40, good: 60 }).state
  assert.equal([39.4, 39.5, 40, 59.4, 59.5, 60].map(stateOf), ['bad', 'fair', 'fair', 'fair', 'good', 'good'])
  assert.equal(judgeWidth(50.2, { least: 40, good: 60 }), {
    ...{ px: 50, state: 'fair', words: 'marginal: from 60 px it is good' },
  })
})

test('the widest plate counts, and the focus is a mean', () => {
  const reads = [10, 30, 20].map((width) => ({ region: { width } }))
  assert.is(widestOf(reads)?.region.width, 30)
  assert.is(widestOf([]), null)
  assert.is(focusText(meanOf([0.5, 0.7])), '60')
})

test.run()

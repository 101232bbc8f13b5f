import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { reportSchema } from '../../cloud/transparency/document.ts'
import { compare } from './compare.ts'
import { REFERENCE, simulateMonth } from './month.ts'

test('the page of some days agrees, figure by figure, with what was counted beside it, and a wrong count is seen', async () => {
  const [scale, days] = [0.01, 8]
  const { lines, report, tally, fromLog, purgedBeforeMs } = await simulateMonth({ scale, days, seed: 7, out: null })
  assert.equal(
    lines.filter(({ agrees }) => !agrees),
    [],
  )
  const of = (figure: string) => lines.find((line) => line.figure === figure)?.counted
  assert.is(of('vehicles'), Math.round((REFERENCE.vehicles * scale * days) / 30).toLocaleString('en-US'))
  assert.is(of('hits'), String(Math.round((REFERENCE.hits * scale * days) / 30)))
  assert.ok(lines.length > 40)

  const differs = (change: () => void) => {
    change()
    return compare(reportSchema.parse(report), tally, purgedBeforeMs, fromLog)
      .filter(({ agrees }) => !agrees)
      .map(({ figure }) => figure)
  }
  assert.equal(
    differs(() => {
      tally.vehicles += 1
    }),
    ['vehicles', 'hit-share'],
  )
  assert.ok(differs(() => tally.alerts.add('stolen')).includes('alerts'))
  assert.ok(differs(() => tally.onlineMs.add('camera-2', 1)).includes('up-time'))
})

test.run()

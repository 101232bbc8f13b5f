import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rulesOf } from './policy/profile.ts'
import { PROFILES } from './policy/profiles/index.ts'
import { KEPT_CLASSES, keptAt } from './retention-testing.ts'

const MINUTES = 1 / 1_440
/** Retention of the statutes and the reference city, days. */
const PERIODS: readonly (readonly [string, number])[] = [
  ['3 minutes', 3 * MINUTES],
  ['21 days', 21],
  ['60 days', 60],
  ['90 days', 90],
  ['180 days', 180],
  ['9 months', 273],
  ['3 years', 1_095],
]

for (const [name, days] of PERIODS) {
  test(`of ${name} every class is there until the last millisecond, and neither shown nor on the disk past it`, async () => {
    const retention = { unmatchedDays: days, matchedDays: days, cropDays: days, quarantineDays: days }
    const kept = await keptAt({ retention, holds: { maxDays: 1_200 } })
    assert.equal(
      kept.map((one) => one.class),
      [...KEPT_CLASSES],
    )
    for (const one of kept) {
      const { keptMs: _, class: of, ...seen } = one
      assert.equal(seen, { atLimit: true, pastLimit: false, onDiskBefore: true, onDiskAfter: false }, of)
    }
  })
}

for (const profile of PROFILES) {
  test(`by the profile ${profile.id} every class is there until its last millisecond, and not a millisecond longer`, async () => {
    const { retention, holds } = rulesOf(profile)
    for (const one of await keptAt({ retention, holds })) {
      const { keptMs: _, class: of, ...seen } = one
      // A hold that ends before the row's own time takes nothing away.
      const onDiskAfter = of === 'held' && holds.maxDays < retention.matchedDays
      assert.equal(seen, { atLimit: true, pastLimit: false, onDiskBefore: true, onDiskAfter }, of)
    }
  })
}

test('each class has a time of its own', async () => {
  const retention = { unmatchedDays: 3 * MINUTES, matchedDays: 180, cropDays: 21, quarantineDays: 7 }
  const kept = await keptAt({ retention, holds: { maxDays: 366 } })
  assert.equal(
    kept.map(({ keptMs }) => keptMs / 86_400_000),
    [3 * MINUTES, 180, 21, 180, 7, 366],
  )
  assert.ok(kept.every((one) => one.atLimit && !one.pastLimit && one.onDiskBefore && !one.onDiskAfter))
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import { type Alert, type AlertStep, alertStepSchema } from '../../shared/wire/index.ts'
import { codeOf, inCloud, makeSighting, publishSighting, type TestCloud, until } from '../testing.ts'
import { type OutcomeFigures, utcDay, wilson } from './outcomes.ts'

const PLATES = ['ABC1230', 'ABC1231', 'ABC1232']
const GROUPS = ['patrol']
const BY = {
  actor: { account: 'olga', roles: ['officer' as const], session: null, source: null },
  account: 'olga',
  groups: GROUPS,
}
const step = (world: TestCloud, alert: Alert, taken: object) =>
  world.cloud.parts.alerts.step(alert.alertId, { revision: alert.revision, ...taken } as AlertStep, BY)
const misread = (correctPlate: string | null) => ({ step: 'closed', outcome: 'misread', note: '', correctPlate })

const of = (figures: OutcomeFigures[], name: string) => {
  const { raised, grouped, duplicate, closed, outcomes } = figures.find((one) => one.name === name) as OutcomeFigures
  return [raised, grouped, duplicate, closed, outcomes]
}

test('what became of alerts is counted by camera and list, taken back with the closing, and outlives the alerts without a plate', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', PLATES)
    const [north, south] = [
      await world.connectCamera('north', await world.addCamera('north')),
      await world.connectCamera('south', await world.addCamera('south')),
    ]
    const see = (plate: string, cameraId: 'north' | 'south', agoMs = 0) =>
      publishSighting(
        cameraId === 'north' ? north : south,
        makeSighting(world.clock, { plate, cameraId, capturedAtMs: world.clock.nowMs() - agoMs }),
      )
    const today = utcDay(world.clock.nowMs())
    const { alerts, outcomes } = world.cloud.parts
    for (const plate of PLATES) await see(plate, 'north')
    await see('ABC1230', 'south')
    await see('ABC1230', 'north')
    await see('ABC1230', 'north', -2 * MINUTE_MS)
    const listed = await alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 10 })
    const about = (plate: string) => listed.find(({ match }) => match.listedPlate === plate) as Alert
    const figures = () => outcomes.figures({ from: today, to: today + 1 })

    let slip = await step(world, about('ABC1230'), misread('ABC123O'))
    await step(world, about('ABC1231'), misread(null))
    // The newest sighting that had joined the misread raised an alert of its own.
    assert.equal(of((await figures()).cameras, 'north'), [4, 1, 1, 2, { misread: 2 }])
    assert.equal(of((await figures()).cameras, 'south'), [0, 1, 0, 0, {}])
    slip = await step(world, slip, { step: 'taken_back', reason: 'another one' })
    await step(world, slip, { step: 'closed', outcome: 'stale', note: '' })
    const now = await figures()
    assert.equal(of(now.cameras, 'north'), [4, 1, 1, 2, { misread: 1, stale: 1 }])
    assert.equal(of(now.lists, 'stolen'), [4, 2, 1, 2, { misread: 1, stale: 1 }])
    assert.equal(now.lists[0]?.misread, wilson(1, 2))
    assert.equal((await outcomes.figures({ from: today - 9, to: today - 1 })).lists, [])

    const { steps } = await alerts.get(about('ABC1231').alertId, GROUPS)
    assert.equal(
      steps.map(({ outcome, correctPlate }) => [outcome, correctPlate]),
      [['misread', null]],
    )
    assert.is((await alerts.get(about('ABC1230').alertId, GROUPS)).steps[0]?.correctPlate, 'ABC123O')

    world.clock.advance(31 * DAY_MS)
    const { database } = world.cloud.parts
    const left = database.build.selectFrom('alerts').select('alert_id')
    await until('the alerts are purged', async () => (await database.read(left)).length === 0)
    assert.equal(of((await figures()).lists, 'stolen'), [4, 2, 1, 2, { misread: 1, stale: 1 }])
    const rows = await database.read(database.build.selectFrom('alert_outcomes').selectAll())
    assert.not.ok(PLATES.some((plate) => JSON.stringify(rows).includes(plate)))
  })
})

test('a misread says what the plate says, which is not the listed one; null: it cannot be read', async () => {
  const closed = (change: object) =>
    alertStepSchema.safeParse({ step: 'closed', revision: 0, outcome: 'misread', ...change }).success
  assert.equal([{}, { correctPlate: null }, { correctPlate: 'ABC1' }, { correctPlate: 'abc 1' }].map(closed), [
    ...[false, true, true, false],
  ])
  assert.ok(closed({ outcome: 'stale' }))
  await inCloud(async (world) => {
    await world.importList('stolen', PLATES)
    const north = await world.connectCamera('north', await world.addCamera('north'))
    await publishSighting(north, makeSighting(world.clock, { cameraId: 'north', plate: 'ABC1230' }))
    const [alert] = await world.cloud.parts.alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 1 })
    assert.is(await codeOf(() => step(world, alert as Alert, misread('ABC1230'))), 'conflict')
    assert.is((await step(world, alert as Alert, misread('ABC1238'))).outcome, 'misread')
  })
})

test('an interval is Wilson’s: wide where there are few, and within 0 and 1', () => {
  const rounded = (hits: number, of: number) =>
    Object.values(wilson(hits, of) ?? {}).map((share) => Math.round(share * 1_000) / 1_000)
  // Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
  assert.equal(rounded(81, 263), [0.308, 0.255, 0.366])
  assert.equal(rounded(15, 148), [0.101, 0.062, 0.16])
  assert.equal(rounded(0, 20), [0, 0, 0.161])
  assert.equal(rounded(1, 29), [0.034, 0.006, 0.172])
  assert.equal(rounded(3, 3)[2], 1)
  assert.is(wilson(0, 0), null)
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { migrate } from '../database/migrate.ts'
import { MIGRATIONS } from '../database/migrations/index.ts'
import { inCloud, type TestCloud, until } from '../testing.ts'
import { openReceiver } from '../webhooks/testing.ts'
import { ANSWER_MS, STILL_MS } from './plan.ts'
import {
  BRIGHTER,
  countsOf,
  DARKER,
  openUnit,
  rolledOut,
  rolledOutPast,
  shownOf,
  told,
  type Unit,
  WANTED,
} from './testing.ts'
import { TELL_AGAIN_MS } from './turns.ts'

test('a unit in the place of another is sent what stood for its name, by the same number, and is shown until it has it', () =>
  inCloud(async (world) => {
    const { cameras, rollOuts } = world.cloud.parts
    await world.addPerson('tess', ['camera-technician'], [])
    const [north, south] = [
      await openUnit(world, 'north', await world.addCamera('north')),
      await openUnit(world, 'south', await world.addCamera('south')),
    ]
    const number = await rolledOut(world, [north, south])
    assert.equal([await countsOf(world, number), await shownOf(world, 'north')], [{ confirmed: 2 }, String(number)])
    await rollOuts.upkeep()
    assert.is(north.commands().length, 1, 'who has it is not told again')

    const { keyPem, csrPem } = newCameraRequest('north')
    const { certPem } = await cameras.replace('north', csrPem, 'tess')
    await rollOuts.upkeep()
    assert.equal(await countsOf(world, number), { confirmed: 2 }, 'nobody has heard of the new unit')
    const unit = await openUnit(world, 'north', { key: keyPem, cert: certPem })
    await unit.say({ version: 0 })
    await told(unit, 1)
    assert.equal([unit.commands()[0]?.version, unit.commands()[0]?.settings], [number, DARKER])
    assert.equal(
      [north, unit].map((one) => one.commands()[0]?.keepSetHere),
      [undefined, true],
    )
    assert.not.equal(unit.commands()[0]?.targetId, north.commands()[0]?.targetId)
    assert.equal(await countsOf(world, number), { confirmed: 1, waiting: 1 })
    assert.is(await shownOf(world, 'north'), `own, meant ${number}`)
    await unit.answer('probation')
    await unit.say({ version: number, trial: true })
    assert.is(await shownOf(world, 'north'), `${number} on trial`)
    await unit.answer('confirmed')
    await unit.say({ version: number })
    assert.equal([await countsOf(world, number), await shownOf(world, 'north')], [{ confirmed: 2 }, String(number)])
    assert.is(unit.commands().length, 1)
    const audited = (await world.audited('roll_out.reopened')).map(({ subject, detail }) => [
      subject?.id,
      detail?.camera,
    ])
    assert.equal(audited, [[String(number), 'north']])
    assert.is((await rollOuts.get(number)).rollOut.state, 'done')
  }))

test('a unit on which it goes wrong has said so: it is shown, and a person looks; one that never answers is told again', () =>
  inCloud(async (world) => {
    await world.addPerson('tess', ['camera-technician'], [])
    const unit = await openUnit(world, 'north', await world.addCamera('north'))
    const number = await rolledOut(world, [unit])
    await unit.say({ version: 0 })
    await told(unit, 2)
    world.clock.advance(ANSWER_MS)
    await world.cloud.parts.rollOuts.upkeep()
    assert.equal(await countsOf(world, number), { silent: 1 })
    await unit.say({ version: 0 })
    await told(unit, 3)
    await unit.answer('rolled_back')
    await unit.say({ version: 0 })
    await unit.say({ version: 0 })
    assert.is(unit.commands().length, 3)
    assert.equal(
      [await countsOf(world, number), await shownOf(world, 'north')],
      [{ rolled_back: 1 }, `own, meant ${number}`],
    )
    await unit.say({ version: number + 5 })
    assert.is(await shownOf(world, 'north'), `${number + 5}, meant ${number}`, 'newer ones are not taken from it')
  }))

const reopened = async (world: TestCloud) => (await world.audited('roll_out.reopened')).length

/** It says after a while that it works by none. Resolves with whether it was told again; then it has confirmed that. */
async function deny(world: TestCloud, unit: Unit, afterMs: number): Promise<boolean> {
  const [before, heard] = [await reopened(world), unit.commands().length]
  world.clock.advance(afterMs - MINUTE_MS)
  await unit.say({ version: 0 })
  if ((await reopened(world)) === before) return false
  await told(unit, heard + 1)
  await unit.answer('confirmed')
  return true
}

test('who confirms its settings and never keeps them is told again at once, after an hour, and then once a day', () =>
  inCloud(async (world) => {
    await world.addPerson('tess', ['camera-technician'], [])
    const certified = await world.addCamera('north')
    const first = await openUnit(world, 'north', certified)
    const number = await rolledOut(world, [first])
    assert.equal([await deny(world, first, MINUTE_MS), await deny(world, first, MINUTE_MS)], [true, false])
    assert.equal(
      [await countsOf(world, number), await shownOf(world, 'north')],
      [{ confirmed: 1 }, `own, meant ${number}`],
    )
    await first.end()
    await world.restart()
    const unit = await openUnit(world, 'north', certified)
    const inAnHour = [await deny(world, unit, HOUR_MS - 2 * MINUTE_MS), await deny(world, unit, MINUTE_MS)]
    assert.equal(inAnHour, [false, true], 'a restart has forgotten nothing')
    let times = 0
    for (let hour = 0; hour < 72; hour += 6) if (await deny(world, unit, 6 * HOUR_MS)) times++
    assert.is(times, 3, 'in three days')
    const audited = await world.audited('roll_out.reopened')
    assert.equal(audited.map(({ detail }) => detail?.times).sort(), [1, 2, 3, 4, 5])
  }))

test('a unit in the place of one that did not keep its settings is told at once', () =>
  inCloud(async (world) => {
    await world.addPerson('tess', ['camera-technician'], [])
    const unit = await openUnit(world, 'north', await world.addCamera('north'))
    const number = await rolledOut(world, [unit])
    assert.equal([await deny(world, unit, MINUTE_MS), await deny(world, unit, MINUTE_MS)], [true, false])
    const { keyPem, csrPem } = newCameraRequest('north')
    const { certPem } = await world.cloud.parts.cameras.replace('north', csrPem, 'tess')
    assert.not(await deny(world, unit, MINUTE_MS), 'it is not there yet')
    const before = await reopened(world)
    const other = await openUnit(world, 'north', { key: keyPem, cert: certPem })
    // The cloud's own look may come before this one's word: the name is known to work by none.
    await other.say({ version: 0 })
    assert.is(await reopened(world), before + 1)
    // And before it listens: then it is told once more.
    world.clock.advance(TELL_AGAIN_MS)
    await world.cloud.parts.rollOuts.upkeep()
    await until('it is told', () => other.commands().length > 0)
    await other.answer('confirmed')
    await other.say({ version: number })
    assert.is(await shownOf(world, 'north'), String(number))
  }))

test('a camera that is added later gets what went to all, and not what went to some', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    await world.addPerson('tess', ['camera-technician'], [])
    const north = await openUnit(world, 'north', await world.addCamera('north'))
    const some = await rolledOut(world, [north], { cameras: ['north'] })
    const late = await openUnit(world, 'late', await world.addCamera('late'))
    await late.say({ version: 0 })
    assert.equal([late.commands().length, await shownOf(world, 'late')], [0, 'own'])
    const brighter = { vision: { minConfidence: 0.6 } }
    const number = await rolledOut(world, [north, late], { what: { kind: 'settings', settings: brighter } })
    assert.ok(number > some)
    const last = await openUnit(world, 'last', await world.addCamera('last'))
    await last.say({ version: 0 })
    await told(last, 1)
    assert.equal([last.commands()[0]?.version, last.commands()[0]?.settings], [number, brighter])
    assert.equal(
      [late, last].map((one) => one.commands().at(-1)?.keepSetHere),
      [undefined, true],
    )
    await last.answer('confirmed')
    await last.say({ version: number })
    assert.equal([await countsOf(world, number), await shownOf(world, 'last')], [{ confirmed: 3 }, String(number)])
    const again = await rolledOut(world, [north, late, last])
    const back = await rollOuts.revert(again, 'tess')
    for (const unit of [north, late, last]) {
      await until('it is taken back', () => unit.commands().at(-1)?.version === back.number)
      await unit.answer('confirmed')
      await unit.say({ version: back.number })
    }
    const lastOfAll = await openUnit(world, 'last-of-all', await world.addCamera('last-of-all'))
    await lastOfAll.say({ version: 0 })
    await told(lastOfAll, 1)
    assert.equal(lastOfAll.commands()[0]?.settings, brighter, 'what was taken back is not what the others have')
  }))

/** A unit that is told what last went to all and never answers, in spite of which that is done. */
async function withSilent(work: (world: TestCloud, north: Unit, quiet: Unit, ofAll: number) => Promise<void>) {
  await inCloud(async (world) => {
    const north = await openUnit(world, 'north', await world.addCamera('north'))
    const quiet = await openUnit(world, 'quiet', await world.addCamera('quiet'))
    const ofAll = await rolledOutPast(world, [north, quiet], ['confirmed', null])
    await work(world, north, quiet, ofAll)
  })
}

test('a camera whose turn had not come when a newer one was ended gets what went to all', () =>
  withSilent(async (world, north, quiet, ofAll) => {
    const { rollOuts } = world.cloud.parts
    const what = { kind: 'settings' as const, settings: BRIGHTER }
    const begun = await rolledOut(world, [north], { what, first: ['north'], stages: [10, 100] })
    await quiet.say({ version: 0 })
    assert.equal([await countsOf(world, ofAll), quiet.commands().length], [{ confirmed: 1, silent: 1 }, 1], 'it comes')
    await rollOuts.act(begun, 'end', 'tess')
    await quiet.say({ version: 0 })
    await told(quiet, 2)
    assert.equal([quiet.commands().at(-1)?.version, quiet.commands().at(-1)?.settings], [ofAll, DARKER])
    assert.is((await rollOuts.meant()).get('quiet'), ofAll)
  }))

test('one that was told of it before it was ended may still answer for a while, and then it gets what went to all', () =>
  withSilent(async (world, _north, quiet, ofAll) => {
    const { rollOuts } = world.cloud.parts
    const { number } = await rollOuts.start({ ...WANTED, first: ['quiet'], stages: [10, 100] }, 'tess')
    await told(quiet, 2)
    await rollOuts.act(number, 'end', 'tess')
    world.clock.advance(ANSWER_MS - 2 * MINUTE_MS)
    await quiet.say({ version: 0 })
    assert.equal(await countsOf(world, ofAll), { confirmed: 1, silent: 1 })
    world.clock.advance(MINUTE_MS)
    await rollOuts.upkeep()
    await told(quiet, 3)
    assert.is(quiet.commands().at(-1)?.version, ofAll)
  }))

test('a camera that tries what stood for it is not given the next roll-out meanwhile, and gets it afterwards', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    await world.addPerson('tess', ['camera-technician'], [])
    const unit = await openUnit(world, 'north', await world.addCamera('north'))
    const number = await rolledOut(world, [unit])
    await unit.say({ version: 0 })
    await told(unit, 2)
    const next = (await rollOuts.start(WANTED, 'tess')).number
    world.clock.advance(2 * MINUTE_MS)
    await rollOuts.upkeep()
    await unit.answer('probation')
    assert.equal([unit.commands().at(-1)?.version, unit.commands().length], [number, 2])
    await unit.answer('confirmed')
    await told(unit, 3)
    assert.is(unit.commands().at(-1)?.version, next)
    await unit.say({ version: 0 })
    assert.is(unit.commands().length, 3, 'and the other way round')
  }))

test('a roll-out that has stood still for a day is told of once, shown, and no more when it moves', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const certified = await world.addCamera('north')
    const receiver = await openReceiver()
    const hook = { webhook: 'desk', url: new URL(receiver.url), groups: [], includePlate: false, by: 'tess' }
    await world.cloud.parts.webhooks.add({ ...hook, notices: ['roll_out_still'] })
    const { number } = await rollOuts.start(WANTED, 'tess')
    const still = async () => (await rollOuts.get(number)).rollOut.stillSinceMs
    const madeMs = (await rollOuts.get(number)).rollOut.madeAtMs
    world.clock.advance(STILL_MS - MINUTE_MS)
    await rollOuts.upkeep()
    assert.equal([await still(), (await world.audited('roll_out.still')).length], [null, 0])
    world.clock.advance(MINUTE_MS)
    await rollOuts.upkeep()
    world.clock.advance(HOUR_MS)
    await rollOuts.upkeep()
    const audited = await world.audited('roll_out.still')
    assert.equal([await still(), audited.length], [madeMs, 1])
    assert.is(audited[0]?.detail?.because, 'waits for 1 of 1: north away')
    assert.is(await world.counted('candor_roll_outs_still'), 1)
    await until('a webhook is told', () => {
      world.clock.advance(SECOND_MS)
      return receiver.got.length === 1
    })
    assert.equal(receiver.got[0]?.json.notice.rollOut.because, 'waits for 1 of 1: north away')
    await receiver.close()
    const unit = await openUnit(world, 'north', certified)
    // It may have been told between its connection and its subscription; who has not answered is told again.
    await until('it is told', async () => {
      world.clock.advance(TELL_AGAIN_MS)
      await rollOuts.upkeep()
      return unit.commands().length > 0
    })
    await rollOuts.upkeep()
    assert.equal([await still(), await world.counted('candor_roll_outs_still')], [null, 0])
  }))

test('one that a person lets go on after days stands still from then on, and not from before', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const certified = await world.addCamera('north')
    const { number } = await rollOuts.start(WANTED, 'tess')
    const still = async () => [
      (await rollOuts.get(number)).rollOut.stillSinceMs !== null,
      (await world.audited('roll_out.still')).length,
    ]
    await rollOuts.act(number, 'pause', 'tess')
    world.clock.advance(2 * STILL_MS)
    await rollOuts.act(number, 'resume', 'tess')
    assert.equal(await still(), [false, 0])
    world.clock.advance(STILL_MS - MINUTE_MS)
    await rollOuts.upkeep()
    assert.equal(await still(), [false, 0])
    world.clock.advance(MINUTE_MS)
    await rollOuts.upkeep()
    assert.equal(await still(), [true, 1])
    await rollOuts.act(number, 'pause', 'tess')
    const unit = await openUnit(world, 'north', certified)
    world.clock.advance(STILL_MS)
    await rollOuts.act(number, 'resume', 'tess')
    await told(unit, 1)
    assert.equal(await still(), [false, 1])
  }))

test('the first stage is drawn from cameras that are connected', () =>
  inCloud(async (world) => {
    const names = Array.from({ length: 9 }, (_, i) => `away-${i}`)
    for (const name of names) await world.addCamera(name)
    const unit = await openUnit(world, 'here', await world.addCamera('here'))
    await world.cloud.parts.rollOuts.start({ ...WANTED, stages: [10, 100] }, 'tess')
    await told(unit, 1)
  }))

test('the first stage is drawn anew when it went away before anybody was told, and not where a person has named it', () =>
  inCloud(async (world) => {
    const { rollOuts, policy } = world.cloud.parts
    await policy.change(policy.current().version, { secondPerson: true }, 'paul')
    const keys = { a: await world.addCamera('a'), b: await world.addCamera('b') }
    const { number } = await rollOuts.start({ ...WANTED, stages: [30, 100], first: ['a'] }, 'tess')
    const unit = await openUnit(world, 'b', keys.b)
    await rollOuts.act(number, 'approve', 'tom')
    const firsts = async (of: number) =>
      (await rollOuts.get(of)).turns.flatMap(({ camera, stage }) => (stage === 0 ? [camera] : []))
    assert.equal([await firsts(number), unit.commands().length], [['a'], 0])
    await rollOuts.act(number, 'end', 'tess')
    await unit.end()
    await until('it is away', async () => (await world.counted('candor_connections{kind="camera"}')) === 0)
    const drawn = (await rollOuts.start({ ...WANTED, stages: [30, 100] }, 'tess')).number
    const [before] = await firsts(drawn)
    const other = before === 'a' ? 'b' : 'a'
    const late = await openUnit(world, other, keys[other])
    await rollOuts.act(drawn, 'approve', 'tom')
    await told(late, 1)
    assert.equal(await firsts(drawn), [other])
  }))

test('what was confirmed before the cloud kept it stands: of each camera the newest settings', () => {
  const connection = openDatabase(':memory:')
  const before = MIGRATIONS.filter(({ number }) => number < 44)
  migrate(connection, 1, before)
  for (const [number, kind] of [
    [3, 'settings'],
    [4, 'settings'],
    [5, 'image'],
  ])
    connection.exec(
      `INSERT INTO roll_outs (number, kind, stages, soak_ms, state, stage, since_ms, forgiven, reason, made_at_ms, made_by)
       VALUES (${number}, '${kind}', '[100]', 0, 'done', 0, 1, 0, 'r', 1, 'tess')`,
    )
  const turns = [
    ['a', 3, 'confirmed'],
    ['a', 4, 'confirmed'],
    ['a', 5, 'confirmed'],
    ['b', 3, 'confirmed'],
    ['b', 4, 'rolled_back'],
    ['c', 4, 'failed'],
  ]
  for (const [camera, number, state] of turns)
    connection.exec(
      `INSERT INTO roll_out_turns VALUES ('${camera}${number}', ${number}, '${camera}', 0, '${state}', NULL, 't', 1, 1, 1)`,
    )
  migrate(connection, 2)
  const standing = connection
    .prepare('SELECT target_id FROM roll_out_turns WHERE standing = 1 ORDER BY 1')
    .pluck()
    .all()
  assert.equal(standing, ['a4', 'b3'])
  connection.close()
})

test('what went to all before the cloud counted turns from further back counts from its own number', () => {
  const connection = openDatabase(':memory:')
  migrate(
    connection,
    1,
    MIGRATIONS.filter(({ number }) => number < 48),
  )
  for (const [number, whole] of [
    [3, 1],
    [4, 0],
  ])
    connection.exec(
      `INSERT INTO roll_outs (number, kind, stages, soak_ms, state, stage, since_ms, forgiven, reason, made_at_ms, made_by, whole)
       VALUES (${number}, 'settings', '[100]', 0, 'done', 0, 1, 0, 'r', 1, 'tess', ${whole})`,
    )
  migrate(connection, 2)
  assert.equal(connection.prepare('SELECT number, whole_from, resumed_ms FROM roll_outs ORDER BY 1').raw().all(), [
    [3, 3, null],
    [4, null, null],
  ])
  connection.close()
})

test.run()

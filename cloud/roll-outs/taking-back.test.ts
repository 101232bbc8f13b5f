import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { inCloud, until } from '../testing.ts'
import { ANSWER_MS } from './plan.ts'
import { BRIGHTER, countsOf, DARKER, openUnit, reverted, rolledOut, rolledOutPast, STEEPER, told } from './testing.ts'
import { TELL_AGAIN_MS } from './turns.ts'

for (const isTold of [true, false]) {
  test(`settings are also taken back from a unit that ${isTold ? 'is just being told' : 'never answered when it was told'} them once more`, () =>
    inCloud(async (world) => {
      const { cameras, rollOuts } = world.cloud.parts
      const open = async (camera: string) => openUnit(world, camera, await world.addCamera(camera))
      const [north, south] = [await open('north'), await open('south')]
      await rolledOut(world, [north, south])
      const late = await open('late')
      const taken = await rolledOut(world, [north, south, late], { what: { kind: 'settings', settings: BRIGHTER } })
      await north.end()
      const { keyPem, csrPem } = newCameraRequest('north')
      const { certPem } = await cameras.replace('north', csrPem, 'tess')
      const other = await openUnit(world, 'north', { key: keyPem, cert: certPem })
      await other.say({ version: 0 })
      await told(other, 1)
      await other.end()
      if (!isTold) world.clock.advance(ANSWER_MS)
      await rollOuts.upkeep()
      assert.equal(await countsOf(world, taken), { confirmed: 2, [isTold ? 'waiting' : 'silent']: 1 })
      const gone = await open('gone')
      await gone.say({ version: 0 })
      await told(gone, 1)
      await gone.answer('confirmed')
      await cameras.revoke('gone', 'tess')

      const back = await rollOuts.revert(taken, 'tess')
      assert.equal(back.settings, DARKER, 'also of `late`, which came after those went to all')
      assert.equal(await countsOf(world, back.number), { waiting: 3 })
      for (const unit of [south, late]) {
        await until('it is told', () => unit.commands().at(-1)?.version === back.number)
        await unit.answer('confirmed')
        await unit.say({ version: back.number })
      }
      const there = await openUnit(world, 'north', { key: keyPem, cert: certPem })
      await there.say({ version: 0 })
      if (isTold) {
        assert.is(there.commands().length, 0, 'it was told the others just now, and may still answer')
        world.clock.advance(TELL_AGAIN_MS)
        await there.say({ version: 0 })
        await told(there, 1)
        assert.is(there.commands()[0]?.version, taken)
        await there.answer('confirmed')
        await there.say({ version: taken })
      }
      await told(there, isTold ? 2 : 1)
      const last = there.commands().at(-1)
      assert.equal([last?.version, last?.settings], [back.number, DARKER])
      await there.answer('confirmed')
      await there.say({ version: back.number })
      assert.equal([...(await rollOuts.meant())].filter(([camera]) => camera !== 'gone').sort(), [
        ['late', back.number],
        ['north', back.number],
        ['south', back.number],
      ])
    }))
}

test('a camera that is added while settings are taken back from all gets those of before at once, and no others', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const north = await openUnit(world, 'north', await world.addCamera('north'))
    await rolledOut(world, [north])
    const taken = await rolledOut(world, [north], { what: { kind: 'settings', settings: BRIGHTER } })
    const back = await rollOuts.revert(taken, 'tess')
    await told(north, 3)
    const late = await openUnit(world, 'late', await world.addCamera('late'))
    await late.say({ version: 0 })
    await told(late, 1)
    assert.equal([late.commands()[0]?.version, late.commands()[0]?.settings], [1, DARKER])
    await late.answer('confirmed')
    await north.answer('confirmed')
    await late.say({ version: 1 })
    assert.is((await rollOuts.get(back.number)).rollOut.state, 'done')
    assert.is(late.commands().length, 1, 'it has what all have')
    // Who comes now gets it by the number that stands for all.
    const later = await openUnit(world, 'later', await world.addCamera('later'))
    await later.say({ version: 0 })
    await told(later, 1)
    assert.equal([later.commands()[0]?.version, later.commands()[0]?.settings], [back.number, DARKER])
    assert.equal(new Map(await rollOuts.meant()).get('north'), back.number)
    assert.ok(taken < back.number)
  }))

for (const isTold of [true, false]) {
  test(`settings whose taking back was ended ${isTold ? 'half-way' : 'before anybody was told'} go to ${isTold ? 'nobody any more' : 'all as before'}`, () =>
    inCloud(async (world) => {
      const { rollOuts } = world.cloud.parts
      const [north, away] = [
        await openUnit(world, 'north', await world.addCamera('north')),
        await openUnit(world, 'away', await world.addCamera('away')),
      ]
      await rolledOut(world, [north, away])
      const taken = await rolledOut(world, [north, away], { what: { kind: 'settings', settings: BRIGHTER } })
      await away.end()
      if (!isTold) await north.end()
      const back = await rollOuts.revert(taken, 'tess')
      if (isTold) {
        await told(north, 3)
        await north.answer('confirmed')
      }
      assert.is((await rollOuts.get(back.number)).rollOut.state, 'running', 'one is away')
      await rollOuts.act(back.number, 'end', 'tess')
      const late = await openUnit(world, 'late', await world.addCamera('late'))
      await late.say({ version: 0 })
      await told(late, 1)
      const [first] = late.commands()
      assert.equal([first?.version, first?.settings], isTold ? [1, DARKER] : [taken, BRIGHTER])
    }))
}

test('a unit in the place of another is not told what is just being taken back from it', () =>
  inCloud(async (world) => {
    const { cameras, rollOuts } = world.cloud.parts
    const north = await openUnit(world, 'north', await world.addCamera('north'))
    await rolledOut(world, [north])
    const taken = await rolledOut(world, [north], { what: { kind: 'settings', settings: BRIGHTER } })
    await north.end()
    const back = await rollOuts.revert(taken, 'tess')
    const { keyPem, csrPem } = newCameraRequest('north')
    const { certPem } = await cameras.replace('north', csrPem, 'tess')
    const other = await openUnit(world, 'north', { key: keyPem, cert: certPem })
    await other.say({ version: 0 })
    await told(other, 1)
    assert.equal([other.commands()[0]?.version, other.commands()[0]?.settings], [back.number, DARKER])
  }))

test('one that was begun for all, ended in its first stage and taken back leaves the others what they have', () =>
  inCloud(async (world) => {
    const { rollOuts } = world.cloud.parts
    const [a, b] = [
      await openUnit(world, 'a', await world.addCamera('a')),
      await openUnit(world, 'b', await world.addCamera('b')),
    ]
    const ofAll = await rolledOut(world, [a, b])
    const late = await openUnit(world, 'late', await world.addCamera('late'))
    const what = { kind: 'settings' as const, settings: BRIGHTER }
    const begun = await rolledOut(world, [late], { what, first: ['late'], stages: [10, 100] })
    await rollOuts.act(begun, 'end', 'tess')
    const back = await reverted(world, begun, [late])
    assert.equal(back.settings, {})
    for (const unit of [a, b]) await unit.say({ version: ofAll })
    assert.equal(await countsOf(world, back.number), { confirmed: 1 })
    assert.equal([...(await rollOuts.meant())].sort(), [
      ['a', ofAll],
      ['b', ofAll],
      ['late', back.number],
    ])
    const last = await openUnit(world, 'last', await world.addCamera('last'))
    await last.say({ version: 0 })
    await told(last, 1)
    assert.equal([last.commands()[0]?.version, last.commands()[0]?.settings], [ofAll, DARKER])
  }))

test('one that went to all and is taken back leaves those that did not take it, and goes to those that never had any', () =>
  inCloud(async (world) => {
    const open = async (camera: string) => openUnit(world, camera, await world.addCamera(camera))
    const [north, stubborn, apart, away] = [
      await open('north'),
      await open('stubborn'),
      await open('apart'),
      await open('away'),
    ]
    const all = [north, stubborn, apart, away]
    const first = await rolledOutPast(world, all, ['confirmed', 'confirmed', 'confirmed', null])
    const steeper = { kind: 'settings' as const, settings: STEEPER }
    const ofOne = await rolledOut(world, [apart], { what: steeper, cameras: ['apart'] })
    const taken = await rolledOutPast(world, all, ['confirmed', 'refused', null, null], BRIGHTER)
    const back = await reverted(world, taken, [north])
    assert.equal(back.settings, DARKER)
    await stubborn.say({ version: first })
    await apart.say({ version: ofOne })
    assert.equal(await countsOf(world, back.number), { confirmed: 1 })
    const standing = new Map(await world.cloud.parts.rollOuts.meant())
    assert.equal([standing.get('apart'), standing.get('north')], [ofOne, back.number], 'apart was to get it once more')
    const fresh = await open('fresh')
    for (const unit of [fresh, away]) {
      const times = unit.commands().length
      await unit.say({ version: 0 })
      await told(unit, times + 1)
      assert.equal([unit.commands().at(-1)?.version, unit.commands().at(-1)?.settings], [back.number, DARKER])
      await unit.answer('confirmed')
      await unit.say({ version: back.number })
    }
  }))

test('one that is taken back, and that again, still leaves those that did not take it', () =>
  inCloud(async (world) => {
    const north = await openUnit(world, 'north', await world.addCamera('north'))
    const stubborn = await openUnit(world, 'stubborn', await world.addCamera('stubborn'))
    const first = await rolledOut(world, [north, stubborn])
    const taken = await rolledOutPast(world, [north, stubborn], ['confirmed', 'refused'], BRIGHTER)
    const back = await reverted(world, taken, [north])
    const late = await openUnit(world, 'late', await world.addCamera('late'))
    await late.say({ version: 0 })
    await told(late, 1)
    await late.answer('confirmed')
    await late.say({ version: back.number })
    const forth = await reverted(world, back.number, [north, late])
    assert.equal(forth.settings, BRIGHTER, 'also of one that came after those were taken back')
    await stubborn.say({ version: first })
    assert.equal(await countsOf(world, forth.number), { confirmed: 2 })
  }))

test.run()

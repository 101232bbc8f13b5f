import { createHash } from 'node:crypto'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { topics } from '../shared/topics.ts'
import type { Sighting } from '../shared/wire/index.ts'
import { callerOf } from './api/testing.ts'
import { MAX_HOLD_SIGHTINGS } from './holds/selecting.ts'
import { type Hold, type HoldSelection, MAX_HOLDS } from './holds.ts'
import { AGENCY, codeOf, inCloud, makeSighting, publish, publishSighting, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'
const PLATE = 'HELD4711'
const OTHER = 'FREE4712'
const CASE = '26-00017'
const BASIS = 'preservation letter of the county attorney'

interface World extends TestCloud {
  camera: MqttClient
  /** Published by camera A now. */
  see(plate: string, change?: Partial<Sighting>): Promise<Sighting>
  /** With a picture that has arrived. */
  seeWithPicture(plate: string): Promise<Sighting>
  hold(selection: HoldSelection, days?: number): Promise<Hold>
  /** Plates that the hold keeps, as they are shown. */
  kept(holdId: string): Promise<(string | null)[]>
  /** Rows in these tables. */
  rows(
    ...tables: ('sightings' | 'held_sightings' | 'held_crops' | 'held_alerts' | 'hold_sightings' | 'holds')[]
  ): Promise<number[]>
  /** Goes on by so much, and by purge and purge until this holds. */
  pass(ms: number, purged: () => Promise<boolean>): Promise<void>
}

async function inHolds(work: (world: World) => Promise<void>): Promise<void> {
  await inCloud(async (cloud) => {
    await cloud.importList('stolen', [PLATE])
    const camera = await cloud.connectCamera(A, await cloud.addCamera(A))
    const world: World = Object.assign(cloud, {
      camera,
      async see(plate: string, change: Partial<Sighting> = {}) {
        const sighting = makeSighting(cloud.clock, { plate, candidates: [{ plate, confidence: 0.9 }], ...change })
        assert.is(await publishSighting(camera, sighting), 'acknowledged')
        return sighting
      },
      async seeWithPicture(plate: string) {
        const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.from(`${plate}-JPEG`), Buffer.from([0xff, 0xd9])])
        const crop = { sha256: createHash('sha256').update(jpeg).digest('hex'), bytes: jpeg.length }
        const sighting = await world.see(plate, { crop })
        await publish(camera, topics.crop(AGENCY, A, sighting.sightingId), jpeg)
        return sighting
      },
      async hold(selection: HoldSelection, days = 300) {
        const { holds } = world.cloud.parts
        const untilMs = world.clock.nowMs() + days * DAY_MS
        const selected = await holds.select(selection)
        return holds.add({ caseNumber: CASE, basis: BASIS, untilMs, selected, by: 'ines' })
      },
      async kept(holdId: string) {
        await world.cloud.parts.holds.get(holdId)
        const shown = await world.cloud.parts.holds.sightings(holdId, { offset: 0, limit: 200 })
        return shown.map(({ sighting }) => sighting.plate)
      },
      async rows(...tables: ('sightings' | 'holds')[]) {
        const { database } = world.cloud.parts
        const counts: number[] = []
        for (const table of tables) {
          const [row] = await database.read(
            database.build.selectFrom(table).select((eb) => eb.fn.countAll<number>().as('count')),
          )
          counts.push(row?.count ?? -1)
        }
        return counts
      },
      async pass(ms: number, purged: () => Promise<boolean>) {
        world.clock.advance(ms)
        // Again each time: a purge that was running may have missed it, and the pause begins behind it.
        await until('it is purged', async () => {
          if (await purged()) return true
          world.clock.advance(MINUTE_MS)
          return false
        })
      },
    })
    await work(world)
  })
}

test('what a hold names outlives its retention under its case, out of the reach of every other query, and goes when the hold ends', async () => {
  await inHolds(async (world) => {
    const { holds, sightings } = world.cloud.parts
    const held = await world.seeWithPicture('AAA1111')
    await world.see(OTHER)
    const { holdId } = await world.hold({ kind: 'sightings', sightingIds: [held.sightingId] })
    await world.pass(30 * DAY_MS, async () => (await world.audited('retention.purged')).length === 1)
    assert.equal(await world.rows('sightings', 'held_sightings', 'held_crops'), [0, 1, 1])
    assert.is(await sightings.get(held.sightingId, world.clock.nowMs()), null)
    assert.is(await sightings.crop(A, held.sightingId, world.clock.nowMs()), null)
    assert.equal(await world.kept(holdId), ['AAA1111'])
    const [shown] = await holds.sightings(holdId, { offset: 0, limit: 10 })
    assert.equal(shown?.sighting, held, 'whole')
    assert.ok(shown?.hasPicture)
    assert.match((await holds.crop(holdId, A, held.sightingId))?.jpeg.toString('latin1') ?? '', /AAA1111-JPEG/)
    const [receipt] = await world.audited('retention.purged')
    assert.equal([receipt?.detail.unmatched, receipt?.detail.crops], [1, 0], 'what was moved aside is not gone')
    await holds.release(holdId)
    assert.is(await codeOf(() => world.kept(holdId)), 'not_found', 'at once')
    await world.pass(0, async () => (await world.audited('retention.purged')).length === 2)
    assert.equal(await world.rows('held_sightings', 'held_crops', 'hold_sightings', 'holds'), [0, 0, 0, 0])
    assert.is((await world.audited('retention.purged'))[0]?.detail.held, 2)
  })
})

test('a hold by plate names the reads of that plate that are there: not of look-alikes unless asked, of other cameras or times, nor later ones', async () => {
  await inHolds(async (world) => {
    const { holds } = world.cloud.parts
    const fromMs = world.clock.nowMs()
    for (const plate of ['ABC1230', 'ABC123O', OTHER]) await world.see(plate)
    const toMs = world.clock.nowMs() + 1
    const named = async (change: object) => {
      const selection = { kind: 'plate' as const, plate: 'abc 1230', fromMs, toMs, cameras: [], near: false, ...change }
      return (await holds.select(selection)).sightings.length
    }
    assert.is(await named({}), 1)
    assert.is(await named({ near: true }), 2)
    assert.is(await named({ cameras: [A] }), 1)
    for (const change of [{ cameras: ['oak-st-2'] }, { toMs: fromMs }, { fromMs: toMs }, { plate: '!' }]) {
      assert.match(await codeOf(() => named(change)), /not_found|bad_input/)
    }
    const { holdId } = await world.hold({
      kind: 'plate',
      plate: 'ABC1230',
      fromMs,
      toMs: toMs + DAY_MS,
      cameras: [],
      near: false,
    })
    await world.see('ABC1230')
    assert.equal(await world.kept(holdId), ['ABC1230'])
    assert.not.match(JSON.stringify(await holds.get(holdId)), /ABC/i)
  })
})

test('a held alert is kept with its steps, and with the sightings of its trail and their finals', async () => {
  await inHolds(async (world) => {
    const { holds, alerts } = world.cloud.parts
    const first = await world.see(PLATE)
    const oak = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const second = makeSighting(world.clock, { plate: PLATE, cameraId: 'oak-st-2', revision: 0 })
    await publishSighting(oak, second)
    const [alert] = await alerts.ofSighting(A, first.sightingId)
    const alertId = alert?.alertId ?? ''
    const { holdId } = await world.hold({ kind: 'alerts', alertIds: [alertId], groups: ['patrol'] })
    // Of a sighting that is held: its final comes later and is part of it.
    await publishSighting(oak, { ...second, revision: 1 })
    const { alert: grown } = await alerts.get(alertId, ['patrol'])
    const by = {
      actor: { account: 'olga', roles: [], session: null, source: null },
      account: 'olga',
      groups: ['patrol'],
    }
    const step = { step: 'image_compared' as const, revision: grown.revision, plateSeen: PLATE, jurisdictionSeen: null }
    await alerts.step(alertId, step, by)
    await world.pass(31 * DAY_MS, async () => (await world.rows('held_alerts'))[0] === 1)
    assert.equal(await alerts.list({ groups: ['patrol'], state: null, beforeMs: null, limit: 9 }), [])
    assert.equal(await world.rows('sightings', 'held_sightings', 'held_alerts'), [0, 3, 1])
    const [kept] = await holds.alerts(holdId)
    assert.is(kept?.alert.state, 'image_compared')
    assert.equal(
      kept?.steps.map(({ step, account }) => [step, account]),
      [['image_compared', 'olga']],
    )
    const shown = await holds.sightings(holdId, { offset: 0, limit: 10 })
    assert.equal(
      shown.map(({ sighting }) => [sighting.sightingId, sighting.revision]).sort(),
      [
        [first.sightingId, 1],
        [second.sightingId, 1],
      ].sort(),
    )
    await holds.release(holdId)
    await world.pass(0, async () => (await world.rows('holds'))[0] === 0)
    assert.equal(await world.rows('held_sightings', 'held_alerts'), [0, 0])
    assert.is(await codeOf(() => world.hold({ kind: 'alerts', alertIds: [alertId], groups: ['patrol'] })), 'not_found')
  })
})

test('a hold ends when it says, however it was extended, and by policy at most so many days from now', async () => {
  await inHolds(async (world) => {
    const { holds } = world.cloud.parts
    const { sightingId } = await world.see('AAA1111')
    const selection: HoldSelection = { kind: 'sightings', sightingIds: [sightingId] }
    // The clock runs on: a day over the most is refused, the most itself is not.
    assert.is(await codeOf(() => world.hold(selection, 367)), 'bad_input')
    assert.is(await codeOf(() => world.hold(selection, 0)), 'bad_input')
    const hold = await world.hold(selection, 366)
    const first = await world.hold(selection, 40)
    assert.is(await codeOf(() => holds.extend(first.holdId, world.clock.nowMs() + 367 * DAY_MS, 'ann')), 'bad_input')
    await world.pass(39 * DAY_MS, async () => (await world.rows('held_sightings'))[0] === 1)
    const untilMs = world.clock.nowMs() + 2 * DAY_MS
    const extended = await holds.extend(first.holdId, untilMs, 'ann')
    assert.equal([extended.untilMs, extended.extendedBy], [untilMs, 'ann'])
    world.clock.advance(untilMs - world.clock.nowMs() - MINUTE_MS)
    assert.equal(await world.kept(first.holdId), ['AAA1111'])
    world.clock.advance(untilMs - world.clock.nowMs())
    assert.is(await codeOf(() => holds.get(first.holdId)), 'not_found')
    assert.is(
      await codeOf(() => holds.extend(first.holdId, untilMs + DAY_MS, 'ann')),
      'not_found',
      'nothing comes back',
    )
    await world.pass(0, async () => (await world.rows('hold_sightings'))[0] === 1)
    assert.equal(await world.kept(hold.holdId), ['AAA1111'], 'another hold names it too')
    assert.equal(
      (await holds.list(null)).map(({ holdId }) => holdId),
      [hold.holdId],
    )
    world.clock.advance(330 * DAY_MS)
    await until('nothing is left', async () =>
      (await world.rows('held_sightings', 'holds')).every((count) => count === 0),
    )
  })
})

test('a hold is made whole or not at all: so many sightings and no more, and so many holds', async () => {
  await inHolds(async (world) => {
    const { holds, database, sightings } = world.cloud.parts
    const nowMs = world.clock.nowMs()
    const row = (i: number) =>
      sightings.insert({
        ...{ camera_id: A, sighting_id: newId(), revision: 1, payload_sha256: 'x', received_at_ms: nowMs },
        ...{
          seen_at_ms: nowMs + i,
          retained_from_ms: nowMs,
          clock_trusted: 1,
          plate: 'AAA1111',
          confusable_key: 'AAA1111',
        },
        ...{ matched: 0, match_disagreed: 0, crop_sha256: null, document: '{}' },
      })
    const [key] = await (async () => {
      const one = await world.see('AAA1111')
      return database.read(
        database.build.selectFrom('sightings').select('confusable_key').where('sighting_id', '=', one.sightingId),
      )
    })()
    assert.is(key?.confusable_key, 'AAA1111', 'the rows below are found as real ones are')
    await database.writeBatch(Array.from({ length: MAX_HOLD_SIGHTINGS - 1 }, (_, i) => row(i)))
    const selection = {
      kind: 'plate' as const,
      plate: 'AAA1111',
      fromMs: 0,
      toMs: nowMs + DAY_MS,
      cameras: [],
      near: false,
    }
    assert.is((await world.hold(selection)).sightings, MAX_HOLD_SIGHTINGS)
    await database.writeBatch([row(0)])
    assert.is(await codeOf(() => world.hold(selection)), 'too_large')
    assert.equal(await world.rows('holds'), [1])
    world.sql(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MAX_HOLDS - 2})
      INSERT INTO holds SELECT 'h' || i, 'c', 'b', '{}', 1, 'x', ${nowMs + DAY_MS}, NULL, NULL FROM n`)
    const one: HoldSelection = { kind: 'sightings', sightingIds: [(await world.see(OTHER)).sightingId] }
    await world.hold(one)
    assert.is((await holds.list(null)).length, MAX_HOLDS)
    assert.is(await codeOf(() => world.hold(one)), 'too_large')
  })
})

test('over HTTP each hold and each look is audited, plates as digests; who may not search holds by sighting and alert alone', async () => {
  await inHolds(async (world) => {
    const call = callerOf(world.cloud)
    const ines = await world.addPerson('ines', ['investigator'], ['patrol'])
    const sam = await world.addPerson('sam', ['supervisor'], ['patrol'])
    const aude = await world.addPerson('aude', ['auditor'], [])
    const olga = await world.addPerson('olga', ['officer'], ['patrol'])
    const seen = await world.seeWithPicture(PLATE)
    const nowMs = world.clock.nowMs()
    const window = { fromMs: nowMs - DAY_MS, toMs: nowMs + DAY_MS }
    const plate = { kind: 'plate', plate: PLATE, ...window, offenceType: 'burglary' }
    const body = { caseNumber: CASE, basis: `${BASIS} about held-4711`, untilMs: nowMs + 90 * DAY_MS, selection: plate }
    const add = (token: string, change: object = {}) =>
      call('POST', '/api/v1/holds', { token, json: { ...body, ...change } })

    const made = await add(ines)
    assert.is(made.status, 201, made.body.toString())
    assert.not.match(made.body.toString(), /4711/)
    assert.is((await add(sam)).status, 403)
    const one = { kind: 'sightings', sightingIds: [seen.sightingId] }
    assert.is((await add(sam, { selection: one })).status, 201)
    for (const token of [aude, olga]) assert.is((await add(token)).status, 403)
    for (const wrong of [{ basis: 'case' }, { caseNumber: '.' }, { untilMs: nowMs + 400 * DAY_MS }, { basis: '' }]) {
      assert.is((await add(ines, wrong)).status, 400, JSON.stringify(wrong))
    }

    // What a search by this plate would be refused for, a hold is.
    const { policy } = world.cloud.parts
    const scope = { role: 'investigator' as const, maxAgeDays: 7, purposes: [], patterns: true, exports: true }
    const prohibited = [{ code: 'immigration', label: 'immigration enforcement', words: ['detainer'] }]
    const uses = { purposes: [], offenceTypes: [], prohibited }
    await policy.change(policy.current().version, { uses, search: { scopes: [scope] } }, 'pat')
    const selections = [
      [{ basis: 'a detainer of 1 June' }, 'prohibited_use'],
      [{ selection: { ...plate, offenceType: '' } }, 'offence_type_missing'],
      [{ selection: { ...plate, fromMs: nowMs - 8 * DAY_MS } }, 'scope_age'],
    ] as const
    for (const [wrong, rule] of selections) {
      assert.is((await add(ines, wrong)).status, 400, rule)
      assert.is((await world.audited('hold.add'))[0]?.rule, rule)
    }

    const path = `/api/v1/holds/${made.json.holdId}`
    const shown = await call('GET', path, { token: sam })
    assert.is(shown.json.sightings[0].sighting.plate, PLATE)
    const crop = await call('GET', `${path}/sightings/${A}/${seen.sightingId}/crop`, { token: ines })
    assert.is(crop.headers['content-type'], 'image/jpeg')
    assert.is((await call('GET', `${path}/sightings/oak-st-2/${seen.sightingId}/crop`, { token: ines })).status, 404)
    const listed = await call('GET', `/api/v1/holds?case=${CASE}`, { token: aude })
    assert.is(listed.json.holds.length, 2)
    assert.not.match(listed.body.toString(), /4711/)
    for (const token of [aude, olga]) assert.is((await call('GET', path, { token })).status, 403)
    assert.is(
      (await call('POST', `${path}/extend`, { token: ines, json: { untilMs: nowMs + 100 * DAY_MS } })).status,
      200,
    )
    assert.is((await call('POST', `${path}/release`, { token: sam })).status, 200)
    assert.is((await call('GET', path, { token: sam })).status, 404)

    const entries = (await world.cloud.parts.audit.list({ before: null, limit: 200 })).filter(({ operation }) =>
      operation.startsWith('hold.'),
    )
    const count = (operation: string, outcome: string) =>
      entries.filter((entry) => entry.operation === operation && entry.outcome === outcome).length
    // Two that were made and one that was then refused for its end; that again, three as searches would be, by plate, and by policy.
    assert.equal([count('hold.add', 'allowed'), count('hold.add', 'refused')], [3, 8])
    assert.equal(
      ['hold.viewed', 'hold.crop_viewed', 'hold.listed', 'hold.extend', 'hold.release'].map((one) =>
        count(one, 'allowed'),
      ),
      [1, 1, 1, 1, 1],
    )
    const first = entries.filter(({ operation }) => operation === 'hold.add').at(-1)
    assert.is(first?.query?.plateDigest, world.cloud.parts.audit.plateDigest(PLATE))
    assert.match(first?.reason ?? '', /about \[plate [0-9a-f]{16}\]$/)
    assert.is(first?.results, 1)
    assert.not.match(JSON.stringify(entries), /4711/)
  })
})

test.run()

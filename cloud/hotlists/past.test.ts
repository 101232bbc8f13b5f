/** New entries against stored sightings, through the real cloud. */
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS } from '../../shared/clock.ts'
import { topics } from '../../shared/topics.ts'
import { type Alert, alertSchema, type Sighting } from '../../shared/wire/index.ts'
import {
  AGENCY,
  collect,
  inCloud,
  makeSighting,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from '../testing.ts'
import { MAX_PAST_ALERTS, MAX_PAST_ENTRIES, MAX_PAST_SIGHTINGS } from './past.ts'

const A = 'elm-st-1'
const GROUPS = ['patrol']

const inPast = (work: (world: TestCloud, camera: MqttClient) => Promise<void>, checkPastHours = 24) =>
  inCloud(async (world) => {
    const { policy } = world.cloud.parts
    await policy.change(policy.current().version, { hotlists: { checkPastHours } }, 'ada')
    await work(world, await world.connectCamera(A, await world.addCamera(A)))
  })

async function pass(world: TestCloud, camera: MqttClient, change: Partial<Sighting>): Promise<Sighting> {
  const sighting = makeSighting(world.clock, { match: null, ...change })
  assert.is(await publishSighting(camera, sighting), 'acknowledged')
  return sighting
}

const alertsOf = async (world: TestCloud): Promise<Alert[]> =>
  (await world.cloud.parts.alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 200 })).map((alert) =>
    alertSchema.parse(alert),
  )
const checked = async (world: TestCloud) => (await world.audited('hotlist.past_checked')).map(({ detail }) => detail)

test('a vehicle that was seen before its plate came onto the list raises one alert, of its last sighting, marked as historical', async () => {
  await inPast(async (world, camera) => {
    await world.importList('stolen', ['XYZ789'])
    await until('the first list is checked', async () => (await checked(world)).length === 1)
    await pass(world, camera, { plate: 'ABC1230' })
    world.clock.advance(HOUR_MS)
    const last = await pass(world, camera, { plate: 'ABC1230' })
    await pass(world, camera, { plate: 'QRS4567' })
    const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], GROUPS))
    const received = collect(olga)
    await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
    await world.importList('stolen', ['XYZ789', 'ABC1230'])
    await until('the alert is there', async () => (await alertsOf(world)).length === 1)
    const [alert] = await alertsOf(world)
    assert.equal([alert?.historical, alert?.sighting.sightingId, alert?.state], [true, last.sightingId, 'raised'])
    assert.ok((alert?.raisedAtMs ?? 0) > (alert?.sighting.receivedAtMs ?? 0), 'raised now, seen then')
    await until('officers are told', () => received.length === 1)
    await until('it is in the audit', async () => (await checked(world)).length === 2)
    const [{ entries, alerts, isTooMany } = {}] = await checked(world)
    assert.equal([entries, alerts, isTooMany], [1, 1, false])
    const { database } = world.cloud.parts
    const kept = database.build
      .selectFrom('sightings')
      .select(['sighting_id', 'matched'])
      .where('plate', '=', 'ABC1230')
    const rows = await database.read(kept)
    assert.is(rows.find((row) => row.sighting_id === last.sightingId)?.matched, 1, 'it is kept as a matched one')
    const now = await pass(world, camera, { plate: 'ABC1230' })
    const live = (await alertsOf(world)).find((one) => one.sighting.sightingId === now.sightingId)
    assert.is(live?.historical, false, 'seen again it is of today')
  })
})

test('entries that were there before, sightings that are too old, and a policy that does not allow it raise nothing', async () => {
  await inPast(async (world, camera) => {
    const { policy } = world.cloud.parts
    await pass(world, camera, { plate: 'ABC1230' })
    world.clock.advance(2 * HOUR_MS)
    await world.importList('stolen', ['ABC1230', 'XYZ789'])
    await until('too old', async () => (await checked(world)).length === 1)
    await pass(world, camera, { plate: 'JKL4567' })
    await world.importList('stolen', ['ABC1230', 'XYZ789', 'QRS4567'])
    await until('nothing new was seen', async () => (await checked(world)).length === 2)
    await policy.change(policy.current().version, { hotlists: { checkPastHours: 0 } }, 'ada')
    await world.importList('stolen', ['ABC1230', 'XYZ789', 'JKL4567'])
    assert.is((await checked(world)).length, 2)
    assert.equal(await alertsOf(world), [])
  }, 1)
})

test('a check that was cut short goes on at the next start, and an alert that is there is not raised again', async () => {
  await inPast(async (world, camera) => {
    await world.importList('stolen', ['XYZ789'])
    await pass(world, camera, { plate: 'ABC1230' })
    await world.importList('stolen', ['XYZ789', 'ABC1230'])
    await until('checked', async () => (await alertsOf(world)).length === 1 && (await checked(world)).length === 2)
    const { database } = world.cloud.parts
    const due = database.build.selectFrom('hotlist_versions').select('version').where('past_from_ms', 'is not', null)
    await until('nothing is due', async () => (await database.read(due)).length === 0)
    await database.writeBatch([
      database.build.updateTable('hotlist_versions').set({ past_from_ms: 1, past_since: 1 }).where('version', '=', 2),
    ])
    await world.restart()
    await until('checked again', async () => (await checked(world)).length === 3)
    assert.is((await alertsOf(world)).length, 1)
    assert.equal((await checked(world))[0]?.alerts, 0)
  })
})

test('a version with more new entries than are looked for is not held against the past, and that is in the audit', async () => {
  await inPast(async (world, camera) => {
    const many = (seen: string, count: number) => [
      seen,
      ...Array.from({ length: count - 1 }, (_, n) => `Q${100_000 + n}`),
    ]
    for (const plate of ['ABC1230', 'XYZ7890']) await pass(world, camera, { plate })
    await world.importList('large', many('ABC1230', MAX_PAST_ENTRIES + 1))
    await until('checked', async () => (await checked(world)).length === 1)
    assert.equal([(await checked(world))[0]?.isTooMany, await alertsOf(world)], [true, []])
    await world.importList('new', many('XYZ7890', MAX_PAST_ENTRIES))
    await until('checked', async () => (await checked(world)).length === 2)
    assert.equal([(await checked(world))[0]?.entries, (await alertsOf(world)).length], [MAX_PAST_ENTRIES, 1])
  })
})

test('one version raises so many alerts for the past and counts the others', async () => {
  await inPast(async (world, camera) => {
    const plates = Array.from({ length: MAX_PAST_ALERTS + 1 }, (_, n) => `P${1000 + n}`)
    for (const plate of plates) await pass(world, camera, { plate })
    await world.importList('stolen', plates)
    await until('checked', async () => (await checked(world)).length === 1)
    const [{ alerts, beyond } = {}] = await checked(world)
    assert.equal([alerts, beyond], [MAX_PAST_ALERTS, 1])
  })
})

test('of a plate that is often seen the newest sightings are looked at, and none beyond them', async () => {
  for (const isWithin of [true, false]) {
    await inPast(async (world, camera) => {
      await pass(world, camera, { plate: 'ABC1230' })
      // Of the same characters where they are confused, and not what the list says.
      for (let i = isWithin ? 1 : 0; i < MAX_PAST_SIGHTINGS; i++) {
        world.clock.advance(1_000)
        await pass(world, camera, { plate: 'ABC123O' })
      }
      await world.importList('stolen', ['ABC1230'])
      await until('it is checked', async () => (await checked(world)).length === 1)
      assert.is((await alertsOf(world)).length, isWithin ? 1 : 0)
    })
  }
})

test.run()

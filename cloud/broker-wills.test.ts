import type { IClientOptions } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS, systemClock } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { topics } from '../shared/topics.ts'
import { MAX_REPORT_BYTES } from './reports.ts'
import { AGENCY, collect, inCloud, publish, subscribe, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'
const B = 'oak-st-2'

const status = (world: TestCloud, camera: string, online: boolean, sessionId = newId()) =>
  JSON.stringify({ cameraId: camera, online, sessionId, sinceMs: world.clock.nowMs(), software: 'x' })

const willOf = (world: TestCloud, camera: string, sessionId?: string): IClientOptions['will'] => ({
  topic: topics.status(AGENCY, camera),
  payload: Buffer.from(status(world, camera, false, sessionId)),
  qos: 1,
  retain: true,
})

async function storedWills(world: TestCloud): Promise<string[]> {
  const { database } = world.cloud.parts
  const rows = await database.read(database.build.selectFrom('broker_wills').select('client_id'))
  return rows.map((row) => row.client_id)
}

async function isOnline(world: TestCloud, camera: string): Promise<boolean | undefined> {
  return (await world.cloud.parts.cameras.list()).find((one) => one.camera === camera)?.status?.online
}

/** Says that it is online, then stays connected with a Will that says the opposite. */
async function connectOnline(world: TestCloud, certified: { key: string; cert: string }, camera = A) {
  const sessionId = newId()
  const client = await world.connectCamera(camera, certified, { will: willOf(world, camera, sessionId) })
  const online = status(world, camera, true, sessionId)
  assert.is(await publish(client, topics.status(AGENCY, camera), online, { retain: true }), 'acknowledged')
  return client
}

/** As `until`, with minutes that pass: a loop that is not asleep yet would miss a single one. */
const untilMinutesLater = (world: TestCloud, what: string, holds: () => Promise<boolean>) =>
  until(what, () => {
    world.clock.advance(MINUTE_MS)
    return holds()
  })

test('a camera has a Will on its own status, of the greatest length of a report, and no other', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    await world.addCamera(B)
    const own = topics.status(AGENCY, A)
    const will = (topic: string, bytes = 2) => ({
      will: { topic, payload: Buffer.alloc(bytes, 'x'), qos: 1 as const, retain: false },
    })
    const dropped = [
      will(topics.status(AGENCY, B)),
      will(topics.alerts(AGENCY, 'patrol')),
      will(topics.sightings(AGENCY, A)),
      will(topics.health(AGENCY, A)),
      will(own, MAX_REPORT_BYTES + 1),
    ]
    for (const [i, options] of dropped.entries()) {
      await world.connectCamera(A, certified, options)
      assert.is(await world.counted('candor_denied_total{rule="publish"}'), i + 1, options.will.topic)
      assert.equal(await storedWills(world), [], options.will.topic)
    }
    await world.connectCamera(A, certified, will(own, MAX_REPORT_BYTES))
    assert.equal(await storedWills(world), [`${AGENCY}.${A}`])
  })
})

test('a Will that finds no room on the disk is counted, ends nothing, and is published when there is room', async () => {
  await inCloud(async (world) => {
    const client = await connectOnline(world, await world.addCamera(A))
    const watching = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], []))
    assert.is(await subscribe(watching, topics.allStatus(AGENCY)), 1)
    world.sql(`CREATE TRIGGER broken BEFORE UPDATE ON cameras BEGIN SELECT RAISE(ABORT, 'broken'); END`)
    client.stream.destroy()
    await until('it was refused', async () => (await world.counted('candor_broker_failures_total')) === 1)
    const again = async () => (await world.counted('candor_broker_failures_total')) >= 2
    await untilMinutesLater(world, 'it was refused again', again)
    assert.ok(watching.connected)
    assert.equal(await storedWills(world), [`${AGENCY}.${A}`])
    world.sql('DROP TRIGGER broken')
    await untilMinutesLater(world, 'the camera is offline', async () => (await isOnline(world, A)) === false)
    await until('people are told', () =>
      collect(watching).some(({ payload }) => JSON.parse(payload.toString()).online === false),
    )
    await until('it is gone from the disk', async () => (await storedWills(world)).length === 0)
  })
})

test('a camera that does not come back after a restart of the cloud is offline; one that does never was', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    await connectOnline(world, certified)
    await connectOnline(world, await world.addCamera(B), B)
    await world.restart()
    await connectOnline(world, certified)
    assert.is(await isOnline(world, B), true, 'it has time to come back')
    await untilMinutesLater(world, 'it did not', async () => (await isOnline(world, B)) === false)
    await until('its Will is gone from the disk', async () => (await storedWills(world)).length === 1)
    assert.is(await isOnline(world, A), true)
    assert.equal(await storedWills(world), [`${AGENCY}.${A}`], 'that of the new connection')
  })
})

test('the Will of a connection whose place is taken does not take that of the new one with it', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const first = await connectOnline(world, certified)
    const online = await connectOnline(world, certified)
    await until('the first is ended', () => !first.connected)
    assert.is(await isOnline(world, A), true)
    assert.equal(await storedWills(world), [`${AGENCY}.${A}`])
    online.stream.destroy()
    await until('the second Will speaks', async () => (await isOnline(world, A)) === false)
    await until('it is gone from the disk', async () => (await storedWills(world)).length === 0)
  })
})

test('a Will that is stored together with the birth of the next connection does not speak after it', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const other = await connectOnline(world, await world.addCamera(B), B)
    const watching = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], []))
    await connectOnline(world, certified)
    // A commit that takes long: what arrives meanwhile is in one transaction, behind it.
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const holding = world.cloud.parts.alerts.exclusively(() => held)
    const before = publish(other, topics.status(AGENCY, B), status(world, B, true))
    await systemClock.sleep(200)
    const sessionId = newId()
    const client = await world.connectCamera(A, certified, { will: willOf(world, A, sessionId) })
    const birth = publish(client, topics.status(AGENCY, A), status(world, A, true, sessionId), { retain: true })
    await systemClock.sleep(200)
    goOn()
    await holding
    assert.equal([await before, await birth], ['acknowledged', 'acknowledged'])
    await systemClock.sleep(200)
    assert.is(await isOnline(world, A), true)
    assert.equal(await storedWills(world), [`${AGENCY}.${A}`, `${AGENCY}.${B}`], 'those of the connections of now')
    assert.is(await subscribe(watching, topics.allStatus(AGENCY)), 1)
    const own = () => collect(watching).filter(({ topic }) => topic === topics.status(AGENCY, A))
    await until('what is retained comes', () => own().length === 1)
    const retained = JSON.parse(own()[0]?.payload.toString() ?? '')
    assert.equal([retained.sessionId, retained.online], [sessionId, true])
  })
})

test.run()

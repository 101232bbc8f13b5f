/** Connections that are ended, or end, before the broker is done with setting them up. */
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SECOND_MS, systemClock } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { AGENCY, inCloud, stopReading, subscribe, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'
const PATROL = topics.alerts(AGENCY, 'patrol')
/** More than two systems keep for a connection that nobody reads. */
const QUEUED = 250
const QUEUED_BYTES = 100_000

/** As much of an alert as the queue looks at, and much more. */
function largeAlert(): Buffer {
  const nowMs = systemClock.nowMs()
  const sighting = { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' }
  return Buffer.from(JSON.stringify({ sighting, text: 'x'.repeat(QUEUED_BYTES) }))
}

/** Olga has been away, so much is queued for her, and she is back, but reads nothing: it is still on its way. */
async function withOlgaInDelivery(work: (world: TestCloud, client: MqttClient) => Promise<void>): Promise<void> {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const before = await world.connectPerson('olga', token, { clean: false })
    assert.is(await subscribe(before, PATROL), 1)
    await before.endAsync()
    await until('she is away', () => world.cloud.parts.broker.connections().people === 0)
    const payload = largeAlert()
    for (let i = 0; i < QUEUED; i++) await world.cloud.parts.broker.publish(PATROL, payload, { qos: 1, retain: false })
    await work(world, await world.connectPerson('olga', token, { clean: false }))
  })
}

test('whoever leaves while the queue is on its way is counted out', async () => {
  await withOlgaInDelivery(async (world, client) => {
    stopReading(client)
    assert.ok(world.cloud.parts.broker.isConnected('olga.phone'))
    client.stream.destroy()
    await until('she is not connected', () => !world.cloud.parts.broker.isConnected('olga.phone'))
    assert.is(await world.counted('candor_connections{kind="person"}'), 0)
  })
})

test('whoever is disabled while connecting does not stay connected, whatever the moment', async () => {
  await inCloud(async (world) => {
    const { accounts, broker } = world.cloud.parts
    await world.addPerson('olga', ['officer'], ['patrol'])
    for (let round = 0; round < 60; round++) {
      const token = await world.logIn('olga')
      const connecting = world.connectPerson('olga', token).catch(() => null)
      await systemClock.sleep((round % 30) / 2)
      await accounts.disable('olga', 'test')
      const client = await connecting
      await until('she is not connected', () => client?.connected !== true)
      await until('nobody is counted', () => broker.connections().people === 0)
      await accounts.enable('olga', 'test')
    }
  })
})

test('a camera whose certificate runs out while it is connected is cut off, counted and audited', async () => {
  await inCloud(async (world) => {
    const { broker, cameras } = world.cloud.parts
    const client = await world.connectCamera(A, await world.addCamera(A))
    const expiresAtMs = (await cameras.list())[0]?.certificateExpiresAtMs ?? 0
    world.clock.advance(expiresAtMs - world.clock.nowMs() - 10 * SECOND_MS)
    broker.endExpired(world.clock.nowMs())
    assert.ok(client.connected)
    world.clock.advance(10 * SECOND_MS)
    broker.endExpired(world.clock.nowMs())
    await until('it is cut off', () => !client.connected)
    assert.is(await world.counted('candor_denied_total{rule="certificate_expired"}'), 1)
    await until('it is in the audit', async () =>
      (await world.audited('broker.denied')).some(
        (entry) => entry.rule === 'certificate_expired' && entry.subject?.id === A,
      ),
    )
  })
})

test.run()

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { installationFolder } from '../shared/version.ts'
import { type Alert, alertSchema } from '../shared/wire/index.ts'
import {
  AGENCY,
  collect,
  eachAlone,
  inCloud,
  makeSighting,
  publishSighting,
  type Received,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const TOPIC = topics.alerts(AGENCY, 'patrol')
/** No alert can be queued: what a full disk does to the publish after the commit of its sighting. */
const REFUSE_QUEUE = `CREATE TRIGGER broken BEFORE INSERT ON broker_outgoing BEGIN SELECT RAISE(ABORT, 'broken'); END`

const alertsIn = (received: readonly Received[]): Alert[] =>
  received.map(({ payload }) => alertSchema.parse(JSON.parse(payload.toString())))

/** Olga has a persistent session for the alerts of her group and is away; there is a camera and a list. */
async function withOlgaAway(
  work: (world: TestCloud, seen: { token: string; sight: () => Promise<string> }) => Promise<void>,
): Promise<void> {
  await inCloud(async (world) => {
    await world.importList('stolen', ['ABC1230'])
    await eachAlone(world)
    const certified = await world.addCamera(A)
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const olga = await world.connectPerson('olga', token, { clean: false })
    assert.is(await subscribe(olga, TOPIC), 1)
    await olga.endAsync()
    await work(world, {
      token,
      async sight() {
        const sighting = makeSighting(world.clock)
        const camera = await world.connectCamera(A, certified)
        assert.is(await publishSighting(camera, sighting), 'acknowledged')
        await camera.endAsync()
        return sighting.sightingId
      },
    })
  })
}

const queuedFor = async (world: TestCloud, clientId: string) => {
  const { database } = world.cloud.parts
  return (
    await database.read(
      database.build.selectFrom('broker_outgoing').select('position').where('client_id', '=', clientId),
    )
  ).length
}

const unpublished = async (world: TestCloud) => {
  const { database } = world.cloud.parts
  return (
    await database.read(
      database.build.selectFrom('alerts').select('alert_id').whereRef('published_revision', '<', 'revision'),
    )
  ).length
}

test('an officer who was away during a restart gets every alert on return, in order, at QoS 1, without subscribing again', async () => {
  await withOlgaAway(async (world, { token, sight }) => {
    const sightings = [await sight(), await sight()]
    await until('both are queued', async () => (await queuedFor(world, 'olga.phone')) === 2)
    await world.restart()
    sightings.push(await sight())
    await world.restart()
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    await until('all three come', () => seen.length >= 3)
    assert.equal(
      alertsIn(seen).map((alert) => alert.sighting.sightingId),
      sightings,
    )
    assert.ok(seen.every(({ packet, topic }) => packet.qos === 1 && !packet.retain && topic === TOPIC))
    await until('they are acknowledged', async () => (await queuedFor(world, 'olga.phone')) === 0)
  })
})

test('what was acknowledged does not come again, what was not acknowledged does', async () => {
  await withOlgaAway(async (world, { token, sight }) => {
    await sight()
    const deaf = await world.connectPerson('olga', token, {
      clean: false,
      // Takes the publish and never sends its PUBACK: a phone whose battery ends.
      customHandleAcks: () => {},
    })
    const unread: string[] = []
    deaf.on('packetreceive', (packet) => packet.cmd === 'publish' && unread.push(packet.topic))
    await until('it was delivered or is still queued', async () => (await queuedFor(world, 'olga.phone')) === 1)
    deaf.stream.destroy()
    await world.restart()
    const first = await world.connectPerson('olga', token, { clean: false })
    await until('it comes again', () => collect(first).length === 1)
    await until('it is acknowledged', async () => (await queuedFor(world, 'olga.phone')) === 0)
    await first.endAsync()
    const second = await world.connectPerson('olga', token, { clean: false })
    await sight()
    await until('the next one comes', () => collect(second).length > 0)
    assert.is(collect(second).length, 1)
  })
})

test('an officer who was away sees every revision of an alert, the last one last', async () => {
  await withOlgaAway(async (world, { token, sight }) => {
    const [alert] = await world.cloud.parts.alerts.ofSighting(A, await sight())
    const actor = { account: 'otto', roles: ['officer' as const], session: null, source: null }
    await world.cloud.parts.alerts.step(
      alert?.alertId ?? '',
      { step: 'image_compared', revision: 0, plateSeen: 'ABC1230', jurisdictionSeen: null },
      { actor, account: 'otto', groups: ['patrol'] },
    )
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    await until('both revisions come', () => seen.length === 2)
    assert.equal(
      alertsIn(seen).map((one) => [one.alertId, one.revision, one.state]),
      [
        [alert?.alertId, 0, 'raised'],
        [alert?.alertId, 1, 'image_compared'],
      ],
    )
  })
})

test('an alert that was committed and not published is published at the next start', async () => {
  await withOlgaAway(async (world, { token, sight }) => {
    world.sql(REFUSE_QUEUE)
    const sightingId = await sight()
    await until('the failure is in the log', () => world.logLines.some((line) => line.includes('alerts_not_published')))
    assert.is(await unpublished(world), 1)
    world.sql('DROP TRIGGER broken')
    await world.restart()
    assert.is(await unpublished(world), 0)
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    await until('it comes', () => seen.length === 1)
    assert.is(alertsIn(seen)[0]?.sighting.sightingId, sightingId)
  })
})

test('an alert that could not be published goes out within a minute without a restart and without another alert', async () => {
  await withOlgaAway(async (world, { sight }) => {
    world.sql(REFUSE_QUEUE)
    await sight()
    await until('the failure is in the log', () => world.logLines.some((line) => line.includes('alerts_not_published')))
    world.sql('DROP TRIGGER broken')
    world.clock.advance(2 * MINUTE_MS)
    await until('it is queued', async () => (await queuedFor(world, 'olga.phone')) === 1)
    await until('it counts as published', async () => (await unpublished(world)) === 0)
  })
})

test('an alert past its retention is neither published at a start nor delivered from the queue', async () => {
  await withOlgaAway(async (world, { sight }) => {
    await sight()
    await until('it is queued', async () => (await queuedFor(world, 'olga.phone')) === 1)
    world.sql("CREATE TRIGGER kept BEFORE DELETE ON alerts BEGIN SELECT RAISE(ABORT, 'no purge'); END")
    world.sql('UPDATE alerts SET published_revision = -1')
    world.clock.advance(31 * DAY_MS)
    await world.restart()
    assert.is(await unpublished(world), 1)
    assert.is(await queuedFor(world, 'olga.phone'), 1, 'the purge has not run')
    const olga = await world.connectPerson('olga', await world.logIn('olga'), { clean: false })
    const seen = collect(olga)
    world.sql('DROP TRIGGER kept')
    await sight()
    await until('the new one comes', () => seen.length > 0)
    assert.is(seen.length, 1)
    assert.ok((alertsIn(seen)[0]?.raisedAtMs ?? 0) > world.clock.nowMs() - DAY_MS)
  })
})

test('a cloud that is killed right after the acknowledgement publishes the alert when it is started again', async () => {
  await withOlgaAway(async (world, { token }) => {
    const { agency } = world.cloud.parts
    const sighting = makeSighting(world.clock)
    await world.cloud.close()
    // The same database in a process of its own that stores a sighting as ingest does, says so, and is killed at that moment.
    const script = `
      import { runCloud } from './cloud/main.ts'
      import { cloudConfigSchema } from './cloud/config.ts'
      import { silentLog } from './shared/log.ts'
      const config = cloudConfigSchema.parse({ agency: '${agency}', dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort: 0 })
      const { parts } = await runCloud(config, process.argv[1], { log: silentLog })
      const sighting = JSON.parse(process.argv[2])
      const match = parts.hotlists.match(sighting, Date.now())
      const { statements } = parts.alerts.raise({ sighting, receivedAtMs: Date.now(), match })
      await parts.database.writeBatch(statements)
      process.stdout.write('committed')
      process.kill(process.pid, 'SIGKILL')
    `
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script, world.folder, JSON.stringify(sighting)],
      { cwd: installationFolder(), stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    const [, signal] = await once(child, 'close')
    assert.is(signal, 'SIGKILL')
    assert.is(output, 'committed')
    await world.restart()
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    await until('it comes', () => seen.length === 1)
    assert.is(alertsIn(seen)[0]?.sighting.sightingId, sighting.sightingId)
  })
})

test.run()

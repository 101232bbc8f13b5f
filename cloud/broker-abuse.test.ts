/** What hostile, careless and unlucky clients do to the broker, and what that must not do to the others. */
import type { Socket } from 'node:net'
import { connect as connectOverTls, type TLSSocket } from 'node:tls'
import type { IClientOptions, MqttClient } from 'mqtt'
import { generate } from 'mqtt-packet'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS, systemClock } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { SERVER_LIFETIME_MS } from './authority.ts'
import { MAX_UNSENT_BYTES, MAX_UNSENT_LIVE_BYTES, unsentAction } from './broker/delivery.ts'
import { MAX_LOGGED_DENIALS } from './broker.ts'
import { MAX_SUBSCRIPTIONS_PER_SESSION } from './sessions.ts'
import {
  AGENCY,
  collect,
  eachAlone,
  inCloud,
  makeSighting,
  publishSighting,
  stopReading,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const PATROL = topics.alerts(AGENCY, 'patrol')
const denied = (world: TestCloud, rule: string) => world.counted(`candor_denied_total{rule="${rule}"}`)

/** A connection that speaks MQTT packet by packet and reads only what it is told to. */
async function rawConnection(world: TestCloud, account: string, token: string, clean: boolean): Promise<TLSSocket> {
  const options = { port: world.cloud.mqttPort, host: 'localhost', ca: world.cloud.caPem }
  const socket = connectOverTls(options).on('error', () => {})
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  const login = { clientId: `${account}.phone`, username: account, password: Buffer.from(token), clean, keepalive: 600 }
  socket.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, ...login }))
  return socket
}

const ended = (socket: Socket) => until('it is ended', () => socket.destroyed || socket.readableEnded)

test('what is unsent decides: live reads are dropped first, the connection is ended above the limit', () => {
  assert.is(unsentAction(MAX_UNSENT_LIVE_BYTES, 0), 'send')
  assert.is(unsentAction(MAX_UNSENT_LIVE_BYTES + 1, 0), 'drop')
  assert.is(unsentAction(MAX_UNSENT_LIVE_BYTES + 1, 1), 'send')
  assert.is(unsentAction(MAX_UNSENT_BYTES, 1), 'send')
  assert.is(unsentAction(MAX_UNSENT_BYTES + 1, 1), 'end')
  assert.is(unsentAction(MAX_UNSENT_BYTES + 1, 0), 'end')
})

for (const over of ['TLS', 'WebSocket'] as const) {
  test(`a client over ${over} that stops reading holds up nobody's alerts and is ended`, async () => {
    await inCloud(async (world) => {
      const login = async (account: string): Promise<IClientOptions> => ({
        clientId: `${account}.phone`,
        username: account,
        password: await world.addPerson(account, ['officer'], ['patrol']),
      })
      const connect = (options: IClientOptions): Promise<MqttClient> =>
        over === 'TLS'
          ? world.connectTls(options)
          : world.connectPerson(options.username ?? '', String(options.password), options)
      const reading = await connect(await login('olga'))
      await subscribe(reading, PATROL)
      const stuck = await connect(await login('otto'))
      await subscribe(stuck, PATROL)
      stuck.stream.unpipe()
      stuck.stream.pause()
      const seen = collect(reading)
      const nowMs = systemClock.nowMs()
      const sighting = { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' }
      const large = Buffer.from(JSON.stringify({ sighting, filling: 'x'.repeat(100_000) }))
      const startedMs = systemClock.monotonicMs()
      let sent = 0
      // Until the sockets' own buffers, some megabytes, and ours are full.
      while (world.cloud.parts.broker.connections().people > 1 && sent < 500) {
        await world.cloud.parts.broker.publish(PATROL, large, { qos: 1, retain: false })
        sent += 1
        await until('the other one has it', () => seen.length === sent)
      }
      assert.is(world.cloud.parts.broker.connections().people, 1, `after ${sent} alerts`)
      // aedes would have waited this long for the one that does not read.
      assert.ok(systemClock.monotonicMs() - startedMs < 30_000)
      assert.ok(reading.connected)
    })
  })

  test(`whoever watches sightings over ${over} and stops reading misses some, stays connected, and sees later ones`, async () => {
    await inCloud(async (world) => {
      const { broker } = world.cloud.parts
      const login = {
        clientId: 'olga.phone',
        username: 'olga',
        password: await world.addPerson('olga', ['supervisor'], []),
      }
      const watching =
        over === 'TLS' ? await world.connectTls(login) : await world.connectPerson('olga', login.password, login)
      assert.is.not(await subscribe(watching, topics.allSightings(AGENCY)), 'refused')
      const send = (payload: string) =>
        broker.publish(topics.sightings(AGENCY, 'elm-st-1'), Buffer.from(payload), { qos: 1, retain: false })
      const readOn = stopReading(watching)
      const startMs = systemClock.monotonicMs()
      for (let i = 0; i < 300; i++) await send('x'.repeat(100_000))
      assert.ok(systemClock.monotonicMs() - startMs < 30_000, 'nobody waited for the connection to time out')
      assert.ok(broker.isConnected('olga.phone'))
      readOn()
      await until('a later one comes', async () => {
        await send('later')
        return collect(watching).some(({ payload }) => payload.toString() === 'later')
      })
      assert.ok(watching.connected)
      assert.ok(collect(watching).filter(({ payload }) => payload.length === 100_000).length < 300)
    })
  })
}

test('a persistent session that is ended because it does not read gets all of it on return', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const first = await world.connectPerson('olga', token, { clean: false })
    await subscribe(first, PATROL)
    first.stream.unpipe()
    first.stream.pause()
    const nowMs = systemClock.nowMs()
    const sighting = { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' }
    let sent = 0
    while (world.cloud.parts.broker.connections().people > 0 && sent < 300) {
      sent += 1
      const alert = Buffer.from(JSON.stringify({ number: sent, sighting, filling: 'x'.repeat(100_000) }))
      await world.cloud.parts.broker.publish(PATROL, alert, { qos: 1, retain: false })
      await world.clock.sleep(0)
    }
    assert.is(world.cloud.parts.broker.connections().people, 0, `after ${sent} alerts`)
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    const numbers = () => [...new Set(seen.map(({ payload }) => JSON.parse(payload.toString()).number as number))]
    await until('all come', () => numbers().length === sent)
  })
})

test('an account that is disabled while its queue is being delivered is ended at once, and nothing is kept for it', async () => {
  await inCloud(async (world) => {
    const camera = await world.connectCamera(A, await world.addCamera(A))
    await world.importList('stolen', ['ABC1230'])
    await eachAlone(world)
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const client = await world.connectPerson('olga', token, { clean: false })
    await subscribe(client, PATROL)
    await client.endAsync()
    const candidates = Array.from({ length: 16 }, () => ({ plate: 'ABCDEFGHIJKL', confidence: 0.123456789 }))
    for (let sent = 0; sent < 400; sent += 20) {
      const some = Array.from({ length: 20 }, () => publishSighting(camera, makeSighting(world.clock, { candidates })))
      await Promise.all(some)
    }
    const { accounts, broker, database } = world.cloud.parts
    const queued = async () =>
      (await database.read(database.build.selectFrom('broker_outgoing').select('position'))).length
    await until('they are queued', async () => (await queued()) === 400)

    const socket = await rawConnection(world, 'olga', token, false)
    await until('it is known', async () => socket.bytesRead > 0 || socket.readableLength > 0 || socket.bytesWritten > 0)
    await world.cloud.parts.clock.sleep(200)
    await accounts.disable('olga', 'ada')
    socket.resume()
    await ended(socket)
    assert.is(broker.connections().people, 0)
    await until('its queue is gone', async () => (await queued()) === 0)
    await publishSighting(camera, makeSighting(world.clock))
    assert.is(await queued(), 0, 'nothing is queued for it any more')
  })
})

test('who is taken out of a group loses what is queued for it on every device, and keeps the rest', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol', 'k9'])
    const client = await world.connectPerson('olga', token, { clean: false })
    await subscribe(client, PATROL)
    await subscribe(client, topics.alerts(AGENCY, 'k9'))
    await client.endAsync()
    const { accounts, broker, database } = world.cloud.parts
    const nowMs = systemClock.nowMs()
    const alert = Buffer.from(
      JSON.stringify({ sighting: { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' } }),
    )
    for (const group of ['patrol', 'k9']) {
      await broker.publish(topics.alerts(AGENCY, group), alert, { qos: 1, retain: false })
    }
    await accounts.setRights('olga', { roles: ['officer'], groups: ['k9'] }, 'ada')
    const kept = async () => ({
      filters: (await database.read(database.build.selectFrom('broker_subscriptions').select('topic'))).map(
        (row) => row.topic,
      ),
      queued: (await database.read(database.build.selectFrom('broker_outgoing').select('packet'))).map(
        (row) => JSON.parse(row.packet).topic as string,
      ),
    })
    const k9 = topics.alerts(AGENCY, 'k9')
    await until('only k9 is kept', async () => {
      const { filters, queued } = await kept()
      return filters.length === 1 && queued.length === 1 && filters[0] === k9 && queued[0] === k9
    })
  })
})

test('a Will that its client may not publish is dropped before it is stored; one that was stored before is dropped at the start', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const will = { topic: PATROL, payload: Buffer.from('QXZ4711'), qos: 1 as const, retain: false }
    const client = await world.connectPerson('olga', token, { will })
    assert.ok(client.connected)
    assert.is(await denied(world, 'publish'), 1)
    const { database } = world.cloud.parts
    assert.equal(await database.read(database.build.selectFrom('broker_wills').selectAll()), [])
    await client.endAsync(true)
    const packet = JSON.stringify({ topic: 'x/y', qos: 0, retain: false, clientId: 'olga.phone' })
    world.sql(`INSERT INTO broker_wills VALUES ('olga.phone', 'of a dead broker', '${packet}', x'00')`)
    await world.restart()
    const again = world.cloud.parts.database
    assert.equal(await again.read(again.build.selectFrom('broker_wills').selectAll()), [])
  })
})

for (const cmd of ['subscribe', 'unsubscribe'] as const) {
  test(`a packet that ${cmd}s more filters than a session may hold ends the connection, as one refusal`, async () => {
    await inCloud(async (world) => {
      const token = await world.addPerson('olga', ['officer'], ['patrol'])
      const filters = (count: number) => Array.from({ length: count }, (_, i) => `f/${i}`)
      const packet = (count: number) =>
        cmd === 'subscribe'
          ? generate({ cmd, messageId: 1, subscriptions: filters(count).map((topic) => ({ topic, qos: 1 })) } as never)
          : generate({ cmd, messageId: 1, unsubscriptions: filters(count) } as never)
      const taken = await rawConnection(world, 'olga', token, false)
      taken.write(packet(MAX_SUBSCRIPTIONS_PER_SESSION))
      let answered = 0
      taken.on('data', (bytes: Buffer) => {
        answered += bytes.length
      })
      // CONNACK has 4 bytes.
      await until('it is answered', () => answered > 4)
      const before = await denied(world, 'subscribe')
      assert.is(before, cmd === 'subscribe' ? MAX_SUBSCRIPTIONS_PER_SESSION : 0)
      taken.write(packet(MAX_SUBSCRIPTIONS_PER_SESSION + 1))
      await ended(taken)
      assert.is(await denied(world, 'subscribe'), before + 1)
    })
  })
}

test('of many refusals of one connection a few are logged and all are counted', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const client = await world.connectPerson('olga', token)
    for (let i = 0; i < MAX_LOGGED_DENIALS + 5; i += 1) assert.is(await subscribe(client, `f/${i}`), 'refused')
    assert.is(await denied(world, 'subscribe'), MAX_LOGGED_DENIALS + 5)
    assert.is(world.logLines.filter((line) => line.includes('"denied"')).length, MAX_LOGGED_DENIALS)
  })
})

test('what somebody unknown calls themselves stands neither in the log nor in the audit', async () => {
  await inCloud(async (world) => {
    const tried = (username: string) =>
      world.connectTls({ clientId: 'qxz4711.phone', username, password: 'wrong' }).catch(() => null)
    await world.addPerson('olga', ['officer'], [])
    await tried('Tr0ub4dor-and-3')
    await tried('olga')
    await until('both are in the audit', async () => (await world.audited('broker.denied')).length === 2)
    const entries = await world.audited('broker.denied')
    assert.equal(entries.map((entry) => entry.subject?.id).sort(), ['olga', 'unknown'])
    const leaks = world.logLines.filter((line) => /Tr0ub4dor|qxz4711/i.test(line))
    assert.equal(leaks, [])
    assert.not.match(JSON.stringify(entries), /Tr0ub4dor|qxz4711/i)
  })
})

test('the certificate of broker and page is renewed while they run; connections that are open go on', async () => {
  await inCloud(async (world) => {
    const open = await world.connectCamera(A, await world.addCamera(A))
    const shown = async (port: number) => {
      // By the clock of this process the new one is of the future.
      const options = { port, host: 'localhost', rejectUnauthorized: false }
      const socket = connectOverTls(options).on('error', () => {})
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      const { serialNumber } = socket.getPeerCertificate()
      const protocol = [socket.getProtocol(), socket.getCipher().name]
      socket.destroy()
      return { serialNumber, protocol }
    }
    const both = () => Promise.all([shown(world.cloud.mqttPort), shown(world.cloud.httpsPort)])
    const before = await both()
    world.clock.advance(SERVER_LIFETIME_MS - 31 * DAY_MS)
    await world.cloud.parts.clock.sleep(50)
    assert.equal(await both(), before, 'a day too early')
    world.clock.advance(2 * DAY_MS)
    await until('both show another one', async () => {
      // A look that was under way at that moment is followed by another a minute later.
      world.clock.advance(MINUTE_MS)
      const now = await both()
      return now.every(({ serialNumber }, i) => serialNumber !== before[i]?.serialNumber)
    })
    const after = await both()
    assert.is(after[0]?.serialNumber, after[1]?.serialNumber)
    assert.equal(
      after.map(({ protocol }) => protocol),
      before.map(({ protocol }) => protocol),
      'as strict as before',
    )
    assert.ok(open.connected)
  })
})

test.run()

import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectOverTls } from 'node:tls'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { MAX_TOPIC_BYTES, topics } from '../shared/topics.ts'
import { MAX_PACKET_BYTES } from '../shared/wire/index.ts'
import { TIMES_THE_BROKER } from './api/api.ts'
import { MAX_CONNECTIONS_PER_ACCOUNT } from './broker/identify.ts'
import { MAX_QUEUED_PER_SESSION } from './broker/queues.ts'
import { MAX_SUBSCRIPTIONS_PER_SESSION } from './sessions.ts'
import { AGENCY, collect, inCloud, publish, subscribe, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'

const denied = (world: TestCloud, rule: string) => world.counted(`candor_denied_total{rule="${rule}"}`)

/** A payload that makes the whole of the packet after its fixed header `bytes` long [MQTT-2.2.3]. */
const payloadFor = (topic: string, bytes: number) => Buffer.alloc(bytes - 2 - Buffer.byteLength(topic) - 2, 'x')

test('a packet of the greatest length is taken and one byte more ends the connection, counted and audited', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const topic = topics.health(AGENCY, A)
    const client = await world.connectCamera(A, certified)
    assert.is(await publish(client, topic, payloadFor(topic, MAX_PACKET_BYTES)), 'acknowledged')
    assert.is(await denied(world, 'packet_too_large'), 0)
    assert.is(await publish(client, topic, payloadFor(topic, MAX_PACKET_BYTES + 1)), 'closed')
    assert.is(await denied(world, 'packet_too_large'), 1)
    await until('it is in the audit', async () =>
      (await world.audited('broker.denied')).some((entry) => entry.rule === 'packet_too_large'),
    )
  })
})

test('a person cannot make the broker buffer a large packet either, nor can somebody who is not logged in', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const topic = 'x'
    const overWebSocket = await world.connectPerson('olga', token)
    assert.is(await publish(overWebSocket, topic, payloadFor(topic, 4 * MAX_PACKET_BYTES)), 'closed')
    const overTls = await world.connectTls({ clientId: 'olga.desk', username: 'olga', password: token })
    assert.is(await publish(overTls, topic, payloadFor(topic, 4 * MAX_PACKET_BYTES)), 'closed')
    let refused = false
    await world
      .connectTls({ clientId: 'eve.phone', username: 'eve', password: Buffer.alloc(60_000, 'x') })
      .catch(() => {
        refused = true
      })
    assert.ok(refused)
  })
})

test('a topic of the greatest length is taken and one byte more is refused, published or subscribed', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const prefix = topics.crop(AGENCY, A, '')
    const ofLength = (bytes: number) => prefix.padEnd(bytes, 'x')
    assert.is(await publish(await world.connectCamera(A, certified), ofLength(MAX_TOPIC_BYTES), 'x'), 'acknowledged')
    assert.is(await denied(world, 'publish'), 0)
    assert.is(await publish(await world.connectCamera(A, certified), ofLength(MAX_TOPIC_BYTES + 1), 'x'), 'closed')
    assert.is(await denied(world, 'publish'), 1)
    const client = await world.connectCamera(A, certified)
    const list = topics.manifest(AGENCY, 'l'.repeat(32))
    assert.is(await subscribe(client, list), 1)
    assert.is(await subscribe(client, topics.manifest(AGENCY, 'l'.repeat(33))), 'refused')
    assert.is(await subscribe(client, 'x'.repeat(MAX_TOPIC_BYTES + 1)), 'refused')
    assert.is(await subscribe(client, '/'.repeat(200)), 'refused')
  })
})

for (const clean of [true, false]) {
  test(`a ${clean ? 'clean' : 'persistent'} session holds subscriptions up to the limit and no more`, async () => {
    await inCloud(async (world) => {
      const client = await world.connectCamera(A, await world.addCamera(A), { clean })
      for (let i = 0; i < MAX_SUBSCRIPTIONS_PER_SESSION; i++) {
        assert.is(await subscribe(client, topics.manifest(AGENCY, `list-${i}`)), 1)
      }
      assert.is(await subscribe(client, topics.manifest(AGENCY, 'one-more')), 'refused')
      assert.is(await denied(world, 'subscribe'), 1)
    })
  })
}

/** What one SUBSCRIBE with these filters is answered, or `closed`. */
function subscribeAll(client: MqttClient, filters: readonly string[]): Promise<number[] | 'closed'> {
  return new Promise((resolve) => {
    client.once('close', () => resolve('closed'))
    client.once('packetreceive', (packet) => {
      if (packet.cmd === 'suback') resolve([...packet.granted] as number[])
    })
    client.subscribe([...filters], { qos: 1 }, () => {})
  })
}

for (const clean of [true, false]) {
  test(`filters of one packet count together with those that a ${clean ? 'clean' : 'persistent'} session has`, async () => {
    await inCloud(async (world) => {
      const client = await world.connectCamera(A, await world.addCamera(A), { clean })
      const list = (i: number | string) => topics.manifest(AGENCY, `list-${i}`)
      const held = Array.from({ length: MAX_SUBSCRIPTIONS_PER_SESSION - 1 }, (_, i) => list(i))
      assert.is((await subscribeAll(client, held)).length, held.length)
      const more = ['a', 'b', 'c'].map(list)
      assert.equal(await subscribeAll(client, more), [1, 128, 128])
      assert.equal(await subscribeAll(client, held.slice(0, 2)), [1, 1], 'those that it has need no room')
      await client.unsubscribeAsync(held.slice(0, 2))
      assert.equal(await subscribeAll(client, more), [1, 1, 1])
      assert.ok(client.connected)
    })
  })
}

test('a persistent session with all its subscriptions is whole after a restart', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const client = await world.connectCamera(A, certified, { clean: false })
    for (let i = 0; i < MAX_SUBSCRIPTIONS_PER_SESSION; i++) {
      assert.is(await subscribe(client, topics.manifest(AGENCY, `list-${i}`)), 1)
    }
    await client.endAsync()
    await world.restart()
    const again = await world.connectCamera(A, certified, { clean: false })
    const seen = collect(again)
    for (let i = 0; i < MAX_SUBSCRIPTIONS_PER_SESSION; i++) {
      const topic = topics.manifest(AGENCY, `list-${i}`)
      await world.cloud.parts.broker.publish(topic, Buffer.from('{}'), { qos: 1, retain: false })
    }
    await until('all come', () => seen.length === MAX_SUBSCRIPTIONS_PER_SESSION)
  })
})

test('an account has connections up to the limit; one more is refused, a returning device is not', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const connect = (device: string) => world.connectPerson('olga', token, { clientId: `olga.${device}` })
    const clients: MqttClient[] = []
    for (let i = 0; i < MAX_CONNECTIONS_PER_ACCOUNT; i++) clients.push(await connect(`d${i}`))
    let refused = 0
    await connect('one-more').catch((error: { code?: number }) => {
      refused = error.code ?? 0
    })
    assert.is(refused, 5)
    assert.is(await denied(world, 'too_many_connections'), 1)
    clients.push(await connect('d0'))
    await until('its old connection is ended', () => clients[0]?.connected === false)
    const other = await world.connectPerson('otto', await world.addPerson('otto', ['officer'], []))
    assert.ok(other.connected, 'another account is not touched')
    await clients[1]?.endAsync()
    await until('there is room', () => world.cloud.parts.broker.connections().people === MAX_CONNECTIONS_PER_ACCOUNT)
    clients.push(await connect('one-more'))
  })
})

/** Plain connections that never begin their handshake, from an address of the loopback network. */
async function openSockets(port: number, count: number, localAddress: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  const opened: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    const socket = connectTcp({ port, host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    sockets.push(socket)
    opened.push(new Promise((resolve) => socket.once('connect', resolve).once('close', () => resolve())))
    // The server's queue of connections that it has not accepted yet is short.
    if (i % 100 === 99) await Promise.all(opened)
  }
  await Promise.all(opened)
  return sockets
}

const closed = (sockets: readonly Socket[]) =>
  until('they are ended', () => sockets.every((socket) => socket.destroyed || socket.readableEnded))

/** Small enough to be reached at once, long enough that no slow machine is cut off before the last one is opened. */
const FEW = { maxPerAddress: 8, maxConnections: 12, connectTimeoutMs: 60_000 }

test('connections of one address are bounded, also before their handshake, and make room when they end', async () => {
  await inCloud(
    async (world) => {
      const certified = await world.addCamera(A)
      const port = world.cloud.mqttPort
      const sockets = await openSockets(port, FEW.maxPerAddress, '127.0.0.1')
      try {
        assert.is(await denied(world, 'too_many_connections'), 0)
        await closed(await openSockets(port, 1, '127.0.0.1'))
        assert.is(await denied(world, 'too_many_connections'), 1)
        const options = { clientId: `${AGENCY}.${A}`, ...certified, localAddress: '127.0.0.2' }
        assert.ok((await world.connectTls(options as never)).connected, 'another address is not touched')
        sockets.pop()?.destroy()
        await until('there is room', async () => {
          const client = await world.connectCamera(A, certified).catch(() => null)
          return client?.connected ?? false
        })
      } finally {
        for (const socket of sockets) socket.destroy()
      }
    },
    {},
    FEW,
  )
})

for (const server of ['broker', 'page'] as const) {
  test(`connections to the ${server} are bounded, of one address and of all together`, async () => {
    await inCloud(
      async ({ cloud, counted }) => {
        const port = server === 'broker' ? cloud.mqttPort : cloud.httpsPort
        const times = server === 'broker' ? 1 : TIMES_THE_BROKER
        const refused = () => counted('candor_denied_total{rule="too_many_connections"}')
        const sockets = await openSockets(port, times * FEW.maxPerAddress, '127.0.0.1')
        try {
          assert.is(await refused(), 0)
          await closed(await openSockets(port, 1, '127.0.0.1'))
          assert.is(await refused(), 1)
          const rest = times * (FEW.maxConnections - FEW.maxPerAddress)
          sockets.push(...(await openSockets(port, rest, '127.0.0.2')))
          assert.is(await refused(), 1)
          await closed(await openSockets(port, 1, '127.0.0.3'))
          assert.is(await refused(), 2)
        } finally {
          for (const socket of sockets) socket.destroy()
        }
      },
      {},
      FEW,
    )
  })

  test(`who never finishes the handshake with the ${server}, or says nothing after it, is cut off`, async () => {
    await inCloud(
      async ({ cloud }) => {
        const port = server === 'broker' ? cloud.mqttPort : cloud.httpsPort
        const [silent, half] = await openSockets(port, 2, '127.0.0.1')
        // The first bytes of a ClientHello that never comes whole [RFC 8446, 5.1].
        half?.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1]))
        const waiting = [silent, half].filter((socket) => socket !== undefined)
        if (server === 'broker') {
          const shaken = connectOverTls({ port, host: 'localhost', ca: cloud.caPem }).on('error', () => {})
          await new Promise((resolve) => shaken.once('secureConnect', resolve))
          waiting.push(shaken)
        }
        for (const socket of waiting) socket.resume()
        await closed(waiting)
      },
      {},
      { connectTimeoutMs: 500 },
    )
  })
}

/** As much of an alert as the queue looks at. */
function alertBytes(number: number): Buffer {
  const nowMs = systemClock.nowMs()
  return Buffer.from(
    JSON.stringify({ number, sighting: { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' } }),
  )
}

test('the queue of an officer who is away keeps the newest up to the limit; the one dropped is counted', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const client = await world.connectPerson('olga', token, { clean: false })
    await subscribe(client, topics.alerts(AGENCY, 'patrol'))
    await client.endAsync()
    const send = (number: number) =>
      world.cloud.parts.broker.publish(topics.alerts(AGENCY, 'patrol'), alertBytes(number), { qos: 1, retain: false })
    for (let i = 0; i < MAX_QUEUED_PER_SESSION; i++) await send(i)
    assert.is(await world.counted('candor_queue_dropped_total'), 0)
    await send(MAX_QUEUED_PER_SESSION)
    assert.is(await world.counted('candor_queue_dropped_total'), 1)
    const seen = collect(await world.connectPerson('olga', token, { clean: false }))
    await until('all come', () => seen.length === MAX_QUEUED_PER_SESSION)
    const numbers = seen.map(({ payload }) => JSON.parse(payload.toString()).number as number)
    assert.is(numbers[0], 1)
    assert.is(numbers.at(-1), MAX_QUEUED_PER_SESSION)
  })
})

test.run()

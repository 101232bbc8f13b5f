import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { MINUTE_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import { CIPHERS } from './connections.ts'
import { inCloud, type TestCloud, until } from './testing.ts'

/** A test that is not about the time must not come upon it on a slow machine. */
const PATIENT = { connectTimeoutMs: 5 * MINUTE_MS }
const ports = (world: TestCloud) => [world.cloud.mqttPort, world.cloud.httpsPort]
const isEnded = (what: string, socket: Socket) => until(`${what} is ended`, () => socket.destroyed)

/** The start of a TLS record with a ClientHello that is 512 bytes long [RFC 8446, 5.1 and 4]. */
const HALF_HELLO = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])

async function openTcp(port: number): Promise<Socket> {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  // Only what is read to its end is seen to be closed.
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

/** A finished handshake, and nothing after it; rejects when there is none. */
async function openTls(world: TestCloud, port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: world.cloud.caPem, ...options })
  socket.on('error', () => {})
  socket.resume()
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('close', reject))
  return socket
}

test('whoever sends one byte of the handshake now and then is cut off like one who sends nothing', async () => {
  const connectTimeoutMs = SECOND_MS
  await inCloud(
    async (world) => {
      for (const port of ports(world)) {
        const startMs = systemClock.monotonicMs()
        const slow = await openTcp(port)
        slow.write(HALF_HELLO)
        const dribble = setInterval(() => slow.write('x'), connectTimeoutMs / 20)
        try {
          await isEnded('the slow one', slow)
        } finally {
          clearInterval(dribble)
        }
        assert.ok(systemClock.monotonicMs() - startMs >= connectTimeoutMs / 2, 'and not before its time')
      }
    },
    {},
    { connectTimeoutMs },
  )
})

test('whoever sends what is no TLS is cut off at once', async () => {
  await inCloud(
    async (world) => {
      for (const port of ports(world)) {
        const plain = await openTcp(port)
        plain.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        await isEnded('plain text', plain)
      }
    },
    {},
    PATIENT,
  )
})

test('a WebSocket without CONNECT is cut off', async () => {
  await inCloud(
    async (world) => {
      const socket = new WebSocket(`wss://localhost:${world.cloud.httpsPort}/mqtt`, 'mqtt', { ca: world.cloud.caPem })
      socket.on('error', () => {})
      let opened = false
      socket.once('open', () => {
        opened = true
      })
      await until('it is ended', () => socket.readyState === WebSocket.CLOSED)
      assert.ok(opened)
    },
    {},
    { connectTimeoutMs: 2 * SECOND_MS },
  )
})

test('whoever has said who they are stays connected past the time for it', async () => {
  await inCloud(
    async (world) => {
      const certified = await world.addCamera('elm-st-1')
      let camera: MqttClient | null = null
      // A slow machine may need more than one attempt.
      await until('the camera is connected', async () => {
        camera = await world.connectCamera('elm-st-1', certified).catch(() => null)
        return camera !== null
      })
      await isEnded('a silent one that came later', await openTcp(world.cloud.mqttPort))
      assert.ok((camera as MqttClient | null)?.connected)
    },
    {},
    { connectTimeoutMs: 2 * SECOND_MS },
  )
})

const OTHER_CIPHERS = [
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_CCM_SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-ECDSA-AES256-SHA',
]

test('both ports speak TLS 1.2 and 1.3 with each of the AES-GCM ciphers and with no other', async () => {
  await inCloud(
    async (world) => {
      const speaks = async (port: number, ciphers: string) => {
        const version = ciphers.startsWith('TLS_') ? 'TLSv1.3' : 'TLSv1.2'
        const only = { ciphers, minVersion: version, maxVersion: version } as const
        const socket = await openTls(world, port, only).catch(() => null)
        const spoken = socket?.getCipher().standardName ?? 'refused'
        socket?.destroy()
        return spoken
      }
      for (const port of ports(world)) {
        for (const cipher of CIPHERS.split(':')) {
          assert.match(await speaks(port, cipher), /^TLS_\w+_GCM_SHA\d+$/, cipher)
        }
        for (const cipher of OTHER_CIPHERS) assert.is(await speaks(port, cipher), 'refused', cipher)
      }
    },
    {},
    PATIENT,
  )
})

test('as many WebSockets as an address may have with the broker leave it as many connections for requests', async () => {
  const maxPerAddress = 3
  await inCloud(
    async (world) => {
      const token = await world.addPerson('olga', ['officer'], [])
      const connect = (device: number) => world.connectPerson('olga', token, { clientId: `olga.d${device}` })
      for (let device = 0; device < maxPerAddress; device++) await connect(device)
      let refused = false
      await connect(maxPerAddress).catch(() => {
        refused = true
      })
      assert.ok(refused, 'the broker takes no more')
      const opens = () => openTls(world, world.cloud.httpsPort).then(Boolean, () => false)
      for (let i = 0; i < maxPerAddress; i++) {
        // The first may have to wait until the refused WebSocket is counted out.
        await until('there is room for a request', opens)
      }
      assert.not(await opens(), 'and one more is refused')
    },
    {},
    { ...PATIENT, maxPerAddress },
  )
})

test.run()

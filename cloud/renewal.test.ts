import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { AUTHORITY_FILES, SERVER_LIFETIME_MS, SERVER_RENEW_BEFORE_MS } from './authority.ts'
import { PURGE_INTERVAL_MS } from './retention.ts'
import {
  AGENCY,
  createMovableClock,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const EXPIRES = 'candor_server_certificate_expires_seconds'

/**
 * A cloud that was started so long ago that its certificate is due, and does not know it yet: clients check certificates by the
 * real clock, so both the old one and the new one must be good on it.
 */
function inOldCloud(work: (world: TestCloud, catchUp: () => void) => Promise<void>): Promise<void> {
  const clock = createMovableClock()
  const behindMs = SERVER_LIFETIME_MS - SERVER_RENEW_BEFORE_MS + DAY_MS
  clock.advance(-behindMs)
  return inCloud((world) => work(world, () => clock.advance(behindMs)), {}, {}, clock)
}

async function openTls(world: TestCloud, port: number, options: object = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: world.cloud.caPem, ...options })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  socket.on('error', () => {})
  return socket
}

/** What a new connection to each port is shown. */
async function shown(world: TestCloud): Promise<string[]> {
  const fingerprints: string[] = []
  for (const port of [world.cloud.mqttPort, world.cloud.httpsPort]) {
    const socket = await openTls(world, port)
    fingerprints.push(socket.getPeerCertificate().fingerprint256)
    socket.destroy()
  }
  return fingerprints
}

test('a certificate that comes near its end is renewed while the cloud runs, and connections there are go on', async () => {
  await inOldCloud(async (world, catchUp) => {
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const page = await openTls(world, world.cloud.httpsPort)
    let answers = ''
    page.on('data', (chunk: Buffer) => {
      answers += chunk
    })
    const ask = () => page.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const answered = () => answers.split('HTTP/1.1 200').length - 1
    ask()
    await until('the page is answered', () => answered() === 1)
    const before = await shown(world)
    assert.is(before[0], before[1])
    const endsAt = () => world.cloud.parts.authority.serverExpiresAtMs / 1_000
    const endBefore = endsAt()
    await until('its end is told', async () => (await world.counted(EXPIRES)) === endBefore)

    catchUp()
    await until('both ports show another one', async () => (await shown(world)).every((one) => one !== before[0]))
    await until('its new end is told', async () => (await world.counted(EXPIRES)) === endsAt())
    assert.ok(endsAt() - endBefore > (SERVER_LIFETIME_MS - SERVER_RENEW_BEFORE_MS) / 1_000)
    assert.is(world.logLines.filter((line) => line.includes('"server_certificate_renewed"')).length, 1)

    assert.is(await publish(camera, topics.health(AGENCY, A), 'x'), 'acknowledged', 'the camera was not cut off')
    ask()
    await until('the page is answered on the same connection', () => answered() === 2)
    page.destroy()
    const after = await shown(world)
    await world.restart()
    assert.equal(await shown(world), after, 'a restart keeps it')
  })
})

test('with the new certificate the servers are as strict as before', async () => {
  await inOldCloud(async (world, catchUp) => {
    const [before] = await shown(world)
    catchUp()
    await until('it is renewed', async () => (await shown(world)).every((one) => one !== before))
    const { mqttPort, httpsPort } = world.cloud
    for (const port of [mqttPort, httpsPort]) {
      for (const weak of [
        { ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305', maxVersion: 'TLSv1.2' },
        { ciphers: 'TLS_CHACHA20_POLY1305_SHA256', minVersion: 'TLSv1.3' },
        { ciphers: 'DEFAULT@SECLEVEL=0', minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' },
      ]) {
        const refused = await openTls(world, port, weak).then(
          () => false,
          () => true,
        )
        assert.ok(refused, JSON.stringify(weak))
      }
    }
    const resumable = await openTls(world, mqttPort, { maxVersion: 'TLSv1.2' })
    assert.is(resumable.getTLSTicket(), undefined, 'no session of the broker is resumed')
    resumable.destroy()
    const camera = await world.connectCamera(A, await world.addCamera(A))
    assert.ok(camera.connected, 'a camera is known by its certificate')
    const { authority } = world.cloud.parts
    const noCamera = { key: authority.serverKeyPem, cert: authority.serverCertPem }
    await world.connectCamera(A, noCamera).then(
      () => assert.unreachable(),
      (error: { code?: number }) => assert.is(error.code, 5),
    )
    assert.is(await world.counted('candor_denied_total{rule="certificate_untrusted"}'), 1)
  })
})

test('a certificate that cannot be written is tried again, holds up no purge, and the old one serves until then', async () => {
  await inOldCloud(async (world, catchUp) => {
    const before = await shown(world)
    const camera = await world.connectCamera(A, await world.addCamera(A))
    assert.is(await publishSighting(camera, makeSighting(world.clock)), 'acknowledged')
    const inTheWay = join(world.folder, 'data', 'authority', `${AUTHORITY_FILES.server}.tmp`)
    mkdirSync(inTheWay)
    catchUp()
    const failed = () => world.logLines.some((line) => line.includes('"server_certificate_not_renewed"'))
    await until('it has failed', failed)
    assert.equal(await shown(world), before)
    await until('the purge ran all the same', async () => (await world.cloud.parts.sightings.counts()).sightings === 0)
    rmdirSync(inTheWay)
    await until('it is renewed', async () => {
      world.clock.advance(PURGE_INTERVAL_MS)
      return (await shown(world)).every((one) => one !== before[0])
    })
  })
})

test.run()

import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTlsSocket } from 'node:tls'
import type { IClientOptions, MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { newCameraRequest } from '../shared/certificate-request.ts'
import { DAY_MS, systemClock } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { SESSION_IDLE_MS } from './accounts/sessions.ts'
import { CAMERA_LIFETIME_MS, openAuthority } from './authority.ts'
import { MAX_KEEP_ALIVE_MS } from './broker.ts'
import { AGENCY, type Certified, collect, inCloud, subscribe, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'

/** The CONNACK code of a refusal, `connected`, or the message when the connection ended without one. */
async function tried(connecting: Promise<MqttClient>): Promise<number | string> {
  try {
    await (await connecting).endAsync(true)
    return 'connected'
  } catch (thrown) {
    const { code } = thrown as { code?: number }
    return code ?? (thrown as Error).message
  }
}

const denied = (world: TestCloud, rule: string) => world.counted(`candor_denied_total{rule="${rule}"}`)

/** Refused with CONNACK 5, counted under its rule, and in the audit. */
async function isDenied(world: TestCloud, rule: string, connecting: Promise<MqttClient>): Promise<void> {
  const before = await denied(world, rule)
  assert.is(await tried(connecting), 5, rule)
  assert.is(await denied(world, rule), before + 1, rule)
  await until(`${rule} is in the audit`, async () =>
    (await world.audited('broker.denied')).some((entry) => entry.rule === rule && entry.outcome === 'refused'),
  )
}

/** A certificate made by the authority in `folder`, as `agency` and at another time, without the cloud knowing it. */
async function certify(folder: string, change: { agency?: string; aheadMs?: number } = {}): Promise<Certified> {
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + (change.aheadMs ?? 0) }
  const authority = await openAuthority({
    folder,
    agency: change.agency ?? AGENCY,
    hostnames: ['localhost', '127.0.0.1'],
    clock,
  })
  const { keyPem, csrPem } = newCameraRequest(A)
  return { key: keyPem, cert: (await authority.issueCamera(A, csrPem)).certPem }
}

const ownAuthority = (world: TestCloud) => join(world.folder, 'data', 'authority')

test('a registered camera connects with its certificate and needs no password', async () => {
  await inCloud(async (world) => {
    const client = await world.connectCamera(A, await world.addCamera(A))
    // CONNACK is on its way before the broker counts.
    await until('it is counted in', () => world.cloud.parts.broker.connections().cameras === 1)
    assert.is(world.cloud.parts.broker.connections().people, 0)
    assert.is(await world.counted('candor_connections{kind="camera"}'), 1)
    await client.endAsync()
    await until('it is counted out', () => world.cloud.parts.broker.connections().cameras === 0)
    assert.is(await world.counted('candor_connections{kind="camera"}'), 0)
  })
})

test('a certificate of another authority, another agency, or one that was never registered is refused', async () => {
  await inCloud(async (world) => {
    await world.addCamera(A)
    const stranger = await certify(join(world.folder, 'stranger'))
    await isDenied(world, 'certificate_untrusted', world.connectCamera(A, stranger))
    const neighbour = await certify(ownAuthority(world), { agency: 'shelbyville' })
    await isDenied(world, 'camera_other_agency', world.connectCamera(A, neighbour))
    await isDenied(world, 'camera_unknown', world.connectCamera(A, await certify(ownAuthority(world))))
    const { authority } = world.cloud.parts
    const server = { key: authority.serverKeyPem, cert: authority.serverCertPem }
    await isDenied(world, 'certificate_untrusted', world.connectCamera(A, server))
  })
})

test('an expired certificate is refused, by the dates in it and by the dates on record, and one of the future too', async () => {
  await inCloud(async (world) => {
    const good = await world.addCamera(A)
    const old = await certify(ownAuthority(world), { aheadMs: -CAMERA_LIFETIME_MS - 2 * DAY_MS })
    await isDenied(world, 'certificate_expired', world.connectCamera(A, old))
    const early = await certify(ownAuthority(world), { aheadMs: 10 * DAY_MS })
    await isDenied(world, 'certificate_untrusted', world.connectCamera(A, early))
    assert.is(await tried(world.connectCamera(A, good)), 'connected')
    const connected = await world.connectCamera(A, good)
    const before = await denied(world, 'certificate_expired')
    world.clock.advance(CAMERA_LIFETIME_MS)
    await until('the one that is connected is ended', () => !connected.connected)
    assert.is(await denied(world, 'certificate_expired'), before + 1)
    // The server's certificate is renewed by then, and is not good yet on the clock that a client checks it by.
    const untrusting = { rejectUnauthorized: false }
    await isDenied(world, 'certificate_expired', world.connectCamera(A, good, untrusting))
  })
})

test('a bad certificate is refused although a good token is shown with it', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const stranger = await certify(join(world.folder, 'stranger'))
    const person = { clientId: 'olga.phone', username: 'olga', password: token }
    await isDenied(world, 'certificate_untrusted', world.connectTls({ ...person, ...stranger }))
    assert.is(await tried(world.connectTls(person)), 'connected')
  })
})

test('a revoked camera is cut off at once and cannot come back, and its successor can', async () => {
  await inCloud(async (world) => {
    const old = await world.addCamera(A)
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const client = await world.connectCamera(A, old, { clean: false })
    await subscribe(client, topics.policy(AGENCY))
    await world.cloud.parts.cameras.revoke(A, 'test')
    await until('it is cut off', () => !client.connected)
    await isDenied(world, 'camera_revoked', world.connectCamera(A, old))
    const { keyPem, csrPem } = newCameraRequest(A)
    const { certPem } = await world.cloud.parts.cameras.replace(A, csrPem, 'test')
    await isDenied(world, 'camera_revoked', world.connectCamera(A, old))
    assert.is(await tried(world.connectCamera(A, { key: keyPem, cert: certPem })), 'connected')
    assert.ok(other.connected, 'another camera is not touched')
  })
})

test('a camera takes its own client id and no other', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    await world.addCamera('oak-st-2')
    for (const clientId of ['springfield.oak-st-2', 'shelbyville.elm-st-1', 'elm-st-1', 'springfield.elm-st-1.x', '']) {
      await isDenied(world, 'client_id', world.connectCamera(A, certified, { clientId }))
    }
    assert.is(await tried(world.connectCamera(A, certified)), 'connected')
  })
})

test('a person takes client ids of the own account and no other', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    await world.addPerson('otto', ['officer'], [])
    for (const clientId of [
      'otto.phone',
      'olga',
      'olga.',
      'olga.a.b',
      '.phone',
      'springfield.elm-st-1',
      'OLGA.phone',
    ]) {
      await isDenied(world, 'client_id', world.connectPerson('olga', token, { clientId }))
      await isDenied(world, 'client_id', world.connectTls({ clientId, username: 'olga', password: token }))
    }
  })
})

test('an account named like the agency cannot take the place of a camera', async () => {
  await inCloud(async (world) => {
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const token = await world.addPerson(AGENCY, ['officer'], [])
    const clientId = `${AGENCY}.${A}`
    await isDenied(world, 'client_id', world.connectPerson(AGENCY, token, { clientId }))
    assert.ok(camera.connected)
  })
})

test('without a certificate, and with no token or a wrong one, nobody connects', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    await world.addPerson('otto', ['officer'], [])
    const cases: IClientOptions[] = [
      { clientId: `${AGENCY}.${A}` },
      { clientId: 'olga.phone' },
      { clientId: 'olga.phone', username: 'olga' },
      { clientId: 'olga.phone', username: 'olga', password: '' },
      { clientId: 'olga.phone', username: 'olga', password: 'a heron stands in the reeds' },
      { clientId: 'olga.phone', username: 'olga', password: `${token}x` },
      { clientId: 'olga.phone', username: 'olga', password: token.padEnd(300, 'x') },
      { clientId: 'otto.phone', username: 'otto', password: token },
      { clientId: 'olga.phone', username: 'otto', password: token },
    ]
    for (const options of cases) await isDenied(world, 'credentials', world.connectTls(options))
    for (const options of cases.filter(({ username }) => username !== undefined)) {
      await isDenied(world, 'credentials', world.connectPerson('olga', token, { password: '', ...options }))
    }
    const last = (await world.audited('broker.denied'))[0]
    assert.is(last?.actor.source, '127.0.0.1')
    assert.not.ok(JSON.stringify(await world.audited('broker.denied')).includes(token))
    assert.not.ok(world.logLines.some((line) => line.includes(token)))
  })
})

test('many refusals of one kind are two entries of the audit, with their number', async () => {
  await inCloud(async (world) => {
    for (let i = 0; i < 20; i++) {
      assert.is(await tried(world.connectTls({ clientId: 'eve.phone', username: 'eve', password: 'guess' })), 5)
    }
    assert.is(await denied(world, 'credentials'), 20)
    world.clock.advance(2 * 60_000)
    assert.is(await tried(world.connectTls({ clientId: 'eve.phone', username: 'eve', password: 'guess' })), 5)
    await until('the repeats are written', async () => (await world.audited('broker.denied')).length === 3)
    const counts = (await world.audited('broker.denied')).map((entry) => entry.detail.count)
    assert.equal(counts.sort(), [1, 1, 19])
  })
})

test('a token that ran out is refused, and whoever is connected with it is cut off', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const client = await world.connectPerson('olga', token)
    world.clock.advance(SESSION_IDLE_MS)
    await until('the connection is ended', () => !client.connected)
    await isDenied(world, 'credentials', world.connectPerson('olga', token))
    assert.is(await tried(world.connectPerson('olga', await world.logIn('olga'))), 'connected')
  })
})

test('log-out ends the connections of that session and no other', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], [])
    const phone = await world.connectPerson('olga', token)
    const desk = await world.connectPerson('olga', await world.logIn('olga'), { clientId: 'olga.desk' })
    const session = await world.cloud.parts.accounts.authenticate(token)
    assert.ok(session)
    if (session !== null) await world.cloud.parts.accounts.logout(session)
    await until('the phone is out', () => !phone.connected)
    assert.ok(desk.connected)
    await world.cloud.parts.accounts.disable('olga', 'test')
    await until('the desk is out', () => !desk.connected)
  })
})

test('a renewed token keeps the connection and the session; the old one is void', async () => {
  await inCloud(async (world) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const client = await world.connectPerson('olga', token, { clean: false })
    await subscribe(client, topics.alerts(AGENCY, 'patrol'))
    const renewed = await world.cloud.parts.accounts.renew(token)
    const seen = collect(client)
    const send = (text: string) =>
      world.cloud.parts.broker.publish(topics.alerts(AGENCY, 'patrol'), alertBytes(text), { qos: 1, retain: false })
    await send('first')
    await until('it still gets alerts', () => seen.length === 1)
    await client.endAsync()
    await send('second')
    await isDenied(world, 'credentials', world.connectPerson('olga', token, { clean: false }))
    const again = await world.connectPerson('olga', renewed.token, { clean: false })
    const received = collect(again)
    await until('what was queued comes', () => received.length === 1)
    assert.is(JSON.parse(received[0]?.payload.toString() ?? '').text, 'second')
  })
})

/** As much of an alert as the queue looks at. */
function alertBytes(text: string): Buffer {
  const nowMs = systemClock.nowMs()
  return Buffer.from(JSON.stringify({ text, sighting: { capturedAtMs: nowMs, receivedAtMs: nowMs, clock: 'synced' } }))
}

test('a new connection of the same client takes the place of the old one', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const first = await world.connectCamera(A, certified)
    const second = await world.connectCamera(A, certified)
    await until('the first is ended', () => !first.connected)
    assert.ok(second.connected)
    await until('one is counted', () => world.cloud.parts.broker.connections().cameras === 1)
    assert.ok(world.cloud.parts.broker.isConnected(`${AGENCY}.${A}`))
  })
})

test('MQTT 5 and a keep-alive that is none or over the limit are refused; the limit itself is taken', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const most = MAX_KEEP_ALIVE_MS / 1_000
    assert.is(await tried(world.connectCamera(A, certified, { keepalive: most })), 'connected')
    assert.is.not(await tried(world.connectCamera(A, certified, { keepalive: most + 1 })), 'connected')
    assert.is.not(await tried(world.connectCamera(A, certified, { keepalive: 0 })), 'connected')
    assert.is.not(await tried(world.connectCamera(A, certified, { protocolVersion: 5 })), 'connected')
  })
})

test('a page of another site, and another path, get no WebSocket', async () => {
  await inCloud(async (world) => {
    const opens = (path: string, origin: string | undefined) =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(`wss://localhost:${world.cloud.httpsPort}${path}`, 'mqtt', {
          ca: world.cloud.caPem,
          ...(origin === undefined ? {} : { origin }),
        })
        socket.once('open', () => {
          socket.terminate()
          resolve(true)
        })
        socket.once('error', () => resolve(false))
      })
    const own = `https://localhost:${world.cloud.httpsPort}`
    assert.ok(await opens('/mqtt', own))
    assert.ok(await opens('/mqtt', undefined))
    assert.not.ok(await opens('/mqtt', 'https://evil.example'))
    assert.not.ok(await opens('/mqtt', own.replace('https', 'http')))
    assert.not.ok(await opens('/mqtt', 'null'))
    assert.not.ok(await opens('/other', own))
    assert.is(await denied(world, 'origin'), 4)
  })
})

test('TLS 1.1 and plain text get nowhere', async () => {
  await inCloud(async (world) => {
    const { mqttPort, caPem } = world.cloud
    const ended = (socket: Socket) =>
      new Promise<void>((resolve) => {
        socket.on('error', () => {})
        socket.once('close', () => resolve())
      })
    const old = connectTlsSocket({
      port: mqttPort,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: caPem,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    let secured = false
    old.once('secureConnect', () => {
      secured = true
    })
    await ended(old)
    assert.not.ok(secured)
    const plain = connectTcp(mqttPort, '127.0.0.1')
    plain.write(Buffer.from([0x10, 0x0c, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 0x04, 0x02, 0x00, 0x3c, 0x00, 0x00]))
    await ended(plain)
    assert.equal(world.cloud.parts.broker.connections(), { cameras: 0, people: 0 })
  })
})

test.run()

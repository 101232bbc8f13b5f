/** A camera's certificate is renewed before it runs out, over the connection that it secures: real uplink, real cloud. */
import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CAMERA_LIFETIME_MS } from '../../cloud/authority.ts'
import { EXPIRY_ALARM_DAYS, expiryAlarm, RENEW_BEFORE_MS, RENEWAL_INTERVAL_MS } from '../../cloud/renewals.ts'
import { PURGE_INTERVAL_MS } from '../../cloud/retention.ts'
import {
  AGENCY,
  createMovableClock,
  inCloud,
  makeSighting,
  publish,
  type TestCloud,
  until,
} from '../../cloud/testing.ts'
import { IDENTITY_FILE } from '../../edge/identity.ts'
import { ASK_INTERVAL_MS } from '../../edge/uplink/renewal.ts'
import { keyDigest, newCameraRequest, shortFingerprint } from '../../shared/certificate-request.ts'
import { DAY_MS, systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { createLog } from '../../shared/log.ts'
import { CERTIFICATE, topics } from '../../shared/topics.ts'
import { type LinkedCamera, query, withCamera } from '../trial/link-testing.ts'

const CAMERA = 'north'

/** A cloud and a camera of which the certificate was issued so long ago that it is due; both are at the real time again. */
async function inOldAge(
  work: (world: TestCloud, camera: LinkedCamera, folder: string, lines: string[]) => Promise<void>,
  beforeDueMs = -DAY_MS,
): Promise<void> {
  const clock = createMovableClock()
  const behindMs = CAMERA_LIFETIME_MS - RENEW_BEFORE_MS - beforeDueMs
  clock.advance(-behindMs)
  const lines: string[] = []
  const log = createLog({ level: 'info', part: 'edge', target: { write: (line) => lines.push(line) } })
  await inCloud(
    (world) =>
      withCamera(world, { log }, async (camera) => {
        clock.advance(behindMs)
        const { authority } = world.cloud.parts
        await until('the server has its new certificate', () => authority.serverExpiresAtMs > systemClock.nowMs())
        await work(world, camera, join(world.folder, CAMERA), lines)
      }),
    {},
    {},
    clock,
  )
}

function put({ outbox, uplink }: LinkedCamera, plate: string): void {
  const sighting = makeSighting(systemClock, { cameraId: CAMERA, plate })
  const { sightingId, revision, capturedAtMs, clock } = sighting
  const payload = Buffer.from(JSON.stringify(sighting))
  outbox.put({ sightingId, revision, matched: false, capturedAtMs, clock, payload }, null)
  uplink.wake()
}

const takenOver = async (world: TestCloud) => (await world.audited('camera.taken_over')).length
/** What is due once a minute is done. */
const upkeep = (world: TestCloud) => world.clock.advance(PURGE_INTERVAL_MS)

test('a certificate that is due is renewed with a new key, takes over, and every sighting is stored once', async () => {
  await inOldAge(async (world, camera, folder) => {
    const before = new X509Certificate(readFileSync(join(folder, 'certificate.pem')))
    camera.start()
    await until('it is connected', () => camera.uplink.connected)
    let puts = 0
    await until('the new certificate has taken over', async () => {
      put(camera, `AB${String(puts).padStart(4, '0')}`)
      puts += 1
      upkeep(world)
      return (await takenOver(world)) === 1
    })
    await until('it is connected again', () => camera.uplink.connected)
    put(camera, 'LAST999')
    await until('everything is acknowledged', () => camera.outbox.rows === 0)
    const stored = query<{ rows: number; plates: number }>(
      world,
      'SELECT count(*) AS rows, count(DISTINCT plate) AS plates FROM sightings',
    )[0]
    assert.equal(stored, { rows: puts + 1, plates: puts + 1 })

    const own = await camera.identity.load()
    const renewed = new X509Certificate(own.certificatePem)
    assert.not.equal(
      renewed.publicKey.export({ type: 'spki', format: 'der' }),
      before.publicKey.export({ type: 'spki', format: 'der' }),
    )
    assert.ok(new Date(renewed.validTo).getTime() > systemClock.nowMs() + CAMERA_LIFETIME_MS - DAY_MS)
    assert.is(statSync(join(folder, IDENTITY_FILE)).mode & 0o777, 0o600)
    assert.not.ok(world.logLines.join('').includes(own.keyPem.split('\n')[1] ?? ''))
    await camera.stop()
    const enrolled = { key: readFileSync(join(folder, 'key.pem')).toString(), cert: before.toString() }
    const old = await world.connectCamera(CAMERA, enrolled).then(
      () => 'connected',
      () => 'refused',
    )
    assert.is(old, 'refused')
    assert.is((await world.audited('camera.renew')).length, 1)
    assert.equal(world.cloud.parts.renewals.expiring(), { 0: 0, 1: 0, 7: 0, 30: 0 })
  })
})

test('a new certificate that cannot be stored changes nothing, and the camera is told again', async () => {
  await inOldAge(async (world, camera, folder, lines) => {
    const inTheWay = join(folder, `${IDENTITY_FILE}.tmp`)
    mkdirSync(inTheWay)
    camera.start()
    await until('it is connected', () => camera.uplink.connected)
    await until('it could not store it', () => {
      upkeep(world)
      return lines.some((line) => line.includes('"certificate_not_stored"'))
    })
    assert.ok(camera.uplink.connected)
    rmdirSync(inTheWay)
    camera.clock.advance(ASK_INTERVAL_MS)
    world.clock.advance(RENEWAL_INTERVAL_MS)
    await until('the new certificate has taken over', async () => {
      upkeep(world)
      return (await takenOver(world)) === 1
    })
    assert.is((await world.audited('camera.renew')).length, 1, 'it is the one that was issued then')
  })
})

test('a renewed certificate that is damaged, or that the cloud refuses, does not lock the camera out', async () => {
  await inOldAge(async (world, camera, folder) => {
    const file = join(folder, IDENTITY_FILE)
    const enrolled = (await camera.identity.load()).certificatePem
    writeFileSync(file, 'half a cert')
    assert.is((await camera.identity.load()).certificatePem, enrolled)
    // Issued by the authority, and nothing that the cloud knows of: as from a restored backup.
    const { keyPem, csrPem } = newCameraRequest(CAMERA)
    const { certPem } = await world.cloud.parts.authority.issueCamera(CAMERA, csrPem)
    await camera.identity.take({ keyPem, certificatePem: certPem, caPem: world.cloud.caPem })
    assert.is((await camera.identity.load()).certificatePem.trim(), certPem.trim())
    camera.start()
    await until('it is connected all the same', () => camera.uplink.connected)
    assert.is(camera.uplink.counters.failures.forbidden, 1)
  })
})

test('who is not due, asks too often or is revoked is given no certificate', async () => {
  await inOldAge(async (world, camera, folder) => {
    const { cameras } = world.cloud.parts
    const own = { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'certificate.pem')) }
    const client = await world.connectCamera(CAMERA, { key: own.key.toString(), cert: own.cert.toString() })
    const { csrPem } = newCameraRequest(CAMERA)
    const ask = () => publish(client, topics.request(AGENCY, CAMERA, CERTIFICATE, newId()), JSON.stringify({ csrPem }))
    const logged = (name: string) => world.logLines.filter((line) => line.includes(`"${name}"`)).length
    await ask()
    await until('it is not due', () => logged('certificate_not_due') === 1)
    await ask()
    await until('it is too soon', () => logged('certificate_asked_too_often') === 1)
    assert.is((await world.audited('camera.renew')).length, 0)
    world.clock.advance(DAY_MS)
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    const shown = cameras.certificatesInUse()[0]?.fingerprint ?? ''
    await cameras.revoke(CAMERA, 'ada')
    await closed
    const { renewals } = world.cloud.parts
    await renewals.answer(CAMERA, newId(), csrPem)
    await until('it is refused', () => logged('certificate_not_due') === 2)
    await cameras.renew(CAMERA, csrPem, shown).then(
      () => assert.unreachable(),
      (error: { code?: string }) => assert.is(error.code, 'conflict'),
    )
    camera.start()
    await until('the camera is refused', () => camera.uplink.counters.failures.forbidden !== undefined)
  }, DAY_MS / 2)
})

test('a replacement that was approved before the old unit renewed its certificate takes over all the same', async () => {
  await inOldAge(async (world, camera) => {
    const { enrolment } = world.cloud.parts
    const next = newCameraRequest('unit')
    const { code } = await enrolment.claim({ camera: CAMERA, site: null, hours: 1, replaces: true }, 'tess')
    await enrolment.ask(code, next.csrPem, '10.0.0.7')
    await enrolment.approve(CAMERA, shortFingerprint(keyDigest(next.keyPem)), 'ada')
    camera.start()
    await until('the old unit has renewed and connects with what it was given', async () => {
      upkeep(world)
      return (await takenOver(world)) === 1 && camera.uplink.connected
    })
    const old = await camera.identity.load()
    const asked = await enrolment.ask(code, next.csrPem, '10.0.0.7')
    const cert = asked.ok ? (asked.certificate?.certPem ?? '') : asked.reason
    const client = await world.connectCamera(CAMERA, { key: next.keyPem, cert })
    assert.is(await takenOver(world), 2)
    await until('the old unit is refused', () => camera.uplink.counters.failures.forbidden !== undefined)
    await camera.stop()
    assert.ok(client.connected)
    const again = await world.connectCamera(CAMERA, { key: old.keyPem, cert: old.certificatePem }).then(
      () => 'connected',
      () => 'refused',
    )
    assert.is(again, 'refused')
  })
})

test('a revocation that comes while a renewal is under way wins', async () => {
  await inOldAge(async (world) => {
    const { cameras } = world.cloud.parts
    const shown = cameras.certificatesInUse()[0]?.fingerprint ?? ''
    const renewing = cameras.renew(CAMERA, newCameraRequest(CAMERA).csrPem, shown).catch(() => {})
    await cameras.revoke(CAMERA, 'ada')
    await renewing
    assert.equal(cameras.certificatesInUse(), [])
    await world.restart()
    assert.equal(world.cloud.parts.cameras.certificatesInUse(), [])
  })
})

test('an alarm is raised at 30, 7 and 1 days and at the end, in the log once each, in metrics and status', async () => {
  assert.equal(EXPIRY_ALARM_DAYS, [30, 7, 1])
  const days = (left: number) => expiryAlarm(left * DAY_MS)
  assert.equal(
    [days(30.01), days(30), days(7.01), days(7), days(1.01), days(1), expiryAlarm(1), expiryAlarm(0)],
    [...[null, 30, 30, 7, 7, 1, 1, 0]],
  )
  await inCloud(async (world) => {
    const { renewals } = world.cloud.parts
    await world.addCamera(CAMERA)
    const alarms = () => world.logLines.filter((line) => line.includes('"camera_certificate_ending"')).length
    const metric = (day: number) => world.counted(`candor_camera_certificates_expiring{days="${day}"}`)
    world.clock.advance(CAMERA_LIFETIME_MS - 30 * DAY_MS - 60_000)
    await renewals.upkeep()
    assert.is(alarms(), 0)
    for (const [i, [left, day]] of (
      [
        [30, 30],
        [7, 7],
        [1, 1],
        [0, 0],
      ] as const
    ).entries()) {
      const [{ expiresAtMs } = { expiresAtMs: 0 }] = world.cloud.parts.cameras.certificatesInUse()
      world.clock.advance(expiresAtMs - left * DAY_MS - world.clock.nowMs())
      await renewals.upkeep()
      await renewals.upkeep()
      assert.is(alarms(), i + 1)
      assert.is(await metric(day), 1)
      assert.is(renewals.expiring()[day], 1)
    }
  })
})

test.run()

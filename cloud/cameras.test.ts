import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { keyDigest, newCameraRequest } from '../shared/certificate-request.ts'
import { type Clock, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { type Authority, CAMERA_LIFETIME_MS, type IssuedCertificate, openAuthority } from './authority.ts'
import { MAX_SUBJECTS_PER_CAMERA } from './cameras/said.ts'
import { type Cameras, createCameras, MAX_CAMERAS } from './cameras.ts'
import type { Database } from './database/database.ts'
import { openSqlite } from './database/sqlite.ts'

interface World {
  cameras: Cameras
  authority: Authority
  database: Database
  folder: string
  nowMs: number
  revoked: string[]
  restart(): Promise<void>
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-cameras-'))
  const world = { folder, nowMs: Date.now(), revoked: [] as string[] } as World
  const clock: Clock = { ...systemClock, nowMs: () => world.nowMs }
  world.authority = await openAuthority({
    folder: join(folder, 'ca'),
    agency: 'springfield',
    hostnames: ['localhost'],
    clock,
  })
  const open = async () => {
    world.database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: world.nowMs })
    world.cameras = await createCameras({
      database: world.database,
      authority: world.authority,
      agency: 'springfield',
      clock,
    })
    world.cameras.onRevoked((camera) => world.revoked.push(camera))
  }
  world.restart = async () => {
    await world.database.close()
    await open()
  }
  await open()
  try {
    await work(world)
  } finally {
    await world.database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const A = 'elm-st-1'
const codeOf = (thrown: unknown) => (thrown instanceof AppError ? thrown.code : String(thrown))
const peer = (certPem: string) => ({ raw: new X509Certificate(certPem).raw })
const known = ({ fingerprint, expiresAtMs }: IssuedCertificate, takesOver = false) => ({
  ...{ ok: true, camera: 'elm-st-1', fingerprint, expiresAtMs, takesOver },
})
const csr = async () => newCameraRequest('camera').csrPem

test('a registered camera is known by its certificate, also after a restart', async () => {
  await inWorld(async (world) => {
    const issued = await world.cameras.add('elm-st-1', await csr(), 'ada')
    assert.equal(world.cameras.identify(peer(issued.certPem)), known(issued))
    await world.restart()
    assert.equal(world.cameras.identify(peer(issued.certPem)), known(issued))
    assert.ok(world.cameras.isRegistered('elm-st-1'))
    assert.not(world.cameras.isRegistered('elm-st-2'))
  })
})

test('no certificate, noise, a server certificate, another agency and an unregistered one are refused by reason', async () => {
  await inWorld(async (world) => {
    const { cameras, authority } = world
    for (const none of [null, undefined, {}, { raw: Buffer.from('noise') }]) {
      assert.equal(cameras.identify(none), { ok: false, reason: 'no_certificate', camera: null })
    }
    assert.equal(cameras.identify(peer(authority.serverCertPem)), { ok: false, reason: 'not_a_camera', camera: null })
    const other = await openAuthority({
      folder: join(world.folder, 'other'),
      agency: 'shelbyville',
      hostnames: ['localhost'],
      clock: systemClock,
    })
    const foreign = await other.issueCamera('elm-st-1', await csr())
    assert.equal(cameras.identify(peer(foreign.certPem)), { ok: false, reason: 'other_agency', camera: null })
    const unregistered = await authority.issueCamera('elm-st-1', await csr())
    assert.equal(cameras.identify(peer(unregistered.certPem)), { ok: false, reason: 'unknown', camera: null })
  })
})

test('a revoked camera is refused at once and after a restart, and whoever listens is told', async () => {
  await inWorld(async (world) => {
    const issued = await world.cameras.add('elm-st-1', await csr(), 'ada')
    await world.cameras.revoke('elm-st-1', 'ada')
    assert.equal(world.revoked, ['elm-st-1'])
    assert.equal(world.cameras.identify(peer(issued.certPem)), { ok: false, reason: 'revoked', camera: 'elm-st-1' })
    await world.restart()
    assert.equal(world.cameras.identify(peer(issued.certPem)), { ok: false, reason: 'revoked', camera: 'elm-st-1' })
    assert.is((await world.cameras.list())[0]?.state, 'revoked')
    assert.is(await world.cameras.revoke('nowhere', 'ada').catch(codeOf), 'not_found')
  })
})

test('an expired certificate is refused from its last moment on', async () => {
  await inWorld(async (world) => {
    const issued = await world.cameras.add('elm-st-1', await csr(), 'ada')
    assert.ok(issued.expiresAtMs <= world.nowMs + CAMERA_LIFETIME_MS)
    world.nowMs = issued.expiresAtMs - 1
    assert.ok(world.cameras.identify(peer(issued.certPem)).ok)
    world.nowMs += 1
    assert.equal(world.cameras.identify(peer(issued.certPem)), { ok: false, reason: 'expired', camera: 'elm-st-1' })
  })
})

test('a replacement keeps the name and voids the old certificate', async () => {
  await inWorld(async (world) => {
    const old = await world.cameras.add('elm-st-1', await csr(), 'ada')
    await world.cameras.revoke('elm-st-1', 'ada')
    const replaced = await world.cameras.replace('elm-st-1', await csr(), 'ada')
    assert.not(world.cameras.identify(peer(old.certPem)).ok)
    assert.equal(world.cameras.identify(peer(replaced.certPem)), known(replaced))
    const [camera] = await world.cameras.list()
    assert.is(camera?.state, 'active')
    assert.is(camera?.certificateExpiresAtMs, replaced.expiresAtMs)
    assert.is(await world.cameras.replace('nowhere', await csr(), 'ada').catch(codeOf), 'not_found')
  })
})

/** A unit in use, an approved replacement that has not connected yet, and what becomes of the two. */
async function inReplacement(
  work: (world: World, old: IssuedCertificate, next: { certPem: string; fingerprint: string }) => Promise<void>,
): Promise<void> {
  await inWorld(async (world) => {
    const old = await world.cameras.add(A, await csr(), 'ada')
    const { keyPem, csrPem } = newCameraRequest('unit')
    const keySha256 = keyDigest(keyPem)
    await world.cameras.enrol({ camera: A, csrPem, keySha256, replaces: true, by: 'ada' })
    const issued = await world.cameras.certificateOf(A, keySha256)
    const certPem = issued?.certPem ?? ''
    await work(world, old, { certPem, fingerprint: new X509Certificate(certPem).fingerprint256 })
  })
}

/** By the unit whose certificate has `fingerprint`. */
async function renewed({ cameras }: World, fingerprint: string): Promise<{ certPem: string; fingerprint: string }> {
  const { keyPem, csrPem } = newCameraRequest('unit')
  await cameras.renew(A, csrPem, fingerprint)
  const certPem = (await cameras.certificateOf(A, keyDigest(keyPem)))?.certPem ?? ''
  return { certPem, fingerprint: new X509Certificate(certPem).fingerprint256 }
}

const isKnown = ({ cameras }: World, { certPem }: { certPem: string }) => cameras.identify(peer(certPem)).ok

test('an approved replacement stays good whatever the old unit renews, and takes over at its first connection', async () => {
  await inReplacement(async (world, old, next) => {
    const first = await renewed(world, old.fingerprint)
    assert.ok(isKnown(world, next), 'the old unit has renewed its certificate')
    // Two connections at once.
    await Promise.all([1, 2].map(() => world.cameras.takeOver(A, first.fingerprint)))
    await world.cameras.takeOver(A, first.fingerprint)
    assert.equal(
      [old, first, next].map((one) => isKnown(world, one)),
      [false, true, true],
      'the old unit has connected with it',
    )
    const second = await renewed(world, first.fingerprint)
    await world.restart()
    assert.equal(
      [first, second, next].map((one) => isKnown(world, one)),
      [true, true, true],
      'after a restart',
    )
    await world.cameras.takeOver(A, next.fingerprint)
    for (const restarts of [false, true]) {
      if (restarts) await world.restart()
      assert.equal(
        [old, first, second, next].map((one) => isKnown(world, one)),
        [false, false, false, true],
        'nothing of the old unit outlives the take-over',
      )
    }
  })
})

test('of a unit that renews again before it has used the first answer only the newest is good', async () => {
  await inReplacement(async (world, old, next) => {
    const [first, second] = [await renewed(world, old.fingerprint), await renewed(world, old.fingerprint)]
    assert.equal(
      [old, first, second, next].map((one) => isKnown(world, one)),
      [true, false, true, true],
    )
  })
})

test('a renewal that is under way while the replacement takes over, or asked for after that, is refused', async () => {
  await inReplacement(async (world, old, next) => {
    const [asked, late] = [newCameraRequest('unit'), newCameraRequest('unit')]
    const renewing = world.cameras.renew(A, asked.csrPem, old.fingerprint).catch(codeOf)
    await world.cameras.takeOver(A, next.fingerprint)
    assert.is(await renewing, 'conflict')
    assert.is(await world.cameras.renew(A, late.csrPem, old.fingerprint).catch(codeOf), 'conflict')
    for (const { keyPem } of [asked, late])
      assert.is(await world.cameras.certificateOf(A, keyDigest(keyPem)), null, 'nothing was issued')
    await renewed(world, next.fingerprint)
  })
})

test('a replacement that is approved after another one takes its place', async () => {
  await inReplacement(async (world, old, next) => {
    const { keyPem, csrPem } = newCameraRequest('unit')
    const keySha256 = keyDigest(keyPem)
    await world.cameras.enrol({ camera: A, csrPem, keySha256, replaces: true, by: 'ada' })
    assert.equal([isKnown(world, old), isKnown(world, next)], [true, false])
    assert.not.equal(await world.cameras.certificateOf(A, keySha256), null)
  })
})

test('a name is given once, also to two requests at the same time, and a bad request does not use it up', async () => {
  await inWorld(async (world) => {
    assert.is(await world.cameras.add('elm-st-1', 'nonsense', 'ada').catch(codeOf), 'bad_input')
    assert.is(await world.cameras.add('Elm St', await csr(), 'ada').catch(codeOf), 'bad_input')
    const both = await Promise.allSettled([
      world.cameras.add('elm-st-1', await csr(), 'ada'),
      world.cameras.add('elm-st-1', await csr(), 'ada'),
    ])
    assert.equal(both.map((one) => one.status).sort(), ['fulfilled', 'rejected'])
  })
})

test('cameras are registered up to the limit and one more is refused, while those there can be replaced', async () => {
  await inWorld(async (world) => {
    const { database } = world
    const row = { added_at_ms: world.nowMs, added_by: 'ada' }
    const rows = Array.from({ length: MAX_CAMERAS - 1 }, (_, i) => ({ ...row, camera_id: `camera-${i}` }))
    await database.writeBatch(rows.map((one) => database.build.insertInto('cameras').values(one)))
    await world.restart()
    await world.cameras.add('the-last', await csr(), 'ada')
    const refused = await world.cameras.add('one-more', await csr(), 'ada').catch(codeOf)
    assert.is(refused, 'too_large')
    await world.cameras.replace('camera-0', await csr(), 'ada')
    assert.is((await world.cameras.counts()).registered, MAX_CAMERAS)
  })
})

test('a late will of an old session does not hide a newer connection', async () => {
  await inWorld(async (world) => {
    await world.cameras.add('elm-st-1', await csr(), 'ada')
    const status = (sessionId: string, online: boolean) =>
      world.cameras.recordStatus({ cameraId: 'elm-st-1', online, sessionId, sinceMs: world.nowMs, software: '0.1.0' })
    const [first, second] = [newId(), newId()]
    await status(first, true)
    await status(second, true)
    await status(first, false)
    assert.equal(await world.cameras.counts(), { registered: 1, online: 1 })
    await status(second, false)
    assert.equal(await world.cameras.counts(), { registered: 1, online: 0 })
    assert.is((await world.cameras.list())[0]?.status?.sessionId, second)
  })
})

test('the last acknowledgement of each subject is kept and subjects are bounded', async () => {
  await inWorld(async (world) => {
    await world.cameras.add('elm-st-1', await csr(), 'ada')
    const ack = (subject: string, version: number) =>
      world.cameras.recordAck('elm-st-1', subject, { version, result: 'applied', reason: null, atMs: world.nowMs })
    await ack('hotlists/stolen', 1)
    await ack('hotlists/stolen', 2)
    await ack('policy', 1)
    const [camera] = await world.cameras.list()
    assert.equal(
      camera?.acks.map((one) => [one.subject, one.version]),
      [
        ['hotlists/stolen', 2],
        ['policy', 1],
      ],
    )
    for (let i = 2; i < MAX_SUBJECTS_PER_CAMERA; i++) await ack(`hotlists/l${i}`, 1)
    assert.not(await ack('hotlists/one-more', 1))
    assert.ok(await ack('hotlists/stolen', 3))
  })
})

test.run()

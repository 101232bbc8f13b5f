/** The authority's own end, and rotations that stand still: what people and programs are told of them, and what is left alone then. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { type Clock, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { CERTIFICATE, topics } from '../../shared/topics.ts'
import { callerOf } from '../api/testing.ts'
import {
  CA_LIFETIME_MS,
  LEAST_GAIN_MS,
  openAuthority,
  rotateAuthority,
  SERVER_LIFETIME_MS,
  SERVER_RENEW_BEFORE_MS,
} from '../authority.ts'
import { RENEW_BEFORE_MS, RENEWAL_INTERVAL_MS } from '../renewals.ts'
import { PURGE_INTERVAL_MS } from '../retention.ts'
import { AGENCY, collect, inCloud, publish, subscribe, type TestCloud, until } from '../testing.ts'
import { parseWebhookUrl } from '../webhooks/address.ts'
import { openReceiver, type Receiver } from '../webhooks/testing.ts'
import type { RotationStep } from './rotation.ts'
import { AUTHORITY_ALARM_DAYS, authorityWarnings, ROTATION_STALLED_MS } from './watch.ts'

const A = 'elm-st-1'

async function withReceiver(work: (receiver: Receiver) => Promise<void>): Promise<void> {
  const receiver = await openReceiver()
  try {
    await work(receiver)
  } finally {
    await receiver.close()
  }
}

const listenTo = (world: TestCloud, receiver: Receiver) =>
  world.cloud.parts.webhooks.add({
    ...{ webhook: 'ops', url: parseWebhookUrl(receiver.url), groups: [], includePlate: false },
    ...{ notices: ['authority_alarm'], by: 'paula' },
  })

/** What was sent and not yet written down as such comes once more after a restart. */
const delivered = (world: TestCloud) =>
  until('all is delivered', async () => (await world.cloud.parts.webhooks.list())[0]?.waiting === 0)

const stateOf = (world: TestCloud) => world.cloud.parts.authorityWatch.state()
const step = (world: TestCloud, name: RotationStep) =>
  rotateAuthority(name, join(world.folder, 'data', 'authority'), AGENCY, world.clock)

test('in the last weeks of the authority no camera is told to renew again and again, and the server keeps its certificate', async () => {
  await inCloud(async (world) => {
    // One of nearly ten years ago in the place of its own.
    const folder = join(world.folder, 'data', 'authority')
    rmSync(folder, { recursive: true })
    const nowMs = () => systemClock.nowMs() - CA_LIFETIME_MS + SERVER_RENEW_BEFORE_MS - DAY_MS
    await openAuthority({ folder, agency: AGENCY, hostnames: ['localhost'], clock: { ...systemClock, nowMs } })
    await world.restart()
    const { clock } = world
    const { authority, renewals, cameras } = world.cloud.parts
    assert.ok(authority.expiresAtMs - clock.nowMs() < SERVER_RENEW_BEFORE_MS)
    assert.is(authority.serverExpiresAtMs, authority.expiresAtMs, 'the last one that it can have')
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const [inUse] = cameras.certificatesInUse()
    assert.is(inUse?.expiresAtMs, authority.expiresAtMs)
    assert.ok(authority.expiresAtMs - clock.nowMs() < RENEW_BEFORE_MS)
    assert.is(await subscribe(camera, topics.commands(AGENCY, A)), 1)
    for (let i = 0; i < 3; i++) {
      clock.advance(RENEWAL_INTERVAL_MS)
      await renewals.upkeep()
    }
    const { csrPem } = newCameraRequest(A)
    await publish(camera, topics.request(AGENCY, A, CERTIFICATE, newId()), JSON.stringify({ csrPem }))
    await until('it is not due', () => world.logLines.some((line) => line.includes('"certificate_not_due"')))
    assert.equal(commandsOf(camera), [])
    assert.is((await world.audited('camera.renew')).length, 0)

    const { serverCertPem } = authority
    const partner = await authority.partner()
    for (let i = 0; i < 3; i++) {
      assert.not(await authority.renewServer())
      clock.advance(PURGE_INTERVAL_MS)
    }
    assert.is(authority.serverCertPem, serverCertPem)
    assert.is((await authority.partner()).certPem, partner.certPem)
    await world.restart()
    assert.is(world.cloud.parts.authority.serverCertPem, serverCertPem)

    // The way out of it: after a step of a rotation a certificate is due whatever its end.
    clock.advance(HOUR_MS)
    await step(world, 'prepare')
    await world.restart()
    const again = await world.connectCamera(A, await replaced(world, -HOUR_MS))
    assert.is(await subscribe(again, topics.commands(AGENCY, A)), 1)
    clock.advance(RENEWAL_INTERVAL_MS)
    await until('it is told', () => commandsOf(again).some((topic) => topic.includes('/renew/')))
  })
})

const commandsOf = (camera: MqttClient) => collect(camera).map(({ topic }) => topic)

/** With a certificate that was issued `agoMs` from now. */
async function replaced(world: TestCloud, agoMs = 0) {
  const { keyPem, csrPem } = newCameraRequest(A)
  world.clock.advance(agoMs)
  const { certPem } = await world.cloud.parts.cameras.replace(A, csrPem, 'test')
  world.clock.advance(-agoMs)
  return { key: keyPem, cert: certPem }
}

test('a certificate is renewed once more when that gains a day, and not for less', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-authority-'))
  try {
    let nowMs = Math.floor(Date.now() / SECOND_MS) * SECOND_MS
    const clock: Clock = { ...systemClock, nowMs: () => nowMs }
    const open = (hostnames = ['localhost']) => openAuthority({ folder, agency: AGENCY, hostnames, clock })
    const { expiresAtMs: endMs } = await open()
    assert.is(endMs, nowMs + CA_LIFETIME_MS)
    nowMs = endMs - 40 * DAY_MS
    const authority = await open()
    assert.ok(authority.outlastsCamera(endMs - LEAST_GAIN_MS))
    assert.not(authority.outlastsCamera(endMs - LEAST_GAIN_MS + 1))

    for (const [gainMs, renews] of [
      [LEAST_GAIN_MS, true],
      [LEAST_GAIN_MS - SECOND_MS, false],
    ] as const) {
      nowMs = endMs - gainMs - SERVER_LIFETIME_MS
      // Another name: made anew now.
      const made = await open(['localhost', `${gainMs}.example.gov`])
      assert.is(made.serverExpiresAtMs, endMs - gainMs)
      const partner = await made.partner()
      nowMs = made.serverExpiresAtMs - SERVER_RENEW_BEFORE_MS + 1
      assert.is(await made.renewServer(), renews)
      assert.is((await made.partner()).certPem !== partner.certPem, renews)
      assert.not(await made.renewServer(), 'once')
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the end of the authority is told a year before, and again as it nears: to programs and in the audit once each, and in the metrics', async () => {
  assert.equal(AUTHORITY_ALARM_DAYS, [365, 180, 90, 30, 7, 1])
  await withReceiver((receiver) =>
    inCloud(async (world) => {
      await listenTo(world, receiver)
      const { expiresAtMs } = await stateOf(world)
      const told = () => receiver.got.map(({ json }) => json.notice.authority.days)
      const goTo = (leftMs: number) => world.clock.advance(expiresAtMs - leftMs - world.clock.nowMs())
      goTo(365 * DAY_MS + MINUTE_MS)
      assert.is((await stateOf(world)).alarmDays, null)
      assert.equal(authorityWarnings(await stateOf(world)), [])
      await until('the end is known', async () => (await world.counted('candor_authority_expires_seconds')) > 0)
      assert.is(await world.counted('candor_authority_expires_seconds'), expiresAtMs / 1_000)
      assert.equal(await world.audited('authority.ending'), [])
      for (const [i, days] of [...AUTHORITY_ALARM_DAYS, 0].entries()) {
        goTo(days * DAY_MS)
        assert.is((await stateOf(world)).alarmDays, days)
        await until(`${days} days are told`, async () => {
          world.clock.advance(PURGE_INTERVAL_MS)
          return told().length === i + 1
        })
      }
      await delivered(world)
      await world.restart()
      world.clock.advance(PURGE_INTERVAL_MS)
      await until('it has looked again', async () => (await world.counted('candor_authority_expires_seconds')) > 0)
      assert.equal(told(), [...AUTHORITY_ALARM_DAYS, 0])
      assert.equal(
        (await world.audited('authority.ending')).map(({ detail }) => detail.days),
        [...AUTHORITY_ALARM_DAYS, 0].reverse(),
      )
      const [first] = receiver.got
      assert.equal(first?.json.notice.kind, 'authority_alarm')
      assert.equal(first?.json.notice.authority, { alarm: 'ending', days: 365, expiresAtMs })
      assert.match(authorityWarnings(await stateOf(world))[0] ?? '', /has ended|ended on/)
    }),
  )
})

test('a rotation that stands still is told after two weeks and again, until it is over; that the cloud was not started again, too', async () => {
  await withReceiver((receiver) =>
    inCloud(async (world) => {
      await listenTo(world, receiver)
      await world.addCamera(A)
      assert.is((await stateOf(world)).rotation, null)
      world.clock.advance(HOUR_MS)
      await step(world, 'prepare')
      const { sinceMs = 0 } = (await stateOf(world)).rotation ?? {}
      const told = () => receiver.got.map(({ json }) => json.notice.authority)
      world.clock.advance(sinceMs + ROTATION_STALLED_MS - MINUTE_MS - world.clock.nowMs())
      assert.equal((await stateOf(world)).rotation, {
        ...{ step: 'prepare', sinceMs, takenUp: false, behind: 1, stalled: false },
      })
      world.clock.advance(sinceMs + ROTATION_STALLED_MS - world.clock.nowMs())
      const after = { alarm: 'rotation_stalled', step: 'prepare', sinceMs }
      await until('it is told', async () => {
        world.clock.advance(PURGE_INTERVAL_MS)
        return told().length === 1
      })
      assert.equal(told()[0], { ...after, takenUp: false, behind: 1 })
      assert.is(await world.counted('candor_authority_rotation_stalled'), 1)
      assert.is(await world.counted('candor_authority_cameras_behind'), 1)
      await delivered(world)
      await world.restart()
      assert.match(authorityWarnings(await stateOf(world)).join(), /`prepare`.*1 camera\(s\) have not followed/)
      world.clock.advance(ROTATION_STALLED_MS)
      await until('it is told again', async () => {
        world.clock.advance(PURGE_INTERVAL_MS)
        return told().length === 2
      })
      assert.equal(told()[1], { ...after, takenUp: true, behind: 1 })
      assert.is((await world.audited('authority.rotation_stalled')).length, 2)

      const token = await world.addPerson('tess', ['camera-technician'], [])
      const seen = await callerOf(world.cloud)('GET', '/api/v1/fleet', { token })
      assert.equal([seen.json.authority.rotation.behind, seen.json.authority.warnings.length], [1, 1])

      for (const name of ['switch', 'retire'] as const) {
        await replaced(world)
        world.clock.advance(HOUR_MS)
        await step(world, name)
        await world.restart()
      }
      assert.is((await stateOf(world)).rotation?.behind, 1, 'it still trusts the authority of before')
      world.clock.advance(MINUTE_MS)
      await replaced(world)
      assert.is((await stateOf(world)).rotation, null)
      await until('the metrics say so', async () => {
        world.clock.advance(PURGE_INTERVAL_MS)
        return (await world.counted('candor_authority_cameras_behind')) === 0
      })
      assert.is(await world.counted('candor_authority_rotation_stalled'), 0)
    }),
  )
})

test.run()

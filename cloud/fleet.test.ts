/** Cameras that go quiet, see badly or are unwell, from their reports at the real broker to alarms that people and programs are told of. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cameraRequest, newCameraKey } from '../shared/certificate-request.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { topics } from '../shared/topics.ts'
import { type FleetAlarm, fleetAlarmSchema } from '../shared/wire/index.ts'
import { callerOf } from './api/testing.ts'
import { ROW_INTERVAL_MS } from './fleet/history.ts'
import { HOURS_A_WEEK } from './fleet/judging.ts'
import { CAMERA, GOOD_PICTURE, healthOf, INTERVAL_MS, withCamera, writeHours } from './fleet/testing.ts'
import { JUDGE_INTERVAL_MS, LEAST_OPEN_MS, LEAST_QUIET_MS } from './fleet/watching.ts'
import { MAX_MAINTENANCE_MS } from './fleet.ts'
import { AGENCY, codeOf, collect, inCloud, publish, subscribe, type TestCloud, until } from './testing.ts'
import { openReceiver } from './webhooks/testing.ts'

const HOT = { device: { temperatureC: 91 } }
const RAISE_AFTER = 3
const CLEAR_AFTER = 4
const NEVER_HEARD_MS = DAY_MS

const rowsOf = async (world: TestCloud) =>
  (await world.cloud.parts.fleet.history(CAMERA, 0, Number.MAX_SAFE_INTEGER)).reports.length

test('an alarm needs reports in a row, is one, is told, and ends by itself', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const tess = await world.connectPerson('tess', await world.addPerson('tess', ['camera-technician'], []))
    await subscribe(tess, topics.fleetAlarms(AGENCY))
    for (const change of [HOT, HOT, {}, HOT, HOT]) await report(change)
    assert.equal(await open(), [], 'never three in a row')
    await report(HOT)
    assert.equal(await open(), ['hot'])
    for (let i = 0; i < 3; i++) await report(HOT)
    const told = () => collect(tess).map(({ payload }) => fleetAlarmSchema.parse(JSON.parse(payload.toString())))
    await until('tess is told', () => told().length === 1)
    assert.equal([told()[0]?.cameraId, told()[0]?.kind, told()[0]?.detail], [CAMERA, 'hot', { temperatureC: 91 }])
    assert.is(await world.counted('candor_camera_alarms{kind="hot"}'), 1)
    // It must be open for a while, and be over for some reports.
    for (let i = 0; i < CLEAR_AFTER; i++) await report()
    assert.equal(await open(), ['hot'])
    // Never silent for so long that it would be quiet besides.
    for (let openMs = 0; openMs < LEAST_OPEN_MS; openMs += MINUTE_MS) await report(HOT, MINUTE_MS)
    for (let i = 0; i < CLEAR_AFTER - 1; i++) await report()
    assert.equal(await open(), ['hot'])
    await report()
    assert.equal(await open(), [])
    await until('tess is told that it is over', () => (told().at(-1)?.clearedAtMs ?? null) !== null)
    assert.equal(
      told().map(({ revision }) => revision),
      [0, 1],
    )
    assert.is(await world.counted('candor_camera_alarms{kind="hot"}'), 0)
    assert.is(await world.counted('candor_camera_alarms_raised_total{kind="hot"}'), 1)
    for (const operation of ['camera.alarm_raised', 'camera.alarm_cleared']) {
      const [entry, ...more] = await world.audited(operation)
      assert.equal([entry?.subject, entry?.detail.alarm, more.length], [{ kind: 'camera', id: CAMERA }, 'hot', 0])
    }
  }))

test('a camera that delivers and reads nothing has an alarm, and what its last picture showed neither ends nor begins one', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const covered = { picture: { ...GOOD_PICTURE, likeness: 0, detail: 0 } }
    for (let i = 0; i < RAISE_AFTER; i++) await report(covered)
    assert.equal(await open(), ['covered'])
    const source = { state: 'delivering', reconnects: 0, stalls: 0, frameAgeMs: 100, errorCode: null } as const
    const dead = (failed: number) => ({
      ...{ source, picture: undefined, rate: { capturedPerSecond: 10, readPerSecond: 0 } },
      frames: { read: 100, still: 0, dropped: 0, rejected: 0, failed },
    })
    await report(dead(300), LEAST_OPEN_MS)
    for (let i = 2; i <= CLEAR_AFTER; i++) await report(dead(300 * i))
    assert.equal(await open(), ['covered', 'not_reading'])
  }))

test('what a camera lost is told at the first report, is counted over those that are not judged, and is no news after a restart', () =>
  inCloud(async (world) => {
    const { report, open, camera } = await withCamera(world)
    const { sightings } = healthOf(world.clock.nowMs())
    const lost = (count: number) => ({ sightings: { ...sightings, lost: count } })
    await report()
    await report(lost(7), 100)
    assert.equal(await open(), [])
    await report(lost(7), JUDGE_INTERVAL_MS)
    assert.equal(await open(), ['dropping'])
    const [alarm] = await world.cloud.parts.fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    assert.equal(alarm?.detail, { sightings: 0, crops: 0, lost: 7, unheld: 0 })
    for (let openMs = 0; openMs < LEAST_OPEN_MS; openMs += MINUTE_MS) await report(lost(7), MINUTE_MS)
    assert.equal(await open(), [])
    await camera.endAsync()
    await world.restart()
    world.clock.advance(INTERVAL_MS)
    const { fleet } = world.cloud.parts
    // As long as the reports of before took, and the pause.
    const uptimeMs = 3_600_000 + 2 * INTERVAL_MS + 100 + JUDGE_INTERVAL_MS + LEAST_OPEN_MS
    fleet.recordHealth(healthOf(world.clock.nowMs(), { uptimeMs, ...lost(7) }), world.clock.nowMs())
    await fleet.settled()
    assert.equal(await open(), [], 'it was told before')
    fleet.recordHealth(
      healthOf(world.clock.nowMs(), { uptimeMs: 1_000, ...lost(1) }),
      world.clock.nowMs() + INTERVAL_MS,
    )
    await fleet.settled()
    assert.equal(await open(), ['dropping'], 'a new process')
  }))

test('a loss is told although its first telling failed, and although the cloud ended before it was judged', () =>
  inCloud(async (world) => {
    const { report, open, camera } = await withCamera(world)
    const lost = (count: number) => ({ sightings: { ...healthOf(world.clock.nowMs()).sightings, lost: count } })
    await report()
    // The alarm cannot be written down, and so its audit entry neither.
    world.sql("CREATE TRIGGER no_alarm BEFORE INSERT ON fleet_alarms BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
    await report(lost(7))
    assert.equal(await open(), [])
    world.sql('DROP TRIGGER no_alarm')
    await report(lost(7))
    const [alarm] = await world.cloud.parts.fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    assert.equal([alarm?.kind, alarm?.detail.lost], ['dropping', 7])
    for (let openMs = 0; openMs < LEAST_OPEN_MS; openMs += MINUTE_MS) await report(lost(7), MINUTE_MS)
    assert.equal(await open(), [])
    // Stored, and too soon after the one before to be judged.
    await report(lost(9), 100)
    assert.equal(await open(), [])
    await camera.endAsync()
    await world.restart()
    world.clock.advance(INTERVAL_MS)
    const uptimeMs = 3_600_000 + 4 * INTERVAL_MS + 100 + LEAST_OPEN_MS
    const { fleet } = world.cloud.parts
    fleet.recordHealth(healthOf(world.clock.nowMs(), { uptimeMs, ...lost(9) }), world.clock.nowMs())
    await fleet.settled()
    const [again] = await fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    assert.equal([again?.kind, again?.detail.lost], ['dropping', 2])
  }))

test('alarms outlive a restart of the cloud, and are not raised again', () =>
  inCloud(async (world) => {
    const { report, open, camera } = await withCamera(world)
    for (let i = 0; i < RAISE_AFTER; i++) await report(HOT)
    await camera.endAsync()
    const [before] = await world.cloud.parts.fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    await world.restart()
    assert.equal(await world.cloud.parts.fleet.findAlarm(before?.alarmId ?? ''), before)
    assert.is(await world.counted('candor_camera_alarms{kind="hot"}'), 1)
    const [seen] = await world.cloud.parts.fleet.cameras()
    assert.equal([seen?.state, seen?.alarms.length, seen?.figures.temperature], ['alarm', 1, 91])
    assert.equal(await open(), ['hot'])
  }))

test('a camera that is silent for too long is quiet, from then on until it reports again', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const { fleet } = world.cloud.parts
    for (let i = 0; i < 8; i++) await report()
    const mostMs = Math.max(LEAST_QUIET_MS, 6 * INTERVAL_MS)
    world.clock.advance(mostMs - 1_000)
    await fleet.upkeep()
    assert.equal(await open(), [])
    world.clock.advance(2_000)
    await fleet.upkeep()
    assert.equal(await open(), ['quiet'])
    await fleet.upkeep()
    assert.is((await world.audited('camera.alarm_raised')).length, 1)
    for (let i = 0; i < CLEAR_AFTER - 1; i++) await report({}, LEAST_OPEN_MS / CLEAR_AFTER)
    assert.equal(await open(), ['quiet'])
    await report({}, LEAST_OPEN_MS)
    assert.equal(await open(), [])
  }))

test('a camera that was approved and never heard of is quiet after a day, also over a restart, until it reports', () =>
  inCloud(async (world) => {
    const certified = await world.addCamera(CAMERA)
    await world.addCamera('oak-st-2')
    const approvedAtMs = world.clock.nowMs()
    const all = async () =>
      (await world.cloud.parts.fleet.alarms({ open: true, camera: null, limit: 10 }))
        .map(({ cameraId, kind }) => `${cameraId} ${kind}`)
        .sort()
    const goTo = async (afterMs: number) => {
      world.clock.advance(approvedAtMs + afterMs - world.clock.nowMs())
      await world.cloud.parts.fleet.upkeep()
    }
    await world.cloud.parts.fleet.setMaintenance('oak-st-2', approvedAtMs + 30 * HOUR_MS, 'not mounted', 'tess')
    await goTo(NEVER_HEARD_MS - MINUTE_MS)
    assert.equal(await all(), [])
    await goTo(NEVER_HEARD_MS + 1_000)
    assert.equal(await all(), [`${CAMERA} quiet`])
    const [alarm] = await world.cloud.parts.fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    assert.is(alarm?.detail.neverHeard, true)
    assert.ok(Number(alarm?.detail.silentMs) > NEVER_HEARD_MS)
    assert.equal(
      (await world.cloud.parts.fleet.cameras()).map(({ state }) => state),
      ['alarm', 'serviced'],
    )
    world.clock.advance(30 * HOUR_MS - NEVER_HEARD_MS)
    await world.restart()
    await world.cloud.parts.fleet.upkeep()
    assert.equal(await all(), [`${CAMERA} quiet`], 'the cloud has only begun to listen')
    await goTo(30 * HOUR_MS + 6 * MINUTE_MS)
    assert.equal(await all(), [`${CAMERA} quiet`, 'oak-st-2 quiet'])
    await goTo(31 * HOUR_MS)
    assert.is((await world.audited('camera.alarm_raised')).length, 2)

    const camera = await world.connectCamera(CAMERA, certified)
    for (let i = 0; i < CLEAR_AFTER; i++) {
      world.clock.advance(INTERVAL_MS)
      await publish(camera, topics.health(AGENCY, CAMERA), JSON.stringify(healthOf(world.clock.nowMs())))
      await world.cloud.parts.fleet.settled()
    }
    assert.equal(await all(), ['oak-st-2 quiet'])
    await world.cloud.parts.cameras.revoke('oak-st-2', 'tess')
    await world.cloud.parts.fleet.upkeep()
    assert.equal(await all(), [])
  }))

test('a unit that is put in the place of one never heard of has its own day', () =>
  inCloud(async (world) => {
    await world.addCamera(CAMERA)
    world.clock.advance(NEVER_HEARD_MS - HOUR_MS)
    await replaced(world)
    world.clock.advance(2 * HOUR_MS)
    const open = () => world.cloud.parts.fleet.alarms({ open: true, camera: null, limit: 10 })
    await world.cloud.parts.fleet.upkeep()
    assert.equal(await open(), [])
    world.clock.advance(NEVER_HEARD_MS)
    await world.cloud.parts.fleet.upkeep()
    assert.is((await open()).length, 1)
  }))

test('a camera that says that it is offline is quiet after some minutes', () =>
  inCloud(async (world) => {
    const { camera, open } = await withCamera(world)
    await world.addCamera('oak-st-2')
    const { fleet } = world.cloud.parts
    const status = (online: boolean) => ({
      ...{ cameraId: CAMERA, online, sessionId: session, sinceMs: world.clock.nowMs(), software: '1' },
    })
    const session = newId()
    for (const online of [true, false]) {
      await publish(camera, topics.status(AGENCY, CAMERA), JSON.stringify(status(online)), { retain: true })
    }
    world.clock.advance(5 * MINUTE_MS - 1_000)
    await fleet.upkeep()
    assert.equal(await open(), [])
    world.clock.advance(2_000)
    await fleet.upkeep()
    assert.equal(await open(), ['quiet'])
    assert.equal(
      (await fleet.cameras()).map(({ camera: name, state }) => [name, state]),
      [
        [CAMERA, 'alarm'],
        ['oak-st-2', 'new'],
      ],
    )
  }))

test('a picture is dark and blurred beside what is usual at this hour, which needs days', () =>
  inCloud(async (world) => {
    const bad = { picture: { ...GOOD_PICTURE, luminance: 20, sharpness: 0.2 } }
    const { report, open } = await withCamera(world)
    const hour = Math.floor(world.clock.nowMs() / HOUR_MS)
    // Around midnight of each day the hour may change while the test runs.
    const day = (ago: number) => [0, 1].map((off) => ({ hour: hour + off - 24 * ago }))
    writeHours(world, [...day(1), ...day(2)])
    for (let i = 0; i < RAISE_AFTER; i++) await report(bad)
    assert.equal(await open(), [], 'two days are too few')
    writeHours(world, day(3))
    await world.restart()
    const again = await world.connectCamera(CAMERA, await replaced(world))
    for (let i = 0; i < RAISE_AFTER; i++) {
      world.clock.advance(INTERVAL_MS)
      await publish(again, topics.health(AGENCY, CAMERA), JSON.stringify(healthOf(world.clock.nowMs(), bad)))
      await world.cloud.parts.fleet.settled()
    }
    assert.equal(await open(), ['blurred', 'dark'])
  }))

async function replaced(world: TestCloud) {
  const keyPem = newCameraKey()
  const { certPem } = await world.cloud.parts.cameras.replace(CAMERA, cameraRequest(CAMERA, keyPem), 'test')
  return { key: keyPem, cert: certPem }
}

test('far fewer vehicles than in past weeks, two hours in a row, are an alarm; one hour as usual ends it', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const startHour = Math.floor(world.clock.nowMs() / HOUR_MS) + 1
    const weeks = [1, 2, 3].flatMap((week) =>
      Array.from({ length: 8 }, (_, i) => ({ hour: startHour - week * HOURS_A_WEEK + i - 2, vehicles: 60 })),
    )
    writeHours(world, weeks)
    await report({}, startHour * HOUR_MS - world.clock.nowMs() + 1_000)
    let made = 10
    const hour = async (vehicles: number) => {
      // A report in ten minutes, each of its part; the first of the next hour ends this one.
      for (let i = 0; i < 6; i++) {
        made += vehicles / 6
        await report({ sightings: { made: Math.round(made), matched: 0, withheld: 0, lost: 0 } }, 10 * MINUTE_MS)
      }
    }
    await hour(6)
    assert.equal(await open(), [])
    await hour(6)
    assert.equal(await open(), ['reads_low'])
    const [alarm] = await world.cloud.parts.fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
    assert.is(alarm?.detail.usual, 60)
    await hour(60)
    assert.equal(await open(), [])
  }))

test('what is kept is one row in two minutes and one an hour, however often a camera reports, and no longer than said', () =>
  inCloud(async (world) => {
    const { report } = await withCamera(world)
    for (let i = 0; i < 40; i++) await report(HOT, 100)
    assert.is(await rowsOf(world), 1)
    // Forty reports in four seconds count as one.
    assert.ok(40 * 100 < JUDGE_INTERVAL_MS)
    await report({}, ROW_INTERVAL_MS - 39 * 100)
    assert.is(await rowsOf(world), 2)
    const { fleet } = world.cloud.parts
    world.clock.advance(7 * DAY_MS - ROW_INTERVAL_MS - MINUTE_MS)
    await fleet.upkeep()
    assert.is(await rowsOf(world), 2)
    world.clock.advance(MINUTE_MS)
    await fleet.upkeep()
    assert.is(await rowsOf(world), 1)
    world.clock.advance(ROW_INTERVAL_MS)
    await fleet.upkeep()
    assert.is(await rowsOf(world), 0)
    const hours = async () => (await fleet.history(CAMERA, 0, world.clock.nowMs())).hours.length
    assert.ok((await hours()) >= 1)
    world.clock.advance(101 * DAY_MS)
    await fleet.upkeep()
    assert.is(await hours(), 0)
  }))

test('a camera that is serviced raises nothing until then, by who said so and why', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const call = callerOf(world.cloud)
    const set = async (untilMs: number | null, note = 'new lens') =>
      (await call('POST', `/api/v1/cameras/${CAMERA}/maintenance`, { token, json: { untilMs, note } })).status
    assert.is(await set(world.clock.nowMs() + MAX_MAINTENANCE_MS + MINUTE_MS), 400)
    assert.is(await set(world.clock.nowMs() - 1), 400)
    assert.is(await set(world.clock.nowMs() + 10 * INTERVAL_MS), 204)
    for (let i = 0; i < RAISE_AFTER + 2; i++) await report(HOT)
    assert.equal(await open(), [])
    assert.equal((await world.cloud.parts.fleet.cameras())[0]?.maintenance?.note, 'new lens')
    assert.is(await set(null, 'done'), 204)
    for (let i = 0; i < RAISE_AFTER; i++) await report(HOT)
    assert.equal(await open(), ['hot'])
    const entries = (await world.audited('camera.maintenance')).filter(({ outcome }) => outcome === 'allowed')
    assert.ok(entries.some(({ reason, actor }) => reason === 'new lens' && actor.account === 'tess'))
    const unknown = await call('POST', '/api/v1/cameras/nowhere/maintenance', {
      token,
      json: { untilMs: null, note: 'x' },
    })
    assert.is(unknown.status, 404)
  }))

test('an alarm is acknowledged once, with a note, and stays open; the past of a camera is asked for by people who may', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const call = callerOf(world.cloud)
    for (let i = 0; i < RAISE_AFTER; i++) await report({ device: { ...HOT.device, dataEncrypted: false } })
    const listed = await call('GET', '/api/v1/camera-alarms', { token })
    const [alarm] = listed.json.alarms as FleetAlarm[]
    const acknowledge = (note: string, alarmId = alarm?.alarmId) =>
      call('POST', `/api/v1/camera-alarms/${alarmId}/acknowledge`, { token, json: { note } })
    assert.is((await acknowledge('x'.repeat(301))).status, 400)
    assert.is((await acknowledge(' ')).status, 400)
    const done = await acknowledge('fan is ordered')
    assert.equal([done.status, done.json.acknowledged.by, done.json.acknowledged.note], [200, 'tess', 'fan is ordered'])
    assert.is((await acknowledge('again')).status, 409)
    assert.is((await acknowledge('x', newId())).status, 404)
    assert.equal(await open(), ['hot'])
    const [entry] = (await world.audited('camera.alarm_acknowledged')).filter(({ outcome }) => outcome === 'allowed')
    assert.is(entry?.subject?.id, CAMERA)

    const view = await call('GET', '/api/v1/fleet', { token })
    const [camera] = view.json.cameras
    assert.is(camera.dataEncrypted, false)
    assert.equal([camera.state, camera.figures.temperature, camera.alarms[0].acknowledged.by], ['alarm', 91, 'tess'])
    const past = await call('GET', `/api/v1/cameras/${CAMERA}/history`, { token })
    assert.is(past.status, 200)
    assert.ok(past.json.reports.length >= 1 && past.json.hours.length >= 1)
    const toMs = world.clock.nowMs()
    const long = (days: number) =>
      call('GET', `/api/v1/cameras/${CAMERA}/history?fromMs=${toMs - days * DAY_MS}&toMs=${toMs}`, { token })
    assert.equal([(await long(100)).status, (await long(100.001)).status], [200, 400])
    assert.is((await call('GET', '/api/v1/cameras/nowhere/history', { token })).status, 404)
  }))

test('other programs are told of alarms and of claims that were used twice, if they asked for that', () =>
  inCloud(async (world) => {
    const { report } = await withCamera(world)
    const receivers = await Promise.all([openReceiver(), openReceiver(), openReceiver()])
    const [both, claims, alerts] = receivers
    try {
      const token = await world.addPerson('paula', ['policy-admin'], [])
      const call = callerOf(world.cloud)
      const add = async (webhook: string, url: string, json: object) =>
        (await call('POST', '/api/v1/webhooks', { token, json: { webhook, url, ...json } })).status
      assert.is(await add('none', both.url, {}), 400)
      assert.is(await add('unknown', both.url, { notices: ['camera_song'] }), 400)
      assert.is(await add('both', both.url, { notices: ['camera_alarm', 'claim_misused'] }), 201)
      assert.is(await add('claims', claims.url, { notices: ['claim_misused'] }), 201)
      assert.is(await add('alerts', alerts.url, { groups: ['patrol'] }), 201)
      for (let i = 0; i < RAISE_AFTER; i++) await report(HOT)
      await until('the alarm arrives', () => both.got.length === 1)
      const { alert, notice } = both.got[0]?.json ?? {}
      assert.equal(
        [alert, notice.kind, notice.alarm.kind, notice.alarm.cameraId],
        [null, 'camera_alarm', 'hot', CAMERA],
      )

      const { enrolment, fleet } = world.cloud.parts
      const wanted = { camera: 'oak-st-2', site: null, hours: 1, replaces: false }
      const { code } = await enrolment.claim(wanted, 'tess')
      for (let i = 0; i < 3; i++) await enrolment.ask(code, cameraRequest('unit', newCameraKey()), '10.0.0.7')
      await fleet.settled()
      await until('the misuse arrives', () => claims.got.length === 1 && both.got.length === 2)
      const misuse = claims.got[0]?.json.notice
      assert.equal(
        [misuse.kind, misuse.alarm.cameraId, misuse.alarm.kind],
        ['claim_misused', 'oak-st-2', 'claim_misused'],
      )
      await enrolment.revoke('oak-st-2', 'tess')
      await until('its end arrives', () => claims.got.length === 2)
      assert.ok(claims.got[1]?.json.notice.alarm.clearedAtMs !== null)
      assert.is(alerts.got.length, 0)
    } finally {
      for (const receiver of receivers) await receiver.close()
    }
  }))

test('alarms about a camera end with its registration', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    for (let i = 0; i < RAISE_AFTER; i++) await report(HOT)
    await replaced(world)
    await world.cloud.parts.fleet.upkeep()
    assert.equal(await open(), ['hot'], 'another unit in the same place')
    await world.cloud.parts.cameras.revoke(CAMERA, 'tess')
    await world.cloud.parts.fleet.upkeep()
    assert.equal(await open(), [])
    assert.equal(await world.cloud.parts.fleet.cameras(), [])
  }))

test('what the disk refused is said by the next report', () =>
  inCloud(async (world) => {
    const { report, open } = await withCamera(world)
    const refuse = "CREATE TRIGGER full BEFORE INSERT ON fleet_alarms BEGIN SELECT RAISE(ABORT, 'full'); END"
    world.sql(refuse)
    for (let i = 0; i < RAISE_AFTER; i++) await report(HOT)
    assert.equal(await open(), [])
    world.sql('DROP TRIGGER full')
    await report(HOT)
    assert.equal(await open(), ['hot'])
    assert.is(await codeOf(() => world.cloud.parts.fleet.findAlarm(newId())), 'not_found')
  }))

test.run()

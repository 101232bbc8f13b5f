import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rotateAuthority } from '../../cloud/authority.ts'
import { cameraRequest, newCameraKey } from '../../shared/certificate-request.ts'
import { DAY_MS, systemClock } from '../../shared/clock.ts'
import { inWorld } from '../trial/commands-testing.ts'

test('alarms about cameras are listed and acknowledged, a camera is put into service and out of it, from the command line', async () => {
  await inWorld(async ({ trial, asAdministrator }) => {
    const { cameras, enrolment, fleet } = trial.cloud.parts
    await cameras.add('north-1', cameraRequest('north-1', newCameraKey()), 'test')
    const status = await asAdministrator('fleet', 'status')
    assert.match(status.out, /^north-1 +new +offline +never/m, status.err)
    assert.not.match(status.out, /authority/)
    // Begun three weeks ago, and not gone on with.
    const longAgo = { ...systemClock, nowMs: () => systemClock.nowMs() - 21 * DAY_MS }
    await rotateAuthority('prepare', join(trial.folder, 'data', 'authority'), 'springfield', longAgo)
    assert.match(
      (await asAdministrator('fleet', 'status')).out,
      /^The change to another authority stands still at `prepare` since .*: the cloud has not been started again/m,
    )
    // The one alarm that needs no time to pass.
    const { code } = await enrolment.claim({ camera: 'oak-2', site: null, hours: 1, replaces: false }, 'test')
    for (let i = 0; i < 2; i++) await enrolment.ask(code, cameraRequest('unit', newCameraKey()), '10.0.0.7')
    await fleet.settled()
    const alarms = await asAdministrator('fleet', 'alarms', '--json')
    const [alarm] = JSON.parse(alarms.out)
    assert.equal([alarm.cameraId, alarm.kind, alarm.acknowledged], ['oak-2', 'claim_misused', null])
    const done = await asAdministrator('fleet', 'acknowledge', alarm.alarmId, '--note', 'code was lost')
    assert.is(done.out, 'oak-2: claim_misused is acknowledged.\n', done.err)
    assert.match(
      (await asAdministrator('fleet', 'alarms')).out,
      /oak-2 +claim_misused .* open +admin: code was lost +misuses 1$/m,
    )
    assert.is((await asAdministrator('fleet', 'acknowledge', alarm.alarmId, '--note', 'x')).code, 1)

    const note = ['--note', 'new lens']
    assert.is((await asAdministrator('fleet', 'maintenance', 'north-1', ...note)).code, 2)
    assert.is((await asAdministrator('fleet', 'maintenance', 'north-1', '--hours', '337', ...note)).code, 1)
    assert.match((await asAdministrator('fleet', 'maintenance', 'north-1', '--hours', '3', ...note)).out, /until/)
    assert.match((await asAdministrator('fleet', 'status')).out, /^north-1 +serviced/m)
    assert.is(
      (await asAdministrator('fleet', 'maintenance', 'north-1', '--end', ...note)).out,
      'north-1 is watched again.\n',
    )
    const past = await asAdministrator('fleet', 'history', 'north-1', '--json')
    assert.equal(JSON.parse(past.out).hours, [])
    assert.is((await asAdministrator('fleet', 'history', 'nowhere')).code, 1)
  })
})

test.run()

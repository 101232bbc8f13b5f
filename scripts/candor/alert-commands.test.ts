/** The officer's and the administrator's commands about alerts that gather, are taken, held back and counted. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import { enrolCamera } from '../trial/cameras.ts'
import { inWorld } from '../trial/commands-testing.ts'
import { alertLine } from './watch.ts'

test('an alert with a trail is taken and closed as misread with what the plate says; rules and figures are shown', async () => {
  await inWorld(async ({ folder, trial, as, asAdministrator }) => {
    const file = join(folder, 'list.csv')
    await writeFile(file, 'plate\nTJ977FA\n')
    assert.is((await asAdministrator('hotlist', 'import', file, '--list', 'stolen')).code, 0)
    for (const name of ['north', 'south']) {
      const camera = await enrolCamera(trial.https, trial.administratorToken, name, join(folder, name))
      const link = await connectAsync(`mqtts://localhost:${trial.cloud.mqttPort}`, {
        ...{ clientId: `springfield.${name}`, key: camera.keyPem, cert: camera.certificatePem, ca: camera.caPem },
      })
      const sighting = {
        ...{ sightingId: newId(), revision: 1, cameraId: name, capturedAtMs: Date.now(), clock: 'synced' },
        ...{
          plate: 'TJ977FA',
          confidence: 0.9,
          candidates: [],
          jurisdiction: null,
          frames: 1,
          match: null,
          crop: null,
        },
        region: { x: 1, y: 2, width: 100, height: 30 },
        versions: { software: '0', detector: 'd', reader: 'r' },
      }
      await link.publishAsync(topics.sightings('springfield', name), JSON.stringify(sighting), { qos: 1 })
      await link.endAsync()
    }
    const lee = await as('lee', ['officer'])
    const [alert, ...others] = JSON.parse((await lee('alert', 'list', '--json')).out)
    assert.equal([others, alert.trail.length], [[], 1])
    const raised = (await lee('alert', 'show', alert.alertId)).out
    assert.match(raised, /2 sightings; the further ones, NOT COMPARED:\n {4}\S+ \S+ {2}south\n/)
    assert.not.match(raised, /TJ977FA/)
    assert.match((await lee('alert', 'take', alert.alertId)).out, /raised, taken by lee/)
    assert.match((await lee('alert', 'list')).out, /raised +lee/)
    assert.match((await lee('alert', 'release', alert.alertId)).out, /nobody has taken it/)
    const close = (...more: string[]) => lee('alert', 'close', alert.alertId, '--outcome', 'misread', ...more)
    assert.is((await close()).code, 2)
    assert.is((await close('--correct-plate', 'TJ977FB', '--unreadable')).code, 2)
    assert.is((await close('--correct-plate', 'TJ 977 FA')).code, 1, 'that is the listed one')
    assert.match((await close('--correct-plate', 'TJ 977 FB')).out, /closed: misread/)
    const closed = (await lee('alert', 'show', alert.alertId)).out
    assert.match(closed, /closed as misread, the plate says TJ977FB/)
    assert.match(closed, /south {2}TJ977FA/)

    const set = (...more: string[]) => asAdministrator('alert', 'rules', 'set', ...more)
    assert.is((await set('--quiet', '22:00-06:00')).code, 2, 'without its time zone')
    const quiet = await set('--quiet', '22:00-06:00', '--time-zone', 'America/Chicago', '--group', 'patrol')
    assert.match(quiet.out, /any list and group patrol is set/)
    const escalated = await set('--list', 'stolen', '--escalate-after', '300', '--escalate-to', 'chiefs')
    assert.match(escalated.err, /nobody who may see alerts is in the group chiefs/)
    const rules = (await asAdministrator('alert', 'rules')).out
    assert.match(rules, /^any +patrol +quiet .*Chicago/m)
    assert.match(rules, /^stolen +any +escalateAfterSeconds 300, escalateTo \["chiefs"\]/m)
    assert.match(rules, /\(default\)$/m)
    assert.is((await asAdministrator('alert', 'rules', 'remove', '--list', 'stolen')).code, 0)
    assert.is((await asAdministrator('alert', 'rules', 'remove', '--list', 'stolen')).code, 1)
    assert.is(JSON.parse((await asAdministrator('alert', 'rules', '--json')).out).rules.length, 1)

    const figures = await asAdministrator('alert', 'outcomes', '--days', '2')
    assert.match(figures.out, /^north +exact +1 +0 +0 +1 +1 +100\.0 \(20\.7-100\.0\)$/m)
    assert.match(figures.out, /^south +exact +1 +1 +0 +0 +0$/m)
    assert.match(figures.out, /^stolen +exact +2 +1 +0 +1 +1 +100\.0/m)
    const json = JSON.parse((await asAdministrator('alert', 'outcomes', '--json')).out)
    assert.equal(json.lists[0].outcomes, { misread: 1 })
    assert.is((await lee('alert', 'outcomes')).code, 1)

    // What `watch` says of revisions of one alert: only a new state is told as an alert.
    const [now] = JSON.parse((await lee('alert', 'list', '--state', 'closed', '--json')).out)
    const first = { ...now, state: 'raised', outcome: null, acknowledgedBy: null, trail: [] }
    assert.match(alertLine(first, null), /ALERT raised: .*\n +verify before you act/)
    assert.match(alertLine({ ...first, trail: now.trail }, first), /seen again by south, not compared: /)
    assert.match(alertLine({ ...first, acknowledgedBy: 'lee' }, first), /taken by lee: /)
    assert.match(alertLine({ ...first, escalatedAtMs: 1 }, first), /ESCALATED, nobody had taken it: /)
    assert.is(alertLine({ ...first, heldFor: [{ group: 'patrol', untilMs: 1 }] }, first), '')
    assert.match(alertLine(now, first), /ALERT misread: /)
  })
})

test.run()

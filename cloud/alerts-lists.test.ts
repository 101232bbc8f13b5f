/** Alerts of patterns and of old lists. */
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS } from '../shared/clock.ts'
import type { AppError } from '../shared/errors.ts'
import { type Alert, type AlertStep, alertSchema, type Sighting } from '../shared/wire/index.ts'
import { DEFAULT_MAX_AGE_MS } from './hotlists/settings.ts'
import { codeOf, inCloud, makeSighting, publishSighting, type TestCloud } from './testing.ts'

const A = 'elm-st-1'
const GROUPS = ['patrol']
const BY = {
  actor: { account: 'olga', roles: ['officer' as const], session: null, source: null },
  account: 'olga',
  groups: GROUPS,
}

async function importCsv(world: TestCloud, csv: string): Promise<void> {
  const bytes = Buffer.from(csv)
  const options = { dryRun: false, skipBad: false, allowEmpty: false, by: 'test' }
  const report = await world.cloud.parts.hotlists.import({ list: 'stolen', bytes, settings: {}, ...options })
  assert.ok(report.applied, JSON.stringify(report))
}

const withCamera = (work: (world: TestCloud, camera: MqttClient) => Promise<void>) =>
  inCloud(async (world) => work(world, await world.connectCamera(A, await world.addCamera(A))))

/** The alert that a read raises, or null. */
async function pass(world: TestCloud, camera: MqttClient, change: Partial<Sighting>): Promise<Alert | null> {
  const sighting = makeSighting(world.clock, change)
  assert.is(await publishSighting(camera, sighting), 'acknowledged')
  const [alert] = await world.cloud.parts.alerts.ofSighting(A, sighting.sightingId)
  return alert === undefined ? null : alertSchema.parse(alert)
}

test('an alert of a pattern is compared by a plate that the pattern means, and by no other', async () => {
  await withCamera(async (world, camera) => {
    await importCsv(world, 'plate,match,case\nABC*,wildcard,24-001\n')
    const alert = await pass(world, camera, { plate: 'ABC1230' })
    assert.equal([alert?.match.kind, alert?.match.listedPlate, alert?.match.cameraAgreed], ['wildcard', 'ABC*', false])
    const compare = (plateSeen: string) =>
      world.cloud.parts.alerts
        .step(
          alert?.alertId ?? '',
          { step: 'image_compared', revision: 0, plateSeen, jurisdictionSeen: null } as AlertStep,
          BY,
        )
        .then(
          (changed) => changed.state,
          (thrown: AppError) => thrown.code,
        )
    assert.is(await compare('ABD1230'), 'conflict')
    assert.is(await compare('ABC*'), 'conflict', 'a pattern is no plate')
    assert.is(await compare('abc 1230'), 'image_compared')
    const take = (revision: number, step: object) =>
      world.cloud.parts.alerts.step(alert?.alertId ?? '', { ...step, revision } as AlertStep, BY)
    const text = { confirmedWith: 'the desk', result: 'ABC 1230 and ABD 1230 are meant' }
    assert.is((await take(1, { step: 'source_confirmed', ...text })).state, 'source_confirmed')
    assert.is((await take(2, { step: 'taken_back', reason: 'of ABC-77' })).state, 'image_compared')
    const close = (more: object) => take(3, { step: 'closed', note: '', ...more })
    const refusals = [
      { outcome: 'cleared', suppressForMs: 3_600_000 },
      { outcome: 'misread', correctPlate: 'ABC99' },
    ]
    for (const more of refusals) assert.is(await codeOf(() => close(more)), 'conflict')
    assert.is((await close({ outcome: 'misread', correctPlate: 'ABD1230' })).state, 'closed')
    const audit = JSON.stringify(await world.cloud.parts.audit.list({ before: null, limit: 50 }))
    assert.match(audit, /\[plate [0-9a-f]+\] and ABD 1230 are meant/, 'what the pattern means is a digest')
    assert.not.match(audit, /ABC.?1230|ABC-77/)
  })
})

test('of a pattern only the same read joins an open alert: another plate is another vehicle', async () => {
  await withCamera(async (world, camera) => {
    await importCsv(world, 'plate,match\nABC*,wildcard\n')
    const first = await pass(world, camera, { plate: 'ABC1230' })
    const other = await pass(world, camera, { plate: 'ABC777' })
    assert.ok(other !== null && other.alertId !== first?.alertId)
    world.clock.advance(2 * MINUTE_MS)
    assert.is(await pass(world, camera, { plate: 'ABC1230' }), null, 'it raised none of its own')
    const open = await world.cloud.parts.alerts.list({ groups: GROUPS, state: 'open', beforeMs: null, limit: 9 })
    assert.equal(
      open
        .map(({ sighting, trail }) => `${sighting.plate} ${trail.map(({ kind, plate }) => `${kind} ${plate}`)}`)
        .sort(),
      ['ABC1230 wildcard ABC1230', 'ABC777 '],
    )
  })
})

test('alerts of a list past its age limit say so, or are not raised, as the policy says', async () => {
  await withCamera(async (world, camera) => {
    const { policy } = world.cloud.parts
    await importCsv(world, 'plate\nABC1230\n')
    assert.is((await pass(world, camera, { plate: 'ABC1230' }))?.match.stale, false)
    world.clock.advance(DEFAULT_MAX_AGE_MS)
    assert.is((await pass(world, camera, { plate: 'ABC1230' }))?.match.stale, true)
    await policy.change(policy.current().version, { hotlists: { staleLists: 'stop' } }, 'ada')
    assert.is(await pass(world, camera, { plate: 'ABC1230' }), null)
  })
})

test.run()

import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { topics } from '../shared/topics.ts'
import {
  ALERT_OUTCOMES,
  ALERT_STATES,
  type Alert,
  type AlertState,
  type AlertStep,
  alertSchema,
  alertStepSchema,
  CLOSING_OUTCOMES,
  MAX_SUPPRESSION_MS,
  MIN_SUPPRESSION_MS,
  type Sighting,
} from '../shared/wire/index.ts'
import { MAX_GROUPS_PER_ACCOUNT } from './accounts/rights.ts'
import { createAlerts, MAX_ALERT_PAGE } from './alerts.ts'
import {
  AGENCY,
  codeOf,
  collect,
  eachAlone,
  inCloud,
  makeSighting,
  publishSighting,
  readOf,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const PLATE = 'ABC1230'
const GROUPS = ['patrol']
const BY = {
  actor: { account: 'olga', roles: ['officer' as const], session: null, source: null },
  account: 'olga',
  groups: GROUPS,
}

/** A cloud with one camera and one list, for group patrol. */
const withList = (work: (world: TestCloud, camera: MqttClient) => Promise<void>) =>
  inCloud(async (world) => {
    await world.importList('stolen', [PLATE])
    await eachAlone(world)
    await work(world, await world.connectCamera(A, await world.addCamera(A)))
  })

async function raise(world: TestCloud, camera: MqttClient, change: Partial<Sighting> = {}): Promise<Alert> {
  const sighting = makeSighting(world.clock, change)
  assert.is(await publishSighting(camera, sighting), 'acknowledged')
  const alert = await alertOf(world, sighting.sightingId)
  assert.ok(alert)
  return alert as Alert
}

/** The one alert of a sighting, or null. */
async function alertOf(world: TestCloud, sightingId: string): Promise<Alert | null> {
  const found = await world.cloud.parts.alerts.ofSighting(A, sightingId)
  assert.ok(found.length <= 1)
  return found[0] ?? null
}

/** The newest audit entry of an operation. */
const newest = async (world: TestCloud, operation: string) => (await world.audited(operation))[0]

const STEPS = {
  image_compared: { step: 'image_compared', plateSeen: PLATE, jurisdictionSeen: null },
  source_confirmed: { step: 'source_confirmed', confirmedWith: 'state register', result: 'still wanted' },
  actionable: { step: 'actionable' },
} as const
const PATH = ['image_compared', 'source_confirmed', 'actionable'] as const

const take = (world: TestCloud, alert: Alert, step: object) =>
  world.cloud.parts.alerts.step(alert.alertId, { ...step, revision: alert.revision } as AlertStep, BY)
const close = (world: TestCloud, alert: Alert, outcome: string) =>
  take(world, alert, { step: 'closed', outcome, note: '', correctPlate: null })

/** Raised and taken along the path to `state`. */
async function at(world: TestCloud, camera: MqttClient, state: Exclude<AlertState, 'closed'>): Promise<Alert> {
  let alert = await raise(world, camera, { revision: 0 })
  for (const step of PATH) {
    if (alert.state === state) break
    alert = await take(world, alert, STEPS[step])
  }
  assert.is(alert.state, state)
  return alert
}

test('an alert goes from raised to actionable step by step, each with a new revision, its person and its audit entry', async () => {
  await withList(async (world, camera) => {
    let alert = await raise(world, camera)
    assert.is(alert.state, 'raised')
    assert.is(alert.revision, 0)
    assert.is(alert.updatedBy, null)
    for (const [i, step] of PATH.entries()) {
      alert = await take(world, alert, STEPS[step])
      assert.is(alert.state, step)
      assert.is(alert.revision, i + 1)
      assert.is(alert.updatedBy, 'olga')
    }
    alert = await close(world, alert, 'located')
    assert.equal([alert.state, alert.outcome, alert.revision], ['closed', 'located', 4])
    const { steps } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
    assert.equal(
      steps.map((one) => [one.revision, one.step, one.account]),
      [
        [1, 'image_compared', 'olga'],
        [2, 'source_confirmed', 'olga'],
        [3, 'actionable', 'olga'],
        [4, 'closed', 'olga'],
      ],
    )
    const entries = await world.cloud.parts.audit.list({ before: null, limit: 10 })
    for (const one of steps) {
      const entry = entries.find(({ seq }) => seq === one.auditSeq)
      assert.is(entry?.operation, `alert.${one.step}`)
      assert.is(entry?.subject?.id, alert.alertId)
    }
    assert.not.ok(JSON.stringify(entries).includes(PLATE), 'the audit holds no plate')
  })
})

test('the audit holds what a person typed, with every plate in it as its digest', async () => {
  await withList(async (world, camera) => {
    const { plateDigest } = world.cloud.parts.audit
    const short = plateDigest(PLATE).slice(0, 16)
    let alert = await raise(world, camera)
    await codeOf(() => take(world, alert, { step: 'image_compared', plateSeen: 'abc 123', jurisdictionSeen: null }))
    assert.is((await newest(world, 'alert.image_compared'))?.detail.plateSeen, plateDigest('ABC123'))
    alert = await take(world, alert, STEPS.image_compared)
    assert.is((await newest(world, 'alert.image_compared'))?.detail.plateSeen, plateDigest(PLATE))
    const said = { confirmedWith: 'register, abc-1230', result: `${PLATE} stands; XABC1230 does not` }
    alert = await take(world, alert, { step: 'source_confirmed', ...said })
    const confirmed = await newest(world, 'alert.source_confirmed')
    assert.is(confirmed?.detail.confirmedWith, `register, [plate ${short}]`)
    assert.is(confirmed?.detail.result, `[plate ${short}] stands; XABC1230 does not`)
    const misread = { step: 'closed', outcome: 'misread', note: 'it says ABC 123O', correctPlate: 'ABC123O' }
    await take(world, alert, misread)
    const closed = await newest(world, 'alert.closed')
    assert.is(closed?.detail.note, `it says [plate ${plateDigest('ABC123O').slice(0, 16)}]`)
    assert.is(closed?.detail.correctPlate, plateDigest('ABC123O'))
  })
})

test('from every open state an alert is closed with each outcome that fits it, and with no other', async () => {
  await withList(async (world, camera) => {
    for (const state of ALERT_STATES) {
      if (state === 'closed') continue
      for (const outcome of ALERT_OUTCOMES) {
        const alert = await at(world, camera, state)
        if (CLOSING_OUTCOMES[state].includes(outcome)) {
          const closed = await close(world, alert, outcome)
          assert.equal([closed.state, closed.outcome, closed.revision], ['closed', outcome, alert.revision + 1])
        } else {
          assert.is(await codeOf(() => close(world, alert, outcome)), 'conflict', `${state} ${outcome}`)
        }
      }
    }
  })
})

test('a step that is skipped, repeated, taken back or taken after the end is a conflict and changes nothing', async () => {
  await withList(async (world, camera) => {
    for (const state of ['raised', 'image_compared', 'source_confirmed', 'actionable'] as const) {
      const alert = await at(world, camera, state)
      const next = PATH[state === 'raised' ? 0 : PATH.indexOf(state) + 1]
      for (const step of PATH) {
        if (step === next) continue
        assert.is(await codeOf(() => take(world, alert, STEPS[step])), 'conflict', `${state} ${step}`)
      }
      assert.equal((await world.cloud.parts.alerts.get(alert.alertId, GROUPS)).alert, alert)
    }
    const closed = await close(world, await raise(world, camera), 'stale')
    for (const step of PATH) assert.is(await codeOf(() => take(world, closed, STEPS[step])), 'conflict')
    for (const outcome of ALERT_OUTCOMES) assert.is(await codeOf(() => close(world, closed, outcome)), 'conflict')
    const refused = (await world.cloud.parts.audit.list({ before: null, limit: 1 }))[0]
    assert.equal([refused?.operation, refused?.outcome, refused?.rule], ['alert.closed', 'refused', 'conflict'])
  })
})

test('a step on an older or newer revision than the current one is a conflict', async () => {
  await withList(async (world, camera) => {
    const alert = await at(world, camera, 'image_compared')
    for (const revision of [0, 2, 99]) {
      assert.is(await codeOf(() => take(world, { ...alert, revision }, STEPS.source_confirmed)), 'conflict')
    }
    await take(world, alert, STEPS.source_confirmed)
  })
})

test('of two people who take the same step at once one succeeds and the other is told', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera)
    const codes = await Promise.all([0, 1, 2].map(() => codeOf(() => take(world, alert, STEPS.image_compared))))
    assert.equal(codes.sort(), ['conflict', 'conflict', 'none'])
    const { alert: now, steps } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
    assert.is(now.revision, 1)
    assert.is(steps.length, 1)
  })
})

test('the picture must be read as the listed plate, whatever the machine read; spaces and case do not matter', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera)
    for (const plateSeen of ['ABC1231', 'XYZ', '?!']) {
      assert.is(await codeOf(() => take(world, alert, { ...STEPS.image_compared, plateSeen })), 'conflict', plateSeen)
    }
    const entries = await world.audited('alert.image_compared')
    assert.is(entries.length, 3)
    assert.not.ok(JSON.stringify(entries).includes('ABC1231'))
    assert.is((await take(world, alert, { ...STEPS.image_compared, plateSeen: 'abc-12 30' })).state, 'image_compared')
  })
})

test('an alert of another group does not exist, for reading and for steps', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera)
    const { alerts } = world.cloud.parts
    for (const groups of [['night'], []]) {
      assert.is(await codeOf(() => alerts.get(alert.alertId, groups)), 'not_found')
      const step = { ...STEPS.image_compared, revision: 0 }
      assert.is(await codeOf(() => alerts.step(alert.alertId, step, { ...BY, groups })), 'not_found')
      assert.equal(await alerts.list({ groups, state: null, beforeMs: null, limit: 10 }), [])
    }
    assert.is(await codeOf(() => alerts.get(newId(), GROUPS)), 'not_found')
  })
})

test('without the audit no step is taken', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera)
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    assert.is.not(await codeOf(() => take(world, alert, STEPS.image_compared)), 'none')
    assert.is((await world.cloud.parts.alerts.get(alert.alertId, GROUPS)).alert.revision, 0)
    world.sql('DROP TRIGGER broken')
    await take(world, alert, STEPS.image_compared)
  })
})

test('a preview raises the alert, its final updates that one, and a late preview changes nothing', async () => {
  await withList(async (world, camera) => {
    const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], GROUPS))
    await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
    const seen = collect(olga)
    const final = makeSighting(world.clock, { confidence: 0.99 })
    const preview: Sighting = { ...final, revision: 0, confidence: 0.7 }
    await publishSighting(camera, preview)
    await until('the preview is told', () => seen.length === 1)
    await publishSighting(camera, final)
    await until('the final is told', () => seen.length === 2)
    await publishSighting(camera, preview)
    const told = seen.map(({ payload }) => alertSchema.parse(JSON.parse(payload.toString())))
    assert.equal(
      told.map((alert) => [alert.revision, alert.sighting.revision, alert.sighting.confidence]),
      [
        [0, 0, 0.7],
        [1, 1, 0.99],
      ],
    )
    assert.is(told[0]?.alertId, told[1]?.alertId)
    assert.is(await world.counted('candor_alerts_raised_total{kind="exact"}'), 1)

    const other = makeSighting(world.clock)
    await publishSighting(camera, other)
    await publishSighting(camera, { ...other, revision: 0, confidence: 0.2 })
    const alert = await alertOf(world, other.sightingId)
    assert.equal([alert?.revision, alert?.sighting.confidence], [0, other.confidence], 'a late preview')
  })
})

test('a final that no longer matches leaves the alert open and says so; one that cannot be read keeps the text', async () => {
  await withList(async (world, camera) => {
    const preview = await raise(world, camera, { revision: 0 })
    const { sightingId } = preview.sighting
    await publishSighting(camera, makeSighting(world.clock, { sightingId, plate: 'WWW9999' }))
    const after = await alertOf(world, sightingId)
    assert.equal([after?.state, after?.match.stillMatches, after?.sighting.plate], ['raised', false, 'WWW9999'])
    const second = await raise(world, camera, { revision: 0 })
    await publishSighting(camera, makeSighting(world.clock, { sightingId: second.sighting.sightingId, plate: null }))
    const unread = await alertOf(world, second.sighting.sightingId)
    assert.equal([unread?.match.stillMatches, unread?.sighting.plate], [false, PLATE])
    assert.ok(alertSchema.safeParse(unread).success)
  })
})

test('a final that meets another entry raises an alert of its own, and what a person verified stays about its plate', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', [PLATE])
    await world.importList('wanted', ['XYZ9999'], ['detectives'])
    await eachAlone(world)
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const open = (group: string) =>
      world.cloud.parts.alerts.list({ groups: [group], state: 'open', beforeMs: null, limit: 10 })
    for (const state of ['raised', 'image_compared', 'source_confirmed', 'actionable', 'closed'] as const) {
      let alert = await at(world, camera, state === 'closed' ? 'raised' : state)
      if (state === 'closed') alert = await close(world, alert, 'misread')
      const { sightingId } = alert.sighting
      const final = makeSighting(world.clock, { sightingId, plate: 'XYZ9999' })
      assert.is(await publishSighting(camera, final), 'acknowledged')
      const { alert: verified } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
      assert.equal(
        [
          verified.state,
          verified.match.listedPlate,
          verified.match.stillMatches,
          verified.sighting.plate,
          verified.groups,
        ],
        [state, PLATE, false, 'XYZ9999', GROUPS],
      )
      const [other] = await open('detectives')
      assert.equal(
        [other?.state, other?.match.listedPlate, other?.sighting.sightingId, other?.groups],
        ['raised', 'XYZ9999', sightingId, ['detectives']],
        'nobody has looked at this one yet',
      )
      await publishSighting(camera, final)
      assert.is((await world.cloud.parts.alerts.ofSighting(A, sightingId)).length, 2, 'a repeat raises no third')
    }
    assert.is((await open('detectives')).length, 5)
  })
})

test('preview and final in one turn make one alert', async () => {
  await withList(async (world, camera) => {
    const final = makeSighting(world.clock)
    await Promise.all([publishSighting(camera, { ...final, revision: 0 }), publishSighting(camera, final)])
    const listed = await world.cloud.parts.alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 10 })
    assert.equal(
      listed.map((alert) => [alert.sighting.sightingId, alert.sighting.revision]),
      [[final.sightingId, 1]],
    )
  })
})

test('a final that comes while a person works is not overwritten: the person is told to look again', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera, { revision: 0 })
    const compared = await take(world, alert, STEPS.image_compared)
    await publishSighting(camera, makeSighting(world.clock, { sightingId: alert.sighting.sightingId }))
    assert.is(await codeOf(() => take(world, compared, STEPS.source_confirmed)), 'conflict')
    const { alert: now } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
    assert.equal([now.revision, now.state, now.sighting.revision], [2, 'image_compared', 1])
    await take(world, now, STEPS.source_confirmed)
  })
})

test('a final that is stored between looking at the alert and taking the step wins, and the step is not recorded', async () => {
  await withList(async (world, camera) => {
    const alert = await raise(world, camera, { revision: 0 })
    const { database, audit, policy, suppressions, alertRules } = world.cloud.parts
    const slow = createAlerts({
      database,
      suppressions,
      rules: alertRules,
      agency: AGENCY,
      clock: world.clock,
      log: silentLog,
      newId,
      retention: policy.retention,
      audit: {
        async append(record) {
          await publishSighting(camera, makeSighting(world.clock, { sightingId: alert.sighting.sightingId }))
          return audit.append(record)
        },
        plateDigest: audit.plateDigest,
      },
      stored: async () => null,
      currentMatch: () => null,
      webhooks: { queue: () => ({ statements: [], committed: () => {} }) },
      publish: async () => {},
    })
    const step = { ...STEPS.image_compared, revision: 0 }
    assert.is(await codeOf(() => slow.step(alert.alertId, step, BY)), 'conflict')
    const { alert: now, steps } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
    assert.equal([now.revision, now.state, now.sighting.revision, steps.length], [1, 'raised', 1, 0])
    const [refused, allowed] = await audit.list({ before: null, limit: 2 })
    assert.equal([allowed?.outcome, refused?.outcome, refused?.rule], ['allowed', 'refused', 'conflict'])
    assert.is(refused?.completes, allowed?.seq, 'the audit does not claim a step that was not taken')
  })
})

test('when camera and cloud disagree on the match, the cloud decides and it is recorded and counted', async () => {
  await withList(async (world, camera) => {
    const entryId = world.cloud.parts.hotlists.match(readOf(PLATE), world.clock.nowMs())?.entryId ?? ''
    const match = (id: string) => ({ list: 'stolen', listVersion: 1, entryId: id, kind: 'exact' as const })
    const agreed = await raise(world, camera, { match: match(entryId) })
    assert.is(agreed.match.cameraAgreed, true)
    assert.is(await world.counted('candor_match_disagreements_total'), 0)
    assert.is((await raise(world, camera)).match.cameraAgreed, false)
    assert.is((await raise(world, camera, { match: match(newId()) })).match.cameraAgreed, false)
    const only = makeSighting(world.clock, { plate: 'WWW9999', match: match(entryId) })
    await publishSighting(camera, only)
    assert.is(await alertOf(world, only.sightingId), null, 'a camera raises no alert')
    assert.is(await world.counted('candor_match_disagreements_total'), 3)
    const { database } = world.cloud.parts
    const rows = await database.read(
      database.build.selectFrom('sightings').select('match_disagreed').orderBy('sighting_id'),
    )
    assert.equal(
      rows.map((row) => row.match_disagreed),
      [0, 1, 1, 1],
    )
  })
})

test('an alert names the time to go by: captured, or received when the camera’s clock cannot be trusted', async () => {
  await withList(async (world, camera) => {
    const nowMs = world.clock.nowMs()
    const times = async (change: Partial<Sighting>) => {
      const { seenAtMs, capturedAtMs, receivedAtMs, clock } = (await raise(world, camera, change)).sighting
      return { clock, by: seenAtMs === capturedAtMs ? 'captured' : seenAtMs === receivedAtMs ? 'received' : 'neither' }
    }
    assert.equal(await times({ capturedAtMs: nowMs - DAY_MS }), { clock: 'synced', by: 'captured' })
    const received = { clock: 'unsynced', by: 'received' }
    assert.equal(await times({ capturedAtMs: nowMs - DAY_MS, clock: 'unsynced' }), received)
    assert.equal(await times({ capturedAtMs: nowMs + DAY_MS }), received)
  })
})

test('alerts are listed newest first over all groups, each once, by state and before a time, at most a page', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', [PLATE], ['patrol', 'night'])
    await world.importList('amber', ['WWW9999'], ['night'])
    await eachAlone(world)
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const raised: Alert[] = []
    for (const plate of [PLATE, 'WWW9999', PLATE, 'WWW9999', PLATE]) {
      world.clock.advance(1_000)
      raised.unshift(await raise(world, camera, { plate }))
    }
    const listed = async (
      groups: string[],
      state: AlertState | 'open' | null,
      beforeMs: number | null = null,
      limit = 10,
    ) =>
      (await world.cloud.parts.alerts.list({ groups, state, beforeMs, limit })).map(({ alertId }) =>
        raised.findIndex((alert) => alert.alertId === alertId),
      )
    const both = ['patrol', 'night', 'nobody']
    assert.equal(await listed(both, null), [0, 1, 2, 3, 4])
    assert.equal(await listed(['patrol'], null), [0, 2, 4])
    assert.equal(await listed(['nobody'], null), [])
    const [newest, , middle] = raised as [Alert, Alert, Alert]
    await close(world, newest, 'stale')
    await take(world, middle, STEPS.image_compared)
    assert.equal(await listed(both, 'open'), [1, 2, 3, 4])
    assert.equal(await listed(both, 'closed'), [0])
    assert.equal(await listed(both, 'image_compared'), [2])
    assert.equal(await listed(both, 'raised'), [1, 3, 4])
    assert.equal(await listed(both, null, middle.raisedAtMs), [3, 4])
    assert.equal(await listed(both, null, middle.raisedAtMs + 1), [2, 3, 4])
    assert.equal(await listed(both, null, null, 2), [0, 1])
    const many = Array.from({ length: MAX_GROUPS_PER_ACCOUNT - 1 }, (_, i) => `group-${i}`)
    assert.equal(await listed([...many, 'night'], null), [0, 1, 2, 3, 4], 'as many groups as an account may have')

    // Copies of one, straight into the tables: hundreds over MQTT would only take longer.
    const copies = (count: number, state: string, groupNames: string) => `
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      INSERT INTO alerts (alert_id, camera_id, sighting_id, entry_id, revision, published_revision, state, raised_at_ms,
        retained_from_ms, document) SELECT '${state}' || i, camera_id, '${state}' || i, entry_id, 0, 0, '${state}',
        raised_at_ms - i, retained_from_ms, document FROM n, alerts WHERE alert_id = '${newest.alertId}';
      INSERT INTO alert_groups (alert_id, group_name, state, raised_at_ms) SELECT alert_id, value, state, raised_at_ms FROM alerts, json_each('${groupNames}')
        WHERE alert_id GLOB '${state}*';`
    world.sql(copies(MAX_ALERT_PAGE, 'actionable', '["crowd", "night"]'))
    const page = (limit: number) => listed(['crowd', 'night'], 'actionable', null, limit)
    assert.is((await page(MAX_ALERT_PAGE - 1)).length, MAX_ALERT_PAGE - 1)
    assert.is((await page(MAX_ALERT_PAGE)).length, MAX_ALERT_PAGE)
    world.sql(copies(1, 'closed', '["crowd"]'))
    assert.is((await listed(['crowd'], null, null, MAX_ALERT_PAGE + 1)).length, MAX_ALERT_PAGE)
  })
})

test('an alert that is past its retention is in no list, though its neighbours are and whenever it was raised', async () => {
  await withList(async (world, camera) => {
    const { matchedMs } = world.cloud.parts.policy.retention()
    const late = await raise(world, camera, { capturedAtMs: world.clock.nowMs() - matchedMs + HOUR_MS })
    const fresh = await raise(world, camera)
    const listed = async () =>
      (await world.cloud.parts.alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 1 })).map(
        ({ alertId }) => alertId,
      )
    assert.equal(await listed(), [fresh.alertId])
    world.sql(`UPDATE alerts SET retained_from_ms = ${late.raisedAtMs - matchedMs} WHERE alert_id = '${fresh.alertId}'`)
    assert.equal(await listed(), [late.alertId], 'a page is as full as there are alerts to show')
  })
})

test('only the current version of a list raises alerts', async () => {
  await withList(async (world, camera) => {
    await world.importList('stolen', ['WWW9999'])
    const gone = makeSighting(world.clock)
    await publishSighting(camera, gone)
    assert.is(await alertOf(world, gone.sightingId), null)
    const alert = await raise(world, camera, { plate: 'WWW9999' })
    assert.is(alert.match.listVersion, 2)
    await world.cloud.parts.hotlists.rollback('stolen', null, 'test')
    assert.is((await raise(world, camera)).match.listVersion, 3)
  })
})

test('a slip is taken back one step, with its reason in the audit; a closed alert begins again, a new one has nothing to take back', async () => {
  await withList(async (world, camera) => {
    const back = (alert: Alert, reason = 'typed for another picture') =>
      take(world, alert, { step: 'taken_back', reason })
    let alert = await at(world, camera, 'actionable')
    for (const state of ['source_confirmed', 'image_compared', 'raised'] as const) {
      alert = await back(alert)
      assert.is(alert.state, state)
    }
    assert.is(await codeOf(() => back(alert)), 'conflict')
    const entry = (await world.audited('alert.taken_back')).find(({ outcome }) => outcome === 'allowed')
    assert.equal([entry?.detail.reason, entry?.detail.from], ['typed for another picture', 'image_compared'])
    assert.is(
      await codeOf(() => take(world, alert, STEPS.actionable)),
      'conflict',
      'what was taken back is to be done again',
    )
    alert = await close(world, alert, 'misread')
    alert = await back(alert, 'the other one was misread')
    assert.equal([alert.state, alert.outcome], ['raised', null])
    const { steps } = await world.cloud.parts.alerts.get(alert.alertId, GROUPS)
    assert.is(steps.filter(({ step }) => step === 'taken_back').length, 4)
  })
})

test('a cleared entry raises no alert until its time is over or it is lifted, over a restart too; another entry of the plate does', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', [PLATE])
    await eachAlone(world)
    const certified = await world.addCamera(A)
    const camera = await world.connectCamera(A, certified)
    const { suppressions } = world.cloud.parts
    const clear = async (suppressForMs: number | null, outcome = 'cleared') => {
      const alert = await raise(world, camera)
      return take(world, alert, { step: 'closed', outcome, note: '', correctPlate: null, suppressForMs })
    }
    assert.is(await codeOf(() => clear(MIN_SUPPRESSION_MS, 'misread')), 'conflict')
    await clear(null)
    const slip = await clear(2 * HOUR_MS)
    assert.is(suppressions.list().length, 1)
    await take(world, slip, { step: 'taken_back', reason: 'the entry stands' })
    assert.equal(suppressions.list(), [], 'a closing that is taken back takes it with it')
    const { match } = await clear(2 * HOUR_MS)
    assert.equal(
      suppressions.list().map(({ entryId, madeBy }) => [entryId, madeBy]),
      [[match.entryId, 'olga']],
    )
    const pass = async (on = camera) => {
      const sighting = makeSighting(world.clock)
      assert.is(await publishSighting(on, sighting), 'acknowledged')
      return await alertOf(world, sighting.sightingId)
    }
    assert.is(await pass(), null)
    const { database } = world.cloud.parts
    const last = database.build.selectFrom('sightings').select('matched').orderBy('received_at_ms', 'desc').limit(1)
    assert.equal(await database.read(last), [{ matched: 1 }], 'it is kept as a match is')
    await world.importList('wanted', [PLATE])
    assert.equal([(await pass())?.match.list, (await pass())?.groups], ['wanted', ['patrol']])
    await world.cloud.parts.hotlists.import({
      ...{ list: 'wanted', bytes: Buffer.from('plate\n'), settings: {}, dryRun: false, skipBad: false },
      ...{ allowEmpty: true, by: 'test' },
    })
    world.clock.advance(2 * HOUR_MS - 60_000)
    assert.is(await pass(), null)
    world.clock.advance(60_000)
    assert.ok(await pass(), 'its time is over')
    await clear(MAX_SUPPRESSION_MS)
    await world.restart()
    const again = await world.connectCamera(A, certified)
    assert.is(await pass(again), null, 'it outlives a restart')
    const { parts } = world.cloud
    await parts.suppressions.lift('stolen', match.entryId)
    assert.is(await codeOf(() => parts.suppressions.lift('stolen', match.entryId)), 'not_found')
    assert.ok(await pass(again))
  })
})

test('a cleared entry is kept from raising alerts for an hour to thirty days, and no longer', () => {
  const closed = (suppressForMs: number) =>
    alertStepSchema.safeParse({ step: 'closed', revision: 0, outcome: 'cleared', suppressForMs }).success
  assert.equal([MIN_SUPPRESSION_MS - 1, MIN_SUPPRESSION_MS, MAX_SUPPRESSION_MS, MAX_SUPPRESSION_MS + 1].map(closed), [
    false,
    true,
    true,
    false,
  ])
})

test.run()

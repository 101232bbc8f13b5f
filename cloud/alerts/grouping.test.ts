import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { topics } from '../../shared/topics.ts'
import { type Alert, type AlertStep, alertSchema, MAX_TRAIL, type Sighting } from '../../shared/wire/index.ts'
import {
  AGENCY,
  codeOf,
  collect,
  filesWith,
  inCloud,
  makeSighting,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from '../testing.ts'
import { MAX_OPEN_OF_PATTERN } from './grouping.ts'
import { PUBLISH_STEP } from './publishing.ts'

const PLATE = 'ABC1230'
const NEAR = 'ABC123O'
const GROUPS = ['patrol']
const CAMERAS = ['north', 'south', 'east'] as const
const BY = {
  actor: { account: 'olga', roles: ['officer' as const], session: null, source: null },
  account: 'olga',
  groups: GROUPS,
}
const COMPARE = { step: 'image_compared', plateSeen: PLATE, jurisdictionSeen: null } as const

interface Street {
  world: TestCloud
  /** A vehicle passes a camera, `agoMs` before now. Returns the sighting. */
  pass(camera: string, change?: Partial<Sighting> & { agoMs?: number }): Promise<Sighting>
  /** Newest first. */
  all(): Promise<Alert[]>
  step(alert: Alert, step: object): Promise<Alert>
  close(alert: Alert, outcome?: string): Promise<Alert>
}

/** Three cameras, and one list whose entry is met by near reads too. */
const onStreet = (work: (street: Street) => Promise<void>) =>
  inCloud(async (world) => {
    const { parts } = world.cloud
    await parts.hotlists.import({
      ...{
        list: 'stolen',
        bytes: Buffer.from(`plate,category,priority,match\n${PLATE},stolen,1,near\n`),
        settings: {},
      },
      ...{ dryRun: false, skipBad: false, allowEmpty: false, by: 'test' },
    })
    const links = new Map<string, MqttClient>()
    for (const camera of CAMERAS) links.set(camera, await world.connectCamera(camera, await world.addCamera(camera)))
    const street: Street = {
      world,
      async pass(cameraId, { agoMs = 0, ...change } = {}) {
        const capturedAtMs = world.clock.nowMs() - agoMs
        const sighting = makeSighting(world.clock, { cameraId, capturedAtMs, plate: PLATE, ...change })
        assert.is(await publishSighting(links.get(cameraId) as MqttClient, sighting), 'acknowledged')
        return sighting
      },
      all: () => parts.alerts.list({ groups: GROUPS, state: null, beforeMs: null, limit: 100 }),
      step: (alert, step) => parts.alerts.step(alert.alertId, { revision: alert.revision, ...step } as AlertStep, BY),
      close: (alert, outcome = 'stale') => street.step(alert, { step: 'closed', outcome, note: '' }),
    }
    await work(street)
  })

const one = (alerts: Alert[]): Alert => {
  assert.is(alerts.length, 1)
  return alerts[0] as Alert
}

test('a vehicle that passes three cameras is one alert with a trail, and what is compared stays the first sighting', async () => {
  await onStreet(async ({ world, pass, all, step }) => {
    const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], GROUPS))
    await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
    const first = await pass('north')
    const raised = one(await all())
    await step(raised, COMPARE)
    world.clock.advance(MINUTE_MS)
    const second = await pass('south')
    world.clock.advance(MINUTE_MS)
    const third = await pass('east', { confidence: 0.7 })
    const alert = one(await all())
    assert.equal([alert.state, alert.sighting, alert.match], ['image_compared', raised.sighting, raised.match])
    assert.equal([alert.revision, alert.sightings, alert.raisedAtMs], [3, 3, raised.raisedAtMs])
    assert.equal(
      alert.trail.map(({ cameraId, sightingId, seenAtMs, plate, kind, confidence, stillMatches }) => [
        ...[cameraId, sightingId, seenAtMs, plate, kind, confidence, stillMatches],
      ]),
      [
        ['south', second.sightingId, second.capturedAtMs, PLATE, 'exact', second.confidence, true],
        ['east', third.sightingId, third.capturedAtMs, PLATE, 'exact', 0.7, true],
      ],
    )
    const seen = collect(olga)
    await until('every revision is told', () => seen.length === 4)
    const told = seen.map(({ payload }) => alertSchema.parse(JSON.parse(payload.toString())))
    assert.equal(
      told.map(({ revision, state, trail }) => [revision, state, trail.length]),
      [
        [0, 'raised', 0],
        [1, 'image_compared', 0],
        [2, 'image_compared', 1],
        [3, 'image_compared', 2],
      ],
    )
    assert.ok(told.every(({ sighting }) => sighting.sightingId === first.sightingId))
    assert.is(await world.counted('candor_alerts_raised_total{kind="exact"}'), 1)
    assert.is(await world.counted('candor_alert_sightings_total{as="trail"}'), 2)
  })
})

test('the same camera within a minute is only counted, and told with the next change', async () => {
  await onStreet(async ({ world, pass, all }) => {
    const startMs = world.clock.nowMs()
    const at = (cameraId: string, afterMs: number) => pass(cameraId, { capturedAtMs: startMs + afterMs })
    await at('north', 0)
    await at('north', MINUTE_MS - 1)
    let alert = one(await all())
    assert.equal([alert.revision, alert.sightings, alert.trail], [0, 2, []])
    await at('north', MINUTE_MS)
    alert = one(await all())
    assert.equal([alert.revision, alert.sightings, alert.trail.length], [1, 3, 1])
    await at('south', MINUTE_MS + 1)
    await at('south', 2 * MINUTE_MS)
    alert = one(await all())
    assert.equal([alert.revision, alert.sightings, alert.trail.length], [2, 5, 2])
    assert.is(await world.counted('candor_alert_sightings_total{as="duplicate"}'), 2)
  })
})

test('a sighting joins up to the end of the window behind the last one, and raises a new alert past it', async () => {
  await onStreet(async ({ world, pass, all }) => {
    await world.cloud.parts.alertRules.set({ list: 'stolen', group: null, groupWindowSeconds: 600 }, 'test')
    const startMs = world.clock.nowMs() - 60 * MINUTE_MS
    const at = (cameraId: string, afterMs: number) => pass(cameraId, { capturedAtMs: startMs + afterMs })
    await at('north', 0)
    await at('south', 10 * MINUTE_MS)
    await at('east', 20 * MINUTE_MS)
    assert.is(one(await all()).trail.length, 2)
    await at('north', 30 * MINUTE_MS + 1)
    const [newer, older] = await all()
    assert.equal([newer?.trail.length, newer?.sightings, older?.sightings], [0, 1, 3])
    await at('south', 31 * MINUTE_MS)
    assert.is((await all()).find(({ alertId }) => alertId === newer?.alertId)?.trail.length, 1, 'the newer one goes on')
  })
})

test('a sighting that a camera delivers hours late stands where it was seen, and moves no time of the alert', async () => {
  await onStreet(async ({ world, pass, all }) => {
    await pass('north', { agoMs: 30 * MINUTE_MS })
    await pass('south', { agoMs: 10 * MINUTE_MS })
    const before = one(await all())
    world.clock.advance(5 * 60 * MINUTE_MS)
    const late = await pass('east', { agoMs: 5 * 60 * MINUTE_MS + 20 * MINUTE_MS })
    const alert = one(await all())
    assert.equal(
      alert.trail.map(({ cameraId }) => cameraId),
      ['east', 'south'],
    )
    assert.equal([alert.raisedAtMs, alert.sighting], [before.raisedAtMs, before.sighting])
    assert.is(alert.trail[0]?.seenAtMs, late.capturedAtMs)
    await pass('east', { agoMs: 5 * 60 * MINUTE_MS + 91 * MINUTE_MS })
    assert.is((await all()).length, 2, 'one of more than an hour before is another passage')
  })
})

test('a closed alert is not added to: the next sighting raises a new one, unless its entry was cleared for a time', async () => {
  await onStreet(async ({ pass, all, step, close }) => {
    await pass('north')
    const closed = await close(one(await all()))
    await pass('south')
    const [newer, older] = await all()
    assert.equal([newer?.state, newer?.trail.length, older], ['raised', 0, closed])
    await step(newer as Alert, { step: 'closed', outcome: 'cleared', note: '', suppressForMs: 3_600_000 })
    const sighting = await pass('east')
    assert.equal(
      (await all()).map(({ state, sightings }) => [state, sightings]),
      [
        ['closed', 1],
        ['closed', 1],
      ],
      sighting.sightingId,
    )
  })
})

test('a misread takes nothing with it that nobody has compared: the newest sighting of its trail raises an alert of its own', async () => {
  await onStreet(async ({ pass, all, step }) => {
    await pass('north')
    await pass('south', { agoMs: 60_000 })
    const newest = await pass('east')
    const alert = one(await all())
    assert.is(alert.trail.length, 2)
    await step(alert, { step: 'closed', outcome: 'misread', note: '', correctPlate: null })
    const open = (await all()).filter(({ state }) => state === 'raised')
    assert.equal(
      open.map(({ sighting, trail, acknowledgedBy }) => [sighting.sightingId, trail.length, acknowledgedBy]),
      [[newest.sightingId, 0, null]],
    )
    await step(one(open), { step: 'closed', outcome: 'cleared', note: '' })
    assert.is((await all()).length, 2, 'one that was cleared was the listed vehicle')
  })
})

test('the same misread again raises no alert of its own when its alert is closed', async () => {
  await onStreet(async ({ pass, all, step }) => {
    await pass('north', { plate: NEAR })
    await pass('south', { plate: NEAR })
    assert.is(one(await all()).trail.length, 1)
    await step(one(await all()), { step: 'closed', outcome: 'misread', note: '', correctPlate: null })
    assert.is((await all()).length, 1)
  })
})

test('an exact read is told by an alert of exact reads, whatever finals make of those before it', async () => {
  await onStreet(async ({ pass, all }) => {
    await pass('north', { plate: NEAR })
    const preview = await pass('south', { plate: NEAR, revision: 0 })
    await pass('south', { sightingId: preview.sightingId, revision: 1 })
    assert.equal((await all()).map(({ match, sighting }) => `${match.kind} ${sighting.cameraId}`).sort(), [
      'exact south',
      'near north',
    ])
  })
  await onStreet(async ({ pass, all }) => {
    const preview = await pass('north', { revision: 0 })
    const joined = await pass('south')
    assert.is(one(await all()).trail.length, 1)
    await pass('north', { sightingId: preview.sightingId, revision: 1, plate: NEAR })
    const exact = (await all()).filter(({ match }) => match.kind === 'exact')
    assert.is(one(exact).sighting.sightingId, joined.sightingId)
  })
})

test('the final of an alert and a sighting that joins it lose nothing when they come at one moment', async () => {
  for (const finalFirst of [true, false]) {
    await onStreet(async ({ pass, all }) => {
      const { sightingId } = await pass('north', { revision: 0 })
      const final = () => pass('north', { sightingId, revision: 1, plate: 'WWW9999' })
      const joining = () => pass('south')
      await Promise.all(finalFirst ? [final(), joining()] : [joining(), final()])
      const alerts = await all()
      const first = alerts.find(({ sighting }) => sighting.sightingId === sightingId)
      assert.equal([first?.match.stillMatches, first?.sighting.revision], [false, 1], `final first: ${finalFirst}`)
      const told = alerts.filter(({ match, sighting }) => match.stillMatches && sighting.cameraId === 'south')
      assert.is(told.length, 1, 'the exact read has an alert of its own')
    })
  }
})

test('an alert closed as misread, taken back and closed again raises what joined it once', async () => {
  await onStreet(async ({ pass, all, step }) => {
    await pass('north')
    await pass('south')
    await pass('east', { plate: NEAR })
    const misread = { step: 'closed', outcome: 'misread', note: '', correctPlate: null } as const
    const first = one(await all())
    await step(first, misread)
    const open = async () => (await all()).filter(({ state }) => state === 'raised')
    assert.is(one(await open()).sighting.cameraId, 'south', 'an exact read before a newer near one')
    const closed = (await all()).find(({ alertId }) => alertId === first.alertId) as Alert
    await step(closed, { step: 'taken_back', reason: 'a slip' })
    const again = (await all()).find(({ alertId }) => alertId === first.alertId) as Alert
    await step(again, misread)
    assert.equal((await open()).map(({ match, sighting }) => `${match.kind} ${sighting.cameraId}`).sort(), [
      'exact south',
      'near east',
    ])
  })
})

test('a near read joins as near; an exact one never joins an alert that a near one raised', async () => {
  await onStreet(async ({ pass, all }) => {
    await pass('north', { plate: NEAR })
    assert.is(one(await all()).match.kind, 'near')
    await pass('south', { plate: NEAR })
    await pass('east')
    assert.equal((await all()).map(({ match, trail }) => [match.kind, trail.length]).sort(), [
      ['exact', 0],
      ['near', 1],
    ])
    // From here on there is a better one to join.
    await pass('south', { plate: NEAR, agoMs: -2 * MINUTE_MS })
    const exact = (await all()).find(({ match }) => match.kind === 'exact')
    assert.equal(
      exact?.trail.map(({ plate, kind }) => [plate, kind]),
      [[NEAR, 'near']],
    )
    assert.equal([exact?.match.kind, exact?.sighting.plate], ['exact', PLATE])
  })
})

test('the final of a sighting in the trail changes its element in place, says when it no longer matches, and raises nothing', async () => {
  await onStreet(async ({ world, pass, all }) => {
    await pass('north')
    const preview = await pass('south', { revision: 0, confidence: 0.6 })
    assert.is(await world.cloud.parts.alerts.ofSighting('south', preview.sightingId).then((found) => found.length), 0)
    await pass('south', { ...preview, revision: 1, confidence: 0.9, plate: NEAR })
    let alert = one(await all())
    assert.equal(
      alert.trail.map(({ plate, kind, confidence, stillMatches }) => [plate, kind, confidence, stillMatches]),
      [[NEAR, 'near', 0.9, true]],
    )
    assert.equal([alert.sightings, alert.revision, alert.basisRevision], [2, 2, 0])
    await pass('south', preview)
    await pass('south', { ...preview, revision: 1, confidence: 0.9, plate: NEAR })
    assert.equal(one(await all()), alert, 'a repeat changes nothing')

    const gone = await pass('east', { revision: 0 })
    await pass('east', { ...gone, revision: 1, plate: 'WWW9999' })
    alert = one(await all())
    assert.equal(
      alert.trail.map(({ cameraId, plate, stillMatches }) => [cameraId, plate, stillMatches]),
      [
        ['south', NEAR, true],
        ['east', 'WWW9999', false],
      ],
    )
    assert.is(alert.match.stillMatches, true)
    const unread = await pass('north', { revision: 0, agoMs: -5 * MINUTE_MS })
    await pass('north', { ...unread, revision: 1, plate: null })
    assert.equal(one(await all()).trail.at(-1)?.stillMatches, false)
    assert.equal(one(await all()).trail.at(-1)?.plate, PLATE)
  })
})

test('an alert whose own final no longer matches takes in nothing more', async () => {
  await onStreet(async ({ pass, all }) => {
    const preview = await pass('north', { revision: 0 })
    await pass('north', { ...preview, revision: 1, plate: 'WWW9999' })
    await pass('south')
    assert.equal((await all()).map(({ match, trail }) => [match.stillMatches, trail.length]).sort(), [
      [false, 0],
      [true, 0],
    ])
  })
})

test('three cameras in one turn, previews and finals together, make one alert, also when they are sent again', async () => {
  await onStreet(async ({ world, pass, all }) => {
    const sightings = CAMERAS.map((cameraId) => makeSighting(world.clock, { cameraId, plate: PLATE }))
    const send = () =>
      Promise.all(sightings.flatMap((one) => [pass(one.cameraId, { ...one, revision: 0 }), pass(one.cameraId, one)]))
    await send()
    const alert = one(await all())
    assert.equal([alert.sightings, alert.trail.length, alert.sighting.revision], [3, 2, 1])
    await send()
    assert.equal(one(await all()), alert)
    const { database } = world.cloud.parts
    const stored = await database.read(database.build.selectFrom('sightings').select('matched'))
    assert.equal(
      stored.map(({ matched }) => matched),
      [1, 1, 1, 1, 1, 1],
    )
  })
})

test('when a trail cannot be written, that sighting alone is not acknowledged, and joins when it is sent again', async () => {
  await onStreet(async ({ world, pass, all }) => {
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON alert_sightings BEGIN SELECT RAISE(ABORT, 'broken'); END")
    const certified = await world.addCamera('west')
    const west = await world.connectCamera('west', certified)
    const joining = makeSighting(world.clock, { cameraId: 'west', plate: PLATE })
    await pass('north')
    const [, refused] = await Promise.all([pass('south', { plate: 'WWW9999' }), publishSighting(west, joining)])
    assert.is(refused, 'closed')
    assert.equal([one(await all()).sightings, one(await all()).sighting.cameraId], [1, 'north'])
    world.sql('DROP TRIGGER broken')
    const again = await world.connectCamera('west', certified)
    assert.is(await publishSighting(again, joining), 'acknowledged')
    await pass('south')
    const { trail, sightings } = one(await all())
    assert.equal([trail.map(({ cameraId }) => cameraId).sort(), sightings], [['south', 'west'], 3])
  })
})

test(`a trail holds the newest ${MAX_TRAIL} sightings; the others are counted`, async () => {
  await onStreet(async ({ world, pass, all }) => {
    const { alertRules } = world.cloud.parts
    await alertRules.set({ list: 'stolen', group: null, duplicateSeconds: 0 }, 'test')
    const startMs = world.clock.nowMs()
    const at = (seconds: number) => pass('north', { capturedAtMs: startMs + seconds * SECOND_MS })
    await at(0)
    for (let i = 1; i <= MAX_TRAIL; i += 1) await at(i)
    let alert = one(await all())
    assert.equal([alert.trail.length, alert.sightings], [MAX_TRAIL, MAX_TRAIL + 1])
    assert.is(alert.trail[0]?.seenAtMs, startMs + SECOND_MS)
    await at(MAX_TRAIL + 1)
    alert = one(await all())
    assert.equal([alert.trail.length, alert.sightings], [MAX_TRAIL, MAX_TRAIL + 2])
    assert.is(alert.trail[0]?.seenAtMs, startMs + 2 * SECOND_MS)
    const { revision } = alert
    await at(1.5)
    alert = one(await all())
    assert.equal([alert.trail[0]?.seenAtMs, alert.sightings], [startMs + 2 * SECOND_MS, MAX_TRAIL + 3])
    assert.is(alert.revision, revision, 'what nobody is shown is not told')
    assert.ok(alertSchema.safeParse(alert).success)
  })
})

test('what a person has seen of an alert holds while only its trail grows, and not when its own sighting changes', async () => {
  await onStreet(async ({ pass, all, step }) => {
    const preview = await pass('north', { revision: 0 })
    const seen = one(await all())
    await pass('south')
    const compared = await step(seen, COMPARE)
    assert.equal([compared.revision, compared.trail.length, compared.state], [2, 1, 'image_compared'])
    await pass('north', { ...preview, revision: 1 })
    const confirm = { step: 'source_confirmed', confirmedWith: 'register', result: 'stands' }
    assert.is(await codeOf(() => step(compared, confirm)), 'conflict')
    assert.is(await codeOf(() => step({ ...compared, revision: 99 }, confirm)), 'conflict')
    assert.is((await step(one(await all()), confirm)).state, 'source_confirmed')
  })
})

test('a sighting past its retention is in no trail, before the purge and after it, and not in the queues', async () => {
  await onStreet(async ({ world, pass, all }) => {
    const { database, alerts } = world.cloud.parts
    await world.cloud.parts.alertRules.set({ list: 'stolen', group: null, groupWindowSeconds: 86_400 }, 'test')
    const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], GROUPS), { clean: false })
    await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
    await olga.endAsync()
    await pass('north')
    // Delivered late: seen 20 hours before the alert's own sighting.
    const late = await pass('south', { agoMs: 20 * 3_600_000, plate: NEAR })
    assert.is(one(await all()).trail.length, 1)
    const count = async (table: 'alert_sightings' | 'broker_outgoing') =>
      (await database.read(database.build.selectFrom(table).select((eb) => eb.fn.countAll<number>().as('count'))))[0]
        ?.count
    await until('both revisions are queued', async () => (await count('broker_outgoing')) === 2)
    world.sql("CREATE TRIGGER kept BEFORE DELETE ON alert_sightings BEGIN SELECT RAISE(ABORT, 'no purge'); END")
    world.clock.advance(30 * DAY_MS - 10 * 3_600_000)
    const left = one(await all())
    assert.equal([left.trail, left.sightings], [[], 2])
    assert.equal((await alerts.get(left.alertId, GROUPS)).alert.trail, [])
    assert.is(await count('alert_sightings'), 1, 'the purge has not run')
    world.sql('DROP TRIGGER kept')
    world.clock.advance(MINUTE_MS)
    await until('it is purged', async () => (await count('alert_sightings')) === 0)
    await until('and from the queue', async () => (await count('broker_outgoing')) === 1)
    await until('its bytes are gone', () => filesWith(world.databaseFile, late.sightingId).length === 0)
    assert.is((await all()).length, 1, 'the alert’s own retention runs from its own sighting')
  })
})

test('a read joins the alert of the same plate among the newest open ones of its pattern, and no older one', async () => {
  await onStreet(async ({ world, pass, all }) => {
    await world.cloud.parts.hotlists.import({
      ...{ list: 'stolen', bytes: Buffer.from('plate,category,match\nPAT*,stolen,wildcard\n'), settings: {} },
      ...{ dryRun: false, skipBad: false, allowEmpty: false, by: 'test' },
    })
    const others = Array.from({ length: MAX_OPEN_OF_PATTERN }, (_, i) => `PAT${100 + i}`)
    await pass('north', { plate: 'PAT001', agoMs: 2 * MINUTE_MS })
    for (const plate of others.slice(1)) await pass('north', { plate, agoMs: MINUTE_MS })
    await pass('south', { plate: 'PAT001', agoMs: 2 * MINUTE_MS - 1 })
    assert.is((await all()).length, MAX_OPEN_OF_PATTERN, 'it is the last of those that are looked at')
    await pass('north', { plate: others[0] ?? '', agoMs: MINUTE_MS })
    await pass('east', { plate: 'PAT001', agoMs: 2 * MINUTE_MS - 2 })
    assert.is((await all()).length, MAX_OPEN_OF_PATTERN + 2, 'one further back raises an alert of its own')
  })
})

test('alerts that wait are published, however many there are: a full step, and one more', async () => {
  for (const count of [PUBLISH_STEP, PUBLISH_STEP + 1]) {
    await onStreet(async ({ world, pass }) => {
      await world.cloud.parts.alertRules.set({ list: null, group: null, groupWindowSeconds: 0 }, 'test')
      for (let i = 0; i < count; i++) await pass('north')
      const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], GROUPS))
      const received = collect(olga)
      await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
      world.sql('UPDATE alerts SET published_revision = -1')
      await world.cloud.parts.alerts.publishPending()
      await until('all of them came', () => received.length === count)
    })
  }
})

test.run()

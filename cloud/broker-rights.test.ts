import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../shared/ids.ts'
import { topics } from '../shared/topics.ts'
import {
  AGENCY,
  collect,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const B = 'oak-st-2'

interface Cameras {
  a(): Promise<MqttClient>
  b(): Promise<MqttClient>
}

async function twoCameras(world: TestCloud): Promise<Cameras> {
  const a = await world.addCamera(A)
  const b = await world.addCamera(B)
  return { a: () => world.connectCamera(A, a), b: () => world.connectCamera(B, b) }
}

/** Every topic of the contract, as camera or group `name` has it. */
const everyTopic = (agency: string, name: string) => ({
  sightings: topics.sightings(agency, name),
  crop: topics.crop(agency, name, newId()),
  status: topics.status(agency, name),
  health: topics.health(agency, name),
  listAck: topics.ack(agency, name, 'hotlists/stolen'),
  policyAck: topics.ack(agency, name, 'policy'),
  command: `candor/v1/${agency}/cameras/${name}/commands/reboot/1`,
  manifest: topics.manifest(agency, 'stolen'),
  snapshot: topics.snapshotChunk(agency, 'stolen', 1, 0),
  delta: topics.deltaChunk(agency, 'stolen', 1, 0),
  policy: topics.policy(agency),
  alerts: topics.alerts(agency, 'patrol'),
})

test('a camera publishes its own reports and sightings and nothing else', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const own = everyTopic(AGENCY, A)
    const allowed = new Set([own.sightings, own.crop, own.status, own.health, own.listAck, own.policyAck])
    const tried = [
      ...Object.values(own),
      ...Object.values(everyTopic(AGENCY, B)),
      ...Object.values(everyTopic('shelbyville', A)),
      'candor/v1/springfield',
      'candor/v2/springfield/cameras/elm-st-1/sightings',
      'candor/v1/springfield/cameras/elm-st-1/sightings/more',
      '$SYS/broker/heartbeat',
      'candor/v1/springfield/plates/QXZ4711',
      'a',
    ]
    let denied = 0
    for (const topic of tried) {
      const client = await cameras.a()
      const outcome = await publish(client, topic, '{}')
      assert.is(outcome, allowed.has(topic) ? 'acknowledged' : 'closed', topic)
      if (outcome === 'closed') denied += 1
      await client.endAsync(true)
    }
    assert.is(await world.counted('candor_denied_total{rule="publish"}'), denied)
    await until('it stands in the audit', async () => (await world.audited('broker.denied')).length > 0)
    const entries = await world.audited('broker.denied')
    assert.is(entries[0]?.rule, 'publish')
    assert.is(entries[0]?.subject?.id, A)
    assert.is(entries[0]?.actor.source, '127.0.0.1')
    assert.not.match(JSON.stringify(entries), /QXZ4711|springfield\//, 'the kind of a topic and never its text')
  })
})

test('what one camera tries to publish as another is not stored', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const sighting = makeSighting(world.clock, { cameraId: B })
    assert.is(await publishSighting(await cameras.a(), sighting), 'closed')
    assert.is((await world.cloud.parts.sightings.counts()).sightings, 0)
    assert.is(await publishSighting(await cameras.b(), sighting), 'acknowledged')
    assert.is((await world.cloud.parts.sightings.counts()).sightings, 1)
  })
})

test('nobody publishes anything over MQTT but cameras: not an officer, not an administrator', async () => {
  await inCloud(async (world) => {
    await world.addCamera(A)
    const people: [string, string][] = [
      ['olga', await world.addPerson('olga', ['officer'], ['patrol'])],
      [
        'ada',
        await world.addPerson('ada', ['account-admin', 'camera-technician', 'hotlist-admin', 'policy-admin'], []),
      ],
      ['sue', await world.addPerson('sue', ['supervisor', 'investigator'], ['patrol'])],
    ]
    let denied = 0
    for (const [account, token] of people) {
      for (const topic of Object.values(everyTopic(AGENCY, A))) {
        for (const qos of account === 'olga' ? ([0, 1, 2] as const) : ([1] as const)) {
          const client = await world.connectPerson(account, token)
          assert.is(await publish(client, topic, '{}', { qos }), 'closed', `${account} ${topic} at ${qos}`)
          denied += 1
        }
      }
    }
    assert.is(await world.counted('candor_denied_total{rule="publish"}'), denied)
    await until('it stands in the audit', async () =>
      (await world.audited('broker.denied')).some((entry) => entry.subject?.id === 'olga'),
    )
  })
})

test('sightings and crops at QoS 0 and anything retained but the status are refused', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const own = everyTopic(AGENCY, A)
    const tried: [string, 0 | 1 | 2, boolean, 'acknowledged' | 'closed'][] = [
      [own.sightings, 0, false, 'closed'],
      [own.crop, 0, false, 'closed'],
      [own.health, 0, false, 'acknowledged'],
      [own.sightings, 1, true, 'closed'],
      [own.sightings, 2, true, 'closed'],
      [own.crop, 1, true, 'closed'],
      [own.health, 1, true, 'closed'],
      [own.listAck, 1, true, 'closed'],
      [own.status, 1, true, 'acknowledged'],
      [own.sightings, 1, false, 'acknowledged'],
      [own.sightings, 2, false, 'acknowledged'],
    ]
    for (const [topic, qos, retain, expected] of tried) {
      const client = await cameras.a()
      const payload = JSON.stringify(makeSighting(world.clock))
      assert.is(await publish(client, topic, payload, { qos, retain }), expected, `${topic} ${qos} ${retain}`)
      await client.endAsync(true)
    }
    assert.is(await world.counted('candor_denied_total{rule="publish_mode"}'), 7)
    assert.is((await world.cloud.parts.sightings.counts()).sightings, 2)
  })
})

test('a camera subscribes to lists, policy and its own commands and to nothing else', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const client = await cameras.a()
    const allowed = [
      topics.manifests(AGENCY),
      topics.manifest(AGENCY, 'stolen'),
      topics.snapshotChunks(AGENCY, 'stolen', 1),
      topics.snapshotChunk(AGENCY, 'stolen', 1, 0),
      topics.deltaChunks(AGENCY, 'stolen', 1),
      topics.deltaChunk(AGENCY, 'stolen', 1, 0),
      topics.policy(AGENCY),
      topics.commands(AGENCY, A),
    ]
    const refused = [
      ...Object.values(everyTopic('shelbyville', A)),
      topics.manifests('shelbyville'),
      topics.alerts(AGENCY, 'patrol'),
      topics.allSightings(AGENCY),
      topics.allStatus(AGENCY),
      topics.sightings(AGENCY, A),
      topics.sightings(AGENCY, B),
      topics.crop(AGENCY, B, newId()),
      topics.status(AGENCY, B),
      topics.health(AGENCY, A),
      topics.commands(AGENCY, B),
      ...WILD,
    ]
    for (const filter of allowed) assert.is(await subscribe(client, filter), 1, filter)
    for (const filter of refused) assert.is(await subscribe(client, filter), 'refused', filter)
    assert.ok(client.connected, 'a refused subscription ends nothing')
    assert.is(await world.counted('candor_denied_total{rule="subscribe"}'), refused.length)
  })
})

/** Filters that overlap something permitted, and those that would read everything. */
const WILD = [
  '#',
  '+/#',
  'candor/#',
  '$SYS/#',
  '+/+/+/+',
  `candor/v1/${AGENCY}/#`,
  `candor/v1/+/policy`,
  `candor/v1/${AGENCY}/alerts/+`,
  `candor/v1/${AGENCY}/alerts/#`,
  `candor/v1/${AGENCY}/cameras/#`,
  `candor/v1/${AGENCY}/cameras/+/#`,
  `candor/v1/${AGENCY}/cameras/+/crops/+`,
  `candor/v1/${AGENCY}/cameras/+/commands/+/+`,
  `candor/v1/${AGENCY}/hotlists/#`,
  `candor/v1/${AGENCY}/hotlists/+/snapshot/+/+`,
  `candor/v1/${AGENCY}/hotlists/+/delta/+/+`,
  '$share/readers/candor/v1/springfield/alerts/patrol',
]

test('an officer reads the alerts of the own groups, states and list versions, and no sightings', async () => {
  await inCloud(async (world) => {
    await twoCameras(world)
    const client = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol', 'night']))
    const refused = [
      topics.alerts(AGENCY, 'homicide'),
      topics.alerts('shelbyville', 'patrol'),
      topics.allSightings(AGENCY),
      topics.sightings(AGENCY, A),
      topics.crop(AGENCY, A, newId()),
      topics.health(AGENCY, A),
      topics.commands(AGENCY, A),
      topics.policy(AGENCY),
      topics.snapshotChunks(AGENCY, 'stolen', 1),
      topics.deltaChunks(AGENCY, 'stolen', 1),
      ...WILD,
    ]
    for (const filter of [
      topics.alerts(AGENCY, 'patrol'),
      topics.alerts(AGENCY, 'night'),
      topics.manifests(AGENCY),
      topics.allStatus(AGENCY),
    ]) {
      assert.is(await subscribe(client, filter), 1, filter)
    }
    for (const filter of refused) assert.is(await subscribe(client, filter), 'refused', filter)
    assert.is(await world.counted('candor_denied_total{rule="subscribe"}'), refused.length)
    await until('it stands in the audit', async () =>
      (await world.audited('broker.denied')).some((entry) => entry.rule === 'subscribe'),
    )
  })
})

test('sightings reach live those who may watch them, at QoS 0, and nobody else', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const watching = await world.connectPerson('sue', await world.addPerson('sue', ['supervisor'], []), {
      clean: false,
    })
    const officer = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']))
    assert.is.not(await subscribe(watching, topics.allSightings(AGENCY)), 'refused')
    await subscribe(officer, topics.allSightings(AGENCY))
    const [watched] = await world.audited('sightings.watched')
    assert.is(watched?.actor.account, 'sue', 'who watches is in the audit before anything is shown')
    const seen = collect(watching)
    const seenByOfficer = collect(officer)
    const first = makeSighting(world.clock)
    assert.is(await publishSighting(await cameras.a(), first), 'acknowledged')
    await until('the supervisor sees it', () => seen.length === 1)
    assert.is(JSON.parse(seen[0]?.payload.toString() ?? '').sightingId, first.sightingId)
    assert.is(seen[0]?.packet.qos, 0)
    await watching.endAsync()
    await publishSighting(await cameras.a(), makeSighting(world.clock))
    const again = await world.connectPerson('sue', await world.logIn('sue'), { clean: false })
    const later = collect(again)
    const last = makeSighting(world.clock)
    await publishSighting(await cameras.a(), last)
    await until('the third one comes', () => later.length > 0)
    assert.is(later.length, 1, 'a sighting is never queued for a person')
    assert.is(JSON.parse(later[0]?.payload.toString() ?? '').sightingId, last.sightingId)
    assert.is(seenByOfficer.length, 0)
  })
})

test('what could not be stored as a sighting is not shown to those who watch', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    const watching = await world.connectPerson('sue', await world.addPerson('sue', ['supervisor'], []))
    await subscribe(watching, topics.allSightings(AGENCY))
    const seen = collect(watching)
    const client = await cameras.a()
    await publish(client, topics.sightings(AGENCY, A), JSON.stringify({ plate: 'NOTWHOLE' }))
    await publishSighting(client, makeSighting(world.clock))
    await until('the good one comes', () => seen.some(({ payload }) => payload.includes('ABC1230')))
    assert.not.ok(seen.some(({ payload }) => payload.includes('NOTWHOLE')))
  })
})

test('alerts reach the groups of their list and no other', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    await world.importList('stolen', ['ABC1230'], ['patrol'])
    const officer = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']))
    const other = await world.connectPerson('otto', await world.addPerson('otto', ['officer'], ['night']))
    await subscribe(officer, topics.alerts(AGENCY, 'patrol'))
    await subscribe(other, topics.alerts(AGENCY, 'night'))
    await subscribe(other, topics.alerts(AGENCY, 'patrol'))
    const seen = collect(officer)
    const seenByOther = collect(other)
    const camera = await cameras.a()
    const seenByCamera = collect(camera)
    await publishSighting(camera, makeSighting(world.clock))
    await until('the officer is told', () => seen.length === 1)
    assert.is(seen[0]?.topic, topics.alerts(AGENCY, 'patrol'))
    assert.is(seenByOther.length, 0)
    assert.is(seenByCamera.length, 0)
  })
})

test('an officer who was taken out of a group gets nothing more of it, not even what was queued before', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    await world.importList('stolen', ['ABC1230'], ['patrol'])
    const token = await world.addPerson('olga', ['officer'], ['patrol', 'night'])
    const before = await world.connectPerson('olga', token, { clean: false })
    await subscribe(before, topics.alerts(AGENCY, 'patrol'))
    await subscribe(before, topics.alerts(AGENCY, 'night'))
    await before.endAsync()
    const camera = await cameras.a()
    await publishSighting(camera, makeSighting(world.clock))
    await until('it was queued', async () => (await queuedFor(world, 'olga.phone')) === 1)
    await world.cloud.parts.accounts.setRights('olga', { roles: ['officer'], groups: ['night'] }, 'test')
    const after = await world.connectPerson('olga', await world.logIn('olga'), { clean: false })
    const seen = collect(after)
    await world.importList('watch', ['XYZ9870'], ['night'])
    await publishSighting(camera, makeSighting(world.clock))
    await publishSighting(camera, makeSighting(world.clock, { plate: 'XYZ9870' }))
    await until('the alert of the other group comes', () => seen.length > 0)
    assert.equal([...new Set(seen.map(({ topic }) => topic))], [topics.alerts(AGENCY, 'night')])
  })
})

async function queuedFor(world: TestCloud, clientId: string): Promise<number> {
  const { database } = world.cloud.parts
  const rows = await database.read(
    database.build.selectFrom('broker_outgoing').select('position').where('client_id', '=', clientId),
  )
  return rows.length
}

test('the Will of a camera is published on its own status, and on nothing else', async () => {
  await inCloud(async (world) => {
    const a = await world.addCamera(A)
    await world.addCamera(B)
    const watching = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], []))
    await subscribe(watching, topics.allStatus(AGENCY))
    const seen = collect(watching)
    const status = (camera: string) =>
      JSON.stringify({
        cameraId: camera,
        online: false,
        sessionId: newId(),
        sinceMs: world.clock.nowMs(),
        software: 'x',
      })
    for (const [topic, of, retain] of [
      [topics.status(AGENCY, B), B, true],
      [topics.sightings(AGENCY, A), A, false],
      [topics.alerts(AGENCY, 'patrol'), A, false],
      [topics.status(AGENCY, A), A, true],
    ] as const) {
      const client = await world.connectCamera(A, a, {
        will: { topic, payload: Buffer.from(status(of)), qos: 1, retain },
      })
      client.stream.destroy()
    }
    await until('the good Will comes', () => seen.length > 0)
    assert.equal(
      seen.map(({ topic }) => topic),
      [topics.status(AGENCY, A)],
    )
    await until('three were refused', async () => (await world.counted('candor_denied_total{rule="publish"}')) === 3)
    assert.is((await world.cloud.parts.sightings.counts()).sightings, 0)
  })
})

test('no refusal writes a plate into the log', async () => {
  await inCloud(async (world) => {
    const cameras = await twoCameras(world)
    await world.importList('stolen', ['PLT4711'])
    await publishSighting(await cameras.a(), makeSighting(world.clock, { plate: 'PLT4711' }))
    await publish(await cameras.a(), topics.sightings(AGENCY, A), '{"plate":"PLT4711"}')
    await publish(await cameras.a(), topics.sightings(AGENCY, B), '{"plate":"PLT4711"}')
    await publish(await cameras.a(), topics.crop(AGENCY, B, 'PLT4711'), 'x')
    await publish(await cameras.a(), 'plates/PLT4711', 'x')
    await subscribe(await cameras.a(), 'plates/PLT4711')
    await until('all were counted', async () => (await world.counted('candor_denied_total{rule="subscribe"}')) === 1)
    assert.ok(world.logLines.length > 10)
    assert.equal(
      world.logLines.filter((line) => line.includes('PLT4711')),
      [],
    )
  })
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Identity,
  MAX_TOPIC_BYTES,
  mayPublish,
  mayReceive,
  maySubscribe,
  parseTopic,
  TOPIC_RIGHTS,
  topics,
} from './topics.ts'

const camera: Identity = { kind: 'camera', agency: 'springfield', camera: 'north-1' }
const officer: Identity = {
  kind: 'person',
  agency: 'springfield',
  account: 'ann',
  groups: ['patrol'],
  mayWatchSightings: false,
  maySeeCameras: false,
}
const watcher: Identity = { ...officer, mayWatchSightings: true }
const technician: Identity = { ...officer, maySeeCameras: true }
const sightingId = '01890a5d-ac96-774b-bcce-b302099a8057'

test('every topic that is made can be taken apart again', () => {
  assert.equal(parseTopic(topics.sightings('a', 'c')), { kind: 'sightings', agency: 'a', camera: 'c' })
  assert.equal(parseTopic(topics.crop('a', 'c', sightingId)), { kind: 'crop', agency: 'a', camera: 'c', sightingId })
  assert.equal(parseTopic(topics.status('a', 'c')), { kind: 'status', agency: 'a', camera: 'c' })
  assert.equal(parseTopic(topics.health('a', 'c')), { kind: 'health', agency: 'a', camera: 'c' })
  assert.equal(parseTopic(topics.ack('a', 'c', 'hotlists/stolen')), {
    kind: 'ack',
    agency: 'a',
    camera: 'c',
    subject: 'hotlists/stolen',
  })
  assert.equal(parseTopic(topics.ack('a', 'c', 'policy')), { kind: 'ack', agency: 'a', camera: 'c', subject: 'policy' })
  assert.equal(parseTopic(topics.manifest('a', 'stolen')), { kind: 'manifest', agency: 'a', list: 'stolen' })
  assert.equal(parseTopic(topics.snapshotChunk('a', 'stolen', 3, 0)), {
    kind: 'snapshot',
    agency: 'a',
    list: 'stolen',
    version: 3,
    chunk: 0,
  })
  assert.equal(parseTopic(topics.deltaChunk('a', 'stolen', 3, 7)), {
    kind: 'delta',
    agency: 'a',
    list: 'stolen',
    version: 3,
    chunk: 7,
  })
  assert.equal(parseTopic(topics.policy('a')), { kind: 'policy', agency: 'a' })
  assert.equal(parseTopic(topics.signingKeys('a', 2)), { kind: 'signing-keys', agency: 'a', version: 2 })
  assert.equal(parseTopic(topics.alerts('a', 'patrol')), { kind: 'alerts', agency: 'a', group: 'patrol' })
})

test('alarms about cameras go to people who may see cameras, of their agency alone', () => {
  const alarms = topics.fleetAlarms('springfield')
  assert.equal(parseTopic(alarms), { kind: 'fleet-alarms', agency: 'springfield' })
  for (const strange of [`${alarms}/x`, 'candor/v1/springfield/fleet', 'candor/v1/springfield/fleet/north-1']) {
    assert.is(parseTopic(strange), null, strange)
  }
  assert.ok(maySubscribe(technician, alarms) && mayReceive(technician, alarms))
  assert.not(maySubscribe(officer, alarms) || mayReceive(officer, alarms))
  assert.not(maySubscribe(camera, alarms) || mayReceive(camera, alarms))
  const elsewhere = topics.fleetAlarms('shelbyville')
  assert.not(maySubscribe(technician, elsewhere) || mayReceive(technician, elsewhere))
  for (const who of [camera, technician]) assert.not(mayPublish(who, alarms))
})

test('what is none of ours is null', () => {
  const strange = [
    '',
    '/',
    'candor',
    'candor/v2/a/policy',
    'candor/v1/A/policy',
    'candor/v1/a/policy/x',
    '$SYS/x',
    'candor/v1/a/cameras/c/other',
  ]
  for (const topic of [
    ...strange,
    'candor/v1/a/alerts/g/x',
    'candor/v1/a/signing-keys/x',
    'candor/v1/a/signing-keys/2/x',
    'candor/v1/a/cameras/c/sightings/x',
    'candor/v1/a/hotlists/l/snapshot/x/0',
  ]) {
    assert.is(parseTopic(topic), null, topic)
  }
})

test('a topic of the greatest length is taken apart and one byte more is not', () => {
  const prefix = 'candor/v1/a/cameras/c/crops/'
  assert.is.not(parseTopic(prefix + 'x'.repeat(MAX_TOPIC_BYTES - prefix.length)), null)
  assert.is(parseTopic(prefix + 'x'.repeat(MAX_TOPIC_BYTES - prefix.length + 1)), null)
})

test('a camera publishes as itself only', () => {
  assert.ok(mayPublish(camera, topics.sightings('springfield', 'north-1')))
  assert.ok(mayPublish(camera, topics.status('springfield', 'north-1')))
  assert.not(mayPublish(camera, topics.sightings('springfield', 'south-2')))
  assert.not(mayPublish(camera, topics.sightings('shelbyville', 'north-1')))
  assert.not(mayPublish(camera, topics.alerts('springfield', 'patrol')))
  assert.not(mayPublish(camera, topics.manifest('springfield', 'stolen')))
  assert.not(mayPublish(camera, topics.policy('springfield')))
  assert.not(mayPublish(camera, 'candor/v1/springfield/cameras/north-1/commands/restart/1'))
  assert.ok(mayPublish(camera, topics.request('springfield', 'north-1', 'list-key', '1')))
  assert.not(mayPublish(camera, topics.request('springfield', 'south-2', 'list-key', '1')))
})

test('what a camera asks for and is told comes to it alone', () => {
  const mine = topics.command('springfield', 'north-1', 'list-key', '1')
  assert.equal(parseTopic(mine), {
    ...{ kind: 'command', agency: 'springfield', camera: 'north-1', operation: 'list-key', id: '1' },
  })
  assert.is(parseTopic(topics.request('springfield', 'north-1', 'list-key', '1'))?.kind, 'request')
  assert.ok(mayReceive(camera, mine))
  assert.not(mayReceive(camera, topics.command('springfield', 'south-2', 'list-key', '1')))
  for (const person of [officer, watcher]) {
    assert.not(mayReceive(person, mine))
    assert.not(maySubscribe(person, mine))
  }
  assert.not(maySubscribe(camera, topics.request('springfield', 'north-1', 'list-key', '1')))
  assert.not(mayReceive(camera, topics.request('springfield', 'north-1', 'list-key', '1')))
})

test('people publish nothing', () => {
  for (const topic of [
    topics.sightings('springfield', 'ann'),
    topics.alerts('springfield', 'patrol'),
    topics.policy('springfield'),
  ]) {
    assert.not(mayPublish(watcher, topic))
  }
})

test('an officer reads the alerts of assigned groups and no sightings', () => {
  assert.ok(maySubscribe(officer, topics.alerts('springfield', 'patrol')))
  assert.ok(mayReceive(officer, topics.alerts('springfield', 'patrol')))
  assert.not(maySubscribe(officer, topics.alerts('springfield', 'detectives')))
  assert.not(mayReceive(officer, topics.alerts('springfield', 'detectives')))
  assert.not(maySubscribe(officer, topics.allSightings('springfield')))
  assert.not(mayReceive(officer, topics.sightings('springfield', 'north-1')))
  assert.ok(maySubscribe(watcher, topics.allSightings('springfield')))
  assert.ok(mayReceive(watcher, topics.sightings('springfield', 'north-1')))
})

test('filters that merely overlap a permitted topic are refused', () => {
  for (const filter of [
    '#',
    '+/#',
    'candor/#',
    'candor/v1/springfield/#',
    'candor/v1/springfield/alerts/+',
    'candor/v1/+/alerts/patrol',
  ]) {
    assert.not(maySubscribe(watcher, filter), filter)
    assert.not(maySubscribe(camera, filter), filter)
  }
  assert.not(maySubscribe(camera, 'candor/v1/springfield/cameras/+/commands/+/+'))
  assert.not(maySubscribe(camera, topics.alerts('springfield', 'patrol')))
  assert.not(maySubscribe(camera, topics.sightings('springfield', 'south-2')))
  assert.not(maySubscribe(officer, '$share/x/candor/v1/springfield/alerts/patrol'))
})

test('a camera follows lists, policy and its own commands', () => {
  assert.ok(maySubscribe(camera, topics.manifests('springfield')))
  assert.ok(maySubscribe(camera, topics.policy('springfield')))
  assert.ok(maySubscribe(camera, topics.allSigningKeys('springfield')))
  assert.ok(mayReceive(camera, topics.signingKeys('springfield', 2)))
  assert.not(maySubscribe(camera, topics.allSigningKeys('shelbyville')))
  assert.not(maySubscribe(officer, topics.allSigningKeys('springfield')))
  assert.not(mayPublish(camera, topics.signingKeys('springfield', 2)))
  assert.ok(maySubscribe(camera, topics.commands('springfield', 'north-1')))
  assert.ok(maySubscribe(camera, topics.snapshotChunks('springfield', 'stolen', 2)))
  assert.not(maySubscribe(camera, topics.commands('springfield', 'south-2')))
  assert.not(maySubscribe(camera, topics.snapshotChunks('shelbyville', 'stolen', 2)))
  assert.ok(maySubscribe(camera, topics.deltaChunks('springfield', 'stolen', 2)))
  assert.ok(mayReceive(camera, topics.deltaChunk('springfield', 'stolen', 2, 0)))
  assert.not(maySubscribe(camera, topics.deltaChunks('shelbyville', 'stolen', 2)))
  for (const person of [officer, watcher]) {
    assert.not(maySubscribe(person, topics.deltaChunks('springfield', 'stolen', 2)))
    assert.not(mayReceive(person, topics.deltaChunk('springfield', 'stolen', 2, 0)))
  }
})

test('nothing of another agency is delivered', () => {
  for (const topic of [
    topics.alerts('shelbyville', 'patrol'),
    topics.manifest('shelbyville', 'stolen'),
    topics.policy('shelbyville'),
  ]) {
    assert.not(mayReceive(watcher, topic))
    assert.not(mayReceive(camera, topic))
  }
})

test('the printed table names every kind of topic', () => {
  assert.is(TOPIC_RIGHTS.length, 14)
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { topics } from '../../shared/topics.ts'
import type { HotlistAck } from '../../shared/wire/index.ts'
import type { Connection } from './connection.ts'
import { createInbox, KEY_REQUEST_MS, MAX_REFUSALS_PER_CONNECTION, type RollOuts } from './inbox.ts'

const AGENCY = 'springfield'
const NO_ROLL_OUTS: RollOuts = {
  take: () => Promise.reject(new AppError('internal', 'none is expected')),
  acks: () => [],
}

/** A connection whose broker acknowledges when it is told to. */
function openConnection() {
  const waiting: (() => void)[] = []
  const published: { topic: string; version: number; keyId: string }[] = []
  let ended: AppError | null = null
  const connection: Connection = {
    isOpen: true,
    publish(topic, payload) {
      published.push({ topic, ...JSON.parse(Buffer.from(payload).toString()) })
      return new Promise((resolve) => waiting.push(resolve))
    },
    subscribe: async () => {},
    unsubscribe: async () => {},
    closed: new Promise(() => {}),
    end: async () => {},
    destroy(reason) {
      ended ??= reason
    },
  }
  return {
    connection,
    published,
    get ended() {
      return ended
    },
    async acknowledge() {
      waiting.shift()?.()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

function createRefusing() {
  let version = 0
  return createInbox({
    agency: AGENCY,
    cameraId: 'north',
    renewal: { told() {}, take: () => null },
    rollOuts: NO_ROLL_OUTS,
    hotlists: {
      takeManifest(list): HotlistAck {
        version += 1
        return { list, version, digest: null, result: 'refused', reason: 'no good', atMs: 1_790_000_000_000 }
      },
      takeChunk() {},
      wanted: null,
      advance: async () => null,
      asked() {},
      missingKeys: [],
      takeKey: () => null,
    },
    clock: systemClock,
    newId,
    signingKeys: { take: () => ({ ack: null, changed: false }) },
    policy: { take: () => ({ version: 1, result: 'applied', reason: null, atMs: 1_790_000_000_000 }) },
    log: silentLog,
    onRefused() {},
  })
}

test('one acknowledgement of a subject is on its way at a time, and the newest one follows it', async () => {
  const inbox = createRefusing()
  const broker = openConnection()
  await inbox.open(broker.connection)
  for (let sent = 0; sent < 5; sent += 1) inbox.receive(topics.manifest(AGENCY, 'stolen'), Buffer.from('{}'))
  inbox.receive(topics.manifest(AGENCY, 'wanted'), Buffer.from('{}'))
  assert.equal(
    broker.published.map(({ version }) => version),
    [1, 6],
  )
  await broker.acknowledge()
  assert.equal(
    broker.published.map(({ version }) => version),
    [1, 6, 5],
  )
  await broker.acknowledge()
  await broker.acknowledge()
  assert.is(broker.published.length, 3)
  inbox.receive(topics.manifest(AGENCY, 'stolen'), Buffer.from('{}'))
  assert.is(broker.published.length, 4, 'and the next one is sent at once')
})

test('a connection on which too much cannot be taken is ended; the next one starts anew', async () => {
  const inbox = createRefusing()
  const broker = openConnection()
  await inbox.open(broker.connection)
  for (let sent = 0; sent < MAX_REFUSALS_PER_CONNECTION - 1; sent += 1) inbox.receive('not/a/topic', Buffer.from('x'))
  inbox.receive(topics.manifest(AGENCY, 'stolen'), Buffer.from('{}'))
  assert.is(broker.ended, null)
  inbox.receive('not/a/topic', Buffer.from('x'))
  assert.instance(broker.ended, AppError)
  const next = openConnection()
  await inbox.open(next.connection)
  inbox.receive('not/a/topic', Buffer.from('x'))
  assert.is(next.ended, null)
})

test('a missing key is asked for at once, again when no answer comes, and no other answer is taken', async () => {
  let nowMs = 0
  let missingKeys = ['abcdefabcdef0123']
  const refused: string[] = []
  const taken: string[] = []
  const inbox = createInbox({
    agency: AGENCY,
    cameraId: 'north',
    renewal: { told() {}, take: () => null },
    rollOuts: NO_ROLL_OUTS,
    hotlists: {
      ...{ takeManifest: () => null, takeChunk() {}, wanted: null, advance: async () => null, asked() {} },
      get missingKeys() {
        return missingKeys
      },
      takeKey(_, { requestId }) {
        taken.push(requestId)
        if (taken.length === 1) return 'signed by a stranger'
        missingKeys = []
        return null
      },
    },
    signingKeys: { take: () => ({ ack: null, changed: false }) },
    policy: { take: () => ({ version: 1, result: 'applied', reason: null, atMs: 1_790_000_000_000 }) },
    clock: { monotonicMs: () => nowMs },
    newId,
    log: { ...silentLog, warn: (_, fields) => refused.push(String(fields?.reason)) },
    onRefused() {},
  })
  const broker = openConnection()
  await inbox.open(broker.connection)
  const requests = () => broker.published.map(({ topic }) => topic.split('/').at(-1) ?? '')
  await inbox.advance()
  assert.is(requests().length, 1, 'the open request is not made again')
  const [first = ''] = requests()
  inbox.receive(topics.command(AGENCY, 'north', 'list-key', newId()), Buffer.from('{}'))
  assert.equal([taken, refused], [[], ['a list key that was not asked for']])
  inbox.receive(topics.command(AGENCY, 'north', 'list-key', first), Buffer.from('{}'))
  assert.equal([taken, refused.at(-1)], [[first], 'signed by a stranger'])
  await broker.acknowledge()
  nowMs = KEY_REQUEST_MS - 1
  await inbox.advance()
  assert.is(requests().length, 1)
  nowMs = KEY_REQUEST_MS
  await inbox.advance()
  const [, second = ''] = requests()
  inbox.receive(topics.command(AGENCY, 'north', 'list-key', second), Buffer.from('{}'))
  assert.equal(taken, [first, second])
  nowMs += KEY_REQUEST_MS
  await inbox.advance()
  assert.is(broker.published.length, 2)
  missingKeys = ['abcdefabcdef0456', 'abcdefabcdef0789']
  await broker.acknowledge()
  await inbox.advance()
  assert.equal(
    broker.published.slice(2).map(({ keyId }) => keyId),
    missingKeys,
    'each is asked for at once',
  )
})

test.run()

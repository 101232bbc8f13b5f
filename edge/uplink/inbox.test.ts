import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { topics } from '../../shared/topics.ts'
import type { HotlistAck } from '../../shared/wire/index.ts'
import type { Connection } from './connection.ts'
import { createInbox, MAX_REFUSALS_PER_CONNECTION } from './inbox.ts'

const AGENCY = 'springfield'

/** A connection whose broker acknowledges when it is told to. */
function openConnection() {
  const waiting: (() => void)[] = []
  const published: { topic: string; version: number }[] = []
  let ended: AppError | null = null
  const connection: Connection = {
    isOpen: true,
    publish(topic, payload) {
      published.push({ topic, version: JSON.parse(Buffer.from(payload).toString()).version })
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
    hotlists: {
      takeManifest(list): HotlistAck {
        version += 1
        return { list, version, digest: null, result: 'refused', reason: 'no good', atMs: 1_790_000_000_000 }
      },
      takeChunk() {},
      wanted: null,
      advance: async () => null,
      asked() {},
    },
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

test.run()

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { installationFolder } from '../shared/version.ts'
import { MAX_QUEUED_PER_SESSION } from './broker/queues.ts'
import type { Database } from './database/database.ts'
import { openSqlite } from './database/sqlite.ts'
import {
  MAX_HALF_OPEN_QOS2,
  MAX_SESSIONS,
  MAX_SESSIONS_PER_ACCOUNT,
  MAX_SUBSCRIPTIONS_PER_SESSION,
  SESSION_FORGOTTEN_AFTER_MS,
  Sessions,
} from './sessions.ts'

const KEPT_MS = 30 * DAY_MS

interface World {
  open(): Promise<Sessions>
  close(): Promise<void>
  setNow(ms: number): void
  dropped: number
  connected: Set<string>
  database: Database
}

async function inWorld(run: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-sessions-'))
  const path = join(folder, 'a.db')
  let nowMs = 1_790_000_000_000
  let database = openSqlite({ path, nowMs })
  const world: World = {
    dropped: 0,
    connected: new Set(),
    get database() {
      return database
    },
    async open() {
      await database.close()
      database = openSqlite({ path, nowMs })
      const sessions = new Sessions({
        database,
        clock: { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} },
        keptMs: () => KEPT_MS,
        retainedFrom: (_packet, now) => now,
        mayKeep: (_client, topic) => !topic.startsWith('forbidden'),
        mayLeaveWill: (_clientId, topic) => !topic.startsWith('forbidden'),
        onDropped: (count) => {
          world.dropped += count
        },
        accountOf: (clientId) => (clientId.startsWith('springfield.') ? null : (clientId.split('.')[0] ?? null)),
        isConnected: (clientId) => world.connected.has(clientId),
      })
      await sessions.setup({ id: 'broker-1', counter: 0 })
      return sessions
    },
    async close() {
      await database.close()
      rmSync(folder, { recursive: true })
    },
    setNow(ms) {
      nowMs = ms
    },
  }
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

let counter = 0
const packet = (topic: string, payload = 'x', retain = false) => ({
  cmd: 'publish',
  topic,
  payload: Buffer.from(payload),
  qos: 1,
  retain,
  dup: false,
  brokerId: 'broker-1',
  brokerCounter: ++counter,
})

async function queued(sessions: Sessions, id: string): Promise<string[]> {
  const payloads: string[] = []
  for await (const stored of sessions.outgoingStream({ id })) payloads.push(stored.payload.toString())
  return payloads
}

test('it passes the conformance suite of aedes-persistence', () => {
  const script = `
    import { test } from 'node:test'
    import { createRequire } from 'node:module'
    import { Sessions } from './cloud/sessions.ts'
    import { openSqlite } from './cloud/database/sqlite.ts'
    const abs = createRequire(process.cwd() + '/x.js')('aedes-persistence/abstract.js')
    const clock = { nowMs: () => Date.now(), monotonicMs: () => 0, sleep: async () => {} }
    abs({ test, testAsync: true, persistence: () => new Sessions({
      database: openSqlite({ path: ':memory:', nowMs: 0 }), clock, keptMs: () => 1e9,
      retainedFrom: (_packet, now) => now, mayKeep: () => true, mayLeaveWill: () => true, onDropped: () => {},
      accountOf: () => null, isConnected: () => false,
    }) })
  `
  const output = execFileSync(
    process.execPath,
    ['--import', 'tsx', '--test-reporter', 'tap', '--input-type=module', '-e', script],
    { cwd: installationFolder(), encoding: 'utf8' },
  )
  assert.match(output, /^# fail 0$/m)
  assert.ok(Number(/^# pass (\d+)$/m.exec(output)?.[1]) >= 50, 'the suite ran')
})

test('subscriptions, queues, retained messages and wills survive a restart', async () => {
  await inWorld(async (world) => {
    const before = await world.open()
    await before.addSubscriptions({ id: 'ann.phone' }, [{ topic: 'alerts/patrol', qos: 1 }])
    await before.outgoingEnqueueCombi([{ clientId: 'ann.phone' }], packet('alerts/patrol', 'first'))
    await before.outgoingEnqueueCombi([{ clientId: 'ann.phone' }], packet('alerts/patrol', 'second'))
    await before.storeRetained(packet('policy', 'doc', true))
    await before.putWill({ id: 'cam' }, packet('status', 'gone'))

    const after = await world.open()
    assert.equal(await after.subscriptionsByClient({ id: 'ann.phone' }), [
      { topic: 'alerts/patrol', qos: 1, rh: undefined, rap: undefined, nl: undefined },
    ])
    assert.equal(await queued(after, 'ann.phone'), ['first', 'second'])
    const retained: string[] = []
    for await (const stored of after.createRetainedStream('#')) retained.push(stored.payload.toString())
    assert.equal(retained, ['doc'])
    const wills: string[] = []
    for await (const will of after.streamWill({})) wills.push(will.payload.toString())
    assert.equal(wills, ['gone'])
  })
})

test('a subscription without the right to it is not stored, although aedes hands it over', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    await sessions.addSubscriptions({ id: 'ann.phone' }, [
      { topic: 'alerts/patrol', qos: 1 },
      { topic: 'forbidden/x', qos: 1 },
    ])
    assert.equal((await sessions.subscriptionsByTopic('forbidden/x')).length, 0)
    assert.equal((await sessions.subscriptionsByClient({ id: 'ann.phone' })).length, 1)
  })
})

test('a queue keeps its newest publishes up to the limit and counts what it drops', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    for (let i = 0; i < MAX_QUEUED_PER_SESSION; i++) {
      await sessions.outgoingEnqueue({ clientId: 'a' }, packet('alerts/patrol', String(i)))
    }
    assert.is((await queued(sessions, 'a')).length, MAX_QUEUED_PER_SESSION)
    assert.is(world.dropped, 0)
    await sessions.outgoingEnqueue({ clientId: 'a' }, packet('alerts/patrol', 'last'))
    const kept = await queued(sessions, 'a')
    assert.is(kept.length, MAX_QUEUED_PER_SESSION)
    assert.is(kept[0], '1')
    assert.is(kept.at(-1), 'last')
    assert.is(world.dropped, 1)
  })
})

test('a session holds subscriptions up to the limit', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    const topics = (count: number) => Array.from({ length: count }, (_, i) => ({ topic: `t/${i}`, qos: 1 as const }))
    await sessions.addSubscriptions({ id: 'a' }, topics(MAX_SUBSCRIPTIONS_PER_SESSION))
    let code = 'none'
    try {
      await sessions.addSubscriptions({ id: 'b' }, topics(MAX_SUBSCRIPTIONS_PER_SESSION + 1))
    } catch (thrown) {
      if (thrown instanceof AppError) code = thrown.code
    }
    assert.is(code, 'too_large')
  })
})

test('the filters of one packet are stored once, although aedes hands them over once for each', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    const subscriptions = ['t/1', 't/2', 'forbidden/x'].map((topic) => ({ topic, qos: 1 as const }))
    const calls = subscriptions.map(() => sessions.addSubscriptions({ id: 'a' }, subscriptions))
    assert.is(new Set(calls).size, 1)
    await Promise.all(calls)
    assert.is((await sessions.subscriptionsByClient({ id: 'a' })).length, 2)
    await sessions.removeSubscriptions({ id: 'a' }, ['t/1'])
    await sessions.addSubscriptions({ id: 'a' }, subscriptions)
    assert.is((await sessions.subscriptionsByClient({ id: 'a' })).length, 2, 'a later packet is stored')
  })
})

test('one device more than an account may have takes the place of the one that was away for longest', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    const subscribe = (id: string) => sessions.addSubscriptions({ id }, [{ topic: 't', qos: 1 }])
    const held = async () => (await sessions.subscriptionsByTopic('t')).map((sub) => sub.clientId)
    for (let device = 1; device <= MAX_SESSIONS_PER_ACCOUNT; device++) {
      world.setNow(1_790_000_000_000 + device)
      await subscribe(`ann.d${device}`)
    }
    await subscribe('anna.phone')
    await subscribe('ann.d1')
    assert.is((await held()).length, MAX_SESSIONS_PER_ACCOUNT + 1, 'known devices need no room')

    world.connected.add('ann.d1')
    await sessions.outgoingEnqueue({ clientId: 'ann.d2' }, packet('t', 'queued'))
    await subscribe('ann.new')
    const after = await held()
    assert.is(after.length, MAX_SESSIONS_PER_ACCOUNT + 1)
    assert.ok(after.includes('ann.new') && after.includes('ann.d1') && after.includes('anna.phone'))
    assert.not.ok(after.includes('ann.d2'))
    assert.equal(await queued(sessions, 'ann.d2'), [])
    assert.is(world.dropped, 1)
    assert.is((await (await world.open()).subscriptionsByTopic('t')).length, MAX_SESSIONS_PER_ACCOUNT + 1)
  })
})

test('a device more is refused while all of the account are connected; cameras share no such limit', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    const subscribe = (id: string) => sessions.addSubscriptions({ id }, [{ topic: 't', qos: 1 }])
    for (let device = 1; device <= MAX_SESSIONS_PER_ACCOUNT; device++) {
      world.connected.add(`ann.d${device}`)
      await subscribe(`ann.d${device}`)
      await subscribe(`springfield.camera-${device}`)
    }
    await subscribe('springfield.one-more')
    let code = 'none'
    await subscribe('ann.new').catch((thrown) => {
      code = thrown instanceof AppError ? thrown.code : String(thrown)
    })
    assert.is(code, 'too_large')
  })
})

test('a queued publish past its retention is not delivered, purged or not', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    await sessions.outgoingEnqueue({ clientId: 'a' }, packet('alerts/patrol', 'old'))
    world.setNow(1_790_000_000_000 + KEPT_MS)
    await sessions.outgoingEnqueue({ clientId: 'a' }, packet('alerts/patrol', 'new'))
    assert.equal(await queued(sessions, 'a'), ['new'])
    assert.is(((await sessions.purge(100)).deleted.queue ?? []).length, 1)
    assert.is(((await sessions.purge(100)).deleted.queue ?? []).length, 0)
  })
})

test('a session whose client stays away is forgotten, one that is connected is not', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    await sessions.addSubscriptions({ id: 'away' }, [{ topic: 't', qos: 1 }])
    await sessions.addSubscriptions({ id: 'here' }, [{ topic: 't', qos: 1 }])
    world.setNow(1_790_000_000_000 + SESSION_FORGOTTEN_AFTER_MS)
    await sessions.outgoingEnqueue({ clientId: 'away' }, packet('t', 'never fetched'))
    world.connected.add('here')
    assert.is(((await sessions.purge(100)).deleted.queue ?? []).length, 1, 'what was queued for it is in the receipt')
    assert.equal(
      (await sessions.subscriptionsByTopic('t')).map((sub) => sub.clientId),
      ['here'],
    )
  })
})

test('half-open QoS 2 publishes of a session are bounded over its connections, and a finished one makes room', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    const store = (messageId: number) =>
      sessions.incomingStorePacket({ id: 'springfield.north' }, { ...packet('t'), qos: 2, messageId })
    for (let id = 1; id <= MAX_HALF_OPEN_QOS2; id++) await store(id)
    const oneMore = () =>
      store(MAX_HALF_OPEN_QOS2 + 1).then(
        () => 'stored',
        (thrown) => (thrown as AppError).code,
      )
    assert.is(await oneMore(), 'too_large')
    await store(1)
    await sessions.incomingDelPacket({ id: 'springfield.north' }, { ...packet('t'), messageId: 7 })
    assert.is(await oneMore(), 'stored')
  })
})

test('forgetting a client ends its session and queue and no other', async () => {
  await inWorld(async (world) => {
    const sessions = await world.open()
    for (const id of ['ann.phone', 'anna.phone']) {
      await sessions.addSubscriptions({ id }, [{ topic: 't', qos: 1 }])
      await sessions.outgoingEnqueue({ clientId: id }, packet('t', id))
    }
    await sessions.forget((clientId) => clientId === 'ann.phone')
    assert.equal(await queued(sessions, 'ann.phone'), [])
    assert.equal(await queued(sessions, 'anna.phone'), ['anna.phone'])
  })
})

test('sessions are kept up to the limit of all, and one more is refused', async () => {
  await inWorld(async (world) => {
    const { build } = world.database
    const rows = Array.from({ length: MAX_SESSIONS - 1 }, (_, i) => ({ client_id: `springfield.c${i}`, topic: 't' }))
    await world.database.writeBatch(
      rows.map((row) => build.insertInto('broker_subscriptions').values({ ...row, qos: 1, seen_at_ms: 0 })),
    )
    const sessions = await world.open()
    const add = async (id: string, topic = 't') => {
      try {
        await sessions.addSubscriptions({ id }, [{ topic, qos: 1 }])
        return 'kept'
      } catch (thrown) {
        return thrown instanceof AppError ? thrown.code : String(thrown)
      }
    }
    assert.is(await add('springfield.last'), 'kept')
    assert.is(await add('springfield.one-more'), 'too_large')
    assert.is(await add('springfield.c0', 'u'), 'kept', 'a session that is there may subscribe to more')
    await sessions.cleanSubscriptions({ id: 'springfield.c1' })
    assert.is(await add('springfield.one-more'), 'kept', 'there is room again')
  })
})

test.run()

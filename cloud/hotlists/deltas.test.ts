/** What of a new version goes out beside its snapshot for cameras that have the one before, and when nothing does. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createListKey, LIST_KEY_BYTES } from '../../shared/list-key.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { topics } from '../../shared/topics.ts'
import {
  DELTA_PUT,
  DELTA_RECORD_BYTES,
  MAX_DELTA_ENTRIES,
  MAX_DELTA_SHARE,
  type Manifest,
  manifestSchema,
  RECORD_ORDER_BYTES,
  SNAPSHOT_RECORD_BYTES,
} from '../../shared/wire/index.ts'
import { createDeltaBuilder } from './delta.ts'
import { openManifest } from './snapshot.ts'
import { inWorld, plates, type World } from './testing.ts'

const manifestOf = (world: World) => {
  const sealed = world.retained.get(topics.manifest('springfield', 'stolen'))?.toString() ?? ''
  return manifestSchema.parse(openManifest(sealed)) as Manifest
}
const bytesOf = (world: World, chunks: number, topicOf: typeof topics.deltaChunk, version: number) =>
  Buffer.concat(
    Array.from(
      { length: chunks },
      (_, i) => world.retained.get(topicOf('springfield', 'stolen', version, i)) as Buffer,
    ),
  )
const snapshotOf = (world: World, { version, chunks }: Manifest) =>
  bytesOf(world, chunks, topics.snapshotChunk, version)
const deltaOf = (world: World, { version, delta }: Manifest) =>
  bytesOf(world, delta?.chunks ?? 0, topics.deltaChunk, version)
const deltaTopics = (world: World) => [...world.retained.keys()].filter((topic) => topic.includes('/delta/'))

/** The snapshot that a delta makes of another, by the layout alone. */
function applied(snapshot: Buffer, delta: Buffer): Buffer {
  const records = new Map<string, Buffer>()
  const keyOf = (record: Buffer) => record.subarray(0, RECORD_ORDER_BYTES).toString('hex')
  const cut = (bytes: Buffer, length: number) =>
    Array.from({ length: bytes.length / length }, (_, i) => bytes.subarray(i * length, (i + 1) * length))
  for (const record of cut(snapshot, SNAPSHOT_RECORD_BYTES)) records.set(keyOf(record), record)
  for (const change of cut(delta, DELTA_RECORD_BYTES)) {
    if (change.at(-1) === DELTA_PUT) records.set(keyOf(change), change.subarray(0, SNAPSHOT_RECORD_BYTES))
    else assert.ok(records.delete(keyOf(change)), 'nothing is removed that is not there')
  }
  return Buffer.concat([...records.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record))
}

const rows = (from: number, to: number, priority = 3) =>
  Array.from({ length: to - from }, (_, i) => `P${String(from + i).padStart(5, '0')},${priority}`)
const file = (...parts: string[][]) => `plate,priority\n${parts.flat().join('\n')}\n`

test('what came, changed and went makes of the snapshot before exactly the new one', async () => {
  await inWorld(async (world) => {
    await world.import(file(rows(0, 4_000)))
    const first = manifestOf(world)
    const before = snapshotOf(world, first)
    assert.is(first.delta, null, 'a first version has none')
    await world.import(file(rows(0, 200, 1), rows(300, 4_150)))
    const second = manifestOf(world)
    const delta = deltaOf(world, second)
    assert.equal(second.delta, {
      fromVersion: 1,
      fromDigest: first.digest,
      chunks: 1,
      bytes: 450 * DELTA_RECORD_BYTES,
      digest: sha256Hex(delta),
      entries: 450,
    })
    assert.ok(applied(before, delta).equals(snapshotOf(world, second)))
    assert.is(sha256Hex(applied(before, delta)), second.digest)
    assert.not.match(delta.toString('latin1'), /P0\d{4}/, 'no plate travels')
  })
})

test('a delta of several chunks goes out before its manifest, whole records in each, and is cleared by the next version', async () => {
  await inWorld(async (world) => {
    await world.import(file(rows(0, 10_200)))
    await world.import(file(rows(0, 2_500, 1), rows(2_500, 10_200)))
    const { delta } = manifestOf(world)
    assert.equal([delta?.chunks, delta?.entries], [2, 2_500])
    assert.equal(
      deltaTopics(world),
      [0, 1].map((chunk) => topics.deltaChunk('springfield', 'stolen', 2, chunk)),
    )
    assert.ok(deltaTopics(world).every((topic) => (world.retained.get(topic)?.length ?? 1) % DELTA_RECORD_BYTES === 0))
    assert.is(
      world.order.lastIndexOf(topics.manifest('springfield', 'stolen')) >
        world.order.lastIndexOf(topics.deltaChunk('springfield', 'stolen', 2, 1)),
      true,
    )
    await world.import(file(rows(0, 2_500, 1), rows(2_500, 10_201)))
    assert.equal(deltaTopics(world), [topics.deltaChunk('springfield', 'stolen', 3, 0)])
    assert.equal(manifestOf(world).delta?.entries, 1)
  })
})

test('the same file again is a delta without a chunk', async () => {
  await inWorld(async (world) => {
    await world.import(file(rows(0, 50)))
    const { digest } = manifestOf(world)
    await world.import(file(rows(0, 50)))
    const { delta } = manifestOf(world)
    assert.equal([delta?.entries, delta?.chunks, delta?.fromDigest, manifestOf(world).digest], [0, 0, digest, digest])
    assert.equal(deltaTopics(world), [])
  })
})

test('a delta is published up to its share of the snapshot and not one record past it', async () => {
  // 13 changes of 53 bytes are a quarter of 53 entries of 52.
  assert.is(13 * DELTA_RECORD_BYTES, 53 * SNAPSHOT_RECORD_BYTES * MAX_DELTA_SHARE)
  for (const [changed, has] of [
    [13, 13],
    [14, null],
  ] as const) {
    await inWorld(async (world) => {
      await world.import(file(rows(0, 53)))
      await world.import(file(rows(0, changed, 1), rows(changed, 53)))
      assert.is(manifestOf(world).delta?.entries ?? null, has)
      assert.is(deltaTopics(world).length, has === null ? 0 : 1)
    })
  }
})

test('a delta has as many changes as its limit, and with one more there is none', async () => {
  const key = createListKey(Buffer.alloc(LIST_KEY_BYTES, 7))
  const entry = (n: number) => ({
    ...{ entryId: `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`, plate: `P${n}` },
    ...{
      jurisdiction: null,
      category: '',
      priority: 3,
      rule: 'exact' as const,
      effectiveAtMs: null,
      expiresAtMs: null,
    },
  })
  for (const past of [0, 1]) {
    let turns = 0
    const turn = async () => {
      turns += 1
    }
    const changes = createDeltaBuilder(key, turn)
    for (let n = 0; n < MAX_DELTA_ENTRIES + past; n += 1) await changes.add(null, entry(n))
    assert.is(changes.isTooLong, past === 1)
    const packed = await changes.end(MAX_DELTA_ENTRIES * SNAPSHOT_RECORD_BYTES * 5)
    assert.is(packed?.totals.entries ?? null, past === 1 ? null : MAX_DELTA_ENTRIES)
    // Digested, counted, moved and hashed, a thousand at a time.
    if (past === 0) assert.ok(turns > (3 * MAX_DELTA_ENTRIES) / 1_000, `${turns} turns of the event loop`)
  }
})

test('a rollback is a delta where it is short, a list under a new key is not, and the next version is one again', async () => {
  await inWorld(async (world) => {
    await world.import(file(rows(0, 100)))
    await world.import(file(rows(5, 100)))
    const before = snapshotOf(world, manifestOf(world))
    await world.hotlists.rollback('stolen', 1, 'ada')
    const rolled = manifestOf(world)
    assert.equal([rolled.minimumVersion, rolled.delta?.fromVersion, rolled.delta?.entries], [3, 2, 5])
    assert.ok(applied(before, deltaOf(world, rolled)).equals(snapshotOf(world, rolled)))
    await world.hotlists.replaceKey('ada')
    assert.equal([manifestOf(world).version, manifestOf(world).delta], [4, null])
    await world.import(file(rows(0, 101)))
    assert.equal([manifestOf(world).delta?.fromVersion, manifestOf(world).delta?.entries], [4, 1])
  })
})

test('what could not be published goes out with its delta later, from the version that cameras have', async () => {
  await inWorld(async (world) => {
    await world.import(file(rows(0, 100)))
    world.brokerFails = true
    await world.import(file(rows(0, 102)))
    assert.equal([manifestOf(world).version, deltaTopics(world)], [1, []])
    world.brokerFails = false
    await world.restart()
    const second = manifestOf(world)
    assert.equal([second.version, second.delta?.fromVersion, second.delta?.entries], [2, 1, 2])
    assert.is(sha256Hex(deltaOf(world, second)), second.delta?.digest)
    // A version that no camera has seen is none to start from.
    world.brokerFails = true
    await world.import(file(rows(0, 103)))
    world.brokerFails = false
    await world.import(file(rows(0, 104)))
    const fourth = manifestOf(world)
    assert.equal([fourth.version, fourth.delta?.fromVersion, fourth.delta?.entries], [4, 2, 2])
    assert.is(sha256Hex(deltaOf(world, fourth)), fourth.delta?.digest)
    assert.equal(deltaTopics(world), [topics.deltaChunk('springfield', 'stolen', 4, 0)])
  })
})

test('a plate that becomes a pattern leaves the cameras, and the pattern never reaches them', async () => {
  await inWorld(async (world) => {
    const many = rows(0, 100).map((row) => `${row},exact`)
    const csv = (last: string) => `plate,priority,match\n${many.join('\n')}\n${last}\n`
    await world.import(csv('ABC123,3,exact'))
    const before = snapshotOf(world, manifestOf(world))
    await world.import(csv('ABC1*,3,wildcard'))
    const second = manifestOf(world)
    assert.equal([second.entries, second.delta?.entries], [100, 1])
    assert.ok(applied(before, deltaOf(world, second)).equals(snapshotOf(world, second)))
    await world.import(csv('ABC2*,3,wildcard'))
    assert.equal([manifestOf(world).entries, manifestOf(world).delta?.entries], [100, 0])
  })
})

test('a list that is ended and begun again has no delta', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await world.import('plate\n', { allowEmpty: true })
    assert.is(manifestOf(world).delta, null)
    await world.import(plates('ABC123'))
    assert.is(manifestOf(world).delta, null)
  })
})

test.run()

/** A version that comes as what came, changed and went: how it is applied, and everything after which the snapshot is fetched instead. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createListKey } from '../../shared/list-key.ts'
import { sha256Hex } from '../../shared/signing.ts'
import {
  DELTA_RECORD_BYTES,
  type Delta,
  MAX_DELTA_ENTRIES,
  type Manifest,
  type RecordFields,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
} from '../../shared/wire/index.ts'
import { type Hotlists, STALLED_AFTER_MS } from './hotlist.ts'
import { openListTables } from './tables.ts'
import {
  changesOf,
  deliver,
  deliverDelta,
  entry,
  entryId,
  found,
  giveChunks,
  inOrder,
  inWorld,
  key,
  NOW,
  offer,
  type VersionWithDelta,
  versionOf,
  type World,
  withDelta,
} from './testing.ts'

const OLD = [entry(1, 'STA1111'), entry(2, 'CHG2222', { priority: 4 }), entry(3, 'GON3333')]
const NEW = [entry(1, 'STA1111'), entry(2, 'CHG2222', { priority: 1, rule: 'exact' }), entry(4, 'NEW4444')]
const V1 = versionOf(1, OLD)
const V2 = withDelta(versionOf(2, NEW), V1, changesOf(OLD, NEW))

/** Everything that the camera's tables hold in force, as `plate's id priority`. */
function inForce({ database }: World): string[] {
  const [row] = openListTables(database).lists()
  return database
    .prepare(
      `SELECT entry_id || ' ' || priority || ' ' || rule FROM hotlist_digests
       WHERE generation = ? AND since <= ? AND (until IS NULL OR until > ?) ORDER BY 1`,
    )
    .pluck()
    .all(row?.generation, row?.step, row?.step) as string[]
}
const shown = (entries: readonly RecordFields[]) =>
  entries.map(({ entryId: id, priority, rule }) => `${id} ${priority} ${rule}`).sort()

function sweepAll(hotlists: Hotlists, { database }: World): { rows: unknown; chunks: unknown; generations: unknown } {
  for (let rounds = 0; hotlists.sweep() > 0; rounds += 1) assert.ok(rounds < 1_000)
  const count = (table: string) => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get()
  return {
    rows: count('hotlist_digests'),
    // Those of the snapshot in force stay.
    chunks: count(`hotlist_chunks WHERE generation NOT IN (SELECT generation FROM hotlist_lists)`),
    generations: count('hotlist_generations'),
  }
}

test('a camera that has the version before takes what came, changed and went, and nothing else', async () => {
  await inWorld(async (world) => {
    const { hotlists } = world
    await deliver(hotlists, V1)
    assert.is(offer(hotlists, V2), null)
    assert.equal(hotlists.wanted, { kind: 'delta', list: 'stolen', version: 2 })
    giveChunks(hotlists, V2)
    assert.is(await hotlists.advance(), null, 'chunks of the snapshot are none of the delta')
    giveChunks(hotlists, { ...V2, chunks: V2.deltaChunks }, 'delta')
    const applying = hotlists.advance()
    assert.is(found(hotlists, 'GON3333'), 'stolen v1 exact', 'the old version matches while it is written')
    assert.is(found(hotlists, 'NEW4444'), null)
    const ack = await applying
    assert.equal([ack?.result, ack?.version, ack?.digest], ['applied', 2, V2.manifest.digest])
    assert.is(world.database.pragma('synchronous', { simple: true }), 2, 'what is committed next outlives a power cut')
    assert.is(found(hotlists, 'STA1111'), 'stolen v2 exact')
    assert.is(found(hotlists, 'NEW4444'), 'stolen v2 exact')
    assert.is(found(hotlists, 'GON3333'), null)
    assert.is(found(hotlists, 'CH62222'), null, 'it may no more be met by a near read')
    assert.equal(inForce(world), shown(NEW))
    const [status] = hotlists.status(NOW)
    assert.equal([status?.version, status?.entries, status?.failedDeltas], [2, 3, 0])
    assert.equal(
      sweepAll(hotlists, world),
      { rows: 3, chunks: 0, generations: 1 },
      'and the rows that went are deleted',
    )
    assert.equal(inForce(world), shown(NEW))
  })
})

test('the old version matches whole until the moment of the new one, over many steps', async () => {
  await inWorld(async (world) => {
    const { hotlists } = world
    const plate = (n: number) => `P${String(n).padStart(6, '0')}`
    const old = Array.from({ length: 4_000 }, (_, n) => entry(n, plate(n)))
    const now = [...old.slice(1_000), ...Array.from({ length: 500 }, (_, n) => entry(5_000 + n, plate(5_000 + n)))]
    const first = versionOf(1, old)
    await deliver(hotlists, first)
    const next = withDelta(versionOf(2, now), first, changesOf(old, now))
    offer(hotlists, next)
    giveChunks(hotlists, { ...next, chunks: next.deltaChunks }, 'delta')
    let isOver = false
    let turns = 0
    const applying = hotlists.advance().then((ack) => {
      isOver = true
      assert.is(ack?.result, 'applied')
    })
    const sides = () =>
      [plate(0), plate(999), plate(1_000), plate(5_000), plate(5_499)].map((one) => found(hotlists, one))
    const before = [...Array(3).fill('stolen v1 exact'), null, null]
    const after = [null, null, ...Array(3).fill('stolen v2 exact')]
    for (;;) {
      const seen = sides()
      assert.ok(
        [before, after].some((side) => JSON.stringify(side) === JSON.stringify(seen)),
        JSON.stringify(seen),
      )
      if (isOver) break
      turns += 1
      await new Promise((resolve) => setImmediate(resolve))
    }
    await applying
    assert.ok(turns > 5, `${turns} turns of the event loop`)
    assert.equal(sides(), after)
    assert.equal(inForce(world), shown(now))
  })
})

test('any row of deltas leaves what the snapshots would have', async () => {
  await inWorld(async (world) => {
    let hotlists = world.hotlists
    const digit = (text: string) => Number.parseInt(sha256Hex(text).slice(0, 4), 16)
    let entries = Array.from({ length: 40 }, (_, n) => entry(n, `P${n}X`))
    let last = versionOf(1, entries)
    await deliver(hotlists, last)
    for (let version = 2; version <= 30; version += 1) {
      const before = entries
      const kept = before.filter(({ entryId: id }) => digit(`${version} goes ${id}`) % 5 > 0)
      const changed = kept.map((each) =>
        digit(`${version} changes ${each.entryId}`) % 4 > 0 ? each : { ...each, priority: (each.priority % 5) + 1 },
      )
      // Half of those that have gone come back.
      const back = Array.from({ length: 80 }, (_, n) => entry(n, `P${n}X`)).filter(
        ({ entryId: id }) => digit(`${version} comes ${id}`) % 8 === 0 && kept.every((each) => each.entryId !== id),
      )
      entries = [...changed, ...back]
      const next = withDelta(versionOf(version, entries), last, changesOf(before, entries))
      assert.is((await deliverDelta(hotlists, next))?.result, 'applied', `version ${version}`)
      assert.equal(inForce(world), shown(entries), `version ${version}`)
      if (version % 3 === 0) sweepAll(hotlists, world)
      if (version % 7 === 0) hotlists = world.restart()
      last = next
    }
    assert.is(hotlists.status(NOW)[0]?.failedDeltas, 0)
    assert.equal(sweepAll(hotlists, world), { rows: entries.length, chunks: 0, generations: 1 })
    assert.equal(inForce(world), shown(entries))
  })
})

test('where nothing has changed a version is applied without a chunk', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, V1)
    const same = withDelta(versionOf(2, OLD), V1, Buffer.alloc(0))
    assert.is(offer(hotlists, same), null)
    assert.is((await hotlists.advance())?.result, 'applied')
    assert.is(found(hotlists, 'GON3333'), 'stolen v2 exact')
  })
})

test('who has not exactly the version it starts from, or has it under another key, takes the snapshot', async () => {
  const other = createListKey(Buffer.alloc(32, 9))
  const has: Record<string, VersionWithDelta['manifest'] | null> = {
    nothing: null,
    'the version before that': { ...V1.manifest, version: 1 },
    'the same version with another digest': { ...versionOf(2, []).manifest },
    'another key': { ...V1.manifest, version: 2, keyId: other.keyId },
  }
  for (const [what, manifest] of Object.entries(has)) {
    await inWorld(async ({ hotlists, restart }) => {
      const chunks = manifest?.entries === 0 ? [] : V1.chunks
      if (manifest !== null) assert.is((await deliver(hotlists, { manifest, chunks }))?.result, 'applied', what)
      const start = { manifest: { ...V1.manifest, version: 2 }, chunks: [] }
      const next = withDelta(versionOf(3, NEW), start, changesOf(OLD, NEW))
      assert.is(offer(hotlists, next), null)
      assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 3 }, what)
      giveChunks(hotlists, next)
      assert.is((await hotlists.advance())?.result, 'applied', what)
      // The key was forgotten where nothing needed it.
      assert.is(found(restart(), 'NEW4444'), 'stolen v3 exact', what)
      assert.is(hotlists.status(NOW)[0]?.failedDeltas, 0, what)
    })
  }
})

/** Deltas from V1 to V2 that are not what they should be, each as its bytes and what the manifest says of them. */
function badDeltas(): Record<string, VersionWithDelta> {
  const good = changesOf(OLD, NEW)
  const of = (bytes: Buffer, change: Partial<Delta> = {}, chunkBytes?: number) =>
    withDelta(versionOf(2, NEW), V1, bytes, change, chunkBytes)
  const records = Array.from({ length: 3 }, (_, n) =>
    good.subarray(n * DELTA_RECORD_BYTES, (n + 1) * DELTA_RECORD_BYTES),
  ) as [Buffer, Buffer, Buffer]
  const isRemoval = (record: Buffer) => record.at(-1) === 0
  const put = records.findIndex((record) => !isRemoval(record))
  const removal = records.findIndex(isRemoval)
  const changed = (record: number, at: number, value: number) => {
    const bytes = Buffer.from(good)
    bytes[record * DELTA_RECORD_BYTES + at] = value
    return of(bytes)
  }
  const absent = changesOf([...OLD, entry(9, 'ABS9999')], NEW)
  const otherwise = OLD.map((each) => ({ ...each, priority: 5 }))
  const foreign = of(changesOf(OLD, otherwise), {}, DELTA_RECORD_BYTES)
  const whole = of(good, {}, DELTA_RECORD_BYTES)
  const tampered = Buffer.from(good)
  tampered[3] = (tampered[3] ?? 0) ^ 1
  const twoChunks = of(good, { chunks: 2 })
  return {
    tampered: { ...of(good), deltaChunks: [tampered] },
    'with a digest that is another': of(good, { digest: '0'.repeat(64) }),
    'with chunks in another order': { ...whole, deltaChunks: [...whole.deltaChunks].reverse() },
    'with a chunk of another delta': {
      ...whole,
      deltaChunks: [foreign.deltaChunks[0], ...whole.deltaChunks.slice(1)] as Buffer[],
    },
    'with records out of order': of(Buffer.concat([records[1], records[0], records[2]])),
    'with the same record twice': of(Buffer.concat([records[0], records[0], records[1], records[2]])),
    'with a record too few': of(good.subarray(DELTA_RECORD_BYTES)),
    'with an operation that is none': changed(put, SNAPSHOT_RECORD_BYTES, 2),
    'with a put that should be a removal': changed(removal, SNAPSHOT_RECORD_BYTES, 1),
    'with a removal that says more': changed(put, SNAPSHOT_RECORD_BYTES, 0),
    'with a removal of no id': changed(removal, 22, 0x40),
    'with a priority that is none': changed(put, 50, 6),
    'with a rule that is none': changed(put, 51, 2),
    'with a time that is none': changed(put, 32, 1),
    'removing what is not there': of(absent),
    'cut within a record': {
      ...twoChunks,
      deltaChunks: [good.subarray(0, DELTA_RECORD_BYTES + 1), good.subarray(DELTA_RECORD_BYTES + 1)],
    },
    'that goes further than its version': of(changesOf(OLD, [...NEW, entry(7, 'MOR7777')])),
  }
}

test('a delta that is not what its version needs gives way to the snapshot, and the old version matches meanwhile', async () => {
  for (const [what, bad] of Object.entries(badDeltas())) {
    await inWorld(async (world) => {
      const { hotlists } = world
      await deliver(hotlists, V1)
      assert.is(await deliverDelta(hotlists, bad), null, what)
      assert.is(
        world.database.pragma('synchronous', { simple: true }),
        2,
        'what is committed next outlives a power cut',
      )
      assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 2 }, what)
      assert.equal(inForce(world), shown(OLD), what)
      assert.is(found(hotlists, 'NEW4444'), null, what)
      giveChunks(hotlists, bad)
      assert.is((await hotlists.advance())?.result, 'applied', what)
      assert.equal(inForce(world), shown(NEW), what)
      assert.is(hotlists.status(NOW)[0]?.failedDeltas, 1, what)
      assert.equal(sweepAll(hotlists, world), { rows: 3, chunks: 0, generations: 1 }, what)
    })
  }
})

test('when the snapshot is no good either, the version is refused and the last good one matches, whole', async () => {
  for (const [what, bad] of Object.entries(badDeltas())) {
    await inWorld(async (world) => {
      const { hotlists } = world
      await deliver(hotlists, V1)
      await deliverDelta(hotlists, bad)
      const [chunk] = bad.chunks as [Buffer]
      giveChunks(hotlists, { ...bad, chunks: [Buffer.concat([chunk.subarray(1), Buffer.alloc(1)])] })
      const ack = await hotlists.advance()
      assert.equal([ack?.result, ack?.version], ['refused', 2], what)
      assert.match(ack?.reason ?? '', /digest does not match/, what)
      assert.equal([hotlists.wanted, inForce(world)], [null, shown(OLD)], what)
      // It starts from the same rows: none that the failed one has marked may go with it.
      const third = [entry(2, 'CHG2222', { priority: 4 }), entry(3, 'GON3333'), entry(8, 'THR8888')]
      const next = withDelta(versionOf(3, third), V1, changesOf(OLD, third))
      assert.is((await deliverDelta(hotlists, next))?.result, 'applied', what)
      assert.equal(inForce(world), shown(third), what)
      assert.equal(sweepAll(hotlists, world), { rows: 3, chunks: 0, generations: 1 }, what)
      assert.equal(inForce(world), shown(third), what)
    })
  }
})

test('a delta whose chunks do not come, or are too many bytes, gives way to the snapshot after a while', async () => {
  await inWorld(async ({ hotlists, time }) => {
    await deliver(hotlists, V1)
    const whole = withDelta(versionOf(2, NEW), V1, changesOf(OLD, NEW), {}, DELTA_RECORD_BYTES)
    offer(hotlists, whole)
    giveChunks(hotlists, { ...whole, chunks: whole.deltaChunks.slice(0, -1) }, 'delta')
    hotlists.takeChunk({ kind: 'delta', list: 'stolen', version: 2 }, 2, Buffer.alloc(DELTA_RECORD_BYTES + 1))
    time.monotonicMs = STALLED_AFTER_MS
    assert.is(await hotlists.advance(), null)
    assert.is(hotlists.wanted?.kind, 'delta')
    time.monotonicMs += 1
    assert.is(await hotlists.advance(), null)
    assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 2 })
    assert.is(found(hotlists, 'GON3333'), 'stolen v1 exact')
    time.monotonicMs += STALLED_AFTER_MS + 1
    const ack = await hotlists.advance()
    assert.equal([ack?.result, ack?.reason], ['refused', 'its chunks did not come'])
    assert.is(hotlists.status(NOW)[0]?.failedDeltas, 1)
  })
})

test('a delta of before is refused when it is sent again, and its chunks are none of a later one', async () => {
  await inWorld(async (world) => {
    const { hotlists } = world
    await deliver(hotlists, V1)
    await deliverDelta(hotlists, V2)
    const third = [entry(4, 'NEW4444')]
    const next = withDelta(versionOf(3, third), V2, changesOf(NEW, third))
    offer(hotlists, next)
    giveChunks(hotlists, { ...V2, chunks: V2.deltaChunks }, 'delta')
    assert.is(await hotlists.advance(), null)
    giveChunks(hotlists, { ...next, chunks: next.deltaChunks }, 'delta')
    assert.is((await hotlists.advance())?.result, 'applied')
    assert.match((await deliverDelta(hotlists, V2))?.reason ?? '', /older than version 3, which is applied/)
    const again = withDelta(versionOf(3, NEW), V1, changesOf(OLD, NEW))
    assert.match((await deliverDelta(hotlists, again))?.reason ?? '', /same version with other content/)
    assert.equal(inForce(world), shown(third))
  })
})

test('a newer version that comes meanwhile takes the place of a delta that fails', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, V1)
    const bad = badDeltas()['that goes further than its version'] as VersionWithDelta
    offer(hotlists, bad)
    giveChunks(hotlists, { ...bad, chunks: bad.deltaChunks }, 'delta')
    const applying = hotlists.advance()
    const third = versionOf(3, NEW)
    assert.is(offer(hotlists, third), null)
    const ack = await applying
    assert.equal([ack?.result, ack?.version], ['refused', 2])
    assert.equal(hotlists.wanted, { kind: 'snapshot', list: 'stolen', version: 3 })
    giveChunks(hotlists, third)
    assert.is((await hotlists.advance())?.result, 'applied')
  })
})

test('a process that ends in the midst of a delta leaves the old version whole, and the next takes it up', async () => {
  await inWorld(async (world) => {
    await deliver(world.hotlists, V1)
    // What is committed of it when the process ends: one step.
    const tables = openListTables(world.database)
    const [row] = tables.lists()
    const step = tables.newStep(row?.generation ?? 0)
    tables.change(row?.generation ?? 0, step, [
      { entry: entry(3, 'GON3333'), removed: true },
      { entry: entry(2, 'CHG2222', { priority: 1 }), removed: false },
      { entry: entry(4, 'NEW4444'), removed: false },
    ])
    tables.putChunk(step, 0, Buffer.from('x'))
    const again = world.restart()
    assert.equal([found(again, 'GON3333'), found(again, 'NEW4444')], ['stolen v1 exact', null])
    assert.equal(inForce(world), shown(OLD))
    assert.is((await deliverDelta(again, V2))?.result, 'applied')
    assert.equal(inForce(world), shown(NEW))
    assert.equal(sweepAll(again, world), { rows: 3, chunks: 0, generations: 1 })
    assert.equal(inForce(world), shown(NEW))
  })
})

test('a recalled version stops matching at once, also after a restart, and the delta leads on from it', async () => {
  await inWorld(async (world) => {
    await deliver(world.hotlists, V1)
    const recalling = { ...V2, manifest: { ...V2.manifest, minimumVersion: 2 } }
    assert.is(offer(world.hotlists, recalling), null)
    for (const hotlists of [world.hotlists, world.restart()]) {
      assert.is(found(hotlists, 'GON3333'), null)
      assert.equal([hotlists.status(NOW)[0]?.version, hotlists.missingKeys], [0, []])
    }
    const again = world.restart()
    assert.match((await deliver(again, V1))?.reason ?? '', /older than the minimum version 2/)
    assert.is((await deliverDelta(again, recalling))?.result, 'applied')
    assert.equal([found(again, 'GON3333'), found(again, 'NEW4444')], [null, 'stolen v2 exact'])
  })
})

test('numbers of a delta are taken at their limits and refused one past them', async () => {
  const most = { entries: MAX_DELTA_ENTRIES, bytes: MAX_DELTA_ENTRIES * DELTA_RECORD_BYTES, chunks: 1_000 }
  const room = Math.floor((2 * SNAPSHOT_CHUNK_BYTES) / DELTA_RECORD_BYTES)
  const sized = (entries: number) => ({ chunks: 2, entries, bytes: entries * DELTA_RECORD_BYTES })
  const limits: [Partial<Delta>, Partial<Delta>, RegExp][] = [
    [most, { ...most, ...sized(MAX_DELTA_ENTRIES + 1) }, /delta\.(bytes|entries)/],
    [sized(room), sized(room + 1), /chunks of its delta can hold/],
    [{ fromVersion: 1 }, { fromVersion: 2 }, /does not start from an older version/],
    [{}, { bytes: 1 }, /bytes of its delta are not those of its entries/],
  ]
  for (const [taken, past, reason] of limits) {
    await inWorld(async ({ hotlists }) => {
      await deliver(hotlists, V1)
      const said = (change: Partial<Delta>) => withDelta(versionOf(2, NEW), V1, changesOf(OLD, NEW), change)
      const refused = offer(hotlists, said(past))
      assert.is(refused?.result, 'refused', JSON.stringify(past))
      assert.match(refused?.reason ?? '', reason)
      assert.is(offer(hotlists, said(taken)), null, JSON.stringify(taken))
      assert.is(hotlists.wanted?.kind, 'delta')
    })
  }
})

test('a manifest of before there were deltas is followed, and tables of before are made anew', async () => {
  await inWorld(async ({ database, restart }) => {
    database.exec(`DROP TABLE hotlist_digests; DROP TABLE hotlist_lists;
      CREATE TABLE hotlist_lists (list TEXT PRIMARY KEY, generation INTEGER, version INTEGER NOT NULL) STRICT;
      INSERT INTO hotlist_lists VALUES ('stolen', 1, 7);
      CREATE TABLE hotlist_digests (generation INTEGER, digest BLOB, entry_id TEXT, PRIMARY KEY (generation, digest)) STRICT`)
    const hotlists = restart()
    assert.equal(hotlists.status(NOW), [])
    const { delta: _, ...manifest } = V1.manifest
    assert.is((await deliver(hotlists, { ...V1, manifest: manifest as Manifest }))?.result, 'applied')
    assert.is(hotlists.match({ plate: 'GON3333', candidates: [], jurisdiction: null }, NOW)?.entryId, entryId(3))
    assert.ok(inOrder(OLD).length === 3 && key.keyId === V1.manifest.keyId)
  })
})

test.run()

/** Changes of a list that need a second person or a new key, and what they must not touch. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { topics } from '../../shared/topics.ts'
import type { Manifest } from '../../shared/wire/index.ts'
import { readOf } from '../testing.ts'
import { MIN_JUDGED_ENTRIES } from './importing.ts'
import { openManifest } from './snapshot.ts'
import { inWorld, plates, rejects, type World } from './testing.ts'

const many = (from: number, to: number, more = '') =>
  `plate${more === '' ? '' : ',expires'}\n${Array.from({ length: to - from }, (_, i) => `P${from + i}00${more}`).join('\n')}\n`
const manifestOf = (world: World, list = 'stolen') =>
  openManifest(world.retained.get(topics.manifest('springfield', list))?.toString() ?? '') as Manifest
const listOf = async (world: World) => (await world.hotlists.status())[0]

test('a new key makes a new version of every list with other digests, also when it was cut short', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await world.import(plates('XYZ789'), { list: 'wanted' })
    const before = world.keys.current
    const id = world.hotlists.match(readOf('ABC123'), world.nowMs)?.entryId
    assert.equal(await world.hotlists.replaceKey('ada'), { lists: 2 })
    const snapshot = (version: number) => world.retained.get(topics.snapshotChunk('springfield', 'stolen', version, 0))
    assert.is(snapshot(1), undefined)
    assert.ok(snapshot(2)?.includes(world.keys.current.digest('ABC123')))
    assert.not.ok(snapshot(2)?.includes(before.digest('ABC123')))
    assert.is(world.keys.find(before.keyId), null)
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs)?.entryId, id, 'an entry keeps its id')
    // The cloud ends after the key was replaced and before any list was.
    await world.keys.replace()
    await world.restart()
    assert.ok(snapshot(3)?.includes(world.keys.current.digest('ABC123')))
    assert.is(world.hotlists.match(readOf('XYZ789'), world.nowMs)?.listVersion, 3)
    await world.restart()
    assert.is(world.hotlists.match(readOf('XYZ789'), world.nowMs)?.listVersion, 3)
  })
})

test('a refresh that takes away more than half of a list waits for a second person', async () => {
  await inWorld(async (world) => {
    const rows = (from: number, to: number) => plates(...Array.from({ length: to - from }, (_, i) => `P${from + i}00`))
    const inForce = async () => (await world.hotlists.status())[0]?.version
    await world.import(rows(100, 100 + MIN_JUDGED_ENTRIES - 1))
    assert.ok((await world.import(plates('ABC123'))).applied, 'a list too short to be judged')
    await world.import(rows(100, 200))
    const half = await world.import(rows(150, 300))
    assert.equal(
      [half.applied, half.difference],
      [true, { added: 100, unchanged: 50, changed: 0, removed: 50, ended: 0 }],
    )
    const dry = await world.import(rows(226, 300), { dryRun: true })
    assert.equal(
      [dry.notApplied, dry.difference],
      ['dry run', { added: 0, unchanged: 74, changed: 0, removed: 76, ended: 0 }],
    )
    const report = await world.import(rows(226, 310))
    const { applied, version, pendingVersion } = report
    assert.equal([applied, version, pendingVersion, report.difference.removed], [false, null, 5, 76])
    assert.match(report.notApplied ?? '', /76 of 150 entries would go; a second person must approve version 5/)
    assert.ok(world.hotlists.match(readOf('P15000'), world.nowMs), 'the old one matches')
    assert.is(world.hotlists.match(readOf('P30900'), world.nowMs), null)
    assert.is((await world.hotlists.diff('stolen', 4, 5)).removed, 76, 'it can be looked at')
    await rejects(world.hotlists.rollback('stolen', 5, 'bob'), 'not_found')
    await rejects(world.hotlists.approve('stolen', 5, 'ada'), 'forbidden')
    await rejects(world.hotlists.approve('stolen', 4, 'bob'), 'not_found')
    await world.restart()
    const [waiting] = (await world.hotlists.status())[0]?.pending ?? []
    assert.equal([waiting?.version, waiting?.entries, waiting?.madeBy], [5, 84, 'ada'], 'it outlives a restart')
    assert.equal(await world.hotlists.approve('stolen', 5, 'bob'), { version: 5, entries: 84, prohibited: 0 })
    assert.equal([await inForce(), world.hotlists.match(readOf('P15000'), world.nowMs)], [5, null])
    assert.ok(world.hotlists.match(readOf('P30900'), world.nowMs))
    await rejects(world.hotlists.approve('stolen', 5, 'bob'), 'not_found')
  })
})

test('the newest version that waits takes the place of the one before; rejected or overtaken, it never comes into force', async () => {
  await inWorld(async (world) => {
    const rows = (count: number) => plates(...Array.from({ length: count }, (_, i) => `P${100 + i}00`))
    await world.import(rows(100))
    const pending = async () => (await world.hotlists.status())[0]?.pending.map(({ version }) => version)
    await world.import(rows(10))
    await world.import(rows(20))
    assert.equal(await pending(), [3])
    await world.hotlists.reject('stolen', 3)
    await rejects(world.hotlists.reject('stolen', 3), 'not_found')
    assert.equal(await pending(), [])
    const { pendingVersion } = await world.import(rows(30), { settings: { groups: ['traffic'] } })
    assert.ok((await world.import(rows(90))).applied)
    await rejects(world.hotlists.approve('stolen', pendingVersion ?? 0, 'bob'), 'not_found')
    assert.equal(await pending(), [], 'an import that is applied takes its place too')
    assert.equal(world.hotlists.match(readOf('P10000'), world.nowMs)?.groups, ['patrol'])
    const next = await world.import(rows(31), { settings: { groups: ['traffic'] } })
    await world.hotlists.approve('stolen', next.pendingVersion ?? 0, 'bob')
    assert.equal(
      world.hotlists.match(readOf('P10000'), world.nowMs)?.groups,
      ['traffic'],
      'with the settings of its import',
    )
  })
})

test('no number of a version is given twice, so that an approval is about the file that was looked at', async () => {
  await inWorld(async (world) => {
    await world.import(many(100, 200))
    const first = await world.import(many(100, 110))
    await world.hotlists.reject('stolen', first.pendingVersion ?? 0)
    const second = await world.import(many(900, 910))
    assert.equal([first.pendingVersion, second.pendingVersion], [2, 3])
    await rejects(world.hotlists.approve('stolen', 2, 'bob'), 'not_found')
    await world.restart()
    await world.hotlists.reject('stolen', 3)
    assert.is((await world.import(many(100, 201))).version, 4)
  })
})

test('an approval brings in what its import asked for, shown beforehand, and nothing that was changed since', async () => {
  await inWorld(async (world) => {
    await world.import(many(100, 200))
    const { pendingVersion } = await world.import(many(100, 110), { settings: { rule: 'near' } })
    await world.hotlists.configure('stolen', { groups: ['detectives'] })
    assert.equal((await listOf(world))?.pending[0]?.settings, { rule: 'near' })
    await world.hotlists.approve('stolen', pendingVersion ?? 0, 'bob')
    const list = await listOf(world)
    assert.equal([list?.groups, list?.rule], [['detectives'], 'near'])
  })
})

test('entries that would be over count as gone, those that are over already do not', async () => {
  await inWorld(async (world) => {
    await world.import(many(100, 200))
    const over = await world.import(many(100, 200, ',2021-01-01'))
    assert.equal([over.applied, over.difference.removed, over.difference.ended], [false, 0, 100])
    await world.hotlists.approve('stolen', over.pendingVersion ?? 0, 'bob')
    const again = await world.import(many(100, 200, ',2021-01-01'))
    assert.equal([again.applied, again.difference.ended], [true, 0])
  })
})

test('a new key leaves a list as old as it was, its earlier versions to go back to, and what waits to be approved', async () => {
  await inWorld(async (world) => {
    const DAY_MS = 86_400_000
    await world.import(many(100, 200))
    await world.import(many(100, 201))
    const waiting = await world.import(many(100, 110))
    world.nowMs += 30 * DAY_MS
    const before = await listOf(world)
    await world.hotlists.replaceKey('ada')
    await world.hotlists.replaceKey('ada')
    const after = await listOf(world)
    assert.equal([after?.stale, after?.ageMs, after?.entries], [true, before?.ageMs, 101])
    assert.is(manifestOf(world).issuedAtMs, world.nowMs - 30 * DAY_MS)
    assert.ok(manifestOf(world).expiresAtMs > world.nowMs, 'cameras take it all the same')
    const approved = await world.hotlists.approve('stolen', waiting.pendingVersion ?? 0, 'bob')
    assert.ok(approved.version > (after?.version ?? 0), 'cameras take no lower number')
    assert.equal((await listOf(world))?.pending, [])
    assert.is((await world.hotlists.rollback('stolen', null, 'ada')).entries, 101)
  })
})

test('only a roll-back calls the version before back; a refresh or a new key leaves it until the next has arrived', async () => {
  await inWorld(async (world) => {
    await world.import(many(100, 150))
    await world.import(many(100, 151))
    assert.is(manifestOf(world).minimumVersion, 1)
    await world.hotlists.rollback('stolen', null, 'ada')
    assert.equal([manifestOf(world).version, manifestOf(world).minimumVersion], [3, 3])
    await world.import(many(100, 152))
    await world.hotlists.replaceKey('ada')
    assert.equal([manifestOf(world).version, manifestOf(world).minimumVersion], [5, 3])
  })
})

test('a list whose age limit is short is over when it says so', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'), { settings: { maxAgeMs: 60_000 } })
    assert.is(manifestOf(world).expiresAtMs, world.nowMs + 60_000)
  })
})

test('an old key is kept until every list is published under the new one, which is tried again', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    const old = world.keys.current.keyId
    world.brokerFails = true
    await world.hotlists.replaceKey('ada')
    await world.hotlists.replaceKey('ada')
    await world.hotlists.upkeep()
    assert.is(world.keys.find(old)?.keyId, old)
    assert.is(manifestOf(world).keyId, old, 'what cameras see is still under it')
    world.brokerFails = false
    await world.hotlists.upkeep()
    assert.is(manifestOf(world).keyId, world.keys.current.keyId)
    await world.hotlists.upkeep()
    assert.is(world.keys.find(old), null)
  })
})

test('a key whose replacement does not fit on the disk keeps no cloud from starting', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await world.keys.replace()
    const { writeBatch } = world.database
    let writes = 0
    // The second page of the copy does not fit.
    world.database.writeBatch = async (statements) => {
      writes += 1
      if (writes === 2) throw new AppError('storage_full', 'no space left')
      return writeBatch(statements)
    }
    await world.hotlists.upkeep()
    const left = world.database.build.selectFrom('hotlist_versions').select('version').where('state', '=', 'staging')
    assert.equal(await world.database.read(left), [], 'half a copy is not left')
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs)?.listVersion, 1)
    world.database.writeBatch = writeBatch
    await world.hotlists.upkeep()
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs)?.listVersion, 2)
  })
})

test.run()

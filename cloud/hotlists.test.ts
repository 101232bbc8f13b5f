import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { createSigner, createVerifier, sha256Hex } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import {
  manifestSchema,
  readRecord,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
  snapshotEntrySchema,
} from '../shared/wire/index.ts'
import type { Statement } from './database/database.ts'
import { ROWS_PER_BATCH } from './hotlists/csv.ts'
import { MAX_DIFF_ENTRIES } from './hotlists/diff.ts'
import { ROWS_PER_STEP } from './hotlists/reading.ts'
import { KEPT_VERSIONS } from './hotlists/retiring.ts'
import { MAX_LISTS } from './hotlists/rows.ts'
import { DEFAULT_MAX_AGE_MS, MAX_GROUPS_PER_LIST, MAX_MAX_AGE_MS } from './hotlists/settings.ts'
import { inWorld, keyPem, plates, rejects } from './hotlists/testing.ts'
import { readOf } from './testing.ts'

test('an imported list matches exactly, and near only where the list or the entry says so', async () => {
  await inWorld(async (world) => {
    const report = await world.import('plate,match,category,priority\nABC1230,,stolen,1\nXYZ8888,near,wanted,2\n')
    assert.ok(report.applied)
    assert.is(report.version, 1)
    assert.match(report.sourceSha256, /^[0-9a-f]{64}$/)
    const [stored] = await world.database.read(
      world.database.build.selectFrom('hotlist_versions').select('source_sha256'),
    )
    assert.is(stored?.source_sha256, report.sourceSha256)
    const { match } = world.hotlists
    const exact = match(readOf('ABC1230'), world.nowMs)
    assert.is(exact?.kind, 'exact')
    assert.is(exact?.list, 'stolen')
    assert.is(exact?.listVersion, 1)
    assert.is(exact?.category, 'stolen')
    assert.is(exact?.priority, 1)
    assert.equal(exact?.groups, ['patrol'])
    assert.is(match(readOf('ABC123O'), world.nowMs), null, 'the entry is exact')
    assert.is(match(readOf('XYZB888'), world.nowMs)?.kind, 'near')
    assert.is(match(readOf('XYZB888'), world.nowMs)?.plate, 'XYZ8888')
    assert.is(match(readOf('XYZBB88'), world.nowMs), null, 'two differences')
    assert.is(match(readOf('NOTHERE'), world.nowMs), null)
    await world.import('plate\nABC1230\n', { settings: { rule: 'near' } })
    assert.is(world.hotlists.match(readOf('ABC123O'), world.nowMs)?.kind, 'near')
  })
})

test('an entry matches from when it is effective until it expires', async () => {
  await inWorld(async (world) => {
    await world.import('plate,effective,expires\nABC123,2026-01-02T00:00:00Z,2026-01-03T00:00:00Z\n')
    const at = (iso: string) => world.hotlists.match(readOf('ABC123'), Date.parse(iso))
    assert.is(at('2026-01-01T23:59:59.999Z'), null)
    assert.ok(at('2026-01-02T00:00:00Z'))
    assert.ok(at('2026-01-02T23:59:59.999Z'))
    assert.is(at('2026-01-03T00:00:00Z'), null)
  })
})

test('the best of several entries is exact, of the read jurisdiction, and urgent; the groups of all lists are alerted', async () => {
  await inWorld(async (world) => {
    await world.import('plate,jurisdiction,priority,case\nABC1230,US-NV,1,1\nABC1230,US-CA,4,2\nABC1230,,2,3\n')
    await world.import('plate,match,priority\nABC123O,near,1\n', {
      list: 'amber',
      settings: { groups: ['detectives'] },
    })
    const { match } = world.hotlists
    assert.is(match(readOf('ABC1230', 'US-CA'), world.nowMs)?.jurisdiction, 'US-CA')
    assert.is(match(readOf('ABC1230', 'US-NY'), world.nowMs)?.jurisdiction, null)
    assert.is(match(readOf('ABC1230'), world.nowMs)?.jurisdiction, 'US-NV', 'unknown: the most urgent')
    const best = match(readOf('ABC1230'), world.nowMs)
    assert.is(best?.kind, 'exact')
    assert.equal(best?.groups, ['detectives', 'patrol'])
  })
})

test('a file with one bad row changes nothing; with leave to skip, the good rows are applied', async () => {
  await inWorld(async (world) => {
    await world.import(plates('OLD123'))
    const bad = plates('NEW123', '!', 'NEW456')
    const report = await world.import(bad)
    assert.not(report.applied)
    assert.match(report.notApplied ?? '', /1 bad rows/)
    assert.equal(
      report.problems.map((problem) => problem.line),
      [3],
    )
    assert.ok(world.hotlists.match(readOf('OLD123'), world.nowMs))
    assert.is(world.hotlists.match(readOf('NEW123'), world.nowMs), null)
    const rows = await world.database.read(world.database.build.selectFrom('hotlist_entries').select('plate'))
    assert.is(rows.length, 1, 'nothing is left of the attempt')
    const skipped = await world.import(bad, { skipBad: true })
    assert.ok(skipped.applied)
    assert.is(skipped.good, 2)
    assert.is(skipped.bad, 1)
    assert.is(world.hotlists.match(readOf('OLD123'), world.nowMs), null)
    assert.ok(world.hotlists.match(readOf('NEW456'), world.nowMs))
  })
})

test('a dry run reports and changes nothing, not even for a list that does not exist', async () => {
  await inWorld(async (world) => {
    const report = await world.import(plates('ABC123'), { dryRun: true })
    assert.not(report.applied)
    assert.is(report.good, 1)
    assert.equal(await world.hotlists.status(), [])
    assert.is(world.order.length, 0)
  })
})

test('a file without a plate column is refused even with leave to skip, and an empty list needs leave', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    assert.not((await world.import('number\nABC123\n', { skipBad: true })).applied)
    assert.match((await world.import('plate\n')).notApplied ?? '', /no entry/)
    assert.ok(world.hotlists.match(readOf('ABC123'), world.nowMs))
    assert.ok((await world.import('plate\n', { allowEmpty: true })).applied)
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs), null)
    const [version] = (await world.hotlists.status())[0]?.versions ?? []
    assert.is(version?.entries, 0)
    const envelope = JSON.parse(world.retained.get(topics.manifest('springfield', 'stolen'))?.toString() ?? '') as {
      payload: string
    }
    const manifest = manifestSchema.parse(JSON.parse(Buffer.from(envelope.payload, 'base64').toString()))
    assert.is(manifest.chunks, 0)
    assert.is(manifest.digest, sha256Hex(''))
    assert.equal([...world.retained.keys()], [topics.manifest('springfield', 'stolen')])
  })
})

test('an entry keeps its id over refreshes as long as plate, jurisdiction and case are the same', async () => {
  await inWorld(async (world) => {
    await world.import('plate,case,reason\nABC123,1,a\nBCD234,2,b\n')
    const id = (plate: string) => world.hotlists.match(readOf(plate), world.nowMs)?.entryId
    const [abc, bcd] = [id('ABC123'), id('BCD234')]
    await world.import('plate,case,reason\nCDE345,3,\nABC123,1,another reason\nBCD234,9,\n')
    assert.is(id('ABC123'), abc)
    assert.is.not(id('BCD234'), bcd)
  })
})

test('what is published verifies, adds up and holds no reason and no case number', async () => {
  await inWorld(async (world) => {
    const rows = Array.from({ length: 3_000 }, (_, i) => `P${String(i).padStart(6, '0')},secret reason ${i},case-${i}`)
    await world.import(`plate,reason,case\n${rows.join('\n')}\n`)
    const verifier = createVerifier([createSigner(keyPem).publicKeyPem])
    const envelope: unknown = JSON.parse(world.retained.get(topics.manifest('springfield', 'stolen'))?.toString() ?? '')
    const manifest = manifestSchema.parse(JSON.parse(verifier.open(envelope).toString()))
    assert.is(manifest.version, 1)
    assert.is(manifest.entries, 3_000)
    assert.is(manifest.expiresAtMs - manifest.issuedAtMs, DEFAULT_MAX_AGE_MS)
    assert.ok(manifest.chunks > 1)
    const chunks = Array.from({ length: manifest.chunks }, (_, i) => {
      const chunk = world.retained.get(topics.snapshotChunk('springfield', 'stolen', 1, i))
      assert.ok(chunk !== undefined && chunk.length <= SNAPSHOT_CHUNK_BYTES)
      return chunk as Buffer
    })
    const snapshot = Buffer.concat(chunks)
    assert.is(snapshot.length, manifest.bytes)
    assert.is(sha256Hex(snapshot), manifest.digest)
    assert.not.match(snapshot.toString('latin1'), /secret|case-|P00\d{4}/)
    assert.is(snapshot.length, 3_000 * SNAPSHOT_RECORD_BYTES)
    assert.is(manifest.keyId, world.keys.current.keyId)
    const order: string[] = []
    for (let at = 0; at < snapshot.length; at += SNAPSHOT_RECORD_BYTES) {
      const record = readRecord(snapshot, at)
      snapshotEntrySchema.parse({ ...record, digest: Buffer.from(record.digest).toString('hex') })
      order.push(Buffer.from(record.digest).toString('hex'))
    }
    assert.equal(order, [...order].sort())
    assert.ok(order.includes(world.keys.current.digest('P002999').toString('hex')))
    assert.is(world.order.at(-1), topics.manifest('springfield', 'stolen'), 'the manifest goes out last')
  })
})

test('a new version clears the chunks of the old one, also when the cloud stopped in between', async () => {
  await inWorld(async (world) => {
    const rows = (count: number) => plates(...Array.from({ length: count }, (_, i) => `P${String(i).padStart(6, '0')}`))
    await world.import(rows(3_000))
    await world.replace(rows(10))
    const chunkTopics = () => [...world.retained.keys()].filter((topic) => topic.includes('/snapshot/'))
    assert.equal(chunkTopics(), [topics.snapshotChunk('springfield', 'stolen', 2, 0)])
    await world.hotlists
      .publishCurrent(() => Promise.reject(new AppError('unavailable', 'the broker is closing')))
      .catch(() => {})
    assert.ok((await world.import(rows(5))).applied, 'a version that cannot be published is in force all the same')
    await world.restart()
    assert.equal(chunkTopics(), [topics.snapshotChunk('springfield', 'stolen', 3, 0)])
    assert.ok(world.hotlists.match(readOf('P000004'), world.nowMs))
    assert.is(world.hotlists.match(readOf('P000005'), world.nowMs), null)
    const published = world.order.length
    await world.restart()
    assert.is(world.order.length, published, 'what the broker holds does not go out again')
    assert.ok(world.hotlists.match(readOf('P000004'), world.nowMs))
  })
})

test('near matches weigh the candidates of the reader', async () => {
  await inWorld(async (world) => {
    await world.import(plates('HBC1234', 'MBC1284'), { settings: { rule: 'near' } })
    const candidates = [
      { plate: 'MBC1284', confidence: 0.3 },
      { plate: 'HBC1234', confidence: 0.1 },
    ]
    const match = (plate: string, all = candidates) =>
      world.hotlists.match({ plate, candidates: all, jurisdiction: null }, world.nowMs)
    assert.equal([match('MBC1234')?.plate, match('MBC1234')?.score], ['MBC1284', 0.3])
    assert.is(match('MBC1234', candidates.slice(1))?.plate, 'HBC1234')
    assert.equal([match('MBC1234', [])?.plate, match('MBC12B4', [])?.plate], [undefined, 'MBC1284'])
    assert.is(match('MBC12B4', [])?.score, 0)
  })
})

test('an import that was cut short leaves nothing after the next start', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    const { build } = world.database
    await world.database.writeBatch([
      build.insertInto('hotlist_versions').values({
        list: 'stolen',
        version: 2,
        state: 'staging',
        entries: 0,
        chunks: 0,
        chunks_retained: 0,
        cloud_entries: 0,
        effective_at_ms: null,
        expires_at_ms: null,
        past_from_ms: null,
        past_since: null,
        delta_chunks_retained: 0,
        published: 0,
        manifest: null,
        source_sha256: null,
        made_at_ms: 1,
        made_by: 'ada',
      }),
      build.insertInto('hotlist_entries').values({
        list: 'stolen',
        version: 2,
        entry_id: newId(),
        plate: 'HALF11',
        jurisdiction: null,
        category: '',
        priority: 3,
        rule: 'exact',
        reason: null,
        case_number: null,
        effective_at_ms: null,
        expires_at_ms: null,
      }),
    ])
    await world.restart()
    assert.is(world.hotlists.match(readOf('HALF11'), world.nowMs), null)
    assert.ok(world.hotlists.match(readOf('ABC123'), world.nowMs))
    const rows = await world.database.read(world.database.build.selectFrom('hotlist_entries').select('plate'))
    assert.is(rows.length, 1)
  })
})

test('rolling back makes a new, higher version with the old entries and their ids', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123', 'BCD234'))
    const id = world.hotlists.match(readOf('ABC123'), world.nowMs)?.entryId
    await world.import(plates('CDE345'))
    const rolled = await world.hotlists.rollback('stolen', null, 'ada')
    assert.equal(rolled, { version: 3, entries: 2, prohibited: 0 })
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs)?.entryId, id)
    assert.is(world.hotlists.match(readOf('ABC123'), world.nowMs)?.listVersion, 3)
    assert.is(world.hotlists.match(readOf('CDE345'), world.nowMs), null)
    await rejects(world.hotlists.rollback('stolen', 3, 'ada'), 'conflict')
    await rejects(world.hotlists.rollback('stolen', 99, 'ada'), 'not_found')
    await rejects(world.hotlists.rollback('none', null, 'ada'), 'not_found')
  })
})

test('the last versions are kept and the rows of older ones go', async () => {
  await inWorld(async (world) => {
    for (let i = 0; i <= KEPT_VERSIONS; i++) await world.import(plates(`ABC12${i}`))
    const [status] = await world.hotlists.status()
    assert.equal(
      status?.versions.map((version) => [version.version, version.kept]),
      [
        [4, true],
        [3, true],
        [2, true],
        [1, false],
      ],
    )
    await rejects(world.hotlists.rollback('stolen', 1, 'ada'), 'not_found')
    assert.is((await world.hotlists.rollback('stolen', 2, 'ada')).version, 5)
  })
})

test('a difference between two versions names what came and went', async () => {
  await inWorld(async (world) => {
    await world.import('plate,case\nABC123,1\nBCD234,2\n')
    await world.import('plate,case\nBCD234,2\nCDE345,3\n')
    const diff = await world.hotlists.diff('stolen', 1, 2)
    assert.is(diff.added, 1)
    assert.is(diff.removed, 1)
    assert.equal(diff.addedEntries, [{ plate: 'CDE345', jurisdiction: null, caseNumber: '3' }])
    assert.equal(diff.removedEntries, [{ plate: 'ABC123', jurisdiction: null, caseNumber: '1' }])
    await rejects(world.hotlists.diff('stolen', 1, 7), 'not_found')
  })
})

test('a difference counts all and names as many as the limit on each side, in the order of their ids', async () => {
  await inWorld(async (world) => {
    const many = (from: number, count: number) => plates(...Array.from({ length: count }, (_, i) => `P${from + i}`))
    await world.import(many(10_000, MAX_DIFF_ENTRIES))
    await world.import(many(20_000, MAX_DIFF_ENTRIES + 1))
    const { added, removed, addedEntries, removedEntries } = await world.hotlists.diff('stolen', 1, 2)
    assert.equal([removed, removedEntries.length], [MAX_DIFF_ENTRIES, MAX_DIFF_ENTRIES])
    assert.equal([added, addedEntries.length], [MAX_DIFF_ENTRIES + 1, MAX_DIFF_ENTRIES])
    const back = await world.hotlists.diff('stolen', 2, 1)
    assert.equal([back.added, back.removed], [removed, added])
    const names = addedEntries.map(({ plate }) => plate)
    assert.equal(names, [...names].sort(), 'ids grow with time')
    const same = await world.hotlists.diff('stolen', 2, 2)
    assert.equal([same.added, same.removed, same.addedEntries], [0, 0, []])
  })
})

test('a difference reads a step of each version in a turn, however long they are', async () => {
  await inWorld(async (world) => {
    const many = (from: number) =>
      plates(...Array.from({ length: 3 * ROWS_PER_STEP }, (_, i) => `P${10_000 + from + i}`))
    await world.import(many(0))
    await world.import(many(ROWS_PER_STEP))
    const { read } = world.database
    let most = 0
    world.database.read = async <R>(query: Statement<R>) => {
      const rows = await read(query)
      most = Math.max(most, rows.length)
      return rows
    }
    const before = world.turns
    const { added, removed } = await world.hotlists.diff('stolen', 1, 2)
    assert.equal([added, removed], [ROWS_PER_STEP, ROWS_PER_STEP])
    assert.is(most, ROWS_PER_STEP)
    assert.is(world.turns - before, 6, 'one for each step of each version')
  })
})

test('a version that is retired while it is compared is told to be gone, not to be different', async () => {
  await inWorld(async (world) => {
    const rows = plates(...Array.from({ length: 2 * ROWS_PER_STEP }, (_, i) => `P${10_000 + i}`))
    for (let i = 0; i < KEPT_VERSIONS; i++) await world.import(rows)
    world.onTurn = async () => {
      world.onTurn = null
      await world.replace(plates('ABC123'))
    }
    await rejects(world.hotlists.diff('stolen', 1, 2), 'not_found')
    assert.is((await world.hotlists.diff('stolen', 2, 4)).added, 1)
  })
})

test('rows of a version whose retirement was cut short are gone after the next start', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await world.import(plates('BCD234'))
    const { build } = world.database
    await world.database.writeBatch([
      build.updateTable('hotlist_versions').set({ state: 'retiring' }).where('version', '=', 1),
    ])
    await rejects(world.hotlists.rollback('stolen', 1, 'ada'), 'not_found')
    await world.restart()
    const left = await world.database.read(world.database.build.selectFrom('hotlist_entries').select('plate'))
    assert.equal(left, [{ plate: 'BCD234' }])
    const versions = await world.database.read(world.database.build.selectFrom('hotlist_versions').select('state'))
    assert.equal(versions.map(({ state }) => state).sort(), ['ready', 'retired'])
  })
})

test('the status tells age and staleness at the limit', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'), { settings: { maxAgeMs: DAY_MS } })
    world.nowMs += DAY_MS - 1
    assert.is((await world.hotlists.status())[0]?.stale, false)
    world.nowMs += 1
    const [status] = await world.hotlists.status()
    assert.is(status?.stale, true)
    assert.is(status?.ageMs, DAY_MS)
    assert.is(status?.entries, 1)
  })
})

test('groups can be changed without a new version', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await world.hotlists.configure('stolen', { groups: ['traffic', 'detectives'] })
    assert.equal(world.hotlists.match(readOf('ABC123'), world.nowMs)?.groups, ['detectives', 'traffic'])
    await world.restart()
    assert.equal(world.hotlists.match(readOf('ABC123'), world.nowMs)?.groups, ['detectives', 'traffic'])
    await world.import(plates('ABC123'))
    assert.equal(world.hotlists.match(readOf('ABC123'), world.nowMs)?.groups, ['detectives', 'traffic'])
  })
})

test('names, groups, ages and the number of lists are bounded', async () => {
  await inWorld(async (world) => {
    const csv = plates('ABC123')
    await rejects(world.import(csv, { list: 'Not A Slug' }), 'bad_input')
    await rejects(world.import(csv, { settings: { groups: [] } }), 'bad_input')
    await rejects(world.import(csv, { settings: { groups: ['Nope'] } }), 'bad_input')
    await rejects(world.import(csv, { settings: { maxAgeMs: 0 } }), 'bad_input')
    await rejects(world.import(csv, { settings: { maxAgeMs: MAX_MAX_AGE_MS + 1 } }), 'bad_input')
    const groups = (count: number) => Array.from({ length: count }, (_, i) => `g${i}`)
    await rejects(world.import(csv, { settings: { groups: groups(MAX_GROUPS_PER_LIST + 1) } }), 'bad_input')
    assert.ok(
      (await world.import(csv, { settings: { groups: groups(MAX_GROUPS_PER_LIST), maxAgeMs: MAX_MAX_AGE_MS } }))
        .applied,
    )
    for (let i = 1; i < MAX_LISTS; i++) assert.ok((await world.import(csv, { list: `list-${i}` })).applied)
    await rejects(world.import(csv, { list: 'one-more' }), 'too_large')
  })
})

test('two imports at once: the second is told to come back', async () => {
  await inWorld(async (world) => {
    const first = world.import(plates('ABC123'))
    await rejects(world.import(plates('BCD234')), 'conflict')
    assert.ok((await first).applied)
  })
})

test('when the disk is full the old list stays in force and the next import works', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    const write = world.database.writeBatch
    let writes = 0
    world.database.writeBatch = (statements) => {
      writes += 1
      return writes === 2 ? Promise.reject(new AppError('storage_full', 'no space left')) : write(statements)
    }
    await rejects(world.import(plates('BCD234')), 'storage_full')
    assert.ok(world.hotlists.match(readOf('ABC123'), world.nowMs))
    const rows = await world.database.read(world.database.build.selectFrom('hotlist_entries').select('plate'))
    assert.is(rows.length, 1)
    assert.ok((await world.import(plates('BCD234'))).applied)
  })
})

test('an import goes a step of rows a turn, and in each of them the old list matches until the new one is in force', async () => {
  await inWorld(async (world) => {
    const steps = 30
    const rows = (from: number) =>
      plates(...Array.from({ length: steps * ROWS_PER_STEP }, (_, i) => `P${String(i + from).padStart(7, '0')}`))
    await world.import(rows(0))
    const { read, writeBatch } = world.database
    let mostRead = 0
    world.database.read = async <R>(query: Statement<R>) => {
      const found = await read(query)
      mostRead = Math.max(mostRead, found.length)
      return found
    }
    let mostWritten = 0
    world.database.writeBatch = async (statements) => {
      const written = await writeBatch(statements)
      mostWritten = Math.max(mostWritten, ...written.map(({ changes }) => changes))
      return written
    }
    const before = world.turns
    const seen: (number | undefined)[] = []
    world.onTurn = async () => {
      // In both versions, so that each turn shows which one is in force.
      seen.push(world.hotlists.match(readOf('P0010000'), world.nowMs)?.listVersion)
    }
    const report = await world.import(rows(steps * ROWS_PER_STEP - 8_000))
    assert.ok(report.applied)
    // Staged and packed: each a step a turn.
    assert.ok(world.turns - before >= 2 * steps, `${world.turns - before} turns`)
    assert.equal([mostRead, mostWritten], [ROWS_PER_STEP, ROWS_PER_BATCH])
    const changed = seen.indexOf(2)
    assert.ok(changed >= 2 * steps, `in force in turn ${changed}`)
    assert.ok(seen.every((version, turn) => version === (turn < changed ? 1 : 2)))
    assert.is(world.hotlists.match(readOf('P0000001'), world.nowMs), null)
    assert.ok(world.hotlists.match(readOf('P0021999'), world.nowMs))
  })
})

test('all lists together are as long as the limit allows; one entry more is refused and the old version goes on', async () => {
  await inWorld(
    async (world) => {
      assert.ok((await world.import(plates('AAA111', 'AAA222'))).applied)
      assert.ok((await world.import(plates('BBB111', 'BBB222'), { list: 'amber' })).applied)
      const over = await world.import(plates('BBB111', 'BBB222', 'BBB333'), { list: 'amber' })
      assert.is(over.applied, false)
      assert.match(over.notApplied ?? '', /more than 4 entries in all lists together/)
      assert.is(world.hotlists.match(readOf('BBB222'), world.nowMs)?.listVersion, 1)
      assert.is(world.hotlists.match(readOf('BBB333'), world.nowMs), null)
      assert.ok((await world.import(plates('AAA111'))).applied, 'the version that is replaced does not count')
      assert.ok((await world.import(plates('BBB111', 'BBB222', 'BBB333'), { list: 'amber' })).applied)
    },
    { maxMatchedEntries: 4 },
  )
})

test('going back to a version without entries must be asked for', async () => {
  await inWorld(async (world) => {
    await world.import('plate\n', { allowEmpty: true })
    await world.import(plates('ABC123'))
    await rejects(world.hotlists.rollback('stolen', 1, 'ada'), 'conflict')
    assert.ok(world.hotlists.match(readOf('ABC123'), world.nowMs))
    assert.is((await world.hotlists.rollback('stolen', 1, 'ada', { allowEmpty: true })).entries, 0)
  })
})

test.run()

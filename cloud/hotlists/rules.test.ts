/** What a list's settings and the policy make of its entries: patterns, prohibited categories, dates and age limits. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../../shared/clock.ts'
import { MAX_PATTERN_STARS, MIN_PATTERN_CHARACTERS, normalisePattern, patternToRegExp } from '../../shared/plate.ts'
import { topics } from '../../shared/topics.ts'
import { hotlistRulesSchema, type Manifest, SNAPSHOT_RECORD_BYTES } from '../../shared/wire/index.ts'
import { readOf } from '../testing.ts'
import { isProhibited } from './csv.ts'
import { MAX_MATCHED_PATTERNS } from './matcher.ts'
import { DEFAULT_MAX_AGE_MS } from './settings.ts'
import { openManifest } from './snapshot.ts'
import { inWorld, plates, rejects, type World } from './testing.ts'

const statusOf = async (world: World, list = 'stolen') =>
  (await world.hotlists.status()).find((one) => one.list === list)
const match = (world: World, plate: string) => world.hotlists.match(readOf(plate), world.nowMs)

const manifestNow = async (world: World) => {
  const manifest = openManifest(
    world.retained.get(topics.manifest('springfield', 'stolen'))?.toString() ?? '',
  ) as Manifest
  const snapshot = world.retained.get(topics.snapshotChunk('springfield', 'stolen', manifest.version, 0)) as Buffer
  return { manifest, snapshot }
}

test('a pattern is normalised as a plate is, and must be narrow', () => {
  assert.is(normalisePattern('ab-c *'), 'ABC*')
  assert.is(normalisePattern('a?c**1'), 'A?C*1')
  const characters = 'A'.repeat(MIN_PATTERN_CHARACTERS)
  assert.is(normalisePattern(`${characters}*`), `${characters}*`)
  assert.is(normalisePattern(`${characters.slice(1)}*`), null)
  const stars = (count: number) => Array.from({ length: count }, () => 'A*').join('')
  assert.is(normalisePattern(stars(MAX_PATTERN_STARS)), stars(MAX_PATTERN_STARS))
  assert.is(normalisePattern(stars(MAX_PATTERN_STARS + 1)), null)
  assert.is(normalisePattern('ABCDEFGHIJK?'), 'ABCDEFGHIJK?')
  assert.is(normalisePattern('ABCDEFGHIJKL?'), null)
  assert.is(normalisePattern('ABC123'), null, 'a plate is no pattern')
  assert.is(normalisePattern('ABC.*'), 'ABC*')
  assert.is(normalisePattern('ABC(*'), null)
  assert.ok(patternToRegExp('A?C*').test('ABC'))
  assert.not.ok(patternToRegExp('A?C*').test('XABC'))
  assert.not.ok(patternToRegExp('*ABC').test('ABCD'))
})

test('a pattern is matched by the cloud alone, ranks behind plates, and is counted', async () => {
  await inWorld(async (world) => {
    const report = await world.import('plate,match,priority\nABC*,wildcard,1\nABC123,exact,4\nA?99*,wildcard,1\n')
    assert.equal([report.applied, report.good, report.patterns], [true, 3, 2])
    const status = await statusOf(world)
    assert.equal([status?.entries, status?.cloudEntries], [3, 2])
    assert.is(match(world, 'ABC123')?.kind, 'exact', 'a plate comes before a pattern, whatever its priority')
    const met = match(world, 'ABC777')
    assert.equal([met?.kind, met?.plate, met?.score], ['wildcard', 'ABC*', 1])
    assert.is(match(world, 'AX99')?.plate, 'A?99*')
    assert.is(match(world, 'XABC777'), null)
    const snapshot = world.retained.get(topics.snapshotChunk('springfield', 'stolen', 1, 0))
    assert.is(snapshot?.length, SNAPSHOT_RECORD_BYTES, 'cameras get the plate and no pattern')
    await world.restart()
    assert.is(match(world, 'ABC777')?.kind, 'wildcard')
    const again = await world.import('plate,match,priority\nABC*,wildcard,1\nABC123,exact,4\n')
    assert.equal(again.difference, { added: 0, unchanged: 2, changed: 0, removed: 1, ended: 0 })
    assert.is(match(world, 'AX99'), null)
  })
})

test('a pattern where the rule is another, and one that is too wide, are bad rows', async () => {
  await inWorld(async (world) => {
    const problem = async (csv: string, settings = {}) =>
      (await world.import(csv, { settings })).problems[0]?.problem ?? ''
    assert.match(await problem('plate\nABC*\n'), /needs match: wildcard/)
    assert.match(await problem('plate,match\nABC*,near\n'), /needs match: wildcard/)
    assert.match(await problem('plate\nAB*\n', { rule: 'wildcard' }), /narrow enough/)
    assert.match(await problem('plate,match\nABC123,maybe\n'), /match: must be exact, near or wildcard/)
    assert.is(await problem('plate\nABC*\nABC123\n', { rule: 'wildcard' }), '')
    assert.is(match(world, 'ABC123')?.kind, 'exact', 'a plate on a list of patterns is that plate')
  })
})

test('patterns of all lists together are bounded', async () => {
  await inWorld(async (world) => {
    const patterns = (count: number) => plates(...Array.from({ length: count }, (_, n) => `Q${1000 + n}*`))
    const settings = { rule: 'wildcard' as const }
    assert.ok((await world.import(patterns(MAX_MATCHED_PATTERNS - 1), { settings })).applied)
    assert.ok((await world.import(patterns(1), { settings, list: 'other' })).applied)
    const over = await world.import(patterns(2), { settings, list: 'other' })
    assert.match(over.notApplied ?? '', /more than 1000 patterns in all lists together/)
    assert.ok(match(world, 'Q1998X'))
  })
})

test('where cameras send matches alone, patterns are taken only when that is said', async () => {
  await inWorld(async (world) => {
    world.upload = 'matches-only'
    const csv = 'plate,match\nABC*,wildcard\nXYZ789,exact\n'
    const refused = await world.import(csv)
    assert.not.ok(refused.applied)
    assert.match(refused.notApplied ?? '', /1 entries are patterns, which cameras cannot match/)
    assert.is(match(world, 'XYZ789'), null)
    assert.ok((await world.import(csv, { acceptCloudOnly: true })).applied)
    assert.ok((await world.import(plates('XYZ789'))).applied, 'a list without patterns needs no such word')
  })
})

test('categories that the policy prohibits are dropped and counted beside immigration, in any spelling', async () => {
  await inWorld(async (world) => {
    const csv =
      'plate,category\nABC123,stolen\nDEP111,Deported Felon\nIMM222,IMMIGRATION violator\nNSE333,NSEERS\nTOL444,Unpaid TOLL debt\n'
    assert.equal((await world.import(csv)).prohibited, 3)
    assert.ok(match(world, 'TOL444'))
    world.rules = hotlistRulesSchema.parse({ prohibitedCategories: ['toll DEBT', 'parking'] })
    const report = await world.import(csv)
    assert.equal([report.prohibited, report.good, report.applied], [4, 1, true])
    for (const plate of ['DEP111', 'IMM222', 'NSE333', 'TOL444']) assert.is(match(world, plate), null, plate)
    const stored = await world.database.read(
      world.database.build.selectFrom('hotlist_entries').select('plate').where('version', '=', 2),
    )
    assert.equal(stored, [{ plate: 'ABC123' }])
    assert.not.ok(isProhibited('', ['toll']))
  })
})

test('rows that say no priority have the list’s', async () => {
  await inWorld(async (world) => {
    await world.import('plate,priority\nABC123,\nXYZ789,5\n', { settings: { priority: 1, source: 'amber' } })
    assert.equal([match(world, 'ABC123')?.priority, match(world, 'XYZ789')?.priority], [1, 5])
    const status = await statusOf(world)
    assert.equal([status?.source, status?.priority], ['amber', 1])
    await rejects(world.hotlists.configure('stolen', { priority: 6 }), 'bad_input')
  })
})

test('a list matches within its own dates, here and on cameras', async () => {
  await inWorld(async (world) => {
    const [startMs, endMs] = [world.nowMs + HOUR_MS, world.nowMs + DAY_MS]
    await world.import('plate,expires\nABC123,\nXYZ789,2099-01-01\n', {
      settings: { effectiveAtMs: startMs, expiresAtMs: endMs },
    })
    const snapshot = world.retained.get(topics.snapshotChunk('springfield', 'stolen', 1, 0)) ?? Buffer.alloc(0)
    assert.equal([snapshot.readUIntBE(32, 6), snapshot.readUIntBE(38, 6)], [startMs, endMs])
    assert.is(match(world, 'ABC123'), null)
    world.nowMs = startMs
    assert.ok(match(world, 'ABC123'))
    world.nowMs = endMs - 1
    assert.ok(match(world, 'XYZ789'))
    world.nowMs = endMs
    assert.is(match(world, 'XYZ789'), null, 'the list’s end comes before the entry’s')
    const { manifest: before } = await manifestNow(world)
    await world.hotlists.configure('stolen', { expiresAtMs: null })
    assert.ok(match(world, 'XYZ789'), 'without an end it matches again')
    const { manifest, snapshot: longer } = await manifestNow(world)
    assert.equal([manifest.version, manifest.issuedAtMs], [2, before.issuedAtMs], 'on cameras too, as old as it was')
    assert.equal([longer.readUIntBE(32, 6), longer.readUIntBE(38, 6) === endMs], [startMs, false])
    await world.restart()
    assert.ok(match(world, 'ABC123'))
    await world.hotlists.configure('stolen', { expiresAtMs: startMs, effectiveAtMs: null })
    assert.is(match(world, 'XYZ789'), null, 'an earlier end counts at once')
    await rejects(world.hotlists.configure('stolen', { effectiveAtMs: startMs }), 'bad_input')
  })
})

test('a list past its age limit marks its matches, or has none, as the policy says', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    world.nowMs += DEFAULT_MAX_AGE_MS - 1
    assert.is(match(world, 'ABC123')?.stale, false)
    world.rules = hotlistRulesSchema.parse({ staleLists: 'stop' })
    assert.ok(match(world, 'ABC123'))
    world.nowMs += 1
    assert.is(match(world, 'ABC123'), null)
    await world.restart()
    assert.is(match(world, 'ABC123'), null, 'a restart makes no list younger')
    world.rules = hotlistRulesSchema.parse({ staleLists: 'mark' })
    assert.is(match(world, 'ABC123')?.stale, true)
    await world.import(plates('ABC123'))
    assert.is(match(world, 'ABC123')?.stale, false)
  })
})

test('what the policy has prohibited since comes back by no way: not by a roll-back, an approval or an entry that waited', async () => {
  await inWorld(async (world) => {
    const prohibit = () => {
      world.rules = hotlistRulesSchema.parse({ prohibitedCategories: ['toll'], manualNeedsSecondPerson: true })
    }
    const many = Array.from({ length: 30 }, (_, n) => `P${100 + n},stolen`)
    const file = (...rows: string[]) => `plate,category\n${rows.join('\n')}\n`
    await world.import(file(...many, 'TOL444,toll'))
    await world.import(file(...many))
    world.rules = hotlistRulesSchema.parse({ manualNeedsSecondPerson: true })
    const waiting = await world.import(file('TOL555,toll', 'P100,stolen'))
    const end = world.nowMs + HOUR_MS
    const entry = await world.hotlists.entries.add({
      ...{ list: 'bolo', plate: 'TOL666', jurisdiction: null, category: 'toll', priority: null, rule: null },
      ...{ reason: 'owes the bridge', caseNumber: '24-001', expires: end, by: 'ada' },
    })
    prohibit()
    assert.equal(await world.hotlists.approve('stolen', waiting.pendingVersion ?? 0, 'bob'), {
      ...{ version: 3, entries: 1, prohibited: 1 },
    })
    assert.is(match(world, 'TOL555'), null)
    assert.is((await world.hotlists.rollback('stolen', 1, 'ada')).prohibited, 1)
    assert.equal([match(world, 'TOL444'), match(world, 'P100')?.listVersion], [null, 4])
    assert.is((await world.hotlists.entries.approve('bolo', entry.entryId, 'bob')).state, 'over')
    assert.is(match(world, 'TOL666'), null)
  })
})

test('what is brought back is as old as it was', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    world.nowMs += DEFAULT_MAX_AGE_MS - HOUR_MS / 2
    await world.import(plates('XYZ789'))
    await world.hotlists.rollback('stolen', 1, 'ada')
    assert.is(match(world, 'ABC123')?.stale, false)
    world.nowMs += HOUR_MS
    assert.is(match(world, 'ABC123')?.stale, true, 'a list that was over its age is over it soon again')
  })
})

test.run()

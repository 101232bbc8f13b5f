import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../../shared/clock.ts'
import { hotlistRulesSchema } from '../../shared/wire/policy.ts'
import { readOf } from '../testing.ts'
import { MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_REASON_LENGTH } from './csv.ts'
import { MAX_MANUAL_ENTRIES, type ManualRequest, MIN_REASON_CHARACTERS } from './manual-rules.ts'
import { DEFAULT_MAX_AGE_MS } from './settings.ts'
import { nextShiftEnd } from './shifts.ts'
import { inWorld, plates, rejects, type World } from './testing.ts'

const request = (world: World, change: Partial<ManualRequest> = {}): ManualRequest => ({
  list: 'bolo',
  plate: 'abc-123',
  jurisdiction: null,
  category: 'wanted',
  priority: null,
  rule: null,
  reason: 'hit and run on Elm St',
  caseNumber: '24-001',
  expires: world.nowMs + HOUR_MS,
  by: 'ada',
  ...change,
})
const match = (world: World, plate: string) => world.hotlists.match(readOf(plate), world.nowMs)
const versionOf = async (world: World) => (await world.hotlists.status()).find(({ list }) => list === 'bolo')?.version

test('an entry made by hand matches at once, keeps its id over changes of the list, and is over at its end', async () => {
  await inWorld(async (world) => {
    const first = await world.hotlists.entries.add(request(world))
    assert.equal([first.state, first.plate, first.priority, first.madeBy], ['in_force', 'ABC123', 3, 'ada'])
    assert.is(match(world, 'ABC123')?.entryId, first.entryId)
    const second = await world.hotlists.entries.add(request(world, { plate: 'XYZ789', expires: world.nowMs + DAY_MS }))
    assert.is(match(world, 'ABC123')?.entryId, first.entryId)
    assert.equal(await world.hotlists.source('bolo', second.entryId), {
      reason: 'hit and run on Elm St',
      caseNumber: '24-001',
    })
    world.nowMs += HOUR_MS
    assert.is(match(world, 'ABC123'), null)
    const before = await versionOf(world)
    await world.hotlists.upkeep()
    assert.is(await versionOf(world), (before ?? 0) + 1, 'what is over leaves the list')
    await world.hotlists.upkeep()
    assert.is(await versionOf(world), (before ?? 0) + 1)
    assert.ok(match(world, 'XYZ789'))
    assert.equal(
      (await world.hotlists.entries.list('bolo', false)).map(({ plate }) => plate),
      ['XYZ789'],
    )
    assert.equal(
      (await world.hotlists.entries.list(null, true)).map(({ plate, state }) => `${plate} ${state}`),
      ['XYZ789 in_force', 'ABC123 over'],
    )
  })
})

test('an entry is taken off before its time, and made again', async () => {
  await inWorld(async (world) => {
    const { entryId } = await world.hotlists.entries.add(request(world))
    assert.is((await world.hotlists.entries.end('bolo', entryId, 'bob')).state, 'over')
    assert.is(match(world, 'ABC123'), null)
    await rejects(world.hotlists.entries.end('bolo', entryId, 'bob'), 'not_found')
    assert.is((await world.hotlists.entries.add(request(world))).state, 'in_force')
    assert.ok(match(world, 'ABC123'))
  })
})

test('reason, case number and an end within the policy’s limit are compulsory; prohibited categories are refused', async () => {
  await inWorld(async (world) => {
    world.rules = hotlistRulesSchema.parse({ manualMaxHours: 12, prohibitedCategories: ['toll'] })
    const { entries } = world.hotlists
    const end = world.nowMs + 12 * HOUR_MS
    const tries: [Partial<ManualRequest>, Parameters<typeof rejects>[1]][] = [
      [{ reason: 'x'.repeat(MIN_REASON_CHARACTERS - 1) }, 'bad_input'],
      [{ reason: '. . . . . . .' }, 'bad_input'],
      [{ reason: 'x'.repeat(MAX_REASON_LENGTH + 1) }, 'bad_input'],
      [{ caseNumber: '' }, 'bad_input'],
      [{ caseNumber: '1'.repeat(MAX_CASE_LENGTH + 1) }, 'bad_input'],
      [{ category: 'c'.repeat(MAX_CATEGORY_LENGTH + 1) }, 'bad_input'],
      [{ category: 'Immigration' }, 'forbidden'],
      [{ category: 'unpaid Toll' }, 'forbidden'],
      [{ plate: '' }, 'bad_input'],
      [{ plate: 'ABC*' }, 'bad_input'],
      [{ priority: 6 }, 'bad_input'],
      [{ expires: world.nowMs }, 'bad_input'],
      [{ expires: end + 1 }, 'bad_input'],
      [{ expires: 'end-of-shift' }, 'bad_input'],
      [{ list: 'No Slug' }, 'bad_input'],
    ]
    for (const [change, code] of tries) await rejects(entries.add(request(world, change)), code)
    assert.equal(await entries.list(null, true), [], 'what is refused leaves nothing')
    const longest = {
      reason: 'x'.repeat(MIN_REASON_CHARACTERS),
      caseNumber: '1'.repeat(MAX_CASE_LENGTH),
      category: 'c'.repeat(MAX_CATEGORY_LENGTH),
      expires: end,
    }
    assert.is((await entries.add(request(world, longest))).expiresAtMs, end)
    await rejects(entries.add(request(world, longest)), 'conflict')
    const pattern = await entries.add(request(world, { plate: 'QQQ*', rule: 'wildcard' }))
    assert.equal([pattern.rule, match(world, 'QQQ777')?.kind], ['wildcard', 'wildcard'])
  })
})

test('where the policy asks for it, an entry waits for a second person', async () => {
  await inWorld(async (world) => {
    world.rules = hotlistRulesSchema.parse({ manualNeedsSecondPerson: true })
    const { entries } = world.hotlists
    const { entryId, state } = await entries.add(request(world))
    assert.equal([state, match(world, 'ABC123')], ['waiting', null])
    await rejects(entries.add(request(world)), 'conflict')
    await rejects(entries.approve('bolo', entryId, 'ada'), 'forbidden')
    await rejects(entries.approve('other', entryId, 'bob'), 'not_found')
    await rejects(entries.end('bolo', entryId, 'bob'), 'not_found')
    const approved = await entries.approve('bolo', entryId, 'bob')
    assert.equal([approved.state, approved.decidedBy, match(world, 'ABC123')?.entryId], ['in_force', 'bob', entryId])
    await rejects(entries.approve('bolo', entryId, 'bob'), 'not_found')
    const refused = await entries.add(request(world, { plate: 'XYZ789' }))
    assert.is((await entries.reject('bolo', refused.entryId, 'ada')).state, 'over', 'who made it may drop it')
    const late = await entries.add(request(world, { plate: 'XYZ789' }))
    world.nowMs += HOUR_MS
    await rejects(entries.approve('bolo', late.entryId, 'bob'), 'not_found')
    assert.is(match(world, 'XYZ789'), null)
  })
})

test('lists of files and lists of entries made by hand are kept apart', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    await rejects(world.hotlists.entries.add(request(world, { list: 'stolen' })), 'conflict')
    await world.hotlists.entries.add(request(world))
    await world.hotlists.entries.add(request(world, { plate: 'XYZ789' }))
    await rejects(world.import(plates('ABC123'), { list: 'bolo' }), 'conflict')
    await rejects(world.hotlists.rollback('bolo', null, 'ada'), 'conflict')
    await world.hotlists.replaceKey('ada')
    assert.ok(match(world, 'XYZ789'))
  })
})

test('an approval that was cut short comes into force with the next upkeep, after a restart too', async () => {
  await inWorld(async (world) => {
    const { build } = world.database
    const { entryId } = await world.hotlists.entries.add(request(world))
    await world.database.writeBatch([
      build.updateTable('manual_entries').set({ state: 'approved', plate: 'XYZ789' }).where('entry_id', '=', entryId),
    ])
    await world.restart()
    await world.hotlists.upkeep()
    assert.equal([match(world, 'XYZ789')?.entryId, match(world, 'ABC123')], [entryId, null])
  })
})

test('a list of entries made by hand does not grow stale while the cloud runs', async () => {
  await inWorld(async (world) => {
    await world.hotlists.entries.add(request(world, { expires: world.nowMs + 30 * DAY_MS }))
    const before = await versionOf(world)
    world.nowMs += DEFAULT_MAX_AGE_MS / 2 - 1
    await world.hotlists.upkeep()
    assert.is(await versionOf(world), before)
    world.nowMs += 1
    await world.hotlists.upkeep()
    assert.is(await versionOf(world), (before ?? 0) + 1)
    assert.is(match(world, 'ABC123')?.stale, false)
  })
})

test('a list holds so many entries made by hand and no more', async () => {
  await inWorld(async (world) => {
    const { build } = world.database
    const { entryId } = await world.hotlists.entries.add(request(world))
    const [row] = await world.database.read(
      build.selectFrom('manual_entries').selectAll().where('entry_id', '=', entryId),
    )
    for (let n = 2; n < MAX_MANUAL_ENTRIES; n++) {
      const more = { ...row, entry_id: `${entryId.slice(0, -12)}${String(n).padStart(12, '0')}`, plate: `P${n}` }
      await world.database.writeBatch([build.insertInto('manual_entries').values(more as NonNullable<typeof row>)])
    }
    await world.hotlists.entries.add(request(world, { plate: 'XYZ789' }))
    await rejects(world.hotlists.entries.add(request(world, { plate: 'XYZ780' })), 'too_large')
    assert.ok(match(world, `P${MAX_MANUAL_ENTRIES - 1}`))
  })
})

test('entries that are over are forgotten in steps, those in force are not', async () => {
  await inWorld(async (world) => {
    const { entries } = world.hotlists
    for (const plate of ['ABC123', 'ABC124', 'ABC125']) await entries.add(request(world, { plate }))
    await entries.add(request(world, { plate: 'XYZ789', expires: world.nowMs + DAY_MS }))
    world.nowMs += HOUR_MS
    await world.hotlists.upkeep()
    const purged = async (overBeforeMs: number, limit: number) => {
      const { deleted, isDone } = await entries.purge(overBeforeMs, limit)
      return [deleted.entries?.length, isDone]
    }
    assert.equal(await purged(world.nowMs - 1, 10), [0, true])
    assert.equal(await purged(world.nowMs, 2), [2, false])
    assert.equal(await purged(world.nowMs, 2), [1, true])
    assert.equal(
      (await entries.list(null, true)).map(({ plate }) => plate),
      ['XYZ789'],
    )
  })
})

test('a shift ends at the next of its times, local, also on days when the clock is changed', () => {
  const shifts = { timeZone: 'America/Los_Angeles', ends: ['06:00', '14:30', '22:00'] }
  const at = (text: string) => Date.parse(text)
  assert.is(nextShiftEnd(shifts, at('2026-06-01T12:59:59Z')), at('2026-06-01T13:00:00Z'))
  assert.is(nextShiftEnd(shifts, at('2026-06-01T13:00:00Z')), at('2026-06-01T21:30:00Z'), 'the end itself is over')
  assert.is(nextShiftEnd(shifts, at('2026-06-02T05:00:00Z')), at('2026-06-02T13:00:00Z'))
  // 2026-03-08: 02:00 PST becomes 03:00 PDT; there is no 02:30.
  const gap = { timeZone: 'America/Los_Angeles', ends: ['02:30'] }
  assert.is(nextShiftEnd(gap, at('2026-03-08T09:00:00Z')), at('2026-03-08T10:00:00Z'))
  assert.is(nextShiftEnd(shifts, at('2026-03-08T09:00:00Z')), at('2026-03-08T13:00:00Z'))
  // 2026-11-01: 01:30 comes twice; the first counts, and the second is another end.
  const twice = { timeZone: 'America/Los_Angeles', ends: ['01:30'] }
  assert.is(nextShiftEnd(twice, at('2026-11-01T08:00:00Z')), at('2026-11-01T08:30:00Z'))
  assert.is(
    nextShiftEnd({ timeZone: 'Asia/Kolkata', ends: ['00:00'] }, at('2026-06-01T00:00:30Z')),
    at('2026-06-01T18:30:00Z'),
  )
})

test('while a long import runs, an entry is kept and comes onto its list when that is done; one that is ended raises nothing at once', async () => {
  await inWorld(async (world) => {
    const { entries } = world.hotlists
    const known = await entries.add(request(world, { plate: 'XYZ789' }))
    let during: Promise<string[]> | null = null
    world.onTurn = async () => {
      during ??= (async () => {
        const added = await entries.add(request(world))
        await entries.end('bolo', known.entryId, 'bob')
        return [added.state, String(match(world, 'XYZ789')?.suppressed ?? 'gone')]
      })()
    }
    assert.ok((await world.import(plates('QRS4567'))).applied)
    world.onTurn = null
    assert.equal(await during, ['approved', 'true'])
    const states = async () => (await entries.list('bolo', false)).map(({ state }) => state).join()
    for (let turn = 0; turn < 1_000 && (await states()) !== 'in_force'; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal([match(world, 'ABC123')?.kind, match(world, 'XYZ789')], ['exact', null])
    assert.equal(
      (await entries.list('bolo', false)).map(({ state }) => state),
      ['in_force'],
    )
  })
})

test('an entry that is ended while a version is being made leaves its list all the same, and raises nothing until then', async () => {
  await inWorld(async (world) => {
    const { entries } = world.hotlists
    const settled = async () => {
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    const own = await entries.add(request(world, { plate: 'XYZ789' }))
    const other = await entries.add(request(world, { plate: 'JKL4567', list: 'other' }))
    let during: Promise<unknown> | null = null
    world.onTurn = async () => {
      during ??= entries.end('bolo', own.entryId, 'bob').then(() => entries.end('other', other.entryId, 'bob'))
    }
    await entries.add(request(world))
    world.onTurn = null
    await during
    const raises = (plate: string) => match(world, plate)?.suppressed === false
    assert.equal([raises('XYZ789'), raises('JKL4567'), raises('ABC123')], [false, false, true])
    await settled()
    await world.hotlists.upkeep()
    assert.equal([match(world, 'XYZ789'), match(world, 'JKL4567')], [null, null])
    await world.restart()
    assert.equal([match(world, 'XYZ789'), match(world, 'JKL4567')], [null, null])
  })
})

test('an entry that was ended and is still on its list after a restart raises nothing', async () => {
  await inWorld(async (world) => {
    const { build } = world.database
    await world.hotlists.entries.add(request(world))
    // As if the cloud had ended before the version without it.
    await world.database.writeBatch([build.updateTable('manual_entries').set({ over_at_ms: world.nowMs })])
    await world.restart()
    assert.is(match(world, 'ABC123')?.suppressed, true)
    await world.hotlists.upkeep()
    assert.is(match(world, 'ABC123'), null)
  })
})

test('an entry whose list could not be made is not lost, and a file never takes its place', async () => {
  await inWorld(async (world) => {
    const { build } = world.database
    const { entryId } = await world.hotlists.entries.add(request(world))
    // As if the cloud had ended before the first version came into force.
    await world.database.writeBatch([
      build.updateTable('manual_entries').set({ state: 'approved' }),
      build.deleteFrom('hotlist_entries'),
      build.deleteFrom('hotlist_versions'),
      build.deleteFrom('hotlists'),
    ])
    await world.restart()
    assert.is(match(world, 'ABC123'), null)
    await rejects(world.import(plates('XYZ789'), { list: 'bolo' }), 'conflict')
    await world.hotlists.upkeep()
    assert.is(match(world, 'ABC123')?.entryId, entryId)
  })
})

test('an entry that only waits takes no name, and a list on which nothing is left may become one of files', async () => {
  await inWorld(async (world) => {
    world.rules = hotlistRulesSchema.parse({ manualNeedsSecondPerson: true })
    const { entryId } = await world.hotlists.entries.add(request(world, { list: 'ncic' }))
    assert.equal(await world.hotlists.status(), [])
    await world.hotlists.entries.reject('ncic', entryId, 'bob')
    world.rules = hotlistRulesSchema.parse({})
    const made = await world.hotlists.entries.add(request(world, { list: 'ncic' }))
    await rejects(world.import(plates('XYZ789'), { list: 'ncic' }), 'conflict')
    await world.hotlists.entries.end('ncic', made.entryId, 'bob')
    assert.ok((await world.import(plates('XYZ789'), { list: 'ncic' })).applied)
    await rejects(world.hotlists.entries.add(request(world, { list: 'ncic' })), 'conflict')
  })
})

test('a pattern is taken only knowingly where cameras send their matches alone, and a shift ends within the policy’s limit', async () => {
  await inWorld(async (world) => {
    world.upload = 'matches-only'
    const shifts = { timeZone: 'UTC', ends: [new Date(world.nowMs - 60_000).toISOString().slice(11, 16)] }
    world.rules = hotlistRulesSchema.parse({ shifts, manualMaxHours: 1 })
    const wild = request(world, { plate: 'ABC*', rule: 'wildcard', expires: 'end-of-shift' })
    await rejects(world.hotlists.entries.add(wild), 'bad_input')
    const taken = await world.hotlists.entries.add({ ...wild, acceptCloudOnly: true })
    assert.equal([taken.state, taken.expiresAtMs], ['in_force', world.nowMs + HOUR_MS])
  })
})

test('where the policy says so an entry ends with its shift: at its end it may, a millisecond later it may not', async () => {
  await inWorld(async (world) => {
    const minute = Math.ceil((world.nowMs + 60_000) / 60_000) * 60_000
    const shifts = { timeZone: 'UTC', ends: [new Date(minute).toISOString().slice(11, 16)] }
    world.rules = hotlistRulesSchema.parse({ shifts, manualEndsWithShift: true })
    await rejects(world.hotlists.entries.add(request(world, { expires: minute + 1 })), 'bad_input')
    const made = await world.hotlists.entries.add(request(world, { expires: minute }))
    assert.is(made.expiresAtMs, minute)
    world.rules = hotlistRulesSchema.parse({ shifts })
    await world.hotlists.entries.add(request(world, { plate: 'XYZ9876', expires: minute + 1 }))
  })
})

test.run()

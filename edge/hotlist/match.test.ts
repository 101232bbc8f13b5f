/** Which plate meets which entry. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY, deliver, entry, entryId, found, inWorld, NOW, offer, readOf, versionOf } from './testing.ts'

test('exact goes before near; near is one confusable character, from five characters on, where the entry allows it', async () => {
  await inWorld(async ({ hotlists }) => {
    const entries = [
      entry(1, 'ABO1234', { priority: 1 }),
      entry(2, 'AB01234', { priority: 5 }),
      entry(3, 'SSS12'),
      entry(4, 'OI12'),
      entry(5, 'XYZ800', { rule: 'exact' }),
    ]
    await deliver(hotlists, versionOf(1, entries))
    assert.is(hotlists.match(readOf('AB01234'), NOW)?.entryId, entryId(2), 'exact beats the more urgent near one')
    assert.is(hotlists.match(readOf('ABD1234'), NOW)?.kind, 'near')
    assert.is(hotlists.match(readOf('ABD1234'), NOW)?.entryId, entryId(1), 'the more urgent of two near ones')
    assert.is(found(hotlists, 'SS512'), 'stolen v1 near')
    assert.is(found(hotlists, 'S5512'), null, 'two characters differ')
    assert.is(found(hotlists, 'SSX12'), null, 'X is never taken for S')
    assert.is(found(hotlists, '0I12'), null, 'four characters are too few')
    assert.is(found(hotlists, 'XYZ80O'), null, 'the entry wants it exact')
    assert.is(found(hotlists, 'XYZ800'), 'stolen v1 exact')
  })
})

test('an entry is in force from its start up to its end, not at its end', async () => {
  await inWorld(async ({ hotlists }) => {
    const times = { effectiveAtMs: NOW, expiresAtMs: NOW + 1_000 }
    await deliver(hotlists, versionOf(1, [entry(1, 'ABO1234', times)]))
    for (const plate of ['ABO1234', 'AB01234']) {
      assert.is(found(hotlists, plate, NOW - 1), null)
      assert.ok(found(hotlists, plate, NOW))
      assert.ok(found(hotlists, plate, NOW + 999))
      assert.is(found(hotlists, plate, NOW + 1_000), null)
    }
  })
})

test('a list past its date goes on matching and says that it is stale; a fresh manifest renews it', async () => {
  await inWorld(async ({ hotlists, time }) => {
    const entries = [entry(1, 'ABC1234')]
    await deliver(hotlists, versionOf(1, entries))
    assert.is(hotlists.status(NOW + DAY - 1)[0]?.stale, false)
    assert.is(hotlists.status(NOW + DAY)[0]?.stale, true)
    assert.is(found(hotlists, 'ABC1234', NOW + DAY), 'stolen v1 exact')
    time.nowMs = NOW + DAY
    const renewed = versionOf(1, entries, { issuedAtMs: NOW + DAY, expiresAtMs: NOW + 3 * DAY })
    assert.is(offer(hotlists, renewed)?.result, 'applied')
    assert.is(hotlists.wanted, null, 'the entries are there already')
    assert.equal(hotlists.status(NOW + DAY), [
      { list: 'stolen', version: 1, entries: 1, ageMs: 0, stale: false, keyed: true, failedDeltas: 0 },
    ])
  })
})

test('a list past its date matches nothing where the policy stops it, until it is renewed', async () => {
  await inWorld(async ({ hotlists, rules }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'ABC1234')]))
    rules.staleLists = 'stop'
    assert.ok(found(hotlists, 'ABC1234', NOW + DAY - 1))
    assert.is(found(hotlists, 'ABC1234', NOW + DAY), null)
    rules.staleLists = 'mark'
    assert.ok(found(hotlists, 'ABC1234', NOW + DAY))
  })
})

test('of two lists with the same plate the more urgent entry is named', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'ABC1234', { priority: 4 })], { list: 'amber' }))
    await deliver(hotlists, versionOf(1, [entry(2, 'ABC1234', { priority: 2 })], { list: 'stolen' }))
    assert.is(found(hotlists, 'ABC1234'), 'stolen v1 exact')
  })
})

test("the reader's own candidates are looked up, the likelier first, where they are one substitution away", async () => {
  await inWorld(async ({ hotlists }) => {
    const entries = [
      entry(1, 'HBC1234', { priority: 1 }),
      entry(2, 'MBC1284', { priority: 5 }),
      entry(3, 'ABC9999'),
      entry(4, 'MBC123'),
    ]
    await deliver(hotlists, versionOf(1, entries))
    assert.is(found(hotlists, 'MBC1234'), null, 'M is not taken for H unless the reader does')
    const candidates = [
      { plate: 'MBC1284', confidence: 0.3 },
      { plate: 'HBC1234', confidence: 0.1 },
      { plate: 'ABC9999', confidence: 0.9 },
      { plate: 'MBC123', confidence: 0.9 },
    ]
    assert.equal(hotlists.match(readOf('MBC1234', candidates), NOW), {
      ...{ list: 'stolen', listVersion: 1, entryId: entryId(2), kind: 'near', score: 0.3 },
    })
    assert.is(hotlists.match(readOf('MBC1234', candidates.slice(1)), NOW)?.entryId, entryId(1))
    assert.is(hotlists.match(readOf('MBC1234', candidates.slice(2)), NOW), null, 'farther away or of another length')
  })
})

test('the right number of another state comes after that of the same or of an unknown one', async () => {
  await inWorld(async ({ hotlists }) => {
    const entries = [
      entry(1, 'ABC1234', { jurisdiction: 'US-NV', priority: 1 }),
      entry(2, 'ABC1234', { priority: 4 }),
      entry(3, 'ABC1234', { jurisdiction: 'US-CA', priority: 5 }),
    ]
    await deliver(hotlists, versionOf(1, entries))
    const of = (state: string | null) => hotlists.match(readOf('ABC1234', [], state), NOW)?.entryId
    assert.is(of('US-CA'), entryId(3))
    assert.is(of('US-TX'), entryId(2))
    assert.is(of(null), entryId(1), 'then the most urgent')
  })
})

test('only within the texts of one length is a near one looked for, from five characters on', async () => {
  await inWorld(async ({ hotlists }) => {
    await deliver(hotlists, versionOf(1, [entry(1, 'M123'), entry(2, 'M1234')]))
    const near = (plate: string, other: string) =>
      hotlists.match(readOf(plate, [{ plate: other, confidence: 0.4 }]), NOW)?.kind ?? null
    assert.is(near('H123', 'M123'), null)
    assert.is(near('H1234', 'M1234'), 'near')
  })
})

test.run()

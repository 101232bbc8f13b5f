import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { confusableKey, MAX_PATTERN_STARS } from '../shared/plate.ts'
import type { Sighting } from '../shared/wire/index.ts'
import {
  MAX_SEARCH_MATCHES,
  MAX_SEARCH_PAGE,
  MIN_REASON_CHARACTERS,
  parseQuery,
  type SearchAnswer,
  type SearchRequest,
} from './search/request.ts'
import { codeOf, inCloud, makeSighting, publishSighting, type TestCloud } from './testing.ts'

const A = 'elm-st-1'
const ACTOR = { account: 'ines', roles: ['investigator' as const], session: null, source: '127.0.0.1' }
const REQUEST: SearchRequest = {
  plate: 'ABC1230',
  fromMs: null,
  toMs: null,
  cameras: [],
  caseNumber: '24-00123',
  offenceType: 'burglary',
  reason: 'vehicle seen at the break-in on Elm Street',
  limit: 50,
  offset: 0,
}

function searching(world: TestCloud) {
  return (change: Partial<SearchRequest> = {}): Promise<SearchAnswer> =>
    world.cloud.parts.search.run({ ...REQUEST, ...change }, ACTOR)
}

const plates = (answer: SearchAnswer) => answer.results.map(({ kind, sighting }) => `${kind} ${sighting.plate}`)

const withReads = (
  reads: readonly string[],
  work: (world: TestCloud, search: ReturnType<typeof searching>, camera: MqttClient) => Promise<void>,
) =>
  inCloud(async (world) => {
    const camera = await world.connectCamera(A, await world.addCamera(A))
    // A second apart, so that newest first is a fixed order.
    const startMs = world.clock.nowMs() - DAY_MS
    for (const [i, plate] of reads.entries()) {
      await publishSighting(camera, makeSighting(world.clock, { plate, capturedAtMs: startMs + i * 1_000 }))
    }
    await work(world, searching(world), camera)
  })

test('a plate is found exactly, and near when one character is confusable, newest first, told apart', async () => {
  await withReads(['ABC1230', 'A8C1230', 'ABC123O', 'A8C123O', 'XYZ9999', 'ABC1231'], async (_world, search) => {
    const answer = await search()
    assert.equal(plates(answer), ['near ABC123O', 'near A8C1230', 'exact ABC1230'])
    assert.is(answer.total, 3)
    assert.is(answer.truncated, false)
    assert.equal(plates(await search({ plate: 'abc-1230' })), plates(answer), 'as people write it')
    assert.equal((await search({ plate: 'NONE111' })).results, [])
  })
})

test('a pattern finds what it describes and nothing else', async () => {
  await withReads(['ABC1230', 'ABC1240', 'ABD1230', 'XABC123', 'ABC12'], async (_world, search) => {
    const found = async (plate: string) => plates(await search({ plate })).sort()
    assert.equal(await found('ABC12?0'), ['pattern ABC1230', 'pattern ABC1240'])
    assert.equal(await found('ABC*'), ['pattern ABC12', 'pattern ABC1230', 'pattern ABC1240'])
    assert.equal(await found('*ABC*'), ['pattern ABC12', 'pattern ABC1230', 'pattern ABC1240', 'pattern XABC123'])
    assert.equal(await found('AB?1230'), ['pattern ABC1230', 'pattern ABD1230'])
    assert.equal(await found('A*1*30'), ['pattern ABC1230', 'pattern ABD1230'])
    assert.equal(await found('???123?'), ['pattern ABC1230', 'pattern ABD1230'])
    assert.equal(await found('??123'), [])
  })
})

test('what is no plate and no narrow pattern is no query', () => {
  for (const text of [
    '',
    ' ',
    '*',
    '?',
    '***',
    'AB*',
    'A*B',
    '??????',
    'ABC%',
    "ABC' OR 1=1",
    'ABC_*%',
    'A'.repeat(13),
  ]) {
    assert.is(parseQuery(text), null, text)
  }
  assert.equal(parseQuery('abc 12-30'), { kind: 'exact', text: 'ABC1230' })
  assert.equal(parseQuery('ab c*'), { kind: 'pattern', text: 'ABC*' })
  assert.equal(parseQuery('ABC**'), { kind: 'pattern', text: 'ABC*' })
  const stars = (count: number) => ['A', 'B', 'C', 'D', 'E'].slice(0, count + 1).join('*')
  assert.ok(parseQuery(stars(MAX_PATTERN_STARS)))
  assert.is(parseQuery(stars(MAX_PATTERN_STARS + 1)), null)
  assert.ok(parseQuery('ABCDEFGHIJKL*'))
  assert.is(parseQuery('ABCDEFGHIJKLM*'), null)
})

test('a corrected preview is no answer; its final is', async () => {
  await withReads([], async (world, search, camera) => {
    const final = makeSighting(world.clock, { plate: 'ABC1230' })
    await publishSighting(camera, { ...final, revision: 0, plate: 'QQQ1111' })
    assert.is((await search({ plate: 'QQQ1111' })).total, 1)
    await publishSighting(camera, final)
    assert.is((await search({ plate: 'QQQ1111' })).total, 0)
    assert.is((await search({ plate: 'QQQ*' })).total, 0)
    assert.is((await search()).total, 1)
  })
})

test('two cameras that used the same id are two sightings, each found with its own document', async () => {
  await withReads([], async (world, search, camera) => {
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const sighting = makeSighting(world.clock)
    await publishSighting(camera, sighting)
    await publishSighting(other, { ...sighting, cameraId: 'oak-st-2' })
    const answer = await search()
    assert.equal(answer.results.map((result) => result.sighting.cameraId).sort(), [A, 'oak-st-2'])
    const { sightings } = world.cloud.parts
    for (const cameraId of [A, 'oak-st-2']) {
      const stored = await sightings.get(sighting.sightingId, world.clock.nowMs(), cameraId)
      assert.is(stored?.sighting.cameraId, cameraId)
    }
    assert.is(await sightings.get(sighting.sightingId, world.clock.nowMs(), 'nowhere'), null)
  })
})

test('time and camera narrow a search: from is included, to is not', async () => {
  await withReads([], async (world, search, camera) => {
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const atMs = world.clock.nowMs() - DAY_MS
    await publishSighting(camera, makeSighting(world.clock, { capturedAtMs: atMs }))
    await publishSighting(other, makeSighting(world.clock, { capturedAtMs: atMs + 10, cameraId: 'oak-st-2' }))
    const total = async (change: Partial<SearchRequest>) => (await search(change)).total
    for (const plate of ['ABC1230', 'ABC12*']) {
      assert.is(await total({ plate, fromMs: atMs }), 2)
      assert.is(await total({ plate, fromMs: atMs + 1 }), 1)
      assert.is(await total({ plate, toMs: atMs }), 0)
      assert.is(await total({ plate, toMs: atMs + 1 }), 1)
      assert.is(await total({ plate, cameras: ['oak-st-2'] }), 1)
      assert.is(await total({ plate, cameras: [A, 'oak-st-2'] }), 2)
      assert.is(await total({ plate, cameras: ['nowhere'] }), 0)
    }
  })
})

test('a camera whose clock cannot be trusted is searched and ordered by when the cloud received it, and marked', async () => {
  await withReads(['ABC1230'], async (world, search, camera) => {
    const nowMs = world.clock.nowMs()
    const wrong = [
      makeSighting(world.clock, { clock: 'unsynced', capturedAtMs: nowMs - 20 * DAY_MS }),
      makeSighting(world.clock, { capturedAtMs: nowMs + 20 * DAY_MS }),
    ]
    for (const sighting of wrong) await publishSighting(camera, sighting)
    for (const plate of ['ABC1230', 'ABC12*']) {
      const recent = await search({ plate, fromMs: nowMs - HOUR_MS, toMs: nowMs + HOUR_MS })
      assert.equal(
        recent.results.map(({ sighting }) => sighting.sightingId),
        wrong.map(({ sightingId }) => sightingId).reverse(),
      )
      for (const { seenAtMs, receivedAtMs, clockTrusted } of recent.results) {
        assert.equal([seenAtMs, clockTrusted], [receivedAtMs, false])
      }
      for (const { capturedAtMs } of wrong) {
        const window = { plate, fromMs: capturedAtMs - HOUR_MS, toMs: capturedAtMs + HOUR_MS }
        assert.is((await search(window)).total, 0, 'the time that the camera gave is not when it was seen')
      }
      const all = (await search({ plate })).results
      assert.equal(
        all.map(({ clockTrusted, seenAtMs, sighting }) => clockTrusted && seenAtMs === sighting.capturedAtMs),
        [false, false, true],
      )
    }
  })
})

test('a search without a purpose, with a vague one or over an empty window is refused, with the rule in the audit', async () => {
  await withReads(['ABC1230'], async (world, search) => {
    const nowMs = world.clock.nowMs()
    const cases: [string, Partial<SearchRequest>][] = [
      ['case_number_missing', { caseNumber: '' }],
      ['case_number_missing', { caseNumber: ' - 1 ' }],
      ['offence_type_missing', { offenceType: '' }],
      ['offence_type_missing', { offenceType: '..ab' }],
      ['reason_missing', { reason: '' }],
      ['reason_missing', { reason: '. . .' }],
      ['reason_vague', { reason: 'investigation' }],
      ['reason_vague', { reason: 'aaaa aaaaaaaa' }],
      ['reason_vague', { reason: 'at the bank' }],
      ['plate_unusable', { plate: '*' }],
      ['plate_unusable', { plate: '' }],
      ['window_empty', { fromMs: nowMs, toMs: nowMs }],
    ]
    for (const [rule, change] of cases) {
      assert.is(await codeOf(() => search(change)), 'bad_input', rule)
      const [entry] = await world.audited('search.run')
      assert.equal([entry?.outcome, entry?.rule, entry?.actor.account], ['refused', rule, 'ines'])
    }
    assert.is((await world.audited('search.answered')).length, 0)
    const reason = 'at the bank 7'
    assert.is(reason.replaceAll(' ', '').length, MIN_REASON_CHARACTERS)
    assert.is((await search({ reason, fromMs: nowMs - DAY_MS - 10_000, toMs: nowMs })).total, 1)
  })
})

test('the audit holds who, why and how much, and the plate as its digest alone', async () => {
  await withReads(['ABC1230', 'ABC1230'], async (world, search) => {
    const answer = await search({ limit: 1 })
    await search({ plate: 'ABC12*' })
    const [pattern, exact] = await world.audited('search.run')
    assert.is(exact?.seq, answer.auditSeq)
    assert.equal([exact?.caseNumber, exact?.offenceType, exact?.reason], ['24-00123', 'burglary', REQUEST.reason])
    assert.is(exact?.query?.plateDigest, world.cloud.parts.audit.plateDigest('ABC1230'))
    assert.equal([exact?.query?.plateKind, pattern?.query?.plateKind], ['exact', 'pattern'])
    const answered = (await world.audited('search.answered')).at(-1)
    assert.equal([answered?.completes, answered?.results, answered?.detail.shown], [answer.auditSeq, 2, 1])
    const all = JSON.stringify(await world.cloud.parts.audit.list({ before: null, limit: 100 }))
    assert.not.ok(all.includes('ABC12'))
    assert.not.ok(world.logLines.some((line) => line.includes('ABC12')))
  })
})

test('without the audit nothing is answered', async () => {
  await withReads(['ABC1230'], async (world, search) => {
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    assert.is(await codeOf(() => search()), 'unavailable')
    world.sql('DROP TRIGGER broken')
    assert.is((await search()).total, 1)
  })
})

/** Rows as ingest stores them, straight into the table: thousands over MQTT would only take longer. */
async function storeMany(world: TestCloud, count: number, plateOf: (i: number) => string): Promise<void> {
  const { sightings, database } = world.cloud.parts
  const nowMs = world.clock.nowMs()
  const row = (i: number) => {
    const sighting: Sighting = makeSighting(world.clock, {
      plate: plateOf(i),
      sightingId: newId(),
      capturedAtMs: nowMs - i,
    })
    return sightings.insert({
      camera_id: A,
      sighting_id: sighting.sightingId,
      revision: 1,
      payload_sha256: 'x',
      seen_at_ms: sighting.capturedAtMs,
      received_at_ms: nowMs,
      retained_from_ms: sighting.capturedAtMs,
      clock_trusted: 1,
      plate: sighting.plate,
      confusable_key: confusableKey(sighting.plate ?? ''),
      matched: 0,
      match_disagreed: 0,
      crop_sha256: null,
      document: JSON.stringify(sighting),
    })
  }
  await database.writeBatch(Array.from({ length: count }, (_, i) => row(i)))
}

test('results up to the limit are whole; one more is cut and said; pages go on where the last ended', async () => {
  await inCloud(async (world) => {
    const search = searching(world)
    await storeMany(world, MAX_SEARCH_MATCHES, () => 'ABC1230')
    const first = await search({ limit: MAX_SEARCH_PAGE + 1 })
    assert.equal([first.total, first.truncated, first.results.length], [MAX_SEARCH_MATCHES, false, MAX_SEARCH_PAGE])
    const second = await search({ limit: 10, offset: MAX_SEARCH_PAGE })
    assert.ok((first.results.at(-1)?.sighting.capturedAtMs ?? 0) > (second.results[0]?.sighting.capturedAtMs ?? 0))
    assert.equal((await search({ offset: MAX_SEARCH_MATCHES })).results, [])
    await storeMany(world, 1, () => 'ABC1230')
    for (const plate of ['ABC1230', 'ABC12*']) {
      const over = await search({ plate })
      assert.equal([over.total, over.truncated], [MAX_SEARCH_MATCHES, true], plate)
    }
  })
})

test('a pattern over many plates is walked in slices and finds those at every edge', async () => {
  await inCloud(async (world) => {
    const search = searching(world)
    await storeMany(world, 9_000, (i) => `P${String(i).padStart(5, '0')}X`)
    const found = await search({ plate: '*999X' })
    assert.equal(
      found.results.map(({ sighting }) => sighting.plate),
      Array.from({ length: 9 }, (_, i) => `P0${i}999X`),
    )
    assert.is((await search({ plate: 'P01*' })).total, 1_000)
    assert.is((await search({ plate: 'P00000*' })).total, 1)
    assert.is((await search({ plate: 'P08999*' })).total, 1)
    assert.is((await search({ plate: '*X*P*0' })).total, 0)
  })
})

test.run()

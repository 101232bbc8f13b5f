import { readFileSync, statSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import {
  comparePlates,
  confusableKey,
  normalisePattern,
  PLATE_MAX_LENGTH,
  patternToRegExp,
} from '../../shared/plate.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { timesOf } from '../sightings.ts'
import { type FindRequest, type FoundAll, find } from './find.ts'
import { walkOf } from './patterns.ts'
import { MAX_PLACE_SIGHTINGS } from './request.ts'
import { FIND, inDatabase, NOW_MS, RETENTION, type StoredRow, storedRow, toTableRow } from './testing.ts'

const goOn = async () => true
const CAMERAS = ['elm-st-1', 'oak-st-2', 'pine-st-3', 'ash-st-4']
const COLOURS = ['white', 'black', 'red']
const JURISDICTIONS = ['US-CA', 'US-VA', 'US', 'RO']
const LISTS = ['stolen', 'amber']

/** 0-1, the same each time (Park and Miller's minimal standard). */
function sequence(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

const random = sequence(20_261_128)
const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T
const chance = (share: number) => random() < share

/** Few characters, so that plates share parts, and confusable ones among them. */
const randomPlate = (length = 4 + Math.floor(random() * 4)) =>
  Array.from({ length }, () => pick([...'AB8O01I2Z'])).join('')

function randomRows(count: number): StoredRow[] {
  const plates = Array.from({ length: count / 4 }, () => randomPlate())
  return Array.from({ length: count }, () => {
    const capturedAtMs = NOW_MS - Math.floor(random() * 30 * DAY_MS)
    const row = storedRow({
      cameraId: pick(CAMERAS),
      plate: chance(0.05) ? null : pick(plates),
      capturedAtMs: chance(0.05) ? NOW_MS + DAY_MS : capturedAtMs,
      receivedAtMs: capturedAtMs + Math.floor(random() * 10 * MINUTE_MS),
      clock: chance(0.1) ? 'unsynced' : 'synced',
      matched: chance(0.3),
      jurisdiction: chance(0.3) ? null : pick(JURISDICTIONS),
      colour: chance(0.3) ? null : pick(COLOURS),
      list: chance(0.7) ? null : pick(LISTS),
    })
    // A preview that its final corrects, and one without a final.
    const preview: StoredRow = { ...row, revision: 0, plate: pick(plates) }
    return chance(0.2) ? [preview, row] : chance(0.1) ? [preview] : [row]
  }).flat()
}

function randomPattern(): string {
  for (;;) {
    const text = [...randomPlate(5)].map((one) => (chance(0.3) ? pick(['*', '?']) : one)).join('')
    const pattern = normalisePattern(`${chance(0.3) ? '*' : ''}${text}${chance(0.3) ? '*' : ''}`)
    if (pattern !== null) return pattern
  }
}

function randomRequest(rows: readonly StoredRow[]): FindRequest {
  const window = () => {
    const fromMs = NOW_MS - Math.floor(random() * 30 * DAY_MS)
    return { fromMs, toMs: fromMs + Math.floor(random() * 10 * DAY_MS) + 1 }
  }
  const exact = () => ({ kind: 'exact' as const, text: pick(rows).plate ?? randomPlate() })
  const places = chance(0.3)
    ? Array.from({ length: 2 + Math.floor(random() * 3) }, () => ({ camera: pick(CAMERAS), ...window() }))
    : []
  return {
    ...FIND,
    plate: chance(places.length > 0 ? 0.8 : 0.25)
      ? null
      : chance(0.4)
        ? exact()
        : { kind: 'pattern', text: randomPattern() },
    confusable: chance(0.5),
    ...(chance(0.5) ? window() : { fromMs: chance(0.3) ? NOW_MS - 10 * DAY_MS : null, toMs: null }),
    cameras: places.length === 0 && chance(0.3) ? [pick(CAMERAS), pick(CAMERAS)] : [],
    lists: chance(0.2) ? [pick(LISTS)] : [],
    jurisdiction: chance(0.2) ? pick(JURISDICTIONS) : null,
    colour: chance(0.2) ? pick(COLOURS) : null,
    places,
    placesMet: places.length === 0 ? 0 : 2 + Math.floor(random() * (places.length - 1)),
  }
}

/** The same, by looking at every row: nothing here is the search's own but what a plate means. */
function bruteForce(rows: readonly StoredRow[], request: FindRequest, alerted: ReadonlyMap<string, string>): string[] {
  const { plate, places, confusable } = request
  const within = (ms: number, { fromMs, toMs }: { fromMs: number | null; toMs: number | null }) =>
    (fromMs === null || ms >= fromMs) && (toMs === null || ms < toMs)
  const isPlate = (read: string | null) => {
    if (plate === null) return true
    if (read === null) return false
    if (plate.kind === 'exact') return confusable ? comparePlates(read, plate.text) !== null : read === plate.text
    const key = (text: string) => (confusable ? confusableKey(text) : text)
    return patternToRegExp(key(plate.text)).test(key(read))
  }
  const finals = new Set(rows.filter((row) => row.revision === 1).map((row) => `${row.cameraId} ${row.sightingId}`))
  const meant = rows.filter((row) => {
    const { seenAtMs, retainedFromMs } = timesOf(row, row.receivedAtMs)
    const later = row.revision === 0 && finals.has(`${row.cameraId} ${row.sightingId}`)
    const list = [row.list, alerted.get(row.sightingId) ?? null]
    return (
      retainedFromMs > NOW_MS - (row.matched ? RETENTION.matchedMs : RETENTION.unmatchedMs) &&
      !later &&
      isPlate(row.plate) &&
      within(seenAtMs, request) &&
      (request.cameras.length === 0 || request.cameras.includes(row.cameraId)) &&
      (request.colour === null || row.colour === request.colour) &&
      (request.jurisdiction === null ||
        (row.jurisdiction ?? '').split('-')[0] === request.jurisdiction ||
        row.jurisdiction === request.jurisdiction) &&
      (request.lists.length === 0 || (row.matched && list.some((one) => one !== null && request.lists.includes(one))))
    )
  })
  const named = (row: StoredRow) => `${row.cameraId} ${timesOf(row, row.receivedAtMs).seenAtMs} ${row.plate}`
  if (places.length === 0) return meant.map(named).sort()
  const metBy = new Map<string, Set<number>>()
  const passed = (row: StoredRow) =>
    places.flatMap((place, i) =>
      place.camera === row.cameraId && within(timesOf(row, row.receivedAtMs).seenAtMs, place) ? [i] : [],
    )
  const vehicle = (row: StoredRow) => (confusable ? confusableKey(row.plate ?? '') : (row.plate ?? ''))
  for (const row of meant) {
    if (row.plate === null) continue
    metBy.set(vehicle(row), new Set([...(metBy.get(vehicle(row)) ?? []), ...passed(row)]))
  }
  return meant
    .filter((row) => passed(row).length > 0 && (metBy.get(vehicle(row))?.size ?? 0) >= request.placesMet)
    .map(named)
    .sort()
}

const namesOf = ({ found }: FoundAll) => found.map((one) => `${one.cameraId} ${one.seenAtMs} ${one.plate}`).sort()

test('what a search of any kind finds is what looking at every row finds', async () => {
  await inDatabase(async ({ database, store }) => {
    const rows = randomRows(800)
    await store(rows)
    const matched = rows.filter((row) => row.matched && row.revision === 1)
    const alerted = new Map(matched.slice(0, 60).map((row) => [row.sightingId, pick(LISTS)]))
    await database.writeBatch(
      matched.slice(0, 60).map((row, i) =>
        database.build.insertInto('alerts').values({
          ...{ alert_id: newId(), camera_id: row.cameraId, sighting_id: row.sightingId, entry_id: String(i) },
          ...{ revision: 0, published_revision: 0, state: 'raised', raised_at_ms: NOW_MS, document: '{}' },
          ...{ retained_from_ms: toTableRow(row).retained_from_ms, list: alerted.get(row.sightingId) ?? '' },
          ...{
            match_kind: 'exact',
            raised_kind: 'exact',
            first_seen_at_ms: 0,
            last_seen_at_ms: 0,
            escalate_at_ms: null,
          },
        }),
      ),
    )
    const found = { exact: 0, pattern: 0, any: 0, places: 0, lists: 0 }
    for (let i = 0; i < 400; i++) {
      const request = randomRequest(rows)
      const expected = bruteForce(rows, request, alerted)
      const all = await find(database, request, goOn)
      assert.equal(namesOf(all), expected, JSON.stringify(request))
      assert.equal([all.truncated, all.timedOut], [false, false])
      if (request.places.length === 0) {
        const times = all.found.map(({ seenAtMs }) => seenAtMs)
        assert.equal(
          times,
          [...times].sort((a, b) => b - a),
          'newest first',
        )
      }
      const kind =
        request.places.length > 0 ? 'places' : request.lists.length > 0 ? 'lists' : (request.plate?.kind ?? 'any')
      if (expected.length > 0) found[kind] += 1
    }
    for (const [kind, times] of Object.entries(found)) assert.ok(times >= 10, `${kind} found something ${times} times`)
  })
})

test('as many sightings as are wanted are whole; one more is cut and said, the newest kept', async () => {
  await inDatabase(async ({ database, store }) => {
    const limit = 20
    const at = (i: number) =>
      storedRow({ plate: 'ABC1230', capturedAtMs: NOW_MS - (i + 1) * MINUTE_MS, cameraId: pick(CAMERAS) })
    await store(Array.from({ length: limit }, (_, i) => at(i)))
    const window = { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS }
    const places = CAMERAS.map((camera) => ({ camera, ...window }))
    const kinds: Partial<FindRequest>[] = [
      { plate: { kind: 'exact', text: 'ABC1230' } },
      { plate: { kind: 'pattern', text: 'A*230' } },
      window,
      { places, placesMet: 2 },
    ]
    for (const kind of kinds) {
      const { found, truncated } = await find(database, { ...FIND, ...kind, limit }, goOn)
      assert.equal([found.length, truncated], [limit, false], JSON.stringify(kind))
    }
    await store([at(limit)])
    for (const kind of kinds) {
      const { found, truncated } = await find(database, { ...FIND, ...kind, limit }, goOn)
      assert.equal([found.length, truncated], [limit, true], JSON.stringify(kind))
      if (kind.plate?.kind !== 'pattern') assert.is(found.at(-1)?.seenAtMs, NOW_MS - limit * MINUTE_MS)
    }
  })
})

test('of one place as many sightings as the bound are looked at; one more is said', async () => {
  await inDatabase(async ({ database, databaseFile, store }) => {
    await store([storedRow({ plate: 'ABC1230' })])
    const more = (count: number) => {
      const connection = openDatabase(databaseFile)
      connection.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
        INSERT INTO sightings SELECT camera_id, hex(randomblob(8)), revision, payload_sha256, seen_at_ms - i, received_at_ms,
          retained_from_ms, clock_trusted, plate, confusable_key, matched, match_disagreed, crop_sha256, document
          FROM n, (SELECT * FROM sightings LIMIT 1)`)
      connection.close()
    }
    more(MAX_PLACE_SIGHTINGS - 1)
    const place = { camera: 'elm-st-1', fromMs: NOW_MS - 2 * DAY_MS, toMs: NOW_MS }
    const request = { ...FIND, limit: 2 * MAX_PLACE_SIGHTINGS, places: [place, place], placesMet: 2 }
    assert.equal((await find(database, request, goOn)).truncated, false)
    more(1)
    const { found, truncated } = await find(database, request, goOn)
    assert.equal([found.length, truncated], [MAX_PLACE_SIGHTINGS, true])
  })
})

test('a search that is stopped says so and ends with what it has', async () => {
  await inDatabase(async ({ database, store }) => {
    await store(CAMERAS.map((cameraId) => storedRow({ cameraId })))
    let left = 2
    const places = CAMERAS.map((camera) => ({ camera, fromMs: NOW_MS - 2 * DAY_MS, toMs: NOW_MS }))
    const request = { ...FIND, places, placesMet: 2 }
    const { found, truncated, timedOut } = await find(database, request, async () => left-- > 0)
    assert.equal([found.length, truncated, timedOut], [2, true, true])
    const none = await find(database, FIND, async () => false)
    assert.equal([none.found.length, none.truncated, none.timedOut], [0, true, true])
  })
})

test('a pattern walks the keys that begin as it does; one that begins with anything walks them all, in parts that touch', () => {
  assert.equal(walkOf('ABC*'), { like: 'A8C%', ranges: [{ from: 'A8C', to: 'A8C~' }] })
  assert.equal(walkOf('A*7?2').ranges, [{ from: 'A', to: 'A~' }])
  const { like, ranges } = walkOf('?7O3*')
  assert.is(like, '_703%')
  assert.equal([ranges[0]?.from, ranges.at(-1)?.to], ['', '~'])
  for (const [i, range] of ranges.entries()) assert.ok(i === 0 || range.from === ranges[i - 1]?.to)
})

test('the dictionary holds each key while a sighting has it, and not a moment longer', async () => {
  await inDatabase(async ({ database, store }) => {
    const rows = [
      storedRow({ plate: 'ABC1230' }),
      storedRow({ plate: 'A8C123O' }),
      storedRow({ plate: 'XY' }),
      storedRow({ plate: 'ABCDEFGH1234' }),
      storedRow({ plate: null }),
    ]
    await store(rows)
    const { build } = database
    const keys = async () =>
      (await database.read(build.selectFrom('plate_keys').selectAll())).map((one) => one.confusable_key)
    assert.is('ABCDEFGH1234'.length, PLATE_MAX_LENGTH)
    const long = confusableKey('ABCDEFGH1234')
    assert.equal(await keys(), ['A8C1230', long, 'XY'].sort())
    const remove = (row: StoredRow | undefined) =>
      database.writeBatch([build.deleteFrom('sightings').where('sighting_id', '=', row?.sightingId ?? '')])
    await remove(rows[0])
    assert.is((await keys()).length, 3, 'another sighting has the key')
    await remove(rows[1])
    await remove(rows[2])
    assert.equal(await keys(), [long])
    await remove(rows[3])
    await remove(rows[4])
    assert.equal(await keys(), [])
  })
})

test('the bytes of purged plates are neither in the log nor in the pages of the dictionary, among keys that stay', async () => {
  await inDatabase(async ({ database, databaseFile, sightings, store }) => {
    const plateAt = (i: number) => `K${(i * 7_919 + 1_000_003).toString(36).toUpperCase().padStart(7, 'X')}`
    const count = 3_000
    for (let from = 0; from < count; from += 500) {
      await store(
        Array.from({ length: 500 }, (_, i) =>
          storedRow({ plate: plateAt(from + i), capturedAtMs: NOW_MS - ((from + i) % 5 === 0 ? 1 : 40) * DAY_MS }),
        ),
      )
    }
    while (!(await sightings.purge(NOW_MS, 500)).isDone) {}
    await database.truncateLog()
    assert.is((await sightings.counts()).sightings, count / 5)
    assert.is(statSync(`${databaseFile}-wal`).size, 0)
    const connection = openDatabase(databaseFile, { readonly: true })
    const pages = connection.prepare("SELECT pageno FROM dbstat WHERE name = 'plate_keys'").pluck().all() as number[]
    const pageBytes = Number(connection.pragma('page_size', { simple: true }))
    connection.close()
    const file = readFileSync(databaseFile)
    const dictionary = Buffer.concat(pages.map((page) => file.subarray((page - 1) * pageBytes, page * pageBytes)))
    const keys = Array.from({ length: count }, (_, i) => confusableKey(plateAt(i)))
    const kept = new Set(keys.filter((_, i) => i % 5 === 0))
    assert.ok(pages.length > 3, 'pages were split')
    assert.equal(
      keys.filter((key) => !kept.has(key) && dictionary.includes(key)),
      [],
    )
    assert.ok([...kept].every((key) => dictionary.includes(key)))
  })
})

test.run()

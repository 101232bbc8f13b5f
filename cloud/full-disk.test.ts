import { createHash } from 'node:crypto'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { MAX_CROP_BYTES, type Sighting } from '../shared/wire/index.ts'
import { MIN_DATABASE_MEBIBYTES } from './config.ts'
import {
  AGENCY,
  codeOf,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  readOf,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
/** SQLite’s own SQLITE_FULL comes above it, as on a full disk. */
const SMALLEST = { databaseMaxMebibytes: MIN_DATABASE_MEBIBYTES }

function picture(number: number): Buffer {
  const jpeg = Buffer.alloc(MAX_CROP_BYTES, number)
  jpeg.writeUInt16BE(0xffd8, 0)
  jpeg.writeUInt16BE(0xffd9, jpeg.length - 2)
  return jpeg
}

interface Sent {
  acknowledged: Sighting[]
  /** The one that found no room. */
  refused: Sighting
}

/** Sends sightings with their pictures until there is no room; then small ones alone, until they find none either. */
async function fillUp(
  world: TestCloud,
  connect: () => Promise<MqttClient>,
  onPicture: (sent: readonly Sighting[]) => Promise<void> = async () => {},
): Promise<Sent> {
  const acknowledged: Sighting[] = []
  let client = await connect()
  let pictures = true
  for (let number = 1; number < 5_000; number++) {
    const jpeg = picture(number)
    const crop = { sha256: createHash('sha256').update(jpeg).digest('hex'), bytes: jpeg.length }
    const sighting = makeSighting(world.clock, { crop: pictures ? crop : null })
    if ((await publishSighting(client, sighting)) === 'closed') return { acknowledged, refused: sighting }
    acknowledged.push(sighting)
    if (!pictures) continue
    if ((await publish(client, topics.crop(AGENCY, A, sighting.sightingId), jpeg)) === 'closed') {
      pictures = false
      client = await connect()
    } else await onPicture(acknowledged)
  }
  throw new Error('the database never filled up')
}

const failed = (world: TestCloud) => world.counted('candor_ingest_failed_batches_total{code="storage_full"}')

test('on a full disk nothing is acknowledged that is not stored; it is counted, said clearly, and goes on when there is room', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const connect = () => world.connectCamera(A, certified)
    const { acknowledged, refused } = await fillUp(world, connect)
    assert.ok(acknowledged.length > 10, String(acknowledged.length))
    assert.ok((await failed(world)) >= 2)
    const line = world.logLines.find((one) => one.includes('ingest_failed')) ?? ''
    assert.match(line, /storage_full/)
    assert.match(line, /no space left for the database/)

    const find = ({ sightingId }: Sighting) => world.cloud.parts.sightings.get(sightingId, world.clock.nowMs())
    const stored = async () => {
      const found = await Promise.all(acknowledged.map(find))
      return found.filter((one) => one !== null).length
    }
    assert.is(await stored(), acknowledged.length)
    assert.is(await find(refused), null)
    assert.is(await publishSighting(await connect(), refused), 'closed', 'still no room')

    await world.restart()
    assert.is(await stored(), acknowledged.length, 'nothing acknowledged is lost')

    world.clock.advance(31 * DAY_MS)
    await until('the purge made room', async () => {
      // A loop that is not asleep yet misses a minute.
      world.clock.advance(MINUTE_MS)
      return (await world.cloud.parts.sightings.counts()).crops === 0
    })
    const later = { ...refused, capturedAtMs: world.clock.nowMs() }
    await until('it is taken', async () => (await publishSighting(await connect(), later)) === 'acknowledged')
    assert.ok(await find(later))
  }, SMALLEST)
})

test('on a full disk the oldest pictures may all be held: they stay, and what is not held makes room to move them aside', async () => {
  const HELD = 6
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const connect = () => world.connectCamera(A, certified)
    const { holds, sightings, database } = world.cloud.parts
    let holdId = ''
    const { acknowledged } = await fillUp(world, connect, async (sent) => {
      if (sent.length !== HELD) return
      const sightingIds = sent.map(({ sightingId }) => sightingId)
      const selected = await holds.select({ kind: 'sightings', sightingIds })
      const untilMs = world.clock.nowMs() + 300 * DAY_MS
      const basis = 'preservation letter of the county attorney'
      holdId = (await holds.add({ caseNumber: '26-00017', basis, untilMs, selected, by: 'ines' })).holdId
    })
    assert.ok(acknowledged.length > 2 * HELD, String(acknowledged.length))
    const held = async () => (await database.read(database.build.selectFrom('held_crops').select('sighting_id'))).length
    world.clock.advance(31 * DAY_MS)
    await until('the purge made room', async () => {
      world.clock.advance(MINUTE_MS)
      return (await sightings.counts()).sightings === 0 && (await held()) === HELD
    })
    const shown = await holds.sightings(holdId, { offset: 0, limit: 10 })
    assert.equal(
      shown.map(({ sighting, hasPicture }) => [sighting.sightingId, hasPicture]),
      acknowledged.slice(0, HELD).map(({ sightingId }) => [sightingId, true]),
    )
    const later = makeSighting(world.clock, {})
    await until('it is taken', async () => (await publishSighting(await connect(), later)) === 'acknowledged')
  }, SMALLEST)
})

test('on a full disk a search is refused, because its audit entry cannot be written, and is answered when there is room', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    await fillUp(world, () => world.connectCamera(A, certified))
    const { search } = world.cloud.parts
    const run = () =>
      search.run(
        {
          plate: 'ABC1230',
          fromMs: null,
          toMs: null,
          cameras: [],
          caseNumber: '24-00123',
          offenceType: 'burglary',
          reason: 'vehicle seen at the break-in on Elm Street',
          limit: 10,
          offset: 0,
        },
        { account: 'ines', roles: ['investigator'], session: null, source: null },
      )
    let code = 'none'
    // What room is left in the audit's own last page is used up first.
    for (let i = 0; i < 500 && code === 'none'; i++) code = await codeOf(run)
    assert.is(code, 'unavailable')
    world.sql('DELETE FROM crops')
    assert.is(await codeOf(run), 'none')
  }, SMALLEST)
})

test('a list that does not fit on the disk is refused whole, and the old one goes on matching', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', ['ABC1230'])
    const many = Array.from({ length: 30_000 }, (_, i) => `P${String(i).padStart(6, '0')}`)
    assert.is(await codeOf(() => world.importList('stolen', many)), 'storage_full')
    const { hotlists } = world.cloud.parts
    assert.ok(hotlists.match(readOf('ABC1230'), world.clock.nowMs()))
    assert.is(hotlists.match(readOf('P000001'), world.clock.nowMs()), null)
    assert.is((await hotlists.status())[0]?.version, 1)
    await world.importList('stolen', ['WWW9999'])
    assert.ok(hotlists.match(readOf('WWW9999'), world.clock.nowMs()))
  }, SMALLEST)
})

test.run()

import { createHash } from 'node:crypto'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { createSealer, newSealingKeyPem } from '../shared/sealing.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { topics } from '../shared/topics.ts'
import { MAX_CROP_BYTES, MAX_SIGHTING_BYTES, type Sighting } from '../shared/wire/index.ts'
import { createIngest, MAX_BATCH, QUARANTINE_CHECK_EVERY } from './ingest.ts'
import { MAX_QUARANTINED_BYTES, MAX_QUARANTINED_ROWS } from './quarantine.ts'
import { MAX_REPORT_BYTES } from './reports.ts'
import { timesOf } from './sightings.ts'
import { AGENCY, filesWith, inCloud, makeSighting, publish, publishSighting, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'
const SIGHTINGS = topics.sightings(AGENCY, A)

const withCamera = (work: (world: TestCloud, client: MqttClient) => Promise<void>) =>
  inCloud(async (world) => work(world, await world.connectCamera(A, await world.addCamera(A))))

const stored = async (world: TestCloud) => (await world.cloud.parts.sightings.counts()).sightings
const outcomes = (world: TestCloud, kind: string, outcome: string) =>
  world.counted(`candor_ingest_arrivals_total{kind="${kind}",outcome="${outcome}"}`)
const quarantined = (world: TestCloud, reason: string) =>
  world.counted(`candor_ingest_quarantined_total{reason="${reason}"}`)

/** Starts with SOI and ends with EOI, as far as ingest looks at a picture. */
function jpeg(bytes: number): Buffer {
  const picture = Buffer.alloc(bytes, 7)
  picture.writeUInt16BE(0xffd8, 0)
  picture.writeUInt16BE(0xffd9, bytes - 2)
  return picture
}
const announced = (picture: Buffer): Sighting['crop'] => ({
  sha256: createHash('sha256').update(picture).digest('hex'),
  bytes: picture.length,
})

test('a sighting is on the disk, for any reader, when its acknowledgement arrives', async () => {
  await withCamera(async (world, client) => {
    const reader = openDatabase(world.databaseFile, { readonly: true })
    try {
      const find = reader.prepare('SELECT document FROM sightings WHERE sighting_id = ?').pluck()
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          const sighting = makeSighting(world.clock)
          assert.is(await publishSighting(client, sighting), 'acknowledged')
          assert.is(find.get(sighting.sightingId), JSON.stringify(sighting))
        }),
      )
    } finally {
      reader.close()
    }
    assert.is(await outcomes(world, 'sightings', 'stored'), 100)
  })
})

test('what is sealed for its topic is stored like any other; for another place, or changed, it is set aside and acknowledged', async () => {
  await withCamera(async (world, client) => {
    const sealer = createSealer(world.cloud.parts.keys.sealing.publicKeyPem)
    const bytes = () => Buffer.from(JSON.stringify(makeSighting(world.clock)))
    const good = sealer.seal(bytes(), SIGHTINGS)
    assert.is(await publish(client, SIGHTINGS, good), 'acknowledged')
    assert.is(await publish(client, SIGHTINGS, good), 'acknowledged')
    assert.is(await stored(world), 1)
    const changed = sealer.seal(bytes(), SIGHTINGS)
    changed[60] = (changed[60] ?? 0) ^ 1
    const bad = [
      changed,
      sealer.seal(bytes(), topics.sightings(AGENCY, 'other')),
      createSealer(newSealingKeyPem().publicKeyPem).seal(bytes(), SIGHTINGS),
    ]
    for (const payload of bad) assert.is(await publish(client, SIGHTINGS, payload), 'acknowledged')
    assert.is(await stored(world), 1)
    assert.is(await quarantined(world, 'sealed'), bad.length)
    assert.is(await publish(client, SIGHTINGS, sealer.seal(Buffer.from('{'), SIGHTINGS)), 'acknowledged')
    assert.is(await quarantined(world, 'malformed'), 1)
  })
})

test('what is empty, not JSON, not UTF-8 or too long is set aside, acknowledged and never shown', async () => {
  await withCamera(async (world, client) => {
    const good = JSON.stringify(makeSighting(world.clock))
    const bad: [Buffer, string][] = [
      [Buffer.alloc(0), 'malformed: empty'],
      [Buffer.from('{'), 'malformed: not JSON'],
      [Buffer.from('null'), 'malformed: document'],
      [Buffer.from('[]'), 'malformed: document'],
      [Buffer.from([0x7b, 0xff, 0x7d]), 'malformed: not JSON'],
      [Buffer.from(good.padEnd(MAX_SIGHTING_BYTES + 1)), 'malformed: too long'],
    ]
    for (const [payload, reason] of bad) {
      assert.is(await publish(client, SIGHTINGS, payload), 'acknowledged', reason)
      const [last] = await world.cloud.parts.quarantine.list(world.clock.nowMs(), 1)
      assert.ok(last?.reason.startsWith(reason), last?.reason)
      assert.is(last?.payloadBytes, payload.length)
      assert.is(last?.cameraId, A)
      world.clock.advance(10)
    }
    assert.is(await stored(world), 0)
    assert.is(await quarantined(world, 'malformed'), bad.length)
    assert.is(await publish(client, SIGHTINGS, good.padEnd(MAX_SIGHTING_BYTES)), 'acknowledged')
    assert.is(await stored(world), 1)
  })
})

test('a sighting with any one field wrong, missing or too many is set aside, and the reason names the field alone', async () => {
  await withCamera(async (world, client) => {
    const good = makeSighting(world.clock)
    const wrong: Record<string, unknown>[] = Object.keys(good).flatMap((field) => {
      const { [field as keyof Sighting]: _, ...missing } = good
      return [{ ...good, [field]: { nonsense: 'SECRET99' } }, missing]
    })
    wrong.push(
      { ...good, plate: 'secret plate' },
      { ...good, plate: 'S' },
      { ...good, plate: 'SECRET9999999' },
      { ...good, capturedAtMs: 0 },
      { ...good, capturedAtMs: 4_102_444_800_001 },
      { ...good, capturedAtMs: '1790000000000' },
      { ...good, confidence: 1.01 },
      { ...good, revision: 2 },
      { ...good, sightingId: 'x' },
      { ...good, more: 1 },
    )
    for (const sighting of wrong) {
      const text = JSON.stringify(sighting)
      assert.is(await publish(client, SIGHTINGS, text), 'acknowledged', text)
    }
    assert.is(await stored(world), 0)
    assert.is(await quarantined(world, 'malformed'), wrong.length)
    const rows = await world.cloud.parts.quarantine.list(world.clock.nowMs(), 500)
    assert.is(rows.length, wrong.length)
    for (const field of Object.keys(good)) {
      assert.ok(
        rows.some((row) => row.reason.startsWith(`malformed: ${field}`)),
        field,
      )
    }
    assert.not.ok(rows.some((row) => /secret/i.test(row.reason)))
  })
})

test('an unmatched read past its own retention is set aside without its content, although matched ones are kept longer', async () => {
  await withCamera(async (world, client) => {
    const { policy, quarantine, database } = world.cloud.parts
    await world.importList('stolen', ['ABC1230'])
    await policy.change(1, { retention: { unmatchedDays: 1, matchedDays: 30 } }, 'ada')
    const capturedAtMs = world.clock.nowMs() - DAY_MS
    const old = (plate: string, capturedMs = capturedAtMs) =>
      publishSighting(client, makeSighting(world.clock, { plate, capturedAtMs: capturedMs }))
    assert.is(await old('WWW9999'), 'acknowledged')
    assert.is(await quarantined(world, 'clock_behind'), 1)
    assert.is(await stored(world), 0)
    // The clock runs: a minute before the limit is before it.
    await old('WWW9999', capturedAtMs + MINUTE_MS)
    await old('ABC1230')
    assert.is(await stored(world), 2)
    const [row] = await quarantine.list(world.clock.nowMs(), 10)
    assert.ok((row?.payloadBytes ?? 0) > 0)
    const [kept] = await database.read(database.build.selectFrom('quarantine').select('payload'))
    assert.is(kept?.payload.length, 0, 'a read that must be forgotten is not kept under another name')
  })
})

test('under an in-memory policy what an unaware camera sends without a match is acknowledged and touches no disk, its picture neither', async () => {
  await withCamera(async (world, client) => {
    const { policy } = world.cloud.parts
    await world.importList('stolen', ['ABC1230'])
    await policy.change(1, { upload: 'matches-only', unmatchedInMemory: true }, 'ada')
    const picture = jpeg(2_000)
    picture.write('a picture of WWW9999', 10)
    for (const plate of ['WWW9999', 'ABC1230']) {
      const sighting = makeSighting(world.clock, { plate, crop: announced(picture) })
      assert.is(await publishSighting(client, sighting), 'acknowledged')
      // The listed one's picture has no unlisted plate in it.
      if (plate === 'ABC1230') continue
      assert.is(await publish(client, topics.crop(AGENCY, A, sighting.sightingId), picture), 'acknowledged')
    }
    assert.is(await stored(world), 1)
    const rows = await world.cloud.parts.quarantine.list(world.clock.nowMs(), 500)
    assert.is(rows.length, 0)
    // What cannot be read might be such a sighting: it is set aside without its content.
    assert.is(await publish(client, SIGHTINGS, '{"plate":"WWW9999"'), 'acknowledged')
    assert.is((await world.cloud.parts.quarantine.list(world.clock.nowMs(), 500)).length, 1)
    assert.equal(filesWith(world.databaseFile, 'WWW9999'), [])
    assert.is(filesWith(world.databaseFile, 'ABC1230').length > 0, true)
    assert.equal([await outcomes(world, 'sightings', 'dropped'), await outcomes(world, 'crop', 'dropped')], [1, 1])
  })
})

test('a sighting that names another camera than the one that sent it is set aside', async () => {
  await withCamera(async (world, client) => {
    await world.addCamera('oak-st-2')
    const foreign = JSON.stringify(makeSighting(world.clock, { cameraId: 'oak-st-2' }))
    assert.is(await publish(client, SIGHTINGS, foreign), 'acknowledged')
    assert.is(await quarantined(world, 'not_its_own'), 1)
    assert.is(await stored(world), 0)
  })
})

test('a camera whose clock is a year behind is set aside; a year ahead or unsynced it is marked, and received time rules', async () => {
  await withCamera(async (world, client) => {
    const nowMs = world.clock.nowMs()
    const year = 365 * DAY_MS
    const kept = world.cloud.parts.policy.retention().unmatchedMs
    await publishSighting(client, makeSighting(world.clock, { capturedAtMs: nowMs - year }))
    await publishSighting(client, makeSighting(world.clock, { capturedAtMs: nowMs - kept }))
    assert.is(await quarantined(world, 'clock_behind'), 2)
    assert.is(await stored(world), 0)
    assert.is(await world.counted('candor_clock_marked_total'), 0)
    const marked = [
      makeSighting(world.clock, { capturedAtMs: nowMs + year }),
      makeSighting(world.clock, { capturedAtMs: nowMs - year, clock: 'unsynced' }),
      makeSighting(world.clock, { clock: 'unsynced' }),
    ]
    for (const sighting of marked) await publishSighting(client, sighting)
    assert.is(await world.counted('candor_clock_marked_total'), 3)
    const trusted = makeSighting(world.clock, { capturedAtMs: nowMs - kept + MINUTE_MS })
    await publishSighting(client, trusted)
    for (const { sightingId, capturedAtMs } of marked) {
      const found = await world.cloud.parts.sightings.get(sightingId, nowMs)
      assert.equal([found?.clockTrusted, found?.seenAtMs], [false, found?.receivedAtMs])
      assert.is(found?.sighting.capturedAtMs, capturedAtMs, 'what the camera said is kept')
    }
    assert.is((await world.cloud.parts.sightings.get(trusted.sightingId, nowMs))?.clockTrusted, true)
    world.clock.advance(2 * MINUTE_MS)
    assert.is(await world.cloud.parts.sightings.get(trusted.sightingId, world.clock.nowMs()), null)
    assert.ok(await world.cloud.parts.sightings.get(marked[1]?.sightingId ?? '', world.clock.nowMs()))
  })
})

test('retention runs from when the vehicle was seen, and never from later than received', () => {
  const receivedAtMs = 1_790_000_000_000
  const from = (aheadMs: number) => timesOf({ capturedAtMs: receivedAtMs + aheadMs, clock: 'synced' }, receivedAtMs)
  assert.is(from(-1).retainedFromMs, receivedAtMs - 1)
  assert.is(from(0).retainedFromMs, receivedAtMs)
  assert.equal(from(1), { seenAtMs: receivedAtMs + 1, retainedFromMs: receivedAtMs, clockTrusted: true })
})

test('the same sighting again is stored once; with other bytes it is set aside and the first stays', async () => {
  await withCamera(async (world, client) => {
    const sighting = makeSighting(world.clock)
    for (let i = 0; i < 3; i++) assert.is(await publishSighting(client, sighting), 'acknowledged')
    await Promise.all([publishSighting(client, sighting), publishSighting(client, sighting)])
    assert.is(await stored(world), 1)
    assert.is(await outcomes(world, 'sightings', 'duplicate'), 4)
    assert.is(await publishSighting(client, { ...sighting, plate: 'OTHER99' }), 'acknowledged')
    assert.is(await quarantined(world, 'conflicting_duplicate'), 1)
    assert.is(
      (await world.cloud.parts.sightings.get(sighting.sightingId, world.clock.nowMs()))?.sighting.plate,
      'ABC1230',
    )
    await publishSighting(client, { ...sighting, revision: 0 })
    assert.is(await stored(world), 2, 'its preview is another key')
  })
})

test('two different sightings with one key in the same turn: one is stored, the other set aside', async () => {
  await withCamera(async (world, client) => {
    const sighting = makeSighting(world.clock)
    const ended = await Promise.all([
      publishSighting(client, sighting),
      publishSighting(client, { ...sighting, plate: 'OTHER99' }),
    ])
    assert.equal(ended, ['acknowledged', 'acknowledged'])
    assert.is(await stored(world), 1)
    assert.is(await quarantined(world, 'conflicting_duplicate'), 1)
  })
})

test('two cameras may use the same id', async () => {
  await withCamera(async (world, client) => {
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const sighting = makeSighting(world.clock)
    await publishSighting(client, sighting)
    await publishSighting(other, { ...sighting, cameraId: 'oak-st-2' })
    assert.is(await stored(world), 2)
    assert.is((await world.cloud.parts.quarantine.list(world.clock.nowMs(), 10)).length, 0)
  })
})

test('a picture is stored when its sighting announced it, once, up to the greatest length', async () => {
  await withCamera(async (world, client) => {
    const picture = jpeg(MAX_CROP_BYTES)
    const sighting = makeSighting(world.clock, { crop: announced(picture) })
    const topic = topics.crop(AGENCY, A, sighting.sightingId)
    const ended = await Promise.all([publishSighting(client, sighting), publish(client, topic, picture)])
    assert.equal(ended, ['acknowledged', 'acknowledged'])
    await publish(client, topic, picture)
    assert.is((await world.cloud.parts.sightings.counts()).crops, 1)
    assert.is(await outcomes(world, 'crop', 'duplicate'), 1)
    const found = await world.cloud.parts.sightings.crop(A, sighting.sightingId, world.clock.nowMs())
    assert.ok(found?.jpeg.equals(picture))
  })
})

test('a picture that was not announced, is another, too long, cut off or of another camera’s sighting is set aside', async () => {
  await withCamera(async (world, client) => {
    const picture = jpeg(5_000)
    const long = jpeg(MAX_CROP_BYTES + 1)
    const sighting = makeSighting(world.clock, { crop: announced(picture) })
    await publishSighting(client, sighting)
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const own = topics.crop(AGENCY, A, sighting.sightingId)
    const changed = Buffer.from(picture)
    changed[100] = 8
    const bad: [MqttClient, string, Buffer][] = [
      [client, topics.crop(AGENCY, A, newId()), picture],
      [client, topics.crop(AGENCY, A, 'x'), picture],
      [client, own, changed],
      [client, own, long],
      [client, own, picture.subarray(0, 4_000)],
      [client, own, Buffer.from('no picture')],
      [client, own, Buffer.alloc(0)],
      [other, topics.crop(AGENCY, 'oak-st-2', sighting.sightingId), picture],
    ]
    for (const [by, topic, payload] of bad) assert.is(await publish(by, topic, payload), 'acknowledged')
    assert.is(await quarantined(world, 'crop_mismatch'), bad.length)
    assert.is((await world.cloud.parts.sightings.counts()).crops, 0)
    await publish(client, own, picture)
    assert.is((await world.cloud.parts.sightings.counts()).crops, 1)
  })
})

test('status, health and acknowledgements are recorded, and set aside when they are wrong', async () => {
  await withCamera(async (world, client) => {
    const nowMs = world.clock.nowMs()
    const status = { cameraId: A, online: true, sessionId: newId(), sinceMs: nowMs, software: '0.1.0' }
    const policyAck = { version: 1, result: 'applied', reason: null, atMs: nowMs }
    const listAck = { ...policyAck, list: 'stolen', digest: null }
    const send = (topic: string, document: unknown, length = 0) =>
      publish(client, topic, JSON.stringify(document).padEnd(length))
    await send(topics.status(AGENCY, A), status, MAX_REPORT_BYTES)
    await send(topics.ack(AGENCY, A, 'policy'), policyAck)
    await send(topics.ack(AGENCY, A, 'signing-keys'), policyAck)
    await send(topics.ack(AGENCY, A, 'hotlists/stolen'), listAck)
    assert.is(await outcomes(world, 'status', 'recorded'), 1)
    assert.is(await outcomes(world, 'ack', 'recorded'), 3)
    const [camera] = await world.cloud.parts.cameras.list()
    assert.equal(camera?.status, status)
    assert.equal(
      camera?.acks.map((ack) => ack.subject),
      ['hotlists/stolen', 'policy', 'signing-keys'],
    )
    const bad: [string, unknown, number][] = [
      [topics.status(AGENCY, A), status, MAX_REPORT_BYTES + 1],
      [topics.status(AGENCY, A), { ...status, cameraId: 'oak-st-2' }, 0],
      [topics.status(AGENCY, A), { ...status, online: 'yes' }, 0],
      [topics.health(AGENCY, A), { cameraId: A }, 0],
      [topics.ack(AGENCY, A, 'policy'), listAck, 0],
      [topics.ack(AGENCY, A, 'hotlists/watch'), listAck, 0],
      [topics.ack(AGENCY, A, 'weather'), policyAck, 0],
    ]
    for (const [topic, document, length] of bad) assert.is(await send(topic, document, length), 'acknowledged', topic)
    assert.is((await world.cloud.parts.quarantine.list(nowMs, 50)).length, bad.length)
    assert.is(await quarantined(world, 'not_its_own'), 1)
    assert.is(await quarantined(world, 'unknown_topic'), 1)
  })
})

const REFUSE_ALL = "CREATE TRIGGER broken BEFORE INSERT ON sightings BEGIN SELECT RAISE(ABORT, 'broken'); END"
const REFUSE_POISON = `CREATE TRIGGER broken BEFORE INSERT ON sightings WHEN NEW.plate = 'POISON1'
  BEGIN SELECT RAISE(ABORT, 'broken'); END`

test('when the write fails there is no acknowledgement and the connection ends; the resend is stored once', async () => {
  await inCloud(async (world) => {
    const certified = await world.addCamera(A)
    const sighting = makeSighting(world.clock)
    world.sql(REFUSE_ALL)
    assert.is(await publishSighting(await world.connectCamera(A, certified), sighting), 'closed')
    assert.is(await stored(world), 0)
    assert.is(await world.counted('candor_ingest_failed_batches_total{code="internal"}'), 1)
    assert.is(await outcomes(world, 'sightings', 'stored'), 0)
    world.sql('DROP TRIGGER broken')
    const client = await world.connectCamera(A, certified)
    assert.is(await publishSighting(client, sighting), 'acknowledged')
    assert.is(await publishSighting(client, sighting), 'acknowledged')
    assert.is(await stored(world), 1)
  })
})

test('a sighting that trips over a fault does not take the others of its group with it', async () => {
  await inCloud(async (world) => {
    const bad = await world.connectCamera(A, await world.addCamera(A))
    const good = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    world.sql(REFUSE_POISON)
    const poison = publishSighting(bad, makeSighting(world.clock, { plate: 'POISON1' }))
    const others = Array.from({ length: 50 }, () =>
      publishSighting(good, makeSighting(world.clock, { cameraId: 'oak-st-2' })),
    )
    assert.is(await poison, 'closed')
    for (const ended of await Promise.all(others)) assert.is(ended, 'acknowledged')
    assert.is(await stored(world), 50)
    assert.ok(good.connected)
    assert.not.ok(world.logLines.some((line) => line.includes('POISON1')))
  })
})

test('the quarantine is bounded: the oldest go, counted, and of a long payload the beginning is kept', async () => {
  await withCamera(async (world, client) => {
    const { quarantine, database } = world.cloud.parts
    const row = (i: number) =>
      quarantine.insert({
        cameraId: A,
        topic: SIGHTINGS,
        reason: 'malformed',
        detail: `row ${i}`,
        payload: Buffer.from('x'),
        receivedAtMs: world.clock.nowMs() - MAX_QUARANTINED_ROWS + i,
      })
    await database.writeBatch(Array.from({ length: MAX_QUARANTINED_ROWS }, (_, i) => row(i)))
    world.clock.advance(1_000)
    for (let sent = 0; sent < QUARANTINE_CHECK_EVERY; sent += 100) {
      await Promise.all(Array.from({ length: 100 }, () => publish(client, SIGHTINGS, 'y'.repeat(5_000))))
    }
    await until('it is cut back', async () => (await quarantine.count()) === MAX_QUARANTINED_ROWS)
    assert.is(await quarantined(world, 'malformed'), QUARANTINE_CHECK_EVERY)
    assert.is(await world.counted('candor_purged_total{table="quarantine"}'), QUARANTINE_CHECK_EVERY)
    const rows = await database.read(
      database.build.selectFrom('quarantine').select(['reason', 'payload', 'payload_bytes']).orderBy('received_at_ms'),
    )
    assert.is(rows[0]?.reason, `malformed: row ${QUARANTINE_CHECK_EVERY}`, 'the oldest went')
    assert.is(rows.at(-1)?.payload_bytes, 5_000)
    assert.is(rows.at(-1)?.payload.length, MAX_QUARANTINED_BYTES)
  })
})

test('publishes of one turn are one transaction up to the limit, and one more goes into the next', async () => {
  await inCloud(async (world) => {
    const { parts } = world.cloud
    const sizes: number[] = []
    const ingest = createIngest({
      ...parts,
      match: parts.hotlists.match,
      onListKeyRequest() {},
      onCertificateRequest() {},
      retention: () => parts.policy.retention(),
      unmatchedInMemory: () => false,
      counters: { ...parts.metrics.ingest, batch: (size) => sizes.push(size) },
    })
    const accept = async (count: number) => {
      sizes.length = 0
      const arrivals = Array.from({ length: count }, () => ({
        topic: { kind: 'sightings', agency: AGENCY, camera: A } as const,
        topicName: SIGHTINGS,
        payload: Buffer.from(JSON.stringify(makeSighting(world.clock))),
      }))
      const outcomes = await Promise.all(arrivals.map((arrival) => ingest.accept(arrival)))
      assert.ok(outcomes.every((outcome) => outcome === 'stored'))
      await until('the last transaction is counted', () => sizes.reduce((sum, size) => sum + size, 0) === count)
      return [...sizes]
    }
    assert.equal(await accept(MAX_BATCH), [MAX_BATCH])
    assert.equal(await accept(MAX_BATCH + 1), [MAX_BATCH, 1])
    assert.is(await stored(world), 2 * MAX_BATCH + 1)
  })
})

test.run()

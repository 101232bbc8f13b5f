/** The camera's uplink against the real cloud: what leaves the outbox, when, and how often the cloud stores it. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KEY_INTERVAL_MS } from '../../cloud/list-keys.ts'
import { AGENCY, collect, inCloud, makeSighting, readOf, subscribe, until } from '../../cloud/testing.ts'
import { openClockState } from '../../edge/clock-state.ts'
import { type Outbox, openOutbox } from '../../edge/outbox/outbox.ts'
import { purgeOnce } from '../../edge/retention.ts'
import { FIRST_RETRY_MS } from '../../edge/uplink/set-backs.ts'
import { ACK_TIMEOUT_MS } from '../../edge/uplink/uplink.ts'
import { DAY_MS, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { topics } from '../../shared/topics.ts'
import { cameraStatusSchema, MAX_PACKET_BYTES } from '../../shared/wire/index.ts'
import { type LinkedCamera, query, withCamera } from '../trial/link-testing.ts'
import { freePort } from '../trial/ports.ts'

const CAMERA = 'north'
/** Begins and ends as a JPEG does, which is what the cloud looks at. */
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(1_000, 7), Buffer.from([0xff, 0xd9])])

interface Put {
  matched?: boolean
  withCrop?: boolean
  camera?: string
  clock?: 'synced' | 'unsynced'
  capturedAtMs?: number
}

/** Puts a sighting as the pipeline does; returns its id. */
function put(outbox: Outbox, plate: string, options: Put = {}): string {
  const crop = options.withCrop === true ? JPEG : null
  const sighting = makeSighting(systemClock, {
    cameraId: options.camera ?? CAMERA,
    plate,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.capturedAtMs === undefined ? {} : { capturedAtMs: options.capturedAtMs }),
    crop: crop === null ? null : { sha256: sha256Hex(crop), bytes: crop.length },
  })
  const { sightingId, revision, capturedAtMs, clock } = sighting
  const payload = Buffer.from(JSON.stringify(sighting))
  outbox.put({ sightingId, revision, matched: options.matched === true, capturedAtMs, clock, payload }, crop)
  return sightingId
}

const stored = (cloud: Parameters<typeof query>[0]) =>
  query<{ sighting_id: string; plate: string }>(cloud, 'SELECT sighting_id, plate FROM sightings ORDER BY rowid')
const quarantined = (cloud: Parameters<typeof query>[0]) =>
  query<{ reason: string }>(cloud, 'SELECT reason FROM quarantine').map(({ reason }) => reason)
const connected = ({ uplink }: LinkedCamera) => until('the camera is connected', () => uplink.connected)
const empty = ({ outbox }: LinkedCamera) => until('the outbox is empty', () => outbox.rows === 0)

test('a row stays until its acknowledgement; one that is lost costs a second publish and no second sighting', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { outbox, uplink, wire } = camera
      camera.start()
      await connected(camera)
      wire.silence()
      for (const plate of ['AAA111', 'BBB222', 'CCC333']) put(outbox, plate, { withCrop: true })
      uplink.wake()
      await until('the cloud has stored them', () => stored(cloud).length === 3)
      assert.equal([outbox.rows, uplink.inFlight, uplink.counters.acknowledged], [6, 6, 0])
      wire.cut()
      await empty(camera)
      assert.is(uplink.counters.connections, 2)
      assert.is(uplink.counters.acknowledged, 6)
      assert.is(stored(cloud).length, 3)
      assert.is(query(cloud, 'SELECT sha256 FROM crops').length, 3)
      assert.equal(quarantined(cloud), [])
    })
  })
})

test('what goes while it is in flight is counted as kept back only if its connection ends without an acknowledgement', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { outbox, uplink, wire } = camera
      const purge = () => outbox.purge({ unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: false }, 10)
      camera.start()
      await connected(camera)
      put(outbox, 'AAA111', { withCrop: true })
      uplink.wake()
      assert.equal([uplink.inFlight, purge(), outbox.rows], [2, 2, 0])
      await until('both are acknowledged', () => uplink.counters.acknowledged === 2 && uplink.inFlight === 0)
      wire.silence()
      put(outbox, 'BBB222', { withCrop: true })
      uplink.wake()
      assert.equal([uplink.inFlight, purge(), outbox.counters().withheld], [2, 2, 0])
      wire.cut()
      await until('it is connected again', () => uplink.counters.connections === 2)
      assert.is(outbox.counters().withheld, 1)
    })
  })
})

test('a cloud that does not acknowledge is left after a while and asked again', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { outbox, uplink, wire, clock } = camera
      camera.start()
      await connected(camera)
      wire.silence()
      put(outbox, 'AAA111')
      uplink.wake()
      await until('the cloud has stored it', () => stored(cloud).length === 1)
      assert.is(outbox.rows, 1)
      clock.advance(ACK_TIMEOUT_MS)
      await empty(camera)
      assert.equal([uplink.counters.failures.unavailable, uplink.counters.connections], [1, 2])
      assert.is(stored(cloud).length, 1)
    })
  })
})

test('never more than the set number is in flight, and the number is used', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, { inFlight: 5 }, async (camera) => {
      const { outbox, uplink, wire } = camera
      camera.start()
      await connected(camera)
      wire.silence()
      for (let n = 0; n < 50; n += 1) {
        put(outbox, `ABC${1_000 + n}`)
        uplink.wake()
        assert.is(uplink.inFlight, Math.min(n + 1, 5))
      }
      await until('the cloud has stored five', () => stored(cloud).length === 5)
      assert.is(outbox.rows, 50)
      wire.cut()
      await empty(camera)
      assert.is(stored(cloud).length, 50)
    })
  })
})

test('what is matched leaves first, its picture next, then the others in their order', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, { inFlight: 1 }, async (camera) => {
      for (const plate of ['AAA111', 'BBB222']) put(camera.outbox, plate, { withCrop: true })
      for (const plate of ['MMM888', 'NNN999']) put(camera.outbox, plate, { matched: true, withCrop: true })
      camera.start()
      await empty(camera)
      assert.equal(
        stored(cloud).map(({ plate }) => plate),
        ['MMM888', 'NNN999', 'AAA111', 'BBB222'],
      )
    })
  })
})

test('the cloud goes away in the middle and comes back on its port: nothing is lost and nothing is stored twice', async () => {
  const ports = { mqttPort: await freePort(), httpsPort: await freePort() }
  await inCloud(async (cloud) => {
    await withCamera(cloud, { inFlight: 7 }, async (camera) => {
      const ids: string[] = []
      const more = (count: number) => {
        for (let n = 0; n < count; n += 1) ids.push(put(camera.outbox, `ABC${1_000 + ids.length}`, { withCrop: true }))
        camera.uplink.wake()
      }
      camera.start()
      await connected(camera)
      for (let round = 1; round <= 3; round += 1) {
        more(100)
        const before = stored(cloud).length
        await until('some are stored', () => stored(cloud).length > before)
        await cloud.restart()
        more(10)
      }
      await empty(camera)
      assert.equal(
        stored(cloud)
          .map(({ sighting_id }) => sighting_id)
          .sort(),
        ids.sort(),
      )
      assert.is(query(cloud, 'SELECT sha256 FROM crops').length, ids.length)
      assert.equal(quarantined(cloud), [])
      assert.ok(camera.uplink.counters.connections > 1)
    })
  }, ports)
})

test('a camera that starts with its clock far ahead or behind, and knows that it may be wrong, sends all that waits', async () => {
  await inCloud(async (cloud) => {
    for (const [camera, wallAheadMs] of [
      ['ahead', 400 * DAY_MS],
      ['behind', -400 * DAY_MS],
    ] as const) {
      const ids: string[] = []
      const prepare = async (file: string) => {
        const database = openDatabase(join(dirname(file), 'lists.db'))
        const before = await openClockState(async () => true, systemClock, database)
        const outbox = openOutbox({ file, maxRows: 100, maxBytes: 1024 ** 2, clock: { nowMs: before.agingMs } })
        for (const plate of ['AAA111', 'BBB222', 'CCC333']) ids.push(put(outbox, plate, { withCrop: true, camera }))
        outbox.close()
        database.close()
      }
      await withCamera(cloud, { camera, prepare, clockState: 'unsynced', wallAheadMs }, async (linked) => {
        const { outbox, policy, clock, clockState, hotlists } = linked
        ids.push(put(outbox, 'DDD444', { camera, clock: 'unsynced', capturedAtMs: clock.nowMs() }))
        assert.is(await purgeOnce({ outbox, hotlists, policy, clockState, clock, log: silentLog }), 0)
        linked.start()
        await empty(linked)
        const arrived = query<{ sighting_id: string }>(
          cloud,
          `SELECT sighting_id FROM sightings WHERE camera_id = '${camera}'`,
        )
        assert.equal(arrived.map(({ sighting_id }) => sighting_id).sort(), ids.sort())
        assert.equal([outbox.counters().expired, quarantined(cloud)], [0, []])
      })
    }
  })
})

test('people see the camera as online, as gone when it is cut off, and as gone when it says good-bye', async () => {
  await inCloud(async (cloud) => {
    const token = await cloud.addPerson('watch', ['officer'], ['patrol'])
    const person = await cloud.connectPerson('watch', token)
    await subscribe(person, topics.allStatus(AGENCY))
    const statuses = () =>
      collect(person)
        .filter(({ topic }) => topic === topics.status(AGENCY, CAMERA))
        .map(({ payload }) => cameraStatusSchema.parse(JSON.parse(payload.toString())))
    await withCamera(cloud, {}, async (camera) => {
      camera.start()
      await until('birth', () => statuses().length === 1)
      const first = camera.uplink.sessionId
      camera.wire.cut()
      await until('death and birth', () => statuses().length === 3)
      const second = camera.uplink.sessionId
      await camera.stop()
      await until('good-bye', () => statuses().length === 4)
      assert.equal(
        statuses().map(({ online, sessionId }) => [online, sessionId]),
        [
          [true, first],
          [false, first],
          [true, second],
          [false, second],
        ],
      )
    })
    const late = await cloud.connectPerson('watch', token, { clientId: 'watch.tablet' })
    await subscribe(late, topics.allStatus(AGENCY))
    await until('the retained status', () => collect(late).length > 0)
    const [last] = collect(late)
    assert.is(last?.packet.retain, true)
    assert.is(cameraStatusSchema.parse(JSON.parse(last?.payload.toString() ?? '')).online, false)
  })
})

test('a packet that the broker does not take is set back and counted, holds nothing up and is tried ever more rarely', async () => {
  const prepare = (file: string) => {
    openOutbox({ file, maxRows: 10, maxBytes: 1024 ** 2, clock: systemClock }).close()
    const database = openDatabase(file)
    const insert = `INSERT INTO outbox (rank, sighting_id, revision, born_at_ms, unsynced, payload) VALUES (0, ?, 1, ?, 0, ?)`
    database.prepare(insert).run('too-large', systemClock.nowMs(), Buffer.alloc(MAX_PACKET_BYTES + 1, 'x'))
    database.close()
  }
  await inCloud(async (cloud) => {
    await withCamera(cloud, { prepare, stillClock: true }, async (camera) => {
      const { outbox, uplink, clock } = camera
      for (let n = 0; n < 30; n += 1) put(outbox, `ABC${1_000 + n}`)
      camera.start()
      await until('all others are through', () => outbox.rows === 1)
      // Tried once more alone, because nothing else waited.
      await until('it was set back again', () => uplink.counters.setBacks === 2)
      await connected(camera)
      const { connections } = uplink.counters
      put(outbox, 'XYZ789')
      uplink.wake()
      await until('the next one is through', () => outbox.rows === 1)
      assert.equal([uplink.counters.connections, uplink.counters.setBacks], [connections, 2], 'not tried meanwhile')
      clock.advance(FIRST_RETRY_MS)
      await until('it is tried after its pause', () => uplink.counters.setBacks === 3)
      assert.equal([outbox.rows, stored(cloud).length], [1, 31])
      assert.ok((await cloud.counted('candor_denied_total{rule="packet_too_large"}')) >= 3)
    })
  })
})

test('a row that the cloud could not store leaves once the cloud can', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, { stillClock: true }, async (camera) => {
      const { outbox, uplink, clock } = camera
      cloud.sql(`CREATE TRIGGER refuse BEFORE INSERT ON sightings WHEN NEW.plate = 'BAD666'
        BEGIN SELECT RAISE(ABORT, 'a disk that refuses'); END`)
      put(outbox, 'BAD666', { matched: true })
      put(outbox, 'AAA111')
      camera.start()
      await until('the other one is through', () => outbox.rows === 1)
      assert.equal(
        stored(cloud).map(({ plate }) => plate),
        ['AAA111'],
      )
      await until('it was tried alone', () => uplink.counters.setBacks === 2)
      cloud.sql('DROP TRIGGER refuse')
      clock.advance(FIRST_RETRY_MS)
      await empty(camera)
      assert.is(stored(cloud).length, 2)
    })
  })
})

test('lists and policy of the cloud reach the camera, are applied and acknowledged', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      camera.start()
      await connected(camera)
      await cloud.importList('stolen', ['ABC1234'])
      await until('the list matches', () => camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()) !== null)
      await cloud.importList('stolen', ['XYZ7890'])
      await until(
        'the next version matches',
        () => camera.hotlists.match(readOf('XYZ7890'), systemClock.nowMs()) !== null,
      )
      assert.is(camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()), null)
      const { policy } = cloud.cloud.parts
      await policy.change(policy.current().version, { upload: 'matches-only' }, 'test')
      await until('the policy is in force', () => camera.policy.upload === 'matches-only')
      assert.is(camera.policy.version, policy.current().version)
      assert.is(camera.uplink.counters.refused, 0)
      const acks = () =>
        query<{ subject: string; version: number; result: string }>(
          cloud,
          'SELECT subject, version, result FROM camera_acks ORDER BY subject',
        )
      const expected = [
        { subject: 'hotlists/stolen', version: 2, result: 'applied' },
        { subject: 'policy', version: policy.current().version, result: 'applied' },
      ]
      await until('both are acknowledged', () => JSON.stringify(acks()) === JSON.stringify(expected))
    })
  })
})

test('a camera asks for the key of its lists after each start, each gift is in the audit, and a replaced key reaches it', async () => {
  await inCloud(async (cloud) => {
    const matches = (camera: LinkedCamera, plate: string) =>
      camera.hotlists.match(readOf(plate), systemClock.nowMs()) !== null
    const { hotlists, audit } = cloud.cloud.parts
    await cloud.importList('stolen', ['ABC1234'])
    const given = async () =>
      (await audit.list({ before: null, limit: 100 })).filter(({ operation }) => operation === 'hotlist.key_given')
    await withCamera(cloud, {}, async (camera) => {
      camera.start()
      await until('the list matches', () => matches(camera, 'ABC1234'))
      const before = await given()
      assert.equal([before.length, before[0]?.subject], [1, { kind: 'camera', id: CAMERA }])
      // Asked for again at once, it would be too soon.
      cloud.clock.advance(KEY_INTERVAL_MS)
      assert.equal(await hotlists.replaceKey('ada'), { lists: 1 })
      await until(
        'the version under the new key matches',
        () => camera.hotlists.status(systemClock.nowMs())[0]?.version === 2,
      )
      await until('its key is there', () => matches(camera, 'ABC1234'))
      assert.is((await given()).length, 2)
      assert.is(camera.uplink.counters.refused, 0)
    })
  })
})

test('what waits on a camera and what it holds of a list say no plate to whoever takes its files, and the cloud reads it', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      put(camera.outbox, 'WAIT111', { matched: true })
      const folder = join(cloud.folder, CAMERA)
      const files = () => Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))))
      assert.ok(files().includes('hotlist_digests') && files().includes('outbox'), 'these are the files')
      assert.not.ok(files().includes('WAIT111'))
      const watcher = await cloud.connectPerson('sue', await cloud.addPerson('sue', ['supervisor'], ['patrol']))
      await subscribe(watcher, topics.allSightings(AGENCY))
      camera.start()
      await empty(camera)
      assert.equal(
        stored(cloud).map(({ plate }) => plate),
        ['WAIT111'],
      )
      await until('who watches reads it too', () => collect(watcher).some(({ payload }) => payload.includes('WAIT111')))
      await cloud.importList('stolen', ['LIST222'])
      await until('the list matches', () => camera.hotlists.match(readOf('LIST222'), systemClock.nowMs()) !== null)
      assert.not.ok(files().includes('LIST222'))
      assert.not.ok(files().includes(Buffer.from('LIST222').toString('hex')))
    })
  })
})

test('a camera that is revoked keeps what it has and says why it is not connected', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      camera.start()
      await connected(camera)
      await cloud.cloud.parts.cameras.revoke(CAMERA, 'test')
      await until('it is refused', () => {
        const { forbidden = 0, unauthenticated = 0 } = camera.uplink.counters.failures
        return forbidden + unauthenticated > 0
      })
      put(camera.outbox, 'AAA111')
      camera.uplink.wake()
      assert.equal([camera.uplink.connected, camera.outbox.rows], [false, 1])
    })
  })
})

test.run()

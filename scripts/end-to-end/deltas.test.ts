/** A new version on its way from the cloud's import to a camera over the real broker: by delta to who has the one before, else whole. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud, readOf, type TestCloud, until } from '../../cloud/testing.ts'
import { systemClock } from '../../shared/clock.ts'
import { type LinkedCamera, query, withCamera } from '../trial/link-testing.ts'

const plates = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `QXZ${1_000 + from + i}`)
const version = (camera: LinkedCamera) => camera.hotlists.status(systemClock.nowMs())[0]?.version
const matched = (camera: LinkedCamera, plate: string) =>
  camera.hotlists.match(readOf(plate), systemClock.nowMs())?.listVersion ?? null
const acked = (cloud: TestCloud) =>
  query<{ version: number; result: string }>(
    cloud,
    `SELECT version, result FROM camera_acks WHERE subject = 'hotlists/stolen'`,
  )[0]

/** What arrives at the camera's lists from here on, as `delta 2`. */
function watchChunks(camera: LinkedCamera): string[] {
  const arrived: string[] = []
  const take = camera.hotlists.takeChunk
  camera.hotlists.takeChunk = (of, chunk, payload) => {
    arrived.push(`${of.kind} ${of.version}`)
    take(of, chunk, payload)
  }
  return arrived
}

test('a camera that has the version before gets the delta alone; one that is two behind gets the snapshot', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const arrived = watchChunks(camera)
      camera.start()
      await cloud.importList('stolen', plates(0, 100))
      await until('the first version is applied', () => version(camera) === 1)
      await cloud.importList('stolen', plates(3, 102))
      await until('the second is too', () => version(camera) === 2)
      assert.equal(arrived, ['snapshot 1', 'delta 2'])
      await until('it matches', () => matched(camera, 'QXZ1101') === 2)
      assert.equal([matched(camera, 'QXZ1050'), matched(camera, 'QXZ1002')], [2, null])
      await until('the cloud knows', () => acked(cloud)?.version === 2)
      assert.is(acked(cloud)?.result, 'applied')
      // What the cloud says from here on is lost.
      camera.wire.silence()
      await cloud.importList('stolen', plates(4, 102))
      await cloud.importList('stolen', plates(5, 103))
      assert.is(version(camera), 2)
      camera.wire.cut()
      await until('the newest is applied', () => version(camera) === 4)
      assert.equal(arrived.slice(2), ['snapshot 4'])
      assert.equal([matched(camera, 'QXZ1102'), matched(camera, 'QXZ1004')], [4, null])
      await cloud.importList('stolen', plates(5, 104))
      await until('and from there on deltas again', () => version(camera) === 5)
      assert.equal(arrived.slice(3), ['delta 5'])
      assert.equal([matched(camera, 'QXZ1103'), matched(camera, 'QXZ1050')], [5, 5])
      assert.is(camera.hotlists.status(systemClock.nowMs())[0]?.failedDeltas, 0)
      await until('the cloud knows that too', () => acked(cloud)?.version === 5)
    })
  })
})

test('a delta that was changed on the broker gives way to the snapshot, which the camera fetches by itself', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const arrived: string[] = []
      const take = camera.hotlists.takeChunk
      camera.hotlists.takeChunk = (of, chunk, payload) => {
        arrived.push(`${of.kind} ${of.version}`)
        const bytes = Buffer.from(payload)
        if (of.kind === 'delta') bytes[0] = (bytes[0] ?? 0) ^ 1
        take(of, chunk, bytes)
      }
      camera.start()
      await cloud.importList('stolen', plates(0, 100))
      await until('the first version is applied', () => version(camera) === 1)
      await cloud.importList('stolen', plates(3, 102))
      await until('the second is too', () => version(camera) === 2)
      assert.equal(arrived, ['snapshot 1', 'delta 2', 'snapshot 2'])
      await until('it matches', () => matched(camera, 'QXZ1101') === 2)
      assert.is(camera.hotlists.status(systemClock.nowMs())[0]?.failedDeltas, 1)
      await until('the cloud knows', () => acked(cloud)?.version === 2)
      assert.is(acked(cloud)?.result, 'applied')
    })
  })
})

test.run()

/** The whole camera (`runEdge`, with its real vision process) on the sample scenes, against the real cloud. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, inCloud, type TestCloud, until } from '../../cloud/testing.ts'
import { openSource } from '../../edge/capture/sources.ts'
import type { CaptureSource } from '../../edge/capture/types.ts'
import { loadEdgeConfig } from '../../edge/config.ts'
import { type EdgeDeps, type RunningEdge, runEdge, systemDeps } from '../../edge/main.ts'
import { MAX_TRIAL_STARTS, SETTINGS_FILE } from '../../edge/roll-out/settings.ts'
import type { VisionDoor } from '../../edge/vision/types.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { createLog, silentLog } from '../../shared/log.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { cameraHealthSchema, type Sighting } from '../../shared/wire/index.ts'
import { enrol, query } from '../trial/link-testing.ts'
import { freePort } from '../trial/ports.ts'

const SCENES = fileURLToPath(new URL('../sample-scenes/pictures/', import.meta.url))
const PLATES = readFileSync(join(SCENES, 'labels.tsv'), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t').at(-1) ?? '')
  .sort()

/** Writes edge.json into the camera's folder and reads it as `candor edge` does. */
function configure(folder: string, mqttPort: number, change: object = {}) {
  const file = join(folder, 'edge.json')
  const config = {
    agency: AGENCY,
    cameraId: 'north',
    broker: { url: `mqtts://localhost:${mqttPort}` },
    source: { kind: 'replay', path: SCENES },
    assumeClockSynced: true,
    exitWhenDone: true,
    healthIntervalMs: 100,
    // A machine that is busy with other tests must not cost a frame.
    vision: { frameTimeoutMs: 120_000 },
    ...change,
  }
  writeFileSync(file, JSON.stringify(config))
  return loadEdgeConfig(file, null)
}

const start = (
  config: ReturnType<typeof configure>,
  deps: Partial<EdgeDeps> = {},
  signal = new AbortController().signal,
) => runEdge(config, { ...systemDeps(silentLog), ...deps }, signal)

const documents = (cloud: TestCloud) =>
  query<{ document: string }>(cloud, 'SELECT document FROM sightings ORDER BY rowid').map(
    ({ document }): Sighting => JSON.parse(document),
  )
const finals = (cloud: TestCloud) =>
  documents(cloud)
    .filter(({ revision }) => revision === 1)
    .map(({ plate }) => plate)
    .sort()
const count = (cloud: TestCloud, table: string) =>
  query<{ rows: number }>(cloud, `SELECT count(*) AS rows FROM ${table}`)[0]?.rows

/** A source whose first frame waits for `open`. */
const gated = (source: CaptureSource, open: Promise<void>): CaptureSource => ({
  get dropped() {
    return source.dropped
  },
  get rejected() {
    return source.rejected
  },
  async *[Symbol.asyncIterator]() {
    await open
    yield* source
  },
  close: () => source.close(),
})

function isAlive(pid: number | null): boolean {
  try {
    process.kill(pid ?? 0, 0)
    return pid !== null
  } catch {
    return false
  }
}

test('a camera that was ended is not held by the process, which goes on with other settings for months', async () => {
  await inCloud(async (cloud) => {
    const config = configure(await enrol(cloud, 'north'), cloud.cloud.mqttPort)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { signal } = new AbortController()
    const ended: WeakRef<object>[] = []
    for (let run = 0; run < 3; run += 1) {
      // Everything of one run holds its parts, of which this is one.
      const vision = {
        ...{ restarts: 0, picture: null, pid: null, versions: { detector: 'none', reader: 'none' } },
        close: async () => {},
      } as unknown as VisionDoor
      ended.push(new WeakRef(vision))
      const nothing = gated(await openSource(config.source, systemDeps(silentLog)), new Promise(() => {}))
      const camera = await start(config, { openVision: async () => vision, openSource: async () => nothing }, signal)
      await camera.close()
    }
    await until('they are gone', () => {
      collect()
      // The last one is still on the stack of this test.
      return ended.filter((one) => one.deref() !== undefined).length <= 1
    })
  })
})

test('every plate of the scenes is stored by the cloud with its picture, listed ones raise alerts, and the camera ends by itself', async () => {
  await inCloud(async (cloud) => {
    const listed = ['plate,category,priority', 'TJ977FA,stolen,1', 'KLH4N93,stolen,1', '7TXW3G9,stolen,1', '']
    await cloud.cloud.parts.hotlists.import({
      list: 'stolen',
      bytes: Buffer.from(listed.join('\n')),
      settings: { groups: ['patrol'], rule: 'near' },
      dryRun: false,
      skipBad: false,
      allowEmpty: false,
      by: 'test',
    })
    const config = configure(await enrol(cloud, 'north'), cloud.cloud.mqttPort)
    let open = () => {}
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    const camera = await start(config, {
      openSource: async (source, deps) => gated(await openSource(source, deps), opened),
    })
    try {
      await until('the list is applied', () => camera.health().hotlists[0]?.entries === 3)
      open()
      await camera.stopped
      assert.equal(finals(cloud), PLATES)
      assert.is(count(cloud, 'crops'), PLATES.length)
      assert.equal(
        documents(cloud)
          .filter(({ match }) => match !== null)
          .map(({ plate, revision, match }) => `${plate} ${revision} ${match?.kind}`)
          .sort(),
        [
          '7TXW369 0 near',
          '7TXW369 1 near',
          'KLH4N93 0 exact',
          'KLH4N93 1 exact',
          'TJ977FA 0 exact',
          'TJ977FA 1 exact',
        ],
      )
      assert.is(count(cloud, 'alerts'), 3)
      assert.is(count(cloud, 'quarantine'), 0)
      assert.equal([camera.pipeline.made, camera.pipeline.matched, camera.pipeline.failed], [10, 3, 0])
      assert.not(isAlive(camera.visionPid))
    } finally {
      await camera.close()
    }
  })
})

test('a camera without its cloud keeps everything, over a restart too, and hands it over when the cloud is there', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const alone = await start(configure(folder, await freePort(), { exitWhenDone: false }))
    try {
      await start(configure(folder, await freePort())).then(
        () => assert.unreachable('two cameras in one folder'),
        (thrown) => assert.match(String(thrown), /another camera process works in/),
      )
      await alone.sourceEnded
      const health = cameraHealthSchema.parse(alone.health())
      assert.equal([health.sightings.made, health.sightings.lost, alone.connected], [10, 0, false])
      assert.is(health.outbox.rows, 20)
      assert.is(health.frames.read, 8)
    } finally {
      await alone.close()
    }
    assert.is(count(cloud, 'sightings'), 0)
    // The pictures are read a second time, as other sightings; the first ten must be there as well.
    const camera = await start(configure(folder, cloud.cloud.mqttPort))
    try {
      await camera.stopped
      assert.equal(finals(cloud), [...PLATES, ...PLATES].sort())
      assert.is(count(cloud, 'crops'), 20)
    } finally {
      await camera.close()
    }
  })
})

test('settings on trial with which the camera cannot be opened are no exit for good: it is started again until they are gone', async () => {
  await inCloud(async (cloud) => {
    const config = configure(await enrol(cloud, 'north'), cloud.cloud.mqttPort)
    const trial = { version: 1, targetId: newId(), settings: { inFlight: 5 }, starts: 0 }
    mkdirSync(config.dataFolder)
    writeFileSync(join(config.dataFolder, SETTINGS_FILE), JSON.stringify({ kept: null, trial, newest: 1, ack: null }))
    const openFails = async (): Promise<never> => {
      throw new AppError('configuration', 'not with these')
    }
    const code = () => codeOf(() => start(config, { openSource: openFails }))
    for (let begun = 0; begun < MAX_TRIAL_STARTS; begun++) assert.is(await code(), 'unavailable')
    assert.is(await code(), 'configuration', 'its own settings are to blame')
  })
})

test('a full outbox drops pictures first and then the oldest, counts them, and the camera goes on reading', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const stored: string[] = []
    const log = createLog({
      level: 'info',
      part: 'edge',
      target: {
        write(line) {
          const { name, sightingId } = JSON.parse(line)
          if (name === 'sighting_stored') stored.push(sightingId)
        },
      },
    })
    const config = configure(folder, await freePort(), { exitWhenDone: false, outbox: { maxRows: 4 } })
    const camera = await start(config, { log })
    try {
      await camera.sourceEnded
      const { outbox, sightings, frames } = cameraHealthSchema.parse(camera.health())
      assert.equal([outbox.rows, outbox.evicted], [4, { crops: 10, sightings: 6 }])
      assert.equal([sightings.made, frames.read], [10, 8])
    } finally {
      await camera.close()
    }
    const kept = openDatabase(join(folder, 'data', 'outbox.db'), { readonly: true })
    const ids = kept.prepare('SELECT sighting_id FROM outbox ORDER BY row_id').pluck().all()
    kept.close()
    // The order in which vehicles are stored depends on how long the names of their states take.
    assert.equal(ids, stored.slice(-4))
  })
})

test('an abort ends a camera that would read for ever, and what it had seen is stored', async () => {
  await inCloud(async (cloud) => {
    const config = configure(await enrol(cloud, 'north'), cloud.cloud.mqttPort, {
      source: { kind: 'replay', path: SCENES, loop: true },
      track: { repeatWindowMs: 0 },
    })
    const abort = new AbortController()
    const camera = await start(config, {}, abort.signal)
    try {
      await until('something is stored', () => (count(cloud, 'sightings') ?? 0) > 0)
      abort.abort()
      await camera.stopped
      const left = openDatabase(join(config.dataFolder, 'outbox.db'), { readonly: true })
      const waiting = left.prepare('SELECT count(*) FROM outbox WHERE rank IN (0, 2)').pluck().get()
      left.close()
      // What was in flight at the end may be in both places: not removed before its acknowledgement.
      assert.ok(Number(waiting) + Number(count(cloud, 'sightings')) >= camera.pipeline.made)
      assert.not(isAlive(camera.visionPid))
    } finally {
      await camera.close()
    }
  })
})

test('a camera that is closed before all was sent waits for nothing any more', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    let sleeps = 0
    const clock: Clock = {
      ...systemClock,
      sleep(ms, signal) {
        sleeps += 1
        return systemClock.sleep(ms, signal)
      },
    }
    // Nobody listens there: what was seen stays in the outbox.
    const camera = await start(configure(folder, await freePort()), { clock })
    await camera.sourceEnded
    await camera.close()
    // What was waiting when it was closed may wake once more; then nothing sleeps again.
    await until('no part of it waits', async () => {
      const before = sleeps
      await systemClock.sleep(1_000)
      return sleeps === before
    })
  })
})

test('a camera that cannot start says why and leaves nothing running', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-camera-'))
  try {
    await inCloud(async (cloud) => {
      const files = await enrol(cloud, 'north')
      const frames = join(folder, 'frames')
      mkdirSync(frames)
      const config = configure(files, cloud.cloud.mqttPort, { source: { kind: 'replay', path: frames } })
      let vision: VisionDoor | null = null
      const refused = await start(config, {
        async openVision(...call) {
          const door = await systemDeps(silentLog).openVision(...call)
          vision = door
          assert.ok(isAlive(door.pid))
          return door
        },
      }).then(
        (camera: RunningEdge) => camera.close().then(() => null),
        (error: unknown) => error,
      )
      assert.instance(refused, AppError)
      assert.is((refused as AppError).code, 'bad_input')
      assert.match((refused as AppError).message, /no picture/)
      assert.is((vision as VisionDoor | null)?.pid, null)
      // The databases are closed: another camera process can have them.
      writeFileSync(join(frames, 'scene.jpg'), readFileSync(join(SCENES, 'scene-002.jpg')))
      const camera = await start(config)
      await camera.stopped
      assert.equal(finals(cloud), ['TJ977FA'])
    })
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('a picture that is none among the frames is counted, and the rest is read', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const frames = join(folder, 'frames')
    mkdirSync(frames)
    const jpeg = readFileSync(join(SCENES, 'scene-002.jpg'))
    writeFileSync(join(frames, 'a.jpg'), jpeg.subarray(0, jpeg.length >> 1))
    writeFileSync(join(frames, 'b.jpg'), 'not a picture')
    writeFileSync(join(frames, 'c.jpg'), jpeg)
    const config = configure(folder, cloud.cloud.mqttPort, {
      source: { kind: 'replay', path: frames },
      exitWhenDone: false,
    })
    const camera = await start(config)
    try {
      await camera.sourceEnded
      await until('it is stored', () => finals(cloud).length > 0)
      assert.equal(finals(cloud), ['TJ977FA'])
      const { read, rejected } = camera.health().frames
      assert.equal({ read, rejected }, { read: 1, rejected: 2 })
    } finally {
      await camera.close()
    }
  })
})

test('the last that the cloud hears of a camera that is done is that nothing waits', async () => {
  await inCloud(async (cloud) => {
    // Longer than the camera lives: only the first and the last report are sent.
    const config = configure(await enrol(cloud, 'north'), cloud.cloud.mqttPort, {
      healthIntervalMs: 3_600_000,
      source: { kind: 'replay', path: join(SCENES, 'scene-002.jpg') },
    })
    const camera = await start(config)
    await camera.stopped
    const heard = async () => (await cloud.cloud.parts.cameras.list()).find((one) => one.camera === 'north')?.health
    await until('the last report', async () => (await heard())?.sightings.made === 1)
    assert.is((await heard())?.outbox.rows, 0)
  })
})

test.run()

/** The loop with its real tracker, lists and outbox; vision is a plain object that reads what the test wrote into the frame. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { AppError, type ErrorCode } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { sha256Hex } from '../shared/signing.ts'
import { EARLIEST_TIME_MS, MAX_CROP_BYTES, type Sighting, sightingSchema } from '../shared/wire/index.ts'
import type { CaptureSource, Frame } from './capture/types.ts'
import type { Hotlists } from './hotlist/hotlist.ts'
import { CAMERA, deliver, entry, entryId, inWorld, keyAnswer, NOW, sealed, versionOf } from './hotlist/testing.ts'
import { createMemory, type Memory } from './memory.ts'
import { type Outbox, type OutboxSighting, openOutbox } from './outbox/outbox.ts'
import { createPipeline, MAX_BEING_NAMED, type Pipeline, type PipelineDeps, type Seen } from './pipeline.ts'
import { createRepeats } from './repeats.ts'
import { createTracker } from './track.ts'
import type { PlateRead } from './vision/types.ts'

const LISTED = 'ABC1234'
const THREE_MINUTES_MS = 180_000
const IN_MEMORY = { policy: { upload: 'matches-only', unmatchedInMemory: true } } as const
const ALL = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: true }
const HERE = { x: 10, y: 10, width: 100, height: 40 }

const read = (plate: string | null, more: Partial<PlateRead> = {}): PlateRead => ({
  plate,
  confidence: 0.9,
  region: HERE,
  jurisdiction: null,
  vehicle: null,
  candidates: plate === null ? [] : [{ plate, confidence: 0.9 }],
  ...more,
})

/** A picture of these plates, or one that fails with a code. */
type Picture = readonly PlateRead[] | ErrorCode
const picture = (shown: Picture): Buffer => Buffer.from(JSON.stringify(shown))

const scriptedVision: PipelineDeps['vision'] = {
  async read(frame) {
    const shown: Picture = JSON.parse(Buffer.from(frame).toString())
    if (typeof shown === 'string') throw new AppError(shown, `this picture is ${shown}`)
    return { widthPx: 1_280, heightPx: 720, elapsedMs: 1, stagesMs: {}, still: false, reads: [...shown] }
  },
  async crop(frame, region, maxBytes) {
    assert.is(maxBytes, MAX_CROP_BYTES)
    const jpeg = Buffer.from(`crop at ${region.x} of ${sha256Hex(frame)}`)
    return { jpeg, sha256: sha256Hex(jpeg), plate: region }
  },
  async jurisdiction() {
    return null
  },
}

const frameOf = (shown: Picture, seq: number): Frame => ({
  seq,
  capturedAtMs: NOW - 1_000 + seq,
  clock: 'synced',
  encoded: picture(shown),
  name: null,
})

const sourceOf = (frames: AsyncGenerator<Frame>): CaptureSource => ({
  dropped: 0,
  rejected: 0,
  [Symbol.asyncIterator]: () => frames,
  close: async () => {},
})

async function* each(...pictures: readonly Picture[]): AsyncGenerator<Frame> {
  for (const [seq, shown] of pictures.entries()) yield frameOf(shown, seq)
}

interface World {
  pipeline: Pipeline
  outbox: Outbox
  /** Until the source ends. */
  run(frames: AsyncGenerator<Frame>, signal?: AbortSignal): Promise<void>
  sightings(): Sighting[]
  /** What waits, in the order of leaving. */
  rows(): string[]
  wakes: number
  memory: Memory<Seen>
  hotlists: Hotlists
  /** Beyond the time that passes by itself. */
  time: { aheadMs: number }
}

interface Options {
  /** The camera has its list and waits for the key. */
  keyless?: boolean
  sequence?: 'stills' | 'video'
  gapMs?: number
  windowMs?: number
  maxFileBytes?: number
  deps?: Partial<PipelineDeps>
}

async function inPipeline(options: Options, work: (world: World) => Promise<void>): Promise<void> {
  await inWorld(async ({ hotlists: keyed, restartWithoutKey, database }) => {
    await deliver(keyed, versionOf(7, [entry(1, LISTED)]))
    const hotlists = options.keyless === true ? restartWithoutKey() : keyed
    const time = { aheadMs: 0 }
    const { sequence = 'stills', gapMs = 60_000, windowMs = 60_000, maxFileBytes = null } = options
    const clock = { ...systemClock, nowMs: () => NOW, monotonicMs: () => systemClock.monotonicMs() + time.aheadMs }
    const memory = createMemory<Seen>({ keptMs: () => THREE_MINUTES_MS })
    const file = join(database.name, '..', 'outbox.db')
    const outbox = openOutbox({ file, maxRows: 1_000, maxBytes: 100_000_000, clock, maxFileBytes })
    const rows = () => outbox.oldest(1_000, new Set(), ALL, false)
    try {
      const pipeline = createPipeline({
        sequence,
        cameraId: 'north',
        gapMs,
        versions: { software: '0.1.0', detector: 'test', reader: 'test' },
        vision: scriptedVision,
        tracker: createTracker({ gapMs, sequence }, newId),
        repeats: createRepeats({ windowMs, unmatchedMs: () => windowMs, sequence }),
        hotlists,
        policy: { upload: 'all', unmatchedInMemory: false },
        memory,
        outbox,
        clockState: { state: 'synced' },
        clock,
        random: () => 0.5,
        log: silentLog,
        onStored: () => {
          world.wakes += 1
        },
        ...options.deps,
      })
      const world: World = {
        pipeline,
        outbox,
        memory,
        hotlists,
        time,
        wakes: 0,
        run: (frames, signal = new AbortController().signal) => pipeline.run(sourceOf(frames), signal),
        sightings: () =>
          rows()
            .filter((row) => row.kind === 'sighting')
            .map((row) => sightingSchema.parse(JSON.parse(row.payload.toString()))),
        rows: () => rows().map((row) => `${row.matched ? 'matched ' : ''}${row.kind}`),
      }
      await work(world)
    } finally {
      outbox.close()
    }
  })
}

test('every vehicle becomes one sighting with its picture, valid on the wire', async () => {
  await inPipeline({}, async ({ run, sightings, rows, pipeline }) => {
    await run(each([read('XYZ789'), read('KLM456', { region: { ...HERE, x: 500 } })], [], [read('PQR321')]))
    assert.equal(
      sightings().map(({ plate }) => plate),
      ['XYZ789', 'KLM456', 'PQR321'],
    )
    const [first] = sightings()
    assert.equal([first?.revision, first?.capturedAtMs, first?.match, first?.clock], [1, NOW - 1_000, null, 'synced'])
    const jpeg = `crop at 10 of ${sha256Hex(picture([read('XYZ789'), read('KLM456', { region: { ...HERE, x: 500 } })]))}`
    assert.equal(first?.crop, { sha256: sha256Hex(jpeg), bytes: jpeg.length })
    assert.equal(rows(), ['sighting', 'sighting', 'sighting', 'crop', 'crop', 'crop'])
    assert.equal([pipeline.counters.read, pipeline.counters.made, pipeline.counters.matched], [3, 3, 0])
  })
})

test('frames that are no pictures and frames that vision could not read are counted apart, and the next one is read', async () => {
  await inPipeline({}, async ({ run, sightings, pipeline }) => {
    await run(each('bad_input', 'too_large', 'unavailable', 'bad_input', [read('XYZ789')]))
    const { read: good, rejected, failed } = pipeline.counters
    assert.equal({ good, rejected, failed }, { good: 1, rejected: 3, failed: 1 })
    assert.is(sightings().length, 1)
  })
})

test('a fault of the program ends the loop instead of being counted away', async () => {
  await inPipeline({}, async ({ run }) => {
    const thrown = await run(each('internal', [read('XYZ789')])).then(
      () => null,
      (error: unknown) => error,
    )
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, 'internal')
  })
})

test('a listed vehicle leaves at once as a preview, then as a final under the same id with the same picture', async () => {
  await inPipeline({ sequence: 'video' }, async (world) => {
    let before: Sighting[] = []
    async function* frames() {
      yield frameOf([read(LISTED)], 0)
      // Asked for again: the first frame is done with.
      before = world.sightings()
      assert.equal(world.rows(), ['matched sighting', 'matched crop'])
      yield frameOf([read(LISTED, { confidence: 0.99 })], 1)
    }
    await world.run(frames())
    const [preview] = before
    assert.equal([before.length, preview?.revision, preview?.frames], [1, 0, 1])
    assert.equal(preview?.match, { list: 'stolen', listVersion: 7, entryId: entryId(1), kind: 'exact' })
    const [first, final] = world.sightings()
    assert.equal(first, preview)
    assert.equal([final?.sightingId, final?.revision, final?.frames], [preview?.sightingId, 1, 2])
    assert.equal(final?.crop, preview?.crop)
    assert.equal([final?.capturedAtMs, final?.region], [preview?.capturedAtMs, preview?.region], 'all of the one frame')
    assert.equal(world.rows(), ['matched sighting', 'matched sighting', 'matched crop'])
    assert.equal([world.pipeline.counters.made, world.pipeline.counters.matched, world.wakes], [1, 1, 2])
  })
})

test('time, place and picture of a vehicle are those of its best frame', async () => {
  await inPipeline({ sequence: 'video' }, async ({ run, sightings }) => {
    const at = (x: number, confidence: number) => [read('XYZ789', { confidence, region: { ...HERE, x } })]
    await run(each(at(10, 0.6), at(20, 0.9), at(30, 0.7)))
    const [sighting] = sightings()
    const jpeg = `crop at 20 of ${sha256Hex(picture(at(20, 0.9)))}`
    assert.equal([sighting?.capturedAtMs, sighting?.region.x], [NOW - 1_000 + 1, 20])
    assert.is(sighting?.crop?.sha256, sha256Hex(jpeg))
  })
})

test('a final that no longer matches still follows its preview, as urgent as that one', async () => {
  await inPipeline(
    { sequence: 'video', deps: { policy: { upload: 'matches-only', unmatchedInMemory: false } } },
    async (world) => {
      const other = read('ABC1299', { confidence: 0.85, candidates: [{ plate: 'ABC1299', confidence: 0.85 }] })
      await world.run(each([read(LISTED)], [other], [other]))
      const [preview, final] = world.sightings()
      assert.equal([preview?.plate, preview?.match?.kind], [LISTED, 'exact'])
      assert.equal([final?.plate, final?.match, final?.revision], ['ABC1299', null, 1])
      assert.equal(world.rows(), ['matched sighting', 'matched sighting', 'matched crop'])
      assert.equal([world.pipeline.counters.matched, world.pipeline.counters.withheld], [0, 0])
    },
  )
})

test('when only matches may leave, the others are counted, not stored, and no picture is taken of them', async () => {
  let crops = 0
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    crop(...call) {
      crops += 1
      return scriptedVision.crop(...call)
    },
  }
  await inPipeline(
    { deps: { vision, policy: { upload: 'matches-only', unmatchedInMemory: false } } },
    async (world) => {
      await world.run(each([read('XYZ789')], [read(LISTED)], [read(null)]))
      assert.equal(
        world.sightings().map(({ plate, revision }) => `${plate} ${revision}`),
        [`${LISTED} 0`, `${LISTED} 1`],
      )
      assert.equal([world.pipeline.counters.made, world.pipeline.counters.withheld, crops], [3, 2, 1])
    },
  )
})

test('what may touch no disk is held in memory with its picture, never in the outbox, and matched ones leave as ever', async () => {
  await inPipeline({ deps: IN_MEMORY }, async (world) => {
    await world.run(each([read('XYZ789')], [read(LISTED)], [read(null)]))
    assert.equal(
      world.sightings().map(({ plate, revision }) => `${plate} ${revision}`),
      [`${LISTED} 0`, `${LISTED} 1`],
    )
    assert.equal([world.memory.held, world.memory.bytes > 2 * 2_048], [2, true])
    const { made, matched, withheld } = world.pipeline.counters
    assert.equal([made, matched, withheld], [3, 1, 0])
    await world.pipeline.meetLate()
    assert.equal([world.rows().length, world.memory.held], [3, 2])
  })
})

test('a key or a list that comes while a sighting is held makes it one with a match: it is stored with its picture, once', async () => {
  await inPipeline({ keyless: true, deps: IN_MEMORY }, async (world) => {
    await world.run(each([read('XYZ789')], [read(LISTED)]))
    assert.equal([world.rows(), world.memory.held], [[], 2])
    assert.is(world.hotlists.takeKey(sealed(keyAnswer()), { cameraId: CAMERA, requestId: entryId(0) }), null)
    world.time.aheadMs = THREE_MINUTES_MS / 2
    await world.pipeline.meetLate()
    // A run waits for what is being looked at further.
    await world.run(each())
    const [late] = world.sightings()
    assert.equal([late?.plate, late?.match?.kind, late?.revision], [LISTED, 'exact', 1])
    assert.equal(world.rows(), ['matched sighting', 'matched crop'])
    assert.equal([world.memory.held, world.memory.counters.matchedLate, world.pipeline.counters.matched], [1, 1, 1])
    await deliver(world.hotlists, versionOf(8, [entry(1, LISTED), entry(2, 'XYZ789')]))
    await world.pipeline.meetLate()
    await world.run(each())
    assert.equal([world.sightings().length, world.memory.held], [2, 0])
  })
})

test('a key that comes when the time of what is held is over meets nothing', async () => {
  await inPipeline({ keyless: true, deps: IN_MEMORY }, async (world) => {
    await world.run(each([read(LISTED)]))
    assert.is(world.hotlists.takeKey(sealed(keyAnswer()), { cameraId: CAMERA, requestId: entryId(0) }), null)
    world.time.aheadMs = THREE_MINUTES_MS
    await world.pipeline.meetLate()
    assert.equal(world.rows(), [])
  })
})

test("a plate's state is read from its picture while the next frames are looked at, and is in the final alone", async () => {
  let answer = (_: { code: string; confidence: number }): void => {}
  const asked: string[] = []
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    jurisdiction(picture, corners) {
      asked.push(`${Buffer.from(picture).subarray(0, 7)} ${corners[2].x},${corners[2].y}`)
      return new Promise((resolve) => {
        answer = resolve
      })
    },
  }
  await inPipeline({ gapMs: 1, deps: { vision } }, async ({ run, sightings }) => {
    async function* frames() {
      yield frameOf([read(LISTED)], 0)
      while (asked.length === 0) await systemClock.sleep(2)
      yield frameOf([read('XYZ789', { jurisdiction: { code: 'RO', confidence: 1 } })], 1)
      while (sightings().length < 2) await systemClock.sleep(2)
      // The first vehicle's state is still being read, and the second is already followed.
      answer({ code: 'US-CA', confidence: 0.9 })
    }
    await run(frames())
    assert.equal(asked, ['crop at 110,50'])
    assert.equal(
      sightings()
        .map(({ plate, revision, jurisdiction }) => `${plate} ${revision} ${jurisdiction?.code ?? 'null'}`)
        .sort(),
      [`${LISTED} 0 null`, `${LISTED} 1 US-CA`, 'XYZ789 1 RO'],
    )
  })
})

test('states that cannot be read, and those of more vehicles than may wait, are null; no vehicle is lost', async () => {
  const waiting: (() => void)[] = []
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    jurisdiction: () =>
      new Promise((_, reject) => {
        waiting.push(() => reject(new AppError('unavailable', 'the vision process is gone')))
      }),
  }
  const plates = Array.from({ length: MAX_BEING_NAMED + 1 }, (_, n) => `XYZ${n}AB`)
  await inPipeline({ gapMs: 1, deps: { vision } }, async ({ run, sightings }) => {
    async function* frames() {
      for (const [seq, plate] of plates.entries()) yield frameOf([read(plate)], seq)
      // The one too many does not wait.
      while (sightings().length === 0 || waiting.length < MAX_BEING_NAMED) await systemClock.sleep(2)
      for (const give of waiting) give()
    }
    await run(frames())
    assert.is(waiting.length, MAX_BEING_NAMED)
    assert.equal(
      sightings()
        .map(({ plate, jurisdiction }) => `${plate} ${jurisdiction}`)
        .sort(),
      plates.map((plate) => `${plate} null`),
    )
  })
})

test('a camera that is told to stop stores what it has seen without waiting for the names of states', async () => {
  const stop = new AbortController()
  let asked = 0
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    jurisdiction() {
      asked += 1
      return new Promise(() => {})
    },
  }
  await inPipeline({ gapMs: 1, deps: { vision } }, async ({ run, sightings }) => {
    async function* frames() {
      yield frameOf([read('XYZ789')], 0)
      while (asked === 0) await systemClock.sleep(2)
      yield frameOf([read('ABC123')], 1)
      stop.abort()
    }
    await run(frames(), stop.signal)
    assert.equal(
      sightings()
        .map(({ plate, jurisdiction }) => `${plate} ${jurisdiction}`)
        .sort(),
      ['ABC123 null', 'XYZ789 null'],
    )
    assert.is(asked, 1)
  })
})

test('of a video, frames in which nothing has moved are counted and not read, and a parked vehicle is one sighting', async () => {
  const asked: (boolean | undefined)[] = []
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    async read(frame, options) {
      asked.push(options?.unlessStill)
      const reading = await scriptedVision.read(frame)
      return { ...reading, still: reading.reads.length === 0 }
    },
  }
  await inPipeline({ sequence: 'video', deps: { vision } }, async ({ run, sightings, pipeline }) => {
    await run(each([read('XYZ789')], [], [], [read('XYZ789')]))
    assert.equal(
      sightings().map(({ plate, frames }) => `${plate} ${frames}`),
      ['XYZ789 2'],
    )
    assert.equal([pipeline.counters.read, pipeline.counters.still], [2, 2])
    assert.equal(asked, [true, true, true, true])
  })
  asked.length = 0
  await inPipeline({ sequence: 'stills', deps: { vision } }, async ({ run }) => run(each([read('XYZ789')])))
  assert.equal(asked, [false])
})

test('a vehicle whose plate cannot be read is a sighting without a plate, and matches nothing', async () => {
  await inPipeline({}, async ({ run, sightings, rows }) => {
    await run(each([read(null, { confidence: 0.3 })]))
    const [sighting] = sightings()
    assert.equal([sighting?.plate, sighting?.candidates, sighting?.match], [null, [], null])
    assert.equal(rows(), ['sighting', 'crop'])
  })
})

test('a picture that cannot be cut out is counted, and the sighting is stored without it', async () => {
  const crop = async () => {
    throw new AppError('too_large', 'no quality fits')
  }
  await inPipeline({ deps: { vision: { ...scriptedVision, crop } } }, async ({ run, sightings, rows, pipeline }) => {
    await run(each([read('XYZ789')], [read(LISTED)]))
    assert.equal(
      sightings().map(({ plate, revision, crop }) => [plate, revision, crop]),
      [
        [LISTED, 0, null],
        [LISTED, 1, null],
        ['XYZ789', 1, null],
      ],
    )
    assert.equal(rows(), ['matched sighting', 'matched sighting', 'sighting'])
    assert.is(pipeline.counters.failed, 2)
  })
})

test('a vehicle seen again within the window is no second sighting', async () => {
  // A gap of no time: each still is a track of its own.
  await inPipeline({ gapMs: -1 }, async ({ run, sightings, pipeline }) => {
    await run(each([read('XYZ789')], [read('XYZ789')], [read(LISTED)], [read(LISTED)]))
    assert.equal(
      sightings().map(({ plate, revision }) => `${plate} ${revision}`),
      [`${LISTED} 0`, `${LISTED} 1`, 'XYZ789 1'],
    )
    assert.equal([pipeline.counters.made, pipeline.counters.repeats], [2, 2])
  })
})

test('a vehicle is reported when no frame comes for the gap, while the source still waits', async () => {
  await inPipeline({ gapMs: 20 }, async ({ run, sightings }) => {
    async function* frames() {
      yield frameOf([read('XYZ789')], 0)
      const endMs = systemClock.monotonicMs() + 30_000
      while (sightings().length === 0 && systemClock.monotonicMs() < endMs) await systemClock.sleep(5)
      assert.is(sightings().length, 1)
    }
    await run(frames())
    assert.is(sightings().length, 1)
  })
})

test('the loop comes round while no frame comes, and stands still while one is read: so is a camera that hangs told from one that waits', async () => {
  let goOn = (): void => {}
  const reading = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let isReading = false
  const vision: PipelineDeps['vision'] = {
    ...scriptedVision,
    async read(frame, options) {
      isReading = true
      await reading
      return scriptedVision.read(frame, options)
    },
  }
  await inPipeline({ gapMs: 5, deps: { vision } }, async ({ pipeline, run }) => {
    const seen = (before: number) => pipeline.turnedAtMs() > before
    let isThere = false
    async function* late(): AsyncGenerator<Frame> {
      while (!isThere) await systemClock.sleep(2)
      yield* each([read(LISTED)])
    }
    const ended = run(late())
    for (let turns = 0; turns < 3; turns += 1) {
      const before = pipeline.turnedAtMs()
      while (!seen(before)) await systemClock.sleep(1)
    }
    isThere = true
    while (!isReading) await systemClock.sleep(1)
    const stood = pipeline.turnedAtMs()
    await systemClock.sleep(50)
    assert.is(pipeline.turnedAtMs(), stood)
    goOn()
    await ended
    assert.ok(seen(stood))
  })
})

test('an abort ends the loop, and what was being followed then is stored', async () => {
  await inPipeline({}, async ({ run, sightings }) => {
    const abort = new AbortController()
    let release = () => {}
    async function* frames() {
      yield frameOf([read('XYZ789')], 0)
      abort.abort()
      await new Promise<void>((resolve) => {
        release = resolve
      })
    }
    await run(frames(), abort.signal)
    release()
    assert.equal(
      sightings().map(({ plate }) => plate),
      ['XYZ789'],
    )
  })
})

test('a source that fails ends the loop with its error', async () => {
  await inPipeline({}, async ({ run }) => {
    async function* frames() {
      yield frameOf([read('XYZ789')], 0)
      throw new AppError('unavailable', 'the camera was unplugged')
    }
    const thrown = await run(frames()).then(String, String)
    assert.match(thrown, /unplugged/)
  })
})

test('a clock that is not synchronised, or out of all range, is marked and does not cost the sighting', async () => {
  await inPipeline({ deps: { clockState: { state: 'unsynced' } } }, async ({ run, sightings }) => {
    async function* frames() {
      yield { ...frameOf([read('XYZ789')], 0), capturedAtMs: 12.5 }
    }
    await run(frames())
    const [sighting] = sightings()
    assert.equal([sighting?.clock, sighting?.capturedAtMs], ['unsynced', EARLIEST_TIME_MS])
  })
  await inPipeline({}, async ({ run, sightings }) => {
    async function* frames(): AsyncGenerator<Frame> {
      yield { ...frameOf([read('XYZ789')], 0), clock: 'unsynced' }
    }
    await run(frames())
    assert.is(sightings()[0]?.clock, 'unsynced', 'what the source says counts too')
  })
})

test('a read that the wire does not take is counted and costs no other sighting', async () => {
  await inPipeline({}, async ({ run, sightings, pipeline }) => {
    await run(each([read('XYZ789', { region: { ...HERE, width: 0 } })], [read('KLM456')]))
    assert.equal(
      sightings().map(({ plate }) => plate),
      ['KLM456'],
    )
    assert.is(pipeline.counters.failed, 1)
  })
})

test('what the full outbox drops at once is not said to be stored, and its picture goes with the final instead', async () => {
  const lines: string[] = []
  const say = (name: string) => void lines.push(name)
  const log = { ...silentLog, info: say, warn: say }
  const crops: (number | null)[] = []
  let full = true
  const outbox = {
    put(_sighting: OutboxSighting, crop: Uint8Array | null) {
      crops.push(crop?.length ?? null)
      return full ? { sighting: false, crop: false } : { sighting: true, crop: crop !== null }
    },
  }
  await inPipeline({ deps: { outbox, log } }, async ({ run, wakes }) => {
    async function* frames() {
      yield frameOf([read(LISTED)], 0)
      full = false
    }
    await run(frames())
    assert.is(wakes, 0)
  })
  assert.equal(lines, ['sighting_dropped', 'sighting_stored'])
  assert.is(crops.length, 2)
  assert.ok(crops[0] !== null && crops[0] === crops[1], 'the picture is tried again')
})

test('a full disk costs sightings, which are counted, and the camera goes on', async () => {
  await inPipeline({ windowMs: 0, maxFileBytes: 160 * 1024 }, async ({ run, outbox, pipeline, sightings }) => {
    const vehicles = Array.from({ length: 400 }, (_, n) => [read(`T${n + 1_000}`)])
    await run(each(...vehicles))
    assert.equal([pipeline.counters.read, pipeline.counters.made], [400, 400])
    const { lost, evictedCrops, evictedSightings } = outbox.counters()
    assert.ok(lost > 0, 'some were lost')
    assert.is(sightings().length + lost + evictedSightings, 400, `${evictedCrops} crops went first`)
  })
})

test.run()

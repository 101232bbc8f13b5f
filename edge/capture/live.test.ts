import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { createLog, silentLog } from '../../shared/log.ts'
import { MAX_PICTURE_BYTES } from '../vision/limits.ts'
import { type LiveLimits, openLive } from './live.ts'
import type { CaptureSource, Connection, Device, Frame, Shot } from './types.ts'

/** Waits are cut short: what is tested is that they are kept at all, and not how long they are. */
const clock = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 30), signal),
}
const deps = { clock, random: () => 0, log: silentLog }
const LIMITS: LiveLimits = { stallMs: 20, openTimeoutMs: 20, framesPerSecond: null }

/** A JPEG as far as its markers go. */
const picture = (mark: string) =>
  Buffer.concat([
    Buffer.from([0xff, 0xd8, 0xff, 0xfe, 0, 2 + mark.length]),
    Buffer.from(mark),
    Buffer.from([0xff, 0xd9]),
  ])
const shot = (mark: string, ageMs = 0): Shot => ({ jpeg: picture(mark), ageMs })
const never = <T>() => new Promise<T>(() => {})

type Step = Shot | 'hangs' | 'drops' | 'reopens'

/** A camera that does what the script says: one list each time that it is opened, then for ever the last thing of the last list. */
function camera(...script: (readonly Step[] | 'refuses' | 'hangs')[]) {
  const did = { opened: 0, closed: 0, given: 0 }
  const device: Device = {
    kind: 'scripted',
    async open(signal) {
      const steps = script[Math.min(did.opened, script.length - 1)] ?? 'hangs'
      did.opened += 1
      if (steps === 'refuses') throw new AppError('unavailable', 'no such camera')
      if (steps === 'hangs') {
        return await new Promise<Connection>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        )
      }
      let at = 0
      return {
        async next() {
          const step = steps[at] ?? 'hangs'
          at += 1
          if (step === 'hangs') return await never<Shot>()
          if (step === 'drops') throw new AppError('unavailable', 'the camera is gone')
          if (step === 'reopens') return null
          did.given += 1
          return step
        },
        async close() {
          did.closed += 1
        },
      }
    },
  }
  return { device, did }
}

async function frames(source: CaptureSource, count: number): Promise<Frame[]> {
  const found: Frame[] = []
  for await (const frame of source) {
    found.push(frame)
    if (found.length === count) break
  }
  return found
}

const marks = (found: readonly Frame[]) => found.map(({ encoded }) => encoded.subarray(6, -2).toString())

test('a frame has its number, when its shutter opened, and is delivering news', async () => {
  const { device } = camera([shot('a', 5_000), 'hangs'])
  const source = openLive(device, { ...LIMITS, stallMs: 60_000 }, deps)
  assert.is(source.live?.state, 'opening')
  assert.is(source.live?.frameAgeMs, null)
  const before = systemClock.nowMs()
  const [frame] = await frames(source, 1)
  assert.is(frame?.seq, 0)
  assert.ok((frame?.capturedAtMs ?? 0) <= systemClock.nowMs() - 5_000 && (frame?.capturedAtMs ?? 0) >= before - 5_001)
  assert.is(source.live?.state, 'delivering')
  assert.ok((source.live?.frameAgeMs ?? 0) >= 5_000)
  await source.close()
})

test('a camera that is not there at the start is waited for', async () => {
  const { device, did } = camera('refuses', 'refuses', [shot('a')])
  const source = openLive(device, LIMITS, deps)
  assert.equal(marks(await frames(source, 1)), ['a'])
  assert.is(did.opened, 3)
  assert.is(source.live?.reconnects, 1)
  assert.is(source.live?.errorCode, 'unavailable')
  await source.close()
})

test('one that hangs while it is opened is ended, and opened again', async () => {
  const { device, did } = camera('hangs', [shot('a')])
  const source = openLive(device, LIMITS, deps)
  assert.equal(marks(await frames(source, 1)), ['a'])
  assert.is(did.opened, 2)
  assert.is(source.live?.stalls, 1)
  await source.close()
})

test('one that opens after it was given up is closed', async () => {
  let open = (_: Connection) => {}
  let closed = 0
  const late = new Promise<Connection>((resolve) => {
    open = resolve
  })
  const connection: Connection = {
    next: never,
    async close() {
      closed += 1
    },
  }
  const source = openLive({ kind: 'late', open: () => late }, LIMITS, deps)
  while (source.live?.state !== 'lost') await systemClock.sleep(5)
  open(connection)
  await source.close()
  assert.ok(closed > 0)
})

test('a camera that gives no frame is closed and opened again, and its numbers go on', async () => {
  const { device, did } = camera([shot('a'), 'hangs'], [shot('b'), 'hangs'], [shot('c')])
  const source = openLive(device, LIMITS, deps)
  const found = await frames(source, 3)
  assert.equal(marks(found), ['a', 'b', 'c'])
  assert.equal(
    found.map(({ seq }) => seq),
    [0, 1, 2],
  )
  assert.is(source.live?.stalls, 2)
  assert.is(source.live?.reconnects, 2)
  assert.is(did.closed, 2)
  await source.close()
})

test('half pictures are counted and given to nobody; a camera that gives nothing else has stalled', async () => {
  const half = { jpeg: picture('h').subarray(0, 7), ageMs: 0 }
  const { device } = camera([half, shot('a'), half], [half, half, half, 'hangs'], [shot('b')])
  const source = openLive(device, LIMITS, deps)
  assert.equal(marks(await frames(source, 2)), ['a', 'b'])
  assert.is(source.rejected, 5)
  assert.is(source.live?.stalls, 2)
  await source.close()
})

test('a camera that answers at once with half pictures is opened again: our pauses between them are part of its silence', async () => {
  const half = { jpeg: picture('h').subarray(0, 7), ageMs: 0 }
  const { device } = camera(Array<Shot>(200).fill(half), [shot('b')])
  const source = openLive(device, { ...LIMITS, framesPerSecond: 50 }, deps)
  assert.equal(marks(await frames(source, 1)), ['b'])
  await source.close()
  assert.ok(source.rejected < 100, `${source.rejected} before it was opened again`)
})

test('one half picture of a camera that is asked seldom is no stall: it is asked once more', async () => {
  const half = { jpeg: picture('h').subarray(0, 7), ageMs: 0 }
  const { device, did } = camera([shot('a'), half, shot('b'), half, shot('c')])
  const source = openLive(device, { ...LIMITS, stallMs: 10, framesPerSecond: 40 }, deps)
  assert.equal(marks(await frames(source, 3)), ['a', 'b', 'c'])
  await source.close()
  assert.equal([did.opened, source.rejected, source.live?.stalls], [1, 2, 0])
})

test('a picture of the largest size is given, one byte more is not', async () => {
  const padded = (bytes: number) => ({
    jpeg: Buffer.concat([picture('x'), Buffer.alloc(bytes - picture('x').length)]),
    ageMs: 0,
  })
  const { device } = camera([padded(MAX_PICTURE_BYTES + 1), padded(MAX_PICTURE_BYTES)])
  const source = openLive(device, { ...LIMITS, stallMs: 60_000 }, deps)
  assert.equal(marks(await frames(source, 1)), ['x'])
  assert.is(source.rejected, 1)
  await source.close()
})

test('a camera that drops is lost until it gives a whole frame, not only until it is open', async () => {
  const { device } = camera([shot('a'), 'drops'], ['drops'], ['hangs'], [shot('b')])
  const source = openLive(device, LIMITS, deps)
  assert.equal(marks(await frames(source, 2)), ['a', 'b'])
  assert.is(source.live?.reconnects, 1)
  await source.close()
})

test('a device that is to be opened anew is, at once and without a fault', async () => {
  const { device, did } = camera([shot('a'), 'reopens'], [shot('b')])
  const source = openLive(device, LIMITS, deps)
  assert.equal(marks(await frames(source, 2)), ['a', 'b'])
  assert.is(source.live?.reconnects, 0)
  assert.is(source.live?.errorCode, null)
  assert.is(did.closed, 1)
  await source.close()
})

test('what fell while the reader was busy is replaced by the newest and counted', async () => {
  const all = Array.from({ length: 10 }, (_, n) => shot(`${n}`))
  const { device, did } = camera([...all, 'hangs'])
  const source = openLive(device, { ...LIMITS, stallMs: 60_000 }, deps)
  while (did.given < 10) await systemClock.sleep(1)
  const [frame] = await frames(source, 1)
  assert.is(frame?.seq, 9)
  assert.is(source.dropped, 9)
  await source.close()
})

test('no more frames are asked for than the rate says', async () => {
  const startedMs = systemClock.monotonicMs()
  const { device } = camera([shot('a'), shot('b'), shot('c')])
  const source = openLive(
    device,
    { stallMs: 60_000, openTimeoutMs: 60_000, framesPerSecond: 50 },
    { ...deps, clock: systemClock },
  )
  await frames(source, 3)
  const elapsedMs = systemClock.monotonicMs() - startedMs
  await source.close()
  // Two pauses of 20 ms, each of which a timer may end 2 ms early: its milliseconds are whole, and so are the loop's.
  assert.ok(elapsedMs >= 36, `${elapsedMs} ms`)
})

test('pictures that are asked for less often than a stall would take are no stall', async () => {
  const { device, did } = camera([shot('a'), shot('b'), shot('c'), shot('d')])
  const slow: Device = {
    kind: 'slow',
    async open(...given) {
      const connection = await device.open(...given)
      return {
        close: () => connection.close(),
        async next() {
          // As an exposure does, and its way over the cable.
          await systemClock.sleep(5)
          return connection.next()
        },
      }
    },
  }
  const period = { stallMs: 20, framesPerSecond: 40 }
  const source = openLive(slow, { ...LIMITS, ...period }, deps)
  assert.equal(marks(await frames(source, 4)), ['a', 'b', 'c', 'd'])
  assert.is(source.live?.stalls, 0)
  assert.is(did.opened, 1)
  await source.close()
})

test('faults in a row are told in a few lines, not one an attempt', async () => {
  const lines: string[] = []
  const log = createLog({ level: 'info', part: 'edge', target: { write: (line) => void lines.push(line) } })
  const { device, did } = camera('refuses')
  const source = openLive(device, LIMITS, {
    ...deps,
    log,
    clock: { ...clock, sleep: (_ms, signal) => systemClock.sleep(0, signal) },
  })
  while (did.opened < 40) await systemClock.sleep(5)
  await source.close()
  assert.is(lines.filter((line) => line.includes('source_lost')).length, 10)
})

test('an error of the program ends the source, and its reader hears of it', async () => {
  const device: Device = {
    kind: 'wrong',
    async open() {
      throw new TypeError('a mistake')
    },
  }
  const source = openLive(device, LIMITS, deps)
  const thrown = await frames(source, 1).catch((error: unknown) => error)
  assert.instance(thrown, TypeError)
  await source.close()
})

test('closing ends a reader that waits, a camera that hangs, and whatever is being opened', async () => {
  for (const script of [[shot('a'), 'hangs'] as const, 'hangs' as const]) {
    const { device } = camera(script)
    const source = openLive(
      device,
      { ...LIMITS, stallMs: 60_000, openTimeoutMs: 60_000 },
      { ...deps, clock: systemClock },
    )
    const reading = frames(source, 2)
    await systemClock.sleep(5)
    await source.close()
    assert.ok((await reading).length <= 1)
  }
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import {
  createMemory,
  FORGET_EVERY_MS,
  HELD_OVERHEAD_BYTES,
  MAX_HELD_BYTES,
  MAX_HELD_SIGHTINGS,
  type Memory,
  REMATCH_STEP,
  runMemory,
} from './memory.ts'
import { createRepeats } from './repeats.ts'

const THREE_MINUTES_MS = 3 * MINUTE_MS
const picture = (bytes = 1_000) => Buffer.alloc(bytes, 7)
const isGone = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)
const put = (memory: Memory<string>, sighting: string, bornAtMs = 0, bytes: Uint8Array | null = null) =>
  memory.put({ bornAtMs, picture: bytes, sighting }, bornAtMs)

async function taken(memory: Memory<string>, meets: (sighting: string) => boolean, nowMs = 0): Promise<string[]> {
  const found: string[] = []
  for await (const sighting of memory.take(meets, () => nowMs)) found.push(sighting)
  return found
}

test('a sighting is held to the end of its time and not a millisecond longer, and its picture is overwritten', async () => {
  const memory = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  const bytes = picture()
  put(memory, 'a', 500, bytes)
  assert.is(memory.bytes, bytes.length + HELD_OVERHEAD_BYTES)
  memory.forget(500 + THREE_MINUTES_MS - 1)
  assert.equal([memory.held, isGone(bytes)], [1, false])
  assert.equal(await taken(memory, () => true, 500 + THREE_MINUTES_MS), [], 'past its time it meets nothing')
  memory.forget(500 + THREE_MINUTES_MS)
  assert.equal([memory.held, memory.bytes, isGone(bytes), memory.counters.expired], [0, 0, true, 1])
})

test('a shorter time counts at once, and what is older already when it comes is not held', () => {
  let keptMs = THREE_MINUTES_MS
  const memory = createMemory<string>({ keptMs: () => keptMs })
  put(memory, 'a')
  keptMs = MINUTE_MS
  memory.forget(MINUTE_MS)
  assert.is(memory.held, 0)
  memory.put({ bornAtMs: 0, picture: null, sighting: 'b' }, MINUTE_MS)
  assert.equal([memory.held, memory.counters.expired], [0, 2])
})

test('what has no room goes, the oldest first, counted, at each limit', () => {
  const memory = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  for (let n = 0; n < MAX_HELD_SIGHTINGS; n += 1) put(memory, `n${n}`)
  assert.equal([memory.held, memory.counters.dropped], [MAX_HELD_SIGHTINGS, 0])
  put(memory, 'one more')
  assert.equal([memory.held, memory.counters.dropped], [MAX_HELD_SIGHTINGS, 1])

  const byBytes = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  const half = picture(MAX_HELD_BYTES / 2 - HELD_OVERHEAD_BYTES)
  put(byBytes, 'first', 0, half)
  put(byBytes, 'second', 0, picture(MAX_HELD_BYTES / 2 - HELD_OVERHEAD_BYTES))
  assert.equal([byBytes.held, byBytes.bytes], [2, MAX_HELD_BYTES])
  put(byBytes, 'third', 0, picture(1))
  assert.equal([byBytes.held, byBytes.counters.dropped, isGone(half)], [2, 1, true])
})

test('what meets a list leaves with its picture whole; the rest stays', async () => {
  const memory = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  const [listed, other] = [picture(), picture()]
  put(memory, 'listed', 0, listed)
  put(memory, 'other', 0, other)
  assert.equal(await taken(memory, (sighting) => sighting === 'listed'), ['listed'])
  assert.equal([memory.held, memory.counters.matchedLate, isGone(listed), isGone(other)], [1, 1, false, false])
  assert.is(memory.bytes, other.length + HELD_OVERHEAD_BYTES)
})

test('however much is held, it is held against lists a step in a turn of the event loop', async () => {
  const memory = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  for (let n = 0; n < 2 * REMATCH_STEP + 1; n += 1) put(memory, `n${n}`)
  let looked = 0
  let mostInATurn = 0
  let inThisTurn = 0
  const meets = () => {
    if (inThisTurn === 0) {
      setImmediate(() => {
        mostInATurn = Math.max(mostInATurn, inThisTurn)
        inThisTurn = 0
      })
    }
    inThisTurn += 1
    looked += 1
    return false
  }
  await taken(memory, meets)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal([looked, mostInATurn], [2 * REMATCH_STEP + 1, REMATCH_STEP])
})

test('a camera that ends leaves nothing in memory: every picture is overwritten', () => {
  const memory = createMemory<string>({ keptMs: () => 60_000 })
  const pictures = [Buffer.from('one'), Buffer.from('two')]
  for (const picture of pictures) memory.put({ bornAtMs: 0, picture, sighting: 'a vehicle' }, 0)
  memory.clear()
  assert.equal([memory.held, memory.bytes], [0, 0])
  for (const picture of pictures) assert.ok(picture.every((byte) => byte === 0))
})

test('each second it forgets what is past its time, what is remembered of vehicles too, and looks at changed lists', async () => {
  const memory = createMemory<string>({ keptMs: () => THREE_MINUTES_MS })
  const unmatchedMs = () => THREE_MINUTES_MS
  const repeats = createRepeats({ windowMs: 5 * MINUTE_MS, unmatchedMs, sequence: 'stills' })
  const region = { x: 0, y: 0, width: 10, height: 5 }
  put(memory, 'a')
  repeats.saw('ABC1230', region, null, 0)
  const stop = new AbortController()
  let nowMs = THREE_MINUTES_MS - SECOND_MS
  const seen: unknown[] = []
  const clock = {
    monotonicMs: () => nowMs,
    async sleep(ms: number) {
      seen.push([ms, memory.held, repeats.remembered])
      nowMs += ms
      if (nowMs > THREE_MINUTES_MS) stop.abort()
    },
  }
  let looks = 0
  const pipeline = {
    async meetLate() {
      looks += 1
    },
  }
  await runMemory({ memory, repeats, pipeline, clock: { ...systemClock, ...clock } }, stop.signal)
  assert.equal(seen, [
    [FORGET_EVERY_MS, 1, 1],
    [FORGET_EVERY_MS, 0, 0],
  ])
  assert.is(looks, 2)
})

test.run()

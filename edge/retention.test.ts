import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { silentLog } from '../shared/log.ts'
import type { ClockState } from './clock-state.ts'
import { type Outbox, openOutbox } from './outbox/outbox.ts'
import { PURGE_INTERVAL_MS, PURGE_ROWS, purgeOnce, type RetentionDeps, runRetention } from './retention.ts'

const START = 1_790_000_000_000

interface World extends RetentionDeps {
  outbox: Outbox
  time: { nowMs: number }
  state: { state: ClockState['state']; agingMs(): number }
  put(count: number, clock?: 'synced' | 'unsynced'): void
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-retention-'))
  const time = { nowMs: START }
  const clock = { ...systemClock, nowMs: () => time.nowMs }
  const state: World['state'] = { state: 'synced', agingMs: () => time.nowMs }
  const aging = { nowMs: () => state.agingMs() }
  const outbox = openOutbox({ file: join(folder, 'outbox.db'), maxRows: 10_000, maxBytes: 1e9, clock: aging })
  let made = 0
  try {
    await work({
      outbox,
      time,
      state,
      clock,
      clockState: state,
      hotlists: { sweep: () => 0 },
      policy: {
        cutoffs: (nowMs: number) => ({
          unmatchedMs: nowMs - DAY_MS,
          matchedMs: nowMs - 2 * DAY_MS,
          cropMs: nowMs - DAY_MS,
          unmatchedMayLeave: true,
        }),
      },
      log: silentLog,
      put(count, clockThen = 'synced') {
        for (let n = 0; n < count; n += 1) {
          made += 1
          const payload = Buffer.from(`sighting ${made}`)
          const sighting = { sightingId: `id-${made}`, revision: 1, matched: false, capturedAtMs: time.nowMs, payload }
          outbox.put({ ...sighting, clock: clockThen }, null)
        }
      },
    })
  } finally {
    outbox.close()
    rmSync(folder, { recursive: true })
  }
}

test('what is past its retention goes, however much it is, and what is one millisecond younger stays', async () => {
  await inWorld(async (world) => {
    world.put(2 * PURGE_ROWS + 1)
    world.time.nowMs = START + 1
    world.put(3)
    world.time.nowMs = START + DAY_MS
    assert.is(await purgeOnce(world), 2 * PURGE_ROWS + 1)
    assert.is(world.outbox.rows, 3)
    assert.is(world.outbox.counters().expired, 2 * PURGE_ROWS + 1)
  })
})

test('rows from before the clock was right count their age from when it became right', async () => {
  await inWorld(async (world) => {
    world.state.state = 'unsynced'
    world.time.nowMs = 1_577_836_800_000
    world.put(2, 'unsynced')
    world.state.state = 'synced'
    world.time.nowMs = START
    assert.is(await purgeOnce(world), 0)
    assert.is(world.outbox.oldestBornAtMs(), START)
    world.time.nowMs = START + DAY_MS
    assert.is(await purgeOnce(world), 2)
  })
})

test('however many rows are from before the clock was right, they are counted anew a step in a turn', async () => {
  await inWorld(async (world) => {
    world.put(2 * PURGE_ROWS, 'unsynced')
    const steps: number[] = []
    let turns = 0
    const outbox = {
      purge: () => 0,
      checkpoint: () => {},
      restamp(nowMs: number, limit: number) {
        assert.is(turns, steps.length, 'a turn of the event loop lies between two steps')
        setImmediate(() => {
          turns += 1
        })
        steps.push(world.outbox.restamp(nowMs, limit))
        return steps.at(-1) ?? 0
      },
    }
    world.state.state = 'unsynced'
    await purgeOnce({ ...world, clockState: world.state, outbox })
    assert.equal(steps, [], 'not before the clock is right')
    world.state.state = 'synced'
    await purgeOnce({ ...world, clockState: world.state, outbox })
    assert.equal(steps, [PURGE_ROWS, PURGE_ROWS, 0])
  })
})

test('rows of lists that are over are swept until none is left', async () => {
  await inWorld(async (world) => {
    let left = 5
    const sweep = () => {
      left -= 1
      return left
    }
    await purgeOnce({ ...world, hotlists: { ...world.hotlists, sweep } })
    assert.is(left, 0)
  })
})

test('it purges at once and then at the interval, over a full or busy disk, and ends when told to', async () => {
  await inWorld(async (world) => {
    const abort = new AbortController()
    const waits: number[] = []
    let rounds = 0
    const sweep = () => {
      rounds += 1
      if (rounds === 1) throw new AppError('storage_full', 'no space left')
      if (rounds === 2) throw new AppError('unavailable', 'busy')
      return 0
    }
    const sleep = async (ms: number) => {
      waits.push(ms)
      if (waits.length === 3) abort.abort()
    }
    const clock = { ...world.clock, sleep }
    await runRetention({ ...world, clock, hotlists: { ...world.hotlists, sweep } }, abort.signal)
    assert.is(rounds, 3)
    assert.equal(waits, [PURGE_INTERVAL_MS, PURGE_INTERVAL_MS, PURGE_INTERVAL_MS])
  })
})

test('a fault of the program is not taken for a full disk', async () => {
  await inWorld(async (world) => {
    const sweep = () => {
      throw new AppError('internal', 'a fault')
    }
    const running = runRetention({ ...world, hotlists: { ...world.hotlists, sweep } }, new AbortController().signal)
    assert.match(await running.then(String, String), /a fault/)
  })
})

test('while the clock is not trusted nothing is forgotten by it, and once it is what is past its time goes', async () => {
  await inWorld(async (world) => {
    world.put(3)
    world.state.state = 'unsynced'
    world.state.agingMs = () => START + 1
    world.time.nowMs = START + 400 * DAY_MS
    assert.is(await purgeOnce(world), 0)
    assert.is(world.outbox.rows, 3)
    world.state.state = 'synced'
    world.state.agingMs = () => world.time.nowMs
    world.time.nowMs = START + DAY_MS
    assert.is(await purgeOnce(world), 3)
  })
})

test('what is seen while the clock is far behind is no older than it is: it stays, and ages by what passes', async () => {
  await inWorld(async (world) => {
    // A unit without a battery for its clock boots in 1970 and knows from before what it was.
    world.state.state = 'unsynced'
    world.state.agingMs = () => START
    world.time.nowMs = 1_000
    world.put(3, 'unsynced')
    assert.is(await purgeOnce(world), 0)
    const cutoffs = world.policy.cutoffs(world.state.agingMs())
    assert.is(world.outbox.oldest(10, new Set(), cutoffs, false).length, 3, 'and it may leave')
    world.state.agingMs = () => START + DAY_MS
    assert.is(await purgeOnce(world), 3)
  })
})

test.run()

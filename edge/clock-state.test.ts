import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, systemClock } from '../shared/clock.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { CLOCK_CHECK_INTERVAL_MS, openClockState, systemClockIsSynced } from './clock-state.ts'

/** A clock whose sleeps end when the test says so. */
function steppedClock() {
  const waits: number[] = []
  let wake = () => {}
  return {
    waits,
    clock: {
      ...systemClock,
      sleep: (ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve, reject) => {
          waits.push(ms)
          wake = resolve
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        }),
    },
    /** Lets the present sleep end and everything that follows from it happen. */
    async step() {
      wake()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

test('the clock is asked about at the start, and then at the interval, and both ways are noticed', async () => {
  const { clock, waits, step } = steppedClock()
  let synced = false
  const state = await openClockState(async () => synced, clock, openDatabase(':memory:'))
  assert.is(state.state, 'unsynced')
  const abort = new AbortController()
  const running = state.run(abort.signal)
  synced = true
  assert.is(state.state, 'unsynced', 'not before the interval')
  await step()
  assert.is(state.state, 'synced')
  synced = false
  await step()
  assert.is(state.state, 'unsynced')
  abort.abort()
  await running
  assert.equal(waits, [CLOCK_CHECK_INTERVAL_MS, CLOCK_CHECK_INTERVAL_MS, CLOCK_CHECK_INTERVAL_MS])
})

test('once it is ended nobody asks any more', async () => {
  const { clock } = steppedClock()
  let asked = 0
  const state = await openClockState(
    async () => {
      asked += 1
      return true
    },
    clock,
    openDatabase(':memory:'),
  )
  assert.is(state.state, 'synced')
  const abort = new AbortController()
  const running = state.run(abort.signal)
  abort.abort()
  await running
  await state.run(abort.signal)
  assert.is(asked, 1)
})

test('rows age by a trusted clock alone: over a boot that is a year ahead or behind, by what was known and what has passed since', async () => {
  const database = openDatabase(':memory:')
  const START = 1_790_000_000_000
  let nowMs = START
  let monotonicMs = 5_000
  let synced = true
  const clock = { ...systemClock, nowMs: () => nowMs, monotonicMs: () => monotonicMs }
  const boot = () => openClockState(async () => synced, clock, database)
  assert.is((await boot()).agingMs(), START)
  nowMs += HOUR_MS
  assert.is((await boot()).agingMs(), START + HOUR_MS)
  synced = false
  for (const wrongBy of [365 * DAY_MS, -365 * DAY_MS]) {
    nowMs = START + wrongBy
    monotonicMs = 100
    const state = await boot()
    assert.is(state.agingMs(), START + HOUR_MS)
    monotonicMs += 60_000
    nowMs += 60_000
    assert.is(state.agingMs(), START + HOUR_MS + 60_000)
  }
  synced = true
  nowMs = START + DAY_MS
  assert.is((await boot()).agingMs(), START + DAY_MS)
})

test('a camera that never had the time begins with its own clock', async () => {
  const clock = { ...systemClock, nowMs: () => 1_600_000_000_000, monotonicMs: () => 7 }
  const state = await openClockState(async () => false, clock, openDatabase(':memory:'))
  assert.equal([state.state, state.agingMs()], ['unsynced', 1_600_000_000_000])
})

test('the mark of timesyncd is believed, without it what the kernel says, and without both the clock is not trusted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-clock-'))
  const { PATH } = process.env
  try {
    const mark = join(folder, 'synchronized')
    const tool = join(folder, 'timedatectl')
    const kernelSays = (words: string) => writeFile(tool, `#!/bin/sh\n${words}\n`, { mode: 0o755 })
    // Only what stands in the folder is found.
    process.env.PATH = folder
    assert.is(await systemClockIsSynced(mark), false, 'nothing keeps its time')
    await kernelSays('[ "$*" = "show -p NTPSynchronized --value" ] && echo yes')
    assert.is(await systemClockIsSynced(mark), true)
    await kernelSays('echo no')
    assert.is(await systemClockIsSynced(mark), false)
    await kernelSays('echo yes; exit 1')
    assert.is(await systemClockIsSynced(mark), false, 'it failed')
    await writeFile(mark, '')
    assert.is(await systemClockIsSynced(mark), true)
  } finally {
    process.env.PATH = PATH
    await rm(folder, { recursive: true })
  }
})

test.run()

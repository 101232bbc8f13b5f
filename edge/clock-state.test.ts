import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
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
  const state = await openClockState(async () => synced, clock)
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
  const state = await openClockState(async () => {
    asked += 1
    return true
  }, clock)
  assert.is(state.state, 'synced')
  const abort = new AbortController()
  const running = state.run(abort.signal)
  abort.abort()
  await running
  await state.run(abort.signal)
  assert.is(asked, 1)
})

test('the system answers yes or no, also where nothing keeps its time', async () => {
  assert.type(await systemClockIsSynced(), 'boolean')
})

test.run()

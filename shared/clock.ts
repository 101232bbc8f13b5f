/** The only door to the wall clock, the monotonic clock and timers; everything else is handed a `Clock`. */
import { setImmediate as nextTurn, setTimeout as sleepFor } from 'node:timers/promises'

export interface Clock {
  /** Wall time, integer milliseconds since 1970-01-01T00:00:00Z. */
  nowMs(): number
  /** Milliseconds that never go backwards, from an arbitrary start; for durations. */
  monotonicMs(): number
  /** Resolves after `ms`, 0: in the next turn of the event loop; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    if (ms === 0) {
      signal?.throwIfAborted()
      // A timer of 0 waits a millisecond: over the steps of a long list that is minutes.
      await nextTurn()
      return
    }
    await sleepFor(ms, undefined, signal === undefined ? {} : { signal })
  },
}

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

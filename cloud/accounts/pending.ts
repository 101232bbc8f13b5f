/** What waits for its second half: a challenge, a code, an enrolment. In memory, bounded, each taken once. Used by this folder. */
import type { Clock } from '../../shared/clock.ts'

export interface Pending<T> {
  /** Replaces what waits under the same key; beyond the limit the oldest goes. */
  put(key: string, value: T): void
  /** Once: it waits no longer. null: nothing does, or its time is over. */
  take(key: string): T | null
  /** Without taking it. */
  see(key: string): T | null
}

export function createPending<T>(clock: Clock, lifeMs: number, most: number): Pending<T> {
  const waiting = new Map<string, { value: T; untilMs: number }>()

  function see(key: string): T | null {
    const found = waiting.get(key)
    if (found === undefined || clock.nowMs() >= found.untilMs) return null
    return found.value
  }

  return {
    put(key, value) {
      waiting.delete(key)
      const [oldest] = waiting.keys()
      if (waiting.size >= most && oldest !== undefined) waiting.delete(oldest)
      waiting.set(key, { value, untilMs: clock.nowMs() + lifeMs })
    },
    take(key) {
      const value = see(key)
      waiting.delete(key)
      return value
    },
    see,
  }
}

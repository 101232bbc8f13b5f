/** Time that stands still until it is moved: a month passes in minutes, and every part of the cloud lives through it in order. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Clock, SECOND_MS } from '../../shared/clock.ts'

export interface MovedClock extends Clock {
  /** Moves time on to `atMs`, never back. */
  moveTo(atMs: number): Promise<void>
  /** Wakes who waited for a time that has come, and lets the parts finish what is due. */
  wake(): Promise<void>
}

/** `wakeEveryMs`: what is done each minute is done so often, or a month would be 43,200 purges. */
export function createMovedClock(startMs: number, wakeEveryMs: number): MovedClock {
  let nowMs = startMs
  let wokenAtMs = startMs
  const sleeping = new Set<{ untilMs: number; wake: () => void }>()

  const clock: MovedClock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      // A pause between two steps of work takes a turn; only waiting for a time takes time.
      if (ms < SECOND_MS) return void (await nextTurn())
      await new Promise<void>((resolve, reject) => {
        const aborted = () => {
          sleeping.delete(sleeper)
          reject(signal?.reason)
        }
        const wake = () => {
          signal?.removeEventListener('abort', aborted)
          resolve()
        }
        const sleeper = { untilMs: nowMs + ms, wake }
        sleeping.add(sleeper)
        signal?.addEventListener('abort', aborted, { once: true })
      })
    },
    async moveTo(atMs) {
      nowMs = Math.max(nowMs, atMs)
      if (nowMs - wokenAtMs >= wakeEveryMs) await clock.wake()
    },
    async wake() {
      wokenAtMs = nowMs
      const before = sleeping.size
      for (const sleeper of [...sleeping].filter(({ untilMs }) => untilMs <= nowMs)) {
        sleeping.delete(sleeper)
        sleeper.wake()
      }
      // Each of them waits again when it has done what was due.
      while (sleeping.size < before) await nextTurn()
    },
  }
  return clock
}

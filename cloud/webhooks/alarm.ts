/** A sleep that can be ended: the loop of a webhook waits here, and what changes something for it rings. */
import type { Clock } from '../../shared/clock.ts'

export interface Alarm {
  /** Ends the wait, or the next one if nobody waits now. */
  ring(): void
  /** Resolves after `ms`, when it rings, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function createAlarm(clock: Clock): Alarm {
  let rung = false
  let waiting: AbortController | null = null
  return {
    ring() {
      rung = true
      waiting?.abort()
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted) {
        const own = new AbortController()
        const abort = () => own.abort()
        waiting = own
        signal.addEventListener('abort', abort, { once: true })
        await clock.sleep(ms, own.signal).catch(() => {})
        signal.removeEventListener('abort', abort)
        waiting = null
      }
      rung = false
    },
  }
}

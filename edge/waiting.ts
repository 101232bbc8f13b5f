/**
 * Waiting for a promise that may outlive the wait. A race with one holds the race and all it gave until that promise settles: with a camera
 * that is away for days, or a process that lives for months, that is a leak of every frame. Used by pipeline.ts and vision/door.ts.
 */
import type { Clock } from '../shared/clock.ts'

/** What `work` gives; rejects with the signal's reason when that aborts first. `work` is one call's own. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Of one promise, for which is waited again and again. */
export interface Awaited<T> {
  /** Rejected with nobody waiting, it is nobody's fault. */
  readonly work: Promise<T>
  /** Resolves as soon as the promise has settled, the signal aborts, or `ms` have gone by, with whether it has settled. One caller at a time. */
  settlesWithin(ms: number, signal: AbortSignal): Promise<boolean>
}

export function awaitAgain<T>(work: Promise<T>, clock: Clock): Awaited<T> {
  let hasSettled = false
  let wake = (): void => {}
  const settle = () => {
    hasSettled = true
    wake()
  }
  work.then(settle, settle)
  return {
    work,
    async settlesWithin(ms, signal) {
      const timer = new AbortController()
      wake = () => timer.abort()
      signal.addEventListener('abort', wake, { once: true })
      if (hasSettled || signal.aborted) timer.abort()
      await clock.sleep(ms, timer.signal).catch(() => {})
      signal.removeEventListener('abort', wake)
      return hasSettled
    },
  }
}

/** Forgetting on the camera: what is past its retention never leaves, and goes from the disk in small steps. Run by main.ts. */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { ClockState } from './clock-state.ts'
import type { Hotlists } from './hotlist/hotlist.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { CameraPolicy } from './policy.ts'

/** Rows of one step: a few milliseconds, so that nothing waits for a purge. */
export const PURGE_ROWS = 200
/** Between two purges, milliseconds. The shortest retention in any law's profile is 3 minutes. */
export const PURGE_INTERVAL_MS = MINUTE_MS / 2

export interface RetentionDeps {
  outbox: Pick<Outbox, 'purge' | 'restamp' | 'checkpoint'>
  hotlists: Pick<Hotlists, 'sweep'>
  policy: Pick<CameraPolicy, 'cutoffs'>
  clockState: Pick<ClockState, 'state' | 'agingMs'>
  clock: Clock
  log: Log
}

/** One whole purge; returns the rows that went. Gives the event loop a turn after each step. */
export async function purgeOnce(deps: RetentionDeps, signal?: AbortSignal): Promise<number> {
  const { outbox, hotlists, policy, clock } = deps
  // Age by a clock that was never set is no age: such rows count from when the clock was right.
  for (let step = PURGE_ROWS; step === PURGE_ROWS && deps.clockState.state === 'synced' && signal?.aborted !== true; ) {
    step = outbox.restamp(clock.nowMs(), PURGE_ROWS)
    if (step > 0) await new Promise((resolve) => setImmediate(resolve))
  }
  let purged = 0
  for (let step = PURGE_ROWS; step === PURGE_ROWS && signal?.aborted !== true; ) {
    step = outbox.purge(policy.cutoffs(deps.clockState.agingMs()), PURGE_ROWS)
    purged += step
    await new Promise((resolve) => setImmediate(resolve))
  }
  while (signal?.aborted !== true && hotlists.sweep() > 0) await new Promise((resolve) => setImmediate(resolve))
  // Overwritten pages are still in the log file until it is cut.
  outbox.checkpoint()
  return purged
}

/** Purges at once and then every PURGE_INTERVAL_MS until `signal` aborts. */
export async function runRetention(deps: RetentionDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps
  while (!signal.aborted) {
    try {
      const purged = await purgeOnce(deps, signal)
      if (purged > 0) log.info('outbox_purged', { purged })
    } catch (thrown) {
      const error = toAppError(thrown)
      // A full or busy disk: the rows still never leave, and the next round tries again.
      if (error.code !== 'storage_full' && error.code !== 'unavailable') throw error
      log.warn('purge_failed', { code: error.code, error: error.message })
    }
    await clock.sleep(PURGE_INTERVAL_MS, signal).catch(() => {})
  }
}

/** Is the system's clock synchronised? Sightings of a camera whose clock is not are marked, and the cloud goes by received time. */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { type Clock, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'

/** Made by systemd-timesyncd at its first synchronisation [systemd-timesyncd.service(8)]. */
const TIMESYNC_MARK = '/run/systemd/timesync/synchronized'
/** Between two looks, milliseconds. */
export const CLOCK_CHECK_INTERVAL_MS = MINUTE_MS

export interface ClockState {
  readonly state: 'synced' | 'unsynced'
  /** Looks again and again until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** `isSynced` is asked at once and then every CLOCK_CHECK_INTERVAL_MS. */
export async function openClockState(isSynced: () => Promise<boolean>, clock: Clock): Promise<ClockState> {
  let state: ClockState['state'] = (await isSynced()) ? 'synced' : 'unsynced'
  return {
    get state() {
      return state
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(CLOCK_CHECK_INTERVAL_MS, signal).catch(() => {})
        if (!signal.aborted) state = (await isSynced()) ? 'synced' : 'unsynced'
      }
    },
  }
}

/** timesyncd's mark, or what the kernel says (chrony, ntpd) through timedatectl; without both the clock counts as unsynced. */
export async function systemClockIsSynced(): Promise<boolean> {
  try {
    await access(TIMESYNC_MARK)
    return true
  } catch {
    return await new Promise((resolve) => {
      execFile(
        'timedatectl',
        ['show', '-p', 'NTPSynchronized', '--value'],
        { timeout: 5 * SECOND_MS },
        (error, out) => {
          resolve(error === null && out.trim() === 'yes')
        },
      )
    })
  }
}

/**
 * Is the system's clock synchronised? Sightings of a camera whose clock is not are marked, and the cloud goes by received time. Nor
 * may such a clock say how old anything is: a unit that boots a year ahead would forget all that waits in its outbox. Owns table
 * clock.
 */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { type Clock, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import { type SqliteDatabase, toStorageError } from '../shared/sqlite.ts'

/** Made by systemd-timesyncd at its first synchronisation [systemd-timesyncd.service(8)]. */
const TIMESYNC_MARK = '/run/systemd/timesync/synchronized'
/** Between two looks, milliseconds. */
export const CLOCK_CHECK_INTERVAL_MS = MINUTE_MS

export interface ClockState {
  readonly state: 'synced' | 'unsynced'
  /**
   * The time by which rows age, milliseconds: the clock's while it is synchronised, else the last such time and what has passed since
   * while the camera was on. So an untrusted clock makes rows younger than they are, never older.
   */
  agingMs(): number
  /** Looks again and again until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

const TABLE = `CREATE TABLE IF NOT EXISTS clock (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  aging_ms INTEGER NOT NULL
) STRICT`

/** `isSynced` is asked at once and then every CLOCK_CHECK_INTERVAL_MS; the time by which rows age is kept in `database` as often. */
export async function openClockState(
  isSynced: () => Promise<boolean>,
  clock: Clock,
  database: SqliteDatabase,
): Promise<ClockState> {
  database.exec(TABLE)
  const store = database.prepare('INSERT OR REPLACE INTO clock (only_row, aging_ms) VALUES (1, ?)')
  const kept = database.prepare('SELECT aging_ms FROM clock').pluck().get() as number | undefined
  let state: ClockState['state'] = 'unsynced'
  /** A camera that never had the time has only its own clock to begin with. */
  let base = { agingMs: kept ?? clock.nowMs(), monotonicMs: clock.monotonicMs() }

  const agingMs = () =>
    state === 'synced' ? clock.nowMs() : base.agingMs + Math.round(clock.monotonicMs() - base.monotonicMs)

  async function look(): Promise<void> {
    state = (await isSynced()) ? 'synced' : 'unsynced'
    base = { agingMs: agingMs(), monotonicMs: clock.monotonicMs() }
    try {
      store.run(base.agingMs)
    } catch (thrown) {
      // A full disk: the next boot goes by an earlier time, and keeps rows longer.
      const { code } = toStorageError(thrown)
      if (code !== 'storage_full' && code !== 'unavailable') throw thrown
    }
  }

  await look()
  return {
    get state() {
      return state
    },
    agingMs,
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(CLOCK_CHECK_INTERVAL_MS, signal).catch(() => {})
        if (!signal.aborted) await look()
      }
    },
  }
}

/** timesyncd's mark, or what the kernel says (chrony, ntpd) through timedatectl; without both the clock counts as unsynced. */
export async function systemClockIsSynced(mark = TIMESYNC_MARK): Promise<boolean> {
  try {
    await access(mark)
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

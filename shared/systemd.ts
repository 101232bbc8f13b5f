/**
 * Tells systemd that a service is ready, alive and ending [sd_notify(3)], for `Type=notify` and `WatchdogSec`. Node has no datagram
 * sockets between processes of one machine, so systemd's own program says it; the units allow that by `NotifyAccess=all`. Where nobody
 * listens (no NOTIFY_SOCKET) nothing is said. Called by main.ts of the camera and by `candor cloud`.
 */
import { execFile } from 'node:child_process'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

const PROGRAM = 'systemd-notify'
/** It waits until systemd has read the message; on a machine that is slower than this, the next one is due. */
const SAY_WITHIN_MS = 10_000
/** Words within the watchdog's time: one may be late, and one lost. */
const WORDS_PER_WATCHDOG = 3

/** NOTIFY_SOCKET, and where the unit has WatchdogSec also WATCHDOG_USEC, microseconds. */
export type SystemdEnvironment = Readonly<Record<string, string | undefined>>

export interface Systemd {
  ready(): Promise<void>
  stopping(): Promise<void>
  /** Says that the service is alive as often as the unit's watchdog wants it, while `isAlive`. Until the signal aborts; never rejects. */
  runWatchdog(isAlive: () => boolean, signal: AbortSignal): Promise<void>
}

export function createSystemd(deps: { environment: SystemdEnvironment; clock: Clock; log: Log }): Systemd {
  const { environment, clock, log } = deps
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdog } = environment
  const watchdogMs = Number(watchdog ?? 0) / 1_000
  let hasFailed = false

  function say(word: string): Promise<void> {
    if (socket === undefined || socket === '') return Promise.resolve()
    return new Promise((resolve) => {
      const env = { NOTIFY_SOCKET: socket, PATH: '/usr/bin:/bin' }
      execFile(PROGRAM, [word], { env, timeout: SAY_WITHIN_MS }, (error) => {
        if (error !== null && !hasFailed) log.warn('systemd_not_told', { error: error.message })
        hasFailed = error !== null
        resolve()
      })
    })
  }

  return {
    ready: () => say('READY=1'),
    stopping: () => say('STOPPING=1'),
    async runWatchdog(isAlive, signal) {
      if (!(watchdogMs > 0)) return
      while (!signal.aborted) {
        if (isAlive()) await say('WATCHDOG=1')
        else log.error('service_stuck', { limit: watchdogMs })
        await clock.sleep(watchdogMs / WORDS_PER_WATCHDOG, signal).catch(() => {})
      }
    },
  }
}

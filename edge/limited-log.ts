/** A log for what others can make happen as often as they like: so many lines of a kind a minute, then only their number. */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import type { Log, LogFields } from '../shared/log.ts'

/** Lines of one name a minute; the next minute begins with how many were left out. */
export const LINES_PER_MINUTE = 10

export function limitLog(log: Log, clock: Pick<Clock, 'monotonicMs'>): Log {
  // The names are those of the program, so there are few.
  const windows = new Map<string, { startMs: number; written: number; leftOut: number }>()

  function limited(level: 'debug' | 'info' | 'warn' | 'error', to: Log) {
    return (name: string, fields?: LogFields): void => {
      const nowMs = clock.monotonicMs()
      let window = windows.get(name)
      if (window === undefined || nowMs - window.startMs >= MINUTE_MS) {
        if (window !== undefined && window.leftOut > 0)
          log.warn('lines_left_out', { kind: name, count: window.leftOut })
        window = { startMs: nowMs, written: 0, leftOut: 0 }
        windows.set(name, window)
      }
      if (window.written >= LINES_PER_MINUTE) {
        window.leftOut += 1
        return
      }
      window.written += 1
      to[level](name, fields)
    }
  }

  const from = (to: Log): Log => ({
    debug: limited('debug', to),
    info: limited('info', to),
    warn: limited('warn', to),
    error: limited('error', to),
    with: (fields) => from(to.with(fields)),
  })
  return from(log)
}

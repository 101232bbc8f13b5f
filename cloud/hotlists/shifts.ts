/** When a shift ends, in local time with its changes of the clock. Pure. Called by manual.ts. */
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { HotlistRules } from '../../shared/wire/policy.ts'

type Shifts = NonNullable<HotlistRules['shifts']>

/**
 * The first end of a shift after `nowMs`, ms. Where the clock is put forward over that time of day, the shift ends with the minute that
 * follows the gap.
 */
export function nextShiftEnd({ timeZone, ends }: Shifts, nowMs: number): number {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  const localTime = (ms: number) => format.format(ms)
  const wanted = new Set(ends)
  // Minute by minute, a day and an hour: no rule of any zone is needed, and it is asked for once an entry (25 ms).
  const first = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS + MINUTE_MS
  let before = localTime(first - MINUTE_MS)
  for (let ms = first; ms <= nowMs + DAY_MS + 120 * MINUTE_MS; ms += MINUTE_MS) {
    const now = localTime(ms)
    if (wanted.has(now) || isSkipped(before, now, ends)) return ms
    before = now
  }
  throw new Error('a day without any end of a shift')
}

/** Does an end lie in a gap between two minutes that follow each other? The gap may hold midnight. */
function isSkipped(before: string, now: string, ends: readonly string[]): boolean {
  if (before < now) return ends.some((end) => end > before && end < now)
  // A clock that is put back goes backwards within the day, and by less than half of it.
  const isOverMidnight = before >= '12:00' && now < '12:00'
  return isOverMidnight && ends.some((end) => end > before || end < now)
}

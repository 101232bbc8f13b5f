/** Quiet hours: whether it is quiet now where the people are, and until when. Pure; summer time is the time zone's. Called by publishing.ts. */
import { MINUTE_MS } from '../../shared/clock.ts'

/** Every day from one time of day until another, over midnight where `until` is the earlier. */
export interface QuietHours {
  /** `22:00` */
  from: string
  until: string
  /** IANA, such as `America/Chicago`. */
  timeZone: string
}

const DAY_MINUTES = 24 * 60
const formats = new Map<string, Intl.DateTimeFormat>()

export function isTimeZone(timeZone: string): boolean {
  try {
    formatOf(timeZone)
    return true
  } catch {
    return false
  }
}

/** When the quiet hours end in which `nowMs` lies; null: it is not quiet. */
export function quietUntil(quiet: QuietHours, nowMs: number): number | null {
  if (!isQuiet(quiet, nowMs)) return null
  const until = minutesOf(quiet.until)
  const minuteMs = nowMs - (nowMs % MINUTE_MS)
  const ahead = (until - localMinutes(quiet.timeZone, nowMs) + DAY_MINUTES) % DAY_MINUTES
  const endMs = minuteMs + ahead * MINUTE_MS
  // A night in which the clocks change is an hour longer or shorter.
  const off = ((until - localMinutes(quiet.timeZone, endMs) + DAY_MINUTES * 1.5) % DAY_MINUTES) - DAY_MINUTES / 2
  const correctedMs = endMs + off * MINUTE_MS
  // The time at which they end may be one that this night does not have.
  return correctedMs <= nowMs || isQuiet(quiet, correctedMs) ? endMs : correctedMs
}

function isQuiet({ from, until, timeZone }: QuietHours, atMs: number): boolean {
  const minutes = localMinutes(timeZone, atMs)
  const start = minutesOf(from)
  const end = minutesOf(until)
  return start < end ? minutes >= start && minutes < end : minutes >= start || minutes < end
}

function minutesOf(timeOfDay: string): number {
  return Number(timeOfDay.slice(0, 2)) * 60 + Number(timeOfDay.slice(3, 5))
}

function localMinutes(timeZone: string, atMs: number): number {
  return minutesOf(formatOf(timeZone).format(atMs))
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  formats.set(timeZone, made)
  return made
}

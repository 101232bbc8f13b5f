/** Whether a camera's night settings hold: by UTC, so that no unit needs to know its time zone or the rules of daylight saving. */
import { z } from 'zod'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'

const timeOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'must be HH:MM, UTC')

/** `settings` stands for what a kind of camera can be set to. */
export const nightSchema = <S extends z.ZodType>(settings: S) =>
  z
    .strictObject({
      fromUtc: timeOfDay.describe('night begins, HH:MM in UTC'),
      toUtc: timeOfDay.describe('night ends, HH:MM in UTC'),
      settings: settings.describe('what differs at night'),
    })
    .refine(({ fromUtc, toUtc }) => fromUtc !== toUtc, 'fromUtc and toUtc must differ')

export interface Night {
  fromUtc: string
  toUtc: string
}

/** Milliseconds since midnight. */
function ofDay(time: string): number {
  const [hours, minutes] = time.split(':').map(Number)
  return (hours ?? 0) * HOUR_MS + (minutes ?? 0) * MINUTE_MS
}

/** `nowMs` since 1970. The first minute of the night is night, the first minute of the day is day. */
export function isNight(night: Night | null, nowMs: number): boolean {
  if (night === null) return false
  const now = ((nowMs % DAY_MS) + DAY_MS) % DAY_MS
  const from = ofDay(night.fromUtc)
  const to = ofDay(night.toUtc)
  return from < to ? now >= from && now < to : now >= from || now < to
}

/** What the camera is to be set to at `nowMs`: the settings of the day, and at night what differs. */
export function settingsAt<S extends object>(
  day: S,
  night: (Night & { settings: Partial<S> }) | null,
  nowMs: number,
): { isNight: boolean; settings: S } {
  if (night === null || !isNight(night, nowMs)) return { isNight: false, settings: day }
  return { isNight: true, settings: { ...day, ...night.settings } }
}

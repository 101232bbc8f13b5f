/**
 * Which time of a sighting counts, for people, searches and retention alike: the camera's own, or when it was received if the
 * camera's clock cannot be trusted. Loads nothing, so that the page uses the same rule.
 */
import type { Sighting } from './wire/sighting.ts'

/** A camera whose clock is further ahead than this is marked, and received time rules; milliseconds (5 minutes). */
export const MAX_CLOCK_AHEAD_MS = 5 * 60_000

export function seenAt(
  sighting: Pick<Sighting, 'capturedAtMs' | 'clock'>,
  receivedAtMs: number,
): { seenAtMs: number; clockTrusted: boolean } {
  const clockTrusted = sighting.clock === 'synced' && sighting.capturedAtMs <= receivedAtMs + MAX_CLOCK_AHEAD_MS
  return { seenAtMs: clockTrusted ? sighting.capturedAtMs : receivedAtMs, clockTrusted }
}

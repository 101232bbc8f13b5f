/** Back-off for what may work later. Used by the uplink and by every child process that is started again. */
import type { Random } from './ids.ts'

export interface BackOff {
  /** Milliseconds to wait before the next try: doubles from `firstMs` to `mostMs`, with up to 50 % taken off at random. */
  nextMs(): number
  /** Call after a success: the next failure waits `firstMs` again. */
  reset(): void
  readonly attempts: number
}

export function createBackOff(limits: { firstMs: number; mostMs: number }, random: Random): BackOff {
  let attempts = 0
  return {
    nextMs() {
      // 2^20 × 1 ms is already above any ceiling in use; the cap keeps the power finite.
      const full = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(attempts, 20))
      attempts += 1
      // Jitter keeps a thousand cameras from returning in the same second after an outage.
      return Math.round(full * (1 - random() / 2))
    },
    reset() {
      attempts = 0
    },
    get attempts() {
      return attempts
    },
  }
}

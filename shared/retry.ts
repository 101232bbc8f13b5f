/** Back-off for what may work later. Used by the uplink and by every child process that is started again. */
import type { Random } from './ids.ts'

export interface BackOff {
  /** Milliseconds to wait before the next try: doubles from `firstMs` to `mostMs`, with up to 50 % taken off at random. */
  nextMs(): number
  /** Call after a success: the next failure waits `firstMs` again. */
  reset(): void
  readonly attempts: number
}

export interface BackOffLimits {
  firstMs: number
  mostMs: number
}

/** Milliseconds to wait after so many failures before: for who keeps the count elsewhere, in a table. */
export function backOffMs({ firstMs, mostMs }: BackOffLimits, attempts: number, random: Random): number {
  // 2^20 × 1 ms is already above any ceiling in use; the cap keeps the power finite.
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempts, 20))
  // Jitter keeps a thousand cameras from returning in the same second after an outage.
  return Math.round(full * (1 - random() / 2))
}

export function createBackOff(limits: BackOffLimits, random: Random): BackOff {
  let attempts = 0
  return {
    nextMs() {
      const waitMs = backOffMs(limits, attempts, random)
      attempts += 1
      return waitMs
    },
    reset() {
      attempts = 0
    },
    get attempts() {
      return attempts
    },
  }
}

/** How often an address has shown a claim code that is none: beyond a limit it waits. Called by the enrolment route. */
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'

/** A person mistypes once or twice, and the check character finds that on the unit already. */
export const MAX_WRONG_CODES = 10
export const WRONG_CODES_WINDOW_MS = 15 * MINUTE_MS
/** Addresses that are counted; beyond it the one that was counted first is forgotten. */
export const MAX_WRONG_ADDRESSES = 10_000

export interface WrongCodes {
  /** Was it too often? Also a right code is not looked at then. */
  isBlocked(address: string): boolean
  note(address: string): void
}

export function createWrongCodes(clock: Pick<Clock, 'monotonicMs'>): WrongCodes {
  const counted = new Map<string, { count: number; sinceMs: number }>()
  const current = (address: string) => {
    const known = counted.get(address)
    return known !== undefined && clock.monotonicMs() - known.sinceMs < WRONG_CODES_WINDOW_MS ? known : null
  }
  return {
    isBlocked: (address) => (current(address)?.count ?? 0) >= MAX_WRONG_CODES,
    note(address) {
      const known = current(address)
      if (known !== null) {
        known.count += 1
        return
      }
      counted.delete(address)
      const [oldest] = counted.keys()
      if (oldest !== undefined && counted.size >= MAX_WRONG_ADDRESSES) counted.delete(oldest)
      counted.set(address, { count: 1, sinceMs: clock.monotonicMs() })
    },
  }
}

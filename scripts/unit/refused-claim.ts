/**
 * How often a unit that is no camera yet asks with a claim that was refused. Each time is an entry in the cloud's audit, which is kept for ever,
 * and too many close the door to all units behind the same router. Called by provision.ts.
 */
import { type Clock, DAY_MS, HOUR_MS } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'

/** Until the same claim is asked with once more, milliseconds: somebody may have looked at it meanwhile. */
export const REFUSED_AGAIN_MS = HOUR_MS
/** And from then on. */
export const REFUSED_LATER_MS = DAY_MS

/** Was it the claim that was refused, or the unit? That does not pass by itself, as a cloud that cannot be reached does. */
export const isRefusal = (thrown: unknown) => ['forbidden', 'conflict', 'integrity'].includes(toAppError(thrown).code)

export interface RefusedClaim {
  /** What is to be told of this claim while it is not asked with; null: it may be asked with. */
  waits(claim: string): string | null
  /** It was refused now. Returns what is to be told. */
  note(claim: string, problem: string): string
}

/** Of one claim, as its file has it: another one on the card begins anew. */
export function createRefusedClaim(clock: Pick<Clock, 'monotonicMs'>): RefusedClaim {
  let refused = { claim: '', message: '', againAtMs: 0 }
  return {
    waits: (claim) => (claim === refused.claim && clock.monotonicMs() < refused.againAtMs ? refused.message : null),
    note(claim, problem) {
      const isFirst = claim !== refused.claim
      const again = isFirst ? 'in an hour' : 'in a day'
      const message =
        `the claim on the card was refused, stays there, and is asked with again ${again}, ` +
        `or when the unit is switched on again or its card has another one: ${problem}`
      refused = {
        ...{ claim, message },
        againAtMs: clock.monotonicMs() + (isFirst ? REFUSED_AGAIN_MS : REFUSED_LATER_MS),
      }
      return message
    },
  }
}

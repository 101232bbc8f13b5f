/**
 * Searches that are with partners: the own result is shown at once, and what each partner says is fetched as it comes, by the session
 * that searched. In memory, for a few minutes. Called by the API.
 */
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'
import type { Actor } from '../audit/entry.ts'
import type { AgencyAnswer, Asking } from './asking.ts'
import type { Asked } from './facts.ts'

/** Answers are kept so long; whoever comes later searches again. */
export const ASK_KEPT_MS = 10 * MINUTE_MS
/** Kept at once; each has at most 200 results of each of 64 partners, and most have a handful. The oldest goes first. */
export const MAX_ASKS = 256

export interface Ask {
  askId: string
  /** null: it has not answered yet. */
  agencies: { agency: string; answer: AgencyAnswer | null }[]
}

export interface Asks {
  /** `isOnlyGranted`: those that have granted nothing for the purpose are not asked. */
  start(
    of: { agencies: readonly string[]; isOnlyGranted: boolean },
    asked: Asked,
    by: { actor: Actor; completes: number },
  ): Ask
  /** null: unknown, gone, or of another session. */
  find(askId: string, session: string | null): Ask | null
}

export function createAsks(deps: { asking: Pick<Asking, 'search'>; clock: Clock; newId: () => string }): Asks {
  const { asking, clock, newId } = deps
  const kept = new Map<string, { ask: Ask; session: string | null; startedAtMs: number }>()

  return {
    start({ agencies, isOnlyGranted }, asked, by) {
      const endedMs = clock.monotonicMs() - ASK_KEPT_MS
      for (const [askId, { startedAtMs }] of kept) {
        if (startedAtMs <= endedMs || kept.size >= MAX_ASKS) kept.delete(askId)
      }
      const ask: Ask = { askId: newId(), agencies: agencies.map((agency) => ({ agency, answer: null })) }
      kept.set(ask.askId, { ask, session: by.actor.session, startedAtMs: clock.monotonicMs() })
      for (const place of ask.agencies) {
        void asking.search(place.agency, asked, { ...by, isOnlyGranted }).then((answer) => {
          place.answer = answer
        })
      }
      return ask
    },
    find(askId, session) {
      const found = kept.get(askId)
      if (found === undefined || found.session !== session) return null
      return clock.monotonicMs() - found.startedAtMs < ASK_KEPT_MS ? found.ask : null
    },
  }
}

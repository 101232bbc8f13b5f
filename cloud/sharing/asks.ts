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
/** Kept at once. The oldest goes first. */
export const MAX_ASKS = 256
/** Results kept in all; more than the 12 800 that one search can have. The oldest searches make room. */
export const MAX_KEPT_RESULTS = 20_000

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
  /** Lets go of those past their time. Called each minute. */
  dropOld(): void
}

export function createAsks(deps: { asking: Pick<Asking, 'search'>; clock: Clock; newId: () => string }): Asks {
  const { asking, clock, newId } = deps
  const kept = new Map<string, { ask: Ask; session: string | null; startedAtMs: number; results: number }>()
  let results = 0

  /** Of the oldest. */
  function dropWhile(isToGo: (startedAtMs: number) => boolean): void {
    for (const [askId, one] of kept) {
      if (!isToGo(one.startedAtMs)) return
      kept.delete(askId)
      results -= one.results
    }
  }

  function dropOld(): void {
    const endedMs = clock.monotonicMs() - ASK_KEPT_MS
    dropWhile((startedAtMs) => startedAtMs <= endedMs)
  }

  return {
    dropOld,
    start({ agencies, isOnlyGranted }, asked, by) {
      dropOld()
      dropWhile(() => kept.size >= MAX_ASKS)
      const ask: Ask = { askId: newId(), agencies: agencies.map((agency) => ({ agency, answer: null })) }
      const one = { ask, session: by.actor.session, startedAtMs: clock.monotonicMs(), results: 0 }
      kept.set(ask.askId, one)
      for (const place of ask.agencies) {
        void asking.search(place.agency, asked, { ...by, isOnlyGranted }).then((answer) => {
          if (kept.get(ask.askId) !== one) return
          place.answer = answer
          one.results += answer.results.length
          results += answer.results.length
          dropWhile(() => results > MAX_KEPT_RESULTS)
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

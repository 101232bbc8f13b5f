/**
 * Searches whose pages and exports may still be asked for, by the session that ran them: which rows they found, never what is in these.
 * In memory: after a restart a person searches again. Called by search.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import type { Actor } from '../audit/entry.ts'
import type { FoundAll } from './find.ts'
import { SEARCH_KEPT_MS } from './request.ts'

/** Of all sessions, and of one; the oldest goes first. One holds at most MAX_SEARCH_MATCHES rows, about half a megabyte. */
export const MAX_KEPT_SEARCHES = 64
export const MAX_KEPT_OF_SESSION = 8

export interface KeptSearch extends FoundAll {
  auditSeq: number
  /** As the audit has it. */
  purpose: { caseNumber: string | null; offenceType: string | null; reason: string | null }
  fromMs: number | null
}

export interface KeptSearches {
  add(search: KeptSearch, actor: Actor): void
  /** Null: there is none of that number, it is not of this session, or its time is over. */
  get(auditSeq: number, actor: Actor): KeptSearch | null
}

export function createKeptSearches(clock: Clock): KeptSearches {
  const kept = new Map<number, KeptSearch & { owner: string; atMs: number }>()
  const ownerOf = ({ account, session }: Actor) => JSON.stringify([account, session])

  function forgetOld(): void {
    for (const [seq, { atMs }] of kept) if (atMs + SEARCH_KEPT_MS <= clock.nowMs()) kept.delete(seq)
  }

  return {
    add(search, actor) {
      forgetOld()
      const owner = ownerOf(actor)
      const own = [...kept.values()].filter((one) => one.owner === owner)
      const oldest = own.length >= MAX_KEPT_OF_SESSION ? own[0]?.auditSeq : undefined
      if (oldest !== undefined) kept.delete(oldest)
      else if (kept.size >= MAX_KEPT_SEARCHES) for (const seq of [...kept.keys()].slice(0, 1)) kept.delete(seq)
      kept.set(search.auditSeq, { ...search, owner, atMs: clock.nowMs() })
    },
    get(auditSeq, actor) {
      forgetOld()
      const search = kept.get(auditSeq)
      return search?.owner === ownerOf(actor) ? search : null
    },
  }
}

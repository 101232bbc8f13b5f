/**
 * Sightings without a match that may touch no disk: held in memory for as long as policy lets them be known, so that a list that changes or a
 * key that comes meanwhile still meets them, and then gone. Bounded; what has no room goes oldest first, and all of it with the power. Ages by
 * the monotonic clock, which no setting of the wall clock moves. Filled by the pipeline; `runMemory` is run by main.ts.
 */
import { type Clock, SECOND_MS } from '../shared/clock.ts'

export const MAX_HELD_SIGHTINGS = 10_000
/** Pictures and what belongs to them, bytes. */
export const MAX_HELD_BYTES = 32 * 1024 ** 2
/** What one costs beside its picture: its votes and texts, bytes. */
export const HELD_OVERHEAD_BYTES = 2_048
/** Held against the lists in one step; a near match takes a tenth of a millisecond. */
export const REMATCH_STEP = 100
/** What is past its time is gone after this at the latest, and it takes no part in anything before. Milliseconds. */
export const FORGET_EVERY_MS = SECOND_MS

export interface Held<T> {
  /** When it was first seen, monotonic milliseconds. */
  bornAtMs: number
  picture: Uint8Array | null
  sighting: T
}

export interface MemoryCounters {
  /** Gone unmatched at the end of their time. */
  expired: number
  /** Gone before, because there was no room. */
  dropped: number
  matchedLate: number
}

export interface Memory<T> {
  put(held: Held<T>, nowMs: number): void
  /**
   * Holds everything against `meets`, in steps with a turn of the event loop between them. What it says true to leaves and is yielded,
   * its picture untouched.
   */
  take(meets: (sighting: T) => boolean, nowMs: () => number): AsyncGenerator<T>
  /** What is past its time goes, its picture overwritten. */
  forget(nowMs: number): void
  /** Everything goes, its pictures overwritten: the camera ends. */
  clear(): void
  readonly counters: Readonly<MemoryCounters>
  readonly held: number
  readonly bytes: number
}

export interface MemoryConfig {
  /** By policy, milliseconds. */
  keptMs: () => number
  maxSightings?: number
  maxBytes?: number
}

export function createMemory<T>(config: MemoryConfig): Memory<T> {
  const { maxSightings = MAX_HELD_SIGHTINGS, maxBytes = MAX_HELD_BYTES } = config
  /** In the order in which they came. */
  const all = new Set<Held<T>>()
  const counters: MemoryCounters = { expired: 0, dropped: 0, matchedLate: 0 }
  let bytes = 0

  const costOf = ({ picture }: Held<T>) => (picture?.length ?? 0) + HELD_OVERHEAD_BYTES
  const isOver = ({ bornAtMs }: Held<T>, nowMs: number) => nowMs - bornAtMs >= config.keptMs()

  function remove(held: Held<T>): void {
    if (all.delete(held)) bytes -= costOf(held)
  }

  function wipe(held: Held<T>): void {
    remove(held)
    held.picture?.fill(0)
  }

  function end(held: Held<T>, as: 'expired' | 'dropped'): void {
    wipe(held)
    counters[as] += 1
  }

  return {
    counters,
    get held() {
      return all.size
    },
    get bytes() {
      return bytes
    },
    put(held, nowMs) {
      all.add(held)
      bytes += costOf(held)
      if (isOver(held, nowMs)) end(held, 'expired')
      for (const oldest of all) {
        if (all.size <= maxSightings && bytes <= maxBytes) break
        end(oldest, 'dropped')
      }
    },
    async *take(meets, nowMs) {
      let looked = 0
      for (const held of [...all]) {
        if (looked === REMATCH_STEP) {
          looked = 0
          await new Promise((resolve) => setImmediate(resolve))
        }
        looked += 1
        // Forgotten in the turn before, or past its time and not yet forgotten.
        if (!all.has(held) || isOver(held, nowMs()) || !meets(held.sighting)) continue
        remove(held)
        counters.matchedLate += 1
        yield held.sighting
      }
    },
    forget(nowMs) {
      for (const held of all) if (isOver(held, nowMs)) end(held, 'expired')
    },
    clear() {
      for (const held of all) wipe(held)
    },
  }
}

export interface MemoryLoop {
  memory: Pick<Memory<unknown>, 'forget'>
  /** What is remembered of vehicles seen lately is known of them, too. */
  repeats: { forget(nowMs: number): void }
  pipeline: { meetLate(): Promise<void> }
  clock: Pick<Clock, 'monotonicMs' | 'sleep'>
}

/** Forgets, and holds what is held against lists that have changed, every FORGET_EVERY_MS until `signal` aborts. */
export async function runMemory({ memory, repeats, pipeline, clock }: MemoryLoop, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs()
    memory.forget(nowMs)
    repeats.forget(nowMs)
    await pipeline.meetLate()
    await clock.sleep(FORGET_EVERY_MS, signal).catch(() => {})
  }
}

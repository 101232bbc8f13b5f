/**
 * Vehicles seen lately: a parked car, or one that comes back at once, fills neither log nor link. Pure; used by the pipeline.
 */
import { confusableKey } from '../shared/plate.ts'
import type { HotlistMatch, Region } from '../shared/wire/index.ts'
import { overlap } from './track.ts'

/** Plates remembered; beyond it the one not seen for longest is forgotten. */
export const MAX_REMEMBERED_PLATES = 10_000
/** Places with something unreadable that are remembered. */
export const MAX_REMEMBERED_PLACES = 64
/** Overlap (intersection over union) from which an unreadable plate is still the same one. */
const SAME_PLACE_OVERLAP = 0.5

/** 0 no match, 1 near, 2 exact: a repeat that matches better than before is news. */
type Strength = 0 | 1 | 2

export interface Repeats {
  /** Was this vehicle reported within the window, and no worse matched? Does not change anything. */
  isRepeat(plate: string | null, region: Region, match: HotlistMatch | null, nowMs: number): boolean
  /** The vehicle was seen: the window starts again. */
  saw(plate: string | null, region: Region, match: HotlistMatch | null, nowMs: number): void
  /** Lets go of what is past its time. */
  forget(nowMs: number): void
  readonly remembered: number
}

export interface RepeatsConfig {
  /** Milliseconds since a vehicle was last seen; 0: nothing is a repeat. */
  windowMs: number
  /** By policy: a plate that met no list is remembered for no longer, milliseconds. */
  unmatchedMs: () => number
  sequence: 'stills' | 'video'
}

const strengthOf = (match: HotlistMatch | null): Strength => (match === null ? 0 : match.kind === 'exact' ? 2 : 1)

/** `nowMs` is monotonic everywhere. */
export function createRepeats(config: RepeatsConfig): Repeats {
  /** By confusable key: flicker between O and 0 is no second vehicle. Kept in the order of last seen. */
  const plates = new Map<string, { atMs: number; strength: Strength }>()
  let places: { atMs: number; region: Region }[] = []
  const recent = (atMs: number, nowMs: number) => nowMs - atMs < config.windowMs
  const remembers = ({ atMs, strength }: { atMs: number; strength: Strength }, nowMs: number) =>
    recent(atMs, nowMs) && (strength > 0 || nowMs - atMs < config.unmatchedMs())

  return {
    isRepeat(plate, region, match, nowMs) {
      if (plate === null) {
        // In stills the place says nothing: each picture may show another vehicle.
        if (config.sequence === 'stills') return false
        return places.some((place) => recent(place.atMs, nowMs) && overlap(place.region, region) >= SAME_PLACE_OVERLAP)
      }
      const before = plates.get(confusableKey(plate))
      return before !== undefined && remembers(before, nowMs) && strengthOf(match) <= before.strength
    },
    saw(plate, region, match, nowMs) {
      if (config.windowMs === 0) return
      if (plate === null) {
        places = places.filter(
          (place) => recent(place.atMs, nowMs) && overlap(place.region, region) < SAME_PLACE_OVERLAP,
        )
        places.push({ atMs: nowMs, region })
        if (places.length > MAX_REMEMBERED_PLACES) places.shift()
        return
      }
      const key = confusableKey(plate)
      const before = plates.get(key)
      const kept = before !== undefined && remembers(before, nowMs) ? before.strength : 0
      plates.delete(key)
      plates.set(key, { atMs: nowMs, strength: Math.max(kept, strengthOf(match)) as Strength })
      for (const [oldest, { atMs }] of plates) {
        if (plates.size <= MAX_REMEMBERED_PLATES && recent(atMs, nowMs)) break
        plates.delete(oldest)
      }
    },
    forget(nowMs) {
      places = places.filter(({ atMs }) => recent(atMs, nowMs))
      for (const [key, seen] of plates) if (!remembers(seen, nowMs)) plates.delete(key)
    },
    get remembered() {
      return plates.size
    },
  }
}

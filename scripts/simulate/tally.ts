/**
 * What a simulated month did, counted by who did it and never read back from the cloud: the other side of the comparison. It knows the
 * rules that it counts by (one alert a vehicle and hour) from the documentation, not from the code.
 */
import { HOUR_MS } from '../../shared/clock.ts'

export class Counter {
  readonly counts = new Map<string, number>()
  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by)
  }
  of(name: string): number {
    return this.counts.get(name) ?? 0
  }
  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0)
  }
}

interface OpenAlert {
  list: string
  lastSeenAtMs: number
  sightings: number
  isOpen: boolean
}

export class Tally {
  vehicles = 0
  lost = 0
  /** By list. */
  readonly hits = new Counter()
  readonly alerts = new Counter()
  readonly closed = new Counter()
  readonly misread = new Counter()
  readonly outcomes = new Counter()
  /** By organisation, '' the own one; by rule. */
  readonly searches = new Counter()
  readonly refused = new Counter()
  readonly decisions = new Counter()
  /** Received at, of each stored revision. */
  readonly revisions: number[] = []
  /** Time online and registered, by camera. */
  readonly onlineMs = new Counter()
  readonly registeredMs = new Counter()
  questions = 0
  policies = 1
  readonly #open = new Map<string, OpenAlert>()

  hit(list: string, plate: string, seenAtMs: number): void {
    this.hits.add(list)
    const alert = this.#open.get(plate)
    if (alert?.isOpen === true && seenAtMs - alert.lastSeenAtMs <= HOUR_MS) {
      alert.lastSeenAtMs = seenAtMs
      alert.sightings += 1
      return
    }
    this.alerts.add(list)
    this.#open.set(plate, { list, lastSeenAtMs: seenAtMs, sightings: 1, isOpen: true })
  }

  /** Plates whose open alert has one sighting, seen at that time. */
  fresh(seenAtMs: number): string[] {
    return [...this.#open]
      .filter(([, alert]) => alert.isOpen && alert.sightings === 1 && alert.lastSeenAtMs === seenAtMs)
      .map(([plate]) => plate)
  }

  close(plate: string, outcome: string): void {
    const alert = this.#open.get(plate)
    if (alert === undefined) throw new Error('no open alert of that plate was counted')
    alert.isOpen = false
    this.outcomes.add(outcome)
    this.closed.add(alert.list)
    if (outcome === 'misread') this.misread.add(alert.list)
  }
}

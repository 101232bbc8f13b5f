/**
 * What is counted of use, by UTC day and without a plate, so that the figures outlive what they count: of sightings when they are
 * stored (ingest), of everything else from the audit. Pure; the one place where names of operations and figures meet.
 */
import { DAY_MS } from '../../shared/clock.ts'
import type { Actor, AuditEntry } from '../audit/entry.ts'
import type { Database, Statement } from '../database/database.ts'
import { PURGE_CLASSES } from '../purge-receipt.ts'

/**
 * sightings: vehicles, by camera. hits: those that met an entry of a list, by list. acts: audit entries, by operation and outcome.
 * searches, searches_refused and purposes: by organisation ('' is the own one), by rule and by stated purpose.
 * denied: refused connections and publishes, by rule. purged: rows, by kind. holds: by operation.
 */
export type Figure =
  | 'sightings'
  | 'hits'
  | 'acts'
  | 'searches'
  | 'searches_refused'
  | 'purposes'
  | 'denied'
  | 'purged'
  | 'holds'

/** Operations that look for plates in stored reads. */
/** A hold by plate looks for it as a search does. */
export function isSearch({ operation, query }: Pick<AuditEntry, 'operation' | 'query'>): boolean {
  return operation === 'search.run' || (operation === 'hold.add' && query !== null)
}

/** Without a stated purpose. */
export const NO_PURPOSE = 'not-stated'

export const utcDay = (atMs: number) => Math.floor(atMs / DAY_MS)

/** Counts by figure and name, to be added to one day. */
export type Counts = Map<string, { figure: Figure; name: string; count: number }>

export function addTo(counts: Counts, figure: Figure, name: string, count = 1): void {
  const key = `${figure} ${name}`
  const known = counts.get(key)
  if (known === undefined) counts.set(key, { figure, name, count })
  else known.count += count
}

export function countStatements(build: Database['build'], day: number, counts: Counts): Statement[] {
  return [...counts.values()].map(({ figure, name, count }) =>
    build
      .insertInto('usage_days')
      .values({ utc_day: day, figure, name, count })
      .onConflict((conflict) =>
        conflict
          .columns(['utc_day', 'figure', 'name'])
          .doUpdateSet((eb) => ({ count: eb('usage_days.count', '+', eb.ref('excluded.count')) })),
      ),
  )
}

/** Who acts, as reviews name them: an account, or one of another organisation as `organisation/account`. Null: no person. */
export function whoOf({ account, organisation, onBehalfOf }: Actor): string | null {
  if (organisation !== undefined) return `${organisation}/${onBehalfOf ?? account ?? ''}`
  return account
}

export function countEntry(counts: Counts, entry: AuditEntry): void {
  const { operation, outcome, rule, actor, detail, query } = entry
  addTo(counts, 'acts', `${operation} ${outcome}`)
  // A partner's search that our rules refuse is refused before it becomes one here; with `completes` it had, and counts there.
  if (operation === 'federation.searched' && outcome === 'refused' && entry.completes === null)
    addTo(counts, 'searches_refused', rule ?? 'other')
  if (isSearch(entry)) {
    // What was refused after it had been written down as allowed is no search, and is counted as refused.
    if (outcome === 'refused' && entry.completes !== null) {
      addTo(counts, 'searches', actor.organisation ?? '', -1)
      addTo(counts, 'purposes', query?.purpose ?? NO_PURPOSE, -1)
    }
    if (outcome === 'refused') addTo(counts, 'searches_refused', rule ?? 'other')
    else {
      addTo(counts, 'searches', actor.organisation ?? '')
      addTo(counts, 'purposes', query?.purpose ?? NO_PURPOSE)
    }
  }
  // Somebody who may not search at all is refused at the door of the route.
  if (operation === 'permission.refused' && rule?.startsWith('search.')) addTo(counts, 'searches_refused', 'permission')
  if (operation === 'broker.denied') addTo(counts, 'denied', rule ?? 'other', numberOf(detail.count))
  if (operation === 'retention.purged') {
    for (const kind of PURGE_CLASSES)
      if (numberOf(detail[kind]) > 0) addTo(counts, 'purged', kind, numberOf(detail[kind]))
  }
  const hold = HOLD_OPERATIONS[operation]
  // Written down before it is done: one that was refused after that was not.
  if (hold !== undefined && outcome === 'allowed') addTo(counts, 'holds', hold)
  if (hold !== undefined && outcome === 'refused' && entry.completes !== null) addTo(counts, 'holds', hold, -1)
}

const HOLD_OPERATIONS: Readonly<Record<string, string>> = {
  'hold.add': 'made',
  'hold.extend': 'extended',
  'hold.release': 'released',
}

const numberOf = (value: unknown): number => (typeof value === 'number' && Number.isInteger(value) ? value : 0)

/**
 * Entries that an officer has cleared: until the time given then, a sighting that meets one raises no alert. A wrong entry has stopped
 * the same driver again and again. Owns table suppressions. Called by alerts.ts, ingest and the API.
 */
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Database, Statement } from './database/database.ts'

/** In force at a time; an agency that has more has another problem. */
export const MAX_SUPPRESSIONS = 10_000

export interface Suppression {
  list: string
  entryId: string
  untilMs: number
  madeAtMs: number
  madeBy: string
  /** The alert with which it was made. */
  alertId: string
}

export interface Suppressions {
  /** Synchronous; asked for every match. */
  has(list: string, entryId: string, nowMs: number): boolean
  /** In force, the one that ends first at the beginning. */
  list(): Suppression[]
  /** The statement that stores it, for the transaction of the step; `added` once that is committed. Throws `too_large`. */
  insert(suppression: Suppression): Statement
  added(suppression: Suppression): void
  /** The statement that ends what was made with an alert, whose closing is taken back; `ended` once that is committed. */
  endOf(alertId: string): Statement
  ended(alertId: string): void
  /** Alerts are raised again. Throws `not_found`. */
  lift(list: string, entryId: string): Promise<void>
  /** Deletes those that are over; returns how many. */
  purge(nowMs: number): Promise<number>
}

const keyOf = (list: string, entryId: string) => `${list} ${entryId}`

export async function createSuppressions(deps: { database: Database; clock: Clock }): Promise<Suppressions> {
  const { database, clock } = deps
  const { build } = database
  const inForce = new Map<string, Suppression>()
  for (const row of await database.read(build.selectFrom('suppressions').selectAll())) {
    inForce.set(keyOf(row.list, row.entry_id), {
      ...{ list: row.list, entryId: row.entry_id, untilMs: row.until_ms, madeAtMs: row.made_at_ms },
      ...{ madeBy: row.made_by, alertId: row.alert_id },
    })
  }

  return {
    has: (list, entryId, nowMs) => (inForce.get(keyOf(list, entryId))?.untilMs ?? 0) > nowMs,
    list: () =>
      [...inForce.values()].filter(({ untilMs }) => untilMs > clock.nowMs()).sort((a, b) => a.untilMs - b.untilMs),
    insert(suppression) {
      if (inForce.size >= MAX_SUPPRESSIONS && !inForce.has(keyOf(suppression.list, suppression.entryId))) {
        throw new AppError('too_large', `${MAX_SUPPRESSIONS} entries are suppressed, the most there may be`)
      }
      const changing = {
        ...{ until_ms: suppression.untilMs, made_at_ms: suppression.madeAtMs },
        ...{ made_by: suppression.madeBy, alert_id: suppression.alertId },
      }
      return build
        .insertInto('suppressions')
        .values({ list: suppression.list, entry_id: suppression.entryId, ...changing })
        .onConflict((conflict) => conflict.columns(['list', 'entry_id']).doUpdateSet(changing))
    },
    added(suppression) {
      inForce.set(keyOf(suppression.list, suppression.entryId), suppression)
    },
    endOf: (alertId) => build.deleteFrom('suppressions').where('alert_id', '=', alertId),
    ended(alertId) {
      for (const [key, one] of inForce) if (one.alertId === alertId) inForce.delete(key)
    },
    async lift(list, entryId) {
      const known = inForce.get(keyOf(list, entryId))
      if (known === undefined || known.untilMs <= clock.nowMs()) {
        throw new AppError('not_found', 'that entry is not suppressed')
      }
      await database.writeBatch([
        build.deleteFrom('suppressions').where('list', '=', list).where('entry_id', '=', entryId),
      ])
      inForce.delete(keyOf(list, entryId))
    },
    async purge(nowMs) {
      const over = [...inForce].filter(([, { untilMs }]) => untilMs <= nowMs)
      if (over.length === 0) return 0
      await database.writeBatch([build.deleteFrom('suppressions').where('until_ms', '<=', nowMs)])
      for (const [key] of over) inForce.delete(key)
      return over.length
    },
  }
}

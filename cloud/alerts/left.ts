/**
 * Alerts that are left when who has them may not work on them any more: nobody has them then, everybody sees that, and they wait for
 * their escalation anew. Called by alerts.ts.
 */
import { sql } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Alert } from '../../shared/wire/index.ts'
import { type AuditRecord, CLOUD_ACTOR } from '../audit/entry.ts'
import type { Database } from '../database/database.ts'
import { ALERT_COLUMNS, type AlertRows } from './rows.ts'

/** The groups whose alerts an account may work on now; none: it was disabled, or has no such role. */
export type GroupsOf = (account: string) => Promise<readonly string[]>

export interface LeftDeps {
  database: Database
  clock: Pick<Clock, 'nowMs'>
  rows: AlertRows
  dueAt(alert: Alert, nowMs: number): number | null
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  exclusively<T>(work: () => Promise<T>): Promise<T>
}

export function createLeft({ database, clock, rows, dueAt, audit, exclusively }: LeftDeps) {
  const held = () =>
    rows
      .visible()
      .where('holder', 'is not', null)
      // A literal, as in the index.
      .where('state', '!=', sql.lit('closed'))

  async function release(alertId: string, holder: string, groups: readonly string[]): Promise<boolean> {
    const [alert] = await rows.whole(
      await database.read(held().select(ALERT_COLUMNS).where('alert_id', '=', alertId).where('holder', '=', holder)),
    )
    // Taken over or closed meanwhile.
    if (alert === undefined || alert.groups.some((group) => groups.includes(group))) return false
    const subject = { kind: 'alert', id: alertId }
    const detail = { takenFrom: holder, revision: alert.revision }
    await audit.append({ operation: 'alert.released', outcome: 'allowed', actor: CLOUD_ACTOR, subject, detail })
    const nowMs = clock.nowMs()
    const released: Alert = {
      ...alert,
      ...{ revision: alert.revision + 1, updatedAtMs: nowMs, updatedBy: null },
      ...{ acknowledgedBy: null, acknowledgedAtMs: null },
    }
    const [replaced] = await database.writeBatch([
      rows.replace(released),
      rows.escalateAt(released, dueAt(released, nowMs)),
    ])
    if (replaced?.changes !== 1) throw new AppError('conflict', 'the alert has changed meanwhile')
    return true
  }

  return {
    /** Returns how many. */
    async releaseLeft(groupsOf: GroupsOf): Promise<number> {
      let count = 0
      for (const { holder } of await database.read(held().select('holder').distinct())) {
        if (holder === null) continue
        const groups = await groupsOf(holder)
        for (const { alert_id } of await database.read(held().select('alert_id').where('holder', '=', holder))) {
          if (await exclusively(() => release(alert_id, holder, groups))) count += 1
        }
      }
      return count
    },
  }
}

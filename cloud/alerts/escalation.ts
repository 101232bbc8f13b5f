/**
 * An alert that nobody has taken in time is told to further groups, once. When that is due is stored with the alert, so that it outlives
 * a restart. Called by alerts.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { type Alert, MAX_ALERT_GROUPS } from '../../shared/wire/index.ts'
import { type AuditRecord, CLOUD_ACTOR } from '../audit/entry.ts'
import type { Database } from '../database/database.ts'
import { ALERT_COLUMNS, type AlertRows } from './rows.ts'
import type { AlertRules } from './rules.ts'

export interface EscalationDeps {
  database: Database
  clock: Clock
  log: Log
  rows: AlertRows
  rules: Pick<AlertRules, 'escalation'>
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  exclusively<T>(work: () => Promise<T>): Promise<T>
}

export function createEscalation({ database, clock, log, rows, rules, audit, exclusively }: EscalationDeps) {
  const { build } = database

  /** Of an alert as it is after a step: only one that nobody has and that was not escalated before. */
  function dueAt(alert: Alert, nowMs: number): number | null {
    if (alert.acknowledgedBy !== null || alert.state === 'closed' || alert.escalatedAtMs !== null) return null
    const escalation = rules.escalation(alert.match.list, alert.groups, alert.match.priority)
    return escalation === null ? null : nowMs + escalation.afterMs
  }

  /** Of the one that has been due for longest; returns whether there was one. */
  async function escalateNext(): Promise<boolean> {
    const nowMs = clock.nowMs()
    const due = await database.read(
      rows.visible().select(ALERT_COLUMNS).where('escalate_at_ms', '<=', nowMs).orderBy('escalate_at_ms').limit(1),
    )
    const [alert] = await rows.whole(due)
    if (alert === undefined) return false
    const { groups, match } = alert
    // The rules of now: they may have been changed since it was raised.
    const to = rules.escalation(match.list, groups, match.priority)?.to ?? null
    if (to === null || dueAt(alert, nowMs) === null) {
      await database.writeBatch([rows.escalateAt(alert, null)])
      return true
    }
    const subject = { kind: 'alert', id: alert.alertId }
    const detail = { to, priority: match.priority, revision: alert.revision }
    await audit.append({ operation: 'alert.escalated', outcome: 'allowed', actor: CLOUD_ACTOR, subject, detail })
    const escalated: Alert = {
      ...alert,
      ...{ revision: alert.revision + 1, updatedAtMs: nowMs, updatedBy: null, escalatedAtMs: nowMs },
      groups: [...new Set([...groups, ...to])].slice(0, MAX_ALERT_GROUPS),
    }
    // Pushed whatever their own rules say, quiet hours included; a group of the alert that was held back hears of it too.
    const pushed = { push: 'pushed', held_until_ms: null }
    const [replaced] = await database.writeBatch([
      rows.replace(escalated),
      ...to
        .filter((group) => escalated.groups.includes(group))
        .map((group) =>
          build
            .insertInto('alert_groups')
            .values({
              ...{ alert_id: alert.alertId, group_name: group, state: alert.state, raised_at_ms: alert.raisedAtMs },
              ...pushed,
            })
            .onConflict((conflict) => conflict.columns(['alert_id', 'group_name']).doUpdateSet(pushed)),
        ),
      rows.escalateAt(escalated, null),
    ])
    // Else it would be tried again and again at once.
    if (replaced?.changes !== 1) throw new AppError('conflict', 'the alert has changed meanwhile')
    log.warn('alert_escalated', { alertId: alert.alertId, list: match.list })
    return true
  }

  return {
    dueAt,
    /** When the next one is due; null: none. */
    async nextDueMs(): Promise<number | null> {
      const [row] = await database.read(
        rows
          .visible()
          .select((eb) => eb.fn.min<number | null>('escalate_at_ms').as('due'))
          .where('escalate_at_ms', 'is not', null),
      )
      return row?.due ?? null
    },
    /** Nothing else changes an alert between looking at it and escalating it. Stops at what the audit cannot write down. */
    async escalateDue(): Promise<void> {
      while (await exclusively(escalateNext)) {}
    },
  }
}

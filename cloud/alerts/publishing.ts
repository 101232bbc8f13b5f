/**
 * Alerts to their groups: every revision that was committed and not yet published, whole, and what was held in quiet hours when they
 * end. A group that has got an alert gets all its revisions; whether it gets the first one is for the rules. Called by alerts.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import type { Alert } from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { Webhooks } from '../webhooks.ts'
import { quietUntil } from './quiet.ts'
import { ALERT_COLUMNS, type AlertRows } from './rows.ts'
import type { AlertRules } from './rules.ts'

/** Alerts published in one go; the rest follow at once. */
export const PUBLISH_STEP = 25

/** What a group gets of an alert; `heldUntilMs` with `held` alone. */
export type Push = { push: 'pushed' | 'listed' } | { push: 'held'; heldUntilMs: number }

export interface PublishingDeps {
  database: Database
  clock: Clock
  rows: AlertRows
  rules: Pick<AlertRules, 'pushing'>
  /** Queues every published revision for other programs, in the transaction that marks it as published. */
  webhooks: Pick<Webhooks, 'queue'>
  /** Resolves when the broker has the alert in the queue of every subscribed session. */
  publish: (group: string, alert: Alert) => Promise<void>
}

export function createPublishing({ database, clock, rows, rules, webhooks, publish }: PublishingDeps) {
  const { build } = database
  let publishing: Promise<void> | null = null
  let again = false

  /** `before`: what was decided for the group, `due` at first. */
  function decide(alert: Alert, group: string, before: string, nowMs: number): Push {
    if (before === 'pushed') return { push: 'pushed' }
    const { pushUpTo, quiet } = rules.pushing(alert.match.list, group)
    const { priority } = alert.match
    // What was closed before the group heard of it is none of its concern any more.
    if (priority > pushUpTo || (before !== 'due' && alert.state === 'closed')) return { push: 'listed' }
    const heldUntilMs = quiet === null || priority <= quiet.pushUpTo ? null : quietUntil(quiet, nowMs)
    return heldUntilMs === null ? { push: 'pushed' } : { push: 'held', heldUntilMs }
  }

  async function tell(alert: Alert, groups: readonly { group_name: string; push: string }[]): Promise<Statement[]> {
    const statements: Statement[] = []
    const published: Promise<void>[] = []
    for (const { group_name: group, push: before } of groups) {
      const decided = decide(alert, group, before, clock.nowMs())
      if (decided.push === 'pushed') published.push(publish(group, alert))
      if (decided.push === before && before === 'pushed') continue
      statements.push(
        build
          .updateTable('alert_groups')
          .set({ push: decided.push, held_until_ms: decided.push === 'held' ? decided.heldUntilMs : null })
          .where('alert_id', '=', alert.alertId)
          .where('group_name', '=', group)
          // It may have been escalated to the group meanwhile.
          .where('push', '=', before),
      )
    }
    await Promise.all(published)
    return statements
  }

  /** Revisions that nobody was told of; returns how many alerts. */
  async function publishChanged(): Promise<number> {
    const changed = await database.read(
      rows
        .visible()
        .select([...ALERT_COLUMNS, 'revision'])
        .whereRef('published_revision', '<', 'revision')
        .orderBy('alert_id')
        .limit(PUBLISH_STEP),
    )
    if (changed.length === 0) return 0
    const ids = changed.map((row) => row.alert_id)
    const groups = await database.read(
      build.selectFrom('alert_groups').select(['alert_id', 'group_name', 'push']).where('alert_id', 'in', ids),
    )
    const alerts = await rows.whole(changed)
    // At once, so that they share a commit; in their order.
    const told = await Promise.all(
      alerts.map((alert) => {
        const own = groups.filter((one) => one.alert_id === alert.alertId)
        return tell(alert, own)
      }),
    )
    const queued = webhooks.queue(alerts)
    const written = await database.writeBatch([
      ...queued.statements,
      ...told.flat(),
      ...changed.map((row) =>
        build
          .updateTable('alerts')
          .set({ published_revision: row.revision })
          .where('alert_id', '=', row.alert_id)
          .where('published_revision', '<', row.revision),
      ),
    ])
    queued.committed(written)
    return changed.length
  }

  /** What quiet hours held back and is due now; returns how many. */
  async function publishHeld(): Promise<number> {
    const due = await database.read(
      rows
        .visible()
        .innerJoin('alert_groups', 'alert_groups.alert_id', 'alerts.alert_id')
        .select([...ALERT_COLUMNS, 'alert_groups.group_name', 'alert_groups.push'])
        .where('alert_groups.held_until_ms', '<=', clock.nowMs())
        .limit(PUBLISH_STEP),
    )
    const alerts = await rows.whole(due)
    const statements: Statement[] = []
    for (const [i, row] of due.entries()) statements.push(...(await tell(alerts[i] as Alert, [row])))
    if (statements.length > 0) await database.writeBatch(statements)
    return due.length
  }

  async function publishAll(): Promise<void> {
    while ((await publishChanged()) > 0) {}
    while ((await publishHeld()) > 0) {}
  }

  return {
    /** When the first of what is held is due; null: nothing is. */
    async nextDueMs(): Promise<number | null> {
      const [row] = await database.read(
        rows
          .visible()
          .innerJoin('alert_groups', 'alert_groups.alert_id', 'alerts.alert_id')
          .select((eb) => eb.fn.min<number | null>('held_until_ms').as('due'))
          .where('held_until_ms', 'is not', null),
      )
      return row?.due ?? null
    },
    /** Concurrent calls join. */
    publishPending(): Promise<void> {
      if (publishing !== null) {
        again = true
        return publishing
      }
      const run = async () => {
        try {
          do {
            again = false
            await publishAll()
          } while (again)
        } finally {
          publishing = null
        }
      }
      publishing = run()
      return publishing
    },
  }
}

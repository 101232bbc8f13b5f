/**
 * What waits for each webhook: one row an alert, ids only, so that no plate lies here and a newer revision takes the place of an
 * older one that was not sent. A row goes with its alert. Beside them the notices of notices.ts. Statements and reads of tables
 * webhook_deliveries and webhook_notices, for webhooks.ts and delivery.ts.
 */
import { sql } from 'kysely'
import type { Database, Statement } from '../database/database.ts'
import type { NoticeKind } from './notices.ts'

/** Rows deleted in one transaction when a webhook is removed. */
const REMOVE_STEP_ROWS = 500

export interface Waiting {
  position: number
  /** Of an alert; null: it is a notice. */
  alert_id: string | null
  notice: { kind: NoticeKind; document: Record<string, unknown> } | null
  revision: number
  delivery_id: string
  attempts: number
  next_at_ms: number
}

export interface DeliveryQueue {
  /** Stores, or brings to this revision, the delivery of an alert; nothing if the alert is gone meanwhile. */
  put(delivery: { webhook: string; alertId: string; revision: number; deliveryId: string; nowMs: number }): Statement
  /** Drops the oldest above `most`; walks that many index entries, about 10 ms for 100,000. */
  bound(webhook: string, most: number): Statement
  /** The one that is due first, due or not; null: none waits. */
  next(webhook: string): Promise<Waiting | null>
  /** After it was sent with this revision: a newer one that came meanwhile stays. */
  done(waiting: Waiting, sentRevision: number): Statement
  /** After it failed; a newer revision that came meanwhile is tried at its own time. */
  postpone(waiting: Waiting, nextAtMs: number): Statement
  /** All of the webhook are due now. */
  hasten(webhook: string, nowMs: number): Statement[]
  hasFailed(webhook: string): Promise<boolean>
  /** How many wait, and since when the oldest does. */
  measure(webhook: string): Promise<{ waiting: number; oldestQueuedAtMs: number | null }>
  /** Deletes what waits for the webhook, in small steps; `pause` between two. */
  clear(webhook: string, pause: () => Promise<void>): Promise<void>
}

export function createDeliveryQueue(database: Database): DeliveryQueue {
  const { build } = database
  const of = (webhook: string) => build.selectFrom('webhook_deliveries').where('webhook', '=', webhook)
  const noticesOf = (webhook: string) => build.selectFrom('webhook_notices').where('webhook', '=', webhook)
  // What both tables have in common is the same statement of either.
  const tableOf = ({ notice }: Waiting) =>
    notice === null ? 'webhook_deliveries' : ('webhook_notices' as 'webhook_deliveries')
  const both = (webhook: string) => [of(webhook), noticesOf(webhook) as unknown as ReturnType<typeof of>] as const

  return {
    put: ({ webhook, alertId, revision, deliveryId, nowMs }) =>
      build
        .insertInto('webhook_deliveries')
        .columns(['webhook', 'alert_id', 'revision', 'delivery_id', 'queued_at_ms', 'attempts', 'next_at_ms'])
        .expression((eb) =>
          eb
            .selectFrom('alerts')
            .select([
              eb.val(webhook).as('webhook'),
              'alert_id',
              eb.val(revision).as('revision'),
              eb.val(deliveryId).as('delivery_id'),
              eb.val(nowMs).as('queued_at_ms'),
              eb.lit(0).as('attempts'),
              eb.val(nowMs).as('next_at_ms'),
            ])
            .where('alert_id', '=', alertId),
        )
        .onConflict((conflict) =>
          conflict.columns(['alert_id', 'webhook']).doUpdateSet(({ ref }) => ({
            revision: ref('excluded.revision'),
            delivery_id: ref('excluded.delivery_id'),
            next_at_ms: ref('excluded.next_at_ms'),
          })),
        ),
    bound: (webhook, most) =>
      build
        .deleteFrom('webhook_deliveries')
        .where('webhook', '=', webhook)
        .where('position', '<=', of(webhook).select('position').orderBy('position', 'desc').limit(1).offset(most)),
    async next(webhook) {
      const columns = ['position', 'revision', 'delivery_id', 'attempts', 'next_at_ms'] as const
      const [alert] = await database.read(
        of(webhook)
          .select(['alert_id', ...columns])
          .orderBy('next_at_ms')
          .orderBy('position')
          .limit(1),
      )
      const [notice] = await database.read(
        noticesOf(webhook)
          .select(['kind', 'document', ...columns])
          .orderBy('next_at_ms')
          .orderBy('position')
          .limit(1),
      )
      // An officer waits for an alert, a technician for a notice: at the same time the alert goes first.
      if (alert !== undefined && (notice === undefined || alert.next_at_ms <= notice.next_at_ms))
        return { ...alert, notice: null }
      if (notice === undefined) return null
      const { kind, document, ...rest } = notice
      const parsed = JSON.parse(document) as Record<string, unknown>
      return { ...rest, alert_id: null, notice: { kind: kind as NoticeKind, document: parsed } }
    },
    done: (waiting, sentRevision) =>
      build.deleteFrom(tableOf(waiting)).where('position', '=', waiting.position).where('revision', '<=', sentRevision),
    postpone: (waiting, nextAtMs) =>
      build
        .updateTable(tableOf(waiting))
        .set(({ eb, ref }) => ({
          attempts: eb('attempts', '+', 1),
          next_at_ms: sql<number>`CASE WHEN ${ref('revision')} = ${waiting.revision} THEN ${nextAtMs} ELSE ${ref('next_at_ms')} END`,
        }))
        .where('position', '=', waiting.position),
    hasten: (webhook, nowMs) =>
      (['webhook_deliveries', 'webhook_notices' as 'webhook_deliveries'] as const).map((table) =>
        build
          .updateTable(table)
          .set({ next_at_ms: nowMs })
          .where('webhook', '=', webhook)
          .where('next_at_ms', '>', nowMs),
      ),
    async hasFailed(webhook) {
      for (const rows of both(webhook)) {
        const failed = rows
          .select('position')
          // Written out, or the partial index would not be used.
          .where(({ eb, lit }) => eb('attempts', '>', lit(0)))
          .limit(1)
        if ((await database.read(failed)).length > 0) return true
      }
      return false
    },
    async measure(webhook) {
      let waiting = 0
      let oldestQueuedAtMs: number | null = null
      for (const rows of both(webhook)) {
        const [counted] = await database.read(rows.select(({ fn }) => fn.countAll<number>().as('waiting')))
        const [oldest] = await database.read(rows.select('queued_at_ms').orderBy('position').limit(1))
        waiting += counted?.waiting ?? 0
        if (oldest !== undefined)
          oldestQueuedAtMs = Math.min(oldestQueuedAtMs ?? oldest.queued_at_ms, oldest.queued_at_ms)
      }
      return { waiting, oldestQueuedAtMs }
    },
    async clear(webhook, pause) {
      // Those of notices go with their webhook: they are few.
      for (;;) {
        const step = of(webhook).select('position').orderBy('position').limit(REMOVE_STEP_ROWS)
        const [deleted] = await database.writeBatch([
          build.deleteFrom('webhook_deliveries').where('position', 'in', step),
        ])
        if ((deleted?.changes ?? 0) < REMOVE_STEP_ROWS) return
        await pause()
      }
    },
  }
}

/**
 * What waits for each webhook: one row an alert, ids only, so that no plate lies here and a newer revision takes the place of an
 * older one that was not sent. A row goes with its alert. Statements and reads of table webhook_deliveries, for webhooks.ts and
 * delivery.ts.
 */
import { sql } from 'kysely'
import type { Database, Statement } from '../database/database.ts'

/** Rows deleted in one transaction when a webhook is removed. */
const REMOVE_STEP_ROWS = 500

export interface Waiting {
  position: number
  alert_id: string
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
  hasten(webhook: string, nowMs: number): Statement
  hasFailed(webhook: string): Promise<boolean>
  /** How many wait, and since when the oldest does. */
  measure(webhook: string): Promise<{ waiting: number; oldestQueuedAtMs: number | null }>
  /** Deletes what waits for the webhook, in small steps; `pause` between two. */
  clear(webhook: string, pause: () => Promise<void>): Promise<void>
}

export function createDeliveryQueue(database: Database): DeliveryQueue {
  const { build } = database
  const of = (webhook: string) => build.selectFrom('webhook_deliveries').where('webhook', '=', webhook)
  const count = (webhook: string) => of(webhook).select(({ fn }) => fn.countAll<number>().as('waiting'))

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
      const [row] = await database.read(
        of(webhook)
          .select(['position', 'alert_id', 'revision', 'delivery_id', 'attempts', 'next_at_ms'])
          .orderBy('next_at_ms')
          .orderBy('position')
          .limit(1),
      )
      return row ?? null
    },
    done: ({ position }, sentRevision) =>
      build.deleteFrom('webhook_deliveries').where('position', '=', position).where('revision', '<=', sentRevision),
    postpone: ({ position, revision }, nextAtMs) =>
      build
        .updateTable('webhook_deliveries')
        .set(({ eb, ref }) => ({
          attempts: eb('attempts', '+', 1),
          next_at_ms: sql<number>`CASE WHEN ${ref('revision')} = ${revision} THEN ${nextAtMs} ELSE ${ref('next_at_ms')} END`,
        }))
        .where('position', '=', position),
    hasten: (webhook, nowMs) =>
      build
        .updateTable('webhook_deliveries')
        .set({ next_at_ms: nowMs })
        .where('webhook', '=', webhook)
        .where('next_at_ms', '>', nowMs),
    async hasFailed(webhook) {
      const failed = of(webhook)
        .select('position')
        // Written out, or the partial index would not be used.
        .where(({ eb, lit }) => eb('attempts', '>', lit(0)))
        .limit(1)
      return (await database.read(failed)).length > 0
    },
    async measure(webhook) {
      const [counted] = await database.read(count(webhook))
      const [oldest] = await database.read(of(webhook).select('queued_at_ms').orderBy('position').limit(1))
      return { waiting: counted?.waiting ?? 0, oldestQueuedAtMs: oldest?.queued_at_ms ?? null }
    },
    async clear(webhook, pause) {
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

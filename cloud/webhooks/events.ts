/** What webhooks are told besides alerts. One row an event and webhook, with its newest document: a camera's name, never a plate. For queue.ts. */
import type { Database, Statement } from '../database/database.ts'

export const EVENT_KINDS = ['camera_alarm', 'claim_misused'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** Events that wait for one webhook; beyond them the oldest are dropped. A city of 1,000 cameras has some hundred a day. */
export const MAX_WAITING_EVENTS = 10_000

export interface WebhookEvent {
  kind: EventKind
  eventId: string
  /** A newer one takes the place of one that was not sent. */
  revision: number
  document: Record<string, unknown>
}

export function putEvent(
  { build }: Pick<Database, 'build'>,
  { kind, eventId, revision, document }: WebhookEvent,
  to: { webhook: string; deliveryId: string; nowMs: number },
): Statement {
  const values = { revision, document: JSON.stringify(document), delivery_id: to.deliveryId, next_at_ms: to.nowMs }
  return build
    .insertInto('webhook_events')
    .values({ webhook: to.webhook, kind, event_id: eventId, queued_at_ms: to.nowMs, attempts: 0, ...values })
    .onConflict((conflict) => conflict.columns(['webhook', 'kind', 'event_id']).doUpdateSet(values))
}

/** Drops the oldest above `most`. */
export function boundEvents({ build }: Pick<Database, 'build'>, webhook: string, most: number): Statement {
  const kept = build.selectFrom('webhook_events').select('position').where('webhook', '=', webhook)
  return build
    .deleteFrom('webhook_events')
    .where('webhook', '=', webhook)
    .where('position', '<=', kept.orderBy('position', 'desc').limit(1).offset(most))
}

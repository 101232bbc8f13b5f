/** What webhooks are told besides alerts. One row a notice and webhook, with its newest document: a camera's name, which roll-out, or how the authority stands; never a plate. For queue.ts. */
import type { Database, Statement } from '../database/database.ts'

export const NOTICE_KINDS = [
  'camera_alarm',
  'claim_misused',
  'roll_out_halted',
  'roll_out_still',
  'authority_alarm',
] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** Notices that wait for one webhook; beyond them the oldest are dropped. A city of 1,000 cameras has some hundred a day. */
export const MAX_WAITING_NOTICES = 10_000

export interface WebhookNotice {
  kind: NoticeKind
  noticeId: string
  /** A newer one takes the place of one that was not sent. */
  revision: number
  document: Record<string, unknown>
}

export function putNotice(
  { build }: Pick<Database, 'build'>,
  { kind, noticeId, revision, document }: WebhookNotice,
  to: { webhook: string; deliveryId: string; nowMs: number },
): Statement {
  const values = { revision, document: JSON.stringify(document), delivery_id: to.deliveryId, next_at_ms: to.nowMs }
  return build
    .insertInto('webhook_notices')
    .values({ webhook: to.webhook, kind, notice_id: noticeId, queued_at_ms: to.nowMs, attempts: 0, ...values })
    .onConflict((conflict) => conflict.columns(['webhook', 'kind', 'notice_id']).doUpdateSet(values))
}

/** Drops the oldest above `most`. */
export function boundNotices({ build }: Pick<Database, 'build'>, webhook: string, most: number): Statement {
  const kept = build.selectFrom('webhook_notices').select('position').where('webhook', '=', webhook)
  return build
    .deleteFrom('webhook_notices')
    .where('webhook', '=', webhook)
    .where('position', '<=', kept.orderBy('position', 'desc').limit(1).offset(most))
}

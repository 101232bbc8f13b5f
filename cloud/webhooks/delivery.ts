/**
 * The loop of one webhook: the delivery that is due first is made from its alert as that is now, sent, and taken off the queue
 * or postponed. It goes on for as long as the alert is kept and never gives up by itself; that a webhook fails is audited when
 * it begins and when it is over, logged every hour, counted and shown.
 */
import { type Clock, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { backOffMs } from '../../shared/retry.ts'
import type { Alert } from '../../shared/wire/index.ts'
import { type AuditRecord, CLOUD_ACTOR } from '../audit/entry.ts'
import type { Database, Statement } from '../database/database.ts'
import { alertFor, secretOf, signatureOf } from './document.ts'
import { type Hook, inTurn, RETRY, SLOW_RETRY } from './hook.ts'
import { type Answer, post, type Sending } from './post.ts'
import type { DeliveryQueue, Waiting } from './queue.ts'

/** A loop that has nothing to do looks again after this, in case the clock was set. */
const IDLE_MS = 15 * MINUTE_MS
/** Between two lines of the log that say that a webhook fails. */
const WARN_EVERY_MS = HOUR_MS

export interface DeliveryDeps {
  database: Database
  queue: DeliveryQueue
  clock: Clock
  log: Log
  random: Random
  key: Uint8Array
  sending: Sending
  userAgent: string
  pageOrigin: () => string
  /** The alert as it is now. Throws `not_found` when none of these groups may see it or it is not kept any more. */
  getAlert: (alertId: string, groups: readonly string[]) => Promise<{ alert: Alert }>
  audit: { append(record: AuditRecord): Promise<unknown> }
  counters: { attempt(outcome: 'delivered' | 'failed'): void }
  /** After `failingSinceMs` has changed. */
  onState: () => void
}

export interface Outcome {
  delivered: boolean
  /** Of the answer; null: there was none. */
  status: number | null
  /** Why it was not taken; null when it was. */
  reason: string | null
  /** When the receiver wants to be asked again; null: it did not say. */
  retryAfterMs: number | null
  /** Asking again soon will not help. */
  slow: boolean
}

/** Sends one document; never throws. */
export async function attempt(
  hook: Hook,
  document: {
    deliveryId: string
    alert: Record<string, unknown> | null
    notice?: Record<string, unknown>
    test?: true
  },
  deps: Pick<DeliveryDeps, 'clock' | 'key' | 'sending' | 'userAgent'>,
  signal: AbortSignal,
): Promise<Outcome> {
  const sentAtMs = deps.clock.nowMs()
  const body = Buffer.from(JSON.stringify({ webhook: hook.webhook, sentAtMs, ...document }))
  const headers = {
    'content-type': 'application/json',
    'user-agent': deps.userAgent,
    'candor-delivery': document.deliveryId,
    'candor-signature': signatureOf(secretOf(deps.key, hook.secretSalt), sentAtMs, body),
  }
  try {
    return judge(await post(hook.url, { headers, body }, deps.sending, signal), deps.clock.nowMs())
  } catch (thrown) {
    return { delivered: false, status: null, reason: toAppError(thrown).message, retryAfterMs: null, slow: false }
  }
}

/** Faults that pass by themselves although their status is 4xx [RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4]. */
const PASSING = new Set([408, 425, 429])

function judge({ status, retryAfter }: Answer, nowMs: number): Outcome {
  if (status >= 200 && status < 300) {
    return { delivered: true, status, reason: null, retryAfterMs: null, slow: false }
  }
  const redirect = status >= 300 && status < 400
  const reason = `status ${status}${redirect ? ', and redirects are not followed' : ''}`
  const slow = status < 500 && !PASSING.has(status)
  return { delivered: false, status, reason, retryAfterMs: parseRetryAfter(retryAfter, nowMs), slow }
}

/** Seconds or a date [RFC 9110, 10.2.3], kept within the bounds of our own back-off; null: not said, or not understood. */
export function parseRetryAfter(text: string | null, nowMs: number): number | null {
  if (text === null) return null
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : / GMT$/.test(text) ? Date.parse(text) - nowMs : Number.NaN
  return Number.isFinite(ms) ? Math.min(RETRY.mostMs, Math.max(RETRY.firstMs, ms)) : null
}

/** A success, of a delivery or a test: what waits is sent without delay, and the webhook has recovered if nothing that failed waits. */
export async function noteSuccess(hook: Hook, deps: DeliveryDeps): Promise<void> {
  hook.backOff.reset()
  hook.notBeforeMs = Number.NEGATIVE_INFINITY
  const { failingSinceMs, fullSinceMs } = hook
  if (failingSinceMs === null && fullSinceMs === null) return
  if (await deps.queue.hasFailed(hook.webhook)) return
  const failingForMs = failingSinceMs === null ? null : Math.max(0, deps.clock.nowMs() - failingSinceMs)
  await deps.audit.append(recordOf(hook, 'webhook.recovered', { failingForMs, dropped: fullSinceMs !== null }))
  await deps.database.writeBatch([change(hook, { failing_since_ms: null, full_since_ms: null }, deps)])
  hook.failingSinceMs = null
  hook.fullSinceMs = null
  hook.warnedAtMs = null
  deps.log.info('webhook_recovered', { webhook: hook.webhook, durationMs: failingForMs })
  deps.onState()
}

/** What the cloud itself has to say of a webhook. */
export function recordOf(hook: Hook, operation: string, detail: AuditRecord['detail']): AuditRecord {
  return {
    operation,
    outcome: 'allowed',
    actor: CLOUD_ACTOR,
    subject: { kind: 'webhook', id: hook.webhook },
    ...(detail === undefined ? {} : { detail }),
  }
}

const change = (
  hook: Hook,
  set: {
    failing_since_ms?: number | null
    full_since_ms?: number | null
    last_attempt_at_ms?: number
    last_status?: number | null
    last_reason?: string | null
    last_delivered_at_ms?: number
  },
  { database }: Pick<DeliveryDeps, 'database'>,
): Statement => database.build.updateTable('webhooks').set(set).where('webhook', '=', hook.webhook)

/** Delivers until the signal aborts. Never throws: what cannot be stored is logged and stored later, before the next is sent. */
export async function deliver(hook: Hook, deps: DeliveryDeps, signal: AbortSignal): Promise<void> {
  const { clock, database, queue } = deps
  /** An outcome that could not be written down, on a full disk perhaps: sending it again would only repeat it. */
  let owed: (() => Promise<void>) | null = null

  async function settle(outcome: () => Promise<void>): Promise<void> {
    owed = outcome
    await outcome()
    owed = null
  }

  async function failed(waiting: Waiting, outcome: Outcome, atMs: number, nextAtMs: number): Promise<void> {
    const { status, reason } = outcome
    if (hook.failingSinceMs === null) {
      await deps.audit.append(recordOf(hook, 'webhook.failing', { status, reason }))
    }
    const failing_since_ms = hook.failingSinceMs ?? atMs
    const last = { last_attempt_at_ms: atMs, last_status: status, last_reason: reason }
    await database.writeBatch([
      queue.postpone(waiting, nextAtMs),
      change(hook, { failing_since_ms, ...last }, { database }),
    ])
    hook.failingSinceMs = failing_since_ms
    deps.onState()
  }

  async function delivered(waiting: Waiting, sentRevision: number, outcome: Outcome, atMs: number): Promise<void> {
    const last = { last_attempt_at_ms: atMs, last_status: outcome.status, last_reason: null }
    const [gone] = await database.writeBatch([
      queue.done(waiting, sentRevision),
      change(hook, { last_delivered_at_ms: atMs, ...last }, { database }),
    ])
    hook.waitingAtMost -= gone?.changes ?? 0
    await noteSuccess(hook, deps)
  }

  function warn(outcome: Outcome, retryInMs: number): void {
    const nowMs = clock.monotonicMs()
    if (hook.warnedAtMs !== null && nowMs - hook.warnedAtMs < WARN_EVERY_MS) return
    hook.warnedAtMs = nowMs
    const since = hook.failingSinceMs === null ? 0 : clock.nowMs() - hook.failingSinceMs
    const { status, reason } = outcome
    deps.log.warn('webhook_failing', { webhook: hook.webhook, status, reason, ageMs: since, retryInMs })
  }

  /** Null: it is past its retention, or purged. */
  async function kept(alertId: string): Promise<Alert | null> {
    try {
      return (await deps.getAlert(alertId, hook.groups)).alert
    } catch (thrown) {
      if (thrown instanceof AppError && thrown.code === 'not_found') return null
      throw thrown
    }
  }

  /** What is sent, as it is now; null: there is nothing to be told any more. */
  async function documentOf({ alert_id, notice, delivery_id: deliveryId, revision }: Waiting) {
    const pageOrigin = deps.pageOrigin()
    if (notice !== null) {
      const { kind, document } = notice
      return {
        revision,
        document: { deliveryId, alert: null, notice: { kind, ...document, page: `${pageOrigin}/#fleet` } },
      }
    }
    const alert = alert_id === null ? null : await kept(alert_id)
    if (alert === null) return null
    return { revision: alert.revision, document: { deliveryId, alert: alertFor(hook, alert, pageOrigin) } }
  }

  /** Does what is due; returns for how long there is nothing to do, milliseconds. */
  async function step(): Promise<number> {
    if (owed !== null) await settle(owed)
    if (hook.pausedAtMs !== null) return IDLE_MS
    const restMs = hook.notBeforeMs - clock.monotonicMs()
    if (restMs > 0) return restMs
    const waiting = await queue.next(hook.webhook)
    if (waiting === null) return IDLE_MS
    const dueInMs = waiting.next_at_ms - clock.nowMs()
    if (dueInMs > 0) return Math.min(dueInMs, IDLE_MS)
    const sent = await documentOf(waiting)
    if (sent === null) {
      const [gone] = await database.writeBatch([queue.done(waiting, waiting.revision)])
      hook.waitingAtMost -= gone?.changes ?? 0
      return 0
    }
    const outcome = await inTurn(hook, () => attempt(hook, sent.document, deps, signal))
    const atMs = clock.nowMs()
    if (outcome.delivered) {
      deps.counters.attempt('delivered')
      await settle(() => delivered(waiting, sent.revision, outcome, atMs))
      return 0
    }
    // Broken off by the end of the cloud or of the webhook: no fault of the receiver.
    if (signal.aborted) return 0
    deps.counters.attempt('failed')
    const { retryAfterMs } = outcome
    const pauseMs = retryAfterMs ?? hook.backOff.nextMs()
    hook.notBeforeMs = clock.monotonicMs() + pauseMs
    const ownMs = retryAfterMs ?? backOffMs(outcome.slow ? SLOW_RETRY : RETRY, waiting.attempts, deps.random)
    warn(outcome, pauseMs)
    await settle(() => failed(waiting, outcome, atMs, atMs + ownMs))
    return pauseMs
  }

  while (!signal.aborted) {
    let waitMs: number
    try {
      waitMs = await step()
    } catch (thrown) {
      const error = toAppError(thrown)
      deps.log.error('webhook_not_recorded', { webhook: hook.webhook, code: error.code, error: error.message })
      waitMs = hook.backOff.nextMs()
      hook.notBeforeMs = clock.monotonicMs() + waitMs
    }
    if (waitMs > 0) await hook.alarm.wait(waitMs, signal)
  }
}

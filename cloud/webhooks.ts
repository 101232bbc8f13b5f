/**
 * Webhooks: alerts for other programs, over HTTP. An alert's new revision is queued for each webhook of its groups in the
 * transaction that marks it as published, and a loop a webhook delivers it at least once, in order of revision. None is ever
 * disabled by the cloud itself. Owns tables webhooks, webhook_deliveries and
 * webhook_notices. Called by alerts.ts, the API and main.
 */
import { lookup } from 'node:dns'
import { AppError, toAppError } from '../shared/errors.ts'
import type { NewId } from '../shared/ids.ts'
import { softwareVersion } from '../shared/version.ts'
import type { Alert } from '../shared/wire/index.ts'
import type { Statement, Written } from './database/database.ts'
import { readAuthorities } from './webhooks/authorities.ts'
import { attempt, type DeliveryDeps, deliver, noteSuccess, recordOf } from './webhooks/delivery.ts'
import { SECRET_SALT_BYTES, secretOf } from './webhooks/document.ts'
import { type Hook, hookOf, inTurn } from './webhooks/hook.ts'
import {
  boundNotices,
  MAX_WAITING_NOTICES,
  type NoticeKind,
  putNotice,
  type WebhookNotice,
} from './webhooks/notices.ts'
import { POST_TIMEOUT_MS } from './webhooks/post.ts'
import { createDeliveryQueue } from './webhooks/queue.ts'

export interface WebhookLimits {
  maxWebhooks: number
  /** Alerts that wait for one webhook; beyond them the oldest are dropped. */
  maxWaiting: number
  postTimeoutMs: number
}

/** 100,000 alerts are a month of a city that alerts 3,000 times a day. */
export const WEBHOOK_LIMITS: WebhookLimits = {
  maxWebhooks: 32,
  maxWaiting: 100_000,
  postTimeoutMs: POST_TIMEOUT_MS,
}
/** Groups of one webhook; as many as an alert may have. */
export const MAX_WEBHOOK_GROUPS = 32
/** Between two steps of removing what waits, so that ingest's transactions come through. */
const REMOVE_PAUSE_MS = 5

export interface WebhookState {
  webhook: string
  /** Scheme, host and port: the path may hold a token and is shown to nobody. */
  origin: string
  groups: readonly string[]
  includePlate: boolean
  notices: readonly NoticeKind[]
  createdAtMs: number
  createdBy: string
  state: 'ok' | 'failing' | 'paused'
  /** Since the first failure of what has not been delivered yet; kept while it is paused. */
  failingSinceMs: number | null
  pausedAtMs: number | null
  pausedBy: string | null
  lastAttemptAtMs: number | null
  lastStatus: number | null
  lastReason: string | null
  lastDeliveredAtMs: number | null
  waiting: number
  oldestQueuedAtMs: number | null
  /** Ever, because the queue was full. */
  dropped: number
  droppingSinceMs: number | null
}

export interface TestOutcome {
  delivered: boolean
  /** Null: there was no answer. */
  status: number | null
  reason: string | null
  durationMs: number
}

export interface Queued {
  statements: Statement[]
  committed(written: readonly Written[]): void
}

export interface Webhooks {
  /** What queues these alerts, for the transaction that marks them as published; `committed` with what it wrote. */
  queue(alerts: readonly Alert[]): Queued
  /** The same for what else webhooks may want to be told. */
  queueNotices(notices: readonly WebhookNotice[]): Queued
  list(): Promise<WebhookState[]>
  /** Returns the secret, which is shown this once. Throws `conflict`, `too_large`. */
  add(webhook: {
    webhook: string
    /** From parseWebhookUrl. */
    url: URL
    groups: readonly string[]
    includePlate: boolean
    notices: readonly NoticeKind[]
    by: string
  }): Promise<{ secret: string }>
  /** With everything that waits for it. This and the others throw `not_found`. */
  remove(webhook: string): Promise<void>
  /** Alerts go on being queued for it. Throws `conflict` when it is paused already. */
  pause(webhook: string, by: string): Promise<void>
  /** What waits is sent at once. Throws `conflict` when it is not paused. */
  resume(webhook: string): Promise<void>
  /** The old one signs nothing more. */
  replaceSecret(webhook: string): Promise<{ secret: string }>
  /** Sends a body that says that it is a test, also while the webhook is paused. Throws `conflict` while another one runs. */
  test(webhook: string): Promise<TestOutcome>
  /** Delivers until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface WebhooksDeps extends Omit<DeliveryDeps, 'queue' | 'sending' | 'userAgent' | 'counters' | 'onState'> {
  newId: NewId
  newSecret: (byteCount: number) => string
  /** PEM file of authorities to trust besides the public ones; null: none. */
  caFile: string | null
  limits: WebhookLimits
  counters: {
    attempt(outcome: 'delivered' | 'failed'): void
    dropped(count: number): void
    failing(webhooks: number): void
  }
}

/** Opens what is stored; nothing is sent before `run`. Throws `configuration` for a file of authorities that is none. */
export async function createWebhooks(deps: WebhooksDeps): Promise<Webhooks> {
  const { database, clock, log, limits } = deps
  const { build } = database
  const queue = createDeliveryQueue(database)
  const hooks = new Map<string, Hook>()
  const loops = new Map<string, Promise<void>>()
  const testing = new Set<string>()
  let running: AbortSignal | null = null
  let lastChange: Promise<unknown> = Promise.resolve()

  const delivery: DeliveryDeps = {
    ...deps,
    queue,
    userAgent: `candor/${softwareVersion()}`,
    sending: { clock, timeoutMs: limits.postTimeoutMs, caPem: await readAuthorities(deps.caFile), lookup },
    onState: () => deps.counters.failing([...hooks.values()].filter((hook) => hook.failingSinceMs !== null).length),
  }

  for (const row of await database.read(build.selectFrom('webhooks').selectAll())) {
    hooks.set(row.webhook, hookOf(row, (await queue.measure(row.webhook)).waiting, deps))
  }
  delivery.onState()

  const ofTable = (webhook: string) => build.updateTable('webhooks').where('webhook', '=', webhook)

  /** One change of the webhooks at a time. */
  function exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastChange.then(work)
    lastChange = turn.catch(() => {})
    return turn
  }

  function find(webhook: string): Hook {
    const hook = hooks.get(webhook)
    if (hook === undefined) throw new AppError('not_found', `there is no webhook ${webhook}`)
    return hook
  }

  function start(hook: Hook): void {
    const { signal } = hook.ending
    if (running === null) return
    if (running.aborted) hook.ending.abort()
    loops.set(hook.webhook, deliver(hook, delivery, signal))
  }

  /** A person has mended something: nothing waits for its turn any more. */
  async function hasten(hook: Hook): Promise<void> {
    await database.writeBatch(queue.hasten(hook.webhook, clock.nowMs()))
    hook.backOff.reset()
    hook.notBeforeMs = Number.NEGATIVE_INFINITY
    hook.alarm.ring()
  }

  /** Says that alerts were dropped: their rows are gone already, so that a failure here may only be logged. */
  async function noteDropped(hook: Hook, count: number): Promise<void> {
    deps.counters.dropped(count)
    const isFirst = hook.fullSinceMs === null
    if (isFirst) log.error('webhook_queue_full', { webhook: hook.webhook, limit: limits.maxWaiting })
    hook.fullSinceMs ??= clock.nowMs()
    await database.writeBatch([
      ofTable(hook.webhook).set(({ eb }) => ({
        dropped: eb('dropped', '+', count),
        full_since_ms: hook.fullSinceMs,
      })),
    ])
    if (isFirst) await deps.audit.append(recordOf(hook, 'webhook.dropping', { limit: limits.maxWaiting }))
  }

  return {
    queue(alerts) {
      const nowMs = clock.nowMs()
      const statements: Statement[] = []
      const dropping: { hook: Hook; index: number }[] = []
      const concerned: Hook[] = []
      for (const hook of hooks.values()) {
        const own = alerts.filter(({ groups }) => groups.some((group) => hook.groups.includes(group)))
        if (own.length === 0) continue
        concerned.push(hook)
        for (const { alertId, revision } of own) {
          statements.push(queue.put({ webhook: hook.webhook, alertId, revision, deliveryId: deps.newId(), nowMs }))
        }
        hook.waitingAtMost += own.length
        if (hook.waitingAtMost <= limits.maxWaiting) continue
        dropping.push({ hook, index: statements.length })
        statements.push(queue.bound(hook.webhook, limits.maxWaiting))
      }
      return {
        statements,
        committed(written) {
          for (const { hook, index } of dropping) {
            hook.waitingAtMost = limits.maxWaiting
            const count = written[index]?.changes ?? 0
            if (count === 0) continue
            noteDropped(hook, count).catch((thrown: unknown) => {
              log.error('webhook_not_recorded', { webhook: hook.webhook, error: toAppError(thrown).message })
            })
          }
          for (const hook of concerned) hook.alarm.ring()
        },
      }
    },
    queueNotices(notices) {
      const nowMs = clock.nowMs()
      const statements: Statement[] = []
      const concerned: Hook[] = []
      for (const hook of hooks.values()) {
        const own = notices.filter(({ kind }) => hook.notices.includes(kind))
        if (own.length === 0) continue
        concerned.push(hook)
        const { webhook } = hook
        for (const notice of own)
          statements.push(putNotice(database, notice, { webhook, deliveryId: deps.newId(), nowMs }))
        statements.push(boundNotices(database, webhook, MAX_WAITING_NOTICES))
      }
      return {
        statements,
        committed() {
          for (const hook of concerned) hook.alarm.ring()
        },
      }
    },
    async list() {
      const states: WebhookState[] = []
      for (const row of await database.read(build.selectFrom('webhooks').selectAll().orderBy('webhook'))) {
        const hook = hooks.get(row.webhook)
        // Being removed.
        if (hook === undefined) continue
        // Counting a full queue takes some milliseconds: other work comes in between.
        await clock.sleep(0)
        states.push({
          webhook: hook.webhook,
          origin: hook.url.origin,
          groups: hook.groups,
          includePlate: hook.includePlate,
          notices: hook.notices,
          createdAtMs: hook.createdAtMs,
          createdBy: hook.createdBy,
          state: row.paused_at_ms !== null ? 'paused' : row.failing_since_ms !== null ? 'failing' : 'ok',
          failingSinceMs: row.failing_since_ms,
          pausedAtMs: row.paused_at_ms,
          pausedBy: row.paused_by,
          lastAttemptAtMs: row.last_attempt_at_ms,
          lastStatus: row.last_status,
          lastReason: row.last_reason,
          lastDeliveredAtMs: row.last_delivered_at_ms,
          ...(await queue.measure(hook.webhook)),
          dropped: row.dropped,
          droppingSinceMs: row.full_since_ms,
        })
      }
      return states
    },
    add: ({ webhook, url, groups, includePlate, notices, by }) =>
      exclusively(async () => {
        if (hooks.has(webhook)) {
          throw new AppError('conflict', `there is a webhook ${webhook} already`, {
            hint: 'remove it, or take another name',
          })
        }
        if (hooks.size >= limits.maxWebhooks) {
          throw new AppError('too_large', `there are ${limits.maxWebhooks} webhooks, the most there may be`)
        }
        const row = {
          ...{ webhook, url: url.href, alert_groups: JSON.stringify([...new Set(groups)].sort()) },
          ...({
            include_plate: includePlate ? 1 : 0,
            notice_kinds: JSON.stringify([...new Set(notices)].sort()),
          } as const),
          secret_salt: deps.newSecret(SECRET_SALT_BYTES),
          ...{ created_at_ms: clock.nowMs(), created_by: by, paused_at_ms: null, paused_by: null },
          ...{ failing_since_ms: null, full_since_ms: null, last_attempt_at_ms: null, last_status: null },
          ...{ last_reason: null, last_delivered_at_ms: null },
        }
        await database.writeBatch([build.insertInto('webhooks').values(row)])
        const hook = hookOf(row, 0, deps)
        hooks.set(webhook, hook)
        start(hook)
        return { secret: secretOf(deps.key, row.secret_salt) }
      }),
    remove: (webhook) =>
      exclusively(async () => {
        const hook = find(webhook)
        // First from here, so that nothing more is queued for a row that is about to go.
        hooks.delete(webhook)
        hook.ending.abort()
        hook.alarm.ring()
        await loops.get(webhook)
        loops.delete(webhook)
        try {
          await queue.clear(webhook, () => clock.sleep(REMOVE_PAUSE_MS))
          await database.writeBatch([build.deleteFrom('webhooks').where('webhook', '=', webhook)])
        } catch (thrown) {
          const [row] = await database.read(build.selectFrom('webhooks').selectAll().where('webhook', '=', webhook))
          if (row !== undefined) {
            const again = hookOf(row, (await queue.measure(webhook)).waiting, deps)
            hooks.set(webhook, again)
            start(again)
          }
          throw thrown
        } finally {
          delivery.onState()
        }
      }),
    pause: (webhook, by) =>
      exclusively(async () => {
        const hook = find(webhook)
        if (hook.pausedAtMs !== null) throw new AppError('conflict', `${webhook} is paused already`)
        const pausedAtMs = clock.nowMs()
        await database.writeBatch([ofTable(webhook).set({ paused_at_ms: pausedAtMs, paused_by: by })])
        hook.pausedAtMs = pausedAtMs
        hook.pausedBy = by
      }),
    resume: (webhook) =>
      exclusively(async () => {
        const hook = find(webhook)
        if (hook.pausedAtMs === null) throw new AppError('conflict', `${webhook} is not paused`)
        await database.writeBatch([ofTable(webhook).set({ paused_at_ms: null, paused_by: null })])
        hook.pausedAtMs = null
        hook.pausedBy = null
        await hasten(hook)
      }),
    replaceSecret: (webhook) =>
      exclusively(async () => {
        const hook = find(webhook)
        const secretSalt = deps.newSecret(SECRET_SALT_BYTES)
        await database.writeBatch([ofTable(webhook).set({ secret_salt: secretSalt })])
        hook.secretSalt = secretSalt
        return { secret: secretOf(deps.key, secretSalt) }
      }),
    async test(webhook) {
      const hook = find(webhook)
      if (testing.has(webhook)) throw new AppError('conflict', `${webhook} is being tested right now`)
      testing.add(webhook)
      try {
        const startMs = clock.monotonicMs()
        const document = { deliveryId: deps.newId(), test: true, alert: null } as const
        const outcome = await inTurn(hook, () => attempt(hook, document, delivery, hook.ending.signal))
        const durationMs = Math.round(clock.monotonicMs() - startMs)
        if (outcome.delivered) {
          await noteSuccess(hook, delivery)
          await hasten(hook)
        }
        return { delivered: outcome.delivered, status: outcome.status, reason: outcome.reason, durationMs }
      } finally {
        testing.delete(webhook)
      }
    },
    async run(signal) {
      running = signal
      for (const hook of hooks.values()) start(hook)
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      for (const hook of hooks.values()) hook.ending.abort()
      await Promise.all(loops.values())
    },
  }
}

/** A webhook as the running cloud has it: its row, and what only this process knows of it. Owned by webhooks.ts. */
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import type { Random } from '../../shared/ids.ts'
import { type BackOff, type BackOffLimits, createBackOff } from '../../shared/retry.ts'
import type { WebhooksTable } from '../database/schema.ts'
import { type Alarm, createAlarm } from './alarm.ts'
import type { NoticeKind } from './notices.ts'

/** A receiver that does not answer, or says that it is its own fault. */
export const RETRY: BackOffLimits = { firstMs: SECOND_MS, mostMs: 15 * MINUTE_MS }
/** One delivery that a receiver calls wrong: somebody has to mend something there first. */
export const SLOW_RETRY: BackOffLimits = { firstMs: MINUTE_MS, mostMs: 60 * MINUTE_MS }

export interface Hook {
  readonly webhook: string
  readonly url: URL
  readonly groups: readonly string[]
  readonly includePlate: boolean
  readonly notices: readonly NoticeKind[]
  readonly createdAtMs: number
  readonly createdBy: string
  secretSalt: string
  pausedAtMs: number | null
  pausedBy: string | null
  /** Since the first failure of what has not been delivered yet. */
  failingSinceMs: number | null
  /** Since the oldest waiting deliveries had to be dropped. */
  fullSinceMs: number | null
  /** Never fewer than wait; exact after a start and whenever some were dropped. */
  waitingAtMost: number
  readonly backOff: BackOff
  /** Nothing is sent before; monotonic milliseconds. */
  notBeforeMs: number
  /** When the log last said that it fails; monotonic milliseconds. */
  warnedAtMs: number | null
  readonly alarm: Alarm
  /** One request at a time: the last one given out. */
  lastTurn: Promise<unknown>
  /** Ends its loop when it is removed. */
  readonly ending: AbortController
}

export function hookOf(row: WebhooksFields, waiting: number, deps: { clock: Clock; random: Random }): Hook {
  return {
    webhook: row.webhook,
    url: new URL(row.url),
    groups: JSON.parse(row.alert_groups) as string[],
    includePlate: row.include_plate === 1,
    notices: JSON.parse(row.notice_kinds) as NoticeKind[],
    createdAtMs: row.created_at_ms,
    createdBy: row.created_by,
    secretSalt: row.secret_salt,
    pausedAtMs: row.paused_at_ms,
    pausedBy: row.paused_by,
    failingSinceMs: row.failing_since_ms,
    fullSinceMs: row.full_since_ms,
    waitingAtMost: waiting,
    backOff: createBackOff(RETRY, deps.random),
    notBeforeMs: Number.NEGATIVE_INFINITY,
    warnedAtMs: null,
    alarm: createAlarm(deps.clock),
    lastTurn: Promise.resolve(),
    ending: new AbortController(),
  }
}
/** Of a row that is read, `dropped` is a number and not needed here, and the kinds of notices are there. */
type WebhooksFields = Omit<WebhooksTable, 'dropped' | 'notice_kinds'> & { notice_kinds: string }

/** Runs `work` when no other request to this webhook runs. */
export function inTurn<T>(hook: Hook, work: () => Promise<T>): Promise<T> {
  const turn = hook.lastTurn.then(work)
  hook.lastTurn = turn.catch(() => {})
  return turn
}

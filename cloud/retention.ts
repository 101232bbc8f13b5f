/**
 * Forgetting: deletes in small steps what no query yields any more, cuts the freed bytes out of the write-ahead log, and leaves
 * a receipt in the audit. The queries themselves never yield an expired row; this only makes it true on the disk as well.
 */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { Alerts } from './alerts.ts'
import { type AuditRecord, CLOUD_ACTOR } from './audit/entry.ts'
import type { Database } from './database/database.ts'
import type { Holds } from './holds.ts'
import type { ManualEntries } from './hotlists/manual.ts'
import type { Metrics } from './metrics.ts'
import {
  createReceipts,
  PURGE_CLASSES,
  type PurgeClass,
  type PurgeStep,
  RECEIPT_ROWS,
  type Receipts,
} from './purge-receipt.ts'
import type { Quarantine } from './quarantine.ts'
import type { Sessions } from './sessions.ts'
import type { Retention, Sightings } from './sightings.ts'

/** Rows of one kind deleted in the first transaction of a purge; what follows is by the time that took. */
export const PURGE_STEP_ROWS = 200
/** Below this a step costs what its commit costs. */
export const MIN_PURGE_STEP_ROWS = 100
export const MAX_PURGE_STEP_ROWS = 1_000
/** A step aims at this, milliseconds: nothing else of the cloud runs meanwhile. */
export const PURGE_STEP_TARGET_MS = 20
/** Between two purges. A row is invisible at once all the same. */
export const PURGE_INTERVAL_MS = MINUTE_MS
/** Least pause between two steps, milliseconds; after a long one as long as that took, so that ingest has half of the time or more. */
const STEP_PAUSE_MS = 5
/**
 * From one sweep of the database file for what deletes left behind within pages to the next, at least; a longer one rests ten times as
 * long as it took. Milliseconds.
 */
export const SWEEP_INTERVAL_MS = 10 * MINUTE_MS
const SWEEP_REST = 10

export type Purged = Record<PurgeClass, number>

export interface RetentionDeps {
  database: Database
  sightings: Pick<Sightings, 'purge'>
  alerts: Pick<Alerts, 'purge' | 'publishPending'>
  quarantine: Pick<Quarantine, 'purge'>
  sessions: Pick<Sessions, 'purge'>
  /** Entries made by hand: they hold plates and names, and are kept as matched sightings are, from their end on. */
  entries: Pick<ManualEntries, 'purge'>
  holds: Pick<Holds, 'purge'>
  retention: () => Pick<Retention, 'matchedMs'>
  /** What else is due once a minute: log-ins and certificates that run out. */
  upkeep: () => Promise<void>
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  metrics: Pick<Metrics, 'purged'>
  clock: Clock
  log: Log
}

/** Rows of the next step after one of `rows` that took `tookMs`: at most twice as many, at least half. */
export function nextStepRows(rows: number, tookMs: number): number {
  const factor = Math.min(2, Math.max(0.5, PURGE_STEP_TARGET_MS / Math.max(tookMs, 0.1)))
  return Math.min(MAX_PURGE_STEP_ROWS, Math.max(MIN_PURGE_STEP_ROWS, Math.round(rows * factor)))
}

/**
 * Deletes everything that is past its retention now; stops early when the signal aborts. Returns what it deleted. Of what `receipts`
 * holds from a purge whose receipt could not be written, it leaves the receipt now.
 */
export async function purgeExpired(
  deps: RetentionDeps,
  signal: AbortSignal,
  receipts: Receipts = createReceipts(),
): Promise<Purged> {
  const { clock } = deps
  const total = Object.fromEntries(PURGE_CLASSES.map((one) => [one, 0])) as Purged

  const steps: ((nowMs: number, limit: number) => Promise<PurgeStep>)[] = [
    deps.sightings.purge,
    deps.alerts.purge,
    deps.quarantine.purge,
    (_nowMs, limit) => deps.sessions.purge(limit),
    (nowMs, limit) => deps.entries.purge(nowMs - deps.retention().matchedMs, limit),
    // Last: what was just moved aside for a hold that has ended goes at once.
    deps.holds.purge,
  ]
  await leaveReceipt(deps, receipts)
  for (const purge of steps) {
    for (let rows = PURGE_STEP_ROWS; !signal.aborted; ) {
      const startMs = clock.monotonicMs()
      const step = await purge(clock.nowMs(), rows)
      const tookMs = clock.monotonicMs() - startMs
      receipts.add(step)
      for (const one of PURGE_CLASSES) {
        const count = step.deleted[one]?.length ?? 0
        total[one] += count
        if (count > 0) deps.metrics.purged(one, count)
      }
      if (receipts.rows >= RECEIPT_ROWS) await leaveReceipt(deps, receipts)
      if (step.isDone) break
      rows = nextStepRows(rows, tookMs)
      await clock.sleep(Math.max(STEP_PAUSE_MS, tookMs))
    }
  }
  await leaveReceipt(deps, receipts)
  const purged = PURGE_CLASSES.reduce((sum, one) => sum + total[one], 0)
  if (purged > 0) {
    // Deleted bytes stay readable in the log until it is truncated, whatever secure_delete says.
    await deps.database.truncateLog()
    deps.log.info('purged', { purged })
  }
  return total
}

async function leaveReceipt(deps: Pick<RetentionDeps, 'audit'>, receipts: Receipts): Promise<void> {
  const record = receipts.record()
  if (record === null) return
  await deps.audit.append({ ...record, outcome: 'allowed', actor: CLOUD_ACTOR })
  receipts.settled()
}

/** What else is due once a minute, one after the other; what fails is logged, and holds up neither the rest nor the purge. */
export function createUpkeep(steps: Readonly<Record<string, () => unknown>>, log: Log): () => Promise<void> {
  return async () => {
    for (const [operation, step] of Object.entries(steps)) {
      try {
        await step()
      } catch (thrown) {
        const error = toAppError(thrown)
        log.error('upkeep_failed', { operation, code: error.code, error: error.message })
      }
    }
  }
}

/** Purges at every interval until the signal aborts, and sends alerts that could not be published. A failure is logged and tried again at the next interval. */
export async function runRetention(deps: RetentionDeps, signal: AbortSignal): Promise<void> {
  const { clock, database } = deps
  const receipts = createReceipts()
  let failed = false
  // A purge of before this start may have left something behind.
  let isToSweep = true
  let sweepAtMs = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    await deps.upkeep()
    try {
      const purged = await purgeExpired(deps, signal, receipts)
      // The last purge may have deleted rows and not got to the log: a reader, such as a backup, was in the way.
      if (failed) await database.truncateLog()
      failed = false
      isToSweep ||= PURGE_CLASSES.some((one) => purged[one] > 0)
      // An alert whose publish failed, on a full disk perhaps, must not wait for the next alert.
      await deps.alerts.publishPending()
      if (isToSweep && clock.monotonicMs() >= sweepAtMs) {
        const startMs = clock.monotonicMs()
        const { pages } = await database.sweep(signal)
        const endMs = clock.monotonicMs()
        sweepAtMs = endMs + Math.max(SWEEP_INTERVAL_MS, SWEEP_REST * (endMs - startMs))
        isToSweep = false
        deps.log.debug('database_swept', { count: pages, durationMs: Math.round(endMs - startMs) })
      }
    } catch (thrown) {
      failed = true
      const error = toAppError(thrown)
      deps.log.error('purge_failed', { code: error.code, error: error.message })
    }
    await clock.sleep(PURGE_INTERVAL_MS, signal).catch(() => {})
  }
}

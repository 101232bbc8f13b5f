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
import type { ManualEntries } from './hotlists/manual.ts'
import type { Metrics } from './metrics.ts'
import type { Quarantine } from './quarantine.ts'
import type { Sessions } from './sessions.ts'
import type { Retention, Sightings } from './sightings.ts'

/** Rows of one kind deleted in one transaction; below 50 ms on a small server. */
export const PURGE_STEP_ROWS = 500
/** Between two purges. A row is invisible at once all the same. */
export const PURGE_INTERVAL_MS = MINUTE_MS
/** Pause between two steps, so that ingest's transactions come through. */
const STEP_PAUSE_MS = 5

export interface Purged {
  sightings: number
  crops: number
  alerts: number
  /** Sightings in the trails of alerts. */
  trail: number
  quarantine: number
  queue: number
  entries: number
}

export interface RetentionDeps {
  database: Database
  sightings: Sightings
  alerts: Alerts
  quarantine: Quarantine
  sessions: Sessions
  /** Entries made by hand: they hold plates and names, and are kept as matched sightings are, from their end on. */
  entries: Pick<ManualEntries, 'purge'>
  retention: () => Pick<Retention, 'matchedMs'>
  /** What else is due once a minute: log-ins and certificates that run out. */
  upkeep: () => Promise<void>
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  metrics: Metrics
  clock: Clock
  log: Log
}

/** Deletes everything that is past its retention now; stops early when the signal aborts. Returns what it deleted. */
export async function purgeExpired(deps: RetentionDeps, signal: AbortSignal): Promise<Purged> {
  const total: Purged = { sightings: 0, crops: 0, alerts: 0, trail: 0, quarantine: 0, queue: 0, entries: 0 }
  while (!signal.aborted) {
    const nowMs = deps.clock.nowMs()
    const { sightings, crops } = await deps.sightings.purge(nowMs, PURGE_STEP_ROWS)
    const { alerts, trail } = await deps.alerts.purge(nowMs, PURGE_STEP_ROWS)
    const quarantined = await deps.quarantine.purge(nowMs, PURGE_STEP_ROWS)
    const step: Purged = {
      sightings,
      crops,
      alerts,
      trail,
      quarantine: quarantined.expired + quarantined.overflow,
      queue: await deps.sessions.purge(PURGE_STEP_ROWS),
      entries: await deps.entries.purge(nowMs - deps.retention().matchedMs, PURGE_STEP_ROWS),
    }
    for (const key of PURGED_KEYS) {
      total[key] += step[key]
      if (step[key] > 0) deps.metrics.purged(key, step[key])
    }
    if (PURGED_KEYS.every((key) => step[key] < PURGE_STEP_ROWS)) break
    await deps.clock.sleep(STEP_PAUSE_MS)
  }
  if (PURGED_KEYS.some((key) => total[key] > 0)) {
    await deps.audit.append({
      operation: 'retention.purged',
      outcome: 'allowed',
      actor: CLOUD_ACTOR,
      detail: { ...total },
    })
    // Deleted bytes stay readable in the log until it is truncated, whatever secure_delete says.
    await deps.database.truncateLog()
    deps.log.info('purged', { purged: PURGED_KEYS.reduce((sum, key) => sum + total[key], 0) })
  }
  return total
}
const PURGED_KEYS = ['sightings', 'crops', 'alerts', 'trail', 'quarantine', 'queue', 'entries'] as const

/** Purges at every interval until the signal aborts, and sends alerts that could not be published. A failure is logged and tried again at the next interval. */
export async function runRetention(deps: RetentionDeps, signal: AbortSignal): Promise<void> {
  let failed = false
  while (!signal.aborted) {
    try {
      await deps.upkeep()
      // The last purge may have deleted rows and not got to the log: a reader, such as a backup, was in the way.
      if (failed) await deps.database.truncateLog()
      failed = false
      await purgeExpired(deps, signal)
      // An alert whose publish failed, on a full disk perhaps, must not wait for the next alert.
      await deps.alerts.publishPending()
    } catch (thrown) {
      failed = true
      const error = toAppError(thrown)
      deps.log.error('purge_failed', { code: error.code, error: error.message })
    }
    await deps.clock.sleep(PURGE_INTERVAL_MS, signal).catch(() => {})
  }
}

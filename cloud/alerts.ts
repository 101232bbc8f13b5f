/**
 * Alerts: raised by ingest in the transaction that stores the sighting, taken through their states by people, and published
 * whole at every change. What was committed and not yet published is published again at the next start, so none is lost.
 * Owns the tables alerts and alert_…, with the files of its folder.
 */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { ALERT_STATES, type Alert, type AlertOutcome, type AlertState, type AlertStep } from '../shared/wire/index.ts'
import { createEscalation } from './alerts/escalation.ts'
import { createGrouping, type PlannedAlerts, type SightingFound } from './alerts/grouping.ts'
import { createLeft, type GroupsOf } from './alerts/left.ts'
import { countOutcome } from './alerts/outcomes.ts'
import { alertPage } from './alerts/page.ts'
import { createPublishing } from './alerts/publishing.ts'
import { purgeAlerts } from './alerts/purge.ts'
import { ALERT_COLUMNS, createAlertRows } from './alerts/rows.ts'
import type { AlertRules } from './alerts/rules.ts'
import { type AlertActor, auditOf, planStep, suppressionOf } from './alerts/steps.ts'
import type { AuditRecord } from './audit/entry.ts'
import type { Database, Statement } from './database/database.ts'
import type { ListMatch, MatchedRead } from './hotlists.ts'
import type { PurgeStep } from './purge-receipt.ts'
import type { Retention, StoredSighting } from './sightings.ts'
import type { Suppressions } from './suppressions.ts'
import type { Webhooks } from './webhooks.ts'

/** Alerts of one page. */
export const MAX_ALERT_PAGE = 200
/** What is due by the clock is looked for at least this often: the clock may be set. */
const DUE_CHECK_MS = MINUTE_MS

export interface StepTaken {
  revision: number
  step: string
  account: string
  atMs: number
  auditSeq: number
  /** Of a closing: how, and for a misread what the plate says, null: it cannot be read. */
  outcome: AlertOutcome | null
  correctPlate: string | null
}

export interface Alerts {
  /** What a sighting of ingest does to alerts; nothing is changed before its statements are run. To be called within `exclusively`. */
  plan(found: SightingFound): Promise<PlannedAlerts>
  /** The alert of a new sighting that joins none, and the statements that store it. */
  raise(found: SightingFound & { match: ListMatch }): { alert: Alert; statements: Statement[] }
  /**
   * Runs `work` while no other change of an alert runs: between reading an alert and storing its next revision nobody else may.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T>
  /** Of one sighting, not of those that it only joined, expired or not: one, or one for each entry that its preview and its final met. */
  ofSighting(cameraId: string, sightingId: string): Promise<Alert[]>
  /** Newest first, of these groups, never an expired one. `before`: raised before that time (null: from the newest). */
  list(page: {
    groups: readonly string[]
    state: AlertState | 'open' | null
    beforeMs: number | null
    limit: number
  }): Promise<Alert[]>
  /** Throws `not_found` for an unknown, expired or other group's alert: whether it exists is not told. */
  get(alertId: string, groups: readonly string[]): Promise<{ alert: Alert; steps: StepTaken[] }>
  /** Takes the alert one step on. Throws `conflict` (changed since the revision that was seen, wrong order, plate typed is not the listed one), `not_found`. */
  step(alertId: string, step: AlertStep, by: AlertActor): Promise<Alert>
  /** Publishes every revision that was committed and not yet published, and what is held no longer; concurrent calls join. */
  publishPending(): Promise<void>
  /** Lets go what is held by somebody who may not work on it any more: disabled, or of other groups now. */
  releaseLeft(groupsOf: GroupsOf): Promise<void>
  /** Escalates what nobody has taken in time and publishes what quiet hours held back, when it is due, until the signal aborts. */
  runDue(signal: AbortSignal): Promise<void>
  /** Deletes at most `limit` expired alerts with their steps, and as many expired sightings of trails; what an evidence hold names is moved aside. */
  purge(nowMs: number, limit: number): Promise<PurgeStep>
}

export interface AlertsDeps {
  database: Database
  agency: string
  clock: Clock
  log: Log
  newId: () => string
  retention: () => Retention
  audit: { append(record: AuditRecord): Promise<{ seq: number }>; plateDigest(plate: string): string }
  suppressions: Pick<Suppressions, 'insert' | 'added' | 'endOf' | 'ended'>
  /** A sighting that is still kept, or null. */
  stored: (sightingId: string, cameraId: string) => Promise<StoredSighting | null>
  /** What the lists in force say of a read now. */
  currentMatch: (read: MatchedRead) => ListMatch | null
  rules: AlertRules
  /** Queues every published revision for other programs, in the transaction that marks it as published. */
  webhooks: Pick<Webhooks, 'queue'>
  /** Resolves when the broker has the alert in the queue of every subscribed session. */
  publish: (group: string, alert: Alert) => Promise<void>
}

export function createAlerts(deps: AlertsDeps): Alerts {
  const { database, clock } = deps
  const { build } = database
  const shownFromMs = () => clock.nowMs() - deps.retention().matchedMs
  const rows = createAlertRows({ database, shownFromMs })
  const grouping = createGrouping({ ...deps, rows })
  const publishing = createPublishing({ ...deps, rows })
  const escalation = createEscalation({ ...deps, rows, exclusively })
  const left = createLeft({ ...deps, rows, dueAt: escalation.dueAt, exclusively })
  const inProgress = new Set<string>()
  let lastChange: Promise<unknown> = Promise.resolve()
  let wake = () => {}

  function exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastChange.then(work, work)
    lastChange = turn.catch(() => {})
    return turn
  }

  async function find(alertId: string, groups: readonly string[]): Promise<Alert> {
    const [alert] = await rows.whole(
      await database.read(rows.visible().select(ALERT_COLUMNS).where('alert_id', '=', alertId)),
    )
    if (alert === undefined || !alert.groups.some((group) => groups.includes(group))) {
      throw new AppError('not_found', 'there is no such alert for your groups')
    }
    return alert
  }

  /** Published, and what has become due by it is looked at. A queue that cannot be written now is tried again within a minute. */
  function publishSoon(): void {
    publishing.publishPending().catch((thrown: unknown) => {
      deps.log.error('alerts_not_published', { error: toAppError(thrown).message })
    })
    wake()
  }

  async function nextDueMs(): Promise<number | null> {
    const due = [await escalation.nextDueMs(), await publishing.nextDueMs()].filter((one) => one !== null)
    return due.length === 0 ? null : Math.min(...due)
  }

  return {
    plan: grouping.plan,
    raise: grouping.raise,
    ofSighting: grouping.ofSighting,
    exclusively,
    async list({ groups, state, beforeMs, limit: most }) {
      if (groups.length === 0) return []
      const states = ALERT_STATES.filter((one) =>
        state === 'open' ? one !== 'closed' : state === null || one === state,
      )
      const asked = { groups, beforeMs, shownFromMs: shownFromMs() }
      const limit = Math.min(most, MAX_ALERT_PAGE)
      const page = await database.read(
        build
          .selectFrom('alerts')
          .select(ALERT_COLUMNS)
          .where(
            'alert_id',
            'in',
            build.selectFrom(alertPage(build, { ...asked, states, limit }).as('page')).select('alert_id'),
          )
          .orderBy('raised_at_ms', 'desc')
          .orderBy('alert_id', 'desc'),
      )
      return rows.whole(page)
    },
    async get(alertId, groups) {
      const alert = await find(alertId, groups)
      const steps = await database.read(
        build.selectFrom('alert_steps').selectAll().where('alert_id', '=', alertId).orderBy('revision'),
      )
      return {
        alert,
        steps: steps.map((row) => {
          const typed = JSON.parse(row.details) as Partial<AlertStep & { step: 'closed' }>
          return {
            ...{ revision: row.revision, step: row.step, account: row.account },
            ...{ atMs: row.at_ms, auditSeq: row.audit_seq },
            ...{ outcome: typed.outcome ?? null, correctPlate: typed.correctPlate ?? null },
          }
        }),
      }
    },
    async step(alertId, step, by) {
      if (inProgress.has(alertId)) {
        throw new AppError('conflict', 'somebody is taking a step on this alert right now', {
          hint: 'look at it again',
        })
      }
      inProgress.add(alertId)
      try {
        const alert = await find(alertId, by.groups)
        const record = auditOf(alert, step, by, deps.audit.plateDigest)
        try {
          planStep(alert, step, clock.nowMs(), by.account)
        } catch (thrown) {
          const rule = thrown instanceof AppError ? thrown.code : 'internal'
          await deps.audit.append({ ...record, outcome: 'refused', rule })
          throw thrown
        }
        const { seq } = await deps.audit.append(record)
        const cleared = suppressionOf(alert, step, by.account, clock.nowMs())
        const suppress = cleared === null ? [] : [deps.suppressions.insert(cleared)]
        if (step.step === 'taken_back') suppress.push(deps.suppressions.endOf(alertId))
        try {
          const changed = await exclusively(async () => {
            // The audit took time: its trail may have grown, which changes nothing of the step.
            const now = await find(alertId, by.groups)
            const after = planStep(now, step, clock.nowMs(), by.account)
            const taken = { step: step.step, account: by.account, auditSeq: seq, details: JSON.stringify(step) }
            const counted = countOutcome(build, now, after)
            const written = await database.writeBatch([
              ...counted,
              rows.insertStep(now, after, taken),
              rows.replace(after),
              rows.copyState(after),
              rows.escalateAt(after, escalation.dueAt(after, clock.nowMs())),
              ...suppress,
              ...(await grouping.raiseFromTrail(after, clock.nowMs())),
            ])
            if (written[counted.length + 1]?.changes !== 1)
              throw new AppError('conflict', 'the alert has changed meanwhile')
            return after
          })
          if (cleared !== null) deps.suppressions.added(cleared)
          if (step.step === 'taken_back') deps.suppressions.ended(alertId)
          publishSoon()
          return changed
        } catch (thrown) {
          // Written down as allowed and then not done: the audit must say so.
          const rule = thrown instanceof AppError ? thrown.code : 'internal'
          await deps.audit.append({ ...record, outcome: 'refused', rule, completes: seq })
          throw thrown
        }
      } finally {
        inProgress.delete(alertId)
      }
    },
    async publishPending() {
      await publishing.publishPending()
      wake()
    },
    async releaseLeft(groupsOf) {
      if ((await left.releaseLeft(groupsOf)) > 0) publishSoon()
    },
    async runDue(signal) {
      signal.addEventListener('abort', () => wake(), { once: true })
      while (!signal.aborted) {
        const woken = new AbortController()
        wake = () => woken.abort()
        let waitMs = DUE_CHECK_MS
        try {
          await escalation.escalateDue()
          await publishing.publishPending()
          const dueMs = await nextDueMs()
          if (dueMs !== null) waitMs = Math.min(waitMs, Math.max(1, dueMs - clock.nowMs()))
        } catch (thrown) {
          deps.log.error('alerts_not_escalated', { error: toAppError(thrown).message })
        }
        await clock.sleep(waitMs, woken.signal).catch(() => {})
      }
    },
    purge: (nowMs, limit) => purgeAlerts(database, deps.retention().matchedMs, nowMs, limit),
  }
}

/**
 * Alerts: raised by ingest in the transaction that stores the sighting, taken through their states by people, and published
 * whole at every change. What was committed and not yet published is published again at the next start, so none is lost.
 * Owns tables alerts, alert_groups and alert_steps.
 */
import type { Clock } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { ALERT_STATES, type Alert, type AlertState, type AlertStep, type Sighting } from '../shared/wire/index.ts'
import { describeMatch, describeSighting } from './alerts/document.ts'
import { alertPage } from './alerts/page.ts'
import { type AlertActor, auditOf, planStep, suppressionOf } from './alerts/steps.ts'
import type { AuditRecord } from './audit/entry.ts'
import type { Database, Statement } from './database/database.ts'
import type { ListMatch } from './hotlists.ts'
import { type Retention, timesOf } from './sightings.ts'
import type { Suppressions } from './suppressions.ts'
import type { Webhooks } from './webhooks.ts'

/** Alerts of one page. */
export const MAX_ALERT_PAGE = 200
/** Alerts published in one go; the rest follow at once. */
const PUBLISH_STEP = 100
const UNPUBLISHED = -1

export interface StepTaken {
  revision: number
  step: string
  account: string
  atMs: number
  auditSeq: number
}

export interface Alerts {
  /** The alert of a new sighting, and the statements that store it. */
  raise(found: { sighting: Sighting; receivedAtMs: number; match: ListMatch; isHistorical?: boolean }): {
    alert: Alert
    statements: Statement[]
  }
  /**
   * The alert updated by its sighting's final revision. `match` is of the alert's own entry, or null: the final no longer meets it.
   * The alert stays as open as it is, and is never about another entry than the one that people have looked at.
   */
  update(
    alert: Alert,
    found: { sighting: Sighting; receivedAtMs: number; match: ListMatch | null },
  ): {
    alert: Alert
    statements: Statement[]
  }
  /**
   * Runs `work` while no other change of an alert runs: between reading an alert and storing its next revision nobody else may.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T>
  /** Of one sighting, expired or not: one, or one for each entry that its preview and its final met. */
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
  /** Takes the alert one step on. Throws `conflict` (another revision, wrong order, plate typed is not the listed one), `not_found`. */
  step(alertId: string, step: AlertStep, by: AlertActor): Promise<Alert>
  /** Publishes every revision that was committed and not yet published; concurrent calls join. */
  publishPending(): Promise<void>
  /** Deletes at most `limit` expired alerts with their steps. */
  purge(nowMs: number, limit: number): Promise<number>
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
  /** Queues every published revision for other programs, in the transaction that marks it as published. */
  webhooks: Pick<Webhooks, 'queue'>
  /** Resolves when the broker has the alert in the queue of every subscribed session. */
  publish: (group: string, alert: Alert) => Promise<void>
}

export function createAlerts(deps: AlertsDeps): Alerts {
  const { database, clock } = deps
  const { build } = database
  const inProgress = new Set<string>()
  let lastChange: Promise<unknown> = Promise.resolve()
  let publishing: Promise<void> | null = null
  let again = false

  const visible = (nowMs: number) =>
    build.selectFrom('alerts').where('alerts.retained_from_ms', '>', nowMs - deps.retention().matchedMs)

  /** Stores a new revision over the one that was read; changes 0 rows when somebody was quicker. */
  const replace = (alert: Alert) =>
    build
      .updateTable('alerts')
      .set({ revision: alert.revision, state: alert.state, document: JSON.stringify(alert) })
      .where('alert_id', '=', alert.alertId)
      .where('revision', '=', alert.revision - 1)

  const insertGroups = (alert: Alert) =>
    alert.groups.map((group) =>
      build
        .insertInto('alert_groups')
        .values({
          alert_id: alert.alertId,
          group_name: group,
          state: alert.state,
          raised_at_ms: alert.raisedAtMs,
        })
        .onConflict((conflict) => conflict.columns(['alert_id', 'group_name']).doNothing()),
    )

  /** After `replace`, whether or not that found its revision. */
  const copyState = ({ alertId }: Alert) =>
    build
      .updateTable('alert_groups')
      .set(({ selectFrom }) => ({
        state: selectFrom('alerts')
          .select('alerts.state')
          .where('alerts.alert_id', '=', alertId)
          .$asScalar()
          .$notNull(),
      }))
      .where('alert_id', '=', alertId)

  const insertStep = (
    from: Alert,
    to: Alert,
    taken: { step: string; account: string; auditSeq: number; details: string },
  ) =>
    build
      .insertInto('alert_steps')
      .columns(['alert_id', 'revision', 'step', 'account', 'at_ms', 'audit_seq', 'details'])
      .expression((eb) =>
        eb
          .selectFrom('alerts')
          .select([
            'alert_id',
            eb.val(to.revision).as('revision'),
            eb.val(taken.step).as('step'),
            eb.val(taken.account).as('account'),
            eb.val(to.updatedAtMs).as('at_ms'),
            eb.val(taken.auditSeq).as('audit_seq'),
            eb.val(taken.details).as('details'),
          ])
          .where('alert_id', '=', from.alertId)
          .where('revision', '=', from.revision),
      )

  function exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastChange.then(work, work)
    lastChange = turn.catch(() => {})
    return turn
  }

  async function find(alertId: string, groups: readonly string[]): Promise<Alert> {
    const [row] = await database.read(visible(clock.nowMs()).select('document').where('alert_id', '=', alertId))
    const alert = row === undefined ? null : (JSON.parse(row.document) as Alert)
    if (alert === null || !alert.groups.some((group) => groups.includes(group))) {
      throw new AppError('not_found', 'there is no such alert for your groups')
    }
    return alert
  }

  async function publishAll(): Promise<void> {
    for (;;) {
      const rows = await database.read(
        build
          .selectFrom('alerts')
          .select(['alert_id', 'document', 'revision'])
          .whereRef('published_revision', '<', 'revision')
          .where('retained_from_ms', '>', clock.nowMs() - deps.retention().matchedMs)
          .orderBy('alert_id')
          .limit(PUBLISH_STEP),
      )
      if (rows.length === 0) return
      const published = rows.map((row) => JSON.parse(row.document) as Alert)
      // At once, so that they share a commit; in their order.
      await Promise.all(published.flatMap((alert) => alert.groups.map((group) => deps.publish(group, alert))))
      const queued = deps.webhooks.queue(published)
      const written = await database.writeBatch([
        ...queued.statements,
        ...rows.map((row) =>
          build
            .updateTable('alerts')
            .set({ published_revision: row.revision })
            .where('alert_id', '=', row.alert_id)
            .where('published_revision', '<', row.revision),
        ),
      ])
      queued.committed(written)
    }
  }

  return {
    raise({ sighting, receivedAtMs, match, isHistorical = false }) {
      const { retainedFromMs } = timesOf(sighting, receivedAtMs)
      const raisedAtMs = isHistorical ? clock.nowMs() : receivedAtMs
      const alert: Alert = {
        alertId: deps.newId(),
        agency: deps.agency,
        revision: 0,
        state: 'raised',
        outcome: null,
        groups: [...match.groups],
        historical: isHistorical,
        raisedAtMs,
        updatedAtMs: raisedAtMs,
        updatedBy: null,
        expiresAtMs: retainedFromMs + Math.floor(deps.retention().matchedMs),
        match: describeMatch(match, sighting),
        sighting: describeSighting(sighting, receivedAtMs),
      }
      const statements: Statement[] = [
        build.insertInto('alerts').values({
          alert_id: alert.alertId,
          camera_id: sighting.cameraId,
          sighting_id: sighting.sightingId,
          entry_id: match.entryId,
          revision: alert.revision,
          published_revision: UNPUBLISHED,
          state: alert.state,
          raised_at_ms: alert.raisedAtMs,
          retained_from_ms: retainedFromMs,
          document: JSON.stringify(alert),
        }),
        ...insertGroups(alert),
      ]
      return { alert, statements }
    },
    update(alert, { sighting, receivedAtMs, match }) {
      const read = sighting.plate
      const updated: Alert = {
        ...alert,
        revision: alert.revision + 1,
        updatedAtMs: receivedAtMs,
        updatedBy: null,
        groups: [...new Set([...alert.groups, ...(match?.groups ?? [])])],
        match: match === null ? { ...alert.match, stillMatches: false } : describeMatch(match, sighting),
        // A final without a readable plate keeps the text of the preview: the alert is about that read.
        sighting: { ...describeSighting(sighting, receivedAtMs), plate: read ?? alert.sighting.plate },
      }
      return { alert: updated, statements: [replace(updated), ...insertGroups(updated)] }
    },
    exclusively,
    async ofSighting(cameraId, sightingId) {
      const rows = await database.read(
        build
          .selectFrom('alerts')
          .select('document')
          .where('camera_id', '=', cameraId)
          .where('sighting_id', '=', sightingId),
      )
      return rows.map((row) => JSON.parse(row.document) as Alert)
    },
    async list({ groups, state, beforeMs, limit: most }) {
      if (groups.length === 0) return []
      const states = ALERT_STATES.filter((one) =>
        state === 'open' ? one !== 'closed' : state === null || one === state,
      )
      const asked = { groups, beforeMs, shownFromMs: clock.nowMs() - deps.retention().matchedMs }
      const limit = Math.min(most, MAX_ALERT_PAGE)
      const rows = await database.read(
        build
          .selectFrom('alerts')
          .select('document')
          .where(
            'alert_id',
            'in',
            build.selectFrom(alertPage(build, { ...asked, states, limit }).as('page')).select('alert_id'),
          )
          .orderBy('raised_at_ms', 'desc')
          .orderBy('alert_id', 'desc'),
      )
      return rows.map((row) => JSON.parse(row.document) as Alert)
    },
    async get(alertId, groups) {
      const alert = await find(alertId, groups)
      const steps = await database.read(
        build.selectFrom('alert_steps').selectAll().where('alert_id', '=', alertId).orderBy('revision'),
      )
      return {
        alert,
        steps: steps.map((row) => ({
          revision: row.revision,
          step: row.step,
          account: row.account,
          atMs: row.at_ms,
          auditSeq: row.audit_seq,
        })),
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
        let changed: Alert
        try {
          changed = planStep(alert, step, clock.nowMs(), by.account)
        } catch (thrown) {
          const rule = thrown instanceof AppError ? thrown.code : 'internal'
          await deps.audit.append({ ...record, outcome: 'refused', rule })
          throw thrown
        }
        const { seq } = await deps.audit.append(record)
        // The step is stored only if the alert is still the one that was read; the audit above took time.
        const taken = { step: step.step, account: by.account, auditSeq: seq, details: JSON.stringify(step) }
        const cleared = suppressionOf(alert, step, by.account, clock.nowMs())
        const suppress = cleared === null ? [] : [deps.suppressions.insert(cleared)]
        if (step.step === 'taken_back') suppress.push(deps.suppressions.endOf(alertId))
        try {
          const [, replaced] = await exclusively(() =>
            database.writeBatch([insertStep(alert, changed, taken), replace(changed), copyState(changed), ...suppress]),
          )
          if (replaced?.changes !== 1) {
            // Its sighting's final came between reading and writing; the person must see that first.
            throw new AppError('conflict', 'the alert has changed meanwhile', {
              hint: 'look at it again, then repeat the step',
            })
          }
          if (cleared !== null) deps.suppressions.added(cleared)
          if (step.step === 'taken_back') deps.suppressions.ended(alertId)
        } catch (thrown) {
          // Written down as allowed and then not done: the audit must say so.
          const rule = thrown instanceof AppError ? thrown.code : 'internal'
          await deps.audit.append({ ...record, outcome: 'refused', rule, completes: seq })
          throw thrown
        }
        // The step is taken; a queue that cannot be written now is tried again within a minute.
        this.publishPending().catch((thrown: unknown) => {
          deps.log.error('alerts_not_published', { error: toAppError(thrown).message })
        })
        return changed
      } finally {
        inProgress.delete(alertId)
      }
    },
    publishPending() {
      if (publishing !== null) {
        again = true
        return publishing
      }
      const run = async () => {
        try {
          do {
            again = false
            await publishAll()
          } while (again)
        } finally {
          publishing = null
        }
      }
      publishing = run()
      return publishing
    },
    async purge(nowMs, limit) {
      const [deleted] = await database.writeBatch([
        build.deleteFrom('alerts').where(
          'alert_id',
          'in',
          build
            .selectFrom('alerts')
            .select('alert_id')
            .where('retained_from_ms', '<=', nowMs - deps.retention().matchedMs)
            .limit(limit),
        ),
      ])
      return deleted?.changes ?? 0
    },
  }
}

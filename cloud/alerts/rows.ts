/**
 * Alerts as rows: the statements that store them, and the one way to read them, whole and without what is past its retention.
 * Called by the other files here.
 */
import type { Alert, TrailElement } from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { AlertSightingsTable, AlertsTable } from '../database/schema.ts'

/** Of an alert, what its document needs beside other tables. */
export type AlertRow = Pick<AlertsTable, 'alert_id' | 'document'> & { sightings: number }
export const ALERT_COLUMNS = ['alerts.alert_id', 'alerts.document', 'alerts.sightings'] as const

export interface AlertRows {
  /** Alerts within their retention. */
  visible(): ReturnType<typeof visibleAlerts>
  /** In the order of the rows, each with its trail and who it is held for. */
  whole(rows: readonly AlertRow[]): Promise<Alert[]>
  insert(alert: Alert, own: { retainedFromMs: number; escalateAtMs: number | null }): Statement[]
  /** Stores a new revision over the one that was read; changes 0 rows when somebody was quicker. */
  replace(alert: Alert): Statement
  insertGroups(alert: Alert): Statement[]
  /** After `replace`, whether or not that found its revision. */
  copyState(alert: Alert): Statement
  insertStep(
    from: Alert,
    to: Alert,
    taken: { step: string; account: string; auditSeq: number; details: string },
  ): Statement
  /** When nobody's taking it is to be told to others; null: not any more. */
  escalateAt(alert: Alert, atMs: number | null): Statement
}

const visibleAlerts = (build: Database['build'], shownFromMs: number) =>
  build.selectFrom('alerts').where('alerts.retained_from_ms', '>', shownFromMs)

export function createAlertRows(deps: {
  database: Database
  /** Of what began to be retained at this time or before, nothing is shown any more. */
  shownFromMs: () => number
}): AlertRows {
  const { database, shownFromMs } = deps
  const { build } = database

  async function trails(alertIds: readonly string[]): Promise<Map<string, TrailElement[]>> {
    const rows = await database.read(
      build
        .selectFrom('alert_sightings')
        .selectAll()
        .where('alert_id', 'in', alertIds)
        // A literal, as in the index.
        .where('shown', '=', (eb) => eb.lit(1))
        .where('retained_from_ms', '>', shownFromMs())
        .orderBy('seen_at_ms'),
    )
    const found = new Map<string, TrailElement[]>()
    for (const row of rows) {
      const trail = found.get(row.alert_id) ?? []
      trail.push(toElement(row))
      found.set(row.alert_id, trail)
    }
    return found
  }

  async function holds(alertIds: readonly string[]): Promise<Map<string, Alert['heldFor']>> {
    const rows = await database.read(
      build
        .selectFrom('alert_groups')
        .select(['alert_id', 'group_name', 'held_until_ms'])
        .where('alert_id', 'in', alertIds)
        .where('push', 'in', ['held', 'listed']),
    )
    const found = new Map<string, Alert['heldFor']>()
    for (const { alert_id, group_name, held_until_ms } of rows) {
      found.set(alert_id, [...(found.get(alert_id) ?? []), { group: group_name, untilMs: held_until_ms }])
    }
    return found
  }

  return {
    visible: () => visibleAlerts(build, shownFromMs()),
    async whole(rows) {
      if (rows.length === 0) return []
      const alertIds = rows.map((row) => row.alert_id)
      const [trail, held] = [await trails(alertIds), await holds(alertIds)]
      return rows.map(({ alert_id, document, sightings }) => {
        const stored = JSON.parse(document) as Alert
        return {
          // Of alerts that are older than these fields.
          ...{ basisRevision: stored.revision, acknowledgedBy: null, acknowledgedAtMs: null, escalatedAtMs: null },
          ...stored,
          ...{ sightings, trail: trail.get(alert_id) ?? [], heldFor: held.get(alert_id) ?? [] },
        }
      })
    },
    insert: (alert, { retainedFromMs, escalateAtMs }) => [
      build.insertInto('alerts').values({
        alert_id: alert.alertId,
        camera_id: alert.sighting.cameraId,
        sighting_id: alert.sighting.sightingId,
        entry_id: alert.match.entryId,
        revision: alert.revision,
        published_revision: UNPUBLISHED,
        state: alert.state,
        raised_at_ms: alert.raisedAtMs,
        retained_from_ms: retainedFromMs,
        document: documentOf(alert),
        list: alert.match.list,
        match_kind: kindOf(alert),
        raised_kind: alert.match.kind,
        first_seen_at_ms: alert.sighting.seenAtMs,
        last_seen_at_ms: alert.sighting.seenAtMs,
        escalate_at_ms: escalateAtMs,
        holder: alert.acknowledgedBy,
      }),
      ...insertGroups(build, alert),
    ],
    replace: (alert) =>
      build
        .updateTable('alerts')
        .set({
          revision: alert.revision,
          state: alert.state,
          match_kind: kindOf(alert),
          document: documentOf(alert),
          holder: alert.acknowledgedBy,
        })
        .where('alert_id', '=', alert.alertId)
        .where('revision', '=', alert.revision - 1),
    insertGroups: (alert) => insertGroups(build, alert),
    copyState: ({ alertId }) =>
      build
        .updateTable('alert_groups')
        .set(({ selectFrom }) => ({
          state: selectFrom('alerts')
            .select('alerts.state')
            .where('alerts.alert_id', '=', alertId)
            .$asScalar()
            .$notNull(),
        }))
        .where('alert_id', '=', alertId),
    insertStep: (from, to, taken) =>
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
        ),
    escalateAt: (alert, atMs) =>
      build
        .updateTable('alerts')
        .set({ escalate_at_ms: atMs })
        .where('alert_id', '=', alert.alertId)
        .where('revision', '=', alert.revision),
  }
}

const UNPUBLISHED = -1

/** What joins it depends on this. */
function kindOf({ historical, match }: Alert): string {
  return historical ? 'historical' : match.stillMatches ? match.kind : 'none'
}

/** Without what other tables tell. */
function documentOf({ trail: _trail, sightings: _sightings, heldFor: _heldFor, ...stored }: Alert): string {
  return JSON.stringify(stored)
}

function insertGroups(build: Database['build'], alert: Alert): Statement[] {
  return alert.groups.map((group) =>
    build
      .insertInto('alert_groups')
      .values({ alert_id: alert.alertId, group_name: group, state: alert.state, raised_at_ms: alert.raisedAtMs })
      .onConflict((conflict) => conflict.columns(['alert_id', 'group_name']).doNothing()),
  )
}

function toElement(row: AlertSightingsTable): TrailElement {
  return {
    cameraId: row.camera_id,
    sightingId: row.sighting_id,
    seenAtMs: row.seen_at_ms,
    receivedAtMs: row.received_at_ms,
    clock: row.clock_trusted === 1 ? 'synced' : 'unsynced',
    plate: row.plate,
    kind: row.kind as TrailElement['kind'],
    confidence: row.confidence,
    stillMatches: row.still_matches === 1,
  }
}

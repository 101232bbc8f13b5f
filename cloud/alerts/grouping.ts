/**
 * What a sighting does to alerts: it raises one, updates its own, or joins the open one of the same listed entry, so that a vehicle that
 * passes many cameras is one alert with a trail. What joined was compared by nobody and never changes an alert's state or its sighting.
 * Reads what is committed: ingest hands it one sighting of an entry a transaction. Called by alerts.ts.
 */
import { sql } from 'kysely'
import {
  type Alert,
  type AlertOutcome,
  MAX_ALERT_GROUPS,
  MAX_TRAIL,
  type Sighting,
  type TrailElement,
} from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { AlertSightingsTable } from '../database/schema.ts'
import type { ListMatch, MatchedRead } from '../hotlists.ts'
import { type Retention, type StoredSighting, timesOf } from '../sightings.ts'
import { describeMatch, describeSighting } from './document.ts'
import { countSighting } from './outcomes.ts'
import { ALERT_COLUMNS, type AlertRows } from './rows.ts'
import type { AlertRules } from './rules.ts'

export interface SightingFound {
  sighting: Sighting
  receivedAtMs: number
  /** The best entry of the lists in force; null: none. */
  match: ListMatch | null
  /** It was stored before the entry came onto the list. */
  isHistorical?: boolean
  /** Default: when it was received. */
  raisedAtMs?: number
}

/** What a sighting does to alerts, before it is decided that it is stored. */
export interface PlannedAlerts {
  /** The sighting belongs to an alert, new or not. */
  isAlerted: boolean
  statements: Statement[]
  /** Alerts that the statements change: planned by what is stored of them now. */
  alertIds: string[]
  /** Some alert has a new revision. */
  isToPublish: boolean
  raised: Alert | null
  /** It joined an open alert: as an element of its trail, or only counted. */
  joined: { alertId: string; isShown: boolean } | null
}

/** How an alert is closed whose picture shows another vehicle than the listed one. */
const OTHER_VEHICLE: readonly AlertOutcome[] = ['misread', 'wrong_jurisdiction']
/** Alerts that a sighting joins, by what raised them. */
const JOINS = { exact: ['exact'], near: ['exact', 'near'], wildcard: ['wildcard'] } as const
/** Open alerts of one pattern that are looked at for the same plate, the newest. */
export const MAX_OPEN_OF_PATTERN = 50

export interface GroupingDeps {
  database: Database
  agency: string
  /** A sighting that is still kept, or null. */
  stored: (sightingId: string, cameraId: string) => Promise<StoredSighting | null>
  /** What the lists in force say of a read now. */
  currentMatch: (read: MatchedRead) => ListMatch | null
  newId: () => string
  retention: () => Retention
  rows: AlertRows
  rules: Pick<AlertRules, 'grouping' | 'escalation'>
}

export function createGrouping({
  database,
  stored,
  currentMatch,
  agency,
  newId,
  retention,
  rows,
  rules,
}: GroupingDeps) {
  const { build } = database

  /** Alerts of the sighting itself, expired or not: one, or one for each entry that its preview and its final met. */
  async function ofSighting(cameraId: string, sightingId: string): Promise<Alert[]> {
    return rows.whole(
      await database.read(
        build
          .selectFrom('alerts')
          .select(ALERT_COLUMNS)
          .where('camera_id', '=', cameraId)
          .where('sighting_id', '=', sightingId),
      ),
    )
  }

  /** Rows by which the sighting belongs to alerts of others, each with its alert. */
  async function joinedBy({ cameraId, sightingId }: Sighting): Promise<{ row: AlertSightingsTable; alert: Alert }[]> {
    const own = await database.read(
      build
        .selectFrom('alert_sightings')
        .selectAll()
        .where('camera_id', '=', cameraId)
        .where('sighting_id', '=', sightingId),
    )
    if (own.length === 0) return []
    const ids = own.map((row) => row.alert_id)
    const found = await database.read(build.selectFrom('alerts').select(ALERT_COLUMNS).where('alert_id', 'in', ids))
    const alerts = new Map((await rows.whole(found)).map((alert) => [alert.alertId, alert]))
    return own.flatMap((row) => {
      const alert = alerts.get(row.alert_id)
      return alert === undefined ? [] : [{ row, alert }]
    })
  }

  function raise({ sighting, receivedAtMs, match, ...how }: SightingFound & { match: ListMatch }) {
    const { retainedFromMs } = timesOf(sighting, receivedAtMs)
    const { isHistorical = false, raisedAtMs = receivedAtMs } = how
    const alert: Alert = {
      alertId: newId(),
      agency,
      revision: 0,
      state: 'raised',
      outcome: null,
      groups: [...match.groups],
      historical: isHistorical,
      raisedAtMs,
      updatedAtMs: raisedAtMs,
      updatedBy: null,
      expiresAtMs: retainedFromMs + Math.floor(retention().matchedMs),
      ...{ basisRevision: 0, acknowledgedBy: null, acknowledgedAtMs: null, escalatedAtMs: null },
      ...{ heldFor: [], sightings: 1, trail: [] },
      match: describeMatch(match, sighting),
      sighting: describeSighting(sighting, receivedAtMs),
    }
    const escalation = rules.escalation(match.list, match.groups, match.priority)
    const escalateAtMs = escalation === null ? null : raisedAtMs + escalation.afterMs
    const counted = { atMs: raisedAtMs, cameraId: sighting.cameraId, list: match.list, kind: match.kind }
    const statements = [
      ...rows.insert(alert, { retainedFromMs, escalateAtMs }),
      countSighting(build, { ...counted, arisen: 'raised' }),
    ]
    return { alert, statements }
  }

  /**
   * The alert updated by its own sighting's final revision. `match` is of the alert's own entry, or null: the final no longer meets it.
   * The alert stays as open as it is, and is never about another entry than the one that people have looked at.
   */
  function update(alert: Alert, { sighting, receivedAtMs, match }: SightingFound): Statement[] {
    const revision = alert.revision + 1
    const updated: Alert = {
      ...alert,
      ...{ revision, basisRevision: revision, updatedAtMs: receivedAtMs, updatedBy: null },
      groups: withGroups(alert, match),
      match: match === null ? { ...alert.match, stillMatches: false } : describeMatch(match, sighting),
      // A final without a readable plate keeps the text of the preview: the alert is about that read.
      sighting: { ...describeSighting(sighting, receivedAtMs), plate: sighting.plate ?? alert.sighting.plate },
    }
    return [rows.replace(updated), ...rows.insertGroups(updated)]
  }

  const told = (alert: Alert, receivedAtMs: number, match: ListMatch | null): Alert => ({
    ...alert,
    ...{ revision: alert.revision + 1, updatedAtMs: receivedAtMs, updatedBy: null, groups: withGroups(alert, match) },
  })

  /** The final of a sighting that had joined changes its element in place. Only what people see of it makes a new revision. */
  function updateJoined(row: AlertSightingsTable, alert: Alert, { sighting, receivedAtMs, match }: SightingFound) {
    const now = {
      revision: sighting.revision,
      plate: sighting.plate ?? row.plate,
      kind: match?.kind ?? row.kind,
      confidence: sighting.confidence,
      still_matches: match === null ? (0 as const) : (1 as const),
    }
    const statements: Statement[] = [
      build
        .updateTable('alert_sightings')
        .set(now)
        .where('alert_id', '=', row.alert_id)
        .where('camera_id', '=', row.camera_id)
        .where('sighting_id', '=', row.sighting_id),
    ]
    const isChanged = now.plate !== row.plate || now.kind !== row.kind || now.still_matches !== row.still_matches
    const isToPublish = row.shown === 1 && isChanged
    if (isToPublish) statements.push(rows.replace(told(alert, receivedAtMs, null)))
    return { statements, isToPublish }
  }

  /**
   * The open alert that a sighting of the entry joins: seen within the window of its first or last one. An exact read does not join
   * an alert that a near one raised: that may be another vehicle's, and closing it would take the right one with it. A pattern means
   * more than one vehicle: only the same read joins. Nothing joins an alert of the past, for this is now.
   */
  async function openAlert(
    match: ListMatch,
    { plate, seenAtMs, receivedAtMs }: { plate: string | null; seenAtMs: number; receivedAtMs: number },
  ): Promise<Alert | null> {
    const { windowMs } = rules.grouping(match.list)
    if (windowMs === 0) return null
    const open = rows
      .visible()
      .select(ALERT_COLUMNS)
      .where('list', '=', match.list)
      .where('entry_id', '=', match.entryId)
      .where('match_kind', 'in', JOINS[match.kind])
      // A literal, as in the index.
      .where('state', '!=', sql.lit('closed'))
      .where('last_seen_at_ms', '>=', seenAtMs - windowMs)
      // One that is about to be forgotten would take what joins it along.
      .where('alerts.retained_from_ms', '>', receivedAtMs - retention().matchedMs + windowMs)
      .where('first_seen_at_ms', '<=', seenAtMs + windowMs)
      // exact before near
      .orderBy('match_kind')
      .orderBy('last_seen_at_ms', 'desc')
      .limit(match.kind === 'wildcard' ? MAX_OPEN_OF_PATTERN : 1)
    const found = await rows.whole(await database.read(open))
    return found.find(({ sighting }) => match.kind !== 'wildcard' || sighting.plate === plate) ?? null
  }

  function join(alert: Alert, { sighting, receivedAtMs, match }: SightingFound & { match: ListMatch }) {
    const { seenAtMs, retainedFromMs, clockTrusted } = timesOf(sighting, receivedAtMs)
    const { cameraId, sightingId } = sighting
    const { duplicateMs } = rules.grouping(match.list)
    const isDuplicate = [alert.sighting, ...alert.trail].some(
      (one) => one.cameraId === cameraId && Math.abs(one.seenAtMs - seenAtMs) < duplicateMs,
    )
    const [oldest] = alert.trail
    const isFull = alert.trail.length >= MAX_TRAIL
    const isShown = !isDuplicate && !(isFull && oldest !== undefined && oldest.seenAtMs >= seenAtMs)
    const statements: Statement[] = [
      build.insertInto('alert_sightings').values({
        ...{ alert_id: alert.alertId, camera_id: cameraId, sighting_id: sightingId, revision: sighting.revision },
        ...{ shown: isShown ? 1 : 0, clock_trusted: clockTrusted ? 1 : 0, still_matches: 1 },
        ...{ seen_at_ms: seenAtMs, received_at_ms: receivedAtMs, retained_from_ms: retainedFromMs },
        ...{ plate: sighting.plate ?? '', kind: match.kind, confidence: sighting.confidence },
      }),
      build
        .updateTable('alerts')
        .set((eb) => ({
          sightings: eb('sightings', '+', 1),
          first_seen_at_ms: eb.fn<number>('min', ['first_seen_at_ms', eb.val(seenAtMs)]),
          last_seen_at_ms: eb.fn<number>('max', ['last_seen_at_ms', eb.val(seenAtMs)]),
        }))
        .where('alert_id', '=', alert.alertId),
      countSighting(build, {
        ...{ atMs: receivedAtMs, cameraId, list: match.list, kind: match.kind },
        arisen: isDuplicate ? 'duplicate' : 'grouped',
      }),
    ]
    if (isShown && isFull && oldest !== undefined) {
      statements.push(
        build
          .updateTable('alert_sightings')
          .set({ shown: 0 })
          .where('alert_id', '=', alert.alertId)
          .where('camera_id', '=', oldest.cameraId)
          .where('sighting_id', '=', oldest.sightingId),
      )
    }
    if (isShown) {
      const longer = told(alert, receivedAtMs, match)
      statements.push(rows.replace(longer), ...rows.insertGroups(longer))
    }
    return { statements, isShown }
  }

  /**
   * An alert of a sighting of the trail, the newest of the first of these kinds that is still what the lists say and has none of its own.
   */
  async function raiseFrom(alert: Alert, kinds: readonly TrailElement['kind'][], raisedAtMs: number) {
    for (const kind of kinds) {
      for (const { cameraId, sightingId, ...one } of alert.trail.toReversed()) {
        // The same text as a near read that was a misread is the same misread.
        if (one.kind !== kind || !one.stillMatches || (kind !== 'exact' && one.plate === alert.sighting.plate)) continue
        const found = await stored(sightingId, cameraId)
        if (found === null || found.sighting.plate === null) continue
        const match = currentMatch({ ...found.sighting, plate: found.sighting.plate })
        if (match === null || match.suppressed || match.entryId !== alert.match.entryId) continue
        const own = await ofSighting(cameraId, sightingId)
        if (own.some((other) => other.match.entryId === match.entryId)) continue
        const { sighting, receivedAtMs } = found
        return raise({ sighting, receivedAtMs, match: { ...match, kind }, raisedAtMs }).statements
      }
    }
    return []
  }

  /**
   * When the picture that was compared turned out to be another vehicle's: what joined it was compared by nobody, and may be the listed
   * one. An exact read before a near one.
   */
  async function raiseFromTrail(alert: Alert, raisedAtMs: number): Promise<Statement[]> {
    if (alert.outcome === null || !OTHER_VEHICLE.includes(alert.outcome)) return []
    return raiseFrom(alert, ['exact', 'near', 'wildcard'], raisedAtMs)
  }

  return {
    ofSighting,
    raise,
    raiseFromTrail,
    async plan(found: SightingFound): Promise<PlannedAlerts> {
      const { sighting, match } = found
      const { cameraId, sightingId, revision } = sighting
      const own = await ofSighting(cameraId, sightingId)
      const joined = await joinedBy(sighting)
      const planned: PlannedAlerts = {
        ...{ isAlerted: own.length + joined.length > 0, isToPublish: false },
        ...{ statements: [], alertIds: [...own, ...joined.map(({ alert }) => alert)].map(({ alertId }) => alertId) },
        ...{ raised: null, joined: null },
      }
      // A late preview: the final has spoken.
      if (own.some((one) => revision < one.sighting.revision) || joined.some(({ row }) => revision < row.revision)) {
        return planned
      }
      const sameEntry = (alert: Alert) =>
        match?.entryId === alert.match.entryId && match.list === alert.match.list ? match : null
      for (const alert of own) {
        const now = sameEntry(alert)
        planned.statements.push(...update(alert, { ...found, match: now }))
        planned.isToPublish = true
        // It gathered exact reads while it was one itself.
        const wasExact = alert.match.kind === 'exact' && alert.match.stillMatches
        if (wasExact && now?.kind !== 'exact' && alert.state !== 'closed') {
          planned.statements.push(...(await raiseFrom(alert, ['exact'], found.receivedAtMs)))
        }
      }
      for (const { row, alert } of joined) {
        const updated = updateJoined(row, alert, { ...found, match: sameEntry(alert) })
        planned.statements.push(...updated.statements)
        planned.isToPublish ||= updated.isToPublish
      }
      // An exact final of a near read that had joined near ones is told by an alert of exact reads too.
      const isTold = ({ alert }: { alert: Alert }) => match?.kind !== 'exact' || alert.match.kind === 'exact'
      const told = [...own, ...joined.filter(isTold).map(({ alert }) => alert)]
      const isKnown = told.some((alert) => sameEntry(alert) !== null)
      if (match === null || match.suppressed || isKnown) return planned
      planned.isAlerted = true
      const { receivedAtMs } = found
      const { seenAtMs } = timesOf(sighting, receivedAtMs)
      const open = await openAlert(match, { plate: sighting.plate, seenAtMs, receivedAtMs })
      if (open === null) {
        const { alert, statements } = raise({ ...found, match })
        planned.raised = alert
        planned.isToPublish = true
        planned.statements.push(...statements)
      } else {
        const { statements, isShown } = join(open, { ...found, match })
        planned.joined = { alertId: open.alertId, isShown }
        planned.alertIds.push(open.alertId)
        planned.isToPublish ||= isShown
        planned.statements.push(...statements)
      }
      return planned
    },
  }
}

function withGroups(alert: Alert, match: ListMatch | null): string[] {
  return [...new Set([...alert.groups, ...(match?.groups ?? [])])].slice(0, MAX_ALERT_GROUPS)
}

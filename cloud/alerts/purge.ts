/** Deletes alerts that are past their retention, their trails before them; what is held is moved aside. Called by retention.ts by way of alerts.ts. */
import { type SqlBool, sql } from 'kysely'
import { sha256Hex } from '../../shared/signing.ts'
import type { Database } from '../database/database.ts'
import { keepAlerts } from '../holds/keeping.ts'
import type { PurgeStep } from '../purge-receipt.ts'

const ELEMENT = ['alert_id', 'camera_id', 'sighting_id', 'retained_from_ms'] as const

interface Element {
  alert_id: string
  camera_id: string
  sighting_id: string
  retained_from_ms: number
}

interface PurgedAlert {
  alert_id: string
  document: string
  retained_from_ms: number
  kept: 0 | 1
}

/** At most `limit` alerts with their steps, and as many sightings of trails. */
export async function purgeAlerts(
  database: Database,
  keptMs: number,
  nowMs: number,
  limit: number,
): Promise<PurgeStep> {
  const { build } = database
  const endedMs = nowMs - keptMs
  const expired = build
    .selectFrom('alerts')
    .select('alert_id')
    .where('retained_from_ms', '<=', endedMs)
    // Its trail first, in steps of its own: deleting an alert deletes what hangs on it.
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('alert_sightings')
            .select('alert_sightings.alert_id')
            .whereRef('alert_sightings.alert_id', '=', 'alerts.alert_id'),
        ),
      ),
    )
    .orderBy('retained_from_ms')
    .limit(limit)
  const onPage = sql<SqlBool>`alert_id in ${expired}`
  const { keep, mayGo, wasKept } = keepAlerts(build, onPage, nowMs)
  const written = await database.writeBatch([
    build
      .deleteFrom('alert_sightings')
      .where((where) =>
        where(
          where.refTuple('alert_id', 'camera_id', 'sighting_id'),
          'in',
          build
            .selectFrom('alert_sightings')
            .select(['alert_id', 'camera_id', 'sighting_id'])
            .where('retained_from_ms', '<=', endedMs)
            .limit(limit)
            .$asTuple('alert_id', 'camera_id', 'sighting_id'),
        ),
      )
      .returning(ELEMENT),
    build
      .deleteFrom('alert_sightings')
      .where((where) =>
        where(
          where.refTuple('alert_id', 'camera_id', 'sighting_id'),
          'in',
          build
            .selectFrom('alert_sightings')
            .innerJoin('alerts', 'alerts.alert_id', 'alert_sightings.alert_id')
            .select(['alert_sightings.alert_id', 'alert_sightings.camera_id', 'alert_sightings.sighting_id'])
            .where('alerts.retained_from_ms', '<=', endedMs)
            .limit(limit)
            .$asTuple('alert_id', 'camera_id', 'sighting_id'),
        ),
      )
      .returning(ELEMENT),
    keep,
    build
      .deleteFrom('alerts')
      .where(onPage)
      .where(mayGo)
      .returning(['alert_id', 'document', 'retained_from_ms', wasKept.as('kept')]),
  ])
  const trails = [written[0]?.rows ?? [], written[1]?.rows ?? []] as Element[][]
  const alerts = (written[3]?.rows ?? []) as PurgedAlert[]
  return {
    deleted: {
      trail: trails.flat().map((row) => ({
        id: `${row.alert_id}/${row.camera_id}/${row.sighting_id}`,
        // The sighting itself has one; this row says little more than its plate.
        sha256: null,
        retainedFromMs: row.retained_from_ms,
      })),
      alerts: alerts
        .filter(({ kept }) => kept === 0)
        .map((row) => ({
          id: row.alert_id,
          sha256: sha256Hex(Buffer.from(row.document)),
          retainedFromMs: row.retained_from_ms,
        })),
    },
    // What belonged to expired alerts keeps the purge going until those can follow.
    isDone: [...trails, alerts].every(({ length }) => length < limit),
  }
}

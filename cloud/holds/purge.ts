/** Deletes what was kept for holds that are over, unless another hold names it too, and those holds. Called by retention.ts by way of holds.ts. */
import { type SqlBool, sql } from 'kysely'
import { sha256Hex } from '../../shared/signing.ts'
import type { Database } from '../database/database.ts'
import type { HeldAlertsTable, HeldCropsTable, HeldSightingsTable } from '../database/schema-holds.ts'
import type { PurgeStep } from '../purge-receipt.ts'

/** At most `limit` sightings and alerts of one hold. */
export async function purgeEnded(database: Database, nowMs: number, limit: number): Promise<PurgeStep> {
  const { build } = database
  const [ended] = await database.read(
    build.selectFrom('holds').select('hold_id').where('until_ms', '<=', nowMs).orderBy('until_ms').limit(1),
  )
  if (ended === undefined) return { deleted: {}, isDone: true }
  const { hold_id } = ended
  const namedPage = build
    .selectFrom('hold_sightings')
    .select(['sighting_id', 'camera_id'])
    .where('hold_id', '=', hold_id)
    .orderBy('sighting_id')
    .orderBy('camera_id')
    .limit(limit)
  const alertPage = build
    .selectFrom('hold_alerts')
    .select('alert_id')
    .where('hold_id', '=', hold_id)
    .orderBy('alert_id')
    .limit(limit)
  const named = sql<SqlBool>`(sighting_id, camera_id) in ${namedPage}`
  const namedAlert = sql<SqlBool>`alert_id in ${alertPage}`
  const stillNamed = (table: 'held_sightings' | 'held_crops') => sql<SqlBool>`not exists (
    select 1 from hold_sightings as other join holds on holds.hold_id = other.hold_id
    where other.sighting_id = ${sql.ref(`${table}.sighting_id`)} and other.camera_id = ${sql.ref(`${table}.camera_id`)}
      and holds.until_ms > ${nowMs})`
  const written = await database.writeBatch([
    build
      .deleteFrom('held_sightings')
      .where(named)
      .where(stillNamed('held_sightings'))
      .returning(['camera_id', 'sighting_id', 'revision', 'payload_sha256', 'retained_from_ms']),
    build
      .deleteFrom('held_crops')
      .where(named)
      .where(stillNamed('held_crops'))
      .returning(['camera_id', 'sighting_id', 'sha256', 'retained_from_ms']),
    build
      .deleteFrom('held_alerts')
      .where(namedAlert)
      .where(
        sql<SqlBool>`not exists (select 1 from hold_alerts as other join holds on holds.hold_id = other.hold_id
          where other.alert_id = held_alerts.alert_id and holds.until_ms > ${nowMs})`,
      )
      .returning(['alert_id', 'document', 'retained_from_ms']),
    build.deleteFrom('hold_sightings').where('hold_id', '=', hold_id).where(named),
    build.deleteFrom('hold_alerts').where('hold_id', '=', hold_id).where(namedAlert),
    build
      .deleteFrom('holds')
      .where('hold_id', '=', hold_id)
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('hold_sightings').select('camera_id').where('hold_id', '=', hold_id))),
      )
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('hold_alerts').select('alert_id').where('hold_id', '=', hold_id))),
      ),
  ])
  const sightings = (written[0]?.rows ?? []) as HeldSightingsTable[]
  const crops = (written[1]?.rows ?? []) as HeldCropsTable[]
  const alerts = (written[2]?.rows ?? []) as HeldAlertsTable[]
  return {
    deleted: {
      held: [
        ...sightings.map((row) => ({
          id: `${row.camera_id}/${row.sighting_id}/${row.revision}`,
          sha256: row.payload_sha256,
          retainedFromMs: row.retained_from_ms,
        })),
        ...crops.map((row) => ({
          id: `${row.camera_id}/${row.sighting_id}/${row.sha256}`,
          sha256: row.sha256,
          retainedFromMs: row.retained_from_ms,
        })),
        ...alerts.map((row) => ({
          id: row.alert_id,
          sha256: sha256Hex(Buffer.from(row.document)),
          retainedFromMs: row.retained_from_ms,
        })),
      ],
    },
    // The next step looks for another hold that is over.
    isDone: false,
  }
}

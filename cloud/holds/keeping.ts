/**
 * What an evidence hold names is moved aside by the purge that would delete it, in the same transaction: statements and conditions for
 * the purges of sightings.ts and alerts.ts, which thereby stay the only ones that decide when a row's own retention is over.
 */
import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Database, Statement } from '../database/database.ts'

const SIGHTING = [
  'camera_id',
  'sighting_id',
  'revision',
  'payload_sha256',
  'seen_at_ms',
  'received_at_ms',
  'retained_from_ms',
  'clock_trusted',
  'matched',
  'document',
] as const
const CROP = ['camera_id', 'sighting_id', 'sha256', 'jpeg', 'received_at_ms', 'retained_from_ms'] as const

/** How a purge spares what is held. */
export interface Keeping {
  /** Moves aside what of the page is held; to run before the delete. */
  keep: Statement
  /** Of a row of the page: it is not held, or was moved aside. A page that changed between the two deletes nothing that is held. */
  mayGo: Expression<SqlBool>
  /** Of a deleted row: 1 when it was moved aside. */
  wasKept: RawBuilder<0 | 1>
}

/** A hold in force names the sighting of the row of this table. */
export const namesSighting = (table: 'sightings' | 'crops', nowMs: number) => sql<SqlBool>`exists (
  select 1 from hold_sightings join holds on holds.hold_id = hold_sightings.hold_id
  where hold_sightings.sighting_id = ${sql.ref(`${table}.sighting_id`)} and hold_sightings.camera_id = ${sql.ref(`${table}.camera_id`)}
    and holds.until_ms > ${nowMs})`

/** `page`: which rows of sightings are about to be deleted. */
export function keepSightings(build: Database['build'], page: Expression<SqlBool>, nowMs: number): Keeping {
  const held = namesSighting('sightings', nowMs)
  const kept = sql<0 | 1>`exists (select 1 from held_sightings where held_sightings.sighting_id = sightings.sighting_id
    and held_sightings.camera_id = sightings.camera_id and held_sightings.revision = sightings.revision)`
  return {
    keep: build
      .insertInto('held_sightings')
      .columns([...SIGHTING])
      .expression(build.selectFrom('sightings').select(SIGHTING).where(page).where(held))
      .onConflict((conflict) => conflict.doNothing()),
    mayGo: sql<SqlBool>`(${kept} or not ${held})`,
    wasKept: kept,
  }
}

/** `page`: which rows of crops are about to be deleted. */
export function keepCrops(build: Database['build'], page: Expression<SqlBool>, nowMs: number): Keeping {
  const held = namesSighting('crops', nowMs)
  const kept = sql<0 | 1>`exists (select 1 from held_crops where held_crops.sighting_id = crops.sighting_id
    and held_crops.camera_id = crops.camera_id and held_crops.sha256 = crops.sha256)`
  return {
    keep: build
      .insertInto('held_crops')
      .columns([...CROP])
      .expression(build.selectFrom('crops').select(CROP).where(page).where(held))
      .onConflict((conflict) => conflict.doNothing()),
    mayGo: sql<SqlBool>`(${kept} or not ${held})`,
    wasKept: kept,
  }
}

/** `page`: which rows of alerts are about to be deleted, with their steps. */
export function keepAlerts(build: Database['build'], page: Expression<SqlBool>, nowMs: number): Keeping {
  const held = sql<SqlBool>`exists (
    select 1 from hold_alerts join holds on holds.hold_id = hold_alerts.hold_id
    where hold_alerts.alert_id = alerts.alert_id and holds.until_ms > ${nowMs})`
  const kept = sql<0 | 1>`exists (select 1 from held_alerts where held_alerts.alert_id = alerts.alert_id)`
  return {
    keep: build
      .insertInto('held_alerts')
      .columns(['alert_id', 'retained_from_ms', 'document', 'steps'])
      .expression(
        build
          .selectFrom('alerts')
          .select(['alert_id', 'retained_from_ms', 'document', STEPS.as('steps')])
          .where(page)
          .where(held),
      )
      .onConflict((conflict) => conflict.doNothing()),
    mayGo: sql<SqlBool>`(${kept} or not ${held})`,
    wasKept: kept,
  }
}

/** The steps of an alert in their order, as JSON. */
export const STEPS = sql<string>`(
  select json_group_array(json_object('revision', revision, 'step', step, 'account', account, 'at_ms', at_ms,
    'audit_seq', audit_seq, 'details', details) order by alert_steps.revision)
  from alert_steps where alert_steps.alert_id = alerts.alert_id)`

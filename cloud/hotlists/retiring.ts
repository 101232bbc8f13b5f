/**
 * Versions that have had their time: their rows go step by step, then their manifests, and in the end what is left of them. Writes the tables
 * that hotlists.ts owns. Called by rows.ts.
 */
import { sql } from 'kysely'
import type { Clock } from '../../shared/clock.ts'
import type { Database } from '../database/database.ts'
import { ROWS_PER_STEP } from './reading.ts'

/** Versions whose rows are kept: the current one and those that can be rolled back to. */
export const KEPT_VERSIONS = 3
/** Versions of which is known that there were such; more than a status lists. */
export const KNOWN_VERSIONS = 100
/** Deleted in one turn of the event loop: of a cloud of before there may be thousands. About 10 ms. */
const FORGOTTEN_PER_STEP = 100
/** The condition of the partial index, word for word: only so is it used. */
export const HAS_ROWS = sql<boolean>`state IN ('staging', 'pending', 'ready', 'retiring')`
/** As `HAS_ROWS`: of such a version something is still retained by the broker. */
export const IS_RETAINED = sql<boolean>`(chunks_retained > 0 OR delta_chunks_retained > 0)`

export function createRetiring({ database, clock }: { database: Database; clock: Clock }) {
  const { build } = database

  async function deleteRows(list: string, version: number): Promise<void> {
    for (;;) {
      const page = build
        .selectFrom('hotlist_entries')
        .select('entry_id')
        .where('list', '=', list)
        .where('version', '=', version)
        .limit(ROWS_PER_STEP)
      const [deleted] = await database.writeBatch([
        build
          .deleteFrom('hotlist_entries')
          .where('list', '=', list)
          .where('version', '=', version)
          .where('entry_id', 'in', page),
      ])
      if ((deleted?.changes ?? 0) < ROWS_PER_STEP) return
      await clock.sleep(0)
    }
  }

  /** Of the versions up to the current one: the rows of those that are no longer kept, and those that need not be known any more. */
  async function retire(list: string, current: number): Promise<void> {
    const older = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select('version')
        .where('list', '=', list)
        .where(HAS_ROWS)
        .where('state', '=', 'ready')
        .where('version', '<=', current)
        .orderBy('version', 'desc')
        .offset(KEPT_VERSIONS)
        .limit(KEPT_VERSIONS),
    )
    for (const { version } of older) await dropRows(list, version)
    await forget(list, current)
  }

  /** Also goes on where the last run was cut short. */
  async function dropRows(list: string, version: number): Promise<void> {
    const mark = (set: { state: 'retiring' } | { state: 'retired'; manifest: null }) =>
      build.updateTable('hotlist_versions').set(set).where('list', '=', list).where('version', '=', version)
    // No longer kept before its first row goes, or who reads it meanwhile would take the missing ones for a difference.
    await database.writeBatch([mark({ state: 'retiring' })])
    await deleteRows(list, version)
    // Only of a version with rows is the manifest asked for; it is most of what is left.
    await database.writeBatch([mark({ state: 'retired', manifest: null })])
  }

  /** Never the highest number that was given: the current version is above all that goes. What is retained is still to be cleared. */
  async function forget(list: string, current: number): Promise<void> {
    const ofList = build.selectFrom('hotlist_versions').select('version').where('list', '=', list)
    const [last] = await database.read(
      ofList.where('version', '<=', current).orderBy('version', 'desc').offset(KNOWN_VERSIONS).limit(1),
    )
    if (last === undefined) return
    const page = ofList
      .where('version', '<=', last.version)
      .where('state', '=', 'retired')
      .where('chunks_retained', '=', 0)
      .where('delta_chunks_retained', '=', 0)
      .orderBy('version')
      .limit(FORGOTTEN_PER_STEP)
    for (;;) {
      const [deleted] = await database.writeBatch([
        build.deleteFrom('hotlist_versions').where('list', '=', list).where('version', 'in', page),
      ])
      if ((deleted?.changes ?? 0) < FORGOTTEN_PER_STEP) return
      await clock.sleep(0)
    }
  }

  return { deleteRows, dropRows, retire }
}

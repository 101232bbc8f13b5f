/** Deletes sightings and crops that are past their retention, but for what is held, which is moved aside. Called by retention.ts by way of sightings.ts. */
import { type Expression, type SqlBool, sql } from 'kysely'
import { toAppError } from '../../shared/errors.ts'
import type { Database } from '../database/database.ts'
import { keepCrops, keepSightings, namesSighting } from '../holds/keeping.ts'
import type { Deleted, PurgeStep } from '../purge-receipt.ts'
import type { Retention } from '../sightings.ts'

/**
 * The oldest `limit` expired rows of each kind. A picture goes with its sighting, where that goes before it. Where there is no room to move
 * aside what is held, it stays where it is and others go: then there is room.
 */
export async function purgeSightings(
  database: Database,
  retention: Retention,
  nowMs: number,
  limit: number,
): Promise<PurgeStep> {
  try {
    return await purgePage(database, retention, nowMs, { limit, spareHeld: false })
  } catch (thrown) {
    if (toAppError(thrown).code !== 'storage_full') throw thrown
    const step = await purgePage(database, retention, nowMs, { limit, spareHeld: true })
    // Nothing but held rows is left: who wants them kept has to make room.
    if (Object.values(step.deleted).every((rows) => rows.length === 0)) throw thrown
    return { ...step, isDone: false }
  }
}

async function purgePage(
  database: Database,
  { unmatchedMs, matchedMs, cropMs }: Retention,
  nowMs: number,
  { limit, spareHeld }: { limit: number; spareHeld: boolean },
): Promise<PurgeStep> {
  const { build } = database
  /** A page without held rows has nothing to move aside. */
  const spared = <Rows extends { where(condition: Expression<SqlBool>): Rows }>(
    table: 'sightings' | 'crops',
    rows: Rows,
  ) => (spareHeld ? rows.where(sql<SqlBool>`not ${namesSighting(table, nowMs)}`) : rows)

  const sightings = (matched: 0 | 1, keptMs: number) => {
    const expired = build
      .selectFrom('sightings')
      .select(['camera_id', 'sighting_id', 'revision'])
      .where('matched', '=', matched)
      .where('retained_from_ms', '<=', nowMs - keptMs)
    const page = spared('sightings', expired).orderBy('retained_from_ms').limit(limit)
    const onPage = within(sql`(camera_id, sighting_id, revision)`, page)
    const { keep, mayGo, wasKept } = keepSightings(build, onPage, nowMs)
    const { orphans, orphansGo } = picturesOf(page)
    const remove = build
      .deleteFrom('sightings')
      .where(onPage)
      .where(mayGo)
      .returning(['camera_id', 'sighting_id', 'revision', 'payload_sha256', 'retained_from_ms', wasKept.as('kept')])
    return [orphans, orphansGo, keep, remove]
  }

  /** Of the page's sightings of which no revision is left to be seen. */
  function picturesOf(page: Expression<unknown>) {
    const left = sql<SqlBool>`exists (
      select 1 from sightings as left_one where left_one.camera_id = crops.camera_id and left_one.sighting_id = crops.sighting_id
        and left_one.retained_from_ms > ${nowMs} - case left_one.matched when 1 then ${matchedMs} else ${unmatchedMs} end)`
    const onPage = sql<SqlBool>`((camera_id, sighting_id) in (select camera_id, sighting_id from ${page}) and not ${left})`
    const { keep, mayGo, wasKept } = keepCrops(build, onPage, nowMs)
    const remove = build
      .deleteFrom('crops')
      .where(onPage)
      .where(mayGo)
      .returning(['camera_id', 'sighting_id', 'sha256', 'retained_from_ms', wasKept.as('kept')])
    return { orphans: keep, orphansGo: remove }
  }
  const expired = build
    .selectFrom('crops')
    .select(['camera_id', 'sighting_id', 'sha256'])
    .where('retained_from_ms', '<=', nowMs - cropMs)
  const page = spared('crops', expired).orderBy('retained_from_ms').limit(limit)
  const onPage = within(sql`(camera_id, sighting_id, sha256)`, page)
  const crops = keepCrops(build, onPage, nowMs)
  const removeCrops = build
    .deleteFrom('crops')
    .where(onPage)
    .where(crops.mayGo)
    .returning(['camera_id', 'sighting_id', 'sha256', 'retained_from_ms', crops.wasKept.as('kept')])

  const written = await database.writeBatch([
    ...sightings(0, unmatchedMs),
    ...sightings(1, matchedMs),
    crops.keep,
    removeCrops,
  ])
  const rowsOf = (at: number) => (written[at]?.rows ?? []) as PurgedRow[]
  const [unmatched, matched, pictures] = [rowsOf(3), rowsOf(7), rowsOf(9)] as const
  return {
    deleted: {
      unmatched: gone(unmatched),
      matched: gone(matched),
      crops: gone([...rowsOf(1), ...rowsOf(5), ...pictures]),
    },
    isDone: Math.max(unmatched.length, matched.length, pictures.length) < limit,
  }
}

interface PurgedRow {
  camera_id: string
  sighting_id: string
  revision?: number
  payload_sha256?: string
  sha256?: string
  retained_from_ms: number
  kept: 0 | 1
}

/** `camera/sighting/revision` and the payload's digest; of a crop `camera/sighting/sha256` and that. What was moved aside is not gone. */
function gone(rows: readonly PurgedRow[]): Deleted[] {
  return rows
    .filter((row) => row.kept === 0)
    .map((row) => ({
      id: `${row.camera_id}/${row.sighting_id}/${row.revision ?? row.sha256}`,
      sha256: row.payload_sha256 ?? row.sha256 ?? null,
      retainedFromMs: row.retained_from_ms,
    }))
}

const within = (key: Expression<unknown>, page: Expression<unknown>) => sql<SqlBool>`${key} in ${page}`

/**
 * The searches that crossed the border, by the number that each side's audit gave them: without them the two logs could not be laid side
 * by side. Holds nothing of what was asked. Knows each request's id, so that none is answered twice. Writes table shared_searches.
 */
import type { Database } from '../database/database.ts'
import type { SharedSearchesTable } from '../database/schema-sharing.ts'
import { MAX_RECORD_PAGE, type RecordRow } from './wire.ts'

/** Kept for 400 days: a year can be compared when it is over. */
export const RECORD_KEPT_DAYS = 400

export type Direction = RecordRow['direction']

export interface SharedRecord {
  /** false: that request is known. Its row is unfinished until `finish`. */
  begin(row: { partner: string; direction: Direction; requestId: string; theirSeq: number | null }): Promise<boolean>
  finish(
    key: { partner: string; direction: Direction; requestId: string },
    end: { ownSeq: number; theirSeq: number | null; outcome: string; results: number | null },
  ): Promise<void>
  find(partner: string, direction: Direction, requestId: string): Promise<RecordRow | null>
  /** Oldest first, at most MAX_RECORD_PAGE, behind `after`. */
  page(
    partner: string,
    window: { fromMs: number; toMs: number },
    after: { atMs: number; requestId: string } | null,
  ): Promise<RecordRow[]>
  /** Deletes at most `limit` rows from before `beforeMs`. */
  purge(beforeMs: number, limit: number): Promise<void>
}

export function createRecord({ database, clock }: { database: Database; clock: { nowMs(): number } }): SharedRecord {
  const { build } = database
  return {
    async begin({ partner, direction, requestId, theirSeq }) {
      const [written] = await database.writeBatch([
        build
          .insertInto('shared_searches')
          .values({
            partner,
            direction,
            request_id: requestId,
            own_seq: null,
            their_seq: theirSeq,
            at_ms: clock.nowMs(),
            outcome: 'unfinished',
            results: null,
          })
          .onConflict((conflict) => conflict.columns(['partner', 'direction', 'request_id']).doNothing()),
      ])
      return written?.changes === 1
    },
    async finish({ partner, direction, requestId }, { ownSeq, theirSeq, outcome, results }) {
      await database.writeBatch([
        build
          .updateTable('shared_searches')
          .set({ own_seq: ownSeq, their_seq: theirSeq, outcome, results })
          .where('partner', '=', partner)
          .where('direction', '=', direction)
          .where('request_id', '=', requestId),
      ])
    },
    async find(partner, direction, requestId) {
      const [row] = await database.read(
        build
          .selectFrom('shared_searches')
          .selectAll()
          .where('partner', '=', partner)
          .where('direction', '=', direction)
          .where('request_id', '=', requestId),
      )
      return row === undefined ? null : toRow(row)
    },
    async page(partner, { fromMs, toMs }, after) {
      let query = build
        .selectFrom('shared_searches')
        .selectAll()
        .where('partner', '=', partner)
        .where('at_ms', '<', toMs)
      query =
        after === null
          ? query.where('at_ms', '>=', fromMs)
          : query.where((eb) =>
              eb(eb.refTuple('at_ms', 'request_id'), '>', eb.tuple(Math.max(after.atMs, fromMs), after.requestId)),
            )
      const rows = await database.read(query.orderBy('at_ms').orderBy('request_id').limit(MAX_RECORD_PAGE))
      return rows.map(toRow)
    },
    async purge(beforeMs, limit) {
      const old = build
        .selectFrom('shared_searches')
        .select(['partner', 'direction', 'request_id'])
        .where('at_ms', '<', beforeMs)
        .limit(limit)
      await database.writeBatch([
        build
          .deleteFrom('shared_searches')
          .where((where) =>
            where(
              where.refTuple('partner', 'direction', 'request_id'),
              'in',
              old.$asTuple('partner', 'direction', 'request_id'),
            ),
          ),
      ])
    },
  }
}

function toRow(row: SharedSearchesTable): RecordRow {
  return {
    requestId: row.request_id,
    direction: row.direction as Direction,
    ownSeq: row.own_seq,
    theirSeq: row.their_seq,
    atMs: row.at_ms,
    outcome: row.outcome,
    results: row.results,
  }
}

/** A version's entries, read a step a turn of the event loop, in the order of their ids. Called by rows.ts. */
import type { Clock } from '../../shared/clock.ts'
import type { Database } from '../database/database.ts'
import type { HotlistEntriesTable } from '../database/schema-administration.ts'

/** Rows read, written or deleted in one turn of the event loop; about 10 ms. */
export const ROWS_PER_STEP = 500
/** What of an entry goes to cameras. */
const PACKED_COLUMNS = [
  'entry_id',
  'plate',
  'jurisdiction',
  'priority',
  'rule',
  'effective_at_ms',
  'expires_at_ms',
] as const
export type PackedRow = Pick<HotlistEntriesTable, (typeof PACKED_COLUMNS)[number]>

export function createReading({ database, clock }: { database: Database; clock: Pick<Clock, 'sleep'> }) {
  const stepOf = (list: string, version: number, after: string) =>
    database.build
      .selectFrom('hotlist_entries')
      .where('list', '=', list)
      .where('version', '=', version)
      .where('entry_id', '>', after)
      .orderBy('entry_id')
      .limit(ROWS_PER_STEP)

  async function* everyStep<Row extends { entry_id: string }>(read: (after: string) => Promise<Row[]>) {
    let after = ''
    for (;;) {
      const rows = await read(after)
      yield* rows
      const last = rows.at(-1)
      if (rows.length < ROWS_PER_STEP || last === undefined) return
      after = last.entry_id
      await clock.sleep(0)
    }
  }

  return {
    entriesOf: (list: string, version: number): AsyncGenerator<HotlistEntriesTable> =>
      everyStep((after) => database.read(stepOf(list, version, after).selectAll())),
    /** For half the cost. */
    packedOf: (list: string, version: number): AsyncGenerator<PackedRow> =>
      everyStep((after) => database.read(stepOf(list, version, after).select(PACKED_COLUMNS))),
  }
}

/**
 * What has become of rows that did not leave, counted over the life of the data folder, and how much of it the cloud was told. Used by
 * outbox.ts. Owns tables outbox_counters and outbox_reported.
 */
import { AppError } from '../../shared/errors.ts'
import { type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import { COUNTER_NAMES, type CounterName, type Gone, type prepareStatements } from './statements.ts'

/** From the opening of the outbox on, with what no process before it had reported. */
export interface OutboxCounters {
  /** Rows dropped to make room, or instead of more important ones. */
  evictedCrops: number
  /** Likewise; a preview and its final are two rows. */
  evictedSightings: number
  /** Rows past their retention, pictures among them. */
  expired: number
  /** Vehicles of which nothing was stored, because the disk was full or something else held the database. */
  lost: number
  /** Vehicles stored before policy became matches-only, and never sent. */
  withheld: number
}

export interface Counts {
  /** Within the caller's transaction. */
  add(name: CounterName, by: number): void
  /** Likewise, of rows that are being deleted: those in flight may have arrived, and count when they are `unacknowledged`. */
  gone(name: CounterName, rows: readonly Gone[]): void
  /** Forgets of which rows in flight `gone` has been told since: their transaction was rolled back. */
  mark(): () => void
  sent(rowId: number): void
  acknowledged(rowIds: readonly number[]): void
  unacknowledged(rowIds: readonly number[]): void
  /** In memory until the next `write`. */
  addLater(name: CounterName, by: number): void
  /** What is in memory goes to disk. Throws `storage_full`, `unavailable`: it is still in memory. */
  write(): void
  current(): OutboxCounters
  /**
   * What the cloud may be told: it is on disk that it is being told, so that the next process does not tell it again. While that cannot be
   * written, what was told before.
   */
  report(): OutboxCounters
}

const NOTHING: OutboxCounters = { evictedCrops: 0, evictedSightings: 0, expired: 0, lost: 0, withheld: 0 }

export function createCounts(database: SqliteDatabase, statements: ReturnType<typeof prepareStatements>): Counts {
  let unwritten = NOTHING
  const inFlight = new Set<number>()
  /** Rows that went while they were in flight. */
  let undecided: ReadonlyMap<number, CounterName> = new Map()
  const each = (numberOf: (name: CounterName) => number): OutboxCounters => ({
    ...NOTHING,
    ...Object.fromEntries(COUNTER_NAMES.map((name) => [name, numberOf(name)])),
  })
  const read = (statement: typeof statements.counters): OutboxCounters => ({
    ...NOTHING,
    ...Object.fromEntries(statement.all() as [CounterName, number][]),
  })
  const reportedBefore = read(statements.reported)
  let reported = reportedBefore

  function add(name: CounterName, by: number): void {
    if (by > 0) statements.count.run(by, name)
  }

  function transaction(run: () => void): void {
    try {
      database
        .transaction(() => {
          for (const name of COUNTER_NAMES) add(name, unwritten[name])
          run()
        })
        .immediate()
    } catch (thrown) {
      throw toStorageError(thrown, database.name)
    }
    unwritten = NOTHING
  }

  function addLater(name: CounterName, by: number): void {
    unwritten = { ...unwritten, [name]: unwritten[name] + by }
  }

  function land(rowIds: readonly number[]): void {
    for (const rowId of rowIds) inFlight.delete(rowId)
    if (undecided.size > 0) undecided = new Map([...undecided].filter(([rowId]) => inFlight.has(rowId)))
  }

  return {
    add,
    addLater,
    gone(name, rows) {
      const still = rows.filter(({ row_id }) => inFlight.has(row_id))
      add(name, rows.length - still.length)
      if (still.length > 0) undecided = new Map([...undecided, ...still.map(({ row_id }) => [row_id, name] as const)])
    },
    mark() {
      const before = undecided
      return () => {
        undecided = before
      }
    },
    sent(rowId) {
      inFlight.add(rowId)
    },
    acknowledged: land,
    unacknowledged(rowIds) {
      // In memory: the end of a connection is no time at which to wait for a disk.
      for (const rowId of rowIds) {
        const name = undecided.get(rowId)
        if (name !== undefined) addLater(name, 1)
      }
      land(rowIds)
    },
    write() {
      if (COUNTER_NAMES.some((name) => unwritten[name] > 0)) transaction(() => {})
    },
    current() {
      const stored = read(statements.counters)
      return each((name) => stored[name] + unwritten[name] - reportedBefore[name])
    },
    report() {
      const stored = read(statements.counters)
      const counted = each((name) => stored[name] + unwritten[name])
      try {
        if (COUNTER_NAMES.some((name) => counted[name] !== reported[name])) {
          transaction(() => statements.markReported.run())
          reported = counted
        }
      } catch (thrown) {
        // Rather late than twice: the next report tries again.
        if (!(thrown instanceof AppError) || (thrown.code !== 'storage_full' && thrown.code !== 'unavailable'))
          throw thrown
      }
      return each((name) => reported[name] - reportedBefore[name])
    },
  }
}

/**
 * The camera's only queue. A sighting exists from its commit here until the cloud's acknowledgement; the uplink reads `oldest`
 * and calls `remove` on PUBACK. Bounded by rows and bytes; what must be dropped is dropped in a stated order and counted in the
 * same transaction, but what was in flight then: that is counted when it is known not to have arrived. Owns table outbox and the reserve
 * file beside it.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { type SqliteDatabase, toStorageError } from '../../shared/sqlite.ts'
import { MAX_CROP_BYTES, MAX_SIGHTING_BYTES } from '../../shared/wire/index.ts'
import { type Counts, createCounts, type OutboxCounters } from './counts.ts'
import { LOG_ROOM_BYTES, makeReserve, openWithReserve, RESERVE_BYTES, reserveOf, useReserve } from './reserve.ts'
import { bindings, type Cutoffs, type Gone, isCrop, openTables, prepareStatements, RANK } from './statements.ts'

export type { Cutoffs, OutboxCounters }

/** Rows dropped to make room for one row on a full disk. */
const MAX_DROPPED_AT_ONCE = 64
/** With less than this waiting, new rows may use the reserve though they take the place of nothing. */
export const MOST_ON_RESERVE_BYTES = RESERVE_BYTES / 4
/** Vehicles whose preview is stored and whose final is awaited; of more, the oldest are forgotten. */
const MAX_PREVIEWS = 1_000

/** What one row costs beside its payload: its other columns and its share of index pages, bytes. */
export const ROW_OVERHEAD_BYTES = 256

export interface OutboxSighting {
  sightingId: string
  /** 0: a preview, to which a final with a higher one follows. */
  revision: number
  /** Also true for the final of a vehicle whose preview matched: it corrects an alert. */
  matched: boolean
  capturedAtMs: number
  clock: 'synced' | 'unsynced'
  payload: Uint8Array
}

export interface OutboxRow {
  rowId: number
  kind: 'sighting' | 'crop'
  matched: boolean
  sightingId: string
  payload: Buffer
}

/** What of it waits now; what does not was less important than all that waits, and was dropped at once and counted. */
export interface Stored {
  sighting: boolean
  crop: boolean
}

export interface Outbox {
  /**
   * Durable when it returns, in one transaction. Throws `too_large`, `storage_full`, `unavailable` (something else held the database for
   * BUSY_TIMEOUT_MS) and what a damaged database throws; but for `too_large` the vehicle is then counted as lost: with its final, and
   * unless its preview was stored.
   */
  put(sighting: OutboxSighting, crop: Uint8Array | null): Stored
  /** At most `limit` rows in the order of leaving. `setBack`: only rows that were set back, else only those that were not. */
  oldest(limit: number, exceptIds: ReadonlySet<number>, cutoffs: Cutoffs, setBack: boolean): OutboxRow[]
  /** It is in flight, until `remove` or `unacknowledged`. */
  sent(rowId: number): void
  /** These were acknowledged. One transaction. Throws `storage_full`, `unavailable`: the rows are still there. */
  remove(rowIds: readonly number[]): void
  /** These were sent, and the connection ended before their PUBACK. */
  unacknowledged(rowIds: readonly number[]): void
  /** The row and its sighting's others leave after all rows that were not set back. */
  setBack(rowId: number): void
  /** Deletes at most `limit` rows that may not leave any more; returns how many. */
  purge(cutoffs: Cutoffs, limit: number): number
  /** At most `limit` rows stored while the clock was wrong count their age from `nowMs`; returns how many. */
  restamp(nowMs: number, limit: number): number
  /** Bytes of deleted rows leave the disk; makes the reserve again if it was used. */
  checkpoint(): void
  readonly rows: number
  readonly bytes: number
  oldestBornAtMs(): number | null
  counters(): OutboxCounters
  /** The same, for the cloud: what is returned is on disk as reported, and no later process counts it again. */
  reportCounters(): OutboxCounters
  close(): void
}

export interface OutboxDeps {
  /** Database file; the reserve stands beside it. */
  file: string
  maxRows: number
  maxBytes: number
  /** Makes a row's bytes unreadable for whoever takes the card, ourselves after a restart included; without it they lie there as they are. */
  seal?: (kind: OutboxRow['kind'], sightingId: string, bytes: Uint8Array) => Uint8Array
  /** By which rows age: in a running camera not the wall clock but ClockState.agingMs. */
  clock: Pick<Clock, 'nowMs'>
  /** Ceiling on the database file, bytes; null: the disk decides. */
  maxFileBytes?: number | null
}

interface Cost {
  rows: number
  bytes: number
}

/** Also on a full disk, by its reserve. Throws `storage_full` where that does not do. */
export function openOutbox(deps: OutboxDeps): Outbox {
  const reserve = reserveOf(deps.file)
  const database = openWithReserve(reserve, () => openTables(deps.file, deps.maxFileBytes ?? null))
  return new SqliteOutbox(deps, database, reserve)
}

class SqliteOutbox implements Outbox {
  readonly #deps: OutboxDeps
  readonly #database: SqliteDatabase
  readonly #reserve: string
  readonly #statements: ReturnType<typeof prepareStatements>
  /** Kept in step with the table by every transaction, so that a put needs no count. */
  #held: Cost
  /** Bytes of a deleted row may still be in the log. True at first: an earlier run may have left some. */
  #hasDeleted = true
  readonly #counts: Counts
  /** Of what is lost later something is stored. */
  readonly #previews = new Set<string>()

  constructor(deps: OutboxDeps, database: SqliteDatabase, reserve: string) {
    this.#deps = deps
    this.#database = database
    this.#reserve = reserve
    this.#statements = prepareStatements(database)
    this.#counts = createCounts(database, this.#statements)
    this.#held = this.#total()
    this.#makeReserve()
  }

  get rows(): number {
    return this.#held.rows
  }

  get bytes(): number {
    return this.#held.bytes
  }

  put(sighting: OutboxSighting, crop: Uint8Array | null): Stored {
    if (sighting.payload.length > MAX_SIGHTING_BYTES) {
      throw new AppError('too_large', `a sighting of ${sighting.payload.length} bytes, at most ${MAX_SIGHTING_BYTES}`)
    }
    if (crop !== null && crop.length > MAX_CROP_BYTES) {
      throw new AppError('too_large', `a crop of ${crop.length} bytes, at most ${MAX_CROP_BYTES}`)
    }
    const hasPreview = this.#previews.delete(sighting.sightingId)
    try {
      const stored = this.#putSealed(sighting, crop)
      if (sighting.revision === 0 && stored.sighting) this.#awaitFinal(sighting.sightingId)
      return stored
    } catch (thrown) {
      if (sighting.revision > 0 && !hasPreview) this.#countLost(toStorageError(thrown).code === 'storage_full')
      throw thrown
    }
  }

  #putSealed(sighting: OutboxSighting, crop: Uint8Array | null): Stored {
    const seal = this.#deps.seal ?? ((_kind, _sightingId, bytes) => bytes)
    const payload = seal('sighting', sighting.sightingId, sighting.payload)
    const picture = crop === null ? null : seal('crop', sighting.sightingId, crop)
    const store = (): Stored => {
      const stored = this.#store(sighting, sighting.matched ? RANK.matchedSighting : RANK.sighting, payload)
      if (!stored || picture === null) return { sighting: stored, crop: false }
      return { sighting: true, crop: this.#store(sighting, sighting.matched ? RANK.matchedCrop : RANK.crop, picture) }
    }
    try {
      return this.#transaction(store)
    } catch (thrown) {
      if (toStorageError(thrown).code !== 'storage_full') throw thrown
    }
    // The disk is full below our own limits. What the log holds of rows that have left is room.
    try {
      this.#emptyLog()
      return this.#transaction(store)
    } catch (thrown) {
      if (toStorageError(thrown).code !== 'storage_full') throw thrown
    }
    // Rows of lower importance make room, equals do not.
    const need = payload.length + (picture?.length ?? 0) + 2 * ROW_OVERHEAD_BYTES
    const rank = sighting.matched ? RANK.matchedSighting : RANK.sighting
    // Only what takes the place of something else may use the reserve, or new rows would eat it up; where the link takes them as they come, little waits.
    const droppable = { rank, overhead: ROW_OVERHEAD_BYTES, most: MAX_DROPPED_AT_ONCE }
    const canDrop = (this.#statements.droppable.get(droppable) as number) >= need
    if (!canDrop && this.#held.bytes + need > MOST_ON_RESERVE_BYTES) {
      throw new AppError('storage_full', 'no space left, and nothing less important to drop')
    }
    return this.#withReserve(() => {
      if (canDrop) this.#dropLessImportant(rank, need)
      return store()
    })
  }

  #awaitFinal(sightingId: string): void {
    this.#previews.add(sightingId)
    const [oldest] = this.#previews
    if (this.#previews.size > MAX_PREVIEWS && oldest !== undefined) this.#previews.delete(oldest)
  }

  #store(sighting: OutboxSighting, rank: number, payload: Uint8Array): boolean {
    const cost = payload.length + ROW_OVERHEAD_BYTES
    const { maxRows, maxBytes } = this.#deps
    while (this.#held.rows + 1 > maxRows || this.#held.bytes + cost > maxBytes) {
      const victim = this.#statements.victim.get() as Gone | undefined
      if (victim === undefined || victim.rank < rank) {
        this.#counts.add(isCrop({ rank }) ? 'evictedCrops' : 'evictedSightings', 1)
        return false
      }
      this.#drop(victim)
    }
    const nowMs = this.#deps.clock.nowMs()
    this.#statements.insert.run({
      rank,
      sightingId: sighting.sightingId,
      revision: sighting.revision,
      // Retention runs from the earlier of captured and received; when a wrong clock says that it was captured says nothing.
      bornAtMs: sighting.clock === 'unsynced' ? nowMs : Math.min(sighting.capturedAtMs, nowMs),
      unsynced: sighting.clock === 'unsynced' ? 1 : 0,
      payload,
    })
    this.#held = { rows: this.#held.rows + 1, bytes: this.#held.bytes + cost }
    return true
  }

  #drop(victim: Gone): void {
    this.#hasDeleted = true
    this.#statements.remove.run(victim.row_id)
    this.#counts.gone(isCrop(victim) ? 'evictedCrops' : 'evictedSightings', [victim])
    this.#held = { rows: this.#held.rows - 1, bytes: this.#held.bytes - victim.bytes - ROW_OVERHEAD_BYTES }
  }

  #dropLessImportant(rank: number, needBytes: number): void {
    let freed = 0
    for (let count = 0; count < MAX_DROPPED_AT_ONCE && freed < needBytes; count++) {
      const victim = this.#statements.victim.get() as Gone | undefined
      if (victim === undefined || victim.rank <= rank) break
      this.#drop(victim)
      freed += victim.bytes + ROW_OVERHEAD_BYTES
    }
  }

  oldest(limit: number, exceptIds: ReadonlySet<number>, cutoffs: Cutoffs, setBack: boolean): OutboxRow[] {
    const rows = this.#statements[setBack ? 'oldestSetBack' : 'oldest'].all({
      ...bindings(cutoffs),
      limit,
      except: JSON.stringify([...exceptIds]),
    }) as { row_id: number; rank: number; sighting_id: string; payload: Buffer }[]
    return rows.map((row) => ({
      rowId: row.row_id,
      kind: isCrop(row) ? 'crop' : 'sighting',
      matched: row.rank === RANK.matchedSighting || row.rank === RANK.matchedCrop,
      sightingId: row.sighting_id,
      payload: row.payload,
    }))
  }

  sent(rowId: number): void {
    this.#counts.sent(rowId)
  }

  remove(rowIds: readonly number[]): void {
    if (rowIds.length === 0) return
    const removed = this.#withReserve(() => this.#statements.removeMany.all(JSON.stringify(rowIds)) as Gone[])
    this.#forget(removed)
    this.#counts.acknowledged(rowIds)
  }

  unacknowledged(rowIds: readonly number[]): void {
    this.#counts.unacknowledged(rowIds)
  }

  setBack(rowId: number): void {
    this.#withReserve(() => this.#statements.setBack.run(rowId))
  }

  purge(cutoffs: Cutoffs, limit: number): number {
    const purged = this.#withReserve(() => {
      const newestMs = Math.max(cutoffs.unmatchedMs, cutoffs.matchedMs, cutoffs.cropMs)
      const expired = this.#statements.purgeExpired.all({ ...bindings(cutoffs), newestMs, limit }) as Gone[]
      this.#counts.gone('expired', expired)
      if (cutoffs.unmatchedMayLeave || expired.length === limit) return expired
      const withheld = this.#statements.purgeUnmatched.all(limit - expired.length) as Gone[]
      // A picture is of a vehicle that is counted already, or that had left before it.
      this.#counts.gone(
        'withheld',
        withheld.filter((row) => !isCrop(row)),
      )
      return [...expired, ...withheld]
    })
    this.#forget(purged)
    return purged.length
  }

  restamp(nowMs: number, limit: number): number {
    return this.#withReserve(() => this.#statements.restamp.run({ nowMs, limit }).changes)
  }

  checkpoint(): void {
    const unlessFull = (run: () => void) => {
      try {
        run()
      } catch (thrown) {
        const error = toStorageError(thrown, this.#deps.file)
        if (error.code !== 'storage_full') throw error
      }
    }
    // Without a link nothing is deleted, and each checkpoint would write the same pages once more [`candor bench outbox`]. Before the counts: they need
    // room in the log, and this makes it. Rows that cannot be moved stay in the log, which is as durable; the next checkpoint moves them.
    if (this.#hasDeleted) unlessFull(() => this.#emptyLog())
    unlessFull(() => this.#counts.write())
    this.#makeReserve()
  }

  /** With little waiting the log has its room beside it: then nothing could be dropped for what comes. With more, new rows would eat that up, start by start. */
  #makeReserve(): void {
    makeReserve(this.#reserve, this.#held.bytes < MOST_ON_RESERVE_BYTES ? LOG_ROOM_BYTES : 0)
  }

  #emptyLog(): void {
    this.#database.pragma('wal_checkpoint(TRUNCATE)')
    this.#hasDeleted = false
  }

  oldestBornAtMs(): number | null {
    return this.#statements.oldestBorn.get() as number | null
  }

  counters(): OutboxCounters {
    return this.#counts.current()
  }

  reportCounters(): OutboxCounters {
    return this.#counts.report()
  }

  close(): void {
    try {
      this.#counts.write()
    } catch {
      // What could not be written until now is not counted.
    }
    this.#database.close()
  }

  /** All of `run` or nothing, the totals included. */
  #transaction<T>(run: () => T): T {
    const before = this.#held
    const takeBack = this.#counts.mark()
    try {
      return this.#database.transaction(run).immediate()
    } catch (thrown) {
      this.#held = before
      takeBack()
      throw toStorageError(thrown, this.#deps.file)
    }
  }

  /** A transaction that may use the reserve when the disk is full. */
  #withReserve<T>(run: () => T): T {
    try {
      return this.#transaction(run)
    } catch (thrown) {
      if (toStorageError(thrown).code !== 'storage_full') throw thrown
      useReserve(this.#reserve)
      return this.#transaction(run)
    }
  }

  #forget(gone: readonly Gone[]): void {
    if (gone.length > 0) this.#hasDeleted = true
    const bytes = gone.reduce((sum, row) => sum + row.bytes + ROW_OVERHEAD_BYTES, 0)
    this.#held = { rows: this.#held.rows - gone.length, bytes: this.#held.bytes - bytes }
  }

  #countLost(mayBeWritten: boolean): void {
    this.#counts.addLater('lost', 1)
    // Whoever holds the database would be waited for once more.
    if (!mayBeWritten) return
    try {
      this.#counts.write()
    } catch {
      // Not even the counter fits: it is written with the next checkpoint that does.
    }
  }

  #total(): Cost {
    const { rows, bytes } = this.#statements.total.get() as { rows: number; bytes: number }
    return { rows, bytes: bytes + rows * ROW_OVERHEAD_BYTES }
  }
}

/**
 * New entries against the past: a plate that comes onto a list is looked for among the sightings that are still kept, as far back as the
 * policy allows, and found ones raise alerts that are marked as historical. Runs in small steps after a version has come into force, and
 * goes on after a restart. Called by main; marks its progress in hotlist_versions.
 */
import type { Clock } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { confusableKey } from '../../shared/plate.ts'
import { type AuditRecord, CLOUD_ACTOR } from '../audit/entry.ts'
import type { Database } from '../database/database.ts'
import type { SightingsTable } from '../database/schema.ts'
import type { HotlistEntriesTable } from '../database/schema-administration.ts'
import { type Sightings, type StoredSighting, toStored } from '../sightings.ts'
import { sideBySide } from './diff.ts'
import type { ListMatch, MatchedRead } from './matcher.ts'
import { createListRows } from './rows.ts'

/** New entries of one version that are looked for; a version with more is a new list, not a new entry, and is not checked. */
export const MAX_PAST_ENTRIES = 10_000
/** Sightings of one plate that are looked at, newest first: the last ones tell where the vehicle is. */
export const MAX_PAST_SIGHTINGS = 100
/** Alerts that one version raises for the past; the officers are to see what happens now. */
export const MAX_PAST_ALERTS = 200
/** Entries looked for, and sightings held against the lists for them, in one turn of the event loop; about 10 ms. */
const LOOKS_PER_STEP = 50

export interface PastCheck {
  /** Checks what is due, one version after the other; calls while it runs join. Never rejects. */
  run(): Promise<void>
  /** Ends with the entry under way; the rest is due at the next start. */
  close(): Promise<void>
}

export interface PastCheckDeps {
  database: Database
  clock: Clock
  newId: () => string
  log: Log
  audit: { append(record: AuditRecord): Promise<unknown> }
  sightings: Pick<Sightings, 'visible'>
  /** The current lists' entry for a read, or null. */
  match: (read: MatchedRead, nowMs: number) => ListMatch | null
  /** False: the sighting has an alert of that entry already. */
  raise(found: { stored: StoredSighting; match: ListMatch }): Promise<boolean>
}

interface Due {
  list: string
  version: number
  fromMs: number
  /** When it came into force: what was received later was held against it as it came. */
  untilMs: number
  /** The version that its entries are new beside; null: there was none. */
  since: number | null
}

export function openPastCheck(deps: PastCheckDeps): PastCheck {
  const { database, clock, log } = deps
  const { build } = database
  const rows = createListRows(deps)
  let running: Promise<void> | null = null
  let again = false
  let looks = 0
  let closed = false

  /** Of versions that have been replaced meanwhile nothing is due: the one in force has taken that over. */
  async function nextDue(): Promise<Due | null> {
    const [row] = await database.read(
      build
        .selectFrom('hotlist_versions')
        .innerJoin('hotlists', (join) =>
          join
            .onRef('hotlists.list', '=', 'hotlist_versions.list')
            .onRef('hotlists.current_version', '=', 'hotlist_versions.version'),
        )
        .select(['hotlist_versions.list', 'version', 'past_from_ms', 'past_since', 'made_at_ms'])
        .where('past_from_ms', 'is not', null)
        .limit(1),
    )
    if (row === undefined || row.past_from_ms === null) return null
    return {
      list: row.list,
      version: row.version,
      fromMs: row.past_from_ms,
      untilMs: row.made_at_ms,
      since: row.past_since,
    }
  }

  /** Entries of the version that the one before it had not; null: more than are looked for. */
  async function newEntries({ list, version, since }: Due): Promise<HotlistEntriesTable[] | null> {
    const found: HotlistEntriesTable[] = []
    // Its rows are gone: what is new beside it cannot be told any more.
    if (since !== null && !(await rows.isKept(list, since))) return null
    // There is no version 0.
    for await (const { old, now } of sideBySide(rows.packedOf(list, since ?? 0), rows.entriesOf(list, version))) {
      if (old !== null || now === null) continue
      if (found.length === MAX_PAST_ENTRIES) return null
      found.push(now)
    }
    return found
  }

  /** The last sighting of which this entry is what the lists say, and the match. */
  async function lastOf(
    entry: HotlistEntriesTable,
    { fromMs, untilMs }: Pick<Due, 'fromMs' | 'untilMs'>,
  ): Promise<{ stored: StoredSighting; match: ListMatch } | null> {
    const nowMs = clock.nowMs()
    const seen: SightingsTable[] = await database.read(
      deps.sightings
        .visible(nowMs)
        .selectAll()
        .where('confusable_key', '=', confusableKey(entry.plate))
        .where('seen_at_ms', '>=', fromMs)
        .where('received_at_ms', '<', untilMs)
        .orderBy('seen_at_ms', 'desc')
        .orderBy('revision', 'desc')
        .limit(MAX_PAST_SIGHTINGS),
    )
    looks += 1 + seen.length
    const finals = new Set<string>()
    for (const row of seen) {
      // A preview that its final has corrected is no read.
      if (finals.has(row.sighting_id)) continue
      finals.add(row.sighting_id)
      const stored = toStored(row)
      const { plate } = stored.sighting
      const match = plate === null ? null : deps.match({ ...stored.sighting, plate }, nowMs)
      if (match?.list === entry.list && match.entryId === entry.entry_id && !match.suppressed) return { stored, match }
    }
    return null
  }

  async function check(due: Due): Promise<void> {
    const { list, version, fromMs } = due
    const entries = await newEntries(due)
    let [alerts, beyond] = [0, 0]
    for (const entry of entries ?? []) {
      if (closed) return
      const found = entry.rule === 'wildcard' ? null : await lastOf(entry, due)
      if (found !== null) {
        if (alerts >= MAX_PAST_ALERTS) beyond += 1
        else if (await deps.raise(found)) alerts += 1
      }
      if (looks >= LOOKS_PER_STEP) {
        looks = 0
        await clock.sleep(0)
      }
    }
    const outcome = { version, fromMs, entries: entries?.length ?? null, alerts, beyond, isTooMany: entries === null }
    if (entries === null || entries.length > 0) {
      await deps.audit.append({
        operation: 'hotlist.past_checked',
        outcome: 'allowed',
        actor: CLOUD_ACTOR,
        subject: { kind: 'hotlist', id: list },
        results: alerts,
        detail: outcome,
      })
    }
    log.info('hotlist_past_checked', { list, listVersion: version, count: alerts })
    await database.writeBatch([
      build
        .updateTable('hotlist_versions')
        .set({ past_from_ms: null, past_since: null })
        .where('list', '=', list)
        .where('version', '=', version),
    ])
  }

  async function all(): Promise<void> {
    try {
      do {
        again = false
        for (let due = await nextDue(); due !== null && !closed; due = await nextDue()) await check(due)
      } while (again && !closed)
    } catch (thrown) {
      // Due as before: tried again with the next upkeep.
      log.error('hotlist_past_not_checked', { error: toAppError(thrown).message })
    } finally {
      running = null
    }
  }

  return {
    run() {
      if (closed) return Promise.resolve()
      again = true
      running ??= all()
      return running
    },
    async close() {
      closed = true
      await running
    },
  }
}

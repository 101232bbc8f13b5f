/**
 * The camera's own copy of the hotlists: signed versions come in through the uplink, plates are matched for the pipeline. An old
 * version matches until the new one is whole, checked and swapped in; a restart keeps it. Owns the tables in tables.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { comparePlates, confusableKey, NEAR_MIN_LENGTH } from '../../shared/plate.ts'
import type { Verifier } from '../../shared/signing.ts'
import type { SqliteDatabase } from '../../shared/sqlite.ts'
import {
  type CameraHealth,
  EARLIEST_TIME_MS,
  type HotlistAck,
  type HotlistMatch,
  type Manifest,
} from '../../shared/wire/index.ts'
import { judgeManifest } from './manifest.ts'
import { createSnapshot, type Snapshot } from './snapshot.ts'
import { type ListRow, openListTables } from './tables.ts'

/** A download to which nothing was added for this long is given up; the next connection starts it again. Milliseconds. */
export const STALLED_AFTER_MS = 60_000
/** Rows deleted in one step of `sweep`. */
export const SWEEP_ROWS = 500

export interface Wanted {
  list: string
  version: number
}

export interface Hotlists {
  /** Exact first, then near; the most urgent entry first. Only entries in force at `nowMs`. */
  match(plate: string, nowMs: number): HotlistMatch | null
  /** A manifest as it was received. The ack says what became of it; null: chunks are awaited, or an earlier list is still coming. */
  takeManifest(list: string, envelope: Uint8Array): HotlistAck | null
  /** A snapshot chunk as it was received; what is not wanted is ignored. */
  takeChunk(list: string, version: number, chunk: number, payload: Uint8Array): void
  /** The one download under way: its chunks must be subscribed to. Lists come one after the other, so disk use is bounded. */
  readonly wanted: Wanted | null
  /** Takes the download one step on: applies it when whole, gives it up when stalled. Returns its ack when it is over. */
  advance(): Promise<HotlistAck | null>
  /** Chunks are being asked for (again): the download is not stalled. */
  asked(): void
  /** Deletes some rows of versions that are over; returns how many, 0 when there is nothing left. */
  sweep(): number
  status(nowMs: number): CameraHealth['hotlists']
}

export interface HotlistDeps {
  database: SqliteDatabase
  verifier: Verifier
  agency: string
  clock: Clock
  log: Log
}

export function createHotlists(deps: HotlistDeps): Hotlists {
  const { clock, log } = deps
  const tables = openListTables(deps.database)
  const rows = new Map(tables.lists().map((row) => [row.list, row]))
  /** Manifests that wait for the download before them; fewer than MAX_LISTS, as judgeManifest takes no further list. */
  const waiting = new Map<string, Manifest>()
  let download: Snapshot | null = null
  let lastProgressMs = 0
  let applying = false

  function ack(list: string, version: number, digest: string | null, reason: string | null): HotlistAck {
    const result = reason === null ? 'applied' : 'refused'
    const fields = { list, listVersion: version, outcome: result, ...(reason === null ? {} : { reason }) }
    if (reason === null) log.info('hotlist_applied', fields)
    else log.warn('hotlist_refused', fields)
    // A clock that was never set must not make the ack invalid.
    return { list, version, digest, result, reason, atMs: Math.max(EARLIEST_TIME_MS, clock.nowMs()) }
  }

  function remember(list: string): void {
    const row = tables.lists().find((each) => each.list === list)
    if (row !== undefined) rows.set(list, row)
  }

  function begin(manifest: Manifest): void {
    download = createSnapshot(manifest, tables, () => new Promise((resolve) => setImmediate(resolve)))
    lastProgressMs = clock.monotonicMs()
    log.info('hotlist_wanted', { list: manifest.list, listVersion: manifest.version, entries: manifest.entries })
  }

  function drop(snapshot: Snapshot): void {
    tables.bury(snapshot.generation)
    if (download === snapshot) download = null
  }

  function beginNext(): void {
    const next = waiting.entries().next().value
    if (download !== null || next === undefined) return
    waiting.delete(next[0])
    begin(next[1])
  }

  /** Lists applied, on their way or waiting, without this one. */
  function listsBeside(list: string): number {
    const names = new Set([...rows.keys(), ...waiting.keys()])
    if (download !== null) names.add(download.manifest.list)
    names.delete(list)
    return names.size
  }

  function stage(manifest: Manifest): HotlistAck | null {
    const before = rows.get(manifest.list) ?? null
    if (before !== null && before.version < manifest.minimumVersion && before.generation !== null) {
      tables.recall(before, manifest.minimumVersion)
      remember(manifest.list)
      log.warn('hotlist_recalled', { list: manifest.list, listVersion: before.version })
    }
    if (download !== null && download.manifest.list === manifest.list) {
      const under = download.manifest
      if (under.version > manifest.version)
        return ack(manifest.list, manifest.version, manifest.digest, 'a newer version is on its way')
      if (under.version === manifest.version) {
        if (under.digest === manifest.digest) return null
        return ack(manifest.list, manifest.version, manifest.digest, 'same version with other content')
      }
      if (!applying) drop(download)
    }
    waiting.set(manifest.list, manifest)
    beginNext()
    return null
  }

  async function apply(snapshot: Snapshot): Promise<HotlistAck> {
    const { list, version, digest } = snapshot.manifest
    applying = true
    try {
      await snapshot.write()
      const before = rows.get(list) ?? null
      if (before !== null && (version < before.version || version < before.floorVersion)) {
        throw new AppError('conflict', 'a newer version was applied meanwhile')
      }
      tables.swap(snapshot.manifest, snapshot.generation, before)
      remember(list)
      download = null
      return ack(list, version, digest, null)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'internal') throw error
      drop(snapshot)
      return ack(list, version, digest, error.message.slice(0, 200))
    } finally {
      applying = false
    }
  }

  return {
    match(plate, nowMs) {
      const exact = tables.exact(plate, nowMs)
      if (exact !== null)
        return { list: exact.list, listVersion: exact.listVersion, entryId: exact.entryId, kind: 'exact' }
      if (plate.length < NEAR_MIN_LENGTH) return null
      for (const { plate: listed, ...found } of tables.near(confusableKey(plate), nowMs)) {
        if (comparePlates(plate, listed) === 'near') return { ...found, kind: 'near' }
      }
      return null
    },
    takeManifest(list, envelope) {
      const row = rows.get(list) ?? null
      const verdict = judgeManifest(
        deps.verifier,
        envelope,
        { agency: deps.agency, list, row, others: listsBeside(list) },
        clock.nowMs(),
      )
      if (verdict.kind === 'refuse') return ack(list, verdict.version, null, verdict.reason)
      const { manifest } = verdict
      if (verdict.kind === 'stage') return stage(manifest)
      if (row !== null && manifest.issuedAtMs > row.issuedAtMs) {
        tables.putList({
          ...row,
          ...datesOf(manifest),
          floorVersion: Math.max(row.floorVersion, manifest.minimumVersion),
        })
        remember(list)
      }
      return ack(list, manifest.version, manifest.digest, null)
    },
    takeChunk(list, version, chunk, payload) {
      if (download === null || applying) return
      if (download.manifest.list !== list || download.manifest.version !== version) return
      if (download.add(chunk, payload)) lastProgressMs = clock.monotonicMs()
      else log.warn('hotlist_chunk_refused', { list, listVersion: version, bytes: payload.length })
    },
    get wanted() {
      return download === null ? null : { list: download.manifest.list, version: download.manifest.version }
    },
    asked() {
      lastProgressMs = clock.monotonicMs()
    },
    async advance() {
      if (download === null || applying) return null
      const snapshot = download
      let done: HotlistAck | null = null
      if (snapshot.complete) done = await apply(snapshot)
      else if (clock.monotonicMs() - lastProgressMs > STALLED_AFTER_MS) {
        drop(snapshot)
        const { list, version, digest } = snapshot.manifest
        done = ack(list, version, digest, 'its chunks did not come')
      }
      beginNext()
      return done
    },
    sweep: () => tables.sweep(SWEEP_ROWS),
    status: (nowMs) =>
      [...rows.values()].map((row) => ({
        list: row.list,
        version: row.generation === null ? 0 : row.version,
        entries: row.generation === null ? 0 : row.entries,
        ageMs: Math.max(0, Math.round(nowMs - row.issuedAtMs)),
        stale: row.generation === null || row.expiresAtMs <= nowMs,
      })),
  }
}

const datesOf = (manifest: Manifest): Pick<ListRow, 'issuedAtMs' | 'expiresAtMs'> => ({
  issuedAtMs: manifest.issuedAtMs,
  expiresAtMs: manifest.expiresAtMs,
})

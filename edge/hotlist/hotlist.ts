/**
 * The camera's own copy of the hotlists: signed versions come in through the uplink, plates are matched for the pipeline. An old
 * version matches until the new one is whole, checked and swapped in; a restart keeps it. Plates stand in it as keyed digests; the key
 * is asked of the cloud after each start and is in memory alone, and without it nothing matches. A version comes as a delta to who has the
 * one before, else whole. Owns the tables in tables.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { createListKey, type ListKey } from '../../shared/list-key.ts'
import type { Log } from '../../shared/log.ts'
import { compareMatches, type Ranked } from '../../shared/match-order.ts'
import { type MatchKind, nearVariants } from '../../shared/plate.ts'
import type { Verifier } from '../../shared/signing.ts'
import type { SqliteDatabase } from '../../shared/sqlite.ts'
import {
  type CameraHealth,
  type Candidate,
  EARLIEST_TIME_MS,
  type HotlistAck,
  type HotlistMatch,
  type HotlistRules,
  listKeySchema,
  type Manifest,
} from '../../shared/wire/index.ts'
import { createDelta, fittingDelta } from './delta.ts'
import { judgeManifest, openSigned } from './manifest.ts'
import { createSnapshot, type Download } from './snapshot.ts'
import { type ListRow, openListTables } from './tables.ts'

/** A download to which nothing was added for this long is given up; the next connection starts it again. Milliseconds. */
export const STALLED_AFTER_MS = 60_000

/** Rows deleted or put right in one step of `sweep`. */
export const SWEEP_ROWS = 500

export interface Wanted {
  kind: 'snapshot' | 'delta'
  list: string
  version: number
}

/** What is matched: a plate as read, and what else its reader thought it might be. */
export interface MatchedRead {
  plate: string
  candidates: readonly Candidate[]
  jurisdiction: { code: string } | null
}

export interface Hotlists {
  /** The best entry in force at `nowMs`, in the order of match-order.ts; null also while the key is missing. */
  match(read: MatchedRead, nowMs: number): HotlistMatch | null
  /** Grows whenever a read that met nothing may meet something now: another version is in force, or a key has come. */
  readonly revision: number
  /** Names of the keys that are needed and not there, that of the download first. */
  readonly missingKeys: readonly string[]
  /** The cloud's answer to this camera's request; the reason why it is not taken, or null. */
  takeKey(envelope: Uint8Array, answered: { cameraId: string; requestId: string }): string | null
  /** A manifest as it was received. The ack says what became of it; null: chunks are awaited, or an earlier list is still coming. */
  takeManifest(list: string, envelope: Uint8Array): HotlistAck | null
  /** A chunk as it was received; what is not wanted is ignored. */
  takeChunk(of: Wanted, chunk: number, payload: Uint8Array): void
  /** The one download under way: its chunks must be subscribed to. Lists come one after the other, so disk use is bounded. */
  readonly wanted: Wanted | null
  /**
   * Takes the download one step on: applies it when whole, gives it up when stalled. Returns its ack when it is over; a delta that failed is
   * followed by the snapshot of the same version instead.
   */
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
  /** By policy: lists past their age limit match, or do not. */
  staleLists: () => HotlistRules['staleLists']
}

export function createHotlists(deps: HotlistDeps): Hotlists {
  const { clock, log } = deps
  const tables = openListTables(deps.database)
  const rows = new Map(tables.lists().map((row) => [row.list, row]))
  /** Manifests that wait for the download before them; fewer than MAX_LISTS, as judgeManifest takes no further list. */
  const waiting = new Map<string, Manifest>()
  /** By name; none outlives the process. */
  const keys = new Map<string, ListKey>()
  let download: Download | null = null
  let lastProgressMs = 0
  let applying = false
  let revision = 0
  /** Deltas that did not fit, by list. */
  const failedDeltas = new Map<string, number>()

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

  function begin(manifest: Manifest, options: { byDelta: boolean }): void {
    const { list, version } = manifest
    const from = rows.get(list) ?? null
    const delta = options.byDelta ? fittingDelta(manifest, from) : null
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
    download =
      delta === null || from === null
        ? createSnapshot(manifest, tables, turn)
        : createDelta({ manifest, delta, from }, tables, turn)
    lastProgressMs = clock.monotonicMs()
    const entries = (delta ?? manifest).entries
    log.info('hotlist_wanted', { list, listVersion: version, kind: download.kind, entries })
  }

  function drop(dropped: Download): void {
    tables.bury(dropped.generation)
    if (download === dropped) download = null
  }

  /** The snapshot takes a delta's place unless a newer version does; only what has no other way is refused. */
  function giveUp(failed: Download, reason: string, { isLast }: { isLast: boolean }): HotlistAck | null {
    const { list, version, digest } = failed.manifest
    drop(failed)
    if (failed.kind === 'delta') {
      failedDeltas.set(list, (failedDeltas.get(list) ?? 0) + 1)
      log.warn('hotlist_delta_failed', { list, listVersion: version, reason })
      if (!isLast && !waiting.has(list)) {
        begin(failed.manifest, { byDelta: false })
        return null
      }
    }
    return ack(list, version, digest, reason)
  }

  function beginNext(): void {
    const next = waiting.entries().next().value
    if (download !== null || next === undefined) return
    waiting.delete(next[0])
    begin(next[1], { byDelta: true })
  }

  /** Keys of what is applied and of what is on its way. */
  function neededKeys(): string[] {
    const applied = [...rows.values()].filter((row) => !row.recalled).map((row) => row.keyId)
    return [...new Set(download === null ? applied : [download.manifest.keyId, ...applied])]
  }

  function best(
    variants: readonly { plate: string; score: number }[],
    kind: MatchKind,
    read: MatchedRead,
    nowMs: number,
  ): HotlistMatch | null {
    let first: (Ranked & { row: ListRow }) | null = null
    const isStopped = deps.staleLists() === 'stop'
    for (const [keyId, key] of keys) {
      const lists = [...rows.values()].filter((row) => row.keyId === keyId)
      if (lists.length === 0) continue
      for (const { plate, score } of variants) {
        const digest = key.digest(plate)
        for (const row of lists) {
          if (row.recalled || (isStopped && row.expiresAtMs <= nowMs)) continue
          for (const entry of tables.found(row, digest, kind, nowMs)) {
            const ranked = { ...entry, kind, score, row }
            if (first === null || compareMatches(ranked, first, read.jurisdiction?.code ?? null) < 0) first = ranked
          }
        }
      }
    }
    if (first === null) return null
    const { entryId, score, row } = first
    return { list: row.list, listVersion: row.version, entryId, kind, ...(kind === 'near' ? { score } : {}) }
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
    if (before !== null && before.version < manifest.minimumVersion && !before.recalled) {
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

  async function apply(whole: Download): Promise<HotlistAck | null> {
    const { list, version, digest } = whole.manifest
    applying = true
    try {
      await whole.write()
      const before = rows.get(list) ?? null
      if (before !== null && (version < before.version || version < before.floorVersion)) {
        throw new AppError('conflict', 'a newer version was applied meanwhile')
      }
      tables.swap(whole, before)
      remember(list)
      revision += 1
      download = null
      // A key that was replaced is of no use to anybody but a thief.
      for (const keyId of keys.keys()) if (!neededKeys().includes(keyId)) keys.delete(keyId)
      return ack(list, version, digest, null)
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code === 'internal') throw error
      return giveUp(whole, error.message.slice(0, 200), { isLast: error.code === 'conflict' })
    } finally {
      applying = false
    }
  }

  return {
    match(read, nowMs) {
      const exact = best([{ plate: read.plate, score: 1 }], 'exact', read, nowMs)
      return exact ?? best(nearVariants(read.plate, read.candidates), 'near', read, nowMs)
    },
    get revision() {
      return revision
    },
    get missingKeys() {
      return neededKeys().filter((keyId) => !keys.has(keyId))
    },
    takeKey(envelope, { cameraId, requestId }) {
      try {
        const { value } = openSigned(deps.verifier, listKeySchema, envelope)
        if (value.agency !== deps.agency || value.cameraId !== cameraId) return 'the list key is for another camera'
        if (value.requestId !== requestId) return 'the list key answers another request'
        const key = createListKey(Buffer.from(value.key, 'base64'))
        if (key.keyId !== value.keyId) return 'the list key is not the one it is called'
        keys.set(key.keyId, key)
        revision += 1
        log.info('list_key_taken', { keyId: key.keyId })
        return null
      } catch (thrown) {
        return `list key: ${toAppError(thrown).message}`.slice(0, 200)
      }
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
    takeChunk({ kind, list, version }, chunk, payload) {
      if (download === null || applying || download.kind !== kind) return
      if (download.manifest.list !== list || download.manifest.version !== version) return
      if (download.add(chunk, payload)) lastProgressMs = clock.monotonicMs()
      else log.warn('hotlist_chunk_refused', { list, listVersion: version, bytes: payload.length })
    },
    get wanted() {
      if (download === null) return null
      return { kind: download.kind, list: download.manifest.list, version: download.manifest.version }
    },
    asked() {
      lastProgressMs = clock.monotonicMs()
    },
    async advance() {
      if (download === null || applying) return null
      let done: HotlistAck | null = null
      if (download.complete) done = await apply(download)
      else if (clock.monotonicMs() - lastProgressMs > STALLED_AFTER_MS)
        done = giveUp(download, 'its chunks did not come', { isLast: false })
      beginNext()
      return done
    },
    sweep: () => tables.sweep(SWEEP_ROWS),
    status: (nowMs) =>
      [...rows.values()].map((row) => ({
        list: row.list,
        version: row.recalled ? 0 : row.version,
        entries: row.recalled ? 0 : row.entries,
        ageMs: Math.max(0, Math.round(nowMs - row.issuedAtMs)),
        stale: row.recalled || row.expiresAtMs <= nowMs,
        keyed: keys.has(row.keyId),
        failedDeltas: failedDeltas.get(row.list) ?? 0,
      })),
  }
}

const datesOf = (manifest: Manifest): Pick<ListRow, 'issuedAtMs' | 'expiresAtMs'> => ({
  issuedAtMs: manifest.issuedAtMs,
  expiresAtMs: manifest.expiresAtMs,
})

/**
 * A version on its way to cameras: walked once, packed as a snapshot and, where the version before is not far, as a delta; published
 * retained, chunks first, and what is retained of older ones cleared. Writes the tables that hotlists.ts owns, and is called by it alone.
 */
import type { Clock } from '../../shared/clock.ts'
import type { ListKey } from '../../shared/list-key.ts'
import { topics } from '../../shared/topics.ts'
import type { Delta } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { ListKeys } from '../list-keys.ts'
import { createDeltaBuilder } from './delta.ts'
import { sideBySide } from './diff.ts'
import { createListIndex } from './matcher.ts'
import type { OnEnforceStep } from './progress.ts'
import { ROWS_PER_STEP } from './reading.ts'
import { IS_RETAINED } from './retiring.ts'
import { type ListRows, toEntry, toPacked } from './rows.ts'
import { createSnapshotBuilder, type ListDates, openManifest, packable } from './snapshot.ts'

export type Publish = (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>

/** The version that a delta starts from. */
export type DeltaStart = Pick<Delta, 'fromVersion' | 'fromDigest'> & { dates: ListDates }

/** What is retained of a version beside its manifest. */
export interface Packed {
  chunks: readonly Buffer[]
  deltaChunks: readonly Buffer[]
}

const RETAINED = { qos: 1, retain: true } as const
/** An empty retained message clears the topic [MQTT-3.3.1-10]. */
const NOTHING = Buffer.alloc(0)

export function createPublishing(deps: {
  database: Database
  agency: string
  rows: Pick<ListRows, 'entriesOf' | 'packedOf'>
  keys: Pick<ListKeys, 'find'>
  clock: Clock
}) {
  const { database, agency, rows, clock } = deps
  const { build } = database

  /** What stands of a version beside its entries. */
  async function versionOf(list: string, version: number) {
    const [row] = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select(['manifest', 'published', 'state', 'source_sha256', 'past_from_ms', 'past_since'])
        .select(['made_at_ms', 'effective_at_ms', 'expires_at_ms'])
        .where('list', '=', list)
        .where('version', '=', version),
    )
    return {
      sealed: row?.manifest ?? null,
      manifest: row?.manifest == null ? null : openManifest(row.manifest),
      isPublished: row?.published === 1,
      isKept: row?.state === 'ready',
      sourceSha256: row?.source_sha256 ?? null,
      madeAtMs: row?.made_at_ms ?? null,
      dates: { effectiveAtMs: row?.effective_at_ms ?? null, expiresAtMs: row?.expires_at_ms ?? null },
      pastFromMs: row?.past_from_ms ?? null,
      // Not yet held against the past: what comes after it is new beside the same version.
      pastSince: row?.past_from_ms == null ? undefined : row.past_since,
    }
  }

  /** The version that cameras have: the last one published, where its rows are kept and its digests are of this key. */
  async function deltaStart(list: string, keyId: string): Promise<DeltaStart | null> {
    const [last] = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select('version')
        .where('list', '=', list)
        .where('published', '=', 1)
        .orderBy('version', 'desc')
        .limit(1),
    )
    if (last === undefined) return null
    const { manifest, isKept, dates } = await versionOf(list, last.version)
    if (manifest === null || !isKept || manifest.keyId !== keyId) return null
    return { fromVersion: manifest.version, fromDigest: manifest.digest, dates }
  }

  /** Walks a version once: fills an index for matching, and packs the snapshot and the delta from `start`. */
  async function walk(
    list: string,
    version: number,
    { key, dates }: { key: ListKey; dates: ListDates },
    start: DeltaStart | null,
    onStep?: OnEnforceStep,
  ) {
    const turn = () => clock.sleep(0)
    const index = createListIndex()
    const snapshot = createSnapshotBuilder(key, turn)
    const changes = createDeltaBuilder(key, turn)
    // There is no version 0.
    const older = rows.packedOf(list, start?.fromVersion ?? 0)
    const isEnough = () => start === null || changes.isTooLong
    for await (const { old, now } of sideBySide(older, rows.entriesOf(list, version), isEnough)) {
      const entry = now === null ? null : toEntry(now)
      if (entry !== null) index.add(entry)
      if (index.size % ROWS_PER_STEP === 0) onStep?.('digesting', index.size, 0)
      const packed = packable(entry, dates)
      if (packed !== null) await snapshot.add(packed)
      if (!isEnough()) await changes.add(old === null ? null : packable(toPacked(old), start?.dates ?? dates), packed)
    }
    const { totals, chunks } = await snapshot.end()
    const packed = start === null ? null : await changes.end(totals.bytes)
    const from = start === null ? null : { fromVersion: start.fromVersion, fromDigest: start.fromDigest }
    const delta: Delta | null = packed === null || from === null ? null : { ...from, ...packed.totals }
    return { index, totals, delta, chunks, deltaChunks: packed?.chunks ?? [] }
  }

  /** Of the versions before: what cameras that saw their manifest might still fetch. */
  async function clearOlder(list: string, version: number, send: Publish): Promise<void> {
    const older = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select(['version', 'chunks_retained', 'delta_chunks_retained'])
        .where('list', '=', list)
        .where('version', '<', version)
        .where(IS_RETAINED),
    )
    for (const old of older) {
      for (let chunk = 0; chunk < old.chunks_retained; chunk++)
        await send(topics.snapshotChunk(agency, list, old.version, chunk), NOTHING, RETAINED)
      for (let chunk = 0; chunk < old.delta_chunks_retained; chunk++)
        await send(topics.deltaChunk(agency, list, old.version, chunk), NOTHING, RETAINED)
      await database.writeBatch([
        build
          .updateTable('hotlist_versions')
          .set({ chunks_retained: 0, delta_chunks_retained: 0 })
          .where('list', '=', list)
          .where('version', '=', old.version),
      ])
    }
  }

  /** Of a version made earlier. Without the rows of the one before its delta's chunks do not come, and cameras take the snapshot. */
  async function packAgain(list: string, version: number, key: ListKey, delta: Delta | null): Promise<Packed> {
    const from = delta === null ? null : await versionOf(list, delta.fromVersion)
    const start = delta === null || from === null || !from.isKept ? null : { ...delta, dates: from.dates }
    return await walk(list, version, { key, dates: (await versionOf(list, version)).dates }, start)
  }

  return {
    versionOf,
    deltaStart,
    walk,
    /** `packed`: the version's chunks where they were made just now. */
    async publishList(
      list: string,
      version: number,
      send: Publish,
      packed: Packed | null = null,
      onStep?: OnEnforceStep,
    ): Promise<void> {
      const { sealed, manifest, isPublished } = await versionOf(list, version)
      // What is retained outlives a restart: a million rows need not go out again.
      if (sealed === null || isPublished) return
      const key = deps.keys.find(manifest?.keyId ?? '')
      // Made for a key that is no more: the version that takes its place is on its way.
      if (key === null) return
      const { chunks, deltaChunks } = packed ?? (await packAgain(list, version, key, manifest?.delta ?? null))
      // Chunks first: a camera that sees the manifest finds all of them.
      for (const [topicOf, payloads] of [
        [topics.snapshotChunk, chunks],
        [topics.deltaChunk, deltaChunks],
      ] as const) {
        for (const [number, chunk] of payloads.entries()) {
          onStep?.('publishing', number, payloads.length)
          await send(topicOf(agency, list, version, number), chunk, RETAINED)
          await clock.sleep(0)
        }
      }
      await send(topics.manifest(agency, list), Buffer.from(sealed), RETAINED)
      await clearOlder(list, version, send)
      await database.writeBatch([
        build
          .updateTable('hotlist_versions')
          .set({ published: 1 })
          .where('list', '=', list)
          .where('version', '=', version),
      ])
    },
  }
}

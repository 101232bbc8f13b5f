/** What the tests of the camera's lists share: a world with real files and a clock that stands still, and versions as the cloud makes them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { createListKey, LIST_KEY_BYTES } from '../../shared/list-key.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem, sha256Hex } from '../../shared/signing.ts'
import { openDatabase, type SqliteDatabase } from '../../shared/sqlite.ts'
import {
  DELTA_RECORD_BYTES,
  type Delta,
  type HotlistAck,
  hotlistAckSchema,
  type ListKeyAnswer,
  type Manifest,
  RECORD_ORDER_BYTES,
  type RecordFields,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
  writePut,
  writeRecord,
  writeRemoval,
} from '../../shared/wire/index.ts'
import { createHotlists, type Hotlists, type MatchedRead, type Wanted } from './hotlist.ts'

export const NOW = 1_790_000_000_000
export const DAY = 86_400_000
export const AGENCY = 'springfield'
export const signer = createSigner(newSigningKeyPem().privateKeyPem)
const secret = Buffer.alloc(LIST_KEY_BYTES, 7)
export const key = createListKey(secret)
export const CAMERA = 'north'
export const stranger = createSigner(newSigningKeyPem().privateKeyPem)

export interface World {
  hotlists: Hotlists
  database: SqliteDatabase
  time: { nowMs: number; monotonicMs: number }
  /** What the policy says. */
  rules: { staleLists: 'mark' | 'stop' }
  /** The same files opened by a new process, which has been given the key. */
  restart(): Hotlists
  /** One that has not. */
  restartWithoutKey(): Hotlists
}

export async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-hotlist-'))
  const database = openDatabase(join(folder, 'lists.db'))
  const time = { nowMs: NOW, monotonicMs: 0 }
  const clock = { ...systemClock, nowMs: () => time.nowMs, monotonicMs: () => time.monotonicMs }
  const verifier = createVerifier([signer.publicKeyPem])
  const rules: World['rules'] = { staleLists: 'mark' }
  const staleLists = () => rules.staleLists
  const restartWithoutKey = () =>
    createHotlists({ database, verifier, agency: AGENCY, clock, log: silentLog, staleLists })
  const restart = () => {
    const hotlists = restartWithoutKey()
    assert.is(hotlists.takeKey(sealed(keyAnswer()), { cameraId: CAMERA, requestId: entryId(0) }), null)
    return hotlists
  }
  try {
    await work({ hotlists: restart(), database, time, rules, restart, restartWithoutKey })
  } finally {
    database.close()
    rmSync(folder, { recursive: true })
  }
}

export const entryId = (n: number) => `01900000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
/** What the cloud answers to the request `entryId(0)` of CAMERA. */
export const keyAnswer = (change: Partial<ListKeyAnswer> = {}): ListKeyAnswer => ({
  ...{ agency: AGENCY, cameraId: CAMERA, requestId: entryId(0), keyId: key.keyId, key: secret.toString('base64') },
  ...change,
})
export const entry = (n: number, plate: string, change: Partial<RecordFields> = {}): RecordFields => ({
  entryId: entryId(n),
  digest: key.digest(plate),
  jurisdiction: null,
  priority: 3,
  rule: 'near',
  effectiveAtMs: null,
  expiresAtMs: null,
  ...change,
})

/** The entries' records, in the order given. */
export function recordsOf(entries: readonly RecordFields[]): Buffer {
  const bytes = Buffer.alloc(entries.length * SNAPSHOT_RECORD_BYTES)
  for (const [index, each] of entries.entries()) writeRecord(bytes, index * SNAPSHOT_RECORD_BYTES, each)
  return bytes
}

/** As the cloud sorts them. */
export function inOrder(entries: readonly RecordFields[]): RecordFields[] {
  const record = (each: RecordFields) => recordsOf([each]).subarray(0, RECORD_ORDER_BYTES)
  return [...entries].sort((a, b) => record(a).compare(record(b)))
}

/** What leads from the first to the second, as the cloud sorts it: entries of the same id are the same. */
export function changesOf(before: readonly RecordFields[], after: readonly RecordFields[]): Buffer {
  const kept = new Map(before.map((each) => [each.entryId, each]))
  const put = after.filter((each) => !recordsOf([each]).equals(recordsOf([kept.get(each.entryId) ?? entry(0, '')])))
  const there = new Set(after.map(({ entryId: id }) => id))
  const gone = before.filter(({ entryId: id }) => !there.has(id))
  const records = inOrder([...put, ...gone])
  const bytes = Buffer.alloc(records.length * DELTA_RECORD_BYTES)
  for (const [index, each] of records.entries()) {
    const write = gone.includes(each) ? writeRemoval : writePut
    write(bytes, index * DELTA_RECORD_BYTES, each)
  }
  return bytes
}

/** Bytes of `count` records. */
export const records = (count: number) => count * SNAPSHOT_RECORD_BYTES

export interface Version {
  manifest: Manifest
  chunks: Buffer[]
}

/** A version as the cloud would make it, in chunks of `chunkBytes`. */
export function versionOf(
  version: number,
  entries: readonly RecordFields[],
  change: Partial<Manifest> = {},
  chunkBytes = SNAPSHOT_CHUNK_BYTES - (SNAPSHOT_CHUNK_BYTES % SNAPSHOT_RECORD_BYTES),
): Version {
  const snapshot = recordsOf(inOrder(entries))
  const chunks: Buffer[] = []
  for (let at = 0; at < snapshot.length; at += chunkBytes) chunks.push(snapshot.subarray(at, at + chunkBytes))
  const manifest: Manifest = {
    agency: AGENCY,
    list: 'stolen',
    version,
    minimumVersion: 1,
    entries: entries.length,
    chunks: chunks.length,
    bytes: snapshot.length,
    digest: sha256Hex(snapshot),
    delta: null,
    keyId: key.keyId,
    issuedAtMs: NOW - DAY,
    expiresAtMs: NOW + DAY,
    ...change,
  }
  return { manifest, chunks }
}

export interface VersionWithDelta extends Version {
  deltaChunks: Buffer[]
}

/** The version with these changes as its delta from `from`. */
export function withDelta(
  version: Version,
  from: Version,
  changes: Buffer,
  change: Partial<Delta> = {},
  chunkBytes = SNAPSHOT_CHUNK_BYTES - (SNAPSHOT_CHUNK_BYTES % DELTA_RECORD_BYTES),
): VersionWithDelta {
  const deltaChunks: Buffer[] = []
  for (let at = 0; at < changes.length; at += chunkBytes) deltaChunks.push(changes.subarray(at, at + chunkBytes))
  const delta: Delta = {
    fromVersion: from.manifest.version,
    fromDigest: from.manifest.digest,
    chunks: deltaChunks.length,
    bytes: changes.length,
    digest: sha256Hex(changes),
    entries: changes.length / DELTA_RECORD_BYTES,
    ...change,
  }
  return { manifest: { ...version.manifest, delta }, chunks: version.chunks, deltaChunks }
}

export const sealed = (document: unknown, by = signer) =>
  Buffer.from(JSON.stringify(by.seal(Buffer.from(JSON.stringify(document)))))

export function offer(hotlists: Hotlists, { manifest }: Version): HotlistAck | null {
  return hotlists.takeManifest(manifest.list, sealed(manifest))
}

/** Of the snapshot, or as many of a delta. */
export function giveChunks(
  hotlists: Hotlists,
  { manifest: { list, version }, chunks }: Pick<Version, 'manifest' | 'chunks'>,
  kind: Wanted['kind'] = 'snapshot',
): void {
  for (const [chunk, payload] of chunks.entries()) hotlists.takeChunk({ kind, list, version }, chunk, payload)
}

/** Manifest, the delta's chunks and what became of it. */
export async function deliverDelta(hotlists: Hotlists, version: VersionWithDelta): Promise<HotlistAck | null> {
  const refused = offer(hotlists, version)
  if (refused !== null) return hotlistAckSchema.parse(refused)
  giveChunks(hotlists, { ...version, chunks: version.deltaChunks }, 'delta')
  const ack = await hotlists.advance()
  return ack === null ? null : hotlistAckSchema.parse(ack)
}

/** Manifest, chunks and what became of it. */
export async function deliver(hotlists: Hotlists, version: Version): Promise<HotlistAck | null> {
  const refused = offer(hotlists, version)
  if (refused !== null) return hotlistAckSchema.parse(refused)
  giveChunks(hotlists, version)
  const ack = await hotlists.advance()
  return ack === null ? null : hotlistAckSchema.parse(ack)
}

export const readOf = (plate: string, candidates: MatchedRead['candidates'] = [], state: string | null = null) => ({
  plate,
  candidates,
  jurisdiction: state === null ? null : { code: state },
})

export const found = (hotlists: Hotlists, plate: string, nowMs = NOW) => {
  const match = hotlists.match(readOf(plate), nowMs)
  return match === null ? null : `${match.list} v${match.listVersion} ${match.kind}`
}

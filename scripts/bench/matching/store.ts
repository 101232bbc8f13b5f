/**
 * The camera's list with so many entries: how long one match takes, how long applying it does and holds up everything else, and its file; and
 * the same of a delta to the next version.
 */
import { statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { createDeltaBuilder } from '../../../cloud/hotlists/delta.ts'
import { createSnapshotBuilder, sealManifest } from '../../../cloud/hotlists/snapshot.ts'
import { createHotlists, type Hotlists } from '../../../edge/hotlist/hotlist.ts'
import { systemClock } from '../../../shared/clock.ts'
import { AppError } from '../../../shared/errors.ts'
import { newId, newSecret } from '../../../shared/ids.ts'
import { createListKey, LIST_KEY_BYTES, type ListKey } from '../../../shared/list-key.ts'
import { silentLog } from '../../../shared/log.ts'
import { CONFUSABLE_CLASSES } from '../../../shared/plate.ts'
import { createSigner, createVerifier, newSigningKeyPem, type Signer } from '../../../shared/signing.ts'
import { openDatabase } from '../../../shared/sqlite.ts'
import type { ListKeyAnswer, Manifest } from '../../../shared/wire/index.ts'
import { quantile } from '../statistics.ts'
import { inventedEntry, inventedPlates } from './invented.ts'

const AGENCY = 'bench'
const LIST = 'stolen'
const CAMERA = 'bench'
/** Matches of each kind that are timed, after as many that are not. */
const MATCHES = 5_000
const DAY_MS = 86_400_000
/** Of a delta: so many entries come, as many go, and half as many change. */
const DELTA_CHANGES = 10_000
/** Lists in which that is less than a delta may have. */
const DELTA_FROM_ENTRIES = 100_000
/** Nothing on the camera can compare it with the entries: it stands for the digest of a snapshot that is not made. */
const NEXT_DIGEST = '0'.repeat(64)

export interface DeltaScore {
  changes: number
  bytes: number
  snapshotBytes: number
  applyMs: number
  longestStallMs: number
  /** As in StoreScore, after it. */
  exactUs: [number, number]
  nearUs: [number, number]
}

export interface StoreScore {
  entries: number
  /** Median and 95th percentile, µs: a read that is listed. */
  exactUs: [number, number]
  /** A read that is not, with every text that it may have been. */
  nearUs: [number, number]
  /** Texts looked up for one of these, on average. */
  variants: number
  applyMs: number
  longestStallMs: number
  fileBytes: number
  /** What the process holds more than before, bytes. */
  residentBytes: number
  /** null: on a list as short as this it would be no delta. */
  delta: DeltaScore | null
}

export interface FilledStore {
  hotlists: Hotlists
  applyMs: number
  longestStallMs: number
  file: string
  key: ListKey
  manifest: Manifest
  /** Brings the next version in. */
  apply(manifest: Manifest, chunks: readonly Buffer[]): Promise<{ applyMs: number; longestStallMs: number }>
  close(): Promise<void>
}

/** A camera's list with these plates, brought in as over the wire. */
export async function fillStore(plates: readonly string[]): Promise<FilledStore> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const file = join(folder, 'lists.db')
  const database = openDatabase(file)
  const signer = createSigner(newSigningKeyPem().privateKeyPem)
  const verifier = createVerifier([signer.publicKeyPem])
  const hotlists = createHotlists({
    database,
    verifier,
    agency: AGENCY,
    clock: systemClock,
    log: silentLog,
    staleLists: () => 'mark',
  })
  const secret = Buffer.from(newSecret(LIST_KEY_BYTES), 'base64url')
  const key = createListKey(secret)
  giveKey(hotlists, signer, key.keyId, secret)
  const builder = createSnapshotBuilder(key, turn)
  for (const [index, plate] of plates.entries()) await builder.add(inventedEntry(plate, index))
  const { totals, chunks } = await builder.end()
  const nowMs = Date.now()
  const manifest: Manifest = {
    ...{ agency: AGENCY, list: LIST, version: 1, minimumVersion: 1, ...totals, delta: null, keyId: key.keyId },
    ...{ issuedAtMs: nowMs, expiresAtMs: nowMs + DAY_MS },
  }
  const apply: FilledStore['apply'] = async (next, chunks) => {
    const refused = hotlists.takeManifest(LIST, Buffer.from(sealManifest(signer, next)))
    const { wanted } = hotlists
    if (refused !== null || wanted === null) throw new AppError('internal', `the list was refused: ${refused?.reason}`)
    for (const [number, chunk] of chunks.entries()) hotlists.takeChunk(wanted, number, chunk)
    const stalls = monitorEventLoopDelay({ resolution: 1 })
    stalls.enable()
    const startedMs = performance.now()
    const ack = await hotlists.advance()
    const applyMs = performance.now() - startedMs
    stalls.disable()
    if (ack?.result !== 'applied') throw new AppError('internal', `the list was not applied: ${ack?.reason}`)
    return { applyMs, longestStallMs: stalls.max / 1e6 }
  }
  return {
    ...{ hotlists, file, key, manifest, apply, ...(await apply(manifest, chunks)) },
    async close() {
      database.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The next version by a delta: every so manieth entry goes or is more urgent, and the first of `fresh` come. */
async function measureDelta(store: FilledStore, listed: readonly string[], fresh: readonly string[]) {
  const { hotlists, key, manifest, apply } = store
  const changes = createDeltaBuilder(key, turn)
  const each = (DELTA_CHANGES * 2) / 5
  const stride = Math.floor(listed.length / (each * 2))
  for (let i = 0; i < each; i++) {
    const gone = inventedEntry(listed[i * stride * 2] ?? '', i * stride * 2)
    await changes.add(gone, null)
    await changes.add(null, inventedEntry(fresh[i] ?? '', listed.length + i))
    if (i % 2 === 1) continue
    const kept = inventedEntry(listed[i * stride * 2 + 1] ?? '', i * stride * 2 + 1)
    await changes.add(kept, { ...kept, priority: (kept.priority % 5) + 1 })
  }
  const packed = await changes.end(manifest.bytes)
  if (packed === null) throw new AppError('internal', 'so many changes make no delta')
  const from = { fromVersion: manifest.version, fromDigest: manifest.digest }
  const delta = { ...from, ...packed.totals }
  const next = { ...manifest, version: 2, digest: NEXT_DIGEST, delta, issuedAtMs: Date.now() }
  const { applyMs, longestStallMs } = await apply(next, packed.chunks)
  if (hotlists.match(readOf(fresh[0] ?? ''), Date.now())?.listVersion !== 2)
    throw new AppError('internal', 'the delta does not match')
  return { changes: delta.entries, bytes: delta.bytes, snapshotBytes: manifest.bytes, applyMs, longestStallMs }
}

function giveKey(hotlists: Hotlists, signer: Signer, keyId: string, secret: Buffer): void {
  const requestId = newId()
  const answer: ListKeyAnswer = { agency: AGENCY, cameraId: CAMERA, requestId, keyId, key: secret.toString('base64') }
  const envelope = Buffer.from(JSON.stringify(signer.seal(Buffer.from(JSON.stringify(answer)))))
  const reason = hotlists.takeKey(envelope, { cameraId: CAMERA, requestId })
  if (reason !== null) throw new AppError('internal', reason)
}

/** As a reader gives them: the read, and two texts in which one character is another. */
function readOf(plate: string) {
  const swap = (at: number) => {
    const others = CONFUSABLE_CLASSES.find((members) => members.includes(plate.charAt(at))) ?? 'MH'
    const other = [...others].find((member) => member !== plate.charAt(at)) ?? 'X'
    return plate.slice(0, at) + other + plate.slice(at + 1)
  }
  const candidates = [
    { plate, confidence: 0.9 },
    { plate: swap(0), confidence: 0.2 },
    { plate: swap(4), confidence: 0.1 },
  ]
  return { plate, candidates, jurisdiction: null }
}

function timed(hotlists: Hotlists, reads: readonly ReturnType<typeof readOf>[]): [number, number] {
  const times: number[] = []
  const nowMs = Date.now()
  for (const [index, read] of reads.entries()) {
    const startedMs = performance.now()
    hotlists.match(read, nowMs)
    if (index >= MATCHES) times.push((performance.now() - startedMs) * 1_000)
  }
  return [quantile(times, 0.5), quantile(times, 0.95)]
}

export async function measureStore(entries: number): Promise<StoreScore> {
  const plates = inventedPlates(entries + 2 * MATCHES + DELTA_CHANGES, 1)
  const listed = plates.slice(0, entries)
  const strangers = plates.slice(entries, entries + 2 * MATCHES)
  const fresh = plates.slice(entries + 2 * MATCHES)
  const before = process.memoryUsage.rss()
  const store = await fillStore(listed)
  try {
    const { hotlists, applyMs, longestStallMs, file } = store
    const exact = Array.from({ length: 2 * MATCHES }, (_, i) => readOf(listed[(i * 7_919) % entries] ?? ''))
    const near = strangers.map(readOf)
    const { nearVariants } = await import('../../../shared/plate.ts')
    const variants = near.reduce((sum, read) => sum + 1 + nearVariants(read.plate, read.candidates).length, 0)
    const score = {
      entries,
      exactUs: timed(hotlists, exact),
      nearUs: timed(hotlists, near),
      variants: variants / near.length,
      ...{ applyMs, longestStallMs },
      fileBytes: statSync(file).size,
      residentBytes: process.memoryUsage.rss() - before,
    }
    if (entries < DELTA_FROM_ENTRIES) return { ...score, delta: null }
    const measured = await measureDelta(store, listed, fresh)
    return { ...score, delta: { ...measured, exactUs: timed(hotlists, exact), nearUs: timed(hotlists, near) } }
  } finally {
    await store.close()
  }
}

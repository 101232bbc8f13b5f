/** One snapshot being received: collects chunks on disk, checks the whole, writes the entries as a new generation. */
import { createHash } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'
import {
  EARLIEST_TIME_MS,
  LATEST_TIME_MS,
  type Manifest,
  RECORD_ORDER_BYTES,
  type RecordFields,
  readRecord,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
  snapshotEntrySchema,
} from '../../shared/wire/index.ts'
import type { ListTables } from './tables.ts'

/** Entries of one transaction: keeps the event loop free (under 50 ms on a Raspberry Pi class machine). */
const ENTRIES_PER_STEP = 500

export interface Snapshot {
  readonly manifest: Manifest
  readonly generation: number
  /** Returns true when it was taken: a chunk that is not part of this snapshot, too long, or beyond the stated bytes is not. */
  add(chunk: number, payload: Uint8Array): boolean
  readonly complete: boolean
  /** Checks digest, bytes, count and every entry, then writes the entries. Nothing matches yet. Throws `integrity`, `storage_full`. */
  write(): Promise<void>
}

/** `turn` lets the event loop go on between steps. */
export function createSnapshot(manifest: Manifest, tables: ListTables, turn: () => Promise<void>): Snapshot {
  const generation = tables.newGeneration()
  const received = new Map<number, number>()
  let receivedBytes = 0

  /** An empty chunk cannot be retained in MQTT, so an empty list has nothing to wait for. */
  const isComplete = () =>
    receivedBytes === manifest.bytes && (manifest.bytes === 0 || received.size === manifest.chunks)

  async function check(): Promise<void> {
    const hash = createHash('sha256')
    for (let chunk = 0; manifest.bytes > 0 && chunk < manifest.chunks; chunk++) {
      hash.update(payloadOf(chunk))
      await turn()
    }
    if (hash.digest('hex') !== manifest.digest) throw new AppError('integrity', 'the digest does not match the chunks')
  }

  function payloadOf(chunk: number): Buffer {
    const payload = tables.chunk(generation, chunk)
    if (payload === null) throw new AppError('integrity', `chunk ${chunk} is missing`)
    return payload
  }

  return {
    manifest,
    generation,
    add(chunk, payload) {
      if (!Number.isInteger(chunk) || chunk < 0 || chunk >= manifest.chunks || payload.length > SNAPSHOT_CHUNK_BYTES)
        return false
      const before = received.get(chunk) ?? 0
      if (receivedBytes - before + payload.length > manifest.bytes) return false
      tables.putChunk(generation, chunk, payload)
      received.set(chunk, payload.length)
      receivedBytes += payload.length - before
      return true
    },
    get complete() {
      return isComplete()
    },
    async write() {
      if (!isComplete()) throw new AppError('integrity', 'chunks are missing')
      await check()
      let count = 0
      let last: Buffer = Buffer.alloc(0)
      for (let chunk = 0; manifest.bytes > 0 && chunk < manifest.chunks; chunk++) {
        const bytes = payloadOf(chunk)
        if (bytes.length % SNAPSHOT_RECORD_BYTES !== 0)
          throw new AppError('integrity', `chunk ${chunk} holds no whole entries`)
        const entries: RecordFields[] = []
        for (let at = 0; at < bytes.length; at += SNAPSHOT_RECORD_BYTES, count++) {
          const order = bytes.subarray(at, at + RECORD_ORDER_BYTES)
          // Sorted and so without repeats: each entry once.
          if (last.compare(order) >= 0) throw new AppError('integrity', `entry ${count} is out of order`)
          last = order
          entries.push(checkedEntry(bytes, at, count))
          if (entries.length < ENTRIES_PER_STEP && at + SNAPSHOT_RECORD_BYTES < bytes.length) continue
          tables.putEntries(generation, entries.splice(0))
          await turn()
        }
        if (count > manifest.entries) break
      }
      if (count !== manifest.entries) {
        throw new AppError('integrity', `${manifest.entries} entries are announced, there are ${count}`)
      }
    },
  }
}

/** By hand what snapshotEntrySchema says: a million entries through it take a camera a minute. */
function checkedEntry(bytes: Buffer, at: number, index: number): RecordFields {
  const entry = readRecord(bytes, at)
  const { shape } = snapshotEntrySchema
  const isKnown = entry.jurisdiction === null || shape.jurisdiction.safeParse(entry.jurisdiction).success
  const isTime = [entry.effectiveAtMs, entry.expiresAtMs].every(
    (timeMs) => timeMs === null || (timeMs >= EARLIEST_TIME_MS && timeMs <= LATEST_TIME_MS),
  )
  const isRule = (bytes[at + SNAPSHOT_RECORD_BYTES - 1] ?? 2) <= 1
  if (!isKnown || !isTime || !isRule || entry.priority < 1 || entry.priority > 5 || entry.entryId.charAt(14) !== '7') {
    throw new AppError('integrity', `entry ${index}: not an entry`)
  }
  return entry
}

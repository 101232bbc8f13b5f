/** One snapshot being received: collects chunks on disk, checks the whole, writes the entries as a new generation. */
import { createHash } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'
import { confusableKey } from '../../shared/plate.ts'
import {
  type Manifest,
  parseWire,
  SNAPSHOT_CHUNK_BYTES,
  type SnapshotEntry,
  snapshotEntrySchema,
} from '../../shared/wire/index.ts'
import type { ListTables } from './tables.ts'

/** Entries of one transaction: keeps the event loop free (under 50 ms on a Raspberry Pi class machine). */
const ENTRIES_PER_STEP = 250
/** Longest line of a snapshot, bytes; a real one is under 300. */
const MAX_LINE_BYTES = 1_024

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
      let lastId = ''
      let rest: Buffer = Buffer.alloc(0)
      for (let chunk = 0; manifest.bytes > 0 && chunk < manifest.chunks; chunk++) {
        const bytes = Buffer.concat([rest, payloadOf(chunk)])
        const end = bytes.lastIndexOf(0x0a) + 1
        rest = bytes.subarray(end)
        if (rest.length > MAX_LINE_BYTES) throw new AppError('integrity', 'a line is too long')
        const lines =
          end === 0
            ? []
            : bytes
                .subarray(0, end - 1)
                .toString('utf8')
                .split('\n')
        for (let from = 0; from < lines.length; from += ENTRIES_PER_STEP) {
          const entries = lines.slice(from, from + ENTRIES_PER_STEP).map((line, index) => {
            const entry = parseEntry(line, count + from + index)
            // Sorted and so without repeats: each entry once.
            if (entry.entryId <= lastId)
              throw new AppError('integrity', `entry ${count + from + index} is out of order`)
            lastId = entry.entryId
            return { entry, key: confusableKey(entry.plate) }
          })
          tables.putEntries(generation, entries)
          await turn()
        }
        count += lines.length
        if (count > manifest.entries) break
      }
      if (rest.length > 0) throw new AppError('integrity', 'the last line is not ended')
      if (count !== manifest.entries) {
        throw new AppError('integrity', `${manifest.entries} entries are announced, there are ${count}`)
      }
    },
  }
}

function parseEntry(line: string, index: number): SnapshotEntry {
  const parsed = parseWire(snapshotEntrySchema, Buffer.from(line), MAX_LINE_BYTES)
  if (!parsed.ok) throw new AppError('integrity', `entry ${index}: ${parsed.reason}`)
  return parsed.value
}

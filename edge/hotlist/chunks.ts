/** Chunks on their way, of a snapshot or a delta: collected on disk, checked as a whole, and read record by record. Called by snapshot.ts and delta.ts. */
import { createHash } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'
import { RECORD_ORDER_BYTES, SNAPSHOT_CHUNK_BYTES } from '../../shared/wire/index.ts'
import type { ListTables } from './tables.ts'

/** What the manifest says of them. */
export interface Announced {
  chunks: number
  bytes: number
  /** SHA-256 over all chunks in order, hex. */
  digest: string
  /** Records. */
  entries: number
}

export interface Chunks {
  /** Returns true when it was taken: a chunk that is none of these, too long, or beyond the stated bytes is not. */
  add(chunk: number, payload: Uint8Array): boolean
  readonly complete: boolean
  /** Throws `integrity` unless all of them are there and are what the digest says. */
  check(): Promise<void>
  /**
   * Reads records of `recordBytes`, in strict order of digest and entryId, and hands them over in steps of `perStep`. Throws `integrity` for one out
   * of order, half a record or another number of them, and what `parse` and `write` throw.
   */
  eachStep<T>(
    form: { recordBytes: number; perStep: number },
    parse: (bytes: Buffer, at: number, index: number) => T,
    write: (parsed: T[]) => void,
  ): Promise<void>
}

/** `turn` lets the event loop go on between steps. */
export function createChunks(
  announced: Announced,
  generation: number,
  tables: Pick<ListTables, 'chunk' | 'putChunk'>,
  turn: () => Promise<void>,
): Chunks {
  const received = new Map<number, number>()
  let receivedBytes = 0
  /** An empty chunk cannot be retained in MQTT, so where there are no bytes there is nothing to wait for. */
  const count = announced.bytes === 0 ? 0 : announced.chunks
  const isComplete = () => receivedBytes === announced.bytes && received.size >= count

  function payloadOf(chunk: number): Buffer {
    const payload = tables.chunk(generation, chunk)
    if (payload === null) throw new AppError('integrity', `chunk ${chunk} is missing`)
    return payload
  }

  return {
    add(chunk, payload) {
      if (!Number.isInteger(chunk) || chunk < 0 || chunk >= announced.chunks || payload.length > SNAPSHOT_CHUNK_BYTES)
        return false
      const before = received.get(chunk) ?? 0
      if (receivedBytes - before + payload.length > announced.bytes) return false
      tables.putChunk(generation, chunk, payload)
      received.set(chunk, payload.length)
      receivedBytes += payload.length - before
      return true
    },
    get complete() {
      return isComplete()
    },
    async check() {
      if (!isComplete()) throw new AppError('integrity', 'chunks are missing')
      const hash = createHash('sha256')
      for (let chunk = 0; chunk < count; chunk++) {
        hash.update(payloadOf(chunk))
        await turn()
      }
      if (hash.digest('hex') !== announced.digest)
        throw new AppError('integrity', 'the digest does not match the chunks')
    },
    async eachStep<T>(
      { recordBytes, perStep }: { recordBytes: number; perStep: number },
      parse: (bytes: Buffer, at: number, index: number) => T,
      write: (parsed: T[]) => void,
    ) {
      let index = 0
      let last: Buffer = Buffer.alloc(0)
      for (let chunk = 0; chunk < count && index <= announced.entries; chunk++) {
        const bytes = payloadOf(chunk)
        if (bytes.length % recordBytes !== 0) throw new AppError('integrity', `chunk ${chunk} holds no whole entries`)
        const parsed: T[] = []
        for (let at = 0; at < bytes.length; at += recordBytes, index++) {
          const order = bytes.subarray(at, at + RECORD_ORDER_BYTES)
          // Sorted and so without repeats: each entry once.
          if (last.compare(order) >= 0) throw new AppError('integrity', `entry ${index} is out of order`)
          last = order
          parsed.push(parse(bytes, at, index))
          if (parsed.length < perStep && at + recordBytes < bytes.length) continue
          write(parsed.splice(0))
          await turn()
        }
      }
      if (index !== announced.entries) {
        throw new AppError('integrity', `${announced.entries} entries are announced, there are ${index}`)
      }
    },
  }
}

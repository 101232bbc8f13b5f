/** Records of one length, added in any order, sorted by digest and id, and cut into chunks: of snapshots and deltas. Called by snapshot.ts and delta.ts. */
import { createHash } from 'node:crypto'
import { RECORD_ORDER_BYTES, SNAPSHOT_CHUNK_BYTES } from '../../shared/wire/index.ts'

/** Records digested, moved or hashed between two turns of the event loop; about 5 ms. */
const RECORDS_PER_STEP = 1_000
/** Records come into blocks of so many: one buffer that grows stops the event loop for 100 ms when half a million are copied. */
const BLOCK_RECORDS = 16_384
/** Records are first put into so many places by the first two bytes of their digest: then each place is sorted by itself. */
const PLACES = 65_536

export interface RecordTotals {
  /** Records. */
  entries: number
  chunks: number
  bytes: number
  /** SHA-256 over all chunks in order, hex. */
  digest: string
}

export interface SortedRecords {
  readonly count: number
  /** `write` writes one record at `at` of `into`. */
  add(write: (into: Buffer, at: number) => void): Promise<void>
  /** The chunks in order, of whole records; without a record there is none. */
  end(): Promise<{ totals: RecordTotals; chunks: Buffer[] }>
}

/** `turn` lets the event loop go on between steps. Holds all records twice while they are sorted: 104 MB for a million entries. */
export function createSortedRecords(recordBytes: number, turn: () => Promise<unknown>): SortedRecords {
  const chunkBytes = SNAPSHOT_CHUNK_BYTES - (SNAPSHOT_CHUNK_BYTES % recordBytes)
  const blocks: Buffer[] = []
  let count = 0

  async function everyStep(done: number): Promise<void> {
    if (done % RECORDS_PER_STEP === 0) await turn()
  }

  const blockOf = (index: number) => blocks[Math.floor(index / BLOCK_RECORDS)] as Buffer
  const startOf = (index: number) => (index % BLOCK_RECORDS) * recordBytes

  /** The records in the order of their first bytes, as a camera's table takes them fastest. */
  async function sorted(): Promise<Buffer> {
    const ends = new Uint32Array(PLACES + 1)
    const placeOf = (index: number) => blockOf(index).readUInt16BE(startOf(index))
    for (let index = 0; index < count; index++) {
      const after = placeOf(index) + 1
      ends[after] = (ends[after] ?? 0) + 1
      await everyStep(index)
    }
    for (let place = 0; place < PLACES; place++) ends[place + 1] = (ends[place + 1] ?? 0) + (ends[place] ?? 0)
    const next = ends.slice()
    const into = Buffer.alloc(count * recordBytes)
    for (let index = 0; index < count; index++) {
      const place = placeOf(index)
      const at = next[place] ?? 0
      next[place] = at + 1
      blockOf(index).copy(into, at * recordBytes, startOf(index), startOf(index) + recordBytes)
      await everyStep(index)
    }
    let turnAt = RECORDS_PER_STEP
    for (let place = 0; place < PLACES; place++) {
      const end = ends[place + 1] ?? 0
      sortWithin(into, recordBytes, ends[place] ?? 0, end)
      if (end < turnAt) continue
      turnAt = end + RECORDS_PER_STEP
      await turn()
    }
    return into
  }

  return {
    get count() {
      return count
    },
    async add(write) {
      if (count % BLOCK_RECORDS === 0) blocks.push(Buffer.alloc(BLOCK_RECORDS * recordBytes))
      write(blockOf(count), startOf(count))
      count += 1
      await everyStep(count)
    },
    async end() {
      const all = await sorted()
      const hash = createHash('sha256')
      const chunks: Buffer[] = []
      for (let at = 0; at < all.length; at += chunkBytes) {
        const chunk = all.subarray(at, at + chunkBytes)
        hash.update(chunk)
        chunks.push(chunk)
        await turn()
      }
      const totals = { entries: count, chunks: chunks.length, bytes: all.length, digest: hash.digest('hex') }
      return { totals, chunks }
    },
  }
}

/** The records from `from` up to `to`, by digest and id; a place holds few. */
function sortWithin(records: Buffer, recordBytes: number, from: number, to: number): void {
  if (to - from < 2) return
  const own: Buffer[] = []
  for (let index = from; index < to; index++) {
    own.push(Buffer.from(records.subarray(index * recordBytes, (index + 1) * recordBytes)))
  }
  own.sort((a, b) => a.compare(b, 0, RECORD_ORDER_BYTES, 0, RECORD_ORDER_BYTES))
  for (const [index, record] of own.entries()) record.copy(records, (from + index) * recordBytes)
}

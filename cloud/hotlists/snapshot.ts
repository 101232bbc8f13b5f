/** A list as cameras get it: records with keyed digests, sorted, in chunks, described by a signed manifest. No plate, reason or case number travels. */
import { createHash } from 'node:crypto'
import type { ListKey } from '../../shared/list-key.ts'
import type { Signer } from '../../shared/signing.ts'
import {
  type Manifest,
  RECORD_ORDER_BYTES,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
  writeRecord,
} from '../../shared/wire/index.ts'
import type { ListEntry } from './matcher.ts'

/** Records digested, moved or hashed between two turns of the event loop; about 5 ms. */
const RECORDS_PER_STEP = 1_000
const FIRST_ROOM_RECORDS = 1_024
/** Records are first put into so many places by the first two bytes of their digest: then each place is sorted by itself. */
const PLACES = 65_536
const CHUNK_BYTES = SNAPSHOT_CHUNK_BYTES - (SNAPSHOT_CHUNK_BYTES % SNAPSHOT_RECORD_BYTES)

export interface SnapshotTotals {
  entries: number
  chunks: number
  bytes: number
  /** SHA-256 over all chunks in order, hex. */
  digest: string
}

export interface SnapshotBuilder {
  /** In any order. */
  add(entry: ListEntry): Promise<void>
  /** The chunks in order; an empty list has none. */
  end(): Promise<{ totals: SnapshotTotals; chunks: Buffer[] }>
}

/** `turn` lets the event loop go on between steps. Holds the whole snapshot twice while it is sorted: 104 MB for a million entries. */
export function createSnapshotBuilder(key: ListKey, turn: () => Promise<unknown>): SnapshotBuilder {
  let records = Buffer.alloc(FIRST_ROOM_RECORDS * SNAPSHOT_RECORD_BYTES)
  let count = 0

  async function everyStep(done: number): Promise<void> {
    if (done % RECORDS_PER_STEP === 0) await turn()
  }

  /** The records in the order of their first bytes, as a camera's table takes them fastest. */
  async function sorted(): Promise<Buffer> {
    const ends = new Uint32Array(PLACES + 1)
    const placeOf = (index: number) => records.readUInt16BE(index * SNAPSHOT_RECORD_BYTES)
    for (let index = 0; index < count; index++) {
      const after = placeOf(index) + 1
      ends[after] = (ends[after] ?? 0) + 1
      await everyStep(index)
    }
    for (let place = 0; place < PLACES; place++) ends[place + 1] = (ends[place + 1] ?? 0) + (ends[place] ?? 0)
    const next = ends.slice()
    const into = Buffer.alloc(count * SNAPSHOT_RECORD_BYTES)
    for (let index = 0; index < count; index++) {
      const place = placeOf(index)
      const at = next[place] ?? 0
      next[place] = at + 1
      records.copy(into, at * SNAPSHOT_RECORD_BYTES, index * SNAPSHOT_RECORD_BYTES, (index + 1) * SNAPSHOT_RECORD_BYTES)
      await everyStep(index)
    }
    for (let place = 0; place < PLACES; place++) {
      sortWithin(into, ends[place] ?? 0, ends[place + 1] ?? 0)
      await everyStep(place)
    }
    return into
  }

  return {
    async add(entry) {
      const { rule } = entry
      // A pattern has no digest: the cloud alone matches it.
      if (rule === 'wildcard') return
      if ((count + 1) * SNAPSHOT_RECORD_BYTES > records.length) {
        const larger = Buffer.alloc(records.length * 2)
        records.copy(larger)
        records = larger
      }
      writeRecord(records, count * SNAPSHOT_RECORD_BYTES, { ...entry, rule, digest: key.digest(entry.plate) })
      count += 1
      await everyStep(count)
    },
    async end() {
      const all = await sorted()
      const hash = createHash('sha256')
      const chunks: Buffer[] = []
      for (let at = 0; at < all.length; at += CHUNK_BYTES) {
        const chunk = all.subarray(at, at + CHUNK_BYTES)
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
function sortWithin(records: Buffer, from: number, to: number): void {
  if (to - from < 2) return
  const own: Buffer[] = []
  for (let index = from; index < to; index++) {
    own.push(Buffer.from(records.subarray(index * SNAPSHOT_RECORD_BYTES, (index + 1) * SNAPSHOT_RECORD_BYTES)))
  }
  own.sort((a, b) => a.compare(b, 0, RECORD_ORDER_BYTES, 0, RECORD_ORDER_BYTES))
  for (const [index, record] of own.entries()) record.copy(records, (from + index) * SNAPSHOT_RECORD_BYTES)
}

/** The signed manifest, as it stands in the table and goes out. */
export function sealManifest(signer: Signer, manifest: Manifest): string {
  return JSON.stringify(signer.seal(Buffer.from(JSON.stringify(manifest))))
}

/** A manifest made by `sealManifest`; one of before there were keys names none. */
export function openManifest(sealed: string): Omit<Manifest, 'keyId'> & { keyId?: string } {
  const { payload } = JSON.parse(sealed) as { payload: string }
  return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Manifest
}

/** A list as cameras get it: lines of JSON in chunks, described by a signed manifest. No reasons and no case numbers travel. */
import { createHash } from 'node:crypto'
import type { Signer } from '../../shared/signing.ts'
import { type Manifest, SNAPSHOT_CHUNK_BYTES, type SnapshotEntry } from '../../shared/wire/hotlist.ts'
import type { ListEntry } from './matcher.ts'

export interface SnapshotTotals {
  entries: number
  chunks: number
  bytes: number
  /** SHA-256 over all chunks in order, hex. */
  digest: string
}

/** Packs entries, given in the order of their ids, into chunks of whole lines; `onChunk` gets each full one. */
export function createSnapshotWriter(onChunk: (chunk: Buffer, number: number) => Promise<void>) {
  const hash = createHash('sha256')
  let lines: string[] = []
  let waitingBytes = 0
  const totals = { entries: 0, chunks: 0, bytes: 0 }

  async function flush(): Promise<void> {
    const chunk = Buffer.from(lines.join(''))
    lines = []
    waitingBytes = 0
    hash.update(chunk)
    totals.bytes += chunk.length
    totals.chunks += 1
    await onChunk(chunk, totals.chunks - 1)
  }

  return {
    async add(entry: ListEntry): Promise<void> {
      const line = snapshotLine(entry)
      // The fields are ASCII, so a character is a byte.
      if (waitingBytes + line.length > SNAPSHOT_CHUNK_BYTES) await flush()
      lines.push(line)
      waitingBytes += line.length
      totals.entries += 1
    },
    /** Gives the last chunk; an empty list has none. */
    async end(): Promise<SnapshotTotals> {
      if (lines.length > 0) await flush()
      return { ...totals, digest: hash.digest('hex') }
    },
  }
}

function snapshotLine(entry: ListEntry): string {
  const line: SnapshotEntry = {
    entryId: entry.entryId,
    plate: entry.plate,
    jurisdiction: entry.jurisdiction,
    priority: entry.priority,
    rule: entry.rule,
    effectiveAtMs: entry.effectiveAtMs,
    expiresAtMs: entry.expiresAtMs,
  }
  return `${JSON.stringify(line)}\n`
}

/** The signed manifest, as it stands in the table and goes out. */
export function sealManifest(signer: Signer, manifest: Manifest): string {
  return JSON.stringify(signer.seal(Buffer.from(JSON.stringify(manifest))))
}

/**
 * One delta being received. Its changes are written into the rows of the version in force as a step that no match looks at yet, so a
 * thousandth of a list costs a thousandth of its snapshot, and what fails midway is undone. The manifest signs the digest of the snapshot
 * that the delta starts from and the delta's own: with the first equal to what is applied here, the two determine every resulting entry, and
 * the number of entries is compared besides. Where anything does not fit, hotlist.ts takes the snapshot of the same manifest.
 */
import { AppError } from '../../shared/errors.ts'
import {
  DELTA_PUT,
  DELTA_RECORD_BYTES,
  DELTA_REMOVE,
  type Delta,
  type Manifest,
  RECORD_ORDER_BYTES,
  type RecordFields,
  readRecord,
  SNAPSHOT_RECORD_BYTES,
} from '../../shared/wire/index.ts'
import { createChunks } from './chunks.ts'
import { checkedEntry, type Download, isId } from './snapshot.ts'
import type { ListRow, ListTables } from './tables.ts'

/** Changes of one transaction: each is on a page of its own, where a snapshot's entries lie side by side. */
const CHANGES_PER_STEP = 250

export interface Change {
  entry: RecordFields
  removed: boolean
}

/** The delta that leads from what is applied to this version; null: the snapshot is needed. */
export function fittingDelta({ delta, keyId }: Manifest, row: ListRow | null): Delta | null {
  if (delta === null || row === null) return null
  const fits = delta.fromVersion === row.version && delta.fromDigest === row.digest && keyId === row.keyId
  return fits ? delta : null
}

/** `from`: what is applied. `turn` lets the event loop go on between steps. */
export function createDelta(
  { manifest, delta, from }: { manifest: Manifest; delta: Delta; from: ListRow },
  tables: ListTables,
  turn: () => Promise<void>,
): Download {
  const generation = tables.newStep(from.generation)
  const chunks = createChunks(delta, generation, tables, turn)
  return {
    ...{ kind: 'delta', manifest, generation, add: chunks.add },
    get complete() {
      return chunks.complete
    },
    async write() {
      // Rows that a failed one has marked would end with the step of this one.
      while (tables.undo(CHANGES_PER_STEP) > 0) await turn()
      await chunks.check()
      let { entries } = from
      const form = { recordBytes: DELTA_RECORD_BYTES, perStep: CHANGES_PER_STEP }
      await chunks.eachStep(form, checkedChange, (changes) => {
        entries += tables.change(from.generation, generation, changes)
      })
      if (entries !== manifest.entries)
        throw new AppError('integrity', `${entries} entries come of it instead of ${manifest.entries}`)
    },
  }
}

function checkedChange(bytes: Buffer, at: number, index: number): Change {
  const operation = bytes[at + SNAPSHOT_RECORD_BYTES]
  if (operation === DELTA_PUT) return { entry: checkedEntry(bytes, at, index), removed: false }
  const entry = readRecord(bytes, at)
  const isBare = bytes.subarray(at + RECORD_ORDER_BYTES, at + SNAPSHOT_RECORD_BYTES).every((byte) => byte === 0)
  if (operation !== DELTA_REMOVE || !isBare || !isId(entry.entryId))
    throw new AppError('integrity', `entry ${index}: not a change`)
  return { entry, removed: true }
}

/** Which manifests a camera follows. Pure: bytes and what is applied in, a verdict out. Rules against roll-back and freeze after TUF. */
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Verifier } from '../../shared/signing.ts'
import {
  DELTA_RECORD_BYTES,
  MAX_MANIFEST_BYTES,
  type Manifest,
  manifestSchema,
  parseWire,
  SNAPSHOT_CHUNK_BYTES,
  SNAPSHOT_RECORD_BYTES,
} from '../../shared/wire/index.ts'
import type { ListRow } from './tables.ts'

/** Lists followed; health reports as many. */
export const MAX_LISTS = 64

/** A signed document's payload, parsed. Throws `integrity` or `bad_input`. */
export function openSigned<T>(
  verifier: Verifier,
  schema: Parameters<typeof parseWire<T>>[0],
  bytes: Uint8Array,
  maxBytes = MAX_MANIFEST_BYTES,
): { value: T; payload: Buffer } {
  if (bytes.length > maxBytes) throw new AppError('too_large', `more than ${maxBytes} bytes`)
  let envelope: unknown
  try {
    envelope = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new AppError('bad_input', 'not JSON', { cause })
  }
  const payload = verifier.open(envelope)
  const parsed = parseWire(schema, payload, maxBytes)
  if (!parsed.ok) throw new AppError('bad_input', parsed.reason)
  return { value: parsed.value, payload }
}

export type Verdict =
  | { kind: 'stage'; manifest: Manifest }
  /** Already applied; only its dates may be newer. */
  | { kind: 'current'; manifest: Manifest }
  | { kind: 'refuse'; version: number; reason: string }

export interface Applied {
  agency: string
  list: string
  /** What is applied of this list; null: nothing yet. */
  row: ListRow | null
  /** Other lists that are applied, on their way or waiting. */
  others: number
}

export function judgeManifest(verifier: Verifier, bytes: Uint8Array, applied: Applied, nowMs: number): Verdict {
  let manifest: Manifest
  try {
    manifest = openSigned(verifier, manifestSchema, bytes).value
  } catch (thrown) {
    return { kind: 'refuse', version: 0, reason: toAppError(thrown).message.slice(0, 200) }
  }
  const reason = refusal(manifest, applied, nowMs)
  if (reason !== null) return { kind: 'refuse', version: manifest.version, reason }
  const same = applied.row !== null && applied.row.version === manifest.version && !applied.row.recalled
  return { kind: same ? 'current' : 'stage', manifest }
}

function refusal(manifest: Manifest, { agency, list, row, others }: Applied, nowMs: number): string | null {
  if (manifest.agency !== agency) return 'of another agency'
  if (manifest.list !== list) return 'of another list than its topic says'
  if (manifest.expiresAtMs <= nowMs) return 'expired'
  if (manifest.version < manifest.minimumVersion) return 'older than its own minimum version'
  if (manifest.bytes > manifest.chunks * SNAPSHOT_CHUNK_BYTES) return 'more bytes than its chunks can hold'
  if (manifest.bytes !== manifest.entries * SNAPSHOT_RECORD_BYTES) return 'its bytes are not those of its entries'
  const { delta } = manifest
  if (delta !== null) {
    if (delta.fromVersion >= manifest.version) return 'its delta does not start from an older version'
    if (delta.bytes > delta.chunks * SNAPSHOT_CHUNK_BYTES) return 'more bytes than the chunks of its delta can hold'
    if (delta.bytes !== delta.entries * DELTA_RECORD_BYTES) return 'the bytes of its delta are not those of its entries'
  }
  if (row === null) return others >= MAX_LISTS ? `more than ${MAX_LISTS} lists` : null
  if (manifest.version < row.version) return `older than version ${row.version}, which is applied`
  if (manifest.version < row.floorVersion) return `older than the minimum version ${row.floorVersion}`
  if (manifest.version > row.version) return null
  const isSame = manifest.digest === row.digest && manifest.entries === row.entries && manifest.keyId === row.keyId
  return isSame ? null : 'same version with other content'
}

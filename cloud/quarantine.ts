/**
 * What a camera sent that can never be valid: kept with its reason for a person to look at, and acknowledged, or the camera
 * would send it for ever. Bounded by rows and by retention. Owns table quarantine.
 */
import type { NewId } from '../shared/ids.ts'
import { sha256Hex } from '../shared/signing.ts'
import type { Database, Statement } from './database/database.ts'
import type { QuarantineTable } from './database/schema.ts'
import type { PurgeStep } from './purge-receipt.ts'
import type { Retention } from './sightings.ts'

/** Bytes kept of one payload; its digest and length are of the whole. */
export const MAX_QUARANTINED_BYTES = 4 * 1024
/** Rows kept; the oldest go first, counted. 40 MiB at the most. */
export const MAX_QUARANTINED_ROWS = 10_000
export const MAX_QUARANTINE_PAGE = 500

/** Closed set, so that it can be a metric's label; the detail stands in the row. */
export type QuarantineReason =
  | 'malformed' // empty, not JSON, wrong types, too long
  | 'not_its_own' // names another camera than the one that sent it
  | 'conflicting_duplicate' // a stored key with other content
  | 'clock_behind' // captured longer ago than its kind is kept
  | 'crop_mismatch' // no JPEG, too large, or not the announced digest
  | 'sealed' // to another key or for another place, or changed on the way
  | 'unknown_topic'

export interface Quarantined {
  quarantineId: string
  cameraId: string
  topic: string
  reason: string
  payloadBytes: number
  receivedAtMs: number
}

export interface Quarantine {
  /** `detail` names the field and the rule, never the value. Of a read that is past its retention no content is kept. */
  insert(row: {
    cameraId: string
    topic: string
    reason: QuarantineReason
    detail: string
    payload: Uint8Array
    receivedAtMs: number
  }): Statement
  /** Newest first, without payloads. */
  list(nowMs: number, limit: number): Promise<Quarantined[]>
  count(): Promise<number>
  /** Deletes at most `limit` rows that are past retention, and as many that are over the bound. */
  purge(nowMs: number, limit: number): Promise<PurgeStep>
  /** Drops what is over the bound; returns how many. */
  bound(): Promise<number>
}

export function createQuarantine(deps: {
  database: Database
  newId: NewId
  retention: () => Retention
  /** By policy: what met no list touches no disk, and so what cannot be read does not either. */
  withoutContent?: () => boolean
}): Quarantine {
  const { database, withoutContent = () => false } = deps
  const { build } = database
  const count = async () => {
    const [row] = await database.read(
      build.selectFrom('quarantine').select((eb) => eb.fn.countAll<number>().as('count')),
    )
    return row?.count ?? 0
  }
  const oldest = build.selectFrom('quarantine').select('quarantine_id').orderBy('received_at_ms')
  return {
    insert: ({ cameraId, topic, reason, detail, payload, receivedAtMs }) =>
      build.insertInto('quarantine').values({
        quarantine_id: deps.newId(),
        camera_id: cameraId,
        topic,
        reason: detail === '' ? reason : `${reason}: ${detail}`,
        payload: Buffer.from(
          payload.subarray(0, reason === 'clock_behind' || withoutContent() ? 0 : MAX_QUARANTINED_BYTES),
        ),
        payload_bytes: payload.length,
        payload_sha256: sha256Hex(payload),
        received_at_ms: receivedAtMs,
      }),
    async list(nowMs, limit) {
      const rows = await database.read(
        build
          .selectFrom('quarantine')
          .select(['quarantine_id', 'camera_id', 'topic', 'reason', 'payload_bytes', 'received_at_ms'])
          .where('received_at_ms', '>', nowMs - deps.retention().quarantineMs)
          .orderBy('received_at_ms', 'desc')
          .limit(Math.min(limit, MAX_QUARANTINE_PAGE)),
      )
      return rows.map((row) => ({
        quarantineId: row.quarantine_id,
        cameraId: row.camera_id,
        topic: row.topic,
        reason: row.reason,
        payloadBytes: row.payload_bytes,
        receivedAtMs: row.received_at_ms,
      }))
    },
    count,
    async purge(nowMs, limit) {
      const overflow = Math.min(limit, Math.max(0, (await count()) - MAX_QUARANTINED_ROWS))
      // What is over the bound first: the oldest rows are often the expired ones, and must not be taken off twice.
      const written = await database.writeBatch([
        build
          .deleteFrom('quarantine')
          .where('quarantine_id', 'in', oldest.limit(overflow))
          .returning(['quarantine_id', 'payload_sha256', 'received_at_ms']),
        build
          .deleteFrom('quarantine')
          .where(
            'quarantine_id',
            'in',
            oldest.where('received_at_ms', '<=', nowMs - deps.retention().quarantineMs).limit(limit),
          )
          .returning(['quarantine_id', 'payload_sha256', 'received_at_ms']),
      ])
      const rows = written.map((one) => one.rows as QuarantineTable[])
      return {
        deleted: {
          quarantine: rows.flat().map((row) => ({
            id: row.quarantine_id,
            sha256: row.payload_sha256,
            retainedFromMs: row.received_at_ms,
          })),
        },
        isDone: rows.every(({ length }) => length < limit),
      }
    },
    async bound() {
      const overflow = (await count()) - MAX_QUARANTINED_ROWS
      if (overflow <= 0) return 0
      const [dropped] = await database.writeBatch([
        build.deleteFrom('quarantine').where('quarantine_id', 'in', oldest.limit(overflow)),
      ])
      return dropped?.changes ?? 0
    },
  }
}

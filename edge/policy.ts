/**
 * What may leave the camera and how long it is kept: the agency's signed policy, or the configuration until one has come.
 * Owns table policy; asked by pipeline, memory, uplink and retention.
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { Verifier } from '../shared/signing.ts'
import { type SqliteDatabase, toStorageError } from '../shared/sqlite.ts'
import { EARLIEST_TIME_MS, MAX_POLICY_BYTES, type Policy, type PolicyAck, policySchema } from '../shared/wire/index.ts'
import { openSigned } from './hotlist/manifest.ts'
import type { Cutoffs } from './outbox/outbox.ts'

export interface CameraPolicy {
  readonly upload: Policy['upload']
  /** A sighting without a match touches no disk; it never leaves then either. */
  readonly unmatchedInMemory: boolean
  /** How long a sighting without a match is known at all, milliseconds. */
  readonly unmatchedMs: number
  /** Do lists past their age limit match? */
  readonly staleLists: Policy['hotlists']['staleLists']
  /** 0 until a signed policy has come. */
  readonly version: number
  /** Times of birth up to which rows have expired. */
  cutoffs(nowMs: number): Cutoffs
  /** A policy as it was received; applied or refused. */
  take(envelope: Uint8Array): PolicyAck
}

/** In force until the first signed policy. */
export interface PolicyDefaults {
  upload: Policy['upload']
  unmatchedInMemory: boolean
  retention: { unmatchedDays: number; matchedDays: number; cropDays: number }
}

export interface PolicyDeps {
  database: SqliteDatabase
  verifier: Verifier
  agency: string
  defaults: PolicyDefaults
  clock: Pick<Clock, 'nowMs'>
  log: Log
}

const TABLE = `CREATE TABLE IF NOT EXISTS policy (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  payload TEXT NOT NULL
) STRICT`

export function createPolicy(deps: PolicyDeps): CameraPolicy {
  const { database, clock, log } = deps
  database.exec(TABLE)
  const stored = database.prepare('SELECT payload FROM policy').pluck()
  const store = database.prepare('INSERT OR REPLACE INTO policy (only_row, payload) VALUES (1, ?)')
  /** The exact bytes that were signed, as text: equal version must mean equal content. */
  let payload = (stored.get() as string | undefined) ?? null
  let signed: Policy | null = payload === null ? null : policySchema.parse(JSON.parse(payload))

  function ack(version: number, reason: string | null): PolicyAck {
    if (reason === null) log.info('policy_applied', { version })
    else log.warn('policy_refused', { version, reason })
    return {
      version,
      result: reason === null ? 'applied' : 'refused',
      reason,
      atMs: Math.max(EARLIEST_TIME_MS, clock.nowMs()),
    }
  }

  return {
    get upload() {
      return signed?.upload ?? deps.defaults.upload
    },
    get unmatchedInMemory() {
      return signed?.unmatchedInMemory ?? deps.defaults.unmatchedInMemory
    },
    get unmatchedMs() {
      return (signed?.retention ?? deps.defaults.retention).unmatchedDays * DAY_MS
    },
    get staleLists() {
      return signed?.hotlists.staleLists ?? 'mark'
    },
    get version() {
      return signed?.version ?? 0
    },
    cutoffs(nowMs) {
      const { unmatchedDays, matchedDays, cropDays } = signed?.retention ?? deps.defaults.retention
      return {
        unmatchedMs: nowMs - unmatchedDays * DAY_MS,
        matchedMs: nowMs - matchedDays * DAY_MS,
        cropMs: nowMs - cropDays * DAY_MS,
        unmatchedMayLeave: (signed?.upload ?? deps.defaults.upload) === 'all',
      }
    },
    take(envelope) {
      let received: { value: Policy; payload: Buffer }
      try {
        received = openSigned(deps.verifier, policySchema, envelope, MAX_POLICY_BYTES)
      } catch (thrown) {
        return ack(0, toAppError(thrown).message.slice(0, 200))
      }
      const { version, agency } = received.value
      const text = received.payload.toString('utf8')
      if (agency !== deps.agency) return ack(version, 'of another agency')
      if (signed !== null && version < signed.version)
        return ack(version, `older than version ${signed.version}, which is applied`)
      if (signed !== null && version === signed.version && text !== payload)
        return ack(version, 'same version with other content')
      if (text !== payload) {
        try {
          store.run(text)
        } catch (thrown) {
          return ack(version, toStorageError(thrown).message.slice(0, 200))
        }
        signed = received.value
        payload = text
      }
      return ack(version, null)
    },
  }
}

/**
 * The keys whose signatures this camera takes: those that it was enrolled with, then each version that may follow the one before
 * (shared/signing-keys.ts). Kept beside the lists, so that a restart does not go back. Owns table signing_keys; called by main and inbox.
 */
import type { Clock } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { createVerifier, sha256Hex, type Verifier } from '../shared/signing.ts'
import { followSigningKeys, readSigningKeys, type TrustedKeys } from '../shared/signing-keys.ts'
import { type SqliteDatabase, toStorageError } from '../shared/sqlite.ts'
import {
  EARLIEST_TIME_MS,
  MAX_KEPT_SIGNING_KEYS,
  MAX_SIGNING_KEYS_BYTES,
  type SigningKeysAck,
} from '../shared/wire/index.ts'

export interface SigningKeys {
  /** The same object for the life of the process; trusts what is trusted now. */
  readonly verifier: Verifier
  readonly version: number
  /** A document as it was received. `ack` is null while one between is missing, or for one of long ago; `changed`: other keys are trusted now. */
  take(version: number, bytes: Uint8Array): { ack: SigningKeysAck | null; changed: boolean }
}

export interface SigningKeysDeps {
  database: SqliteDatabase
  enrolled: TrustedKeys
  agency: string
  clock: Pick<Clock, 'nowMs'>
  log: Log
}

const TABLE = `CREATE TABLE IF NOT EXISTS signing_keys (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  enrolment TEXT NOT NULL,
  document BLOB NOT NULL
) STRICT`

export function createSigningKeys(deps: SigningKeysDeps): SigningKeys {
  const { database, enrolled, agency, log } = deps
  database.exec(TABLE)
  // A camera that is enrolled again begins with what it is given then, whatever it had been led to before.
  const enrolment = sha256Hex(JSON.stringify(enrolled))
  const stored = database.prepare('SELECT document FROM signing_keys WHERE enrolment = ?').pluck()
  const store = database.prepare('INSERT OR REPLACE INTO signing_keys (only_row, enrolment, document) VALUES (1, ?, ?)')
  let document = (stored.get(enrolment) as Buffer | undefined) ?? null
  let trusted = document === null ? enrolled : trustedOf(document)
  let verifier = createVerifier(trusted.pems)
  /** Documents that came before the one that they follow, by version. */
  const early = new Map<number, Buffer>()

  function ack(version: number, reason: string | null): SigningKeysAck {
    const { nowMs } = deps.clock
    if (reason !== null) log.warn('signing_keys_refused', { version, reason })
    const result = reason === null ? 'applied' : 'refused'
    return { version, result, reason, atMs: Math.max(EARLIEST_TIME_MS, nowMs()) }
  }

  /** Throws when the document may not follow, or cannot be stored. */
  function follow(bytes: Buffer): void {
    followSigningKeys(bytes, trusted, agency)
    try {
      store.run(enrolment, bytes)
    } catch (thrown) {
      throw toStorageError(thrown)
    }
    document = bytes
    trusted = trustedOf(bytes)
    verifier = createVerifier(trusted.pems)
    log.info('signing_keys_followed', { version: trusted.version })
  }

  /** Of the version that is trusted: it must say what is known. */
  function repeated(version: number, bytes: Buffer): SigningKeysAck {
    const isSame =
      document === null
        ? trustedOf(bytes).pems.every((pem) => trusted.pems.includes(pem)) &&
          trustedOf(bytes).pems.length === trusted.pems.length
        : document.equals(bytes)
    return ack(version, isSame ? null : 'same version with other content')
  }

  return {
    verifier: {
      get keyIds() {
        return verifier.keyIds
      },
      open: (envelope) => verifier.open(envelope),
    },
    get version() {
      return trusted.version
    },
    take(version, received) {
      if (version < trusted.version) return { ack: null, changed: false }
      const before = trusted.version
      let at = version
      try {
        if (received.length > MAX_SIGNING_KEYS_BYTES) {
          throw new AppError('too_large', `more than ${MAX_SIGNING_KEYS_BYTES} bytes`)
        }
        const bytes = Buffer.from(received)
        if (version === trusted.version) return { ack: repeated(version, bytes), changed: false }
        if (version > trusted.version + 1) {
          if (early.size < MAX_KEPT_SIGNING_KEYS) early.set(version, bytes)
          return { ack: null, changed: false }
        }
        follow(bytes)
        for (let next = early.get(trusted.version + 1); next !== undefined; next = early.get(trusted.version + 1)) {
          at = trusted.version + 1
          early.delete(at)
          follow(next)
        }
        for (const known of early.keys()) if (known <= trusted.version) early.delete(known)
        return { ack: ack(trusted.version, null), changed: true }
      } catch (thrown) {
        const error = toAppError(thrown)
        if (error.code === 'internal') throw error
        return { ack: ack(at, error.message.slice(0, 200)), changed: trusted.version !== before }
      }
    },
  }
}

function trustedOf(bytes: Buffer): TrustedKeys {
  const { document } = readSigningKeys(bytes)
  return { version: document.version, pems: document.keys.map(({ publicKeyPem }) => publicKeyPem) }
}

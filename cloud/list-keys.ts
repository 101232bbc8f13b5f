/**
 * The key under which hotlists' plates are digested for cameras: kept in one file, given to a camera that asks over its own mutual TLS
 * connection, and replaced when a unit is stolen. Each gift is in the audit before it is sent. Called by main, hotlists.ts and ingest.
 */
import type { Clock } from '../shared/clock.ts'
import { SECOND_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import { createListKey, LIST_KEY_BYTES, type ListKey } from '../shared/list-key.ts'
import type { Log } from '../shared/log.ts'
import { readOrMakeSecretFile, writeFileDurably } from '../shared/secret-file.ts'
import type { Signer } from '../shared/signing.ts'
import { LIST_KEY, topics } from '../shared/topics.ts'
import type { ListKeyAnswer } from '../shared/wire/index.ts'
import type { Audit } from './audit/log.ts'

/** Keys kept while lists digested with them are in force: one, and those of replacements that were cut short. */
export const MAX_KEPT_KEYS = 8
/** A camera asks once for a key after each start; more often than this it is not answered, and the audit not filled. Milliseconds. */
export const KEY_INTERVAL_MS = 5 * SECOND_MS

export interface ListKeys {
  readonly current: ListKey
  find(keyId: string): ListKey | null
  /** Keys of before are kept. */
  readonly hasOld: boolean
  /** Makes a new key the current one; those before are kept for the versions that still need them, until `forgetOld`. Throws `conflict`. */
  replace(): Promise<void>
  forgetOld(): Promise<void>
  /** Sends the key to `camera`; nothing when it asks too often or for a key that is no more. Rejects when the audit cannot be written. */
  answer(camera: string, requestId: string, keyId: string | null): Promise<void>
}

export interface ListKeysDeps {
  file: string
  agency: string
  newSecret: (byteCount: number) => string
  signer: Signer
  audit: Pick<Audit, 'append'>
  clock: Pick<Clock, 'monotonicMs'>
  log: Log
  publish: (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>
}

/** Opens the file, one key a line and the current one first, or makes it. Throws `configuration` for a file that holds no such keys. */
export async function openListKeys(deps: ListKeysDeps): Promise<ListKeys> {
  const { file, agency, newSecret, signer, clock, log } = deps
  const text = await readOrMakeSecretFile(file, () => `${newSecret(LIST_KEY_BYTES)}\n`)
  let secrets = text.trim().split('\n')
  let keys = secrets.map(toKey)
  const answeredMs = new Map<string, number>()

  function toKey(secret: string): ListKey {
    try {
      return createListKey(Buffer.from(secret, 'base64url'))
    } catch (cause) {
      throw new AppError('configuration', `${file}: ${toAppError(cause).message}`, {
        hint: 'restore it with `candor restore`',
        cause,
      })
    }
  }

  async function keep(kept: string[]): Promise<void> {
    await writeFileDurably(file, `${kept.join('\n')}\n`)
    secrets = kept
    keys = kept.map(toKey)
  }

  return {
    get current() {
      return keys[0] as ListKey
    },
    get hasOld() {
      return secrets.length > 1
    },
    find: (keyId) => keys.find((key) => key.keyId === keyId) ?? null,
    async replace() {
      if (secrets.length >= MAX_KEPT_KEYS) {
        throw new AppError('conflict', 'earlier list keys are still in use', {
          hint: 'a list of theirs could not be published; see the log',
        })
      }
      await keep([newSecret(LIST_KEY_BYTES), ...secrets])
    },
    forgetOld: () => (secrets.length > 1 ? keep(secrets.slice(0, 1)) : Promise.resolve()),
    async answer(camera, requestId, keyId) {
      const index = keyId === null ? 0 : keys.findIndex((key) => key.keyId === keyId)
      const [key, secret] = [keys[index], secrets[index]]
      const nowMs = clock.monotonicMs()
      if (key === undefined || secret === undefined) {
        log.warn('list_key_unknown', { cameraId: camera })
        return
      }
      const asked = `${camera} ${key.keyId}`
      if (nowMs - (answeredMs.get(asked) ?? Number.NEGATIVE_INFINITY) < KEY_INTERVAL_MS) {
        log.warn('list_key_asked_too_often', { cameraId: camera })
        return
      }
      answeredMs.set(asked, nowMs)
      await deps.audit.append({
        operation: 'hotlist.key_given',
        outcome: 'allowed',
        actor: { account: null, roles: [], session: null, source: camera },
        subject: { kind: 'camera', id: camera },
        detail: { keyId: key.keyId },
      })
      const answer: ListKeyAnswer = {
        agency,
        cameraId: camera,
        requestId,
        keyId: key.keyId,
        key: Buffer.from(secret, 'base64url').toString('base64'),
      }
      const envelope = signer.seal(Buffer.from(JSON.stringify(answer)))
      // QoS 0: it is for the connection that asked, and lies in no queue.
      await deps.publish(topics.command(agency, camera, LIST_KEY, requestId), Buffer.from(JSON.stringify(envelope)), {
        qos: 0,
        retain: false,
      })
    },
  }
}

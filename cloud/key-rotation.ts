/**
 * Rotation of the signing key: a new key is published beside the old one, everything in force is signed again with it, and when every
 * camera has followed, the old one is retired. Goes on after a crash, at the start and each minute. Called by main and the API.
 */
import type { Clock } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { topics } from '../shared/topics.ts'
import type { Audit } from './audit/log.ts'
import type { Cameras } from './cameras.ts'
import type { Hotlists, Publish } from './hotlists.ts'
import type { PolicyKeeper } from './policy.ts'
import type { SigningKeys } from './signing-keys.ts'

export interface SigningKeyState {
  version: number
  /** Names the key that signs. */
  keyId: string
  /** The key of before is still trusted. */
  rotating: boolean
  /** Cameras that have been seen and do not trust the new key yet, while `rotating`. */
  waitingFor: string[]
}

export interface KeyRotation {
  /** Throws `conflict` while a rotation is under way, unless `retireNow`: then that one is brought to its end. */
  rotate(options: { retireNow: boolean }): Promise<SigningKeyState>
  state(): Promise<SigningKeyState>
  /** Publishes the chain and goes on with what was cut short; before policy and lists are published. */
  publishCurrent(publish: Publish): Promise<void>
  /** Never rejects; call now and then. */
  upkeep(): Promise<void>
}

export interface KeyRotationDeps {
  keys: SigningKeys
  agency: string
  policy: Pick<PolicyKeeper, 'signAgain'>
  hotlists: Pick<Hotlists, 'signAgain'>
  cameras: Pick<Cameras, 'list'>
  /** What the broker retains at a topic. */
  retained: (topic: string) => Promise<Buffer | null>
  audit: Pick<Audit, 'append'>
  clock: Pick<Clock, 'nowMs'>
  log: Log
}

export function createKeyRotation(deps: KeyRotationDeps): KeyRotation {
  const { keys, agency, log } = deps
  let publish: Publish | null = null
  let last: Promise<unknown> = Promise.resolve()

  /** One step of a rotation after the other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work, work)
    last = turn.catch(() => {})
    return turn
  }

  const by = () => ({ agency, nowMs: deps.clock.nowMs() })

  async function waitingFor(): Promise<string[]> {
    if (!keys.isRotating) return []
    const behind = (await deps.cameras.list()).filter(({ state, statusAtMs, acks }) => {
      const ack = acks.find(({ subject }) => subject === 'signing-keys')
      const hasFollowed = ack?.result === 'applied' && ack.version >= keys.version
      return state === 'active' && statusAtMs !== null && !hasFollowed
    })
    return behind.map(({ camera }) => camera)
  }

  async function publishChain(send: Publish): Promise<void> {
    for (const { version, bytes } of keys.documents) {
      const topic = topics.signingKeys(agency, version)
      if ((await deps.retained(topic))?.equals(bytes) !== true) await send(topic, bytes, { qos: 1, retain: true })
    }
    const older = topics.signingKeys(agency, (keys.documents[0]?.version ?? 2) - 1)
    if ((await deps.retained(older)) !== null) await send(older, Buffer.alloc(0), { qos: 1, retain: true })
  }

  /** As far as it can be taken now. */
  async function advance(send: Publish): Promise<void> {
    await keys.finish(by())
    await publishChain(send)
    if (!keys.isRotating) return
    // Before the key of before is retired, nothing that a camera may still be sent is signed by it.
    await deps.policy.signAgain()
    await deps.hotlists.signAgain(send)
    if (!keys.retireNow && (await waitingFor()).length > 0) return
    const forced = keys.retireNow
    await deps.audit.append({
      operation: 'hotlist.signing_key_retired',
      outcome: 'allowed',
      actor: { account: null, roles: [], session: null, source: null },
      detail: { keyId: keys.signer.keyId, version: keys.version + 1, forced, waitingFor: (await waitingFor()).length },
    })
    await keys.retire(by())
    log.info('signing_key_retired', { keyId: keys.signer.keyId, version: keys.version })
    await publishChain(send)
  }

  /** What cannot be done now is done later: the new key is in force already. */
  async function advanceIfPossible(send: Publish): Promise<void> {
    try {
      await advance(send)
    } catch (thrown) {
      const error = toAppError(thrown)
      log.warn('signing_key_rotation_waits', { code: error.code, error: error.message })
    }
  }

  async function state(): Promise<SigningKeyState> {
    const { version, isRotating, signer } = keys
    return { version, keyId: signer.keyId, rotating: isRotating, waitingFor: await waitingFor() }
  }

  return {
    rotate: ({ retireNow }) =>
      inTurn(async () => {
        if (publish === null) throw new AppError('unavailable', 'the cloud is starting')
        if (!keys.isRotating) {
          await keys.begin({ ...by(), retireNow })
          log.warn('signing_key_replaced', { keyId: keys.signer.keyId, version: keys.version })
        } else if (retireNow) await keys.hasten()
        else {
          const behind = (await waitingFor()).length
          throw new AppError('conflict', `the last rotation waits for ${behind} cameras`, {
            hint: 'see `candor hotlist signing-key`; `--retire-now` does not wait for them',
          })
        }
        await advanceIfPossible(publish)
        return state()
      }),
    state,
    publishCurrent: (send) =>
      inTurn(async () => {
        publish = send
        await advanceIfPossible(send)
      }),
    upkeep: () =>
      inTurn(async () => {
        if (publish !== null) await advanceIfPossible(publish)
      }),
  }
}

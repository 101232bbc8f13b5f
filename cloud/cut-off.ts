/**
 * What ends with a right: the connections, the queues and the hold on alerts of an account that was disabled or changed, and the
 * connections and queues of a revoked camera. Called once, by main.
 */
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { cameraClientId, parsePersonClientId } from '../shared/names.ts'
import { maySubscribe } from '../shared/topics.ts'
import type { Accounts } from './accounts.ts'
import type { Alerts } from './alerts.ts'
import type { Broker } from './broker.ts'
import type { Cameras } from './cameras.ts'
import { may } from './permissions.ts'
import type { Sessions } from './sessions.ts'

export interface CutOffDeps {
  agency: string
  accounts: Pick<Accounts, 'find' | 'onEnded' | 'areOpen'>
  cameras: Pick<Cameras, 'onRevoked' | 'onTakenOver'>
  broker: Pick<Broker, 'disconnect'>
  sessions: Pick<Sessions, 'forget' | 'restrict'>
  alerts: Pick<Alerts, 'releaseLeft'>
  log: Log
}

/** The account that a client id belongs to; null: a camera's, or nobody's. */
export function accountOf(agency: string, clientId: string): string | null {
  const account = parsePersonClientId(clientId)?.account ?? null
  return account === agency ? null : account
}

/** What is done at each change, and again now and then: a crash or a command on the host may have come between. */
export interface CutOff {
  releaseAlerts(): Promise<void>
  /** Ends people's connections whose session is no more. */
  endLeft(): Promise<void>
}

export function cutOffWithTheirRights(deps: CutOffDeps): CutOff {
  const { agency, accounts, cameras, broker, sessions, alerts, log } = deps
  const releaseAlerts = () =>
    alerts.releaseLeft(async (account) => {
      const now = await accounts.find(account)
      return now !== null && now.state !== 'disabled' && may(now.roles, 'alerts.verify') ? now.groups : []
    })

  /** After an account has changed: what it may not receive any more is not kept for it either. */
  async function restrictQueues(account: string): Promise<void> {
    const now = await accounts.find(account)
    if (now === null || now.state === 'disabled') {
      await sessions.forget((clientId) => accountOf(agency, clientId) === account)
      return
    }
    const mayWatchSightings = may(now.roles, 'sightings.watch')
    const maySeeCameras = may(now.roles, 'cameras.read')
    const groups = may(now.roles, 'alerts.read') ? now.groups : []
    const identity = { kind: 'person', agency, account, groups, mayWatchSightings, maySeeCameras } as const
    await sessions.restrict(account, (filter) => maySubscribe(identity, filter))
  }

  const warn = (thrown: unknown) => log.warn('session_not_forgotten', { error: toAppError(thrown).message })

  accounts.onEnded(({ account, sessionId }) => {
    broker.disconnect(
      (identity, of) =>
        identity.kind === 'person' && identity.account === account && (sessionId === null || of === sessionId),
    )
    if (sessionId !== null) return
    restrictQueues(account).catch(warn)
    releaseAlerts().catch((thrown: unknown) => log.warn('alerts_not_released', { error: toAppError(thrown).message }))
  })
  cameras.onRevoked((camera) => {
    broker.disconnect((identity) => identity.kind === 'camera' && identity.camera === camera)
    const revoked = cameraClientId(agency, camera)
    sessions.forget((clientId) => clientId === revoked).catch(warn)
  })
  // The session goes on: it is the same camera to everybody else.
  cameras.onTakenOver((camera) =>
    broker.disconnect((identity) => identity.kind === 'camera' && identity.camera === camera),
  )
  async function endLeft(): Promise<void> {
    const held = new Set<string>()
    broker.disconnect((_identity, sessionId) => {
      if (sessionId !== null) held.add(sessionId)
      return false
    })
    // Asked after they were seen: a session that opens meanwhile is not among them.
    const open = await accounts.areOpen(held)
    broker.disconnect((_identity, sessionId) => sessionId !== null && held.has(sessionId) && !open.has(sessionId))
  }

  return { releaseAlerts, endLeft }
}

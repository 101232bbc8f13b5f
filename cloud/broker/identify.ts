/**
 * Who a connection belongs to: a camera by the certificate of our authority, a person by account and token, each with its own client
 * id. Used by broker.ts alone, which asks before anything else.
 */
import { TLSSocket } from 'node:tls'
import type { Client } from 'aedes'
import { cameraClientId, parsePersonClientId } from '../../shared/names.ts'
import type { Identity } from '../../shared/topics.ts'
import type { Session } from '../accounts/sessions.ts'
import type { Cameras } from '../cameras.ts'
import type { Denial } from '../denials.ts'
import { may } from '../permissions.ts'

/** Of one account, over all its devices and sessions; a further one is refused. */
export const MAX_CONNECTIONS_PER_ACCOUNT = 16
/** Longest password that is looked at; tokens have 43 characters. */
const MAX_TOKEN_BYTES = 256

export interface IdentifyDeps {
  agency: string
  cameras: Pick<Cameras, 'identify'>
  /** A unit connects for the first time with a certificate that replaces others: their rights end. Rejects when that cannot be written. */
  takeOver: (camera: string, fingerprint: string) => Promise<void>
  authenticate: (token: string) => Promise<Session | null>
  /** Is there such an account? What somebody unknown calls themselves is kept nowhere: it may be a password or a plate. */
  isAccount: (name: string) => Promise<boolean>
}

export interface Identified {
  identity: Identity
  /** Of the account's log-in; null for cameras. */
  sessionId: string | null
  /** When a camera's certificate runs out; null for people. */
  expiresAtMs: number | null
}

/** `who` is an account or camera that exists. */
export interface Refused {
  rule: Denial
  who: string | null
}

export type Identify = (
  client: Client,
  username: string | undefined,
  password: Buffer | undefined,
) => Promise<Identified | Refused>

export function createIdentify(deps: IdentifyDeps): Identify {
  const { agency } = deps
  const ofAccount = new Map<string, Set<Client>>()

  /** Who this is, or the rule by which they are refused. */
  async function identify(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Identified | Refused> {
    const socket = client.req === undefined ? client.conn : null
    const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : null
    if (socket instanceof TLSSocket && certificate !== null && Object.keys(certificate).length > 0) {
      return identifyCamera(client, socket)
    }
    const session =
      username === undefined || password === undefined || password.length > MAX_TOKEN_BYTES
        ? null
        : await deps.authenticate(password.toString('utf8'))
    if (session === null || session.account !== username) {
      return {
        rule: 'credentials',
        who: username !== undefined && (await deps.isAccount(username)) ? username : null,
      }
    }
    const refused = (rule: Denial): Refused => ({ rule, who: session.account })
    if (session.mustEnrol) return refused('second_factor_missing')
    const name = parsePersonClientId(client.id)
    // An account named like the agency could otherwise take a camera's client id, and with it its session.
    if (name === null || name.account !== session.account || name.account === agency) return refused('client_id')
    if (!holdConnection(client, session.account)) return refused('too_many_connections')
    return {
      sessionId: session.sessionId,
      expiresAtMs: null,
      identity: {
        kind: 'person',
        agency,
        account: session.account,
        // A group is whose alerts one gets, for who may read them.
        groups: may(session.roles, 'alerts.read') ? session.groups : [],
        mayWatchSightings: may(session.roles, 'sightings.watch'),
        maySeeCameras: may(session.roles, 'cameras.read'),
      },
    }
  }

  /** false: the account has all the connections it may have; one that a new connection takes the place of does not count. */
  function holdConnection(client: Client, account: string): boolean {
    const held = ofAccount.get(account) ?? new Set()
    if ([...held].filter((other) => other.id !== client.id).length >= MAX_CONNECTIONS_PER_ACCOUNT) return false
    ofAccount.set(account, held.add(client))
    client.conn.once('close', () => {
      held.delete(client)
      if (held.size === 0) ofAccount.delete(account)
    })
    return true
  }

  async function identifyCamera(client: Client, socket: TLSSocket): Promise<Identified | Refused> {
    if (!socket.authorized) {
      const isExpired = String(socket.authorizationError) === 'CERT_HAS_EXPIRED'
      return { rule: isExpired ? 'certificate_expired' : 'certificate_untrusted', who: null }
    }
    const identified = deps.cameras.identify(socket.getPeerCertificate())
    if (!identified.ok) return { rule: CAMERA_DENIALS[identified.reason], who: identified.camera }
    const { camera, expiresAtMs, fingerprint } = identified
    if (client.id !== cameraClientId(agency, camera)) return { rule: 'client_id', who: camera }
    if (identified.takesOver) {
      await deps.takeOver(camera, fingerprint)
      // It may have been revoked while that was written.
      const now = deps.cameras.identify(socket.getPeerCertificate())
      if (!now.ok) return { rule: CAMERA_DENIALS[now.reason], who: now.camera }
    }
    return { sessionId: null, expiresAtMs, identity: { kind: 'camera', agency, camera } }
  }

  return identify
}

const CAMERA_DENIALS = {
  no_certificate: 'certificate_untrusted',
  not_a_camera: 'certificate_untrusted',
  other_agency: 'camera_other_agency',
  unknown: 'camera_unknown',
  revoked: 'camera_revoked',
  expired: 'certificate_expired',
} as const satisfies Record<string, Denial>

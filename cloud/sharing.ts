/**
 * Sharing between agencies: closed until a grant names the other one. Puts the parts together (partners, grants, both sides of a shared
 * search, the listener) for main.ts and the API. Owns tables partners, grants and shared_searches, with the files in its folder.
 */
import type { Server } from 'node:tls'
import { type Clock, DAY_MS } from '../shared/clock.ts'
import type { NewId } from '../shared/ids.ts'
import type { Log } from '../shared/log.ts'
import type { Audit } from './audit/log.ts'
import { lastPurge } from './audit/reading.ts'
import type { Authority } from './authority.ts'
import type { ConnectionLimits } from './connections.ts'
import type { Database } from './database/database.ts'
import type { Denied } from './denials.ts'
import { listen, portOf } from './listening.ts'
import type { PolicyKeeper } from './policy.ts'
import type { Search } from './search.ts'
import { endOf, policyRefuses } from './sharing/admit.ts'
import { createAnswering } from './sharing/answering.ts'
import { type Asking, createAsking } from './sharing/asking.ts'
import { type Asks, createAsks } from './sharing/asks.ts'
import { createGrants, type Grants } from './sharing/grants.ts'
import { type IdentityFile, makeIdentity } from './sharing/identity.ts'
import { type Listener, openListener } from './sharing/listener.ts'
import { createPartners, type Partners } from './sharing/partners.ts'
import { type Reconciliation, reconcile } from './sharing/reconcile.ts'
import { createRecord, RECORD_KEPT_DAYS } from './sharing/record.ts'
import { SHARING_LIMITS, type SharingLimits } from './sharing/wire.ts'
import type { Sightings } from './sightings.ts'

/** Rows of the record that one round of upkeep deletes. */
const PURGED_AT_ONCE = 1_000

export interface Sharing {
  readonly partners: Partners
  readonly grants: Grants
  readonly asking: Asking
  readonly asks: Asks
  /** What another agency imports to be our partner. */
  identity(): Promise<IdentityFile>
  reconcile(partner: string, window: { fromMs: number; toMs: number }): Promise<Reconciliation>
  /** Full names of partners that may search here now, by a grant in force and the policy. */
  organisations(): Promise<string[]>
  /** null: this cloud asks and is not asked. */
  readonly port: number | null
  /** Begins to listen for partners. Throws `configuration` when the port cannot be had. */
  listen(): Promise<void>
  /** A certificate that nears its end is made anew, rows and answers past their time go. Called each minute. */
  upkeep(): Promise<void>
  close(): Promise<void>
}

export interface SharingDeps {
  database: Database
  agency: string
  authority: Authority
  audit: Audit
  policy: PolicyKeeper
  search: Pick<Search, 'run'>
  sightings: Sightings
  /** Where partners are listened for; port null: nowhere. */
  config: { host: string; hostnames: readonly string[]; federationPort: number | null }
  onDenied: (denied: Denied) => void
  connectionLimits: ConnectionLimits
  limits?: SharingLimits | undefined
  clock: Clock
  newId: NewId
  log: Log
}

export async function openSharing(deps: SharingDeps): Promise<Sharing> {
  const { database, agency, authority, audit, clock, newId, log, config, limits = SHARING_LIMITS } = deps
  const policy = deps.policy.current
  const own = authority.partner
  const partners = await createPartners({ database, agency, caPem: authority.caPem, clock })
  const grants = createGrants({ database, partners, policy, clock, newId })
  const record = createRecord({ database, clock })
  const asking = createAsking({ agency, partners, record, audit, clock, newId, own, timeoutMs: limits.timeoutMs })
  const answering = createAnswering({
    search: deps.search,
    sightings: deps.sightings,
    audit,
    clock,
    policy,
    grants,
    record,
  })
  let listener: Listener | null = null
  let shown = ''
  const asks = createAsks({ asking, clock, newId })

  const portNow = () => (listener === null ? null : portOf(listener.server as Server))
  return {
    partners,
    grants,
    asking,
    asks,
    identity() {
      const port = portNow()
      const url = port === null ? null : `https://${config.hostnames[0]}:${port}`
      return makeIdentity({ agency, url, caPem: authority.caPem, issuedAtMs: clock.nowMs() }, authority.sign)
    },
    reconcile(partner, window) {
      const purgedThrough = async () => (await lastPurge(database)).throughSeq
      return reconcile({ asking, record, audit, purgedThrough, clock }, partner, window)
    },
    async organisations() {
      const now = clock.nowMs()
      const names: string[] = []
      for (const { partner, name, jurisdiction } of partners.allActive()) {
        if (policyRefuses(policy(), jurisdiction) !== null) continue
        const given = await grants.approved(partner)
        if (given.some((grant) => grant.fromMs <= now && now < endOf(grant, policy()))) names.push(name)
      }
      return names.sort()
    },
    get port() {
      return portNow()
    },
    async listen() {
      if (config.federationPort === null) return
      const { onDenied, connectionLimits } = deps
      shown = (await own()).certPem
      listener = await openListener({
        partners,
        answering,
        record,
        own,
        onDenied,
        limits,
        connectionLimits,
        clock,
        log,
      })
      await listen(listener.server, config.federationPort, config.host)
    },
    async upkeep() {
      asks.dropOld()
      await record.purge(clock.nowMs() - RECORD_KEPT_DAYS * DAY_MS, PURGED_AT_ONCE)
      if (listener === null) return
      const { certPem } = await own()
      if (certPem === shown) return
      await listener.renew()
      shown = certPem
      log.info('partner_certificate_renewed')
    },
    async close() {
      asking.close()
      await listener?.close()
    },
  }
}

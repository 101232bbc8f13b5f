/**
 * What a partner may search here: a grant names the partner, purposes, cameras, age and period, and is revoked at once. A grant can
 * say no more than the policy, which is asked again at every use (admit.ts). Called by sharing.ts; writes table grants.
 */
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Policy } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { GrantsTable } from '../database/schema-sharing.ts'
import { type AdmissionRule, policyRefuses, purposeAllowed } from './admit.ts'
import type { Partners } from './partners.ts'
import { MAX_GRANTS_PER_PARTNER } from './wire.ts'

/** Grants of one page, newest first. */
export const MAX_GRANT_PAGE = 200

export type GrantState = 'proposed' | 'active' | 'rejected' | 'revoked'

export interface Grant {
  grantId: string
  partner: string
  purposes: readonly string[]
  /** All reads, or only those that met an entry of a list. */
  what: 'sightings' | 'matches'
  /** Empty: all. */
  cameras: readonly string[]
  /** Seen no longer ago, days. */
  maxAgeDays: number
  /** In force from this time on, and before that. */
  fromMs: number
  untilMs: number
  /** With evidence pictures. */
  crops: boolean
  /** By pattern too, not by a whole plate alone. */
  patterns: boolean
  state: GrantState
  madeAtMs: number
  madeBy: string
  decidedAtMs: number | null
  decidedBy: string | null
  revokedAtMs: number | null
  revokedBy: string | null
}

export type NewGrant = Pick<
  Grant,
  'partner' | 'purposes' | 'what' | 'cameras' | 'maxAgeDays' | 'fromMs' | 'untilMs' | 'crops' | 'patterns'
>

export interface Grants {
  /**
   * In force at once, or proposed where the policy wants a second person. Throws `not_found` without such a partner, `forbidden` for
   * what the policy does not allow, `bad_input`, and `too_large` past MAX_GRANTS_PER_PARTNER.
   */
  add(grant: NewGrant, by: string): Promise<Grant>
  /** Throws `forbidden` for who proposed it, `conflict` unless it is proposed, `not_found`. */
  decide(grantId: string, decision: 'active' | 'rejected', by: string): Promise<Grant>
  /** Throws `conflict` when it has ended already, `not_found`. */
  revoke(grantId: string, by: string): Promise<Grant>
  get(grantId: string): Promise<Grant | null>
  /** Newest first, at most MAX_GRANT_PAGE. */
  list(partner: string | null): Promise<Grant[]>
  /** Approved and not revoked; whether they are in force is for admit.ts to say. */
  approved(partner: string): Promise<Grant[]>
}

export interface GrantsDeps {
  database: Database
  partners: Pick<Partners, 'active'>
  policy: () => Policy
  clock: { nowMs(): number }
  newId: () => string
}

export function createGrants({ database, partners, policy, clock, newId }: GrantsDeps): Grants {
  const { build } = database

  async function read(grantId: string): Promise<Grant | null> {
    const [row] = await database.read(build.selectFrom('grants').selectAll().where('grant_id', '=', grantId))
    return row === undefined ? null : toGrant(row)
  }

  async function existing(grantId: string): Promise<Grant> {
    const grant = await read(grantId)
    if (grant === null) throw new AppError('not_found', 'there is no such grant', { hint: '`candor grant list`' })
    return grant
  }

  /** Only from one of the states `from`: two people at once cannot both decide. */
  async function move(grantId: string, from: readonly GrantState[], set: Partial<GrantsTable>): Promise<Grant> {
    const before = await existing(grantId)
    const [written] = await database.writeBatch([
      build
        .updateTable('grants')
        .set(set)
        .where('grant_id', '=', grantId)
        .where('state', 'in', [...from]),
    ])
    if (written?.changes !== 1) throw new AppError('conflict', `the grant is ${before.state} already`)
    return existing(grantId)
  }

  const openOf = (partner: string) =>
    build
      .selectFrom('grants')
      .selectAll()
      .where('partner', '=', partner)
      .where('state', 'in', ['active', 'proposed'])
      .where('until_ms', '>', clock.nowMs())

  return {
    async add(grant, by) {
      const partner = partners.active(grant.partner)
      if (partner === null) {
        throw new AppError('not_found', `there is no partner ${grant.partner}`, { hint: '`candor partner add`' })
      }
      const current = policy()
      check(grant, current, partner.jurisdiction, clock.nowMs())
      if ((await database.read(openOf(grant.partner))).length >= MAX_GRANTS_PER_PARTNER) {
        throw new AppError('too_large', `a partner has at most ${MAX_GRANTS_PER_PARTNER} grants`, {
          hint: 'revoke one that is not needed any more',
        })
      }
      const grantId = newId()
      await database.writeBatch([
        build.insertInto('grants').values({
          grant_id: grantId,
          partner: grant.partner,
          purposes: JSON.stringify(grant.purposes),
          what: grant.what,
          cameras: JSON.stringify(grant.cameras),
          max_age_days: grant.maxAgeDays,
          from_ms: grant.fromMs,
          until_ms: grant.untilMs,
          crops: grant.crops ? 1 : 0,
          patterns: grant.patterns ? 1 : 0,
          state: current.secondPerson ? 'proposed' : 'active',
          made_at_ms: clock.nowMs(),
          made_by: by,
        }),
      ])
      return existing(grantId)
    },
    async decide(grantId, decision, by) {
      const { madeBy, state } = await existing(grantId)
      if (state === 'proposed' && madeBy === by) {
        throw new AppError('forbidden', 'the policy wants a second person', {
          hint: 'another policy administrator decides; who proposed it may revoke it',
        })
      }
      return move(grantId, ['proposed'], { state: decision, decided_at_ms: clock.nowMs(), decided_by: by })
    },
    revoke: (grantId, by) =>
      move(grantId, ['proposed', 'active'], { state: 'revoked', revoked_at_ms: clock.nowMs(), revoked_by: by }),
    get: read,
    async list(partner) {
      let query = build.selectFrom('grants').selectAll().orderBy('grant_id', 'desc').limit(MAX_GRANT_PAGE)
      if (partner !== null) query = query.where('partner', '=', partner)
      return (await database.read(query)).map(toGrant)
    },
    async approved(partner) {
      const rows = await database.read(
        build
          .selectFrom('grants')
          .selectAll()
          .where('partner', '=', partner)
          .where('state', '=', 'active')
          .orderBy('until_ms', 'desc')
          .limit(MAX_GRANTS_PER_PARTNER),
      )
      return rows.map(toGrant)
    },
  }
}

const POLICY_SAYS: Partial<Record<AdmissionRule, string>> = {
  sharing_not_allowed: 'the policy allows no sharing',
  jurisdiction_not_allowed: 'the policy allows no sharing with agencies of that jurisdiction',
  policy_gives_partners_nothing: 'the policy has no scope for the role partner, so partners may search nothing',
}

function check(grant: NewGrant, policy: Policy, jurisdiction: string, nowMs: number): void {
  const forbidden = (message: string) => new AppError('forbidden', message, { hint: '`candor policy show`' })
  const refused = policyRefuses(policy, jurisdiction)
  if (refused !== null) throw forbidden(POLICY_SAYS[refused] ?? refused)
  const unknown = grant.purposes.filter((purpose) => !purposeAllowed(policy, purpose))
  if (unknown.length > 0) {
    const known = policy.uses.purposes.map(({ code }) => code).filter((code) => purposeAllowed(policy, code))
    throw new AppError('forbidden', `the policy gives partners no purpose ${unknown.join(', ')}`, {
      hint: known.length === 0 ? '`candor policy show`' : `it gives them ${known.join(', ')}`,
    })
  }
  if (grant.untilMs <= Math.max(grant.fromMs, nowMs)) {
    throw new AppError('bad_input', 'the grant would end before it begins, or has ended')
  }
  const { maxGrantDays } = policy.sharing
  if (grant.untilMs - grant.fromMs > maxGrantDays * DAY_MS) {
    throw forbidden(`the policy allows grants of at most ${maxGrantDays} days`)
  }
}

function toGrant(row: GrantsTable): Grant {
  return {
    grantId: row.grant_id,
    partner: row.partner,
    purposes: JSON.parse(row.purposes),
    what: row.what as Grant['what'],
    cameras: JSON.parse(row.cameras),
    maxAgeDays: row.max_age_days,
    fromMs: row.from_ms,
    untilMs: row.until_ms,
    crops: row.crops === 1,
    patterns: row.patterns === 1,
    state: row.state as GrantState,
    madeAtMs: row.made_at_ms,
    madeBy: row.made_by,
    decidedAtMs: row.decided_at_ms,
    decidedBy: row.decided_by,
    revokedAtMs: row.revoked_at_ms,
    revokedBy: row.revoked_by,
  }
}

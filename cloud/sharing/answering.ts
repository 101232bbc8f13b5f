/**
 * The owner's side of sharing: a partner's search runs here, under the owner's policy and one grant, and every use and refusal is
 * in the owner's audit before anything leaves. Called by listener.ts, which knows who asks. Owns no table.
 */
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'
import type { Policy } from '../../shared/wire/index.ts'
import type { Actor, AuditRecord } from '../audit/entry.ts'
import type { Audit } from '../audit/log.ts'
import type { SearchRequest, SearchResult } from '../search/request.ts'
import type { Search } from '../search.ts'
import type { Sightings } from '../sightings.ts'
import { admit, endOf, type Narrowed, oldestDays, policyRefuses, purposeAllowed, type Wanted } from './admit.ts'
import { factsOf, sameText, soughtIn } from './facts.ts'
import type { Grant, Grants } from './grants.ts'
import type { Partner } from './partners.ts'
import type { SharedRecord } from './record.ts'
import {
  type CropRequest,
  type GivenGrant,
  MAX_SHARED_RESULTS,
  REPLAY_WINDOW_MS,
  type Refusal,
  type SharedResult,
  type SharedSearchAnswer,
  type SharedSearchRequest,
  sharedResultSchema,
} from './wire.ts'

export interface AnsweringDeps {
  /** The owner’s own, with its own rules and its own entries in the audit. */
  search: Pick<Search, 'run'>
  sightings: Pick<Sightings, 'get' | 'crop'>
  audit: Audit
  clock: Clock
  policy: () => Policy
  grants: Pick<Grants, 'approved' | 'get'>
  record: SharedRecord
}

/** Who asks, as the connection showed. */
export interface Caller {
  partner: Partner
  /** IP address. */
  source: string | null
  /** false once the partner was revoked, also while its request is worked on. */
  isActive(): boolean
}

export interface Answering {
  search(request: SharedSearchRequest, caller: Caller): Promise<SharedSearchAnswer | { refused: Refusal }>
  crop(request: CropRequest, caller: Caller): Promise<{ auditSeq: number; jpeg: string } | { refused: Refusal }>
  /** Grants that are in force for the caller. */
  grants(caller: Caller): Promise<GivenGrant[]>
  /** Writes down what was refused before it could be read, such as a malformed request. */
  refuse(rule: string, caller: Pick<Caller, 'partner' | 'source'>): Promise<void>
}

export function createAnswering(deps: AnsweringDeps): Answering {
  const { audit, clock, policy, grants, record, search, sightings } = deps

  const actorOf = ({ partner, source }: Pick<Caller, 'partner' | 'source'>, account?: string): Actor => ({
    account: null,
    roles: ['partner'],
    session: null,
    source,
    organisation: partner.partner,
    ...(account === undefined ? {} : { onBehalfOf: account }),
  })

  const voucherOf = (
    auditSeq: number,
    partner: string,
    account: string,
    found: Pick<CropRequest, 'grantId' | 'cameraId' | 'sightingId'>,
  ) => audit.voucher(['partner picture', auditSeq, partner, account, found.grantId, found.cameraId, found.sightingId])

  async function refusal(
    entry: Omit<AuditRecord, 'outcome'>,
    rule: string,
    message: string,
  ): Promise<{ refused: Refusal }> {
    const { seq } = await audit.append({ ...entry, outcome: 'refused', rule })
    return { refused: { auditSeq: entry.completes ?? seq, rule, message } }
  }

  /** `grantId`: by that grant alone. */
  async function admitted(wanted: Wanted, { partner, isActive }: Caller, grantId: string | null = null) {
    const approved = await grants.approved(partner.partner)
    // Asked behind the last await: what was decided meanwhile counts.
    if (!isActive()) return { ok: false, rule: 'partner_revoked' } as const
    const given = approved.filter((grant) => grantId === null || grant.grantId === grantId)
    const atMs = clock.nowMs()
    return { ...admit(policy(), partner.jurisdiction, given, wanted, atMs), atMs }
  }

  async function run(request: SharedSearchRequest, { grant, cameras, fromMs }: Narrowed, actor: Actor) {
    const { plate, toMs, purpose, caseNumber, offenceType, reason, limit } = request
    const isMatchesAlone = grant.what === 'matches'
    const narrowed: SearchRequest & { purpose: string } = {
      ...{ plate, fromMs, toMs, cameras, purpose, caseNumber, offenceType, reason },
      ...{ limit: isMatchesAlone ? MAX_SHARED_RESULTS : limit, offset: 0 },
    }
    const answer = await search.run(narrowed, actor)
    if (!isMatchesAlone) return answer
    const nowMs = clock.nowMs()
    const matched: SearchResult[] = []
    for (const result of answer.results) {
      const stored = await sightings.get(result.sighting.sightingId, nowMs, result.sighting.cameraId)
      if (stored?.matched === true) matched.push(result)
    }
    // How many others there are is nothing that was granted.
    const truncated = answer.total > answer.results.length || matched.length > limit
    const results = matched.slice(0, limit)
    return { ...answer, results, total: results.length, truncated: answer.truncated || truncated }
  }

  return {
    async search(request, caller) {
      const { partner } = caller
      const { requestId, person } = request
      const actor = actorOf(caller, person.account)
      const entry: Omit<AuditRecord, 'outcome'> = {
        operation: 'federation.searched',
        actor,
        subject: { kind: 'partner', id: partner.partner },
        ...factsOf(request, audit.plateDigest),
        detail: { request: requestId, account: person.account, roles: person.roles, partnerSeq: request.auditSeq },
      }
      if (person.organisation !== partner.partner)
        return refusal(entry, 'organisation_mismatch', 'the request names another organisation than the certificate')
      if (Math.abs(clock.nowMs() - request.sentAtMs) > REPLAY_WINDOW_MS)
        return refusal(entry, 'clock_apart', 'the request was sent too long ago, or the clocks are apart')
      const key = { partner: partner.partner, direction: 'answered', requestId } as const
      if (!(await record.begin({ ...key, theirSeq: request.auditSeq })))
        return refusal(entry, 'replayed', 'a request with this id was answered already')
      const finish = (ownSeq: number, outcome: string, results: number | null) =>
        record.finish(key, { ownSeq, theirSeq: request.auditSeq, outcome, results })
      async function refuse(rule: string, message: string, completes: number | null = null) {
        const refused = await refusal({ ...entry, completes }, rule, message)
        await finish(refused.refused.auditSeq, 'refused', null)
        return refused
      }

      const sought = soughtIn(request.plate)
      const wanted = { ...request, isPattern: sought?.kind === 'pattern' }
      const admission = await admitted(wanted, caller)
      if (!admission.ok) return refuse(admission.rule, REFUSALS[admission.rule])
      const { grant } = admission
      const { seq } = await audit.append({
        ...entry,
        outcome: 'allowed',
        detail: { ...entry.detail, grant: grant.grantId },
      })
      let answer: Awaited<ReturnType<typeof run>>
      try {
        answer = await run(request, admission, actor)
      } catch (thrown) {
        const { code, message } = toAppError(thrown)
        // The owner's own rules, such as a vague reason: what they say is for whoever searches.
        const isRule = code === 'bad_input' || code === 'forbidden'
        return refuse(isRule ? 'search_rules' : code, isRule ? message : 'the search failed', seq)
      }
      const still = await admitted(wanted, caller, grant.grantId)
      if (!still.ok) return refuse(still.rule, REFUSALS[still.rule], seq)
      if (isNarrower(still, admission)) return refuse('window_not_granted', REFUSALS.window_not_granted, seq)
      const results = answer.results.flatMap((result) => {
        const shown = share(result)
        if (shown === null) return []
        const found = { grantId: grant.grantId, cameraId: shown.cameraId, sightingId: shown.sightingId }
        const hasPicture = grant.crops && result.sighting.crop !== null
        const voucher = hasPicture ? voucherOf(seq, partner.partner, person.account, found) : null
        return [{ ...shown, pictureVoucher: voucher }]
      })
      await audit.append({
        operation: 'federation.answered',
        outcome: 'allowed',
        actor,
        completes: seq,
        results: results.length,
        detail: {
          request: requestId,
          search: answer.auditSeq,
          truncated: answer.truncated || answer.total > results.length,
        },
      })
      await finish(seq, 'answered', results.length)
      const { total, truncated } = answer
      return { auditSeq: seq, grantId: grant.grantId, results, total, truncated: truncated || total > results.length }
    },

    async crop(request, caller) {
      const { partner } = caller
      const { grantId, cameraId, sightingId, auditSeq, person } = request
      const entry: Omit<AuditRecord, 'outcome'> = {
        operation: 'federation.crop_viewed',
        actor: actorOf(caller, person.account),
        subject: { kind: 'sighting', id: sightingId },
        detail: { account: person.account, grant: grantId },
      }
      if (!sameText(request.voucher, voucherOf(auditSeq, partner.partner, person.account, request)))
        return refusal(entry, 'not_found_by_search', 'no search of this person has found that sighting')
      const nowMs = clock.nowMs()
      const grant = await grants.get(grantId)
      const stored = await sightings.get(sightingId, nowMs, cameraId)
      const crop = await sightings.crop(cameraId, sightingId, nowMs)
      if (!caller.isActive() || grant === null || !stillGiven(grant, policy(), partner, nowMs))
        return refusal(entry, 'no_grant', 'the grant is not in force any more')
      const isOld = stored === null || stored.seenAtMs < nowMs - oldestDays(grant, policy()) * DAY_MS
      if (isOld || crop === null) return refusal(entry, 'not_found', 'there is no such picture, or it is too old')
      const { seq } = await audit.append({
        ...entry,
        outcome: 'allowed',
        completes: auditSeq,
        detail: { ...entry.detail, sha256: crop.sha256 },
      })
      return { auditSeq: seq, jpeg: crop.jpeg.toString('base64') }
    },

    async grants({ partner }) {
      const approved = await grants.approved(partner.partner)
      const current = policy()
      if (policyRefuses(current, partner.jurisdiction) !== null) return []
      return approved
        .filter((grant) => clock.nowMs() < endOf(grant, current))
        .map(({ grantId, purposes, what, cameras, maxAgeDays, fromMs, untilMs, crops, patterns }) => ({
          ...{
            grantId,
            purposes: [...purposes],
            what,
            cameras: [...cameras],
            maxAgeDays,
            fromMs,
            untilMs,
            crops,
            patterns,
          },
        }))
    },

    async refuse(rule, caller) {
      await audit.append({
        operation: 'federation.searched',
        outcome: 'refused',
        rule,
        actor: actorOf(caller),
        subject: { kind: 'partner', id: caller.partner.partner },
      })
    },
  }
}

const REFUSALS = {
  partner_revoked: 'the partnership has ended',
  sharing_not_allowed: 'the policy of the owner allows no sharing',
  jurisdiction_not_allowed: 'the policy of the owner allows no sharing with this jurisdiction',
  policy_gives_partners_nothing: 'the policy of the owner gives partners nothing to search',
  use_prohibited: 'the policy of the owner prohibits this use',
  no_grant: 'there is no grant',
  grant_not_begun: 'the grant is not in force yet',
  grant_expired: 'the grant has expired',
  purpose_not_granted: 'the grant is not for this purpose',
  pattern_not_granted: 'the grant is for whole plates alone',
  cameras_not_granted: 'the grant is not for all of these cameras',
  window_not_granted: 'the grant does not reach so far back',
} as const

type Admitted = Narrowed & { atMs: number }

/** Does it let less through than `before` did? The oldest read moves on with the clock, and is not narrower for that. */
function isNarrower(now: Admitted, before: Admitted): boolean {
  return now.fromMs - before.fromMs > now.atMs - before.atMs || now.cameras.join() !== before.cameras.join()
}

function stillGiven(grant: Grant, policy: Policy, partner: Partner, nowMs: number): boolean {
  return (
    grant.partner === partner.partner &&
    grant.state === 'active' &&
    grant.crops &&
    policyRefuses(policy, partner.jurisdiction) === null &&
    grant.purposes.some((purpose) => purposeAllowed(policy, purpose)) &&
    nowMs >= grant.fromMs &&
    nowMs < endOf(grant, policy)
  )
}

/** The part of a read that a partner sees; null: none. */
function share({ kind, sighting, seenAtMs, clockTrusted }: SearchResult): Omit<SharedResult, 'pictureVoucher'> | null {
  const { sightingId, cameraId, plate, confidence, jurisdiction, vehicle = null } = sighting
  const shown = { kind, sightingId, cameraId, seenAtMs, clockTrusted, plate, confidence, jurisdiction, vehicle }
  return shownSchema.safeParse(shown).data ?? null
}
const shownSchema = sharedResultSchema.omit({ pictureVoucher: true })

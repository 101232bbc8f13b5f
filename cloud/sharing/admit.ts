/**
 * Does the owner let a partner's search through, and how much of it? By the policy of this moment and one grant. Pure; asked before a
 * shared search runs, again before its answer leaves, and before a picture does.
 */
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { Policy } from '../../shared/wire/index.ts'
import type { Grant } from './grants.ts'

/** In the order in which they are looked at: of several grants, the one that came furthest says why it was refused. */
export const ADMISSION_RULES = [
  'sharing_not_allowed',
  'jurisdiction_not_allowed',
  'policy_gives_partners_nothing',
  'use_prohibited',
  'no_grant',
  'grant_not_begun',
  'grant_expired',
  'purpose_not_granted',
  'pattern_not_granted',
  'cameras_not_granted',
  'window_not_granted',
] as const
export type AdmissionRule = (typeof ADMISSION_RULES)[number]

/** Where the policy bounds the age, the owner's own rules ask for it again a moment later, when that much is too old. */
const SCOPE_MARGIN_MS = MINUTE_MS

export type SharingPolicy = Pick<Policy, 'uses' | 'search' | 'sharing'>

/** What of a search decides. */
export interface Wanted {
  purpose: string
  offenceType: string
  reason: string
  isPattern: boolean
  /** Empty: all that there are. */
  cameras: readonly string[]
  fromMs: number | null
  toMs: number | null
}

/** The search as it may run. */
export interface Narrowed {
  grant: Grant
  cameras: readonly string[]
  fromMs: number
}

export type Admission = ({ ok: true } & Narrowed) | { ok: false; rule: AdmissionRule }

/** Why the policy shares nothing with a partner of this jurisdiction; null: it may. */
export function policyRefuses(policy: SharingPolicy, jurisdiction: string): AdmissionRule | null {
  const { allowed, jurisdictions } = policy.sharing
  if (!allowed) return 'sharing_not_allowed'
  if (jurisdictions.length > 0 && !jurisdictions.includes(jurisdiction)) return 'jurisdiction_not_allowed'
  return partnerScope(policy) === undefined ? 'policy_gives_partners_nothing' : null
}

/** When a grant ends, also when the policy has made the longest life shorter since. */
export function endOf(grant: Grant, policy: SharingPolicy): number {
  return Math.min(grant.untilMs, grant.fromMs + policy.sharing.maxGrantDays * DAY_MS)
}

/** Of `grants`, those approved and not revoked, the newest that lets the search through. */
export function admit(
  policy: SharingPolicy,
  jurisdiction: string,
  grants: readonly Grant[],
  wanted: Wanted,
  nowMs: number,
): Admission {
  const refused = policyRefuses(policy, jurisdiction)
  if (refused !== null) return { ok: false, rule: refused }
  if (isProhibited(policy, wanted)) return { ok: false, rule: 'use_prohibited' }
  let rule: AdmissionRule = 'no_grant'
  for (const grant of [...grants].sort((a, b) => (a.grantId < b.grantId ? 1 : -1))) {
    const under = admitUnder(policy, grant, wanted, nowMs)
    if (under.ok) return under
    if (ADMISSION_RULES.indexOf(under.rule) > ADMISSION_RULES.indexOf(rule)) rule = under.rule
  }
  return { ok: false, rule }
}

function admitUnder(policy: SharingPolicy, grant: Grant, wanted: Wanted, nowMs: number): Admission {
  const no = (rule: AdmissionRule): Admission => ({ ok: false, rule })
  const scope = partnerScope(policy)
  if (scope === undefined) return no('policy_gives_partners_nothing')
  if (nowMs < grant.fromMs) return no('grant_not_begun')
  if (nowMs >= endOf(grant, policy)) return no('grant_expired')
  if (!grant.purposes.includes(wanted.purpose) || !purposeAllowed(policy, wanted.purpose))
    return no('purpose_not_granted')
  if (wanted.isPattern && !(grant.patterns && scope.patterns)) return no('pattern_not_granted')
  const cameras =
    grant.cameras.length === 0
      ? wanted.cameras
      : wanted.cameras.length === 0
        ? grant.cameras
        : wanted.cameras.filter((camera) => grant.cameras.includes(camera))
  // Nobody is told less than they asked for without knowing it: a camera that is not granted is refused, not passed over.
  if (cameras.length < wanted.cameras.length) return no('cameras_not_granted')
  const marginMs = grant.maxAgeDays < oldestOfPolicy(policy) ? 0 : SCOPE_MARGIN_MS
  const oldestMs = Math.ceil(nowMs - oldestDays(grant, policy) * DAY_MS) + marginMs
  if (wanted.toMs !== null && wanted.toMs <= oldestMs) return no('window_not_granted')
  return { ok: true, grant, cameras, fromMs: Math.max(oldestMs, wanted.fromMs ?? oldestMs) }
}

/** How old a read may be, days: what the grant says, or less by the policy. */
export function oldestDays(grant: Grant, policy: SharingPolicy): number {
  return Math.min(grant.maxAgeDays, oldestOfPolicy(policy))
}

function oldestOfPolicy(policy: SharingPolicy): number {
  return partnerScope(policy)?.maxAgeDays ?? Number.POSITIVE_INFINITY
}

function partnerScope(policy: SharingPolicy) {
  return policy.search.scopes.find(({ role }) => role === 'partner')
}

/** Is it one of the policy's purposes, and of those that partners may name? A policy without purposes knows no other than the grant's. */
export function purposeAllowed(policy: SharingPolicy, purpose: string): boolean {
  const { purposes } = policy.uses
  const ofPartners = partnerScope(policy)?.purposes ?? []
  return (
    (purposes.length === 0 || purposes.some(({ code }) => code === purpose)) &&
    (ofPartners.length === 0 || ofPartners.includes(purpose))
  )
}

function isProhibited({ uses }: SharingPolicy, { purpose, offenceType, reason }: Wanted): boolean {
  const said = ` ${wordsOf(offenceType)} | ${wordsOf(reason)} `
  return uses.prohibited.some(
    ({ code, words }) => code === purpose || words.some((word) => said.includes(` ${wordsOf(word)} `)),
  )
}

/** Whole words: an office is not ICE. */
function wordsOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
}

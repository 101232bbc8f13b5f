import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import { type Policy, policySchema } from '../../shared/wire/index.ts'
import { admit, type Wanted } from './admit.ts'
import type { Grant } from './grants.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

const GRANT: Grant = {
  ...{
    grantId: '019abc00-0000-7000-8000-000000000001',
    partner: 'springfield',
    purposes: ['stolen'],
    what: 'sightings',
  },
  ...{ cameras: [], maxAgeDays: 10, fromMs: NOW_MS - DAY_MS, untilMs: NOW_MS + DAY_MS, crops: false, patterns: false },
  ...{ state: 'active', madeAtMs: NOW_MS, madeBy: 'petra', decidedAtMs: null, decidedBy: null },
  ...{ revokedAtMs: null, revokedBy: null },
}
const WANTED: Wanted = {
  ...{ purpose: 'stolen', offenceType: 'vehicle theft', reason: 'taken from a driveway', isPattern: false },
  ...{ cameras: [], fromMs: null, toMs: null },
}
const SCOPE = { role: 'partner' as const, maxAgeDays: null, purposes: [], patterns: true, exports: false }

function policyOf(change: Partial<Pick<Policy, 'uses' | 'search' | 'sharing'>> = {}): Policy {
  return policySchema.parse({
    ...{ agency: 'shelby', version: 1, issuedAtMs: NOW_MS, upload: 'all' },
    retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
    search: { scopes: [SCOPE] },
    sharing: { allowed: true },
    ...change,
  })
}

function verdict(
  change: { policy?: Policy; grants?: Grant[]; wanted?: Partial<Wanted>; jurisdiction?: string; nowMs?: number } = {},
) {
  const { policy = policyOf(), grants = [GRANT], jurisdiction = 'US-VA', nowMs = NOW_MS } = change
  return admit(policy, jurisdiction, grants, { ...WANTED, ...change.wanted }, nowMs)
}

function ruleOf(change: Parameters<typeof verdict>[0]): string {
  const found = verdict(change)
  return found.ok ? 'admitted' : found.rule
}

test('a grant is in force from its first millisecond and before its end, not at it', () => {
  const { fromMs, untilMs } = GRANT
  assert.is(ruleOf({ nowMs: fromMs - 1 }), 'grant_not_begun')
  assert.is(ruleOf({ nowMs: fromMs }), 'admitted')
  assert.is(ruleOf({ nowMs: untilMs - 1 }), 'admitted')
  assert.is(ruleOf({ nowMs: untilMs }), 'grant_expired')
})

test('a longest life that the policy has made shorter ends grants that were made before', () => {
  const policy = policyOf({ sharing: { allowed: true, jurisdictions: [], maxGrantDays: 1 } })
  const grants = [{ ...GRANT, fromMs: NOW_MS }]
  assert.is(ruleOf({ policy, grants, nowMs: NOW_MS + DAY_MS - 1 }), 'admitted')
  assert.is(
    ruleOf({ policy, grants: [{ ...GRANT, fromMs: NOW_MS, untilMs: NOW_MS + 9 * DAY_MS }], nowMs: NOW_MS + DAY_MS }),
    'grant_expired',
  )
})

test('the policy goes before every grant', () => {
  assert.is(
    ruleOf({ policy: policyOf({ sharing: { allowed: false, jurisdictions: [], maxGrantDays: 9 } }) }),
    'sharing_not_allowed',
  )
  const inState = policyOf({ sharing: { allowed: true, jurisdictions: ['US-VA'], maxGrantDays: 9 } })
  assert.equal(
    [ruleOf({ policy: inState }), ruleOf({ policy: inState, jurisdiction: 'US-MD' })],
    ['admitted', 'jurisdiction_not_allowed'],
  )
  assert.is(
    ruleOf({ policy: policyOf({ search: { scopes: [{ ...SCOPE, role: 'investigator' }] } }) }),
    'policy_gives_partners_nothing',
  )
  const uses = { purposes: [{ code: 'missing', label: 'missing persons' }], offenceTypes: [], prohibited: [] }
  assert.is(ruleOf({ policy: policyOf({ uses }) }), 'purpose_not_granted')
  assert.is(
    ruleOf({
      policy: policyOf({
        uses: { ...uses, purposes: [...uses.purposes, { code: 'stolen', label: 'stolen vehicles' }] },
        search: { scopes: [{ ...SCOPE, purposes: ['missing'] }] },
      }),
    }),
    'purpose_not_granted',
  )
  const patterned = { grants: [{ ...GRANT, patterns: true }], wanted: { isPattern: true } }
  assert.is(ruleOf(patterned), 'admitted')
  assert.is(
    ruleOf({ ...patterned, policy: policyOf({ search: { scopes: [{ ...SCOPE, patterns: false }] } }) }),
    'pattern_not_granted',
  )
})

test('a prohibited use is one by its name, or by a word in the reason or the offence type', () => {
  const prohibited = [{ code: 'immigration', label: 'immigration enforcement', words: ['deportation order', 'ICE'] }]
  const policy = policyOf({ uses: { purposes: [], offenceTypes: [], prohibited } })
  assert.is(ruleOf({ policy }), 'admitted')
  assert.is(ruleOf({ policy, wanted: { purpose: 'immigration' } }), 'use_prohibited')
  assert.is(ruleOf({ policy, wanted: { reason: 'has a Deportation\n order' } }), 'use_prohibited')
  assert.is(ruleOf({ policy, wanted: { offenceType: 'DEPORTATION ORDER' } }), 'use_prohibited')
  assert.is(ruleOf({ policy, wanted: { reason: 'asked by ice, again' } }), 'use_prohibited')
  assert.is(ruleOf({ policy, wanted: { reason: 'burglary of an office' } }), 'admitted')
})

test('cameras are those of the grant; one that is not granted is refused, not passed over', () => {
  const grants = [{ ...GRANT, cameras: ['elm', 'oak'] }]
  const camerasOf = (cameras: string[], of: Grant[] = grants) => {
    const found = verdict({ grants: of, wanted: { cameras } })
    return found.ok ? found.cameras : found.rule
  }
  assert.equal(camerasOf([]), ['elm', 'oak'])
  assert.equal(camerasOf(['oak']), ['oak'])
  assert.equal(camerasOf(['oak', 'main']), 'cameras_not_granted')
  assert.equal(camerasOf(['main'], [GRANT]), ['main'], 'a grant without cameras is for all')
})

test('a search reaches back as far as grant and policy both allow', () => {
  const fromOf = (change: Parameters<typeof verdict>[0]) => {
    const found = verdict(change)
    return found.ok ? (NOW_MS - found.fromMs) / DAY_MS : found.rule
  }
  assert.is(fromOf({}), 10)
  assert.is(fromOf({ wanted: { fromMs: NOW_MS - 99 * DAY_MS } }), 10)
  assert.is(fromOf({ wanted: { fromMs: NOW_MS - 3 * DAY_MS } }), 3)
  assert.is(fromOf({ policy: policyOf({ search: { scopes: [{ ...SCOPE, maxAgeDays: 2 }] } }) }), 2 - MINUTE_MS / DAY_MS)
  assert.is(fromOf({ wanted: { toMs: NOW_MS - 10 * DAY_MS } }), 'window_not_granted')
  assert.is(fromOf({ wanted: { toMs: NOW_MS - 10 * DAY_MS + 1 } }), 10)
})

test('of several grants the newest that fits counts; none fits: the one that came furthest says why', () => {
  const older = { ...GRANT, purposes: ['stolen', 'missing'] }
  const newer = { ...GRANT, grantId: '019abc00-0000-7000-8000-000000000002', maxAgeDays: 3 }
  const found = verdict({ grants: [older, newer] })
  assert.ok(found.ok && found.grant === newer)
  const other = verdict({ grants: [newer, older], wanted: { purpose: 'missing' } })
  assert.ok(other.ok && other.grant === older)
  const expired = { ...GRANT, untilMs: NOW_MS }
  assert.is(ruleOf({ grants: [expired, newer], wanted: { isPattern: true } }), 'pattern_not_granted')
  assert.is(ruleOf({ grants: [] }), 'no_grant')
})

test.run()

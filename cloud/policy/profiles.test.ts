/** Each profile: it parses, cites, renders, and makes exactly its values; where the statute is known, the values are those of the statute. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import { type Policy, policySchema } from '../../shared/wire/policy.ts'
import { applyChange, type PolicyChange } from './change.ts'
import { diffPolicies } from './diff.ts'
import { changeTo, getProfile, NO_LEGAL_ADVICE, nameOf, profiles, rulesOf } from './profile.ts'
import { renderPolicy, renderProfile } from './render.ts'
import { POLICY_RULES } from './rules.ts'

const NOW = 1_790_000_000_000
const NEXT = { version: 2, issuedAtMs: NOW + 1 }
const FIRST: Policy = policySchema.parse({
  ...{ agency: 'springfield', version: 1, issuedAtMs: NOW, upload: 'all' },
  retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
})
const FIELDS = POLICY_RULES.map(({ field }) => field)

/** What the statutes say, apart from the profiles: days without a match, and how long a record of use or a hold lasts. */
const STATUTES: Record<string, { days: number; more?: (policy: Policy) => void }> = {
  'new-hampshire': {
    days: (3 * MINUTE_MS) / DAY_MS,
    more: ({ upload, unmatchedInMemory, sharing }) =>
      assert.equal([upload, unmatchedInMemory, sharing.allowed], ['matches-only', true, false]),
  },
  maine: { days: 21 },
  virginia: {
    days: 21,
    more: ({ sharing, uses }) => assert.equal([sharing.jurisdictions, uses.purposes.length], [['US-VA'], 3]),
  },
  washington: {
    days: 21,
    more({ audit, uses }) {
      assert.is(audit.days, 5 * 365 + 2)
      const codes = uses.prohibited.map(({ code }) => code)
      for (const code of ['immigration', 'protected-activity', 'protected-health-care']) assert.ok(codes.includes(code))
      assert.ok(uses.offenceTypes.includes('gross misdemeanor'))
    },
  },
  minnesota: { days: 60 },
  'north-carolina': {
    days: 90,
    more({ holds, uses }) {
      assert.is(holds.maxDays, 365)
      assert.ok(uses.prohibited.some(({ code }) => code === 'traffic'))
    },
  },
  nebraska: {
    days: 180,
    more: ({ hotlists }) => assert.equal([hotlists.manualEndsWithShift, hotlists.shifts?.ends.length], [true, 3]),
  },
  utah: { days: 273, more: ({ holds }) => assert.is(holds.maxDays, 14) },
  california: { days: 30, more: ({ sharing }) => assert.equal(sharing.jurisdictions, ['US-CA']) },
  'new-jersey': { days: 3 * 365 + 1 },
  'reference-city': {
    days: 30,
    more: ({ publication, audit }) => assert.equal([publication.everyDays, audit.days], [30, null]),
  },
  'reference-city-2026': { days: 21, more: ({ sharing }) => assert.is(sharing.allowed, false) },
}

test('there is a profile for each statute of the list and for the reference city, and no other', () => {
  assert.equal(
    profiles().map(({ id }) => id),
    Object.keys(STATUTES),
  )
  assert.throws(() => getProfile('atlantis'), /no profile atlantis/)
})

for (const profile of profiles()) {
  test(`${profile.id}: applied, the policy has exactly its values, and keeps what only the agency can know`, () => {
    const shifts = { timeZone: 'America/Denver', ends: ['05:30'] }
    const own: PolicyChange = {
      hotlists: { prohibitedCategories: ['toll debt'], shifts, manualMaxHours: 7, staleLists: 'stop' },
      publication: { contact: 'records@springfield.example', smallCount: 0 },
      uses: { purposes: [{ code: 'other', label: 'another one' }], offenceTypes: ['theft'] },
      search: { scopes: [{ role: 'investigator', maxAgeDays: 1, purposes: [], patterns: true, exports: true }] },
      sharing: { allowed: true, jurisdictions: ['DE'], maxGrantDays: 3 },
      review: { everyDays: 1 },
      audit: { days: 400 },
      holds: { maxDays: 5 },
    }
    const before = applyChange(FIRST, own, NEXT)
    const after = applyChange(before, changeTo(profile), { version: 3, issuedAtMs: NOW + 2 })
    const rules = rulesOf(profile)
    const ownShifts = profile.rules.hotlists?.shifts === undefined
    assert.equal(after, {
      ...rules,
      ...{ agency: 'springfield', version: 3, issuedAtMs: NOW + 2 },
      hotlists: {
        ...rules.hotlists,
        prohibitedCategories: ['toll debt'],
        shifts: ownShifts ? shifts : rules.hotlists.shifts,
      },
      publication: { ...rules.publication, contact: 'records@springfield.example' },
    })
    assert.equal([after.secondPerson, after.profile], [true, nameOf(profile)])
    for (const [name, value] of Object.entries(profile.rules.retention)) {
      assert.is(after.retention[name as keyof Policy['retention']], value)
    }
    assert.equal(diffPolicies(after, applyChange(after, changeTo(profile), { ...NEXT, version: 4 })), [])
  })

  test(`${profile.id}: its values are those of its source`, () => {
    const statute = STATUTES[profile.id]
    const policy = applyChange(FIRST, changeTo(profile), NEXT)
    assert.is(policy.retention.unmatchedDays, statute?.days)
    assert.ok(policy.retention.quarantineDays <= policy.retention.unmatchedDays, 'what is set aside may be a read too')
    statute?.more?.(policy)
    assert.ok(policy.uses.prohibited.some(({ code, words }) => code === 'immigration' && words.length > 0))
  })

  test(`${profile.id}: its rules cite their sections, in its words too, and say that this is no legal advice`, () => {
    assert.ok(profile.sections['retention.unmatchedDays'] !== undefined)
    for (const [field, { section }] of Object.entries(profile.sections)) {
      assert.ok(FIELDS.includes(field), `${field} is a rule`)
      assert.ok(section.length > 5, field)
    }
    assert.ok(profile.citation.length <= 300)
    const rendering = renderProfile(profile)
    assert.is(rendering.notice, NO_LEGAL_ADVICE)
    assert.match(rendering.notice, /no legal advice/)
    assert.is(rendering.basis?.citation, profile.citation)
    const rules = rendering.sections.flatMap((section) => section.rules)
    assert.equal(
      rules.map(({ field }) => field),
      FIELDS,
    )
    for (const { field, text, section, profileText } of rules) {
      assert.match(text, /^[A-Z].*\.$/s, field)
      assert.not.match(text, /undefined|null|NaN|\[object/, field)
      assert.is(profileText, undefined, 'a profile does not differ from itself')
      const cited = profile.sections[field]
      assert.is(
        section,
        cited === undefined ? undefined : `${cited.section}${cited.unsure === true ? ' (unsure)' : ''}`,
      )
    }
    assert.is(rendering.duties.length, profile.duties.length)
    assert.ok(rendering.duties.every(({ section }) => section.length > 5))
  })

  test(`${profile.id}: what a policy changes of it afterwards is shown beside what the profile says`, () => {
    const policy = applyChange(FIRST, changeTo(profile), NEXT)
    const shorter = applyChange(policy, { retention: { matchedDays: 1 } }, { ...NEXT, version: 3 })
    const rules = renderPolicy(shorter).sections.flatMap((section) => section.rules)
    const differing = rules.filter(({ profileText }) => profileText !== undefined)
    assert.equal(
      differing.map(({ field }) => field),
      ['retention.matchedDays'],
    )
    assert.match(differing[0]?.text ?? '', /1 day\b/)
  })
}

test.run()

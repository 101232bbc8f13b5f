/** The table of rules: it has every field of the policy, says each in words, and knows which way is the looser one. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Policy, policySchema } from '../../shared/wire/policy.ts'
import { MAX_ENTRY_BYTES } from '../audit/entry.ts'
import { MAX_AUDITED_VALUE_BYTES } from '../audit/value.ts'
import { applyChange, type PolicyChange } from './change.ts'
import { auditedDiff, diffPolicies } from './diff.ts'
import { changeTo, profiles } from './profile.ts'
import { renderPolicy } from './render.ts'
import { POLICY_RULES } from './rules.ts'
import { inDays, inHours, inWords } from './words.ts'

const FIRST: Policy = policySchema.parse({
  ...{ agency: 'springfield', version: 1, issuedAtMs: 1_790_000_000_000, upload: 'all' },
  retention: { unmatchedDays: 30, matchedDays: 30, cropDays: 30, quarantineDays: 30 },
})
const after = (change: PolicyChange, from = FIRST) =>
  applyChange(from, change, { version: from.version + 1, issuedAtMs: from.issuedAtMs })

/** Paths of the document down to what is no object; what may be null is one value. */
function leaves(value: unknown, path: string[] = []): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path.join('.')]
  return Object.entries(value).flatMap(([name, inner]) => leaves(inner, [...path, name]))
}

test('every field of the policy is a rule, once, and every rule a field', () => {
  const made = ['agency', 'version', 'issuedAtMs']
  assert.equal(
    POLICY_RULES.map(({ field }) => field).sort(),
    leaves(FIRST)
      .filter((field) => !made.includes(field))
      .sort(),
  )
})

test('each rule is a sentence, whatever the policy, and the rendering has all of them', () => {
  for (const policy of [FIRST, ...profiles().map((profile) => after(changeTo(profile)))]) {
    const { sections, title } = renderPolicy(policy)
    assert.is(title, `Licence-plate reading policy of springfield, version ${policy.version}`)
    const rules = sections.flatMap((section) => section.rules)
    assert.is(rules.length, POLICY_RULES.length)
    for (const { field, text } of rules) assert.match(text, /^[A-Z].*\.$/s, field)
  }
  assert.is(renderPolicy(FIRST).basis, null)
})

test('lengths of time and lists are in words, with their units', () => {
  assert.equal([3 / 1_440, 1 / 24, 0.5, 1, 21, 365, 366, 1_096, 1_827, 273].map(inDays), [
    '3 minutes',
    '1 hour',
    '12 hours',
    '1 day',
    '21 days',
    '365 days (1 year)',
    '366 days (1 year)',
    '1,096 days (3 years)',
    '1,827 days (5 years)',
    '273 days',
  ])
  assert.equal([1, 12, 24, 720].map(inHours), ['1 hour', '12 hours', '1 day', '30 days'])
  assert.equal(
    [[], ['a'], ['a', 'b'], ['a', 'b', 'c']].map((parts) => inWords(parts)),
    ['none', 'a', 'a and b', 'a, b and c'],
  )
  assert.is(inWords(['a, or b', 'c'], 'or'), 'a, or b; or c')
})

const theft = { code: 'theft', label: 'a theft' }
const murder = { code: 'murder', label: 'a murder' }
const scope: Policy['search']['scopes'][number] = {
  ...{ role: 'investigator', maxAgeDays: 30, purposes: ['theft'], patterns: false, exports: false },
}
const BOTH = { uses: { purposes: [theft, murder] } }

/** From the one to the other is looser; the way back is not. */
const LOOSER: [string, PolicyChange, PolicyChange][] = [
  ['retention.unmatchedDays', { retention: { unmatchedDays: 21 } }, { retention: { unmatchedDays: 30 } }],
  ['retention.matchedDays', { retention: { matchedDays: 21 } }, { retention: { matchedDays: 21.5 } }],
  ['retention.cropDays', { retention: { cropDays: 1 } }, { retention: { cropDays: 2 } }],
  ['retention.quarantineDays', { retention: { quarantineDays: 1 } }, { retention: { quarantineDays: 2 } }],
  [
    'unmatchedInMemory',
    { upload: 'matches-only', unmatchedInMemory: true },
    { upload: 'matches-only', unmatchedInMemory: false },
  ],
  ['upload', { upload: 'matches-only' }, { upload: 'all' }],
  ['holds.maxDays', { holds: { maxDays: 14 } }, { holds: { maxDays: 15 } }],
  ['audit.days', { audit: { days: null } }, { audit: { days: 1_827 } }],
  ['audit.days', { audit: { days: 1_827 } }, { audit: { days: 1_826 } }],
  ['uses.purposes', { uses: { purposes: [theft] } }, BOTH],
  ['uses.purposes', { uses: { purposes: [theft] } }, { uses: { purposes: [] } }],
  ['uses.offenceTypes', { uses: { offenceTypes: ['theft'] } }, { uses: { offenceTypes: ['theft', 'murder'] } }],
  [
    'uses.prohibited',
    { uses: { prohibited: [{ ...theft, words: ['stolen'] }] } },
    { uses: { prohibited: [{ ...theft, words: [] }] } },
  ],
  ['uses.prohibited', { uses: { prohibited: [{ ...theft, words: [] }] } }, { uses: { prohibited: [] } }],
  ['search.scopes', { ...BOTH, search: { scopes: [scope] } }, { ...BOTH, search: { scopes: [] } }],
  [
    'search.scopes',
    { ...BOTH, search: { scopes: [scope] } },
    { ...BOTH, search: { scopes: [{ ...scope, maxAgeDays: null }] } },
  ],
  [
    'search.scopes',
    { ...BOTH, search: { scopes: [scope] } },
    { ...BOTH, search: { scopes: [{ ...scope, exports: true }] } },
  ],
  [
    'search.scopes',
    { ...BOTH, search: { scopes: [] } },
    { ...BOTH, search: { scopes: [{ ...scope, role: 'partner' }] } },
  ],
  ['sharing.allowed', { sharing: { allowed: false } }, { sharing: { allowed: true } }],
  [
    'sharing.jurisdictions',
    { sharing: { jurisdictions: ['US-VA'] } },
    { sharing: { jurisdictions: ['US-VA', 'US-MD'] } },
  ],
  ['sharing.jurisdictions', { sharing: { jurisdictions: ['US-VA'] } }, { sharing: { jurisdictions: [] } }],
  ['sharing.maxGrantDays', { sharing: { maxGrantDays: 7 } }, { sharing: { maxGrantDays: 8 } }],
  [
    'hotlists.prohibitedCategories',
    { hotlists: { prohibitedCategories: ['toll debt'] } },
    { hotlists: { prohibitedCategories: [] } },
  ],
  ['hotlists.staleLists', { hotlists: { staleLists: 'stop' } }, { hotlists: { staleLists: 'mark' } }],
  [
    'hotlists.manualNeedsSecondPerson',
    { hotlists: { manualNeedsSecondPerson: true } },
    { hotlists: { manualNeedsSecondPerson: false } },
  ],
  ['hotlists.manualMaxHours', { hotlists: { manualMaxHours: 8 } }, { hotlists: { manualMaxHours: 9 } }],
  ['hotlists.checkPastHours', { hotlists: { checkPastHours: 0 } }, { hotlists: { checkPastHours: 1 } }],
  ['review.everyDays', { review: { everyDays: 7 } }, { review: { everyDays: 8 } }],
  ['review.repeatedTarget', { review: { repeatedTarget: 5 } }, { review: { repeatedTarget: 6 } }],
  ['review.suddenVolume', { review: { suddenVolume: 3 } }, { review: { suddenVolume: 4 } }],
  ['publication.everyDays', { publication: { everyDays: 30 } }, { publication: { everyDays: null } }],
  ['publication.smallCount', { publication: { smallCount: 5 } }, { publication: { smallCount: 6 } }],
  ['publication.contact', { publication: { contact: 'records' } }, { publication: { contact: '' } }],
  ['secondPerson', { secondPerson: true }, { secondPerson: false }],
]

for (const [field, tight, loose] of LOOSER) {
  test(`${field}: ${JSON.stringify(loose)} is looser than ${JSON.stringify(tight)}, and not the other way round`, () => {
    const [from, to] = [after(tight), after(loose)]
    const forth = diffPolicies(from, to)
    assert.equal(
      forth.map((one) => [one.field, one.loosens]),
      [[field, true]],
    )
    assert.not.equal(forth[0]?.beforeText, forth[0]?.afterText)
    assert.equal(
      diffPolicies(to, from).map((one) => [one.field, one.loosens]),
      [[field, false]],
    )
  })
}

test('every rule that can be looser has a case above', () => {
  const cases = new Set(LOOSER.map(([field]) => field))
  const never = ['hotlists.shifts', 'hotlists.manualEndsWithShift', 'profile']
  assert.equal(
    POLICY_RULES.map(({ field }) => field).filter((field) => !cases.has(field)),
    never,
  )
})

test('a diff in the audit has each field, cut to its bytes, and even the largest fits its entry', () => {
  const small = auditedDiff(diffPolicies(FIRST, after({ retention: { unmatchedDays: 60 }, upload: 'matches-only' })))
  assert.equal(small, {
    'retention.unmatchedDays': '30 → 60',
    upload: '"all" → "matches-only"',
    loosens: ['retention.unmatchedDays'],
  })
  const wide = POLICY_RULES.map(({ field }) => ({
    ...{ field, before: '車'.repeat(5_000), after: '車'.repeat(5_001), beforeText: '', afterText: '', loosens: true },
  }))
  const detail = auditedDiff(wide)
  assert.ok(Buffer.byteLength(JSON.stringify(detail)) < MAX_ENTRY_BYTES - 2_000)
  for (const { field } of wide) {
    assert.ok(Buffer.byteLength(String(detail[field])) <= 2 * (MAX_AUDITED_VALUE_BYTES + 20) + 5, field)
    assert.match(String(detail[field]), /^"車+… \(15002 bytes\) → "車+… \(15005 bytes\)$/)
  }
})

test.run()

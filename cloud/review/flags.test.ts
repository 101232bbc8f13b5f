import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { hotlistRulesSchema, reviewRulesSchema, usesSchema } from '../../shared/wire/policy.ts'
import {
  type Flag,
  type Flagged,
  flagsOf,
  MIN_EARLIER_PERIODS,
  MIN_HOURS_SEARCHES,
  MIN_SUDDEN_SEARCHES,
  OUTSIDE_SEARCHES,
  type PersonsUse,
  REFUSED_SEARCHES,
  REPEATED_REASON_CASES,
  type ReviewPolicy,
  type Search,
  SHARED_SWITCHES,
  SHARED_WINDOW_MS,
} from './flags.ts'

const NOON = Date.UTC(2026, 9, 5, 12)
const POLICY: ReviewPolicy = {
  review: reviewRulesSchema.parse({}),
  uses: usesSchema.parse({}),
  hotlists: hotlistRulesSchema.parse({}),
}

/** Searches that nothing is to be said of, each of another case, plate and reason. */
const searches = (count: number, change: (index: number) => Partial<Search> = () => ({})): Search[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ seq: index + 1, atMs: NOON + index, outcome: 'allowed', rule: null },
    ...{ plateDigest: String(index), caseNumber: `26-${index}`, offenceType: 'burglary' },
    reason: `van left the yard on Elm Street, caller ${'abcdefghijklmnopqrstuvwxyz'[index % 26]}${index}`,
    ...change(index),
  }))

const found = (use: Partial<PersonsUse>, policy: Partial<ReviewPolicy> = {}): Flagged[] =>
  flagsOf({ searches: [], earlierAtMs: [], earlierCounts: [], switches: [], ...use }, { ...POLICY, ...policy })

function only(flags: Flagged[], flag: Flag): Flagged {
  assert.equal(
    flags.map((one) => one.flag),
    [flag],
  )
  return flags[0] as Flagged
}

test('what an investigator does on an ordinary day raises no flag', () => {
  assert.equal(found({ searches: searches(60) }), [])
})

test('one reason for different cases is flagged at its limit, however it is punctuated, and not one below', () => {
  const same = (index: number) => ({
    reason: index % 2 === 0 ? 'Stolen trailer, Elm Street' : 'stolen trailer elm street.',
  })
  assert.equal(found({ searches: searches(REPEATED_REASON_CASES - 1, same) }), [])
  const flagged = only(found({ searches: searches(REPEATED_REASON_CASES, same) }), 'repeated_reason')
  assert.equal(flagged.entries, [1, 2, 3])
  assert.match(flagged.why, /“stolen trailer elm street”, was given for 3 different case numbers/)
  const oneCase = () => ({ reason: 'stolen trailer, Elm Street', caseNumber: '26-7' })
  assert.equal(found({ searches: searches(9, oneCase) }), [], 'one case may have one reason')
})

test('a reason that says one thing too few beside the case, the offence and empty words is vague', () => {
  const of = (reason: string) => found({ searches: searches(1, () => ({ reason })) })
  assert.equal(of('blue trailer'), [])
  const flagged = only(of('ongoing investigation of burglary 26-0, trailer'), 'vague_reason')
  assert.equal(flagged.entries, [1])
  only(of('criminal investigation case vehicle'), 'vague_reason')
  only(of('[plate 0123456789abcdef] [plate 0123456789abcdef] trailer'), 'vague_reason')
})

test('one plate again and again is flagged at the policy’s limit and not one below', () => {
  const same = () => ({ plateDigest: 'ab' })
  const policy = { review: { ...POLICY.review, repeatedTarget: 4 } }
  assert.equal(found({ searches: searches(3, same) }, policy), [])
  const flagged = only(found({ searches: searches(4, same) }, policy), 'repeated_target')
  assert.match(flagged.why, /4 times, for 4 case numbers \(4 or more are flagged\)/)
})

test('searches far from every usual hour are flagged at their limit, once the usual hours are known', () => {
  // Usual: 8 to 10 o'clock.
  const earlierAtMs = Array.from({ length: MIN_HOURS_SEARCHES }, (_, i) => NOON - DAY_MS - (2 + (i % 3)) * HOUR_MS)
  const at = (hour: number) => () => ({ atMs: NOON + (hour - 12) * HOUR_MS })
  assert.equal(found({ searches: searches(OUTSIDE_SEARCHES, at(12)), earlierAtMs }), [], 'two hours after')
  assert.equal(found({ searches: searches(OUTSIDE_SEARCHES - 1, at(13)), earlierAtMs }), [])
  only(found({ searches: searches(OUTSIDE_SEARCHES, at(13)), earlierAtMs }), 'outside_shift')
  only(found({ searches: searches(OUTSIDE_SEARCHES, at(5)), earlierAtMs }), 'outside_shift')
  assert.equal(found({ searches: searches(OUTSIDE_SEARCHES, at(13)), earlierAtMs: earlierAtMs.slice(1) }), [])
})

test('where shifts are set, a shift in which the person hardly ever searched is outside, in local time and over midnight', () => {
  const shifts = { timeZone: 'America/Los_Angeles', ends: ['06:00', '14:00', '22:00'] }
  const policy = { hotlists: hotlistRulesSchema.parse({ shifts }) }
  // 05:00 UTC is 22:00 there: of the night shift, which ends at 06:00.
  const local = (hour: number) => Date.UTC(2026, 9, 4, hour + 7)
  const nights = Array.from({ length: 18 }, (_, i) => local(i % 2 === 0 ? 23 : 3))
  const earlierAtMs = [...nights, local(15), local(15)]
  const at = (hour: number) => searches(OUTSIDE_SEARCHES, () => ({ atMs: local(hour) }))
  assert.equal(found({ searches: at(22), earlierAtMs }, policy), [])
  assert.equal(found({ searches: at(5), earlierAtMs }, policy), [])
  assert.equal(found({ searches: at(15), earlierAtMs }, policy), [], 'two of twenty are a tenth')
  only(found({ searches: at(7), earlierAtMs }, policy), 'outside_shift')
  only(found({ searches: at(15), earlierAtMs: [...earlierAtMs, local(23)] }, policy), 'outside_shift')
})

test('so many times the usual number of searches is sudden, and one less is not', () => {
  const earlierCounts = [4, 6, 5, 100]
  // The middle is 5.5, three times that 16.5.
  assert.equal(found({ searches: searches(16), earlierCounts }), [])
  const flagged = only(found({ searches: searches(17), earlierCounts }), 'sudden_volume')
  assert.match(flagged.why, /17 searches, where the middle of 4 periods before is 5.5/)
  const few = new Array(MIN_EARLIER_PERIODS).fill(1)
  assert.equal(found({ searches: searches(MIN_SUDDEN_SEARCHES - 1), earlierCounts: few }), [])
  only(found({ searches: searches(MIN_SUDDEN_SEARCHES), earlierCounts: few }), 'sudden_volume')
  assert.equal(found({ searches: searches(50), earlierCounts: few.slice(1) }), [], 'what is usual is not known yet')
})

test('an account that goes to and fro between two addresses is flagged at its limit, within an hour', () => {
  const switches = (count: number, stepMs: number) =>
    Array.from({ length: count }, (_, i) => ({ seq: 10 * i + 10, beforeSeq: 10 * i + 9, atMs: NOON + i * stepMs }))
  assert.equal(found({ switches: switches(SHARED_SWITCHES - 1, MINUTE_MS) }), [])
  const flagged = only(
    found({ switches: switches(SHARED_SWITCHES, SHARED_WINDOW_MS / (SHARED_SWITCHES - 1)) }),
    'shared_login',
  )
  assert.equal(flagged.entries, [9, 10, 19, 20, 29, 30])
  assert.equal(found({ switches: switches(9, SHARED_WINDOW_MS / (SHARED_SWITCHES - 1) + 1) }), [])
})

test('searches that are refused again and again are flagged at their limit, and say by which rules', () => {
  const refused = (index: number) => ({
    ...{ outcome: 'refused' as const, rule: index === 0 ? 'case_number_missing' : 'reason_vague', reason: '.' },
  })
  assert.equal(found({ searches: searches(REFUSED_SEARCHES - 1, refused) }), [])
  const flagged = only(found({ searches: searches(REFUSED_SEARCHES, refused) }), 'refused_searches')
  assert.match(flagged.why, /1 by case_number_missing, 4 by reason_vague/)
})

test('a word of a prohibited use is flagged wherever it stands as a word, also in a search that was refused', () => {
  const prohibited = [{ code: 'immigration', label: 'Immigration enforcement', words: ['ICE', 'removal order'] }]
  const policy = { uses: usesSchema.parse({ prohibited }) }
  const of = (change: Partial<Search>) => found({ searches: searches(1, () => change) }, policy)
  assert.equal(of({ reason: 'police car stolen from Venice, notice given' }), [])
  const flagged = only(of({ reason: 'for ICE, white van on Elm Street' }), 'prohibited_words')
  assert.match(flagged.why, /1 search had a word of a prohibited use, “Immigration enforcement”/)
  only(of({ offenceType: 'Removal  Order', outcome: 'refused', rule: 'prohibited' }), 'prohibited_words')
})

test.run()

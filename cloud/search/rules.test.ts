import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../../shared/clock.ts'
import { policySchema } from '../../shared/wire/policy.ts'
import { MAX_CAMERAS_WINDOW_MS, MAX_PLACE_WINDOW_MS, MAX_TOWN_WINDOW_MS, type SearchRequest } from './request.ts'
import { refusalOf, scopeOf, type UsePolicy } from './rules.ts'
import { NOW_MS } from './testing.ts'

const REQUEST: SearchRequest = {
  ...{ plate: 'ABC1230', fromMs: null, toMs: null, cameras: [], limit: 50, offset: 0 },
  ...{ caseNumber: '24-00123', offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
}

const POLICY: UsePolicy = { uses: policySchema.shape.uses.parse({}), search: policySchema.shape.search.parse({}) }

function uses(change: Partial<UsePolicy['uses']>): UsePolicy {
  return { ...POLICY, uses: { ...POLICY.uses, ...change } }
}

type ScopeRule = UsePolicy['search']['scopes'][number]
function scoped(...scopes: Partial<ScopeRule>[]): UsePolicy {
  const whole: ScopeRule = { role: 'investigator', maxAgeDays: null, purposes: [], patterns: true, exports: true }
  return { ...POLICY, search: { scopes: scopes.map((scope) => ({ ...whole, ...scope })) } }
}

function ruleOf(
  change: Partial<SearchRequest>,
  policy = POLICY,
  roles = ['investigator'] as Parameters<typeof scopeOf>[0],
) {
  return refusalOf({ ...REQUEST, ...change }, { policy, scope: scopeOf(roles, policy), nowMs: NOW_MS })?.rule ?? null
}

test('a search names one of the policy’s purposes and offence types, where there are any', () => {
  assert.is(ruleOf({}), null)
  assert.is(ruleOf({ purpose: 'felony' }), null, 'none is asked for')
  assert.is(ruleOf({ purpose: 'No slug!' }), 'purpose_unknown')
  const policy = uses({ purposes: [{ code: 'felony', label: 'a felony' }], offenceTypes: ['Burglary', 'Hit and run'] })
  assert.is(ruleOf({}, policy), 'purpose_missing')
  assert.is(ruleOf({ purpose: 'curiosity' }, policy), 'purpose_unknown')
  assert.is(ruleOf({ purpose: 'felony' }, policy), null)
  assert.is(ruleOf({ purpose: 'felony', offenceType: ' hit  AND run ' }, policy), null)
  assert.is(ruleOf({ purpose: 'felony', offenceType: 'speeding' }, policy), 'offence_type_unknown')
})

test('a prohibited use is seen in reason, offence and case number, however it is written, and not inside other words', () => {
  const policy = uses({
    prohibited: [{ code: 'immigration', label: 'immigration enforcement', words: ['immigration', 'ICE', 'título 42'] }],
  })
  for (const change of [
    { reason: 'immigration status of the driver' },
    { reason: 'asked for by I.C.E. in the county' },
    { reason: 'asked for by I C E, county office' },
    { reason: 'TITULO  42 removal of the driver' },
    { offenceType: 'Immigration' },
    { caseNumber: 'ICE-2291' },
  ]) {
    assert.is(ruleOf(change, policy), 'prohibited_use', JSON.stringify(change))
  }
  assert.is(ruleOf({ reason: 'police notice of a stolen vehicle' }, policy), null)
})

test('a role searches as far as its scope: age, purposes and patterns; at the limit, and not one past it', () => {
  const policy = scoped({ maxAgeDays: 7, patterns: false, purposes: ['felony'] })
  const felony = { purpose: 'felony' }
  assert.is(ruleOf({ ...felony, fromMs: NOW_MS - 7 * DAY_MS }, policy), null)
  assert.is(ruleOf({ ...felony, fromMs: NOW_MS - 7 * DAY_MS - 1 }, policy), 'scope_age')
  assert.is(ruleOf({}, policy), 'purpose_missing')
  assert.is(ruleOf({ purpose: 'missing-person' }, policy), 'scope_purpose')
  assert.is(ruleOf({ ...felony, plate: 'ABC*' }, policy), 'scope_patterns')
  assert.is(ruleOf({ ...felony, plate: null, fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS }, policy), 'scope_patterns')
  assert.is(ruleOf({}, POLICY, ['officer']), 'scope_search')
  assert.is(ruleOf({}, POLICY, ['partner']), 'scope_search', 'a partner without a scope searches nothing')
  assert.is(ruleOf({}, scoped({ role: 'partner' }), ['partner']), null)
})

test('of several roles the widest counts, and one that is not named searches all', () => {
  const policy = scoped(
    { maxAgeDays: 7, exports: false, purposes: ['felony'] },
    { role: 'partner', maxAgeDays: 2, purposes: ['fraud'] },
  )
  const of = (...roles: Parameters<typeof scopeOf>[0]) => scopeOf(roles, policy)
  assert.equal(of('investigator'), { maxAgeMs: 7 * DAY_MS, purposes: ['felony'], patterns: true, exports: false })
  assert.equal(of('investigator', 'partner'), {
    maxAgeMs: 7 * DAY_MS,
    purposes: ['felony', 'fraud'],
    patterns: true,
    exports: true,
  })
  assert.is(scopeOf(['investigator'], POLICY)?.maxAgeMs, null)
  assert.is(of('auditor'), null)
})

test('without a plate a search is as narrow as the bounds, and one millisecond more is too wide', () => {
  const past = (windowMs: number, cameras: string[]) =>
    ruleOf({ plate: null, fromMs: NOW_MS - windowMs, toMs: NOW_MS, cameras })
  assert.is(past(MAX_CAMERAS_WINDOW_MS, ['elm-st-1']), null)
  assert.is(past(MAX_CAMERAS_WINDOW_MS + 1, ['elm-st-1']), 'too_wide')
  assert.is(past(MAX_TOWN_WINDOW_MS, []), null)
  assert.is(past(MAX_TOWN_WINDOW_MS + 1, []), 'too_wide')
  assert.is(ruleOf({ plate: null }), 'too_wide')
  assert.is(ruleOf({ plate: null, fromMs: NOW_MS - HOUR_MS, cameras: ['elm-st-1'] }), 'too_wide')
})

test('a search in several places names two or more, each with its window, and no more than all are to be passed', () => {
  const place = (windowMs = HOUR_MS) => ({ camera: 'elm-st-1', fromMs: NOW_MS - windowMs, toMs: NOW_MS })
  const places = (change: Partial<SearchRequest>) => ruleOf({ plate: null, ...change })
  assert.is(places({ places: [place(), place()] }), null)
  assert.is(places({ places: [place(), place()], placesMet: 2 }), null)
  assert.is(places({ places: [place(), place()], placesMet: 3 }), 'places_unusable')
  assert.is(places({ places: [place()] }), 'places_unusable')
  assert.is(places({ places: [place(), place()], cameras: ['elm-st-1'] }), 'places_unusable')
  assert.is(ruleOf({ placesMet: 2 }), 'places_unusable')
  assert.is(places({ places: [place(), place(MAX_PLACE_WINDOW_MS)] }), null)
  assert.is(places({ places: [place(), place(MAX_PLACE_WINDOW_MS + 1)] }), 'too_wide')
  assert.is(places({ places: [place(), place(0)] }), 'window_empty')
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS } from '../shared/clock.ts'
import {
  ask,
  giveGrant,
  inTwoClouds,
  lastEntry,
  OPEN,
  PLATE,
  pair,
  prepare,
  see,
  setPolicy,
} from './sharing/testing.ts'
import { codeOf, type TestCloud } from './testing.ts'

/** The rule by which the owner refused, checked on both sides. */
async function refusedBy(asker: TestCloud, owner: TestCloud, change: Parameters<typeof ask>[1] = {}): Promise<string> {
  const answer = await ask(asker, change)
  assert.is(answer.outcome, 'refused', JSON.stringify(answer))
  assert.equal([answer.results, answer.total], [[], 0])
  const there = await lastEntry(owner, 'federation.searched')
  assert.equal([there.outcome, there.actor.organisation], ['refused', 'springfield'])
  assert.is(there.rule, answer.rule)
  const here = await lastEntry(asker, 'search.partner_answered')
  assert.equal([here.outcome, here.rule, here.detail.partnerSeq], ['refused', answer.rule, answer.theirAuditSeq])
  return answer.rule ?? ''
}

test('without a grant a partner is refused, and both audits say so', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    assert.is(await refusedBy(asker, owner), 'no_grant')
    const there = await lastEntry(owner, 'federation.searched')
    assert.equal(
      [there.actor.account, there.actor.roles, there.detail.account, there.caseNumber, there.query?.purpose],
      [null, ['partner'], 'ines', '24-00123', 'stolen-vehicle'],
    )
    assert.is((await owner.audited('search.run')).length, 0)
  })
})

test('nothing can be granted, and so nothing shared, until the policy says so', async () => {
  await inTwoClouds(async (asker, owner) => {
    await pair(asker, owner)
    assert.is(await codeOf(() => giveGrant(owner)), 'forbidden')
    assert.is(await refusedBy(asker, owner), 'sharing_not_allowed')
  })
})

test('a grant lets the search run at the owner, under its rules; either audit names the other’s number and the count', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const sighting = await see(owner)
    const { grantId } = await giveGrant(owner)
    const answer = await ask(asker)
    assert.is(answer.outcome, 'answered', JSON.stringify(answer))
    assert.equal([answer.total, answer.results.length, answer.dropped, answer.truncated], [2, 2, 0, false])
    assert.equal(answer.results[0], {
      ...{ kind: 'exact', sightingId: sighting.sightingId, cameraId: 'elm-st-1', seenAtMs: sighting.capturedAtMs },
      ...{ clockTrusted: true, plate: PLATE, confidence: 0.98, jurisdiction: null, vehicle: null, picture: null },
    })
    const asked = await lastEntry(asker, 'search.asked_partner')
    const heard = await lastEntry(asker, 'search.partner_answered')
    const searched = await lastEntry(owner, 'federation.searched')
    const answered = await lastEntry(owner, 'federation.answered')
    assert.equal([asked.query?.agencies, asked.subject?.id], [['shelby'], 'shelby'])
    assert.equal([heard.completes, heard.results, heard.detail.partnerSeq], [asked.seq, 2, searched.seq])
    assert.equal([searched.outcome, searched.detail.partnerSeq, searched.detail.grant], ['allowed', asked.seq, grantId])
    assert.equal([answered.completes, answered.results], [searched.seq, 2])
    assert.equal([answer.auditSeq, answer.theirAuditSeq], [asked.seq, searched.seq])
    const own = await lastEntry(owner, 'search.run')
    assert.equal(
      [own.actor.organisation, own.actor.roles, answered.detail.search],
      ['springfield', ['partner'], own.seq],
    )
    for (const world of [asker, owner]) assert.not(world.logLines.join('\n').includes(PLATE))
  })
})

test('the owner’s own rules hold for partners too', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    assert.is(await refusedBy(asker, owner, { caseNumber: '' }), 'search_rules')
    assert.is(await refusedBy(asker, owner, { reason: 'investigation' }), 'search_rules')
    assert.is(await refusedBy(asker, owner, { reason: 'overstayed, wanted for Immigration hearing' }), 'use_prohibited')
    assert.is(await refusedBy(asker, owner, { purpose: 'immigration' }), 'use_prohibited')
    assert.is((await ask(asker)).outcome, 'answered')
  })
})

test('a grant is for its purposes, cameras, age, and whole plates unless it says patterns', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await see(owner, { capturedAtMs: owner.clock.nowMs() - 3 * DAY_MS })
    await giveGrant(owner, { cameras: ['elm-st-1', 'oak-st-2'], maxAgeDays: 2 })
    assert.is(await refusedBy(asker, owner, { purpose: 'missing-person' }), 'purpose_not_granted')
    assert.is(await refusedBy(asker, owner, { plate: 'ABC*' }), 'pattern_not_granted')
    assert.is(await refusedBy(asker, owner, { cameras: ['elm-st-1', 'main-st-3'] }), 'cameras_not_granted')
    const toMs = owner.clock.nowMs() - 2 * DAY_MS - HOUR_MS
    assert.is(await refusedBy(asker, owner, { toMs }), 'window_not_granted')
    assert.is((await ask(asker)).total, 1, 'the older read is beyond the grant')
    assert.is((await ask(asker, { cameras: ['oak-st-2'] })).total, 0)
    await giveGrant(owner, { patterns: true, maxAgeDays: 21 })
    const wider = await ask(asker, { plate: 'ABC*' })
    assert.equal([wider.outcome, wider.total, wider.dropped], ['answered', 2, 0])
  })
})

test('a grant for matches shows none of the other reads', async () => {
  await inTwoClouds(async (asker, owner) => {
    await owner.importList('stolen', ['WWW9999'])
    await prepare(asker, owner)
    await see(owner, { plate: 'WWW9999' })
    await giveGrant(owner, { what: 'matches' })
    assert.equal([(await ask(asker)).outcome, (await ask(asker)).total], ['answered', 0])
    assert.is((await ask(asker, { plate: 'WWW9999' })).total, 1)
  })
})

test('a revoked grant, a policy that forbids sharing, and one for other jurisdictions end it at the next request', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const { grantId } = await giveGrant(owner)
    assert.is((await ask(asker)).outcome, 'answered')
    await setPolicy(owner, { sharing: { allowed: false, jurisdictions: [], maxGrantDays: 365 } })
    assert.is(await refusedBy(asker, owner), 'sharing_not_allowed')
    await setPolicy(owner, { sharing: { allowed: true, jurisdictions: ['US-MD'], maxGrantDays: 365 } })
    assert.is(await refusedBy(asker, owner), 'jurisdiction_not_allowed')
    await setPolicy(owner, { ...OPEN, search: { scopes: [] } })
    assert.is(await refusedBy(asker, owner), 'policy_gives_partners_nothing')
    await setPolicy(owner, { ...OPEN, sharing: { allowed: true, jurisdictions: ['US-VA'], maxGrantDays: 365 } })
    assert.is((await ask(asker)).outcome, 'answered')
    await owner.cloud.parts.sharing.grants.revoke(grantId, 'paul')
    assert.is(await refusedBy(asker, owner), 'no_grant')
  })
})

test('a grant ends by the owner’s clock', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner, { untilMs: owner.clock.nowMs() + 2 * HOUR_MS })
    owner.clock.advance(HOUR_MS)
    assert.is((await ask(asker)).outcome, 'answered')
    owner.clock.advance(HOUR_MS)
    assert.is(await refusedBy(asker, owner), 'grant_expired')
  })
})

test.run()

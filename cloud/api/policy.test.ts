/** The policy over HTTP: any part of it changed, compared and told in words; by two people where it says so; all of it in the audit. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { policySchema } from '../../shared/wire/policy.ts'
import { NO_LEGAL_ADVICE, profiles, rulesOf } from '../policy/profile.ts'
import { audited, inWorld, type World } from './testing.ts'

const PATH = '/api/v1/policy'
const entries = async (world: World, operation: string) =>
  (await audited(world)).filter((entry) => entry.operation === operation)

test('it is read by everybody, in words too; any part of it is changed, and versions are compared', async () => {
  await inWorld(async (world) => {
    const officer = await world.as('officer')
    const token = await world.as('policy-admin')
    const change = {
      version: 1,
      sharing: { allowed: true, jurisdictions: ['US-VA'] },
      audit: { days: 730 },
      reason: 'by council',
    }
    const preview = await world.call('POST', `${PATH}/preview`, { token, json: change })
    assert.equal(
      preview.json.differences.map((one: { field: string; loosens: boolean }) => `${one.field} ${one.loosens}`),
      ['audit.days true', 'sharing.allowed true', 'sharing.jurisdictions false'],
    )
    assert.is(preview.json.secondPerson, false)
    assert.is((await world.call('GET', PATH, { token: officer })).json.policy.version, 1, 'a preview changes nothing')
    const changed = await world.call('PATCH', PATH, { token, json: change })
    assert.equal([changed.status, changed.json.version, changed.json.audit.days], [200, 2, 730])
    policySchema.parse(changed.json)

    const now = (await world.call('GET', PATH, { token: officer })).json
    const rules = now.rendering.sections.flatMap((section: { rules: { text: string }[] }) => section.rules)
    assert.ok(
      rules.some((rule: { text: string }) => rule.text === 'The record of every use is kept for 730 days (2 years).'),
    )
    assert.is(now.rendering.notice, NO_LEGAL_ADVICE)
    const before = (await world.call('GET', `${PATH}/versions/1`, { token: officer })).json
    assert.equal([before.policy.version, before.issuedBy, before.policy.audit.days], [1, null, null])
    assert.is((await world.call('GET', `${PATH}/versions/3`, { token: officer })).status, 404)
    const { versions } = (await world.call('GET', `${PATH}/history`, { token: officer })).json
    assert.equal(
      versions.map((one: { version: number; differences: unknown[] }) => [one.version, one.differences.length]),
      [
        [2, 3],
        [1, 0],
      ],
    )
    const diff = (await world.call('GET', `${PATH}/diff?from=2&to=1`, { token: officer })).json.differences
    assert.equal(
      diff.map((one: { loosens: boolean }) => one.loosens),
      [false, false, true],
    )
    const [entry] = await entries(world, 'policy.change')
    assert.equal([entry?.outcome, entry?.reason, entry?.detail['audit.days']], ['allowed', 'by council', 'null → 730'])
    assert.equal(entry?.detail.loosens, ['audit.days', 'sharing.allowed'])
  })
})

test('what is wrong is refused, named and audited, and nothing of it is done', async () => {
  await inWorld(async (world) => {
    const token = await world.as('policy-admin')
    const refusal = async (json: object) => {
      const { status, json: answer } = await world.call('PATCH', PATH, { token, json: { version: 1, ...json } })
      return `${status} ${answer.error?.message}`
    }
    assert.match(await refusal({ unmatchedInMemory: true }), /400 upload: must be matches-only/)
    assert.match(await refusal({ retention: { cropDays: 30 } }), /400 nothing would change/)
    assert.match(await refusal({ fromProfile: 'atlantis' }), /404 no profile/)
    assert.match(await refusal({ version: 2, upload: 'matches-only' }), /409/)
    for (const wrong of [
      { agency: 'shelbyville' },
      { retention: { hours: 3 } },
      { sharing: { allowed: 'yes' } },
      { audit: { days: 3 } },
    ]) {
      assert.match(await refusal(wrong), /^400/, JSON.stringify(wrong))
    }
    assert.is((await world.call('PATCH', PATH, { token: await world.as('officer'), json: {} })).status, 403)
    const refused = (await entries(world, 'policy.change')).filter(({ outcome }) => outcome === 'refused')
    assert.equal(
      refused.map(({ rule }) => rule),
      ['conflict', 'not_found', 'bad_input', 'bad_input'],
    )
    assert.is((await world.call('GET', PATH, { token })).json.policy.version, 1)
  })
})

test('each profile is listed with its source and applied as a whole, what else is said on top', async () => {
  await inWorld(async (world) => {
    const token = await world.as('policy-admin')
    const listed = (await world.call('GET', `${PATH}/profiles`, { token })).json
    assert.equal(
      listed.profiles.map((one: { id: string }) => one.id),
      profiles().map(({ id }) => id),
    )
    for (const profile of profiles()) {
      const shown = (await world.call('GET', `${PATH}/profiles/${profile.id}`, { token })).json
      assert.equal([shown.rules, shown.rendering.notice], [rulesOf(profile), NO_LEGAL_ADVICE])
    }
    const json = { version: 1, fromProfile: 'virginia', retention: { cropDays: 7 }, secondPerson: false }
    const { json: made } = await world.call('PATCH', PATH, { token, json })
    assert.equal(
      [made.profile.id, made.secondPerson, made.retention],
      ['virginia', false, { unmatchedDays: 21, matchedDays: 21, cropDays: 7, quarantineDays: 21 }],
    )
    assert.is((await entries(world, 'policy.change'))[0]?.detail.fromProfile, 'virginia')
  })
})

test('with a second person a change waits with its diff; another one approves, rejects; each is audited with the diff', async () => {
  await inWorld(async (world) => {
    const ada = await world.as('policy-admin')
    const bob = await world.as('policy-admin')
    const auditor = await world.as('auditor')
    await world.call('PATCH', PATH, { token: ada, json: { version: 1, secondPerson: true } })
    const propose = (json: object) =>
      world.call('PATCH', PATH, { token: ada, json: { version: 2, reason: 'a case', ...json } })
    const decide = (token: string, number: number, verb: string) =>
      world.call('POST', `${PATH}/proposals/${number}/${verb}`, { token })
    const proposed = await propose({ retention: { unmatchedDays: 90 } })
    assert.equal([proposed.status, proposed.json.state, proposed.json.number], [202, 'waiting', 1])
    assert.equal(proposed.json.differences[0].loosens, true)
    assert.is((await decide(ada, 1, 'approve')).status, 403)
    assert.is((await decide(auditor, 1, 'approve')).status, 403)
    assert.is((await decide(bob, 9, 'approve')).status, 404)
    const seen = (await world.call('GET', `${PATH}/proposals`, { token: auditor })).json.proposals
    assert.equal([seen.length, seen[0].differences[0].after, seen[0].reason], [1, 90, 'a case'])
    assert.equal(
      [(await propose({ secondPerson: false })).status, (await propose({ upload: 'matches-only' })).status],
      [202, 202],
    )
    assert.is((await decide(bob, 3, 'reject')).json.state, 'rejected')
    assert.is((await decide(bob, 1, 'approve')).json.state, 'approved')
    const { policy } = (await world.call('GET', PATH, { token: auditor })).json
    assert.equal([policy.version, policy.retention.unmatchedDays, policy.upload], [3, 90, 'all'])
    assert.is((await decide(bob, 2, 'approve')).status, 409, 'it has lapsed')
    const [newest] = (await world.call('GET', `${PATH}/history`, { token: auditor })).json.versions
    assert.equal([newest.issuedBy, newest.approvedBy], ['person-1', 'person-2'])
    for (const operation of ['policy.propose', 'policy.approve']) {
      const first = (await entries(world, operation)).filter(({ outcome }) => outcome === 'allowed')
      assert.ok(
        first.some(({ detail }) => detail['retention.unmatchedDays'] === '30 → 90'),
        operation,
      )
    }
    const refused = (await entries(world, 'policy.approve')).filter(({ outcome }) => outcome === 'refused')
    assert.equal(
      refused.map(({ rule, actor }) => [rule, actor.account]),
      [
        ['conflict', 'person-2'],
        ['not_found', 'person-2'],
        ['forbidden', 'person-1'],
      ],
    )
    assert.is((await entries(world, 'policy.reject'))[0]?.detail.proposedBy, 'person-1')
  })
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS } from '../../shared/clock.ts'
import type { TestCloud } from '../testing.ts'
import { createAnswering } from './answering.ts'
import { createRecord } from './record.ts'
import { giveGrant, inTwoClouds, lastEntry, OPEN, prepare, requestOf, setPolicy } from './testing.ts'

/** What the owner answers when `change` happens after its search has run and before the answer leaves. */
async function answerAfter(owner: TestCloud, change: () => Promise<unknown>): Promise<string> {
  const { parts } = owner.cloud
  const answering = createAnswering({
    ...parts,
    search: {
      async run(request, actor) {
        const answer = await parts.search.run(request, actor)
        await change()
        return answer
      },
    },
    grants: parts.sharing.grants,
    policy: parts.policy.current,
    record: createRecord(parts),
  })
  const partner = parts.sharing.partners.active('springfield')
  if (partner === null) throw new Error('not paired')
  const answer = await answering.search(requestOf(owner), { partner, source: '127.0.0.1', isActive: () => true })
  if (!('refused' in answer)) return `answered ${answer.results.length}`
  const entry = await lastEntry(owner, 'federation.searched')
  assert.equal([entry.outcome, entry.completes, entry.rule], ['refused', answer.refused.auditSeq, answer.refused.rule])
  return answer.refused.rule
}

test('an answer leaves under the grant by which the search ran, and no other', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const { grants } = owner.cloud.parts.sharing
    await giveGrant(owner, { what: 'matches' })
    const { grantId } = await giveGrant(owner)
    assert.is(await answerAfter(owner, () => giveGrant(owner)), 'answered 1', 'a further grant takes nothing away')
    assert.is((await lastEntry(owner, 'federation.searched')).detail.grant, grantId)
    const actor = (await lastEntry(owner, 'search.run')).actor
    assert.equal([actor.account, actor.organisation, actor.onBehalfOf], [null, 'springfield', 'ines'])
    const newest = (await grants.list('springfield'))[0]?.grantId ?? ''
    assert.is(await answerAfter(owner, () => grants.revoke(newest, 'petra')), 'no_grant', 'older ones are in force')
    assert.is(await answerAfter(owner, async () => {}), 'answered 1')
  })
})

test('an answer does not leave when the policy has become narrower meanwhile; time alone does not matter', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    assert.is(await answerAfter(owner, async () => owner.clock.advance(MINUTE_MS)), 'answered 1')
    const scope = { role: 'partner' as const, purposes: [], patterns: true, exports: false }
    const younger = { ...OPEN, search: { scopes: [{ ...scope, maxAgeDays: 1 }] } }
    assert.is(await answerAfter(owner, () => setPolicy(owner, younger)), 'window_not_granted')
    assert.is(await answerAfter(owner, async () => {}), 'answered 1')
  })
})

test.run()

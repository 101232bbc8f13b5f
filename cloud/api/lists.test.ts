/** Routes of hotlists that need two people, or a reason. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { audited, inWorld } from './testing.ts'

test('a refresh that takes away most of a list needs a second person, a new list key a reason, and both are in the audit', async () => {
  await inWorld(async (world) => {
    const [ada, bob] = [await world.as('hotlist-admin'), await world.as('hotlist-admin')]
    const put = async (count: number) => {
      const text = `plate\n${Array.from({ length: count }, (_, i) => `P${100 + i}00`).join('\n')}\n`
      return (await world.call('PUT', '/api/v1/hotlists/stolen', { token: ada, text, type: 'text/csv' })).json
    }
    assert.equal((await put(100)).difference, { added: 100, unchanged: 0, changed: 0, removed: 0, ended: 0 })
    const report = await put(10)
    assert.equal([report.applied, report.pendingVersion, report.difference.removed], [false, 2, 90])
    const list = async () => (await world.call('GET', '/api/v1/hotlists', { token: ada })).json.hotlists[0]
    assert.equal([(await list()).version, (await list()).pending[0].version], [1, 2])
    const say = (verb: string, token: string, version = 2) =>
      world.call('POST', `/api/v1/hotlists/stolen/pending/${version}/${verb}`, { token, json: {} })
    assert.is((await say('approve', await world.as('officer'))).status, 403)
    assert.is((await say('approve', ada)).status, 403)
    assert.is((await say('approve', bob, 7)).status, 404)
    assert.is((await say('approve', bob)).json.version, 2)
    assert.equal([(await list()).version, (await list()).pending], [2, []])
    await put(30)
    assert.is((await put(2)).pendingVersion, 4)
    assert.is((await say('reject', ada, 4)).status, 200)
    const replace = (json: object) => world.call('POST', '/api/v1/hotlist-key', { token: ada, json })
    assert.is((await replace({ reason: ' ' })).status, 400)
    assert.is((await replace({ reason: 'north-1 was stolen' })).json.lists, 1)
    const said = (await audited(world)).map(({ operation, outcome }) => `${operation} ${outcome}`)
    for (const line of [
      'hotlist.approve refused',
      'hotlist.approve allowed',
      'hotlist.reject allowed',
      'hotlist.replace_key allowed',
    ])
      assert.ok(said.includes(line), line)
    const [imported] = (await audited(world)).filter(({ detail }) => detail.pendingVersion === 2)
    assert.equal([imported?.operation, imported?.detail.removed], ['hotlist.imported', 90])
  })
})

test('the signing key is replaced with a reason by who may change lists, and each try is in the audit', async () => {
  await inWorld(async (world) => {
    const ada = await world.as('hotlist-admin')
    const rotate = (token: string, json: object) => world.call('POST', '/api/v1/signing-key', { token, json })
    assert.is((await rotate(await world.as('officer'), { reason: 'x' })).status, 403)
    assert.is((await rotate(ada, {})).status, 400)
    const before = (await world.call('GET', '/api/v1/signing-key', { token: ada })).json
    assert.equal([before.version, before.rotating, before.waitingFor], [1, false, []])
    const after = (await rotate(ada, { reason: 'yearly' })).json
    assert.equal([after.version, after.rotating], [3, false])
    assert.is.not(after.keyId, before.keyId)
    const [entry] = (await audited(world)).filter(({ operation }) => operation === 'hotlist.rotate_signing_key')
    assert.equal([entry?.outcome, entry?.reason, entry?.detail.retireNow], ['allowed', 'yearly', false])
  })
})

test.run()

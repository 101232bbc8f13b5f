import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../../shared/clock.ts'
import {
  followed,
  inTwoClouds,
  OPEN,
  PURPOSE,
  pair,
  prepare,
  SEARCH,
  setPolicy,
  SEARCH_URL as URL,
} from '../sharing/testing.ts'
import { callerOf } from './testing.ts'

test('two clouds are paired over the API, by the fingerprint that was read out', async () => {
  await inTwoClouds(async (asker, owner) => {
    const petra = await owner.addPerson('petra', ['policy-admin'], [])
    const paul = await asker.addPerson('paul', ['policy-admin'], [])
    const { identity, agency, fingerprint } = (
      await callerOf(asker.cloud)('GET', '/api/v1/partners/identity', { token: paul })
    ).json
    assert.is(agency, 'springfield')
    const call = callerOf(owner.cloud)
    const add = (change: object) =>
      call('POST', '/api/v1/partners', {
        token: petra,
        json: { identity, name: 'Springfield Police', jurisdiction: 'US-VA', fingerprint, ...change },
      })
    assert.is(
      (await add({ fingerprint: fingerprint.replace(/./, (first: string) => (first === '0' ? '1' : '0')) })).status,
      400,
    )
    const changed = {
      ...identity,
      payload: Buffer.from(
        Buffer.from(identity.payload, 'base64').toString().replace('localhost', 'elsewhere'),
      ).toString('base64'),
    }
    assert.is((await add({ identity: changed })).json.error.code, 'integrity')
    const added = await add({ fingerprint: fingerprint.toUpperCase().replace(/(.{4})/g, '$1 ') })
    assert.equal([added.status, added.json.state, added.json.jurisdiction], [201, 'active', 'US-VA'])
    assert.is((await add({ name: 'Springfield City Police' })).status, 201, 'the same key again is a change')
    const { partners } = (await call('GET', '/api/v1/partners', { token: petra })).json
    assert.equal([partners.length, partners[0].name, 'caPem' in partners[0]], [1, 'Springfield City Police', false])
    const own = (await call('GET', '/api/v1/partners/identity', { token: petra })).json
    assert.is((await add({ identity: own.identity, fingerprint: own.fingerprint })).status, 400)
    assert.equal(
      (await owner.audited('partner.add')).map(({ outcome }) => outcome),
      [...['refused', 'allowed', 'allowed', 'allowed', 'refused', 'allowed']],
    )
    assert.is((await call('POST', '/api/v1/partners/springfield/revoke', { token: petra })).json.state, 'revoked')
    assert.is((await call('POST', '/api/v1/partners/springfield/revoke', { token: petra })).status, 404)
  })
})

test('grants are made by policy administrators, seen by auditors, and by nobody else', async () => {
  await inTwoClouds(async (asker, owner) => {
    await pair(asker, owner)
    await setPolicy(owner, OPEN)
    const call = callerOf(owner.cloud)
    const untilMs = owner.clock.nowMs() + DAY_MS
    const json = { partner: 'springfield', purposes: [PURPOSE], what: 'sightings', maxAgeDays: 21, untilMs }
    const petra = await owner.addPerson('petra', ['policy-admin'], [])
    const made = await call('POST', '/api/v1/grants', { token: petra, json })
    assert.equal([made.status, made.json.state, made.json.madeBy, made.json.crops], [201, 'active', 'petra', false])
    const { grantId } = made.json
    const odile = await owner.addPerson('odile', ['auditor'], [])
    const others = await owner.addPerson(
      'otto',
      ['officer', 'supervisor', 'investigator', 'hotlist-admin', 'camera-technician', 'account-admin'],
      [],
    )
    for (const [token, seen] of [
      [odile, 200],
      [others, 403],
    ] as const) {
      for (const path of ['/api/v1/grants', '/api/v1/partners', '/api/v1/partners/identity'])
        assert.is((await call('GET', path, { token })).status, seen, path)
      for (const path of [
        '/api/v1/grants',
        '/api/v1/partners',
        `/api/v1/grants/${grantId}/revoke`,
        '/api/v1/partners/springfield/revoke',
      ])
        assert.is((await call('POST', path, { token, json })).status, 403, path)
    }
    assert.is(
      (await call('POST', '/api/v1/grants', { token: petra, json: { ...json, purposes: ['traffic'] } })).status,
      403,
    )
    assert.is(
      (await call('POST', '/api/v1/grants', { token: petra, json: { ...json, partner: 'ogdenville' } })).status,
      404,
    )
    assert.is((await call('POST', '/api/v1/grants', { token: petra, json: { ...json, fromMs: untilMs } })).status, 400)
    assert.is((await call('POST', `/api/v1/grants/${grantId}/revoke`, { token: petra })).json.revokedBy, 'petra')
    assert.is((await call('POST', `/api/v1/grants/${grantId}/revoke`, { token: petra })).status, 409)
  })
})

test('where the policy wants a second person, a grant waits for another policy administrator', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await setPolicy(owner, { ...OPEN, secondPerson: true })
    const call = callerOf(owner.cloud)
    const petra = await owner.addPerson('petra', ['policy-admin'], [])
    const paul = await owner.addPerson('paul', ['policy-admin'], [])
    const json = {
      partner: 'springfield',
      purposes: [PURPOSE],
      what: 'sightings',
      maxAgeDays: 21,
      untilMs: owner.clock.nowMs() + DAY_MS,
    }
    const propose = async () => (await call('POST', '/api/v1/grants', { token: petra, json })).json
    const { grantId, state } = await propose()
    assert.is(state, 'proposed')
    const ines = await asker.addPerson('ines', ['investigator'], [])
    const outcome = async () => {
      const { ask } = (await callerOf(asker.cloud)('POST', URL, { token: ines, json: SEARCH })).json
      return (await followed(asker, ines, ask.askId)).agencies[0].answer.outcome
    }
    assert.is(await outcome(), 'refused')
    assert.is((await call('POST', `/api/v1/grants/${grantId}/approve`, { token: petra })).status, 403)
    assert.is((await call('POST', `/api/v1/grants/${grantId}/approve`, { token: paul })).json.decidedBy, 'paul')
    assert.is(await outcome(), 'answered')
    assert.is((await call('POST', `/api/v1/grants/${grantId}/reject`, { token: paul })).status, 409)
    const other = await propose()
    assert.is((await call('POST', `/api/v1/grants/${other.grantId}/reject`, { token: paul })).json.state, 'rejected')
    assert.is((await call('POST', `/api/v1/grants/${other.grantId}/revoke`, { token: petra })).status, 409)
  })
})

test.run()

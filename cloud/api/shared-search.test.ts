import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { EARLIEST_TIME_MS, LATEST_TIME_MS } from '../../shared/wire/sighting.ts'
import {
  followed,
  giveGrant,
  inAgency,
  inTwoClouds,
  OPEN,
  PLATE,
  pair,
  prepare,
  SEARCH,
  see,
  setPolicy,
  SEARCH_URL as URL,
} from '../sharing/testing.ts'
import { SHARING_LIMITS } from '../sharing/wire.ts'
import { callerOf } from './testing.ts'

test('an investigator sees own results at once, those of a partner as they come, and its pictures', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(500, 7), Buffer.from([0xff, 0xd9])])
    const pictured = { crop: { sha256: sha256Hex(jpeg), bytes: jpeg.length } }
    const { sightingId } = await see(owner, pictured, jpeg)
    await see(asker)
    const grant = await giveGrant(owner, { crops: true })
    const ines = await asker.addPerson('ines', ['investigator'], [])
    const call = callerOf(asker.cloud)
    const { own, ask } = (await call('POST', URL, { token: ines, json: SEARCH })).json
    assert.equal([own.total, own.results.length], [1, 1])
    const { answer } = (await followed(asker, ines, ask.askId)).agencies[0]
    assert.equal([answer.outcome, answer.total, answer.auditSeq > own.auditSeq], ['answered', 2, true])
    assert.is((await asker.audited('search.asked_partner'))[0]?.completes, own.auditSeq)
    const [first, second] = answer.results
    assert.equal([first.sightingId, second.picture], [sightingId, null])
    const picture = (token: string, shown = first.picture) =>
      call('GET', `/api/v1/partners/shelby/picture?picture=${encodeURIComponent(shown)}`, { token })
    const got = await picture(ines)
    assert.equal([got.status, got.headers['content-type'], got.body.equals(jpeg)], [200, 'image/jpeg', true])
    const viewed = (await owner.audited('federation.crop_viewed'))[0]
    assert.equal(
      [viewed?.outcome, viewed?.completes, viewed?.detail.account],
      ['allowed', answer.theirAuditSeq, 'ines'],
    )
    // Another session, another picture, and after the grant.
    assert.is(
      (await call('GET', `${URL}/${ask.askId}`, { token: await asker.addPerson('ivan', ['investigator'], []) })).status,
      404,
    )
    assert.is((await picture(await asker.logIn('ines'))).status, 403)
    assert.is((await picture(ines, first.picture.replace(sightingId, second.sightingId))).status, 403)
    const scope = { role: 'partner' as const, maxAgeDays: null, patterns: true, exports: false }
    await setPolicy(owner, { ...OPEN, search: { scopes: [{ ...scope, purposes: ['missing-person'] }] } })
    assert.is((await picture(ines)).status, 403, 'no purpose of the grant is allowed any more')
    assert.is((await owner.audited('federation.crop_viewed'))[0]?.rule, 'no_grant')
    await setPolicy(owner, OPEN)
    assert.is((await picture(ines)).status, 200)
    await owner.cloud.parts.sharing.grants.revoke(grant.grantId, 'petra')
    assert.is((await picture(ines)).status, 403)
    assert.is((await owner.audited('federation.crop_viewed'))[0]?.rule, 'no_grant')
    assert.is((await call('POST', URL, { token: ines, json: { ...SEARCH, agencies: ['ogdenville'] } })).status, 404)
    assert.is((await call('POST', URL, { token: ines, json: { ...SEARCH, reason: '' } })).status, 400)
    assert.is((await asker.audited('search.asked_partner')).length, 1, 'what our own rules refuse goes nowhere')
  })
})

test('pictures that the grant does not give are not named', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await see(owner, { crop: { sha256: 'a'.repeat(64), bytes: 100 } })
    await giveGrant(owner)
    const ines = await asker.addPerson('ines', ['investigator'], [])
    const { ask } = (await callerOf(asker.cloud)('POST', URL, { token: ines, json: SEARCH })).json
    const { answer } = (await followed(asker, ines, ask.askId)).agencies[0]
    assert.equal(
      answer.results.map(({ picture }: { picture: unknown }) => picture),
      [null, null],
    )
  })
})

test('all means those that have granted something for the purpose; the others are not even asked', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await inAgency('ogdenville', async (third) => {
      await pair(asker, third)
      await giveGrant(owner)
      const ines = await asker.addPerson('ines', ['investigator'], [])
      const { ask } = (await callerOf(asker.cloud)('POST', URL, { token: ines, json: { ...SEARCH, agencies: 'all' } }))
        .json
      const { agencies } = await followed(asker, ines, ask.askId)
      const outcomes = Object.fromEntries(
        agencies.map(({ agency, answer }: { agency: string; answer: { outcome: string } }) => [agency, answer.outcome]),
      )
      assert.equal(outcomes, { shelby: 'answered', ogdenville: 'not_granted' })
      assert.is((await third.audited('federation.searched')).length, 0)
    })
  })
})

test('a partner that says nothing holds up neither own results nor other partners, and is given up after its time', async () => {
  const asksBriefly = { sharingLimits: { ...SHARING_LIMITS, timeoutMs: SECOND_MS } }
  await inTwoClouds(
    async (asker, owner) => {
      await prepare(asker, owner)
      await giveGrant(owner)
      const ines = await asker.addPerson('ines', ['investigator'], [])
      // Whatever it writes first waits for this to end.
      let release = () => {}
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      const { writeBatch } = owner.cloud.parts.database
      owner.cloud.parts.database.writeBatch = async (statements) => {
        await held
        return writeBatch(statements)
      }
      try {
        const { own, ask } = (await callerOf(asker.cloud)('POST', URL, { token: ines, json: SEARCH })).json
        assert.equal([own.total, ask.agencies], [0, [{ agency: 'shelby', answer: null }]])
        const { answer } = (await followed(asker, ines, ask.askId)).agencies[0]
        assert.equal([answer.outcome, answer.results], ['timed_out', []])
        const heard = (await asker.audited('search.partner_answered'))[0]
        assert.equal([heard?.rule, heard?.detail.partnerSeq], ['timed_out', null])
      } finally {
        release()
        owner.cloud.parts.database.writeBatch = writeBatch
      }
    },
    { askerDeps: asksBriefly },
  )
})

test('the two records agree; what one side lost or changed is named', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    const ines = await asker.addPerson('ines', ['investigator'], [])
    const odile = await asker.addPerson('odile', ['auditor'], [])
    const call = callerOf(asker.cloud)
    const search = async (change = {}) => {
      const { ask } = (await call('POST', URL, { token: ines, json: { ...SEARCH, ...change } })).json
      return (await followed(asker, ines, ask.askId)).agencies[0].answer
    }
    const fromMs = asker.clock.nowMs() - MINUTE_MS
    const query = `fromMs=${fromMs}&toMs=${fromMs + HOUR_MS}`
    const compare = async () => (await call('GET', `/api/v1/partners/shelby/reconcile?${query}`, { token: odile })).json
    await search()
    await search({ purpose: 'missing-person' })
    await search({ plate: 'WWW9999' })
    assert.equal(await compare(), { compared: 3, untold: 0, differences: [] })
    assert.is((await call('GET', `/api/v1/partners/shelby/reconcile?${query}`, { token: ines })).status, 403)

    owner.sql(`UPDATE shared_searches SET results = 7 WHERE outcome = 'answered' AND results = 1`)
    owner.sql(`DELETE FROM shared_searches WHERE outcome = 'refused'`)
    asker.sql(`UPDATE shared_searches SET own_seq = own_seq + 1 WHERE results = 0`)
    const problems = async () => (await compare()).differences.map(({ problem }: { problem: string }) => problem).sort()
    assert.equal(await problems(), ['missing_there', 'not_in_own_audit', 'numbers_differ', 'results_differ'])
    asker.sql(`INSERT INTO audit_purges SELECT max(own_seq), 1, max(own_seq) + 1, NULL FROM shared_searches`)
    assert.equal(await problems(), ['missing_there', 'numbers_differ', 'results_differ'])
    assert.is((await compare()).untold, 1)
    const always = `fromMs=${EARLIEST_TIME_MS}&toMs=${LATEST_TIME_MS}`
    assert.is((await call('GET', `/api/v1/partners/shelby/reconcile?${always}`, { token: odile })).status, 200)
    asker.sql('DELETE FROM shared_searches')
    assert.equal(await problems(), ['missing_here', 'missing_here'])
    for (const world of [asker, owner]) assert.not(world.logLines.join('\n').includes(PLATE))
  })
})

test.run()

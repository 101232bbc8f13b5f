import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { Agent } from 'node:https'
import { connect } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../../shared/clock.ts'
import { SERVER_LIFETIME_MS, SERVER_RENEW_BEFORE_MS } from '../authority.ts'
import { type Certified, createMovableClock, type TestCloud, until } from '../testing.ts'
import {
  addPartner,
  ask,
  certifiedOf,
  denied,
  giveGrant,
  inAgency,
  inTwoClouds,
  listenerOf,
  prepare,
  rawRequest,
  requestOf,
  SEARCH_PATH,
} from './testing.ts'

test('a partner that is revoked is cut off at once, also on a connection that is kept open, and its grants with it', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      const shown = await certifiedOf(asker)
      const search = () => rawRequest(listenerOf(owner), shown, SEARCH_PATH, requestOf(asker), { agent })
      const first = await search()
      const second = await search()
      assert.equal([first.status, second.status, first.socket === second.socket], [200, 200, true])
      const closed = new Promise((resolve) => first.socket.once('close', resolve))
      await owner.cloud.parts.sharing.partners.revoke('springfield', 'petra')
      await closed
      await search().then(
        () => assert.unreachable('a new connection was let in'),
        (thrown: Error) => assert.not.instance(thrown, assert.Assertion),
      )
    } finally {
      agent.destroy()
    }
    assert.is((await ask(asker)).outcome, 'not_admitted')
    assert.equal(
      (await owner.cloud.parts.sharing.grants.list('springfield')).map(({ state }) => state),
      ['revoked'],
    )
    await addPartner(owner, asker)
    assert.is((await ask(asker)).rule, 'no_grant')
  })
})

/** The certificate that a new connection of a partner is shown. */
async function certificateOf(owner: TestCloud, shown: Certified): Promise<string> {
  const { port, caPem: ca } = listenerOf(owner)
  const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, ca, ...shown })
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}

test('the certificate is renewed on the open port: new connections are shown it, and those that are there go on', async () => {
  // Both ends check certificates by the real clock: the old one and the new one are good on it.
  const behindMs = SERVER_LIFETIME_MS - SERVER_RENEW_BEFORE_MS + DAY_MS
  const clock = createMovableClock()
  clock.advance(-behindMs)
  const work = async (asker: TestCloud, owner: TestCloud) => {
    await prepare(asker, owner)
    await giveGrant(owner, { untilMs: clock.nowMs() + behindMs + DAY_MS })
    const shown = await certifiedOf(asker)
    const { port } = listenerOf(owner)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const search = (more: { agent?: Agent } = {}) =>
      rawRequest({ ...listenerOf(owner), port }, shown, SEARCH_PATH, requestOf(asker), more)
    try {
      const first = await search({ agent })
      const before = await certificateOf(owner, shown)
      clock.advance(behindMs)
      // A port that closes in between would refuse one of these.
      await until('another one is shown', async () => (await certificateOf(owner, shown)) !== before)
      const { certPem } = await owner.cloud.parts.authority.partner()
      assert.is(await certificateOf(owner, shown), new X509Certificate(certPem).fingerprint256)
      const renewed = owner.logLines.filter((line) => line.includes('"partner_certificate_renewed"'))
      assert.is(renewed.length, 1)

      const second = await search({ agent })
      assert.equal([first.status, second.status, first.socket === second.socket], [200, 200, true])
      assert.is((await search()).status, 200)
      assert.is((await ask(asker)).outcome, 'answered', 'by the certificate that the asker has now')
    } finally {
      agent.destroy()
    }
    const { status } = await rawRequest(listenerOf(owner), {}, SEARCH_PATH, requestOf(asker)).catch(() => ({
      status: 0,
    }))
    assert.is(status, 0, 'nobody comes in without one')
  }
  await inTwoClouds(work, { clock })
})

test('who revokes a partner asks it nothing more either', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    await asker.cloud.parts.sharing.partners.revoke('shelby', 'petra')
    const answer = await ask(asker)
    assert.equal([answer.outcome, answer.results], ['ended', []])
  })
})

test('a third agency with a good certificate of its own authority does not get past TLS', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await inAgency('ogdenville', async (third) => {
      await addPartner(third, owner)
      const answer = await ask(third)
      assert.is(answer.outcome, 'not_admitted', JSON.stringify(answer))
      assert.equal((await owner.audited('federation.searched')).length, 0)
      await denied(owner, 'certificate_untrusted')
      // Nor does whoever has none, or one of a camera.
      for (const shown of [{}, await third.addCamera('elm-st-1'), await owner.addCamera('oak-st-2')]) {
        const reached = await rawRequest(listenerOf(owner), shown, SEARCH_PATH, requestOf(third)).then(
          ({ status }) => status,
          () => 'cut off',
        )
        assert.is(reached, 'cut off')
      }
    })
  })
})

test('the partners’ port has the partners’ routes alone, and the ordinary one has none of them', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const shown = await certifiedOf(asker)
    for (const path of ['/api/v1/search', '/api/v1/status', '/', '/metrics', '/health/live', '/api/v1/openapi.json']) {
      assert.is((await rawRequest(listenerOf(owner), shown, path, {})).status, 404, path)
      assert.is((await rawRequest(listenerOf(owner), shown, path, '', { method: 'GET' })).status, 404, path)
    }
    const ordinary = { port: owner.cloud.httpsPort, caPem: owner.cloud.caPem }
    for (const path of ['search', 'crop', 'grants', 'searches'].map((name) => `/federation/v1/${name}`)) {
      assert.is((await rawRequest(ordinary, shown, path, requestOf(asker))).status, 404, path)
    }
    assert.is((await rawRequest(ordinary, shown, '/api/v1/search', {})).status, 401, 'a certificate is no log-in')
  })
})

test('without a port for it nobody is listened for, and such a cloud can still ask', async () => {
  await inAgency('shelby', async (owner) => {
    await inAgency(
      'springfield',
      async (asker) => {
        assert.is(asker.cloud.federationPort, null)
        await prepare(asker, owner)
        await giveGrant(owner)
        assert.is((await ask(asker)).outcome, 'answered')
        const back = await ask(owner, {}, 'springfield')
        assert.is(back.outcome, 'no_address')
      },
      { clock: owner.clock as never, config: { federationPort: null } },
    )
  })
})

test('partners, grants and the record outlive a restart', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    await ask(asker)
    await owner.restart()
    await addPartner(asker, owner)
    assert.is((await ask(asker)).outcome, 'answered')
  })
})

test.run()

/** A partner that has been taken over, or never was what it seemed: at either end of the line. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS, HOUR_MS, systemClock } from '../../shared/clock.ts'
import { AUTHORITY_FILES, openAuthority } from '../authority.ts'
import { portOf } from '../listening.ts'
import { createMovableClock, type TestCloud, until } from '../testing.ts'
import { makeIdentity, readIdentity } from './identity.ts'
import {
  addPartner,
  ask,
  CAMERA,
  certifiedOf,
  denied,
  giveGrant,
  inAgency,
  inTwoClouds,
  lastEntry,
  listenerOf,
  PLATE,
  prepare,
  rawRequest,
  requestOf,
  SEARCH_PATH,
} from './testing.ts'
import { MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, MAX_SHARED_RESULTS, REPLAY_WINDOW_MS, SHARING_LIMITS } from './wire.ts'

/** A certificate of the authority of `world` that it would never have made: for another agency, or of another time. */
async function forge(world: TestCloud, agency: string, clock: Clock = systemClock) {
  const folder = join(world.folder, `forged-${agency}-${clock.nowMs()}`)
  mkdirSync(folder)
  for (const file of [AUTHORITY_FILES.ca, AUTHORITY_FILES.caKey])
    copyFileSync(join(world.folder, 'data', 'authority', file), join(folder, file))
  const { keyPem, certPem } = await (await openAuthority({ folder, agency, hostnames: ['localhost'], clock })).partner()
  return { key: keyPem, cert: certPem }
}

const LONG_AGO: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - 200 * DAY_MS }

async function reached(owner: TestCloud, asker: TestCloud, shown: object): Promise<number | 'cut off'> {
  return rawRequest(listenerOf(owner), shown, SEARCH_PATH, requestOf(asker)).then(
    ({ status }) => status,
    () => 'cut off',
  )
}

test('a certificate of a partner’s authority that names another partner, or has expired, gets nowhere', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    await inAgency('ogdenville', async (third) => {
      await addPartner(owner, third)
      assert.is(await reached(owner, asker, await certifiedOf(asker)), 200)
      assert.is(await reached(owner, asker, await forge(asker, 'ogdenville')), 'cut off')
      await denied(owner, 'certificate_untrusted')
      assert.is(await reached(owner, asker, await forge(asker, 'nobody')), 'cut off')
      await denied(owner, 'partner_unknown')
      assert.is(await reached(owner, asker, await forge(asker, 'springfield', LONG_AGO)), 'cut off')
      assert.is(await reached(owner, asker, await asker.addCamera('oak-st-2')), 'cut off')
      // One of another authority that names a partner.
      assert.is(await reached(owner, asker, await forge(owner, 'springfield')), 'cut off')
    })
  })
})

test('a request is answered once, near its time, and for the organisation of its certificate', async () => {
  const nowMs = systemClock.nowMs()
  const clock = { ...createMovableClock(), nowMs: () => nowMs }
  await inTwoClouds(
    async (asker, owner) => {
      await prepare(asker, owner)
      await giveGrant(owner)
      const shown = await certifiedOf(asker)
      const send = async (change: Parameters<typeof requestOf>[1]) => {
        const { status, json } = await rawRequest(listenerOf(owner), shown, SEARCH_PATH, requestOf(asker, change))
        return status === 200 ? 'answered' : json.refused.rule
      }
      const requestId = asker.cloud.parts.newId()
      assert.equal([await send({ requestId }), await send({ requestId })], ['answered', 'replayed'])
      assert.is(await send({ sentAtMs: nowMs - REPLAY_WINDOW_MS }), 'answered')
      assert.is(await send({ sentAtMs: nowMs - REPLAY_WINDOW_MS - 1 }), 'clock_apart')
      assert.is(await send({ sentAtMs: nowMs + REPLAY_WINDOW_MS }), 'answered')
      assert.is(await send({ sentAtMs: nowMs + REPLAY_WINDOW_MS + 1 }), 'clock_apart')
      const person = { account: 'ines', roles: [], organisation: 'ogdenville' }
      assert.is(await send({ person }), 'organisation_mismatch')
      assert.equal(
        (await owner.audited('federation.searched')).map(({ rule }) => rule),
        ['organisation_mismatch', 'clock_apart', null, 'clock_apart', null, 'replayed', null],
      )
    },
    { clock },
  )
})

test('a request that is malformed or too large is refused and written down', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await giveGrant(owner)
    const shown = await certifiedOf(asker)
    const status = async (body: unknown) => (await rawRequest(listenerOf(owner), shown, SEARCH_PATH, body)).status
    const text = JSON.stringify(requestOf(asker))
    assert.is(await status(text.padEnd(MAX_REQUEST_BYTES)), 200)
    assert.is(await status(JSON.stringify(requestOf(asker)).padEnd(MAX_REQUEST_BYTES + 1)), 413)
    for (const change of [
      { more: 1 },
      { limit: MAX_SHARED_RESULTS + 1 },
      { requestId: 'x' },
      { plate: 'A'.repeat(33) },
      { purpose: 'Not A Slug' },
    ])
      assert.is(await status({ ...requestOf(asker), ...change }), 400, JSON.stringify(change))
    for (const body of ['', '{', '[]', 'null']) assert.is(await status(body), 400, body)
    const rules = (await owner.audited('federation.searched')).map(({ rule }) => rule)
    assert.equal([rules.length, rules.filter((rule) => rule === 'malformed').length], [11, 10])
    assert.equal(
      owner.logLines.filter((line) => line.includes(PLATE)),
      [],
    )
  })
})

test('a partner has so many requests in a minute and at once; what is beyond is one entry a minute', async () => {
  const sharingLimits = { ...SHARING_LIMITS, requestsPerMinute: 3, concurrent: 1 }
  await inTwoClouds(
    async (asker, owner) => {
      await prepare(asker, owner)
      await giveGrant(owner)
      const { writeBatch } = owner.cloud.parts.database
      let release = () => {}
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      let isHeld = false
      owner.cloud.parts.database.writeBatch = async (statements) => {
        isHeld = true
        await held
        return writeBatch(statements)
      }
      const first = ask(asker)
      await until('it is being worked on', () => isHeld)
      owner.cloud.parts.database.writeBatch = writeBatch
      assert.is((await ask(asker)).outcome, 'busy')
      release()
      assert.is((await first).outcome, 'answered')
      assert.equal([(await ask(asker)).outcome, (await ask(asker)).outcome], ['answered', 'answered'])
      assert.equal([(await ask(asker)).outcome, (await ask(asker)).outcome], ['busy', 'busy'])
      assert.is((await lastEntry(asker, 'search.partner_answered')).rule, 'busy')
      const limited = () =>
        owner.audited('federation.searched').then((all) => all.filter(({ rule }) => rule === 'rate_limited').length)
      assert.is(await limited(), 1)
      owner.clock.advance(61_000)
      assert.is((await ask(asker)).outcome, 'answered')
    },
    { ownerDeps: { sharingLimits } },
  )
})

interface Impostor {
  /** What it answers; a string as it stands. */
  answer: { status: number; body: unknown }
  server: Server
}

/** springfield, and a partner shelby that is no Candor: it answers whatever the test says. */
async function withImpostor(
  work: (asker: TestCloud, impostor: Impostor) => Promise<void>,
  certificateOf: (folder: string) => Promise<{ keyPem: string; certPem: string }> = async (folder) =>
    (await openAuthority({ folder, agency: 'shelby', hostnames: ['localhost'], clock: systemClock })).partner(),
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-impostor-'))
  try {
    await inAgency('springfield', async (asker) => {
      const authority = await openAuthority({ folder, agency: 'shelby', hostnames: ['localhost'], clock: systemClock })
      const { keyPem, certPem } = await certificateOf(folder)
      const impostor: Impostor = {
        answer: { status: 200, body: {} },
        server: createServer({ key: keyPem, cert: certPem }, (incoming, outgoing) => {
          incoming.resume()
          const { status, body } = impostor.answer
          outgoing.writeHead(status, { 'content-type': 'application/json', location: 'https://localhost:1/' })
          outgoing.end(typeof body === 'string' ? body : JSON.stringify(body))
        }),
      }
      await new Promise<void>((resolve) => impostor.server.listen(0, '127.0.0.1', resolve))
      try {
        const url = `https://localhost:${portOf(impostor.server)}`
        const facts = { agency: 'shelby', url, caPem: authority.caPem, issuedAtMs: systemClock.nowMs() }
        const identity = readIdentity(await makeIdentity(facts, authority.sign))
        const { fingerprint } = identity
        await asker.cloud.parts.sharing.partners.add(
          identity,
          { name: 'Shelby', jurisdiction: 'US-TN', fingerprint },
          'petra',
        )
        await work(asker, impostor)
      } finally {
        impostor.server.closeAllConnections()
        await new Promise((resolve) => impostor.server.close(resolve))
      }
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function resultOf(world: TestCloud, change: object = {}) {
  return {
    ...{
      kind: 'exact',
      sightingId: world.cloud.parts.newId(),
      cameraId: CAMERA,
      seenAtMs: world.clock.nowMs() - HOUR_MS,
    },
    ...{ clockTrusted: true, plate: PLATE, confidence: 0.9, jurisdiction: null, vehicle: null, pictureVoucher: null },
    ...change,
  }
}

function answerOf(world: TestCloud, results: readonly unknown[], change: object = {}) {
  const grantId = world.cloud.parts.newId()
  return { auditSeq: 7, grantId, results, total: results.length, truncated: false, ...change }
}

test('results that were not asked for, or are malformed, are dropped and counted; the others are shown', async () => {
  await withImpostor(async (asker, impostor) => {
    const nowMs = asker.clock.nowMs()
    const good = resultOf(asker)
    const bad = [
      resultOf(asker, { plate: 'ABC\u001b[2J' }),
      resultOf(asker, { plate: 'abc1230' }),
      resultOf(asker, { plate: 'WWW9999' }),
      resultOf(asker, { kind: 'near' }),
      resultOf(asker, { kind: 'pattern' }),
      resultOf(asker, { cameraId: 'main-st-3' }),
      resultOf(asker, { cameraId: '../etc' }),
      resultOf(asker, { seenAtMs: nowMs - 3 * HOUR_MS }),
      resultOf(asker, { seenAtMs: nowMs }),
      resultOf(asker, { more: 1 }),
      resultOf(asker, { pictureVoucher: 'x' }),
      good,
      null,
      'text',
    ]
    impostor.answer.body = answerOf(asker, [good, ...bad])
    const narrow = { cameras: [CAMERA], fromMs: nowMs - 2 * HOUR_MS, toMs: nowMs - 1 }
    const answer = await ask(asker, narrow)
    assert.equal([answer.outcome, answer.results.length, answer.dropped], ['answered', 1, bad.length])
    const heard = await lastEntry(asker, 'search.partner_answered')
    assert.equal([heard.results, heard.detail.dropped, heard.detail.partnerSeq], [1, bad.length, 7])
    impostor.answer.body = answerOf(asker, [resultOf(asker), resultOf(asker), resultOf(asker)])
    const limited = await ask(asker, { limit: 2 })
    assert.equal([limited.results.length, limited.dropped], [2, 1])
    impostor.answer.body = answerOf(asker, [
      resultOf(asker, { kind: 'pattern', plate: 'ABX1230' }),
      resultOf(asker, { kind: 'pattern' }),
    ])
    const pattern = await ask(asker, { plate: 'ABC*' })
    assert.equal([pattern.results.length, pattern.dropped], [1, 1])
    assert.equal(
      asker.logLines.filter((line) => line.includes(PLATE)),
      [],
    )
  })
})

test('an answer that is none is said to be malformed, too large or failed, and nothing of it is shown', async () => {
  await withImpostor(async (asker, impostor) => {
    const outcome = async (body: unknown, status = 200) => {
      impostor.answer = { status, body }
      const { outcome, results } = await ask(asker)
      if (outcome !== 'answered') assert.equal(results, [])
      return outcome
    }
    const good = JSON.stringify(answerOf(asker, [resultOf(asker)]))
    assert.is(await outcome(good.padEnd(MAX_ANSWER_BYTES)), 'answered')
    assert.is(await outcome(good.padEnd(MAX_ANSWER_BYTES + 1)), 'too_large')
    const results = (count: number) =>
      answerOf(
        asker,
        Array.from({ length: count }, () => null),
      )
    assert.equal(
      [await outcome(results(MAX_SHARED_RESULTS)), await outcome(results(MAX_SHARED_RESULTS + 1))],
      ['answered', 'malformed'],
    )
    for (const body of ['', '{', 'null', '[]', good.replace('7', '-7'), good.replace('"total"', '"all"'), `${good}{}`])
      assert.is(await outcome(body), 'malformed', body.slice(0, 30))
    assert.is(await outcome(answerOf(asker, [], { more: 1 })), 'malformed')
    for (const status of [302, 400, 500, 503]) assert.is(await outcome(good, status), 'failed', String(status))
    assert.is(await outcome('{}', 429), 'busy')
    const refusal = (message: string, rule = 'no_grant') => ({ refused: { auditSeq: 3, rule, message } })
    assert.is(await outcome(refusal('there is no grant'), 403), 'refused')
    assert.is(await outcome(refusal('\u001b]0;owned\u0007'), 403), 'failed')
    assert.is(await outcome(refusal('no', 'a rule of 1 plate'), 403), 'failed')
  })
})

test('what answers at a partner’s address is that partner, or is told nothing', async () => {
  const otherFolder = mkdtempSync(join(tmpdir(), 'candor-other-'))
  const open = (folder: string, agency: string, clock: Clock = systemClock) =>
    openAuthority({ folder, agency, hostnames: ['localhost'], clock })
  const wrong: ((folder: string) => Promise<{ keyPem: string; certPem: string }>)[] = [
    // The pinned authority, for another agency; long expired; and the certificate of its page.
    async (folder) => (await open(folder, 'ogdenville')).partner(),
    async (folder) => (await open(folder, 'shelby', LONG_AGO)).partner(),
    async (folder) => {
      const { serverKeyPem, serverCertPem } = await open(folder, 'shelby')
      return { keyPem: serverKeyPem, certPem: serverCertPem }
    },
    // Another authority that calls itself the same.
    async () => (await open(otherFolder, 'shelby')).partner(),
  ]
  try {
    for (const certificateOf of wrong) {
      await withImpostor(async (asker, impostor) => {
        let heard = 0
        impostor.server.on('request', () => {
          heard += 1
        })
        const answer = await ask(asker)
        assert.equal([answer.outcome, heard], ['not_trusted', 0], JSON.stringify(answer))
        assert.is((await lastEntry(asker, 'search.partner_answered')).rule, 'not_trusted')
      }, certificateOf)
    }
  } finally {
    rmSync(otherFolder, { recursive: true, force: true })
  }
})

test('a partner that is not there is unreachable', async () => {
  await withImpostor(async (asker, impostor) => {
    impostor.server.closeAllConnections()
    await new Promise((resolve) => impostor.server.close(resolve))
    assert.is((await ask(asker)).outcome, 'unreachable')
    await new Promise<void>((resolve) => impostor.server.listen(0, '127.0.0.1', resolve))
  })
})

test.run()

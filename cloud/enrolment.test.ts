import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cameraRequest, keyDigest, newCameraKey, shortFingerprint } from '../shared/certificate-request.ts'
import { parseClaimCode } from '../shared/claim-code.ts'
import { HOUR_MS } from '../shared/clock.ts'
import { topics } from '../shared/topics.ts'
import { MAX_ENROLMENT_REQUESTS_PER_MINUTE } from './api/enrolment.ts'
import { callerOf } from './api/testing.ts'
import { MAX_WRONG_CODES, WRONG_CODES_WINDOW_MS } from './enrolment/wrong-codes.ts'
import { CLAIM_KEPT_MS, DECISION_MS, MAX_CLAIM_HOURS, MAX_OPEN_CLAIMS, type NewClaim } from './enrolment.ts'
import {
  AGENCY,
  codeOf,
  createMovableClock,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const WANTED: NewClaim = { camera: A, site: null, hours: 72, replaces: false }
const SOURCE = '10.0.0.7'

interface Unit {
  keyPem: string
  csrPem: string
  fingerprint: string
}

function newUnit(): Unit {
  const keyPem = newCameraKey()
  return { keyPem, csrPem: cameraRequest('unit', keyPem), fingerprint: shortFingerprint(keyDigest(keyPem)) }
}

const claimed = async (world: TestCloud, change: Partial<NewClaim> = {}, by = 'tess') =>
  (await world.cloud.parts.enrolment.claim({ ...WANTED, ...change }, by)).code

/** How it ended, in a word: pending, issued, or the reason of the refusal. */
async function ask(world: TestCloud, code: string, unit: Unit): Promise<string> {
  const asked = await world.cloud.parts.enrolment.ask(code, unit.csrPem, SOURCE)
  return asked.ok ? (asked.certificate === null ? 'pending' : 'issued') : asked.reason
}

async function certificate(world: TestCloud, code: string, unit: Unit) {
  const asked = await world.cloud.parts.enrolment.ask(code, unit.csrPem, SOURCE)
  return asked.ok && asked.certificate !== null
    ? { key: unit.keyPem, cert: asked.certificate.certPem }
    : (assert.unreachable('no certificate') as never)
}

/** Claimed, asked, approved and fetched. */
async function enrolled(world: TestCloud, change: Partial<NewClaim> = {}) {
  const unit = newUnit()
  const code = await claimed(world, change)
  await ask(world, code, unit)
  await world.cloud.parts.enrolment.approve(change.camera ?? A, unit.fingerprint, 'ada')
  return { unit, code, certified: await certificate(world, code, unit) }
}

const isRefused = (connecting: Promise<unknown>) =>
  connecting.then(
    () => false,
    () => true,
  )

test('a unit becomes a camera by its claim, once somebody has compared the fingerprint of its key', async () => {
  await inCloud(async (world) => {
    const { enrolment, cameras } = world.cloud.parts
    const unit = newUnit()
    const code = await claimed(world, { site: 'Elm St / 5th Ave' })
    assert.is(await ask(world, code, unit), 'pending')
    assert.is(await ask(world, code, unit), 'pending', 'it may ask again')
    assert.not.ok(cameras.isRegistered(A))
    assert.is(await codeOf(() => enrolment.approve(A, newUnit().fingerprint, 'ada')), 'conflict')
    const typed = unit.fingerprint.toUpperCase().replaceAll('-', ' ')
    const approved = await enrolment.approve(A, typed, 'ada')
    assert.equal([approved.state, approved.decidedBy, approved.site], ['approved', 'ada', 'Elm St / 5th Ave'])
    const camera = await world.connectCamera(A, await certificate(world, code, unit))
    assert.is(await publishSighting(camera, makeSighting(world.clock)), 'acknowledged')
    assert.is(await ask(world, code, unit), 'issued', 'power was lost: it fetches the same again')
    assert.equal(
      (await world.audited('camera.claim_used')).map(({ subject, detail }) => [subject?.id, detail?.fingerprint]),
      [[A, unit.fingerprint]],
    )
  })
})

test('a claim goes to the first key; another one is refused, raises an alarm, and nobody is approved any more', async () => {
  await inCloud(async (world) => {
    const { enrolment } = world.cloud.parts
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const call = callerOf(world.cloud)
    const [unit, thief] = [newUnit(), newUnit()]
    const code = await claimed(world)
    assert.is(await ask(world, code, unit), 'pending')
    const json = { code, csrPem: thief.csrPem }
    const refused = await call('POST', '/api/v1/enrolment', { json })
    assert.equal([refused.status, refused.json.error.code], [403, 'forbidden'])
    assert.is(await world.counted('candor_claim_alarms'), 1)
    assert.is(await world.counted('candor_denied_total{rule="claim_reused"}'), 1)
    assert.is((await call('GET', '/api/v1/status', { token })).json.cameras.claimAlarms, 1)
    const [shown] = (await call('GET', '/api/v1/claims', { token })).json.claims
    assert.equal([shown.misuses, shown.alarm, shown.fingerprint], [1, true, unit.fingerprint])
    await until('it is in the audit', async () => (await world.audited('camera.claim_refused')).length === 1)
    const [entry] = await world.audited('camera.claim_refused')
    assert.equal([entry?.rule, entry?.subject], ['claim_reused', { kind: 'camera', id: A }])

    assert.is(await codeOf(() => enrolment.approve(A, unit.fingerprint, 'ada')), 'conflict')
    assert.is(await codeOf(() => enrolment.approve(A, thief.fingerprint, 'ada')), 'conflict')
    await enrolment.reject(A, 'ada')
    assert.is(await ask(world, code, unit), 'over')
    await world.restart()
    assert.is(await world.cloud.parts.enrolment.alarms(), 1, 'a rejection does not end the alarm, nor a restart')
    await world.cloud.parts.enrolment.revoke(A, 'ada')
    assert.is(await world.counted('candor_claim_alarms'), 0)
  })
})

test('of two units that use a claim at once one is bound to it, and the other raises the alarm', async () => {
  await inCloud(async (world) => {
    const code = await claimed(world)
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => ask(world, code, newUnit())))
    assert.equal(outcomes.sort(), ['pending', 'reused', 'reused', 'reused'])
  })
})

test('a copy of the claim that is tried after the enrolment raises the alarm too, and the camera goes on', async () => {
  await inCloud(async (world) => {
    const { code, certified } = await enrolled(world)
    const camera = await world.connectCamera(A, certified)
    assert.is(await ask(world, code, newUnit()), 'reused')
    assert.is(await world.cloud.parts.enrolment.alarms(), 1)
    assert.is(await publish(camera, topics.health(AGENCY, A), 'x'), 'acknowledged')
    world.clock.advance(DECISION_MS)
    assert.is(await ask(world, code, newUnit()), 'reused', 'also when the claim is over')
  })
})

test('a claim ends at its time, a request at the end of its wait, and an approval at the end of the fetching', async () => {
  await inCloud(async (world) => {
    const { enrolment } = world.cloud.parts
    const unit = newUnit()
    const last = await claimed(world, { hours: 1 })
    world.clock.advance(HOUR_MS)
    assert.is(await ask(world, last, unit), 'over')
    assert.is((await enrolment.list())[0]?.state, 'expired')

    const early = await claimed(world, { hours: 1 })
    world.clock.advance(HOUR_MS - 60_000)
    assert.is(await ask(world, early, unit), 'pending')
    world.clock.advance(DECISION_MS)
    assert.is(await ask(world, early, unit), 'over')
    assert.is(await codeOf(() => enrolment.approve(A, unit.fingerprint, 'ada')), 'conflict')

    const third = await claimed(world)
    await ask(world, third, unit)
    world.clock.advance(DECISION_MS - 60_000)
    await enrolment.approve(A, unit.fingerprint, 'ada')
    world.clock.advance(DECISION_MS - 60_000)
    assert.is(await ask(world, third, unit), 'issued')
    world.clock.advance(60_000)
    assert.is(await ask(world, third, unit), 'over')
    world.clock.advance(CLAIM_KEPT_MS + 60_000)
    await enrolment.upkeep()
    assert.equal(await enrolment.list(), [])
  })
})

test('where the policy wants a second person, who made the claim does not approve it', async () => {
  await inCloud(async (world) => {
    const { enrolment, policy } = world.cloud.parts
    const unit = newUnit()
    await ask(world, await claimed(world, {}, 'tess'), unit)
    await policy.change(policy.current().version, { secondPerson: true }, 'paul')
    assert.is(await codeOf(() => enrolment.approve(A, unit.fingerprint, 'tess')), 'forbidden')
    assert.is((await enrolment.approve(A, unit.fingerprint, 'ada')).state, 'approved')
  })
  await inCloud(async (world) => {
    const unit = newUnit()
    await ask(world, await claimed(world, {}, 'tess'), unit)
    assert.is((await world.cloud.parts.enrolment.approve(A, unit.fingerprint, 'tess')).state, 'approved')
  })
})

test('where the policy wants a second person, nobody alone has a certificate signed, and no unit is revoked by trying', async () => {
  await inCloud(async (world) => {
    const { policy, cameras } = world.cloud.parts
    const call = callerOf(world.cloud)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const add = (camera: string) =>
      call('POST', '/api/v1/cameras', { token, json: { camera, csrPem: newUnit().csrPem } })
    const replace = () => call('POST', `/api/v1/cameras/${A}/replace`, { token, json: { csrPem: newUnit().csrPem } })
    const first = newUnit()
    const added = await call('POST', '/api/v1/cameras', { token, json: { camera: A, csrPem: first.csrPem } })
    const unit = { key: first.keyPem, cert: added.json.certificatePem }
    const camera = await world.connectCamera(A, unit)
    await policy.change(policy.current().version, { secondPerson: true }, 'paul')
    for (const [answer, operation] of [
      [await add('oak-st-2'), 'camera.add'],
      [await replace(), 'camera.replace'],
    ] as const) {
      assert.equal([answer.status, answer.json.error.code], [403, 'forbidden'])
      assert.match(answer.json.error.hint, 'candor camera claim')
      const [entry] = await world.audited(operation)
      assert.equal([entry?.outcome, entry?.rule, entry?.actor.account], ['refused', 'forbidden', 'tess'])
    }
    assert.not.ok(cameras.isRegistered('oak-st-2'))
    assert.is(await publishSighting(camera, makeSighting(world.clock)), 'acknowledged')
    const next = await enrolled(world, { replaces: true })
    await world.connectCamera(A, next.certified)
    assert.ok(await isRefused(world.connectCamera(A, unit)), 'a claim that another one approves does it')
  })
})

test('what is decided is decided once, and a camera’s name has one open claim', async () => {
  await inCloud(async (world) => {
    const { enrolment } = world.cloud.parts
    const unit = newUnit()
    const code = await claimed(world)
    assert.is(await codeOf(() => claimed(world)), 'conflict')
    assert.is(await codeOf(() => enrolment.reject(A, 'ada')), 'conflict', 'nobody has asked')
    await ask(world, code, unit)
    const outcomes = await Promise.all([
      codeOf(() => enrolment.approve(A, unit.fingerprint, 'ada')),
      codeOf(() => enrolment.reject(A, 'ben')),
      codeOf(() => enrolment.approve(A, unit.fingerprint, 'cleo')),
    ])
    assert.equal(outcomes, ['none', 'conflict', 'conflict'])
    assert.is(await codeOf(() => claimed(world)), 'conflict', 'the camera is there')
    assert.is(await codeOf(() => claimed(world, { camera: 'oak-st-2', replaces: true })), 'not_found')
    assert.is(await codeOf(() => claimed(world, { camera: 'Oak' })), 'bad_input')
  })
})

test('so many claims are open at once, and not one more', async () => {
  await inCloud(async (world) => {
    const row = (i: number) =>
      `('${i}', 'digest ${i}', 'camera-${i}', NULL, 0, 'waiting', 0, 'tess', ${world.clock.nowMs() + HOUR_MS})`
    const rows = Array.from({ length: MAX_OPEN_CLAIMS - 1 }, (_, i) => row(i))
    world.sql(
      `INSERT INTO camera_claims (claim_id, code_sha256, camera_id, site, replaces, state, made_at_ms, made_by, expires_at_ms) VALUES ${rows.join(', ')}`,
    )
    await claimed(world)
    assert.is(await codeOf(() => claimed(world, { camera: 'one-more' })), 'too_large')
  })
})

test('a replacement takes over with its first connection, the old unit’s ends, and no sighting is lost or doubled', async () => {
  await inCloud(async (world) => {
    const old = await enrolled(world)
    const oldUnit = await world.connectCamera(A, old.certified, { clean: false })
    assert.is(await publishSighting(oldUnit, makeSighting(world.clock)), 'acknowledged')
    const next = await enrolled(world, { replaces: true })
    assert.is(await publishSighting(oldUnit, makeSighting(world.clock)), 'acknowledged', 'approval alone ends nothing')

    const ended = new Promise<void>((resolve) => oldUnit.once('close', () => resolve()))
    const going = Array.from({ length: 20 }, () => makeSighting(world.clock))
    const outcomes = going.map((sighting) => publishSighting(oldUnit, sighting))
    const newUnit = await world.connectCamera(A, next.certified, { clean: false })
    await ended
    const acknowledged = (await Promise.all(outcomes)).filter((outcome) => outcome === 'acknowledged').length
    assert.ok(await isRefused(world.connectCamera(A, old.certified)), 'the old unit is out')
    assert.is(await world.counted('candor_denied_total{rule="camera_revoked"}'), 1)
    // A unit that hears no acknowledgement sends again; whoever sends it, it is stored once.
    const again = [...going, makeSighting(world.clock)]
    for (const sighting of again) assert.is(await publishSighting(newUnit, sighting), 'acknowledged')
    const { sightings } = await world.cloud.parts.sightings.counts()
    assert.is(sightings, 2 + again.length, `${acknowledged} were acknowledged on the way`)
    assert.equal(
      (await world.audited('camera.taken_over')).map(({ subject }) => subject?.id),
      [A],
    )
    await world.restart()
    assert.ok(await isRefused(world.connectCamera(A, old.certified)), 'nor after a restart')
    await world.connectCamera(A, next.certified)
  })
})

test('a replacement that cannot be written down is not let in, and the old unit stays', async () => {
  await inCloud(async (world) => {
    const old = await enrolled(world)
    const next = await enrolled(world, { replaces: true })
    world.sql("CREATE TRIGGER full BEFORE UPDATE ON camera_certificates BEGIN SELECT RAISE(ABORT, 'disk'); END")
    assert.ok(await isRefused(world.connectCamera(A, next.certified)))
    await world.connectCamera(A, old.certified)
    world.sql('DROP TRIGGER full')
    await world.connectCamera(A, next.certified)
    assert.ok(await isRefused(world.connectCamera(A, old.certified)))
  })
})

test('a revoked camera is cut off at once, and neither its open claim nor a replacement of before helps it', async () => {
  await inCloud(async (world) => {
    const { enrolment } = world.cloud.parts
    const call = callerOf(world.cloud)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const { certified, code, unit } = await enrolled(world)
    const camera = await world.connectCamera(A, certified)
    const next = await enrolled(world, { replaces: true })
    const [waiting, third] = [await claimed(world, { replaces: true }), newUnit()]
    await ask(world, waiting, third)
    const ended = new Promise<void>((resolve) => camera.once('close', () => resolve()))
    const startMs = world.clock.monotonicMs()
    assert.is((await call('POST', `/api/v1/cameras/${A}/revoke`, { token })).status, 204)
    await ended
    const tookMs = world.clock.monotonicMs() - startMs
    assert.ok(tookMs < 5_000, `within seconds: ${tookMs} ms`)
    for (const one of [certified, next.certified]) assert.ok(await isRefused(world.connectCamera(A, one)))
    assert.equal(
      [await ask(world, code, unit), await ask(world, next.code, next.unit), await ask(world, waiting, third)],
      ['over', 'over', 'over'],
    )
    assert.is(await codeOf(() => enrolment.approve(A, third.fingerprint, 'ada')), 'conflict')
    const fresh = await enrolled(world, { replaces: true })
    await world.connectCamera(A, fresh.certified)
    assert.is((await world.cloud.parts.cameras.list())[0]?.state, 'active', 'a claim made afterwards does')
  })
})

test('over HTTP a wrong code is refused, counted and slowed down, and its window ends', async () => {
  const clock = createMovableClock()
  await inCloud(
    async (world) => {
      const call = callerOf(world.cloud)
      const unit = newUnit()
      const right = await claimed(world)
      const wrong = () => call('POST', '/api/v1/enrolment', { json: { code: 'wrong', csrPem: unit.csrPem } })
      const proper = () => call('POST', '/api/v1/enrolment', { json: { code: right, csrPem: unit.csrPem } })
      for (let i = 0; i < MAX_WRONG_CODES - 1; i += 1) assert.is((await wrong()).status, 403)
      assert.is((await proper()).status, 200)
      assert.is((await wrong()).status, 403)
      assert.is((await proper()).status, 429)
      assert.is(await world.counted('candor_denied_total{rule="claim_unknown"}'), MAX_WRONG_CODES)
      clock.advance(WRONG_CODES_WINDOW_MS)
      assert.is((await proper()).status, 200)
    },
    {},
    {},
    clock,
  )
})

test('an address asks so often in a minute, and not once more', async () => {
  await inCloud(async (world) => {
    const call = callerOf(world.cloud)
    const door = () => call('GET', '/api/v1/enrolment')
    for (let i = 0; i < MAX_ENROLMENT_REQUESTS_PER_MINUTE; i += 1) assert.is((await door()).status, 200)
    assert.is((await door()).status, 429)
  })
})

test('a claim is made for at most so many hours, and a request is one of P-256', async () => {
  await inCloud(async (world) => {
    const call = callerOf(world.cloud)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const make = (camera: string, hours: number) => call('POST', '/api/v1/claims', { token, json: { camera, hours } })
    assert.is((await make('a', MAX_CLAIM_HOURS)).status, 201)
    assert.is((await make('b', MAX_CLAIM_HOURS + 1)).status, 400)
    const code = await claimed(world)
    const asked = await call('POST', '/api/v1/enrolment', { json: { code, csrPem: 'not a request' } })
    assert.is(asked.status, 400)
    assert.is(await ask(world, code, newUnit()), 'pending', 'what is no request uses no claim up')
  })
})

test('no claim code stands in the database, the log, the audit or any answer but the first', async () => {
  await inCloud(async (world) => {
    const call = callerOf(world.cloud)
    const token = await world.addPerson('tess', ['camera-technician'], [])
    const made = await call('POST', '/api/v1/claims', { token, json: { camera: A } })
    const code: string = made.json.code
    const [unit, other] = [newUnit(), newUnit()]
    const answers = [
      await call('POST', '/api/v1/enrolment', { json: { code, csrPem: unit.csrPem } }),
      await call('POST', '/api/v1/enrolment', { json: { code, csrPem: other.csrPem } }),
      await call('POST', '/api/v1/enrolment', { json: { code: `${code}0`, csrPem: 'x' } }),
      await call('POST', '/api/v1/enrolment', { json: { code: [code], csrPem: 'x' } }),
      await call('POST', `/api/v1/claims/${code}/revoke`, { token }),
      await call('GET', '/api/v1/claims', { token }),
      await call('GET', '/api/v1/cameras', { token }),
    ]
    await world.cloud.parts.denials.flush()
    const audit = JSON.stringify(await world.cloud.parts.audit.list({ before: null, limit: 500 }))
    const data = join(world.folder, 'data')
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
    const texts = [
      ...answers.map(({ body }) => body.toString('latin1')),
      ...world.logLines,
      audit,
      ...files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1')),
    ]
    assert.ok(audit.includes('camera.claim_used') && audit.includes('claim_reused'))
    for (const form of [code, code.replaceAll('-', ''), parseClaimCode(code) ?? ''])
      for (const text of texts) assert.not.ok(text.includes(form), text.slice(0, 200))
  })
})

test.run()

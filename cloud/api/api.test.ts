import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { type Sighting, sightingSchema } from '../../shared/wire/index.ts'
import { MAX_IMPORT_BYTES } from '../hotlists/csv.ts'
import { permissionsOf } from '../permissions.ts'
import { readOf } from '../testing.ts'
import { MAX_BODY_BYTES } from './api.ts'
import { MAX_LOGINS_PER_MINUTE } from './people.ts'
import { audited, inWorld, PASSWORD, type World } from './testing.ts'

function makeSighting(change: Partial<Sighting> = {}): Sighting {
  return sightingSchema.parse({
    sightingId: newId(),
    revision: 1,
    cameraId: 'elm-st-1',
    capturedAtMs: Date.now(),
    clock: 'synced',
    plate: 'ABC1230',
    confidence: 0.98,
    candidates: [{ plate: 'ABC1230', confidence: 0.98 }],
    jurisdiction: null,
    region: { x: 1, y: 2, width: 100, height: 30 },
    frames: 3,
    match: null,
    crop: null,
    versions: { software: '0.1.0', detector: 'test', reader: 'test' },
    ...change,
  })
}

/** Stores a sighting as ingest would, with its alert when a list has it. */
async function store(world: World, sighting: Sighting, jpeg?: Buffer): Promise<string | null> {
  const { parts } = world.cloud
  const { confusableKey } = await import('../../shared/plate.ts')
  const { sha256Hex } = await import('../../shared/signing.ts')
  const receivedAtMs = Date.now()
  const match = sighting.plate === null ? null : parts.hotlists.match(readOf(sighting.plate), receivedAtMs)
  const document = JSON.stringify(sighting)
  const statements = [
    parts.sightings.insert({
      camera_id: sighting.cameraId,
      sighting_id: sighting.sightingId,
      revision: sighting.revision,
      payload_sha256: sha256Hex(document),
      seen_at_ms: sighting.capturedAtMs,
      received_at_ms: receivedAtMs,
      retained_from_ms: Math.min(sighting.capturedAtMs, receivedAtMs),
      clock_trusted: 1,
      plate: sighting.plate,
      confusable_key: sighting.plate === null ? null : confusableKey(sighting.plate),
      matched: match === null ? 0 : 1,
      match_disagreed: 0,
      crop_sha256: sighting.crop?.sha256 ?? null,
      document,
    }),
  ]
  if (jpeg !== undefined) {
    statements.push(
      parts.sightings.insertCrop({
        camera_id: sighting.cameraId,
        sighting_id: sighting.sightingId,
        sha256: sha256Hex(jpeg),
        jpeg,
        received_at_ms: receivedAtMs,
        retained_from_ms: receivedAtMs,
      }),
    )
  }
  const raised = match === null ? null : parts.alerts.raise({ sighting, receivedAtMs, match })
  await parts.database.writeBatch([...statements, ...(raised?.statements ?? [])])
  return raised?.alert.alertId ?? null
}

const PURPOSE = {
  caseNumber: '24-00123',
  offenceType: 'burglary',
  reason: 'vehicle seen at the break-in on Elm Street',
}

test('set-up makes the first administrator with the code from the file, once', async () => {
  await inWorld(async (world) => {
    const printed = await world.cloud.parts.firstRun.code()
    const code = readFileSync(join(world.folder, 'data', 'setup-code'), 'utf8').trim()
    assert.is(code, printed)
    assert.is(statSync(join(world.folder, 'data', 'setup-code')).mode & 0o777, 0o600)
    const wrong = await world.call('POST', '/api/v1/setup', {
      json: { code: 'wrong', account: 'ada', password: PASSWORD },
    })
    assert.is(wrong.status, 403)
    const weak = await world.call('POST', '/api/v1/setup', { json: { code, account: 'ada', password: 'short' } })
    assert.is(weak.status, 400)
    assert.match(weak.json.error.hint, /12 characters/)
    const made = await world.call('POST', '/api/v1/setup', { json: { code, account: 'ada', password: PASSWORD } })
    assert.is(made.status, 200)
    assert.equal(made.json.roles, ['account-admin', 'camera-technician', 'hotlist-admin', 'policy-admin'])
    const again = await world.call('POST', '/api/v1/setup', { json: { code, account: 'eve', password: PASSWORD } })
    assert.is(again.status, 409)
    assert.throws(() => readFileSync(join(world.folder, 'data', 'setup-code')))
    await world.cloud.parts.denials.flush()
    const outcomes = (await audited(world)).filter((entry) => entry.operation === 'account.first')
    assert.equal(outcomes.map((entry) => [entry.outcome, entry.rule]).reverse(), [
      ['refused', 'setup_refused'],
      ['allowed', null],
      ['refused', 'bad_input'],
      ['allowed', null],
      ['refused', 'setup_refused'],
    ])
  })
})

test('log-in, renewal and log-out work as the page expects, and each is in the audit without its secrets', async () => {
  await inWorld(async (world) => {
    await world.as('officer')
    const wrong = await world.call('POST', '/api/v1/login', {
      json: { account: 'person-1', password: 'not the right one' },
    })
    const nobody = await world.call('POST', '/api/v1/login', { json: { account: 'hunter2secret', password: 'x' } })
    assert.is(wrong.status, 401)
    assert.equal(wrong.json, nobody.json, 'nobody can tell whether an account exists')
    const session = await world.call('POST', '/api/v1/login', { json: { account: 'person-1', password: PASSWORD } })
    assert.is(session.status, 200)
    assert.equal(session.json.roles, ['officer'])
    assert.equal(session.json.groups, ['patrol'])
    const { token } = session.json
    const me = await world.call('GET', '/api/v1/me', { token })
    assert.equal(me.json.permissions, ['alerts.read', 'alerts.verify'])
    const renewed = await world.call('POST', '/api/v1/token', { token })
    assert.is(renewed.status, 200)
    assert.is((await world.call('GET', '/api/v1/me', { token })).status, 401)
    assert.is((await world.call('POST', '/api/v1/logout', { token: renewed.json.token })).status, 204)
    assert.is((await world.call('GET', '/api/v1/me', { token: renewed.json.token })).status, 401)
    const entries = (await audited(world)).filter(({ operation }) => operation !== 'api.denied')
    assert.equal(entries.map((entry) => [entry.operation, entry.outcome, entry.rule]).reverse(), [
      ['session.login', 'refused', 'wrong_password'],
      ['session.login', 'refused', 'unknown_account'],
      ['session.login', 'allowed', null],
      ['session.logout', 'allowed', null],
    ])
    const text = JSON.stringify(entries)
    assert.not.match(text, /hunter2|heron/)
    assert.is(entries[0]?.actor.source, '127.0.0.1')
  })
})

test('log-ins from one address are limited in a minute', async () => {
  await inWorld(async (world) => {
    // Other names each time: log-ins to one account wait for each other and have a limit of their own.
    const login = (_: unknown, i: number) =>
      world.call('POST', '/api/v1/login', { json: { account: `nobody-${i}`, password: 'x' } })
    const replies = await Promise.all(Array.from({ length: MAX_LOGINS_PER_MINUTE + 1 }, login))
    const statuses = replies.map((one) => one.status)
    assert.is(statuses.filter((status) => status === 401).length, MAX_LOGINS_PER_MINUTE)
    assert.is(statuses.filter((status) => status === 429).length, 1)
  })
})

test('an administrator adds, changes and disables accounts, never their own, and a disabled one is out at once', async () => {
  await inWorld(async (world) => {
    const admin = await world.as('account-admin')
    const added = await world.call('POST', '/api/v1/accounts', {
      token: admin,
      json: { account: 'bob', password: PASSWORD, roles: ['officer'], groups: ['patrol'] },
    })
    assert.is(added.status, 201)
    assert.is(added.json.createdBy, 'person-1')
    assert.is(JSON.stringify(added.json).includes('argon2'), false)
    const bob = (await world.call('POST', '/api/v1/login', { json: { account: 'bob', password: PASSWORD } })).json.token
    const own = await world.call('PATCH', '/api/v1/accounts/person-1', {
      token: admin,
      json: { roles: ['account-admin', 'investigator'], groups: [] },
    })
    assert.is(own.status, 403)
    assert.is(
      (await world.call('PATCH', '/api/v1/accounts/bob', { token: admin, json: { disabled: true } })).status,
      200,
    )
    assert.is((await world.call('GET', '/api/v1/me', { token: bob })).status, 401)
    assert.is(
      (await world.call('PATCH', '/api/v1/accounts/bob', { token: admin, json: { disabled: false } })).json.state,
      'active',
    )
    const mixed = await world.call('PATCH', '/api/v1/accounts/bob', {
      token: admin,
      json: { disabled: true, locked: false },
    })
    assert.is(mixed.status, 400)
    const list = await world.call('GET', '/api/v1/accounts', { token: admin })
    assert.equal(
      list.json.accounts.map((one: { account: string }) => one.account),
      ['bob', 'person-1'],
    )
  })
})

test('a camera is registered by its request, replaced and revoked', async () => {
  await inWorld(async (world) => {
    const token = await world.as('camera-technician')
    const { csrPem } = newCameraRequest('elm-st-1')
    const added = await world.call('POST', '/api/v1/cameras', { token, json: { camera: 'elm-st-1', csrPem } })
    assert.is(added.status, 201)
    assert.match(added.json.certificatePem, /BEGIN CERTIFICATE/)
    assert.is(added.json.caPem, world.cloud.caPem)
    assert.match(added.json.listKeysPem, /BEGIN PUBLIC KEY/)
    assert.is(added.json.mqttPort, world.cloud.mqttPort)
    assert.is(
      (await world.call('POST', '/api/v1/cameras', { token, json: { camera: 'elm-st-1', csrPem } })).status,
      409,
    )
    assert.is((await world.call('POST', '/api/v1/cameras', { token, json: { camera: 'b', csrPem: 'x' } })).status, 400)
    assert.is((await world.call('POST', '/api/v1/cameras/elm-st-1/replace', { token, json: { csrPem } })).status, 200)
    assert.is((await world.call('POST', '/api/v1/cameras/elm-st-1/revoke', { token })).status, 204)
    assert.is((await world.call('POST', '/api/v1/cameras/nowhere/revoke', { token })).status, 404)
    const list = await world.call('GET', '/api/v1/cameras', { token })
    assert.is(list.json.cameras[0].state, 'revoked')
  })
})

test('a list is imported from text, reported row by row, and its status and differences are told', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin')
    const put = (query: string, text: string, type = 'text/csv') =>
      world.call('PUT', `/api/v1/hotlists/stolen${query}`, { token, text, type })
    const bad = await put('', 'plate\nABC1230\n!\n')
    assert.is(bad.status, 200)
    assert.is(bad.json.applied, false)
    assert.is(bad.json.problems[0].line, 3)
    const good = await put('?groups=patrol,detectives&match=near', '\uFEFFplate\r\nABC1230\r\nBCD234\r\n')
    assert.is(good.json.version, 1, JSON.stringify(good.json))
    assert.is((await put('?dryRun=true', 'plate\nXYZ123\n')).json.notApplied, 'dry run')
    assert.is((await put('?nonsense=1', 'plate\nABC1230\n')).status, 400)
    assert.is((await put('', '{}', 'application/json')).json.applied, false, 'an empty body is an empty file')
    assert.is((await put('', 'x', 'text/html')).status, 415)
    await put('', 'plate\nCDE345\n')
    const diff = await world.call('GET', '/api/v1/hotlists/stolen/diff?from=1&to=2', { token })
    assert.is(diff.json.removed, 2)
    const rolled = await world.call('POST', '/api/v1/hotlists/stolen/rollback', { token, json: {} })
    assert.equal(rolled.json, { version: 3, entries: 2, prohibited: 0 })
    const configured = await world.call('PATCH', '/api/v1/hotlists/stolen', { token, json: { groups: ['traffic'] } })
    assert.equal(configured.json.groups, ['traffic'])
    const status = await world.call('GET', '/api/v1/hotlists', { token })
    assert.is(status.json.hotlists[0].version, 3)
    const entries = await audited(world)
    const imported = entries.filter((entry) => entry.operation === 'hotlist.imported')
    assert.is(imported.at(-2)?.detail.version, 1)
    assert.not.match(JSON.stringify(entries), /ABC1230|CDE345/)
  })
})

test('bodies at the limit are read and one byte more is refused', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin', 'camera-technician')
    const camera = (bytes: number) => {
      const empty = JSON.stringify({ camera: 'a', csrPem: '' }).length
      return world.call('POST', '/api/v1/cameras', { token, json: { camera: 'a', csrPem: 'x'.repeat(bytes - empty) } })
    }
    assert.is((await camera(MAX_BODY_BYTES)).status, 400)
    assert.is((await camera(MAX_BODY_BYTES + 1)).status, 413)
    const list = (bytes: number) =>
      world
        .call('PUT', '/api/v1/hotlists/big', {
          token,
          text: `plate\nABC1230\n${'\n'.repeat(bytes - 14)}`,
          type: 'text/csv',
        })
        .then(
          (reply) => reply.status,
          (error: { code?: string }) => error.code,
        )
    assert.is(await list(MAX_IMPORT_BYTES), 200)
    const refused = await list(MAX_IMPORT_BYTES + 1)
    // Whoever is still sending may find the connection closed before the answer is read.
    assert.ok([413, 'ECONNRESET', 'EPIPE'].includes(refused ?? ''), String(refused))
  })
})

test('the policy is read by everybody and changed by its administrators, in the audit', async () => {
  await inWorld(async (world) => {
    const officer = await world.as('officer')
    const admin = await world.as('policy-admin')
    const read = await world.call('GET', '/api/v1/policy', { token: officer })
    assert.is(read.json.policy.retention.unmatchedDays, 30)
    const change = { version: 1, retention: { unmatchedDays: 21 } }
    assert.is((await world.call('PATCH', '/api/v1/policy', { token: officer, json: change })).status, 403)
    const changed = await world.call('PATCH', '/api/v1/policy', { token: admin, json: change })
    assert.is(changed.json.retention.unmatchedDays, 21)
    assert.is((await world.call('PATCH', '/api/v1/policy', { token: admin, json: change })).status, 409)
    assert.is(
      (
        await world.call('PATCH', '/api/v1/policy', {
          token: admin,
          json: { version: 2, retention: { unmatchedDays: 0 } },
        })
      ).status,
      400,
    )
    const [entry] = (await audited(world))
      .filter((one) => one.operation === 'policy.change' && one.outcome === 'allowed')
      .slice(-1)
    assert.is(entry?.detail['retention.unmatchedDays'], '30 → 21')
  })
})

test('a search without its purpose is refused and audited; with it, the audit comes before the answer', async () => {
  await inWorld(async (world) => {
    const token = await world.as('investigator')
    const search = (json: Record<string, unknown>) => world.call('POST', '/api/v1/search', { token, json })
    await store(world, makeSighting())
    await store(world, makeSighting({ plate: 'ABC123O' }))
    await store(world, makeSighting({ plate: 'XYZ987' }))
    await store(world, makeSighting({ capturedAtMs: Date.now() - 31 * 86_400_000 }))
    const refusals: [Record<string, unknown>, string][] = [
      [{ plate: 'ABC1230' }, 'case_number_missing'],
      [{ plate: 'ABC1230', ...PURPOSE, caseNumber: ' - ' }, 'case_number_missing'],
      [{ plate: 'ABC1230', ...PURPOSE, offenceType: '' }, 'offence_type_missing'],
      [{ plate: 'ABC1230', ...PURPOSE, reason: '..........' }, 'reason_missing'],
      [{ plate: 'ABC1230', ...PURPOSE, reason: 'investigation' }, 'reason_vague'],
      [{ plate: 'ABC1230', ...PURPOSE, reason: 'aaaaaaa aaaaaaa' }, 'reason_vague'],
      [{ plate: '*', ...PURPOSE }, 'plate_unusable'],
      [{ plate: 'A*', ...PURPOSE }, 'plate_unusable'],
      [{ plate: "AB%' OR 1", ...PURPOSE }, 'plate_unusable'],
    ]
    for (const [json, rule] of refusals) {
      const reply = await search(json)
      assert.is(reply.status, 400, rule)
      const [entry] = await audited(world, 1)
      assert.is(entry?.rule, rule)
      assert.is(entry?.outcome, 'refused')
    }
    const found = await search({ plate: 'abc-1230', ...PURPOSE })
    assert.is(found.status, 200)
    assert.equal(
      found.json.results.map((one: { kind: string; sighting: { plate: string } }) => [one.kind, one.sighting.plate]),
      [
        ['near', 'ABC123O'],
        ['exact', 'ABC1230'],
      ],
    )
    const [answered, asked] = await audited(world, 2)
    assert.is(asked?.operation, 'search.run')
    assert.is(asked?.seq, found.json.auditSeq)
    assert.is(asked?.caseNumber, PURPOSE.caseNumber)
    assert.is(asked?.query?.plateDigest, world.cloud.parts.audit.plateDigest('ABC1230'))
    assert.is(answered?.completes, asked?.seq)
    assert.is(answered?.results, 2)
    assert.is((await search({ plate: 'ABC*', ...PURPOSE })).json.total, 2)
    assert.is((await search({ plate: 'A?C123?', ...PURPOSE })).json.total, 2)
    assert.is((await search({ plate: '*987', ...PURPOSE })).json.results[0].kind, 'pattern')
    assert.is((await search({ plate: 'XYZ988', ...PURPOSE })).json.total, 0)
    assert.not.match(JSON.stringify(await audited(world, 100)), /ABC1230|XYZ987/)
    assert.not.match(world.logLines.join(''), /ABC1230|ABC123O|XYZ987/)
  })
})

test('when the audit cannot be written a search is refused and nothing is answered', async () => {
  await inWorld(async (world) => {
    const token = await world.as('investigator')
    await store(world, makeSighting())
    const next = join(world.folder, 'data', 'audit', 'head.json.next')
    rmSync(next, { force: true })
    const { mkdirSync } = await import('node:fs')
    mkdirSync(next)
    const reply = await world.call('POST', '/api/v1/search', { token, json: { plate: 'ABC1230', ...PURPOSE } })
    assert.is(reply.status, 503)
    assert.is(reply.json.error.code, 'unavailable')
    assert.not.match(reply.body.toString(), /ABC1230/)
    rmSync(next, { recursive: true })
    assert.is(
      (await world.call('POST', '/api/v1/search', { token, json: { plate: 'ABC1230', ...PURPOSE } })).status,
      200,
    )
  })
})

test('an officer works an alert of the own groups to its outcome, and every look at a picture is audited', async () => {
  await inWorld(async (world) => {
    await world.cloud.parts.hotlists.import({
      list: 'stolen',
      bytes: Buffer.from('plate,reason,case\nABC1230,stolen from the depot,24-7\n'),
      settings: {},
      dryRun: false,
      skipBad: false,
      allowEmpty: false,
      by: 'test',
    })
    const jpeg = Buffer.from('not really a jpeg')
    const { sha256Hex } = await import('../../shared/signing.ts')
    const sighting = makeSighting({ crop: { sha256: sha256Hex(jpeg), bytes: jpeg.length } })
    const alertId = await store(world, sighting, jpeg)
    const bare = await store(world, makeSighting())
    const token = await world.as('officer')
    const list = await world.call('GET', '/api/v1/alerts?state=open&limit=200', { token })
    assert.is(list.json.alerts.length, 2)
    const one = await world.call('GET', `/api/v1/alerts/${alertId}`, { token })
    assert.equal(one.json.source, { reason: 'stolen from the depot', caseNumber: '24-7' })
    const crop = await world.call('GET', `/api/v1/alerts/${alertId}/crop`, { token })
    assert.is(crop.headers['content-type'], 'image/jpeg')
    assert.is(crop.headers['cache-control'], 'no-store')
    assert.equal(crop.body, jpeg)
    assert.is((await audited(world, 1))[0]?.operation, 'alert.crop_viewed')
    assert.is((await world.call('GET', `/api/v1/alerts/${bare}/crop`, { token })).status, 404)
    const step = (json: unknown) => world.call('POST', `/api/v1/alerts/${alertId}/steps`, { token, json })
    assert.is((await step({ step: 'actionable', revision: 0 })).status, 409)
    const compared = await step({ step: 'image_compared', revision: 0, plateSeen: 'ABC 1230', jurisdictionSeen: null })
    assert.is(compared.json.state, 'image_compared')
    assert.is(
      (await step({ step: 'image_compared', revision: 0, plateSeen: 'ABC 1230', jurisdictionSeen: null })).status,
      409,
    )
    await step({ step: 'source_confirmed', revision: 1, confirmedWith: 'desk', result: 'still stolen' })
    await step({ step: 'actionable', revision: 2 })
    const closed = await step({ step: 'closed', revision: 3, outcome: 'located' })
    assert.is(closed.json.outcome, 'located')
    const stranger = await world.cloud.parts.accounts.add({
      account: 'other',
      password: PASSWORD,
      by: 'x',
      roles: ['officer'],
      groups: ['k9'],
    })
    const login = await world.cloud.parts.accounts.login({ account: stranger.account, password: PASSWORD, source: 'x' })
    const other = login.ok ? login.token : ''
    assert.equal((await world.call('GET', '/api/v1/alerts', { token: other })).json.alerts, [])
    const [listed] = await audited(world, 1)
    assert.equal([listed?.operation, listed?.actor.account, listed?.results], ['alert.listed', 'other', 0])
    assert.is((await world.call('GET', `/api/v1/alerts/${alertId}`, { token: other })).status, 404)
    assert.is((await world.call('GET', `/api/v1/alerts/${alertId}/crop`, { token: other })).status, 404)
    const investigator = await world.as('investigator')
    const searched = await world.call('POST', '/api/v1/search', {
      token: investigator,
      json: { plate: sighting.plate, ...PURPOSE },
    })
    const results: { sighting: { sightingId: string }; pictureVoucher: string | null }[] = searched.json.results
    const found = results.find((one) => one.sighting.sightingId === sighting.sightingId)
    assert.ok(
      results.some((one) => one.pictureVoucher === null),
      'the one without a picture has no voucher',
    )
    const voucher = found?.pictureVoucher ?? ''
    const seen = (token: string, search: number, shown: string) =>
      world.call(
        'GET',
        `/api/v1/sightings/${sighting.sightingId}/crop?search=${search}&camera=${sighting.cameraId}&voucher=${shown}`,
        { token },
      )
    const { auditSeq } = searched.json
    assert.equal((await seen(investigator, auditSeq, voucher)).body, jpeg)
    const [viewed] = await audited(world, 1)
    assert.equal([viewed?.operation, viewed?.completes], ['sighting.crop_viewed', auditSeq])
    // Neither without a search, nor for another one, nor in another session.
    assert.is((await seen(investigator, auditSeq, 'x'.repeat(64))).status, 403)
    assert.is((await seen(investigator, auditSeq + 1, voucher)).status, 403)
    const again = await world.as('investigator')
    assert.is((await seen(again, auditSeq, voucher)).status, 403)
    const [refused] = await audited(world, 1)
    assert.equal([refused?.outcome, refused?.rule], ['refused', 'not_found_by_search'])
  })
})

test('an auditor reads the audit page by page and verifies it; a changed byte is found', async () => {
  await inWorld(async (world) => {
    const token = await world.as('auditor')
    for (let i = 0; i < 5; i++)
      await world.call('POST', '/api/v1/login', { json: { account: 'person-1', password: 'x' } })
    const page = await world.call('GET', '/api/v1/audit?limit=2', { token })
    assert.is(page.json.entries.length, 2)
    assert.is(page.json.entries[0].operation, 'audit.list', 'reading it is in it')
    const next = await world.call('GET', `/api/v1/audit?limit=2&before=${page.json.entries[1].seq}`, { token })
    assert.is(next.json.entries[0].seq, page.json.entries[1].seq - 1)
    assert.is((await world.call('GET', '/api/v1/audit?limit=501', { token })).status, 400)
    const good = await world.call('POST', '/api/v1/audit/verify', { token })
    assert.is(good.json.ok, true, JSON.stringify(good.json))
    const { openDatabase } = await import('../../shared/sqlite.ts')
    const sqlite = openDatabase(join(world.folder, 'data', 'candor.db'))
    sqlite.exec(
      "DROP TRIGGER audit_entries_no_update; UPDATE audit_entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'wrong', 'wrung') AS BLOB) WHERE seq = 2",
    )
    sqlite.close()
    const bad = await world.call('POST', '/api/v1/audit/verify', { token })
    assert.is(bad.json.ok, false)
    assert.is(bad.json.firstBad, 2)
  })
})

test('status tells the page list versions, ages and what I may do', async () => {
  await inWorld(async (world) => {
    const token = await world.as('supervisor')
    const status = await world.call('GET', '/api/v1/status', { token })
    assert.equal(status.json.permissions, permissionsOf(['supervisor']))
    assert.ok(status.json.permissions.includes('alerts.verify') && !status.json.permissions.includes('search.run'))
    assert.equal(status.json.hotlists, [])
    assert.equal(status.json.cameras, {
      ...{ registered: 0, online: 0, claimAlarms: 0 },
      certificatesEnding: { 0: 0, 1: 0, 7: 0, 30: 0 },
    })
  })
})

test('health, metrics, unknown paths and broken requests answer plainly and with safe headers', async () => {
  await inWorld(async (world) => {
    assert.equal((await world.call('GET', '/health/live')).json, { status: 'live' })
    assert.is((await world.call('GET', '/health/ready')).json.status, 'ready')
    const metrics = await world.call('GET', '/metrics')
    assert.is(metrics.status, 200)
    assert.match(metrics.body.toString(), /candor_/)
    const missing = await world.call('GET', '/api/v1/nothing')
    assert.is(missing.status, 404)
    assert.is(missing.json.error.code, 'not_found')
    assert.match(String(missing.headers['content-security-policy']), /frame-ancestors 'none'/)
    assert.is(missing.headers['x-content-type-options'], 'nosniff')
    const broken = await world.call('POST', '/api/v1/login', { text: '{"account":', type: 'application/json' })
    assert.is(broken.status, 400)
    assert.is(broken.json.error.code, 'bad_input')
    const wrong = await world.call('POST', '/api/v1/login', { json: { account: 'ABC1230', password: 'secret-word' } })
    assert.is(wrong.status, 400)
    assert.not.match(wrong.body.toString(), /ABC1230|secret-word/)
    assert.match(wrong.json.error.message, /account/)
    const extra = await world.call('POST', '/api/v1/login', { json: { account: 'a', password: 'b', admin: true } })
    assert.is(extra.status, 400)
    assert.not.match(world.logLines.join(''), /secret-word/)
  })
})

test('an error of the inside is not shown outside', async () => {
  await inWorld(async (world) => {
    const token = await world.as('account-admin')
    const { accounts } = world.cloud.parts
    accounts.list = () => Promise.reject(new Error('SELECT secret FROM inside'))
    const reply = await world.call('GET', '/api/v1/accounts', { token })
    assert.is(reply.status, 500)
    assert.not.match(reply.body.toString(), /secret|SELECT/)
    accounts.list = () => Promise.reject(new AppError('storage_full', 'no space left'))
    assert.is((await world.call('GET', '/api/v1/accounts', { token })).status, 507)
  })
})

test.run()

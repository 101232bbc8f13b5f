import { Agent, request } from 'node:https'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Alert, MAX_STEP_TEXT } from '../../shared/wire/index.ts'
import { MAX_ALERT_PAGE } from '../alerts.ts'
import {
  MAX_PURPOSE_CHARACTERS,
  MAX_REASON_CHARACTERS,
  MAX_SEARCH_CAMERAS,
  MAX_SEARCH_PAGE,
} from '../search/request.ts'
import { eachAlone, inCloud, makeSighting, publishSighting, type TestCloud } from '../testing.ts'
import { MAX_VERIFICATIONS_PER_MINUTE } from './audit.ts'
import { MAX_EXPORTS_PER_MINUTE } from './search.ts'

const A = 'elm-st-1'
const PLATE = 'ABC1230'
const PURPOSE = { caseNumber: '24-00123', offenceType: 'burglary', reason: 'seen at the break-in on Elm Street' }

const TOO_MANY = { error: { code: 'rate_limited', message: 'too many requests', hint: 'wait a minute' } }

interface Caller {
  // biome-ignore lint/suspicious/noExplicitAny: replies of many shapes are looked into field by field
  call(method: string, path: string, json?: unknown): Promise<{ status: number; json: any }>
  close(): void
}

/** Calls over connections that are kept, from an address of the loopback network. */
function caller(world: TestCloud, token: string | null, localAddress = '127.0.0.1'): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 })
  return {
    call: (method, path, json) =>
      new Promise((resolve, reject) => {
        const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
        if (json !== undefined) headers['content-type'] = 'application/json'
        const { httpsPort: port, caPem: ca } = world.cloud
        const place = { host: '127.0.0.1', port, servername: 'localhost', ca, agent, localAddress }
        const sent = request({ ...place, method, path, headers }, (reply) => {
          let text = ''
          reply.on('data', (chunk: Buffer) => {
            text += chunk
          })
          reply.on('end', () => resolve({ status: reply.statusCode ?? 0, json: text === '' ? null : JSON.parse(text) }))
        })
        sent.on('error', reject)
        sent.end(json === undefined ? undefined : JSON.stringify(json))
      }),
    close: () => agent.destroy(),
  }
}

/** Alerts about one listed plate, raised by a camera. */
async function raise(world: TestCloud, count: number): Promise<void> {
  await world.importList('stolen', [PLATE])
  const camera = await world.connectCamera(A, await world.addCamera(A))
  const sightings = Array.from({ length: count }, () => makeSighting(world.clock, { plate: PLATE }))
  const outcomes = await Promise.all(sightings.map((sighting) => publishSighting(camera, sighting)))
  assert.ok(outcomes.every((outcome) => outcome === 'acknowledged'))
}

test('requests of one address are answered up to the limit of a minute, and one more is not', async () => {
  // All of them must fit into the minute on a slow machine too.
  const limit = 100
  const work = async (world: TestCloud) => {
    const one = caller(world, null)
    const ask = async () => (await one.call('GET', '/api/v1/openapi.json')).status
    const statuses = await Promise.all(Array.from({ length: limit }, ask))
    assert.ok(statuses.every((status) => status === 200))
    const refused = await one.call('GET', '/api/v1/openapi.json')
    assert.is(refused.status, 429)
    assert.equal(refused.json, TOO_MANY)
    for (const path of ['/metrics', '/nothing']) assert.is((await one.call('GET', path)).status, 429, path)
    for (const path of ['/health/live', '/health/ready'])
      assert.is((await one.call('GET', path)).status, 200, 'who watches the cloud is not limited')
    const other = caller(world, null, '127.0.0.2')
    assert.is((await other.call('GET', '/api/v1/openapi.json')).status, 200, 'another address is not touched')
    one.close()
    other.close()
  }
  await inCloud(work, {}, { maxRequestsPerMinute: limit })
})

test('requests that are refused count as well: without a session, with a made-up one, without the permission', async () => {
  const limit = 30
  const work = async (world: TestCloud) => {
    const [nobody, guesser] = [caller(world, null), caller(world, 'x'.repeat(43), '127.0.0.2')]
    const officer = caller(world, await world.addPerson('olga', ['officer'], ['patrol']), '127.0.0.3')
    for (const [one, refusal] of [
      [nobody, 401],
      [guesser, 401],
      [officer, 403],
    ] as const) {
      // Either kind of route: one with a limit of its own lets such a request through to the same refusal.
      const ask = async (count: number) =>
        count % 2 === 0
          ? (await one.call('GET', '/api/v1/accounts')).status
          : (await one.call('POST', '/api/v1/search/1/export', { format: 'csv' })).status
      for (let count = 0; count < limit; count++) assert.is(await ask(count), refusal)
      assert.equal([await ask(0), await ask(1)], [429, 429])
      one.close()
    }
  }
  await inCloud(work, {}, { maxRequestsPerMinute: limit })
})

test('an export that is refused for want of the permission takes nobody’s place', async () => {
  await inCloud(async (world) => {
    const ines = caller(world, await world.addPerson('ines', ['investigator'], []))
    const officer = caller(world, await world.addPerson('olga', ['officer'], ['patrol']))
    const take = async (by: Caller, auditSeq: number) =>
      (await by.call('POST', `/api/v1/search/${auditSeq}/export`, { format: 'csv' })).status
    for (let count = 0; count <= MAX_EXPORTS_PER_MINUTE; count++) assert.is(await take(officer, 1), 403)
    const { auditSeq } = (await ines.call('POST', '/api/v1/search', { plate: PLATE, ...PURPOSE })).json
    assert.is(await take(ines, auditSeq), 200)
    for (const one of [ines, officer]) one.close()
  })
})

test('exports of one address, whoever takes them, are made up to the limit of a minute, and one more is not', async () => {
  await inCloud(async (world) => {
    const ines = caller(world, await world.addPerson('ines', ['investigator'], []))
    const ivan = caller(world, await world.addPerson('ivan', ['investigator'], []))
    const elsewhere = caller(world, await world.logIn('ines'), '127.0.0.2')
    const search = async (by: Caller) =>
      (await by.call('POST', '/api/v1/search', { plate: PLATE, ...PURPOSE })).json.auditSeq as number
    const take = (by: Caller, auditSeq: number, format = 'csv') =>
      by.call('POST', `/api/v1/search/${auditSeq}/export`, { format })
    const [first, second, third] = [await search(ines), await search(ivan), await search(elsewhere)]
    for (let count = 0; count < MAX_EXPORTS_PER_MINUTE; count++) {
      const { status } = count % 2 === 0 ? await take(ines, first) : await take(ivan, second)
      assert.is(status, 200, String(count))
    }
    const refused = await take(ines, first, 'json')
    assert.is(refused.status, 429)
    assert.equal(refused.json, TOO_MANY)
    assert.is((await take(ivan, await search(ivan))).status, 429, 'another search of another person, from there')
    assert.is((await world.audited('search.exported')).length, MAX_EXPORTS_PER_MINUTE, 'none was made beyond it')
    assert.is((await take(elsewhere, third)).status, 200, 'another address')
    assert.is((await ines.call('POST', `/api/v1/search/${first}/page`, {})).status, 200, 'what is no export')
    for (const one of [ines, ivan, elsewhere]) one.close()
  })
})

test('the audit is verified up to the limit of a minute, one at a time, and once more is not', async () => {
  await inCloud(async (world) => {
    const auditor = caller(world, await world.addPerson('odile', ['auditor'], []))
    const verify = () => auditor.call('POST', '/api/v1/audit/verify')
    const together = (await Promise.all([verify(), verify()])).map(({ status }) => status)
    assert.equal(together.sort(), [200, 409])
    for (let count = 2; count < MAX_VERIFICATIONS_PER_MINUTE; count++) assert.is((await verify()).status, 200)
    const refused = await verify()
    assert.equal([refused.status, refused.json], [429, TOO_MANY])
    auditor.close()
  })
})

test('a search takes cameras, purpose and page up to their limits and refuses one more', async () => {
  await inCloud(async (world) => {
    const investigator = caller(world, await world.addPerson('ines', ['investigator'], []))
    const search = async (change: object) => {
      const json = { plate: PLATE, ...PURPOSE, ...change }
      return (await investigator.call('POST', '/api/v1/search', json)).status
    }
    const cameras = (count: number) => ({ cameras: Array.from({ length: count }, (_, i) => `camera-${i}`) })
    const text = (length: number) =>
      'seen on Elm Street '
        .repeat(length)
        .slice(0, length - 1)
        .concat('x')
    assert.is(await search(cameras(MAX_SEARCH_CAMERAS)), 200)
    assert.is(await search(cameras(MAX_SEARCH_CAMERAS + 1)), 400)
    assert.is(await search({ reason: text(MAX_REASON_CHARACTERS) }), 200)
    assert.is(await search({ reason: text(MAX_REASON_CHARACTERS + 1) }), 400)
    for (const field of ['caseNumber', 'offenceType']) {
      assert.is(await search({ [field]: text(MAX_PURPOSE_CHARACTERS) }), 200, field)
      assert.is(await search({ [field]: text(MAX_PURPOSE_CHARACTERS + 1) }), 400, field)
    }
    assert.is(await search({ limit: MAX_SEARCH_PAGE }), 200)
    assert.is(await search({ limit: MAX_SEARCH_PAGE + 1 }), 400)
    const reasons = (await world.audited('search.run')).map((entry) => entry.reason)
    assert.ok(reasons.includes(text(MAX_REASON_CHARACTERS)), 'the longest reason stands whole in the audit')
    investigator.close()
  })
})

test('a page of alerts holds as many as the limit, and more cannot be asked for', async () => {
  await inCloud(async (world) => {
    await eachAlone(world)
    await raise(world, MAX_ALERT_PAGE + 1)
    const officer = caller(world, await world.addPerson('olga', ['officer'], ['patrol']))
    const page = (limit: number) => officer.call('GET', `/api/v1/alerts?limit=${limit}`)
    assert.is((await page(MAX_ALERT_PAGE)).json.alerts.length, MAX_ALERT_PAGE)
    assert.is((await page(MAX_ALERT_PAGE + 1)).status, 400)
    const query = { groups: ['patrol'], state: null, beforeMs: null, limit: MAX_ALERT_PAGE + 1 }
    assert.is((await world.cloud.parts.alerts.list(query)).length, MAX_ALERT_PAGE, 'nor from within')
    officer.close()
  })
})

test('what an officer types into a step is taken up to the limit and one character more is refused', async () => {
  await inCloud(async (world) => {
    await raise(world, 1)
    const officer = caller(world, await world.addPerson('olga', ['officer'], ['patrol']))
    const { alerts } = (await officer.call('GET', '/api/v1/alerts')).json as { alerts: Alert[] }
    const step = async (json: Record<string, unknown>) =>
      (await officer.call('POST', `/api/v1/alerts/${alerts[0]?.alertId}/steps`, json)).status
    const longest = 'x'.repeat(MAX_STEP_TEXT)
    assert.is(await step({ step: 'image_compared', revision: 0, plateSeen: PLATE, jurisdictionSeen: null }), 200)
    const confirmed = { step: 'source_confirmed', revision: 1, confirmedWith: longest, result: longest }
    assert.is(await step({ ...confirmed, confirmedWith: `${longest}x` }), 400)
    assert.is(await step({ ...confirmed, result: `${longest}x` }), 400)
    assert.is(await step(confirmed), 200)
    const closed = { step: 'closed', revision: 2, outcome: 'stale', note: longest }
    assert.is(await step({ ...closed, note: `${longest}x` }), 400)
    assert.is(await step(closed), 200)
    officer.close()
  })
})

test.run()

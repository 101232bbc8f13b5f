import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createHttps } from '../scripts/trial/https.ts'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { sha256Hex } from '../shared/signing.ts'
import { logKey, openCheckpoint, originOf } from './audit/note.ts'
import { MAX_ENTRIES_READ } from './audit/reading.ts'
import { leafHash, rootOf } from './audit/tree.ts'
import { AGENCY, codeOf, inCloud, makeSighting, publishSighting, type TestCloud, until } from './testing.ts'
import { dateOf, type Report, reportSchema } from './transparency/document.ts'
import { verifyReport } from './transparency/verify.ts'
import { createTransparency } from './transparency.ts'
import { utcDay } from './usage/figures.ts'

const A = 'elm-st-1'
const PLATE = 'ABC1230'

const today = (world: TestCloud) => utcDay(world.clock.nowMs())
const httpsOf = (world: TestCloud) => createHttps(`https://localhost:${world.cloud.httpsPort}`, world.cloud.caPem)

/** As anybody gets it: no log-in, the bytes and the headers. */
async function get(world: TestCloud, path: string) {
  const { request } = await import('node:https')
  return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((resolve, reject) => {
    const sent = request(new URL(path, httpsOf(world).origin), { ca: world.cloud.caPem }, (reply) => {
      const chunks: Buffer[] = []
      reply.on('data', (chunk: Buffer) => chunks.push(chunk))
      reply.once('end', () =>
        resolve({
          status: reply.statusCode ?? 0,
          headers: reply.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      )
    })
    sent.once('error', reject)
    sent.end()
  })
}

/** What a report of today says. */
async function draft(world: TestCloud): Promise<Report> {
  const day = today(world)
  return reportSchema.parse(JSON.parse((await world.cloud.parts.transparency.draft({ from: day, to: day })).json))
}

const figure = (report: Report, id: string) =>
  report.sections.flatMap(({ figures }) => figures).find((one) => one.id === id)?.value

function search(world: TestCloud, plate = PLATE, change: { caseNumber?: string; organisation?: string } = {}) {
  const { organisation, caseNumber = '26-00123' } = change
  const actor = {
    ...{ account: 'ines', roles: ['investigator' as const], session: 's', source: '10.0.0.1' },
    ...(organisation === undefined ? {} : { organisation }),
  }
  const request = {
    ...{ plate, fromMs: null, toMs: null, cameras: [], limit: 50, offset: 0, caseNumber },
    ...{ offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
  }
  return world.cloud.parts.search.run(request, actor)
}

test('a vehicle counts once, whatever is sent of it and again, and as a hit once; the counts outlive it', async () => {
  await inCloud(
    async (world) => {
      await world.importList('stolen', [PLATE])
      const camera = await world.connectCamera(A, await world.addCamera(A))
      const sightingId = newId()
      const preview = makeSighting(world.clock, { sightingId, revision: 0, plate: PLATE })
      const final = makeSighting(world.clock, { sightingId, plate: PLATE })
      // At once, in one transaction, and once more afterwards.
      await Promise.all([preview, final, final].map((sighting) => publishSighting(camera, sighting)))
      await publishSighting(camera, preview)
      for (let i = 0; i < 5; i += 1) await publishSighting(camera, makeSighting(world.clock, { plate: PLATE }))
      await publishSighting(camera, makeSighting(world.clock, { plate: 'WWW9999' }))
      // The final alone meets the list.
      const late = newId()
      await publishSighting(camera, makeSighting(world.clock, { sightingId: late, revision: 0, plate: 'WWW9998' }))
      await publishSighting(camera, makeSighting(world.clock, { sightingId: late, plate: PLATE }))
      const counted = async () => {
        const report = await draft(world)
        return { vehicles: figure(report, 'vehicles'), hits: figure(report, 'hits') }
      }
      assert.equal(await counted(), { vehicles: { count: 8 }, hits: { count: 7 } })
      world.clock.advance(4 * MINUTE_MS)
      await until('all are purged', async () => (await world.cloud.parts.sightings.counts()).sightings === 0)
      assert.equal(await counted(), { vehicles: { count: 8 }, hits: { count: 7 } })
      await world.restart()
      assert.equal(await counted(), { vehicles: { count: 8 }, hits: { count: 7 } })
    },
    { retentionDays: 3 / (24 * 60) },
  )
})

test('a published report is there for anybody, signed, byte for byte, with the place of the audit', async () => {
  await inCloud(async (world) => {
    for (let i = 0; i < 6; i += 1) await search(world)
    const day = today(world)
    const { transparency } = world.cloud.parts
    assert.is(await codeOf(() => transparency.publish({ from: day, to: day }, 'pat')), 'bad_input', 'it is not over')
    world.clock.advance(DAY_MS)
    const published = await transparency.publish({ from: day, to: day }, 'pat')
    const base = `/transparency/reports/${published.reportId}/`
    const pages = new Map<string, string>()
    for (const name of ['index.html', 'report.json', 'report.csv', 'manifest.json']) {
      const { status, text, headers } = await get(world, name === 'index.html' ? base : `${base}${name}`)
      assert.is(status, 200, name)
      assert.is(headers['x-content-type-options'], 'nosniff')
      pages.set(name, text)
    }
    const read = (name: string) => pages.get(name) ?? ''
    const key = world.cloud.parts.audit.publicKeyPem
    const verdict = verifyReport(read, key)
    assert.ok(verdict.ok, JSON.stringify(verdict))
    const { audit } = reportSchema.parse(JSON.parse(read('report.json')))
    assert.equal(verdict.ok && verdict.manifest.audit, audit)
    const checkpoint = openCheckpoint(audit.checkpoint, logKey(originOf(AGENCY), key))
    assert.equal([checkpoint.size, audit.entries], [12, 12])
    const stored = await world.cloud.parts.database.read(
      world.cloud.parts.database.build.selectFrom('audit_entries').select('bytes').orderBy('seq').limit(12),
    )
    assert.ok(
      checkpoint.root.equals(rootOf(stored.map(({ bytes }) => leafHash(bytes)))),
      'of the entries that were there',
    )
    assert.ok(read('index.html').includes(audit.checkpoint), 'to be kept as a file')
    for (const name of ['index.html', 'report.json', 'report.csv']) {
      const changed = verifyReport((one) => read(one).replace(one === name ? '6' : /$^/, '7'), key)
      assert.not(changed.ok, name)
    }
    assert.not(verifyReport(read, world.cloud.parts.keys.lists.publicKeyPem).ok, 'another key')
    const [entry] = await world.audited('transparency.published')
    assert.is(entry?.detail.manifestSha256, sha256Hex(read('manifest.json')))
    assert.equal(figure(reportSchema.parse(JSON.parse(read('report.json'))), 'searches'), { count: 6 })
    assert.match((await get(world, '/transparency/')).text, new RegExp(`<a href="reports/1/">${dateOf(day)} to`))
    assert.is((await get(world, '/transparency')).status, 308)
    for (const wrong of ['/transparency/reports/2/', '/transparency/reports/1e0/', '/transparency/reports/01/']) {
      assert.is((await get(world, wrong)).status, 404, wrong)
    }
    // The page may use its own style and nothing else.
    const csp = String((await get(world, base)).headers['content-security-policy'])
    assert.match(csp, /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; /)
  })
})

test('a report is never changed: a second one of the same days corrects it, and none may overlap another', async () => {
  await inCloud(async (world) => {
    const { transparency } = world.cloud.parts
    const day = today(world)
    world.clock.advance(10 * DAY_MS)
    const first = await transparency.publish({ from: day, to: day + 4 }, 'pat')
    const bytes = await transparency.file(first.reportId, 'json')
    for (const days of [
      { from: day + 4, to: day + 5 },
      { from: day - 1, to: day },
      { from: day + 1, to: day + 2 },
      { from: day, to: day + 5 },
    ]) {
      assert.is(await codeOf(() => transparency.publish(days, 'pat')), 'conflict', JSON.stringify(days))
    }
    const [again, next] = await Promise.all([
      transparency.publish({ from: day, to: day + 4 }, 'pat'),
      transparency.publish({ from: day + 5, to: day + 9 }, 'pat'),
    ])
    assert.equal([again.reportId, next.reportId], [2, 3])
    const correction = reportSchema.parse(JSON.parse((await transparency.file(2, 'json')) ?? ''))
    assert.equal(correction.corrects, [1])
    assert.is(await transparency.file(1, 'json'), bytes)
    for (const sql of ['DELETE FROM transparency_reports', "UPDATE transparency_reports SET html = ''"]) {
      assert.throws(() => world.sql(sql), /never/)
    }
  })
})

test('the audit has the digest before a report is public, and says so when it could not be stored', async () => {
  await inCloud(async (world) => {
    const { transparency } = world.cloud.parts
    const day = today(world) - 1
    const publish = () => transparency.publish({ from: day, to: day }, 'pat')
    world.sql(`CREATE TRIGGER disk_full BEFORE INSERT ON transparency_reports BEGIN SELECT RAISE(ABORT, 'full'); END`)
    assert.is.not(await codeOf(publish), 'none')
    assert.equal(await transparency.list(), [])
    const [taken, said] = await world.audited('transparency.published')
    assert.equal([said?.outcome, taken?.outcome, taken?.completes], ['allowed', 'refused', said?.seq])
    assert.is(taken?.detail.manifestSha256, said?.detail.manifestSha256)
    world.sql('DROP TRIGGER disk_full')
    const { reportId, manifestSha256 } = await publish()
    assert.is(reportId, 1)
    assert.is((await world.audited('transparency.published'))[0]?.detail.manifestSha256, manifestSha256)
  })
})

test('a report is published by itself when its time has come, once, by the policy', async () => {
  await inCloud(async (world) => {
    const { parts } = world.cloud
    const current = () => ({
      ...parts.policy.current(),
      publication: { everyDays: 3, smallCount: 5, contact: 'records@example.org' },
    })
    const transparency = createTransparency({
      ...parts,
      policy: { ...parts.policy, current },
      signer: parts.keys.audit,
      organisations: async () => ['shelbyville'],
    })
    const day = today(world)
    const periods = async () => (await transparency.list()).map(({ from, to, madeBy }) => `${from} ${to} ${madeBy}`)
    await transparency.upkeep()
    assert.equal(await periods(), [], 'nothing of the days before the first policy')
    world.clock.advance(3 * DAY_MS - 1_000 - (world.clock.nowMs() % DAY_MS))
    await transparency.upkeep()
    assert.equal(await periods(), [], 'a second before')
    world.clock.advance(1_000)
    await transparency.upkeep()
    await transparency.upkeep()
    assert.equal(await periods(), [`${dateOf(day)} ${dateOf(day + 2)} null`])
    world.clock.advance(3 * DAY_MS)
    await transparency.upkeep()
    assert.equal((await periods())[0], `${dateOf(day + 3)} ${dateOf(day + 5)} null`)
    assert.is((await world.audited('transparency.published')).length, 2)
    const html = (await transparency.file(2, 'html')) ?? ''
    assert.match(html, /Ask: records@example\.org/)
    assert.match(html, /<li>shelbyville<\/li>/)
  })
})

test('where figures were published by hand until now, the first ones by itself are the last days that are over', async () => {
  await inCloud(async (world) => {
    const { parts } = world.cloud
    const publication = { everyDays: 3, smallCount: 5, contact: '' }
    const current = () => ({ ...parts.policy.current(), publication })
    const transparency = createTransparency({
      ...{ ...parts, policy: { ...parts.policy, current }, signer: parts.keys.audit, organisations: async () => [] },
    })
    world.clock.advance(30 * DAY_MS)
    const day = today(world)
    await transparency.upkeep()
    const periods = (await transparency.list()).map(({ from, to }) => `${from} ${to}`)
    assert.equal(periods, [`${dateOf(day - 3)} ${dateOf(day - 1)}`])
  })
})

test('a draft needs its right and publishes nothing; publishing needs another; both are audited', async () => {
  await inCloud(async (world) => {
    const tokens = {
      aud: await world.addPerson('aud', ['auditor'], []),
      pat: await world.addPerson('pat', ['policy-admin'], []),
      olga: await world.addPerson('olga', ['officer'], []),
    }
    const day = dateOf(today(world) - 1)
    const https = httpsOf(world)
    const path = `/api/v1/transparency/draft?from=${day}&to=${day}`
    const publish = (token: string) =>
      https.call('POST', '/api/v1/transparency/reports', { token, json: { from: day, to: day } })
    assert.is(await codeOf(() => https.call('GET', path, { token: tokens.olga })), 'forbidden')
    const { html } = (await https.call('GET', path, { token: tokens.aud })) as { html: string }
    assert.match(html, /Draft: nobody has published this/)
    assert.is(await codeOf(() => publish(tokens.aud)), 'forbidden')
    assert.equal(await world.cloud.parts.transparency.list(), [])
    await publish(tokens.pat)
    assert.is((await world.audited('transparency.draft')).length, 1)
    assert.is((await world.audited('transparency.publish'))[0]?.actor.account, 'pat')
    assert.equal((await world.audited('permission.refused')).map(({ rule }) => rule).sort(), [
      'transparency.publish',
      'transparency.read',
    ])
  })
})

test('an auditor can say which searches were for exactly one plate, and nobody else can; the question is audited', async () => {
  await inCloud(async (world) => {
    const auditor = await world.addPerson('aud', ['auditor'], [])
    const investigator = await world.addPerson('ines', ['investigator'], [])
    const https = httpsOf(world)
    const ask = async (plate: string, token = auditor) =>
      (await https.call('POST', '/api/v1/audit/searched', {
        token,
        json: { plate, reason: 'asked by the owner' },
      })) as {
        total: number
        auditSeq: number
        entries: { seq: number; caseNumber: string; outcome: string }[]
      }
    const { auditSeq } = await search(world)
    await search(world, 'XYZ9876')
    await search(world, 'ABC12*')
    assert.is(await codeOf(() => search(world, PLATE, { caseNumber: '' })), 'bad_input')
    await search(world, 'abc-1230', { organisation: 'shelbyville', caseNumber: '26-9' })
    const answer = await ask('ABC 1230')
    assert.is(answer.total, 3)
    assert.equal(
      answer.entries.map(({ outcome, caseNumber }) => `${outcome} ${caseNumber}`),
      ['allowed 26-00123', 'refused null', 'allowed 26-9'],
    )
    assert.is(answer.entries[0]?.seq, auditSeq)
    assert.is((await ask('NNN0000')).total, 0)
    assert.is((await ask(PLATE)).total, 3, 'the questions themselves are no searches')
    const entry = (await world.audited('audit.searched')).find(({ seq }) => seq === answer.auditSeq)
    assert.is(entry?.query?.plateDigest, world.cloud.parts.audit.plateDigest(PLATE))
    assert.is(entry?.reason, 'asked by the owner')
    assert.not(JSON.stringify(entry).includes(PLATE))
    assert.is(await codeOf(() => ask(PLATE, investigator)), 'forbidden')
    assert.is(await codeOf(() => ask('*')), 'bad_input')
    for (let i = 0; i < MAX_ENTRIES_READ - 2; i += 1) await search(world)
    const many = await ask(PLATE)
    assert.is(many.total, MAX_ENTRIES_READ + 1)
    assert.is(many.entries.length, MAX_ENTRIES_READ)
  })
})

test('searches are counted by organisation and by the rule that refused them, and few are never told apart', async () => {
  await inCloud(async (world) => {
    for (let i = 0; i < 12; i += 1) await search(world)
    for (let i = 0; i < 2; i += 1) await search(world, PLATE, { organisation: 'shelbyville' })
    for (let i = 0; i < 4; i += 1) await codeOf(() => search(world, PLATE, { caseNumber: '' }))
    const table = (report: Report, id: string) =>
      report.sections.flatMap(({ tables }) => tables).find((one) => one.id === id)
    const report = await draft(world)
    assert.equal(figure(report, 'searches'), { count: 14 })
    assert.equal(figure(report, 'searches-refused'), { fewerThan: 5 })
    assert.equal(table(report, 'searches-by-organisation')?.rows, [
      { label: 'shelbyville', values: [{ fewerThan: 5 }] },
      { label: 'the agency itself', values: [{ withheld: true }] },
    ])
    assert.equal(table(report, 'searches-refused-by-rule')?.rows, [])
    assert.match(table(report, 'searches-refused-by-rule')?.withheld ?? '', /too small/)
    await codeOf(() => search(world, PLATE, { caseNumber: '' }))
    const more = await draft(world)
    assert.equal(figure(more, 'searches-refused'), { count: 5 })
    assert.equal(table(more, 'searches-refused-by-rule')?.rows, [
      { label: 'case number missing', values: [{ count: 5 }] },
    ])
  })
})

test('no plate stands in what is published or in the tables that it is made from', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', [PLATE])
    const camera = await world.connectCamera(A, await world.addCamera(A))
    await publishSighting(camera, makeSighting(world.clock, { plate: PLATE }))
    await search(world)
    const { transparency, database } = world.cloud.parts
    const files = await transparency.draft({ from: today(world), to: today(world) })
    for (const text of Object.values(files)) assert.not(text.includes(PLATE))
    for (const name of ['usage_days', 'usage_searches', 'usage_plates', 'usage_last_acts'] as const) {
      const rows = await database.read(database.build.selectFrom(name).selectAll())
      assert.ok(rows.length > 0, name)
      assert.not(JSON.stringify(rows).includes(PLATE), name)
    }
  })
})

test.run()

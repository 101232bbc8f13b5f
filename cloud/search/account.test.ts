import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { codeOf, inCloud, makeSighting, publishSighting, type TestCloud } from '../testing.ts'
import { readMarks } from './export.ts'
import { MAX_KEPT_OF_SESSION } from './kept.ts'
import { SEARCH_KEPT_MS, type SearchRequest } from './request.ts'

const A = 'elm-st-1'
const ACTOR = { account: 'ines', roles: ['investigator' as const], session: 's1', source: '127.0.0.1' }
const OTHER = { ...ACTOR, account: 'otto', session: 's2' }
const REQUEST: SearchRequest = {
  ...{ plate: 'ABC1230', fromMs: null, toMs: null, cameras: [], limit: 2, offset: 0 },
  ...{ caseNumber: '=24-00123', offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
}

const withReads = (count: number, work: (world: TestCloud, camera: MqttClient) => Promise<void>) =>
  inCloud(async (world) => {
    const camera = await world.connectCamera(A, await world.addCamera(A))
    for (let i = 0; i < count; i++) {
      await publishSighting(camera, makeSighting(world.clock, { capturedAtMs: world.clock.nowMs() - HOUR_MS + i }))
    }
    await work(world, camera)
  })

test('a page of a search, and a sighting that is opened, are entries of their own, for the session that searched', async () => {
  await withReads(5, async (world) => {
    const { search } = world.cloud.parts
    const first = await search.run(REQUEST, ACTOR)
    const second = await search.page(first.auditSeq, { offset: 2, limit: 2 }, ACTOR)
    assert.equal([first.results.length, second.results.length, second.total], [2, 2, 5])
    const ids = [...first.results, ...second.results].map(({ sighting }) => sighting.sightingId)
    assert.is(new Set(ids).size, 4)
    const [page] = await world.audited('search.page_viewed')
    assert.equal([page?.completes, page?.results, page?.detail.offset, page?.detail.shown], [first.auditSeq, 5, 2, 2])
    assert.is(page?.caseNumber, REQUEST.caseNumber)

    const [result] = second.results
    const { sightingId } = result?.sighting ?? { sightingId: '' }
    const shown = { auditSeq: first.auditSeq, cameraId: A, sightingId, voucher: result?.voucher ?? '' }
    assert.is((await search.view(shown, ACTOR)).sighting.sightingId, sightingId)
    const [view] = await world.audited('sighting.viewed')
    assert.equal([view?.completes, view?.subject?.id, view?.outcome], [first.auditSeq, sightingId, 'allowed'])

    assert.is(await codeOf(() => search.view(shown, OTHER)), 'forbidden')
    assert.is((await world.audited('sighting.viewed'))[0]?.rule, 'not_found_by_search')
    assert.is(await codeOf(() => search.page(first.auditSeq, { offset: 0, limit: 2 }, OTHER)), 'not_found')
    assert.equal(
      (await world.audited('search.page_viewed')).map(({ rule }) => rule),
      ['not_own_search', null],
    )
  })
})

test('a search is kept for its time and not a millisecond longer, and of one session so many and not one more', async () => {
  await withReads(1, async (world) => {
    const { search } = world.cloud.parts
    const pageOf = (auditSeq: number) => codeOf(() => search.page(auditSeq, { offset: 0, limit: 2 }, ACTOR))
    const seqs: number[] = []
    for (let i = 0; i <= MAX_KEPT_OF_SESSION; i++) seqs.push((await search.run(REQUEST, ACTOR)).auditSeq)
    assert.equal([await pageOf(seqs[0] ?? 0), await pageOf(seqs[1] ?? 0)], ['not_found', 'none'])
    const last = (await search.run(REQUEST, ACTOR)).auditSeq
    world.clock.advance(SEARCH_KEPT_MS - MINUTE_MS)
    assert.is(await pageOf(last), 'none')
    world.clock.advance(MINUTE_MS)
    assert.is(await pageOf(last), 'not_found')
  })
})

test('an export names its entry in every row, runs as no formula, and is traced to that entry, whole, in part or changed', async () => {
  await withReads(3, async (world) => {
    const { search } = world.cloud.parts
    const { auditSeq } = await search.run(REQUEST, ACTOR)
    for (const format of ['csv', 'json'] as const) {
      const { text, rows, auditSeq: exportSeq } = await search.export(auditSeq, format, ACTOR)
      const [entry] = await world.audited('search.exported')
      assert.equal(
        [rows, entry?.seq, entry?.completes, entry?.results, entry?.detail.format],
        [3, exportSeq, auditSeq, 3, format],
      )
      assert.match(text, /CRIMINAL JUSTICE INFORMATION/)
      assert.ok(text.includes('ines') && text.includes(entry?.at ?? '?') && text.includes('24-00123'))
      assert.not.match(text, /^[=+@-]|,[=+@-]/m)

      const { marks, end } = readMarks(text)
      const endOf = (body: string) => ({ bodySha256: sha256Hex(Buffer.from(body)), digest: end?.digest ?? '' })
      assert.equal(
        marks.map((mark) => mark.auditSeq),
        [exportSeq],
      )
      const whole = await search.trace(marks, endOf(end?.body ?? ''))
      assert.equal([whole.traced[0]?.entry?.seq, whole.isUnchanged], [exportSeq, true])
      const changed = await search.trace(marks, endOf((end?.body ?? '').replace('ABC1230', 'ABC1231')))
      assert.equal([changed.traced[0]?.entry?.seq, changed.isUnchanged], [exportSeq, false])

      const row = text.split(/\r?\n/).find((line) => line.includes('ABC1230')) ?? ''
      const part = readMarks(row)
      assert.equal([part.marks.length, part.end], [1, null])
      assert.is((await search.trace(part.marks, null)).traced[0]?.entry?.actor.account, 'ines')
      const forged = await search.trace([{ ...(marks[0] ?? { agency: '', digest: '' }), auditSeq: auditSeq }], null)
      assert.is(forged.traced[0]?.entry, null)
    }
  })
})

test('a role whose scope has no exports takes nothing out, and its own older searches end where its scope ends', async () => {
  await withReads(1, async (world) => {
    const { search, policy } = world.cloud.parts
    const current = policy.current()
    const scope = { role: 'investigator' as const, maxAgeDays: 7, purposes: [], patterns: true, exports: false }
    policy.current = () => ({ ...current, search: { scopes: [scope] } })
    const answer = await search.run(REQUEST, ACTOR)
    assert.is(answer.fromMs !== null && answer.fromMs >= world.clock.nowMs() - 7 * 24 * HOUR_MS - MINUTE_MS, true)
    assert.is(await codeOf(() => search.export(answer.auditSeq, 'csv', ACTOR)), 'forbidden')
    assert.is((await world.audited('search.exported'))[0]?.rule, 'scope_exports')
  })
})

test('vehicles that passed two of three places stand together, and the audit says how many places were asked for', async () => {
  await inCloud(async (world) => {
    const cameras = [A, 'oak-st-2', 'pine-st-3']
    const atMs = world.clock.nowMs() - HOUR_MS
    for (const [i, name] of cameras.entries()) {
      const camera = await world.connectCamera(name, await world.addCamera(name))
      for (const plate of ['AAA1111', ...(i < 2 ? ['BBB2222'] : ['CCC3333'])]) {
        await publishSighting(camera, makeSighting(world.clock, { cameraId: name, plate, capturedAtMs: atMs + i }))
      }
    }
    const places = cameras.map((camera) => ({ camera, fromMs: atMs - MINUTE_MS, toMs: atMs + MINUTE_MS }))
    const answer = await world.cloud.parts.search.run(
      { ...REQUEST, plate: null, places, placesMet: 2, limit: 50 },
      ACTOR,
    )
    assert.equal(
      answer.results.map(({ sighting, placesMet }) => `${sighting.plate} ${placesMet}`),
      ['AAA1111 0,1,2', 'AAA1111 0,1,2', 'AAA1111 0,1,2', 'BBB2222 0,1', 'BBB2222 0,1'],
    )
    assert.equal([answer.vehicles, answer.total], [2, 5])
    const [entry] = await world.audited('search.run')
    assert.equal([entry?.query?.places, entry?.query?.placesMet, entry?.query?.cameras], [3, 2, cameras])
  })
})

test.run()

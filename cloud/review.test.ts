import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import type { AuditRecord } from './audit/entry.ts'
import { type Finding, MAX_FINDING_PAGE } from './review.ts'
import { codeOf, inCloud, type TestCloud } from './testing.ts'

const PERIOD_MS = 7 * DAY_MS

const searched = (change: Partial<AuditRecord> & { account?: string } = {}): AuditRecord => {
  const { account = 'ines', ...rest } = change
  return {
    ...{ operation: 'search.run', outcome: 'allowed', caseNumber: '26-1', offenceType: 'burglary' },
    actor: { account, roles: ['investigator'], session: 's1', source: '10.0.0.1' },
    reason: 'white van left the yard on Elm Street',
    query: { plateDigest: 'ab'.repeat(32), plateKind: 'exact', fromMs: null, toMs: null, cameras: [], limit: 50 },
    ...rest,
  }
}

async function searchTimes(
  world: TestCloud,
  count: number,
  change: Parameters<typeof searched>[0] = {},
): Promise<number[]> {
  const entries = await Promise.all(
    Array.from({ length: count }, () => world.cloud.parts.audit.append(searched(change))),
  )
  return entries.map(({ seq }) => seq)
}

const all = (world: TestCloud, decision: Finding['decision'] | null = null) =>
  world.cloud.parts.review.list({ decision, limit: MAX_FINDING_PAGE, offset: 0 })

async function call(world: TestCloud, token: string, method: string, path: string, json?: unknown) {
  const { createHttps } = await import('../scripts/trial/https.ts')
  const https = createHttps(`https://localhost:${world.cloud.httpsPort}`, world.cloud.caPem)
  return https.call(method, path, { token, json }).then(
    (body) => ({ ok: true as const, body }),
    (error: { code?: string }) => ({ ok: false as const, code: error.code ?? String(error) }),
  )
}

test('a period is looked at once when it is over, and a finding says why and names its entries', async () => {
  await inCloud(async (world) => {
    const { review } = world.cloud.parts
    const numbers = await searchTimes(world, 5)
    await searchTimes(world, 4, { account: 'omar' })
    await review.upkeep()
    assert.equal(await all(world), [], 'it is not over')
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    await review.upkeep()
    const findings = await all(world)
    assert.equal(
      findings.map(({ who, flag, entries, entryCount }) => ({ who, flag, entries, entryCount })),
      [{ who: 'ines', flag: 'repeated_target', entries: numbers, entryCount: 5 }],
    )
    assert.is((findings[0]?.toMs ?? 0) - (findings[0]?.fromMs ?? 0), PERIOD_MS)
    assert.match(findings[0]?.why ?? '', /searched 5 times/)
    // A restart counts nothing twice.
    await world.restart()
    await world.cloud.parts.review.upkeep()
    assert.is((await all(world)).length, 1)
  })
})

test('the people of a partner are looked at each by themselves', async () => {
  await inCloud(async (world) => {
    const { review } = world.cloud.parts
    const partner = { account: null, roles: ['partner' as const], session: null, source: '10.0.0.9' }
    const by = (onBehalfOf: string) => ({ actor: { ...partner, organisation: 'shelby', onBehalfOf } })
    const numbers = await searchTimes(world, 5, by('omar'))
    await searchTimes(world, 4, by('ines'))
    await searchTimes(world, 4)
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    assert.equal(
      (await all(world)).map(({ who, entries }) => ({ who, entries })),
      [{ who: 'shelby/omar', entries: numbers }],
    )
  })
})

test('turning a page of a search is no further search', async () => {
  await inCloud(async (world) => {
    const { audit, review } = world.cloud.parts
    // One more would be flagged.
    for (const seq of await searchTimes(world, 4)) {
      const actor = searched().actor
      const page = { operation: 'search.page_viewed', outcome: 'allowed', actor, completes: seq, results: 1 } as const
      await audit.append({ ...page, detail: { shown: 1, offset: 50 } })
    }
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    assert.equal(await all(world), [])
  })
})

test('what was usual is known from the periods before', async () => {
  await inCloud(async (world) => {
    const { review } = world.cloud.parts
    const different = async (count: number) => {
      for (let i = 0; i < count; i += 1) {
        const query = {
          ...searched().query,
          plateDigest: String(i).padStart(64, '0'),
          cameras: [],
        } as AuditRecord['query']
        await searchTimes(world, 1, { query, caseNumber: '26-77' })
      }
    }
    for (const count of [4, 4, 4, 12]) {
      await different(count)
      world.clock.advance(PERIOD_MS)
      await review.upkeep()
      // The first period began at midnight.
      await review.upkeep()
    }
    assert.equal(
      (await all(world)).map(({ flag }) => flag),
      ['sudden_volume'],
    )
  })
})

test('two people on one account are noticed by their addresses', async () => {
  await inCloud(async (world) => {
    const { audit, review } = world.cloud.parts
    const act = (session: string, source: string) =>
      audit.append({
        ...{ operation: 'alert.viewed', outcome: 'allowed' },
        actor: { account: 'lee', roles: ['officer'], session, source },
      })
    for (let i = 0; i < 2; i += 1) {
      await act('s1', '10.0.0.1')
      await act('s2', '10.0.0.2')
      world.clock.advance(MINUTE_MS)
    }
    await act('s2', '10.0.0.1')
    // A search begins the first period.
    await searchTimes(world, 1)
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    const [finding] = await all(world)
    assert.is(finding?.flag, 'shared_login')
    assert.is(finding?.who, 'lee')
    assert.is(finding?.entryCount, 4)
  })
})

test('a reviewer decides once, with a note where one is needed, never about themselves, and each decision is audited', async () => {
  await inCloud(async (world) => {
    const { review, metrics } = world.cloud.parts
    await world.addPerson('sue', ['supervisor', 'investigator'], [])
    await world.addPerson('max', ['supervisor'], [])
    await world.addPerson('aud', ['auditor'], [])
    await searchTimes(world, 5, { account: 'sue' })
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    const [finding] = await all(world)
    const path = `/api/v1/review/findings/${finding?.findingId}/decision`
    // Sessions from before have ended with the week.
    const [sue = '', max = '', aud = ''] = await Promise.all(
      ['sue', 'max', 'aud'].map((account) => world.logIn(account)),
    )
    const decide = (token: string, decision: string, note = '') => call(world, token, 'POST', path, { decision, note })

    assert.equal(await decide(sue, 'no_concern'), { ok: false, code: 'forbidden' })
    assert.equal(await decide(aud, 'no_concern'), { ok: false, code: 'forbidden' })
    assert.equal(await decide(max, 'concern', '12345678 9'), { ok: false, code: 'bad_input' })
    assert.is((await all(world, 'open')).length, 1)
    assert.ok((await decide(max, 'concern', '12345678 90')).ok, 'ten letters and digits')
    assert.equal(await decide(max, 'no_concern'), { ok: false, code: 'conflict' })

    const [decided] = await all(world, 'concern')
    assert.is(decided?.decidedBy, 'max')
    assert.is(decided?.note, '12345678 90')
    const entries = (await world.audited('review.decide')).reverse()
    assert.equal(
      entries.map(({ actor, outcome, rule }) => `${actor.account} ${outcome} ${rule}`),
      [
        ...['sue allowed null', 'sue refused forbidden', 'max allowed null', 'max refused bad_input'],
        ...['max allowed null', 'max allowed null', 'max refused conflict'],
      ],
    )
    assert.is((await world.audited('permission.refused'))[0]?.rule, 'review.decide')
    assert.match((await metrics.render()).text, /candor_review_findings\{state="open"\} 0/)
  })
})

test('a finding is overdue when it has been open for a period, and not a moment before', async () => {
  await inCloud(async (world) => {
    const { review, clock } = world.cloud.parts
    await searchTimes(world, 5)
    world.clock.advance(PERIOD_MS)
    await review.upkeep()
    const madeAtMs = (await all(world))[0]?.madeAtMs ?? 0
    world.clock.advance(madeAtMs + PERIOD_MS - clock.nowMs() - MINUTE_MS)
    assert.is((await review.status()).overdue, 0)
    world.clock.advance(MINUTE_MS)
    const status = await review.status()
    assert.is(status.overdue, 1)
    assert.is(status.open, 1)
    assert.is(status.oldestOpenAtMs, madeAtMs)
    assert.is(await codeOf(() => review.get('0197a000-0000-7000-8000-000000000000')), 'not_found')
  })
})

test.run()

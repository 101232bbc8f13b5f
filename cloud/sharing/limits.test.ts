/** The bounds of what sharing keeps, at the limit and one past it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { codeOf, createMovableClock, inCloud, until } from '../testing.ts'
import type { AgencyAnswer } from './asking.ts'
import { ASK_KEPT_MS, createAsks, MAX_ASKS, MAX_KEPT_RESULTS } from './asks.ts'
import { MAX_KNOWN_PARTNERS, MAX_PARTNERS } from './partners.ts'
import { MAX_RECONCILED } from './reconcile.ts'
import { RECORD_KEPT_DAYS } from './record.ts'
import {
  ASKED,
  addPartner,
  ask,
  giveGrant,
  grantOf,
  INES,
  inAgency,
  inTwoClouds,
  OPEN,
  prepare,
  setPolicy,
} from './testing.ts'
import { MAX_GRANTS_PER_PARTNER } from './wire.ts'

test('a partner has so many grants that wait or are in force; one that has ended makes room', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const { grants } = owner.cloud.parts.sharing
    const first = await giveGrant(owner)
    for (let count = 1; count < MAX_GRANTS_PER_PARTNER; count++) await giveGrant(owner)
    assert.is(await codeOf(() => giveGrant(owner)), 'too_large')
    await grants.revoke(first.grantId, 'petra')
    await giveGrant(owner)
    assert.is((await ask(asker)).outcome, 'answered')
  })
})

test('a grant lives as long as the policy allows and not a millisecond more', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    await setPolicy(owner, { ...OPEN, sharing: { allowed: true, jurisdictions: [], maxGrantDays: 30 } })
    const { fromMs } = grantOf(owner)
    assert.is(await codeOf(() => giveGrant(owner, { fromMs, untilMs: fromMs + 30 * DAY_MS + 1 })), 'forbidden')
    assert.is(await codeOf(() => giveGrant(owner, { fromMs, untilMs: fromMs + 30 * DAY_MS })), 'none')
    assert.is(await codeOf(() => giveGrant(owner, { fromMs: fromMs + DAY_MS, untilMs: fromMs + DAY_MS })), 'bad_input')
    assert.is(await codeOf(() => giveGrant(owner, { fromMs: fromMs - DAY_MS, untilMs: fromMs })), 'bad_input')
  })
})

test('there are so many partners, and so many that are still known', async () => {
  await inAgency('shelby', async (owner) => {
    await inAgency('springfield', async (asker) => {
      await inAgency('ogdenville', async (third) => {
        await addPartner(owner, asker)
        const copies = (from: number, to: number, revoked: string) =>
          owner.sql(`WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
            INSERT INTO partners SELECT 'agency-' || i, name, jurisdiction, url, ca_pem, 'f' || i, added_at_ms, added_by, ${revoked}, NULL
            FROM n, partners WHERE partner = 'springfield'`)
        const { partners } = owner.cloud.parts.sharing
        copies(2, MAX_PARTNERS - 1, 'NULL')
        await owner.restart()
        const now = () => owner.cloud.parts.sharing.partners
        assert.is(now().allActive().length, MAX_PARTNERS - 1)
        await addPartner(owner, third)
        await now().revoke('agency-2', 'petra')
        copies(MAX_PARTNERS, MAX_PARTNERS, 'NULL')
        await owner.restart()
        assert.is(now().allActive().length, MAX_PARTNERS)
        await addPartner(owner, third)
        await now().revoke('ogdenville', 'petra')
        copies(MAX_PARTNERS + 1, MAX_PARTNERS + 1, 'NULL')
        await owner.restart()
        assert.is(await codeOf(() => addPartner(owner, third)), 'too_large')
        await now().revoke('agency-3', 'petra')
        await addPartner(owner, third)
        // Known: those above, and revoked ones.
        const known = (await now().list()).length
        owner.sql(`DELETE FROM partners WHERE partner = 'ogdenville'`)
        copies(1_000, 1_000 + MAX_KNOWN_PARTNERS - known, '1')
        await owner.restart()
        await now().revoke('agency-4', 'petra')
        assert.is((await now().list()).length, MAX_KNOWN_PARTNERS)
        assert.is(await codeOf(() => addPartner(owner, third)), 'too_large')
        owner.sql(`DELETE FROM partners WHERE partner = 'agency-1000'`)
        await owner.restart()
        assert.is(await codeOf(() => addPartner(owner, third)), 'none')
        assert.is.not(partners, now())
      })
    })
  })
})

test('answers of partners are kept for a while, for so many searches, and for the session that searched', async () => {
  const clock = createMovableClock()
  const frozen = { ...clock, monotonicMs: () => atMs }
  let atMs = 0
  const answered = { agency: 'shelby', outcome: 'answered', results: [] as unknown[] } as AgencyAnswer
  const asks = createAsks({ asking: { search: async () => answered }, clock: frozen, newId })
  const start = () => asks.start({ agencies: ['shelby'], isOnlyGranted: false }, ASKED, { actor: INES, completes: 1 })
  const first = start()
  await until('it has answered', () => asks.find(first.askId, 's-1')?.agencies[0]?.answer === answered)
  assert.equal(
    [asks.find(first.askId, 's-2'), asks.find(first.askId, null), asks.find(newId(), 's-1')],
    [null, null, null],
  )
  atMs = ASK_KEPT_MS - 1
  assert.ok(asks.find(first.askId, 's-1'))
  atMs = ASK_KEPT_MS
  assert.is(asks.find(first.askId, 's-1'), null)
  const second = start()
  for (let count = 1; count < MAX_ASKS; count++) start()
  assert.ok(asks.find(second.askId, 's-1'))
  const last = start()
  assert.equal([asks.find(second.askId, 's-1'), asks.find(last.askId, 's-1')?.askId], [null, last.askId])
})

test('of the results of partners so many are kept in all, and the oldest searches make room', async () => {
  const half = { results: new Array(MAX_KEPT_RESULTS / 2) } as AgencyAnswer
  const one = { results: new Array(1) } as AgencyAnswer
  let atMs = 0
  const clock = { ...createMovableClock(), monotonicMs: () => atMs }
  const asking = { search: async (agency: string) => (agency === 'shelby' ? half : one) }
  const asks = createAsks({ asking, clock, newId })
  const start = async (agency: string) => {
    const { askId } = asks.start({ agencies: [agency], isOnlyGranted: false }, ASKED, { actor: INES, completes: 1 })
    await clock.sleep(0)
    return askId
  }
  const started = [await start('shelby'), await start('shelby')]
  const kept = () => started.map((askId) => asks.find(askId, 's-1') !== null)
  assert.equal(kept(), [true, true])
  started.push(await start('ogdenville'))
  assert.equal(kept(), [false, true, true])
  started.push(await start('shelby'))
  assert.equal(kept(), [false, false, true, true])
  atMs = ASK_KEPT_MS
  asks.dropOld()
  atMs = 0
  assert.equal(kept(), [false, false, false, false], 'upkeep has let go of them')
})

test('the record of a search goes when its time is over', async () => {
  await inCloud(async (world) => {
    const { sharing, clock } = world.cloud.parts
    const keptFromMs = clock.nowMs() - RECORD_KEPT_DAYS * DAY_MS
    const insert = (id: string, atMs: number) =>
      world.sql(`INSERT INTO shared_searches VALUES ('shelby', 'asked', '${id}', 1, 1, ${atMs}, 'answered', 0)`)
    insert('old', keptFromMs - 1)
    insert('kept', keptFromMs + 3_600_000)
    await sharing.upkeep()
    const { database } = world.cloud.parts
    const rows = await database.read(database.build.selectFrom('shared_searches').select('request_id'))
    assert.equal(rows, [{ request_id: 'kept' }])
  })
})

test('two records are compared over all their pages, up to so many rows', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const fromMs = asker.clock.nowMs() - DAY_MS
    const fill = (from: number, to: number) => {
      for (const [world, partner, direction] of [
        [asker, 'shelby', 'asked'],
        [owner, 'springfield', 'answered'],
      ] as const)
        world.sql(`WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
          INSERT INTO shared_searches SELECT '${partner}', '${direction}', printf('019abc00-0000-7000-8000-%012d', i), 1, 1,
          ${fromMs} + i / 3, 'answered', 0 FROM n`)
    }
    const compare = () => asker.cloud.parts.sharing.reconcile('shelby', { fromMs, toMs: fromMs + DAY_MS })
    fill(1, MAX_RECONCILED)
    const { compared, differences } = await compare()
    assert.is(compared, MAX_RECONCILED)
    assert.equal([...new Set(differences.map(({ problem }) => problem))], ['not_in_own_audit'])
    fill(MAX_RECONCILED + 1, MAX_RECONCILED + 1)
    assert.is(await codeOf(compare), 'too_large')
  })
})

test.run()

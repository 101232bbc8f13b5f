import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import type { Database } from '../database/database.ts'
import { codeOf, filesWith } from '../testing.ts'
import { createUsage } from '../usage.ts'
import { verifyCopy } from './copies.ts'
import type { Audit } from './log.ts'
import { cosign, encodeWitnessSecret, logKey, originOf, parseNote, parseWitnessSecret, verifierKey } from './note.ts'
import { exportLog, proveEntry, publishLog } from './publish.ts'
import { MAX_PURGED_SEGMENTS, purgeAudit } from './purge.ts'
import { readEntries } from './reading.ts'
import { openSource } from './source.ts'
import { AGENCY, inLogWorld, type LogWorld, NOW_MS, RECORD } from './testing.ts'
import { createWitnesses } from './witnesses.ts'

const DAYS = 366
const WITNESS = parseWitnessSecret(encodeWitnessSecret('county.example/w1', Buffer.alloc(32, 5)))

/** Stands still, so long after the entries that `world.fill` makes: those of 256 and more have each its own millisecond. */
const clockAt = (afterMs: number): Clock => ({ ...systemClock, nowMs: () => NOW_MS + afterMs })
const LATER = clockAt(DAYS * DAY_MS + 10_000)

async function cosignNow(world: { audit: Audit; database: Database }, clock = LATER): Promise<void> {
  const witnesses = createWitnesses({ ...world, agency: AGENCY, clock })
  if ((await witnesses.list()).length === 0) await witnesses.add('county', verifierKey(WITNESS.key), 'test')
  const note = await world.audit.checkpoint()
  await witnesses.submit(`${note}${cosign(parseNote(note).text, WITNESS, clock.nowMs())}\n`)
}

const purge = ({ audit, database }: { audit: Audit; database: Database }, days: number | null = DAYS, clock = LATER) =>
  purgeAudit({ database, audit, clock, log: silentLog }, days)

async function withBytes(database: Database): Promise<number[]> {
  const rows = await database.read(database.build.selectFrom('audit_entries').select(['seq', 'bytes']).orderBy('seq'))
  return rows.filter(({ bytes }) => bytes.length > 0).map(({ seq }) => seq)
}

test('whole segments that a witness has closed go, and the log, its proofs and its copies still verify and say so', async () => {
  await inLogWorld(async (world) => {
    world.fill(600, { change: (record, seq) => ({ ...record, caseNumber: `case-${seq}.` }) })
    const open = await world.open(LATER)
    assert.is(await purge(open), 0, 'no witness has closed anything')
    await cosignNow(open)
    assert.is(await purge(open, null), 0, 'kept for ever')
    assert.is(await purge(open), 512)
    assert.is(await purge(open), 0)
    assert.is((await withBytes(open.database))[0], 513)
    assert.equal(filesWith(world.databaseFile, 'case-7.'), [])
    assert.is.not(filesWith(world.databaseFile, 'case-520.').length, 0)
    const [receipt] = await open.audit.list({ before: null, limit: 1 })
    assert.is(receipt?.operation, 'audit.purged')
    assert.equal(receipt?.detail, { from: 1, through: 512, cosigned: 600, days: DAYS })
    assert.is((await open.audit.list({ before: 514, limit: 10 })).length, 1)
    await open.close()
    await checkCopies(world)
    const again = await world.open(LATER)
    await again.audit.append(RECORD)
    await again.close()
    assert.ok((await world.verify()).ok)
  })
})

async function checkCopies(world: LogWorld): Promise<void> {
  const verdict = await world.verify()
  assert.ok(verdict.ok, JSON.stringify(verdict))
  assert.equal(verdict.ok && verdict.purged, [{ from: 1, through: 512 }])
  const { databaseFile: database, headFile: head, signer } = world
  const source = await openSource({ database, head, publicKeyPem: signer.publicKeyPem })
  const copy = join(world.folder, 'copy')
  const tiles = join(world.folder, 'tiles')
  await exportLog(source, copy)
  await publishLog({ source, folder: tiles, entries: true, verifier: null })
  assert.is(await codeOf(() => proveEntry(source, 512)), 'not_found')
  assert.match(await proveEntry(source, 513), /^c2sp/)
  source.close()
  const key = logKey(originOf(AGENCY), signer.publicKeyPem)
  for (const where of [copy, tiles]) {
    const whole = await verifyCopy({ where, key, since: [], witnesses: [WITNESS.key] })
    assert.ok(whole.ok, JSON.stringify(whole))
    assert.equal(whole.ok && whole.purged, [{ from: 1, through: 512 }])
  }
}

test('an entry at the limit of its time stays, and with it its segment; one past it goes', async () => {
  await inLogWorld(async (world) => {
    world.fill(300)
    // Entry 256 was written 256 ms after NOW_MS.
    const limit = DAYS * DAY_MS + 256
    const open = await world.open(clockAt(limit))
    await cosignNow(open, clockAt(limit))
    assert.is(await purge(open, DAYS, clockAt(limit)), 0)
    assert.is(await purge(open, DAYS, clockAt(limit + 1)), 256)
    await open.close()
  })
})

test('one purge takes so many segments, the next one the rest', async () => {
  await inLogWorld(async (world) => {
    world.fill((MAX_PURGED_SEGMENTS + 1) * 256)
    const clock = clockAt(DAYS * DAY_MS + 10 * 60_000)
    const open = await world.open(clock)
    await cosignNow(open, clock)
    assert.is(await purge(open, DAYS, clock), MAX_PURGED_SEGMENTS * 256)
    assert.is(await purge(open, DAYS, clock), 256)
    await open.close()
    const verdict = await world.verify()
    assert.equal(verdict.ok && verdict.purged, [{ from: 1, through: (MAX_PURGED_SEGMENTS + 1) * 256 }])
  })
})

test('a purge that was cut off is ended the next time, under the receipt that it has', async () => {
  await inLogWorld(async (world) => {
    world.fill(600)
    const open = await world.open(LATER)
    await cosignNow(open)
    let writes = 0
    const failing: Database = {
      ...open.database,
      writeBatch: (statements) => {
        writes += 1
        // The row of the purge and the first segment.
        return writes <= 2 ? open.database.writeBatch(statements) : Promise.reject(new Error('cut off'))
      },
    }
    assert.is.not(await codeOf(() => purge({ audit: open.audit, database: failing })), 'none')
    assert.is((await withBytes(open.database))[0], 257)
    assert.ok((await world.verify()).ok, 'the receipt tells of both segments already')
    assert.is(await purge(open, null), 512, 'it is ended whatever the policy says by now')
    const receipts = (await open.audit.list({ before: null, limit: 100 })).filter(
      (one) => one.operation === 'audit.purged',
    )
    assert.is(receipts.length, 1)
    await open.close()
    assert.ok((await world.verify()).ok)
  })
})

test('bytes that are gone without a receipt are found, and the database refuses to drop them', async () => {
  await inLogWorld(async (world) => {
    world.fill(600)
    const { database, close } = await world.open(LATER)
    const drop = database.build
      .updateTable('audit_entries')
      .set({ bytes: Buffer.alloc(0) })
      .where('seq', '=', 5)
    assert.is.not(await codeOf(() => database.writeBatch([drop])), 'none')
    await close()
    world.tamper((sqlite) => sqlite.exec("UPDATE audit_entries SET bytes = x'' WHERE seq BETWEEN 5 AND 9"))
    const verdict = await world.verify()
    assert.match(JSON.stringify(verdict), /"firstBad":5,.*no purge says so/)
  })
})

test('with the entries go the digests of their plates, a bounded number at once, and readers leave the entries out', async () => {
  await inLogWorld(async (world) => {
    const plateDigest = 'ab'.repeat(32)
    const query = { plateDigest, plateKind: 'exact', fromMs: null, toMs: null, limit: 1 } as const
    const actor = { account: 'ines', roles: [], session: null, source: null }
    world.fill(600, { change: (record) => ({ ...record, actor, query: { ...query, cameras: [] } }) })
    const open = await world.open(LATER)
    const { database } = open
    const usage = createUsage({ database, clock: LATER })
    await usage.follow()
    const digests = async () => {
      const searches = await database.read(
        database.build.selectFrom('usage_searches').select((eb) => eb.fn.countAll<number>().as('count')),
      )
      return [(await usage.searchesOf(plateDigest, 0)).total, searches[0]?.count]
    }
    await cosignNow(open)
    assert.is(await usage.purge(0, 500), 0)
    assert.equal(await digests(), [600, 600], 'nothing has gone from the audit')
    assert.is(await purge(open), 512)
    assert.equal(
      (await readEntries(database, [512, 513])).map(({ seq }) => seq),
      [513],
    )
    assert.is(await usage.purge(0, 511), 1_022)
    assert.equal(await digests(), [89, 89])
    assert.is(await usage.purge(0, 511), 2)
    assert.is(await usage.purge(0, 511), 0)
    assert.equal(await digests(), [88, 88])
    await open.close()
  })
})

test.run()

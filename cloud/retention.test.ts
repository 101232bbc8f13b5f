import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { topics } from '../shared/topics.ts'
import type { Sighting } from '../shared/wire/index.ts'
import type { Database } from './database/database.ts'
import type { SightingsTable } from './database/schema.ts'
import { openSqlite } from './database/sqlite.ts'
import { createMetrics } from './metrics.ts'
import { createReceipts, RECEIPT_ROWS } from './purge-receipt.ts'
import { createQuarantine } from './quarantine.ts'
import {
  MAX_PURGE_STEP_ROWS,
  MIN_PURGE_STEP_ROWS,
  nextStepRows,
  PURGE_STEP_ROWS,
  PURGE_STEP_TARGET_MS,
  purgeExpired,
  type RetentionDeps,
} from './retention.ts'
import { createSightings, type Retention, type Sightings } from './sightings.ts'
import {
  AGENCY,
  codeOf,
  filesWith,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'

const A = 'elm-st-1'
const LISTED = 'LSTD4711'
const PASSER_BY = 'PSSR4712'
const BROKEN = 'BRKN4713'
const INVESTIGATOR = { account: 'ines', roles: ['investigator' as const], session: null, source: null }

function picture(text: string): Buffer {
  return Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.from(text.repeat(50)), Buffer.from([0xff, 0xd9])])
}

interface Full {
  camera: MqttClient
  alertId: string
  listed: Sighting
  passerBy: Sighting
}

/** Everything that holds plates: sightings, crops, an alert, its copy in an officer's queue, and the quarantine. */
async function fill(world: TestCloud): Promise<Full> {
  await world.importList('stolen', [LISTED])
  const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']), {
    clean: false,
  })
  await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
  await olga.endAsync()
  const camera = await world.connectCamera(A, await world.addCamera(A))
  const jpeg = picture('CROPBYTES4714')
  const crop = { sha256: createHash('sha256').update(jpeg).digest('hex'), bytes: jpeg.length }
  const read = (plate: string, change: Partial<Sighting>) =>
    makeSighting(world.clock, { plate, candidates: [{ plate, confidence: 0.9 }], ...change })
  const listed = read(LISTED, { crop })
  const passerBy = read(PASSER_BY, {})
  await publishSighting(camera, listed)
  await publish(camera, topics.crop(AGENCY, A, listed.sightingId), jpeg)
  await publishSighting(camera, passerBy)
  await publish(camera, topics.sightings(AGENCY, A), `{"plate":"${BROKEN}"}`)
  const [alert] = await world.cloud.parts.alerts.ofSighting(A, listed.sightingId)
  await until('the alert is queued', async () => (await rowsOf(world, 'broker_outgoing')) === 1)
  return { camera, alertId: alert?.alertId ?? '', listed, passerBy }
}

async function rowsOf(
  world: TestCloud,
  table: 'broker_outgoing' | 'alerts' | 'alert_groups' | 'alert_steps' | 'audit_entries' | 'quarantine',
): Promise<number> {
  const { database } = world.cloud.parts
  const [row] = await database.read(
    database.build.selectFrom(table).select((eb) => eb.fn.countAll<number>().as('count')),
  )
  return row?.count ?? 0
}

async function searched(world: TestCloud, plate: string): Promise<number> {
  const answer = await world.cloud.parts.search.run(
    {
      plate,
      fromMs: null,
      toMs: null,
      cameras: [],
      caseNumber: '24-00123',
      offenceType: 'burglary',
      reason: 'vehicle seen at the break-in on Elm Street',
      limit: 10,
      offset: 0,
    },
    INVESTIGATOR,
  )
  return answer.total
}

/** No purge can delete anything: the queries alone must hide what is expired. */
const NO_PURGE = `
  CREATE TRIGGER kept_a BEFORE DELETE ON sightings BEGIN SELECT RAISE(ABORT, 'no purge'); END;
  CREATE TRIGGER kept_b BEFORE DELETE ON alerts BEGIN SELECT RAISE(ABORT, 'no purge'); END;
`

test('what is past its retention is invisible everywhere before anything is purged', async () => {
  await inCloud(async (world) => {
    const { alertId, listed, passerBy } = await fill(world)
    const { alerts, sightings, quarantine } = world.cloud.parts
    const nowMs = () => world.clock.nowMs()
    const shown = async () => [
      await searched(world, LISTED),
      await searched(world, `${LISTED.slice(0, 5)}*`),
      await searched(world, PASSER_BY),
      (await alerts.list({ groups: ['patrol'], state: null, beforeMs: null, limit: 10 })).length,
      (await codeOf(() => alerts.get(alertId, ['patrol']))) === 'none' ? 1 : 0,
      (await sightings.get(listed.sightingId, nowMs())) === null ? 0 : 1,
      (await sightings.get(passerBy.sightingId, nowMs())) === null ? 0 : 1,
      (await sightings.crop(A, listed.sightingId, nowMs())) === null ? 0 : 1,
      (await quarantine.list(nowMs(), 10)).length,
    ]
    assert.equal(await shown(), [1, 1, 1, 1, 1, 1, 1, 1, 1])
    world.sql(NO_PURGE)
    world.clock.advance(30 * DAY_MS)
    assert.equal(await shown(), [0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert.is((await sightings.counts()).sightings, 2, 'the rows are still there')
    assert.is(await rowsOf(world, 'alerts'), 1)
  })
})

test('a shorter retention in the policy counts at once, class by class', async () => {
  await inCloud(async (world) => {
    const { listed, passerBy } = await fill(world)
    const { sightings, policy } = world.cloud.parts
    world.sql(NO_PURGE)
    world.clock.advance(2 * DAY_MS)
    assert.ok(await sightings.get(passerBy.sightingId, world.clock.nowMs()))
    await policy.change(1, { retention: { unmatchedDays: 1 } }, 'test')
    assert.is(await sightings.get(passerBy.sightingId, world.clock.nowMs()), null)
    assert.ok(await sightings.get(listed.sightingId, world.clock.nowMs()))
    assert.ok(await sightings.crop(A, listed.sightingId, world.clock.nowMs()))
    await policy.change(2, { retention: { cropDays: 1 } }, 'test')
    assert.is(await sightings.crop(A, listed.sightingId, world.clock.nowMs()), null)
    assert.ok(await sightings.get(listed.sightingId, world.clock.nowMs()))
    await policy.change(3, { retention: { matchedDays: 1 } }, 'test')
    assert.is(await sightings.get(listed.sightingId, world.clock.nowMs()), null)
  })
})

test('after a purge the bytes are gone from the database file, its log and the queues; the audit and the list stay', async () => {
  await inCloud(async (world) => {
    const { listed } = await fill(world)
    for (const text of [PASSER_BY, BROKEN, 'CROPBYTES4714', listed.sightingId]) {
      assert.ok(filesWith(world.databaseFile, text).length > 0, `${text} can be found`)
    }
    const auditBefore = await rowsOf(world, 'audit_entries')
    // A session whose person stays away for 30 days is forgotten whole; here its queue must be purged by itself.
    const week = { unmatchedDays: 7, matchedDays: 7, cropDays: 7, quarantineDays: 7 }
    await world.cloud.parts.policy.change(1, { retention: week }, 'test')
    world.clock.advance(7 * DAY_MS)
    await until('the purge has left its receipt', async () => (await world.audited('retention.purged')).length === 1)
    await until('nothing is left', async () => (await rowsOf(world, 'broker_outgoing')) === 0)
    const [receipt] = await world.audited('retention.purged')
    const purged = {
      unmatched: 1,
      matched: 1,
      crops: 1,
      alerts: 1,
      trail: 0,
      quarantine: 1,
      queue: 1,
      entries: 0,
      held: 0,
    }
    const told = Object.entries(receipt?.detail ?? {}).filter(([key]) => key in purged)
    assert.equal(Object.fromEntries(told), purged)
    for (const table of ['alerts', 'alert_groups', 'alert_steps', 'quarantine'] as const) {
      assert.is(await rowsOf(world, table), 0, table)
    }
    assert.ok((await rowsOf(world, 'audit_entries')) > auditBefore)
    await until('the log is cut', () =>
      [PASSER_BY, BROKEN, 'CROPBYTES4714', listed.sightingId].every(
        (text) => filesWith(world.databaseFile, text).length === 0,
      ),
    )
    assert.is(await world.counted('candor_purged_total{table="unmatched"}'), 1)
    assert.is(await world.counted('candor_purged_total{table="queue"}'), 1)
    assert.not.ok(JSON.stringify(receipt).includes(LISTED))
  })
})

test('a chore that fails is logged, and holds up neither the others nor the purge', async () => {
  await inCloud(async (world) => {
    await fill(world)
    // Keys of backups are looked at in the upkeep: a file that is none is an error each minute.
    const keys = join(world.folder, 'data', 'backup-keys')
    mkdirSync(keys, { recursive: true })
    writeFileSync(join(keys, '2026-11-28-0123456789abcdef.json'), '{}')
    world.clock.advance(31 * DAY_MS)
    await until('it is purged', async () => (await world.cloud.parts.sightings.counts()).sightings === 0)
    const failed = world.logLines.filter((line) => line.includes('upkeep_failed'))
    assert.ok(failed.length > 0 && failed.every((line) => line.includes('"operation":"backupKeys"')), failed.join('\n'))
  })
})

test('a purge goes on at the next interval when one failed', async () => {
  await inCloud(async (world) => {
    await fill(world)
    world.sql(NO_PURGE)
    world.clock.advance(31 * DAY_MS)
    await until('the failure is in the log', () => world.logLines.some((line) => line.includes('purge_failed')))
    world.sql('DROP TRIGGER kept_a; DROP TRIGGER kept_b')
    world.clock.advance(MINUTE_MS)
    await until('it is purged', async () => (await world.cloud.parts.sightings.counts()).sightings === 0)
    assert.not.ok(world.logLines.some((line) => [LISTED, PASSER_BY, BROKEN].some((plate) => line.includes(plate))))
  })
})

test('a reader that holds the log during a purge delays the cut, and it is made up for afterwards', async () => {
  await inCloud(async (world) => {
    await fill(world)
    const reader = openDatabase(world.databaseFile, { readonly: true })
    try {
      reader.exec('BEGIN')
      reader.prepare('SELECT count(*) FROM sightings').get()
      world.clock.advance(31 * DAY_MS)
      await until('the cut failed', () => world.logLines.some((line) => line.includes('purge_failed')))
      assert.is((await world.cloud.parts.sightings.counts()).sightings, 0)
      assert.ok(filesWith(world.databaseFile, PASSER_BY).length > 0, 'the reader still needs the bytes')
    } finally {
      reader.close()
    }
    world.clock.advance(MINUTE_MS)
    await until('the bytes are gone', () => filesWith(world.databaseFile, PASSER_BY).length === 0)
  })
})

test('after a new version of a list no chunk of the old one stays retained, nor in the file', async () => {
  await inCloud(async (world) => {
    const retained = async () => {
      const { database } = world.cloud.parts
      const rows = await database.read(database.build.selectFrom('broker_retained').select('topic').orderBy('topic'))
      return rows.map(({ topic }) => topic)
    }
    const old = 'GONE4715'
    await world.importList('stolen', [old, 'AAA1111'])
    await until('it is published', async () =>
      (await retained()).includes(topics.snapshotChunk(AGENCY, 'stolen', 1, 0)),
    )
    for (const plate of ['AAA1112', 'AAA1113', 'AAA1114', 'AAA1115']) await world.importList('stolen', [plate])
    const versions = (await retained()).filter((topic) => topic.includes('/snapshot/'))
    assert.equal(versions, [topics.snapshotChunk(AGENCY, 'stolen', 5, 0)])
    const { database } = world.cloud.parts
    const kept = await database.read(database.build.selectFrom('broker_retained').select('payload'))
    assert.not.ok(kept.some(({ payload }) => payload.includes(old)))
  })
})

test('a purge of many rows goes in steps, between which others write, and stops when asked', async () => {
  await inPurge(async ({ deps, database, sightings, audited, atMs, onPause }) => {
    const rows = 3 * MAX_PURGE_STEP_ROWS
    await database.writeBatch(Array.from({ length: rows }, () => sightings.insert(sightingRow(0))))
    atMs(DAY_MS - 1)
    assert.is((await purgeExpired(deps, never)).unmatched, 0)
    assert.equal(audited, [], 'nothing purged leaves no receipt')
    atMs(DAY_MS)
    const ending = new AbortController()
    onPause(() => ending.abort())
    assert.is((await purgeExpired(deps, ending.signal)).unmatched, PURGE_STEP_ROWS, 'ended after the first step')
    assert.is((await sightings.counts()).sightings, rows - PURGE_STEP_ROWS)
    let pauses = 0
    onPause(() => {
      pauses += 1
    })
    assert.is((await purgeExpired(deps, never)).unmatched, rows - PURGE_STEP_ROWS)
    assert.ok(pauses >= 3, String(pauses))
    assert.is(audited.length, 2)
  })
})

test('a picture goes with its sighting, when no revision of that is left to be seen', async () => {
  await inPurge(
    async ({ deps, database, sightings, atMs }) => {
      const [alone, matchedByFinal] = [sightingRow(0), sightingRow(0)]
      const crop = ({ camera_id, sighting_id }: SightingsTable) =>
        sightings.insertCrop({
          ...{ camera_id, sighting_id, sha256: 'x', jpeg: Buffer.from('JPEG') },
          ...{ received_at_ms: START_MS, retained_from_ms: START_MS },
        })
      const later = { ...matchedByFinal, revision: matchedByFinal.revision + 1, matched: 1 as const }
      await database.writeBatch([
        ...[alone, matchedByFinal, later].map((row) => sightings.insert(row)),
        ...[crop(alone), crop(matchedByFinal)],
      ])
      atMs(DAY_MS)
      const purged = await purgeExpired(deps, never)
      assert.equal([purged.unmatched, purged.matched, purged.crops], [2, 0, 1])
      assert.equal(await sightings.counts(), { sightings: 1, crops: 1 })
      atMs(2 * DAY_MS)
      assert.equal([(await purgeExpired(deps, never)).crops, (await sightings.counts()).crops], [1, 0])
    },
    { matchedMs: 2 * DAY_MS, cropMs: 30 * DAY_MS },
  )
})

test('a step is as large as its time allows, within bounds', () => {
  assert.is(nextStepRows(200, PURGE_STEP_TARGET_MS), 200)
  assert.is(nextStepRows(200, PURGE_STEP_TARGET_MS / 2), 400)
  assert.is(nextStepRows(200, 0), 400, 'at most twice as many')
  assert.is(nextStepRows(400, 100 * PURGE_STEP_TARGET_MS), 200, 'at least half')
  assert.is(nextStepRows(MAX_PURGE_STEP_ROWS, 1), MAX_PURGE_STEP_ROWS)
  assert.is(nextStepRows(MIN_PURGE_STEP_ROWS, 1_000), MIN_PURGE_STEP_ROWS)
})

test('a receipt tells number, time and digest of what went, of so many rows at most, and is not lost when the audit fails', async () => {
  await inPurge(async ({ deps, database, sightings, audited, atMs }) => {
    const rows = Array.from({ length: RECEIPT_ROWS + 2 * MAX_PURGE_STEP_ROWS }, (_, i) => sightingRow(i))
    for (let i = 0; i < rows.length; i += 1_000) {
      await database.writeBatch(rows.slice(i, i + 1_000).map((row) => sightings.insert(row)))
    }
    atMs(DAY_MS + rows.length)
    const receipts = createReceipts()
    const refusing = { ...deps, audit: { append: () => Promise.reject(new AppError('unavailable', 'full')) } }
    assert.is(await codeOf(() => purgeExpired(refusing, never, receipts)), 'unavailable')
    assert.is(receipts.rows, (await goneFrom(sightings, rows.length)).length, 'what went waits for its receipt')
    await purgeExpired(deps, never, receipts)
    const parts = audited.map((record) => (record as { detail: Record<string, number | string> }).detail)
    assert.ok(parts.length >= 2)
    assert.is(
      parts.reduce((sum, part) => sum + Number(part.unmatched), 0),
      rows.length,
    )
    let from = 0
    for (const part of parts) {
      const own = rows.slice(from, from + Number(part.unmatched))
      from += own.length
      assert.is(part.unmatchedFromMs, own[0]?.retained_from_ms)
      assert.is(part.unmatchedToMs, own.at(-1)?.retained_from_ms)
      // Made anew as the docstring says, without our code.
      const lines = own
        .map((row) => `${row.camera_id}/${row.sighting_id}/${row.revision} ${row.payload_sha256}\n`)
        .sort()
      assert.is(part.unmatchedDigest, createHash('sha256').update(lines.join('')).digest('hex'))
      assert.ok(own.length <= RECEIPT_ROWS + MAX_PURGE_STEP_ROWS)
    }
  })
})

const never = new AbortController().signal
const START_MS = 1_790_000_000_000

function sightingRow(afterMs: number): SightingsTable {
  return {
    camera_id: A,
    sighting_id: newId(),
    revision: 1,
    payload_sha256: createHash('sha256').update(String(afterMs)).digest('hex'),
    seen_at_ms: START_MS + afterMs,
    received_at_ms: START_MS + afterMs,
    retained_from_ms: START_MS + afterMs,
    clock_trusted: 1,
    plate: PASSER_BY,
    confusable_key: PASSER_BY,
    matched: 0,
    match_disagreed: 0,
    crop_sha256: null,
    document: '{}',
  }
}

/** How many of `all` are not there any more. */
async function goneFrom(sightings: Sightings, all: number): Promise<unknown[]> {
  return Array.from({ length: all - (await sightings.counts()).sightings })
}

interface PurgeWorld {
  deps: RetentionDeps
  database: Database
  sightings: Sightings
  audited: object[]
  /** Moves the clock to so long after START_MS. */
  atMs(afterMs: number): void
  onPause(call: () => void): void
}

/** The real sightings and database; of the other parts, those that have nothing to delete. */
async function inPurge(work: (world: PurgeWorld) => Promise<void>, change: Partial<Retention> = {}): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-retention-'))
  let nowMs = START_MS
  let paused = () => {}
  const database = openSqlite({ path: join(folder, 'a.db'), nowMs })
  try {
    const clock = {
      nowMs: () => nowMs,
      monotonicMs: systemClock.monotonicMs,
      sleep: async () => {
        paused()
        await systemClock.sleep(0)
      },
    }
    const times = { unmatchedMs: DAY_MS, matchedMs: DAY_MS, cropMs: DAY_MS, quarantineMs: DAY_MS, ...change }
    const retention = () => times
    const sightings = createSightings({ database, retention })
    const audited: object[] = []
    const nothing = { purge: async () => ({ deleted: {}, isDone: true }) }
    const deps: RetentionDeps = {
      ...{ database, sightings, retention, clock, log: silentLog, metrics: createMetrics() },
      ...{ sessions: nothing, entries: nothing, holds: nothing },
      alerts: { ...nothing, publishPending: async () => {} },
      quarantine: createQuarantine({ database, newId, retention }),
      upkeep: async () => {},
      audit: {
        append: async (record) => {
          audited.push(record)
          return { seq: audited.length }
        },
      },
    }
    await work({
      ...{ deps, database, sightings, audited },
      atMs: (afterMs) => {
        nowMs = START_MS + afterMs
      },
      onPause: (call) => {
        paused = call
      },
    })
  } finally {
    await database.close()
    rmSync(folder, { recursive: true })
  }
}

test.run()

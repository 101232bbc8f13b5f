import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { cameraHealthSchema } from '../../shared/wire/index.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createUsage, type Usage } from '../usage.ts'
import { MAX_SILENCE_MS } from './cameras.ts'
import { utcDay } from './figures.ts'

const A = 'elm-st-1'
const NOON = Date.UTC(2026, 9, 5, 12)

interface World {
  usage: Usage
  at(ms: number): void
  status(online: boolean, sessionId: string): Promise<void>
  health(sessionId: string, uptimeMs: number, made: number, withheld?: number, lost?: number): Promise<void>
  onlineMs(day?: number): Promise<number>
  made(): Promise<number>
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-usage-'))
  let nowMs = NOON
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
  const database = openSqlite({ path: join(folder, 'candor.db'), nowMs })
  const usage = createUsage({ database, clock })
  const days = (day: number) => usage.cameraFigures({ from: day, to: day })
  try {
    await work({
      usage,
      at: (ms) => {
        nowMs = ms
      },
      status: (online, sessionId) =>
        usage.cameras.recordStatus({ cameraId: A, online, sessionId, sinceMs: nowMs, software: 'test' }),
      health: (sessionId, uptimeMs, made, withheld = 0, lost = 0) =>
        usage.cameras.recordHealth(
          cameraHealthSchema.parse({
            ...{ cameraId: A, sessionId, atMs: nowMs, uptimeMs, clock: 'synced' },
            frames: { read: 0, dropped: 0, rejected: 0, failed: 0 },
            vision: { restarts: 0 },
            sightings: { made, matched: 0, withheld, lost },
            outbox: { rows: 0, bytes: 0, oldestAgeMs: 0, evicted: { crops: 0, sightings: 0 }, expired: 0 },
            hotlists: [],
          }),
        ),
      onlineMs: async (day = utcDay(NOON)) => (await days(day)).onlineMs.get(A) ?? 0,
      made: async () => (await days(utcDay(nowMs))).made,
    })
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

test('a camera is online from its status to the last sign of the same session, and no moment longer', async () => {
  await inWorld(async ({ at, status, health, onlineMs }) => {
    const session = newId()
    await status(true, session)
    assert.is(await onlineMs(), 0)
    at(NOON + 10 * MINUTE_MS)
    await health(session, HOUR_MS, 1)
    assert.is(await onlineMs(), 10 * MINUTE_MS)
    at(NOON + 13 * MINUTE_MS)
    await status(false, session)
    assert.is(await onlineMs(), 13 * MINUTE_MS)
    at(NOON + 30 * MINUTE_MS)
    await health(session, HOUR_MS + 20 * MINUTE_MS, 1)
    assert.is(await onlineMs(), 13 * MINUTE_MS, 'a report from behind its Will begins nothing')
  })
})

test('a new session begins anew: what lies between two is not counted, and a late Will of the old one ends nothing', async () => {
  await inWorld(async ({ at, status, health, onlineMs }) => {
    const [first, second] = [newId(), newId()]
    await status(true, first)
    at(NOON + 5 * MINUTE_MS)
    await status(true, second)
    assert.is(await onlineMs(), 0)
    at(NOON + 6 * MINUTE_MS)
    await status(false, first)
    at(NOON + 9 * MINUTE_MS)
    await health(second, HOUR_MS, 1)
    assert.is(await onlineMs(), 4 * MINUTE_MS)
  })
})

test('a silence of the longest interval counts, and one of a millisecond more does not', async () => {
  for (const [silenceMs, expected] of [
    [MAX_SILENCE_MS, MAX_SILENCE_MS],
    [MAX_SILENCE_MS + 1, 0],
  ] as const) {
    await inWorld(async ({ at, status, health, onlineMs }) => {
      const session = newId()
      await status(true, session)
      at(NOON + silenceMs)
      await health(session, HOUR_MS, 1)
      assert.is(await onlineMs(), expected)
    })
  }
})

test('time online is counted for the day that it was on', async () => {
  await inWorld(async ({ at, status, health, onlineMs }) => {
    const midnight = Math.ceil(NOON / DAY_MS) * DAY_MS
    const session = newId()
    at(midnight - 7 * MINUTE_MS)
    await status(true, session)
    at(midnight + 2 * MINUTE_MS)
    await health(session, HOUR_MS, 1)
    assert.is(await onlineMs(utcDay(NOON)), 7 * MINUTE_MS)
    assert.is(await onlineMs(utcDay(NOON) + 1), 2 * MINUTE_MS)
  })
})

test('what cameras say to have seen is counted once, over reports that come again and processes that start again', async () => {
  await inWorld(async ({ at, status, health, made }) => {
    const session = newId()
    await status(true, session)
    await health(session, MINUTE_MS, 10, 4)
    await health(session, MINUTE_MS, 10, 4)
    assert.is(await made(), 10)
    at(NOON + 10 * MINUTE_MS)
    // Another connection of the same process.
    await status(true, newId())
    await health(session, 11 * MINUTE_MS, 25, 9)
    assert.is(await made(), 25)
    at(NOON + 20 * MINUTE_MS)
    // Another process, which has seen more meanwhile than the one before when it ended.
    await health(session, 5 * MINUTE_MS, 30, 12)
    assert.is(await made(), 55)
    // An older report of it, late.
    await health(session, 4 * MINUTE_MS, 20, 12)
    assert.is(await made(), 55)
  })
})

test('a process that ends within a minute is told from the next one, which counts on from nothing', async () => {
  await inWorld(async ({ at, health, made, usage }) => {
    const session = newId()
    await health(session, 20_000, 5, 0, 7)
    at(NOON + MINUTE_MS)
    // Later by 60 s and longer at work by 40 s, as one process might say it; but what was lost does not come back.
    await health(session, MINUTE_MS, 9, 0, 0)
    assert.is(await made(), 14)
    at(NOON + 2 * MINUTE_MS)
    await health(session, 2 * MINUTE_MS, 11, 0, 1)
    assert.is(await made(), 16)
    assert.is((await usage.cameraFigures({ from: utcDay(NOON), to: utcDay(NOON) })).lost, 8)
  })
})

test.run()

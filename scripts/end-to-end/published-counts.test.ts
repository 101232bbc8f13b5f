/** What a camera counts over several processes, and what the cloud publishes of it: each vehicle once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSqlite } from '../../cloud/database/sqlite.ts'
import { utcDay } from '../../cloud/usage/figures.ts'
import { createUsage } from '../../cloud/usage.ts'
import { type HealthDeps, reportHealth } from '../../edge/health.ts'
import { type Outbox, openOutbox } from '../../edge/outbox/outbox.ts'
import { MINUTE_MS } from '../../shared/clock.ts'
import type { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { type CameraHealth, cameraHealthSchema, MAX_CROP_BYTES } from '../../shared/wire/index.ts'

const CAMERA = 'north'
const NOON = Date.UTC(2026, 9, 5, 12)
const MATCHES_ONLY = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: false }

interface Process {
  outbox: Outbox
  /** One report, which arrives if there is a link. */
  report(link: 'up' | 'down'): Promise<void>
  passes(ms: number): void
}

interface World {
  /** From the start of a camera process to its end. */
  inProcess(work: (process: Process) => Promise<void>): Promise<void>
  published(): Promise<{ withheld: number; lost: number }>
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-counts-'))
  let nowMs = NOON
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
  const database = openSqlite({ path: join(folder, 'candor.db'), nowMs })
  const usage = createUsage({ database, clock })
  const sessionId = newId()
  try {
    await work({
      async inProcess(run) {
        const limits = { maxRows: 1_000, maxBytes: 1e7, maxFileBytes: 100 * 1024 }
        const outbox = openOutbox({ file: join(folder, 'outbox.db'), ...limits, clock })
        const counted = { read: 0, still: 0, rejected: 0, failed: 0, made: 0, matched: 0, withheld: 0, repeats: 0 }
        const sent: CameraHealth[] = []
        const uplink = {
          ...{ sessionId, connected: true },
          publishHealth: (bytes: Uint8Array) => void sent.push(cameraHealthSchema.parse(JSON.parse(String(bytes)))),
        }
        const deps: HealthDeps = {
          ...{ cameraId: CAMERA, outbox, uplink, clock, log: silentLog, startedAtMs: nowMs },
          pipeline: { counters: counted },
          source: { dropped: 0, rejected: 0 },
          vision: { restarts: 0, picture: null },
          rate: { latest: null, measure() {} },
          settings: { inForce: { version: 0, trial: false, changed: [] } },
          device: { latest: null, look: async () => {} } as unknown as HealthDeps['device'],
          memory: { held: 0, bytes: 0, counters: { expired: 0, dropped: 0, matchedLate: 0 } },
          hotlists: { status: () => [] },
          clockState: { state: 'synced', agingMs: () => nowMs },
        }
        try {
          await run({
            outbox,
            async report(link) {
              uplink.connected = link === 'up'
              reportHealth(deps)
              for (const health of sent.splice(0)) await usage.cameras.recordHealth(health)
            },
            passes(ms) {
              nowMs += ms
            },
          })
        } finally {
          outbox.close()
        }
      },
      async published() {
        const { withheld, lost } = await usage.cameraFigures({ from: utcDay(NOON), to: utcDay(NOON) })
        return { withheld, lost }
      },
    })
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const put = (outbox: Outbox, sightingId: string, cropBytes: number) =>
  outbox.put(
    {
      sightingId,
      revision: 1,
      matched: false,
      capturedAtMs: NOON,
      clock: 'synced',
      payload: Buffer.alloc(100),
    },
    Buffer.alloc(cropBytes),
  )

/** Has no room in the file, whatever is there. */
const lose = (outbox: Outbox, sightingId: string) =>
  assert.throws(
    () => put(outbox, sightingId, MAX_CROP_BYTES),
    (thrown: AppError) => thrown.code === 'storage_full',
  )

test('vehicles kept back and lost are published once, however often the camera starts again', async () => {
  await inWorld(async ({ inProcess, published }) => {
    await inProcess(async ({ outbox, report, passes }) => {
      for (let n = 0; n < 50; n += 1) put(outbox, `s${n}`, 10)
      for (let n = 0; n < 7; n += 1) lose(outbox, `large${n}`)
      outbox.purge(MATCHES_ONLY, 1_000)
      passes(10 * MINUTE_MS)
      await report('up')
    })
    assert.equal(await published(), { withheld: 50, lost: 7 })
    for (let start = 0; start < 3; start += 1) {
      await inProcess(async ({ report, passes }) => {
        passes(10 * MINUTE_MS)
        await report('up')
      })
    }
    assert.equal(await published(), { withheld: 50, lost: 7 })
  })
})

test('what a process could not report before its end is published by the next that has a link', async () => {
  await inWorld(async ({ inProcess, published }) => {
    await inProcess(async ({ outbox, report, passes }) => {
      lose(outbox, 'a')
      passes(10 * MINUTE_MS)
      await report('up')
      put(outbox, 'b', 10)
      passes(MINUTE_MS)
      await report('down')
    })
    await inProcess(async ({ outbox, report, passes }) => {
      // As retention does at once, before there is a link.
      outbox.purge(MATCHES_ONLY, 1_000)
      lose(outbox, 'c')
      passes(MINUTE_MS)
      await report('down')
    })
    assert.equal(await published(), { withheld: 0, lost: 1 })
    await inProcess(async ({ report, passes }) => {
      passes(20 * MINUTE_MS)
      await report('up')
      passes(MINUTE_MS)
      await report('up')
    })
    assert.equal(await published(), { withheld: 1, lost: 2 })
  })
})

test.run()

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, systemClock } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import { edgeConfigSchema, resolvePaths } from './config.ts'
import { type HealthDeps, runHealth, STATUS_MS, writeStatusFile } from './health.ts'

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-health-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const none = { expired: 0, dropped: 0, matchedLate: 0 }
function healthDeps(clock: Clock, connected: boolean, published: string[]): HealthDeps {
  const pipeline = { read: 3, still: 1, rejected: 0, failed: 0, made: 2, matched: 1, withheld: 0 }
  const outbox = { evictedCrops: 0, evictedSightings: 0, expired: 0, withheld: 0, lost: 0 }
  return {
    cameraId: 'north-1',
    pipeline: { counters: pipeline as HealthDeps['pipeline']['counters'] },
    source: { dropped: 0, rejected: 0 },
    vision: { restarts: 0, picture: null },
    rate: { latest: null, measure() {} },
    settings: { inForce: { version: 7, trial: false, changed: [] } },
    device: { latest: null, look: async () => {} } as unknown as HealthDeps['device'],
    outbox: {
      ...{ rows: 5, bytes: 100 },
      oldestBornAtMs: () => null,
      counters: () => outbox,
      reportCounters: () => outbox,
    },
    memory: { held: 0, bytes: 0, counters: none as HealthDeps['memory']['counters'] },
    hotlists: { status: () => [] },
    uplink: { sessionId: 's', connected, publishHealth: (bytes) => void published.push(String(bytes)) },
    clockState: { state: 'synced', agingMs: () => clock.nowMs() },
    clock,
    log: silentLog,
    startedAtMs: 0,
  }
}

test('the status file holds the health report and whether the broker is connected, and is whole', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'status.json')
    for (const connected of [false, true]) {
      await writeStatusFile(file, healthDeps(systemClock, connected, []))
      const status = JSON.parse(readFileSync(file, 'utf8')) as { connected: boolean; frames: { read: number } }
      assert.is(status.connected, connected)
      assert.is(status.frames.read, 3)
    }
    assert.equal(readdirSync(folder), ['status.json'])
  }))

test('a status file that cannot be written ends nothing', () =>
  inFolder(async (folder) => {
    await writeStatusFile(join(folder, 'missing', 'status.json'), healthDeps(systemClock, true, []))
  }))

test('it is written every few seconds, however seldom the cloud is told, and while nobody is connected; without a name there is none', () =>
  inFolder(async (folder) => {
    for (const statusFile of [join(folder, 'status.json'), null]) {
      const stop = new AbortController()
      const published: string[] = []
      const slept: number[] = []
      const healthIntervalMs = 3_600_000
      const clock: Clock = {
        ...systemClock,
        async sleep(ms, signal) {
          slept.push(ms)
          if (ms === healthIntervalMs && statusFile !== null)
            return new Promise((_, reject) => signal?.addEventListener('abort', reject, { once: true }))
          if (statusFile !== null) {
            assert.ok(existsSync(statusFile))
            rmSync(statusFile)
          }
          if (slept.length === 4 || statusFile === null) stop.abort()
        },
      }
      await runHealth(healthDeps(clock, true, published), { healthIntervalMs, statusFile }, stop.signal)
      assert.equal(
        slept.toSorted((a, b) => a - b),
        [...(statusFile === null ? [] : [STATUS_MS, STATUS_MS, STATUS_MS]), healthIntervalMs],
      )
      assert.is(published.length, 1)
    }
    assert.equal(readdirSync(folder), [])
  }))

test('a relative status file stands in the folder that systemd gives the process, else beside the configuration', () => {
  const config = edgeConfigSchema.parse({
    ...{ agency: 'a', cameraId: 'c', broker: { url: 'mqtts://h:1' }, statusFile: 'status.json' },
    source: { kind: 'replay', path: 'frames' },
  })
  assert.is(resolvePaths(config, '/etc/c', null, '/run/c').statusFile, '/run/c/status.json')
  assert.is(resolvePaths(config, '/etc/c', null).statusFile, '/etc/c/status.json')
  assert.is(resolvePaths({ ...config, statusFile: null }, '/etc/c', null, '/run/c').statusFile, null)
})

test.run()

/** A camera under the three-minute profile: the whole of it (`runEdge`, with its real vision process), against the real cloud. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { changeTo, getProfile } from '../../cloud/policy/profile.ts'
import {
  AGENCY,
  createMovableClock,
  filesWith,
  inCloud,
  type MovableClock,
  type TestCloud,
  until,
} from '../../cloud/testing.ts'
import { loadEdgeConfig } from '../../edge/config.ts'
import { type RunningEdge, runEdge, systemDeps } from '../../edge/main.ts'
import { FORGET_EVERY_MS } from '../../edge/memory.ts'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { enrol, query } from '../trial/link-testing.ts'

const SCENES = fileURLToPath(new URL('../sample-scenes/pictures/', import.meta.url))
const PLATES = readFileSync(join(SCENES, 'labels.tsv'), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t').at(-1) ?? '')
const LISTED = 'KLH4N93'
const UNLISTED = PLATES.filter((plate) => plate !== LISTED)
const THREE_MINUTES_MS = 3 * MINUTE_MS

interface World {
  cloud: TestCloud
  camera: RunningEdge
  clock: MovableClock
  data: string
  logLines: string[]
}

/** Runs with `policy` set before the first frame, as `candor camera add` leaves it: in edge.json, and signed at the cloud. */
async function withCamera(link: 'linked' | 'alone', work: (world: World) => Promise<void>): Promise<void> {
  const clock = createMovableClock()
  await inCloud(
    async (cloud) => {
      const { policy } = cloud.cloud.parts
      await policy.change(1, changeTo(getProfile('new-hampshire')), 'ada')
      await cloud.importList('stolen', [LISTED])
      const folder = await enrol(cloud, 'north')
      const { upload, unmatchedInMemory, retention } = policy.current()
      const { quarantineDays: _, ...kept } = retention
      const file = join(folder, 'edge.json')
      const config = {
        ...{ agency: AGENCY, cameraId: 'north', source: { kind: 'replay', path: SCENES }, assumeClockSynced: true },
        broker: { url: `mqtts://localhost:${link === 'linked' ? cloud.cloud.mqttPort : 1}` },
        ...{ upload, unmatchedInMemory, retention: kept, healthIntervalMs: 100, vision: { frameTimeoutMs: 120_000 } },
      }
      writeFileSync(file, JSON.stringify(config))
      const logLines: string[] = []
      const log = createLog({ level: 'debug', part: 'edge', target: { write: (line) => logLines.push(line) } })
      const data = join(folder, 'data')
      mkdirSync(data, { recursive: true })
      const deps = { ...systemDeps(log), clock }
      const camera = await runEdge(loadEdgeConfig(file, null), deps, new AbortController().signal)
      try {
        await work({ cloud, camera, clock, data, logLines })
      } finally {
        await camera.close()
      }
    },
    {},
    {},
    clock,
  )
}

/** The files below `folder` in which one of the texts stands, as raw bytes. */
function filesHolding(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const file = join(folder, name)
    if (!statSync(file).isFile()) return false
    const bytes = readFileSync(file)
    return texts.some((text) => bytes.includes(text))
  })
}

/** Rows that the outbox ever had, gone or not: rows are numbered for good. */
function rowsEver(data: string): number {
  const outbox = openDatabase(join(data, 'outbox.db'), { readonly: true })
  try {
    const seq = outbox.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").pluck().get()
    return (seq as number | undefined) ?? 0
  } finally {
    outbox.close()
  }
}

test('what meets no list is on no disk of camera or cloud, in no log, and gone after three minutes; what meets one arrives', async () => {
  await withCamera('linked', async ({ cloud, camera, clock, data, logLines }) => {
    await camera.sourceEnded
    // The list may have come after the first plates: what waits for it is held.
    await until('the listed one has arrived', () => query(cloud, 'SELECT 1 FROM alerts').length === 1)
    await until('its rows have left', () => camera.health().outbox.rows === 0)
    const { memory, sightings, outbox } = camera.health()
    assert.equal([memory.held, sightings.made, sightings.matched], [UNLISTED.length, PLATES.length, 1])
    assert.equal([outbox.rows, sightings.withheld, memory.dropped], [0, 0, 0])
    // A preview, a final and a picture at the most.
    const ever = rowsEver(data)
    assert.ok(ever >= 2 && ever <= 3, `${ever} rows`)
    const stored = query<{ plate: string }>(cloud, 'SELECT DISTINCT plate FROM sightings').map(({ plate }) => plate)
    assert.equal(stored, [LISTED])
    assert.equal(filesHolding(data, UNLISTED), [])
    for (const plate of UNLISTED) assert.equal(filesWith(cloud.databaseFile, plate), [])
    assert.is(query(cloud, 'SELECT 1 FROM quarantine').length, 0)
    assert.ok(!logLines.some((line) => UNLISTED.some((plate) => line.includes(plate))))

    clock.advance(THREE_MINUTES_MS - 2 * MINUTE_MS)
    await new Promise((resolve) => setTimeout(resolve, 2 * FORGET_EVERY_MS))
    assert.is(camera.health().memory.held, UNLISTED.length, 'within three minutes')
    clock.advance(2 * MINUTE_MS + SECOND_MS)
    await until('they are forgotten', () => camera.health().memory.held === 0)
    assert.equal(camera.health().memory.expired, UNLISTED.length)
    assert.equal(camera.health().memory.bytes, 0)
    assert.is(rowsEver(data), ever)
    assert.equal(filesHolding(data, UNLISTED), [])
  })
})

test('a camera that has neither list nor policy nor link yet obeys the policy of its enrolment: nothing is stored at all', async () => {
  await withCamera('alone', async ({ camera, data, logLines }) => {
    await camera.sourceEnded
    assert.equal([camera.policyVersion, camera.health().memory.held], [0, PLATES.length])
    assert.equal([rowsEver(data), filesHolding(data, PLATES)], [0, []])
    assert.ok(!logLines.some((line) => PLATES.some((plate) => line.includes(plate))))
  })
})

test.run()

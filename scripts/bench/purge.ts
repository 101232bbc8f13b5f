/**
 * `candor bench purge`: does forgetting millions of reads hold up ingest? The real cloud as a process of its own, its database filled with
 * sightings that a change of the policy makes expire, and cameras that publish at a steady rate before, during and after the purge.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request } from 'node:https'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SingleBar } from 'cli-progress'
import type { MqttClient } from 'mqtt'
import { z } from 'zod'
import { newId } from '../../shared/ids.ts'
import { createLog } from '../../shared/log.ts'
import { confusableKey } from '../../shared/plate.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { topics } from '../../shared/topics.ts'
import { openTrialCloud } from '../trial/cloud.ts'
import { startCloudProcess, stopProcess } from '../trial/processes.ts'
import { quantile, seeded } from './statistics.ts'
import { type BenchCamera, connectCamera, enrolCameras, sightingOf } from './traffic.ts'

const AGENCY = 'bench'
const CAMERAS = 10
/** Sightings stored in one transaction while the database is filled. */
const FILL_STEP = 5_000
const DAY_MS = 86_400_000
/** Age of what is to be purged; the policy keeps 30 days at first, then one. */
const AGE_MS = 2 * DAY_MS
const POLL_MS = 500
const WARM_UP_MS = 3_000
/** A purge that has not begun by then never will; it is looked for once a minute. */
const BEGIN_WITHIN_MS = 180_000

interface Phase {
  seconds: number
  published: number
  p50Ms: number
  p99Ms: number
  longestMs: number
  /** Longest delay of the cloud's event loop, of each half second; the 99th percentile of those, and the longest. */
  loopDelayP99Ms: number
  loopDelayMaxMs: number
}

interface Report {
  rows: number
  ratePerSecond: number
  fillSeconds: number
  before: Phase
  during: Phase
  after: Phase
  /** p99 during / before. */
  p99Ratio: number
  purgeSeconds: number
  rowsPerSecond: number
  fileBytesBefore: number
  fileBytesAfter: number
  freePagesAfter: number
  load: number[]
}

export async function run(options: { rows: number; rate: number; seconds: number; json?: boolean }): Promise<void> {
  const { rows, rate, seconds } = options
  const say = (text: string) => process.stderr.write(`${text}\n`)
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const databaseFile = join(folder, 'data', 'candor.db')
  const children: ChildProcess[] = []
  try {
    const { cameras, token } = await prepare(folder)
    const startMs = performance.now()
    await fill(databaseFile, rows)
    const fillSeconds = (performance.now() - startMs) / 1_000
    const { mqttPort, https } = await startCloudProcess(folder, children)
    const caPem = await readFile(join(folder, 'data', 'authority', 'ca.pem'), 'utf8')
    const clients = await Promise.all(cameras.map((camera) => connectCamera(AGENCY, camera, mqttPort)))
    const traffic = startTraffic(cameras, clients, rate)
    try {
      const watch = () => readMetrics(https.origin, caPem)
      await sleep(WARM_UP_MS)
      say(`before: ${seconds} s at ${rate} sightings a second`)
      const before = await traffic.phase(watch, async (elapsedMs) => elapsedMs >= seconds * 1_000)
      const fileBytesBefore = (await stat(databaseFile)).size
      await expire(https, token)
      say('the policy keeps one day now; the purge begins within a minute')
      const waitedMs = performance.now()
      while ((await watch()).purged === 0) {
        if (performance.now() - waitedMs > BEGIN_WITHIN_MS) throw new Error('the purge never began')
        await sleep(100)
      }
      const bar = new SingleBar({ format: 'purged {bar} {value}/{total}', stream: process.stderr })
      bar.start(rows, 0)
      const beganMs = performance.now()
      const during = await traffic.phase(watch, async (_elapsedMs, { purged }) => {
        bar.update(Math.min(purged, rows))
        return purged >= rows
      })
      const purgeSeconds = (performance.now() - beganMs) / 1_000
      bar.stop()
      say(`after: ${seconds} s`)
      const after = await traffic.phase(watch, async (elapsedMs) => elapsedMs >= seconds * 1_000)
      await traffic.stop()
      await Promise.all(clients.map((client) => client.endAsync()))
      await Promise.all(children.map(stopProcess))
      const report: Report = {
        ...{ rows, ratePerSecond: rate, fillSeconds, before, during, after, purgeSeconds, fileBytesBefore },
        p99Ratio: during.p99Ms / before.p99Ms,
        rowsPerSecond: Math.round(rows / purgeSeconds),
        fileBytesAfter: (await stat(databaseFile)).size,
        freePagesAfter: freePages(databaseFile),
        load: loadavg(),
      }
      if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
      else print(report)
    } finally {
      await traffic.stop()
      await Promise.all(clients.map((client) => client.endAsync(true)))
    }
  } finally {
    await Promise.all(children.map(stopProcess))
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

async function prepare(folder: string): Promise<{ cameras: BenchCamera[]; token: string }> {
  const trial = await openTrialCloud(folder, AGENCY, createLog({ level: 'error', part: 'bench' }))
  try {
    return { cameras: await enrolCameras(trial, CAMERAS), token: trial.administratorToken }
  } finally {
    await trial.cloud.close()
  }
}

/** Sightings as ingest stores them, two days old. */
async function fill(databaseFile: string, rows: number): Promise<void> {
  const bar = new SingleBar({ format: 'stored {bar} {value}/{total}', stream: process.stderr })
  bar.start(rows, 0)
  const database = openDatabase(databaseFile)
  try {
    // Thrown away when it fails: it need not survive a power cut.
    database.pragma('synchronous = OFF')
    const insert = database.prepare(
      `INSERT INTO sightings (camera_id, sighting_id, revision, payload_sha256, seen_at_ms, received_at_ms, retained_from_ms, clock_trusted,
        plate, confusable_key, matched, match_disagreed, crop_sha256, document) VALUES (?, ?, 1, ?, ?, ?, ?, 1, ?, ?, 0, 0, NULL, ?)`,
    )
    const random = seeded(1)
    const firstMs = Date.now() - AGE_MS - rows
    const store = database.transaction((from: number, to: number) => {
      for (let i = from; i < to; i += 1) {
        const plate = `${Math.floor(random() * 36 ** 7).toString(36)}`.toUpperCase().padStart(7, 'A')
        const atMs = firstMs + i
        const sighting = { ...sightingOf(`camera-${i % CAMERAS}`, plate), sightingId: newId(), capturedAtMs: atMs }
        const document = JSON.stringify(sighting)
        const digest = sha256Hex(Buffer.from(document))
        insert.run(
          sighting.cameraId,
          sighting.sightingId,
          digest,
          atMs,
          atMs,
          atMs,
          plate,
          confusableKey(plate),
          document,
        )
      }
    })
    for (let from = 0; from < rows; from += FILL_STEP) {
      store(from, Math.min(rows, from + FILL_STEP))
      bar.update(from)
      await sleep(0)
    }
  } finally {
    database.close()
    bar.stop()
  }
}

async function expire(https: { call(method: string, path: string, options: object): Promise<unknown> }, token: string) {
  const known = z.object({ policy: z.object({ version: z.int(), retention: z.record(z.string(), z.number()) }) })
  const { policy } = known.parse(await https.call('GET', '/api/v1/policy', { token }))
  const json = { version: policy.version, retention: { ...policy.retention, unmatchedDays: 1 } }
  await https.call('PATCH', '/api/v1/policy', { token, json })
}

interface Watched {
  purged: number
  loopDelayMaxMs: number
}

/** Of the cloud, since it was asked the last time. */
async function readMetrics(origin: string, caPem: string): Promise<Watched> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(new URL('/metrics', origin), { ca: caPem }, (reply) => {
      let answer = ''
      reply.setEncoding('utf8')
      reply.on('data', (chunk: string) => {
        answer += chunk
      })
      reply.once('end', () => resolve(answer))
      reply.once('error', reject)
    })
    asked.once('error', reject)
    asked.end()
  })
  const value = (name: string) => {
    const line = text.split('\n').find((one) => one.startsWith(`${name} `))
    return line === undefined ? 0 : Number(line.slice(name.length + 1))
  }
  return {
    purged: value('candor_purged_total{table="unmatched"}'),
    loopDelayMaxMs: value('candor_nodejs_eventloop_lag_max_seconds') * 1_000,
  }
}

/** Publishes at a steady rate, whatever the acknowledgements do: a cloud that stalls must not be asked less. */
function startTraffic(cameras: readonly BenchCamera[], clients: readonly MqttClient[], rate: number) {
  let running = true
  let latencies: number[] = []
  const inFlight = new Set<Promise<void>>()
  const publish = (index: number) => {
    const camera = cameras[index % cameras.length] as BenchCamera
    const client = clients[index % clients.length] as MqttClient
    const startMs = performance.now()
    const sent = client
      .publishAsync(topics.sightings(AGENCY, camera.name), JSON.stringify(sightingOf(camera.name)), { qos: 1 })
      .then(() => {
        latencies.push(performance.now() - startMs)
      })
    inFlight.add(sent)
    void sent.finally(() => inFlight.delete(sent)).catch(() => {})
  }
  const loop = (async () => {
    const startMs = performance.now()
    for (let sent = 0; running; ) {
      const due = Math.floor(((performance.now() - startMs) / 1_000) * rate)
      for (; sent < due; sent += 1) publish(sent)
      await sleep(2)
    }
  })()
  return {
    async phase(
      watch: () => Promise<Watched>,
      isOver: (elapsedMs: number, watched: Watched) => Promise<boolean>,
    ): Promise<Phase> {
      await watch()
      latencies = []
      const startMs = performance.now()
      const delays: number[] = []
      for (;;) {
        await sleep(POLL_MS)
        const watched = await watch()
        delays.push(watched.loopDelayMaxMs)
        if (await isOver(performance.now() - startMs, watched)) break
      }
      const measured = latencies
      return {
        seconds: (performance.now() - startMs) / 1_000,
        published: measured.length,
        p50Ms: quantile(measured, 0.5),
        p99Ms: quantile(measured, 0.99),
        longestMs: quantile(measured, 1),
        loopDelayP99Ms: quantile(delays, 0.99),
        loopDelayMaxMs: quantile(delays, 1),
      }
    },
    async stop() {
      running = false
      await loop
      await Promise.allSettled(inFlight)
    },
  }
}

function freePages(databaseFile: string): number {
  const database = openDatabase(databaseFile, { readonly: true })
  try {
    return Number(database.pragma('freelist_count', { simple: true }))
  } finally {
    database.close()
  }
}

function print(report: Report): void {
  const megabytes = (bytes: number) => (bytes / 1_000_000).toFixed(0)
  const line = (name: string, phase: Phase) =>
    `  ${name.padEnd(7)} ${phase.p50Ms.toFixed(1)}, ${phase.p99Ms.toFixed(1)}, ${phase.longestMs.toFixed(0)} ms of ${phase.published}; ` +
    `event loop delayed at most ${phase.loopDelayMaxMs.toFixed(0)} ms\n`
  process.stdout.write(
    `${report.rows} expired sightings, ${report.ratePerSecond} new ones a second over MQTT and TLS; publish to acknowledgement: median, 99th percentile, longest\n` +
      line('before', report.before) +
      line('during', report.during) +
      line('after', report.after) +
      `  99th percentile during / before: ${report.p99Ratio.toFixed(2)}\n` +
      `  purged in ${report.purgeSeconds.toFixed(0)} s, ${report.rowsPerSecond} rows a second; load ${report.load.map((one) => one.toFixed(1)).join(', ')}\n` +
      `  file ${megabytes(report.fileBytesBefore)} MB before, ${megabytes(report.fileBytesAfter)} MB after, ${report.freePagesAfter} pages of it free for new rows\n`,
  )
}

/**
 * `candor bench outbox`: does a camera unit that has no link for a week keep everything, what does that cost the card, and in which order
 * does it leave? The real outbox, sealing as a camera does, at ten times the traffic of a camera of the reference city. Prints figures.
 */
import { randomFillSync } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SingleBar } from 'cli-progress'
import { edgeConfigSchema } from '../../edge/config.ts'
import { type Cutoffs, type Outbox, openOutbox } from '../../edge/outbox/outbox.ts'
import { PURGE_INTERVAL_MS } from '../../edge/retention.ts'
import { DAY_MS } from '../../shared/clock.ts'
import { createSealer, newSealingKeyPem } from '../../shared/sealing.ts'
import { CITY_CAMERAS, CITY_DAYS } from './search/city.ts'
import { seeded } from './statistics.ts'
import { sightingOf } from './traffic.ts'

/** Vehicles of the reference city in CITY_DAYS, and those of them on a list (September 2024). */
const CITY_VEHICLES = 2_077_502
const CITY_HITS = 86_069
const TIMES = 10
const IN_FLIGHT = 20
const NO_CUTOFFS: Cutoffs = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: true }
const MEGABYTE = 1_000_000

/** Handed to the storage layer by this process so far, bytes [proc(5), /proc/pid/io]; null: this kernel does not tell. */
async function written(): Promise<number | null> {
  const text = await readFile('/proc/self/io', 'utf8').catch(() => '')
  const found = /^write_bytes: (\d+)$/m.exec(text)
  return found === null ? null : Number(found[1])
}

export interface OutboxOptions {
  days: number
  crop: number
  folder?: string
  json?: boolean
}

export async function run(options: OutboxOptions): Promise<void> {
  // Not the folder for temporary files, which may be memory.
  const parent = options.folder ?? fileURLToPath(new URL('../../', import.meta.url))
  const folder = await mkdtemp(join(parent, '.candor-bench-outbox-'))
  const perDay = Math.round((CITY_VEHICLES / CITY_DAYS / CITY_CAMERAS) * TIMES)
  const count = Math.round(perDay * options.days)
  const { maxRows, maxBytes } = edgeConfigSchema.shape.outbox.parse({})
  const sealer = createSealer(newSealingKeyPem().publicKeyPem)
  let nowMs = Date.UTC(2026, 10, 1)
  const outbox = openOutbox({
    ...{ file: join(folder, 'outbox.db'), maxRows, maxBytes, clock: { nowMs: () => Math.round(nowMs) } },
    seal: (kind, sightingId, bytes) => sealer.seal(bytes, `${kind}/${sightingId}`),
  })
  try {
    const filled = await fill(outbox, {
      count,
      everyMs: DAY_MS / perDay,
      cropBytes: options.crop,
      pass: (ms) => (nowMs += ms),
    })
    const { size } = await stat(join(folder, 'outbox.db'))
    const { rows, bytes } = outbox
    const { evictedCrops, evictedSightings, lost } = outbox.counters()
    const drained = await drain(outbox)
    const report: Report = {
      ...{ days: options.days, perDay, vehicles: count, rows, bytes, fileBytes: size, maxRows, maxBytes },
      dropped: { crops: evictedCrops, sightings: evictedSightings, lost },
      ...{ filled, drained, load: loadavg().map((one) => Math.round(one * 10) / 10) },
    }
    if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else print(report)
  } finally {
    outbox.close()
    await rm(folder, { recursive: true, force: true })
  }
}

interface Filled {
  seconds: number
  payloadBytes: number
  diskBytes: number | null
  /** Bytes that reach the disk for each byte that is kept. */
  amplification: number | null
}

async function fill(
  outbox: Outbox,
  { count, everyMs, cropBytes, pass }: { count: number; everyMs: number; cropBytes: number; pass(ms: number): number },
): Promise<Filled> {
  const random = seeded(5)
  const bar = new SingleBar({ format: 'stored {bar} {value}/{total}', stream: process.stderr })
  bar.start(count, 0)
  const startMs = performance.now()
  const before = await written()
  let payloadBytes = 0
  let sinceCheckpointMs = 0
  for (let i = 0; i < count; i += 1) {
    pass(everyMs)
    sinceCheckpointMs += everyMs
    const sighting = sightingOf('north-1')
    const payload = Buffer.from(JSON.stringify(sighting))
    // A picture does not compress, and no two are the same.
    const crop = randomFillSync(Buffer.alloc(Math.round(cropBytes * (0.75 + 0.5 * random()))))
    payloadBytes += payload.length + crop.length
    const matched = random() < CITY_HITS / CITY_VEHICLES
    outbox.put(
      {
        sightingId: sighting.sightingId,
        revision: 1,
        matched,
        capturedAtMs: Math.round(pass(0)),
        clock: 'synced',
        payload,
      },
      crop,
    )
    // As the camera's retention does.
    if (sinceCheckpointMs >= PURGE_INTERVAL_MS) {
      outbox.checkpoint()
      sinceCheckpointMs = 0
    }
    if (i % 500 === 0) {
      bar.update(i)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  outbox.checkpoint()
  bar.update(count)
  bar.stop()
  const after = await written()
  const diskBytes = before === null || after === null ? null : after - before
  return {
    ...{ seconds: (performance.now() - startMs) / 1_000, payloadBytes, diskBytes },
    amplification: diskBytes === null ? null : diskBytes / payloadBytes,
  }
}

interface Drained {
  seconds: number
  rows: number
  /** How many left before the first that is less important. */
  matchedFirst: number
  /** Rows that left before a more important one. */
  outOfOrder: number
  diskBytes: number | null
}

/** As the uplink takes them, acknowledged at once. */
async function drain(outbox: Outbox): Promise<Drained> {
  const startMs = performance.now()
  const before = await written()
  const rankOf = (row: { matched: boolean; kind: string }) => (row.matched ? 0 : 2) + (row.kind === 'crop' ? 1 : 0)
  let [rows, matchedFirst, outOfOrder, last] = [0, 0, 0, 0]
  for (;;) {
    const some = outbox.oldest(IN_FLIGHT, new Set(), NO_CUTOFFS, false)
    if (some.length === 0) break
    for (const row of some) {
      const rank = rankOf(row)
      if (rank < last) outOfOrder += 1
      if (row.matched && last < 2) matchedFirst += 1
      last = Math.max(last, rank)
    }
    rows += some.length
    outbox.remove(some.map(({ rowId }) => rowId))
    await new Promise((resolve) => setImmediate(resolve))
  }
  outbox.checkpoint()
  const after = await written()
  const diskBytes = before === null || after === null ? null : after - before
  return { seconds: (performance.now() - startMs) / 1_000, rows, matchedFirst, outOfOrder, diskBytes }
}

interface Report {
  days: number
  perDay: number
  vehicles: number
  rows: number
  bytes: number
  fileBytes: number
  maxRows: number
  maxBytes: number
  dropped: { crops: number; sightings: number; lost: number }
  filled: Filled
  drained: Drained
  load: number[]
}

function print(report: Report): void {
  const { filled, drained, dropped } = report
  const mb = (bytes: number | null) => (bytes === null ? 'unknown' : `${(bytes / MEGABYTE).toFixed(0)} MB`)
  console.log(
    `${report.days} days without a link at ${report.perDay} vehicles a day (${TIMES} times a camera of the reference city); load ${report.load.join(', ')}
  kept       ${report.rows} rows (at most ${report.maxRows}), ${mb(report.bytes)} (at most ${mb(report.maxBytes)}), file ${mb(report.fileBytes)}
  dropped    ${dropped.crops} pictures, ${dropped.sightings} sightings, ${dropped.lost} lost
  written    ${mb(filled.diskBytes)} for ${mb(filled.payloadBytes)} of sightings and pictures: ${filled.amplification?.toFixed(2) ?? 'unknown'} times; ${filled.seconds.toFixed(0)} s
  left       ${drained.rows} rows in ${drained.seconds.toFixed(0)} s, ${drained.matchedFirst} of matches first, ${drained.outOfOrder} before a more important one; written ${mb(drained.diskBytes)}`,
  )
}

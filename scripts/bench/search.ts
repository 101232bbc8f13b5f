/**
 * `candor bench search`: how long searches of every kind take among so many sightings of an invented city, what the indexes cost on
 * disk and at ingest, and what the obvious ways would take. Prints figures; `--keep FOLDER` keeps and reuses the databases.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fillCity } from './search/fill.ts'
import {
  type KindScore,
  measureIngest,
  measureKinds,
  measurePeers,
  type PeerScore,
  type SizeScore,
  sizesOf,
} from './search/measure.ts'
import { kindsOf } from './search/queries.ts'

const MEGABYTE = 1_000_000
/** The newest sighting: figures that are measured again are of the same rows. */
const END_MS = Date.UTC(2026, 10, 28)
/** Of each kind. */
const QUERIES = 100

export interface SearchOptions {
  rows: string
  keep?: string
  only?: string
  json?: boolean
}

interface Score {
  rows: number
  bytes: number
  sizes: SizeScore[]
  /** The upgrade of a database that has no indexes of searches yet; null: the file was there already. */
  migrationMs: number | null
  kinds: KindScore[]
  peers: PeerScore[] | null
  trigramBytes: number | null
  /** Processor time a sighting, microseconds: before, and with all that searches need. */
  ingestUs: { before: number; after: number } | null
  load: number[]
}

export async function run(options: SearchOptions): Promise<void> {
  const say = (text: string) => process.stderr.write(`${text}\n`)
  const folder = options.keep ?? (await mkdtemp(join(tmpdir(), 'candor-bench-search-')))
  mkdirSync(folder, { recursive: true })
  const parts = (options.only ?? 'kinds,peers,ingest').split(',')
  const scores: Score[] = []
  try {
    for (const rows of options.rows.split(',').map(Number)) {
      say(`${rows} sightings`)
      const path = join(folder, `city-${rows}.db`)
      const { migrationMs } = await fillCity(path, rows, END_MS, say)
      const sizes = sizesOf(path)
      const kinds = kindsOf(rows, END_MS, QUERIES)
      const measured = parts.includes('kinds') ? await measureKinds(path, END_MS, kinds) : []
      const peers = parts.includes('peers') ? measurePeers(path, kinds, say) : null
      const score: Score = {
        ...{ rows, bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0), sizes, migrationMs, kinds: measured },
        ...{ peers: peers?.scores ?? null, trigramBytes: peers?.trigramBytes ?? null },
        ingestUs: parts.includes('ingest') ? await ingest(path, rows, say) : null,
        load: loadavg().map((load) => Math.round(load * 10) / 10),
      }
      scores.push(score)
      if (options.json !== true) print(score)
    }
    if (options.json === true) process.stdout.write(`${JSON.stringify(scores, null, 2)}\n`)
  } finally {
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true })
  }
}

/** On a copy: what is kept stays as it was. */
async function ingest(
  path: string,
  rows: number,
  say: (text: string) => void,
): Promise<{ before: number; after: number }> {
  say('ingest, on a copy')
  const copy = `${path}.ingest`
  copyFileSync(path, copy)
  try {
    const after = await measureIngest(copy, { rows, endMs: END_MS }, true)
    return { before: await measureIngest(copy, { rows, endMs: END_MS }, false), after }
  } finally {
    for (const ending of ['', '-wal', '-shm']) rmSync(copy + ending, { force: true })
  }
}

function print({ rows, bytes, sizes, migrationMs, kinds, peers, trigramBytes, ingestUs, load }: Score): void {
  const mb = (count: number) => `${(count / MEGABYTE).toFixed(0)} MB`
  const pair = ([median, p95]: readonly [number, number]) => `${median.toFixed(1)} (${p95.toFixed(1)})`.padStart(16)
  const lines = [
    `${rows} sightings: ${mb(bytes)} on disk (${sizes.map((one) => `${one.name} ${mb(one.bytes)}`).join(', ')}); load ${load.join(', ')}`,
    ...(migrationMs === null
      ? []
      : [`  upgrade of a database without these indexes: ${(migrationMs / 1_000).toFixed(0)} s`]),
    `  ${'ms: median (95th percentile)'.padEnd(32)}${'first'.padStart(16)}${'again'.padStart(16)}${'found'.padStart(8)}  cut`,
    ...kinds.map(
      (one) =>
        `  ${one.kind.padEnd(32)}${pair(one.coldMs)}${pair(one.warmMs)}${String(one.found).padStart(8)}  ${one.truncated} of ${one.queries}`,
    ),
    ...(peers ?? []).map((peer) => {
      const warm = kinds.find(({ kind }) => kind === peer.kind)?.warmMs[0]
      const times = (ms: number) => (warm === undefined ? '' : ` (${(ms / warm).toFixed(1)} times)`)
      const trigram = peer.trigramMs === null ? 'no use' : `${peer.trigramMs.toFixed(1)} ms${times(peer.trigramMs)}`
      return `  peers, ${peer.kind.padEnd(28)} LIKE over all ${peer.likeMs.toFixed(0)} ms${times(peer.likeMs)}; FTS5 trigram ${trigram}`
    }),
    ...(trigramBytes === null ? [] : [`  FTS5 trigram index: ${mb(trigramBytes)}`]),
    ...(ingestUs === null
      ? []
      : [
          `  storing a sighting, processor time: ${ingestUs.before.toFixed(1)} µs before, ${ingestUs.after.toFixed(1)} µs with the indexes of searches`,
        ]),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

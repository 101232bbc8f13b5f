/** `candor bench matching`: what a list of so many entries costs on a camera, and what near matching gains and costs on real reads. */
import { fileURLToPath } from 'node:url'
import { AppError } from '../../shared/errors.ts'
import { type DeliveryScore, measureDelivery } from './matching/delivery.ts'
import { measureReads, type ReadsScore } from './matching/reads.ts'
import { measureStore, type StoreScore } from './matching/store.ts'
import { measureSync, type SyncScore } from './matching/sync.ts'

const SIZES = [1_000, 100_000, 1_000_000] as const
/** Plates on the list beside the true ones of the pictures. */
const OTHERS = 100_000
const SCENES = fileURLToPath(new URL('../sample-scenes/pictures', import.meta.url))
const MEGABYTE = 1_000_000
const PARTS = ['stores', 'sync', 'reads', 'delivery'] as const
type Part = (typeof PARTS)[number]

export interface MatchingOptions {
  plates?: string
  entries: number
  only?: string
  json?: boolean
}

interface Report {
  stores: StoreScore[]
  sync: SyncScore | null
  reads: ReadsScore | null
  delivery: DeliveryScore | null
}

export async function run(options: MatchingOptions): Promise<void> {
  const say = (text: string) => process.stderr.write(`${text}\n`)
  const parts = chosen(options.only)
  const stores: StoreScore[] = []
  for (const size of parts.includes('stores') ? SIZES.filter((one) => one <= options.entries) : []) {
    say(`a list of ${size} entries`)
    stores.push(await measureStore(size))
  }
  let sync: SyncScore | null = null
  if (parts.includes('sync')) {
    say(`${options.entries} entries from a file to a camera`)
    sync = await measureSync(options.entries, SCENES)
  }
  const folder = options.plates ?? process.env.CANDOR_PLATES ?? null
  const reads =
    folder === null || !parts.includes('reads')
      ? null
      : await measureReads(folder, OTHERS, (done, all) => {
          if (done % 50 === 0) say(`pictures ${done}/${all}`)
        })
  let delivery: DeliveryScore | null = null
  if (parts.includes('delivery')) {
    say('from publishes to officers')
    delivery = await measureDelivery()
  }
  const report: Report = { stores, sync, reads, delivery }
  if (options.json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else print(report)
}

function chosen(only: string | undefined): readonly Part[] {
  const names = only?.split(',') ?? PARTS
  const unknown = names.find((name) => !(PARTS as readonly string[]).includes(name))
  if (unknown !== undefined) throw new AppError('bad_input', `${unknown} is no part; there are ${PARTS.join(', ')}`)
  return names as readonly Part[]
}

function print({ stores, sync, reads, delivery }: Report): void {
  const lines: string[] = []
  for (const store of stores) {
    const [exact, near] = [store.exactUs, store.nearUs].map(
      ([median, p95]) => `${median.toFixed(1)} (${p95.toFixed(1)})`,
    )
    lines.push(
      `${store.entries} entries`,
      `  listed read, µs (95th percentile)                 ${exact}`,
      `  other read, near, ${store.variants.toFixed(1)} texts looked up, µs         ${near}`,
      `  applied in ${store.applyMs.toFixed(0)} ms; held everything else up for ${store.longestStallMs.toFixed(0)} ms at most`,
      `  file ${(store.fileBytes / MEGABYTE).toFixed(1)} MB; process larger by ${(store.residentBytes / MEGABYTE).toFixed(0)} MB`,
    )
    const { delta } = store
    if (delta === null) continue
    lines.push(
      `  delta of ${delta.changes} changes, ${(delta.bytes / MEGABYTE).toFixed(2)} MB against ${(delta.snapshotBytes / MEGABYTE).toFixed(1)} MB: ` +
        `applied in ${delta.applyMs.toFixed(0)} ms; held everything else up for ${delta.longestStallMs.toFixed(0)} ms at most`,
      `  after it, listed and other read, µs                ${delta.exactUs[0].toFixed(1)}, ${delta.nearUs[0].toFixed(1)}`,
    )
  }
  if (sync !== null) {
    lines.push(
      `${sync.entries} entries: import ${seconds(sync.importMs)} s; then to a camera that follows ${seconds(sync.syncMs)} s, ` +
        `to a new one ${seconds(sync.firstSyncMs)} s (its start included)`,
      `the next version, with 10000 changes: import ${seconds(sync.nextImportMs)} s; then to a camera that follows, by delta, ${seconds(sync.nextSyncMs)} s`,
    )
  }
  if (reads !== null) {
    lines.push(
      `${reads.pictures} real pictures, their plates among ${reads.listed} on the list`,
      `  exact: met ${reads.exactHitPercent.toFixed(1)} %, ${reads.exactFalse} of ${reads.reads} reads met another entry`,
      `  near:  met ${reads.nearHitPercent.toFixed(1)} %, ${reads.nearFalse} of ${reads.reads}`,
    )
  }
  if (delivery !== null) {
    lines.push(
      `publish to officer, ${delivery.listedPerSecond} alerts a second; ms: median, 95th, 99th percentile, longest`,
    )
    for (const one of [delivery.withBackground, delivery.alone]) {
      const figures = (times: readonly number[]) => times.map((ms) => ms.toFixed(1)).join(', ')
      lines.push(
        `  beside ${one.backgroundPerSecond} other sightings a second, ${one.alerts} alerts, load ${one.load.join(', ')}`,
        `    TLS        ${figures(one.tls)}`,
        `    WebSocket  ${figures(one.webSocket)}`,
      )
    }
  }
  process.stdout.write(`${lines.join('\n')}\n`)
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1)

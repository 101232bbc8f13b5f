/**
 * `candor simulate month`: thirty days of the reference city (95 cameras, 2,077,502 vehicles, 86,069 hits, 1,436 searches) through the
 * real parts on a clock that is moved, with a restart, outages, resends and early reads; then the page is published and each of its figures
 * compared with what the simulation counted itself.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cloudConfigSchema } from '../../cloud/config.ts'
import { type RunningCloud, runCloud } from '../../cloud/main.ts'
import { FILES, type Report, reportSchema } from '../../cloud/transparency/document.ts'
import type { ReportFile } from '../../cloud/transparency.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { createLog, type Log } from '../../shared/log.ts'
import { createCity, LISTS } from './city.ts'
import { createMovedClock, type MovedClock } from './clock.ts'
import { compare, type FromLog, type Line } from './compare.ts'
import { Tally } from './tally.ts'

/** Published by the reference city for 30 days, September 2024. */
export const REFERENCE = { cameras: 95, vehicles: 2_077_502, hits: 86_069, searches: 1_436 } as const
const REFUSED = 60
/** Of the reference figures; fewer are simulated with the same traffic a day. */
const MONTH_DAYS = 30
/** Of the days that are simulated, so many are kept: 21 of 30. */
const KEPT_SHARE = 0.7
const START_MS = Date.UTC(2026, 9, 1)
const BATCHES_AN_HOUR = 6
const WAKE_EVERY_MS = 6 * HOUR_MS
const PLATES: Readonly<Record<string, number>> = { stolen: 3_000, wanted: 2_000, amber: 5 }

export interface MonthOptions {
  /** 1: as the reference city. */
  scale: number
  seed: number
  days: number
  /** Keeps the published files there; null: nowhere. */
  out: string | null
  onDay?: (day: number) => void
}

export interface MonthResult {
  lines: Line[]
  /** What was compared. */
  report: Report
  tally: Tally
  fromLog: FromLog
  purgedBeforeMs: number
  elapsedMs: number
}

export async function simulateMonth(options: MonthOptions): Promise<MonthResult> {
  const startedMs = performance.now()
  const { days } = options
  const keptDays = Math.floor(days * KEPT_SHARE)
  const folder = await mkdtemp(join(tmpdir(), 'candor-month-'))
  const clock = createMovedClock(START_MS - HOUR_MS, WAKE_EVERY_MS)
  const log = createLog({ level: 'warn', part: 'month' })
  let cloud = await start(folder, clock, log, keptDays)
  try {
    const tally = new Tally()
    const plates = await importLists(cloud, options.scale)
    const city = createCity({ cloud, clock, tally, plates, seed: options.seed })
    const cameras = Math.max(4, Math.round(REFERENCE.cameras * options.scale))
    for (let i = 0; i <= cameras; i += 1) await city.addCamera()
    for (const camera of city.cameras) await city.goOnline(camera)
    await clock.moveTo(START_MS)
    for (const camera of city.cameras) await city.health(camera, false)
    tally.onlineMs.counts.clear()

    const share = createShares(options.scale, days)
    // Hits for which too few vehicles passed: they come with the next.
    let owed = 0
    const offlineUntil = new Map<string, number>()
    for (let hour = 0; hour < days * 24; hour += 1) {
      const hourMs = START_MS + hour * HOUR_MS
      await clock.moveTo(hourMs)
      if (hour % 24 === 0) options.onDay?.(hour / 24)
      if (hour > 0) for (const camera of city.cameras) await city.health(camera)
      if (hour === Math.floor(days / 3) * 24) await leaveOne(city, tally)
      if (hour === Math.floor((days * 2) / 3) * 24) await changePolicy(cloud, tally)
      if (hour % 24 === 9) await city.review()
      for (let batch = 0; batch < BATCHES_AN_HOUR; batch += 1) {
        await clock.moveTo(hourMs + (batch * 9 + 3) * MINUTE_MS)
        const vehicles = share('vehicles', hour)
        owed += share('hits', hour)
        const hits = Math.min(owed, vehicles)
        owed -= hits
        await city.traffic(vehicles, hits)
        for (let left = share('searches', hour); left > 0; left -= 1) await city.search()
        for (let left = share('refused', hour); left > 0; left -= 1) await city.refusedSearch()
      }
      if (hour === Math.floor(days / 2) * 24 + 12) {
        await cloud.close()
        await clock.moveTo(hourMs + 56 * MINUTE_MS)
        cloud = await start(folder, clock, log, keptDays)
        city.use(cloud)
        for (const camera of city.cameras) if (camera.onlineSinceMs !== null) await city.goOnline(camera)
      }
      await outages(city, hour, offlineUntil)
    }
    const endMs = START_MS + days * DAY_MS
    const purgedBeforeMs = endMs - MINUTE_MS - keptDays * DAY_MS
    await clock.moveTo(endMs - MINUTE_MS)
    await clock.wake()
    await clock.moveTo(endMs)
    for (const camera of city.cameras) {
      await city.health(camera, false)
      tally.registeredMs.add(camera.name, endMs - Math.max(START_MS, camera.addedAtMs))
    }
    await clock.moveTo(endMs + 5 * MINUTE_MS)
    const files = await publish(cloud, days)
    if (options.out !== null) await keep(options.out, files)
    const report = reportSchema.parse(JSON.parse(files.json))
    const fromLog = await readLog(cloud, START_MS, endMs)
    const figures = report.sections.flatMap((section) => section.figures)
    return {
      lines: [...compare(report, tally, purgedBeforeMs, fromLog), ...inEachFile(figures, files)],
      ...{ report, tally, fromLog, purgedBeforeMs, elapsedMs: performance.now() - startedMs },
    }
  } finally {
    await cloud.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

function start(folder: string, clock: MovedClock, log: Log, retentionDays: number): Promise<RunningCloud> {
  const config = cloudConfigSchema.parse({
    ...{ agency: 'reference', dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort: 0 },
    ...{ retentionDays, logLevel: 'warn' },
  })
  return runCloud(config, folder, { clock, log })
}

async function importLists(cloud: RunningCloud, scale: number): Promise<Map<string, string[]>> {
  const plates = new Map<string, string[]>()
  for (const [index, list] of LISTS.entries()) {
    const count = Math.max(5, Math.round((PLATES[list] ?? 0) * Math.min(1, scale * 2)))
    const own = Array.from({ length: count }, (_, i) => `${'KLM'.charAt(index)}${String(i).padStart(5, '0')}`)
    plates.set(list, own)
    const report = await cloud.parts.hotlists.import({
      ...{ list, settings: { groups: ['patrol'], source: 'ncic' as const, maxAgeMs: 60 * DAY_MS } },
      bytes: Buffer.from(['plate,category,priority', ...own.map((plate) => `${plate},${list},2`), ''].join('\n')),
      ...{ dryRun: false, skipBad: false, allowEmpty: false, by: 'lists' },
    })
    if (!report.applied) throw new AppError('internal', `the list ${list} was not applied`)
  }
  return plates
}

/** How many of the whole are due at each call, so that all calls together make exactly the whole; fewer by night. */
function createShares(scale: number, days: number) {
  const part = (whole: number) => Math.round((whole * scale * days) / MONTH_DAYS)
  const wholes = {
    vehicles: part(REFERENCE.vehicles),
    hits: part(REFERENCE.hits),
    searches: part(REFERENCE.searches),
    refused: Math.max(12, part(REFUSED)),
  }
  const weight = (hour: number) => 1 + 4 * Math.sin((Math.PI * ((hour % 24) - 4)) / 24) ** 2
  const all = Array.from({ length: days * 24 }, (_, hour) => weight(hour) * BATCHES_AN_HOUR).reduce((a, b) => a + b, 0)
  const done = { vehicles: 0, hits: 0, searches: 0, refused: 0 }
  const passed = { vehicles: 0, hits: 0, searches: 0, refused: 0 }
  const calls = { vehicles: 0, hits: 0, searches: 0, refused: 0 }
  return (what: keyof typeof wholes, hour: number): number => {
    passed[what] += weight(hour)
    calls[what] += 1
    const isLast = calls[what] === days * 24 * BATCHES_AN_HOUR
    const due = isLast ? wholes[what] : Math.floor((wholes[what] * passed[what]) / all)
    const now = due - done[what]
    done[what] = due
    return now
  }
}

type City = ReturnType<typeof createCity>

async function leaveOne(city: City, tally: Tally): Promise<void> {
  const [camera] = city.cameras
  await city.revokeCamera()
  // Counted from the start of the month, as the others are.
  if (camera !== undefined) tally.registeredMs.add(camera.name, -Math.max(START_MS, camera.addedAtMs))
}

async function changePolicy({ parts }: RunningCloud, tally: Tally): Promise<void> {
  await parts.policy.change(parts.policy.current().version, { retention: { cropDays: 14 } }, 'pat')
  tally.policies += 1
}

/** Now and then a camera is gone for some hours, with or without a word; at least one is always there. */
async function outages(city: City, hour: number, until: Map<string, number>): Promise<void> {
  for (const [index, camera] of city.cameras.entries()) {
    const back = until.get(camera.name)
    if (back !== undefined && hour >= back) {
      until.delete(camera.name)
      await city.goOnline(camera)
    } else if (back === undefined && index > 0 && (hour * 31 + index * 17) % 389 === 0) {
      until.set(camera.name, hour + 1 + (index % 5) * 3)
      await city.goOffline(camera, index % 3 === 0 ? 'silently' : 'will')
    }
  }
}

async function publish({ parts }: RunningCloud, days: number): Promise<Record<ReportFile, string>> {
  const from = START_MS / DAY_MS
  const { reportId } = await parts.transparency.publish({ from, to: from + days - 1 }, 'pat')
  const file = async (name: ReportFile) => (await parts.transparency.file(reportId, name)) ?? ''
  return {
    json: await file('json'),
    csv: await file('csv'),
    html: await file('html'),
    manifest: await file('manifest'),
  }
}

async function keep(folder: string, files: Record<ReportFile, string>): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [file, name] of Object.entries(FILES) as [ReportFile, string][])
    await writeFile(join(folder, name), files[file])
}

/** Entries of the month and receipts of deletion among them, page by page from the end. */
async function readLog({ parts }: RunningCloud, fromMs: number, toMs: number): Promise<FromLog> {
  const found = { entries: 0, receipts: 0 }
  for (let before: number | null = null; ; ) {
    const page = await parts.audit.list({ before, limit: 500 })
    for (const { at, operation } of page) {
      if (Date.parse(at) < fromMs || Date.parse(at) >= toMs) continue
      found.entries += 1
      if (operation === 'retention.purged') found.receipts += 1
    }
    const last = page.at(-1)
    if (last === undefined || last.seq === 1) return found
    before = last.seq
  }
}

/** The page and the table file say what the JSON says. */
function inEachFile(
  figures: readonly { id: string; label: string; value: { count?: number } | object }[],
  files: Record<ReportFile, string>,
): Line[] {
  const text = files.html.replace(/<[^>]+>/g, '|')
  return figures.flatMap(({ id, label, value }) => {
    if (!('count' in value) || typeof value.count !== 'number') return []
    const shown = value.count.toLocaleString('en-US')
    const onPage = text.includes(`${label}||${shown}|`)
    const inTable = files.csv
      .split('\r\n')
      .some((row) => row.includes(`,${id},,`) && row.includes(`,${value.count},,,count`))
    return [{ figure: `${id} on page and in CSV`, published: shown, counted: shown, agrees: onPage && inTable }]
  })
}

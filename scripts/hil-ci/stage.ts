/**
 * The stage `./scripts/hil ci`: five camera units, each with a live source that has every fault in turn, before one cloud. Prints a line a
 * fault and compares at the end what the cloud holds with what the units saw. Started by scripts/hil with the folder of the virtual body.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describeError, EXIT } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { openTrialCloud, type TrialCloud } from '../trial/cloud.ts'
import { bodyFaults, type Fault, hasSign, mjpegFaults, openBus, ptpFaults, rtspFaults } from './faults.ts'
import { buildHilport } from './hilport.ts'
import { openMjpegCamera } from './mjpeg-camera.ts'
import { openPtpCamera } from './ptp-camera.ts'
import { openRtspCamera } from './rtsp-camera.ts'
import { heldSightings, lastLines, openUnit, type Unit, type UnitHealth } from './units.ts'

const PICTURES = fileURLToPath(new URL('../sample-scenes/pictures/', import.meta.url))
/** For a unit to show the fault, and to send sightings again afterwards. */
const SIGN_TIMEOUT_MS = 60_000
const RETURN_TIMEOUT_MS = 90_000
/** For what waits in the units to arrive when all is over. */
const SETTLE_MS = 30_000
const LOOK_MS = 250
const STALL_MS = 4_000
/** Each unit's frames a second: five of them read plates on this machine. */
const RATE = 2

interface Row {
  unit: string
  fault: string
  sign: string
  seconds: string
  outcome: string
}

type Undo = () => unknown

async function main(body: string): Promise<boolean> {
  const startedMs = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'candor-hil-'))
  const undo: Undo[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 10 })]
  try {
    const trial = await openTrialCloud(join(folder, 'cloud'), 'springfield', silentLog)
    undo.push(() => trial.cloud.close())
    const { units, faults } = await prepare(trial, body, folder, undo)
    for (const unit of units) {
      undo.push(() => unit.kill())
      unit.start()
    }
    // Side by side, and of each unit one after another.
    const rows = (
      await Promise.all(
        units.map((unit) =>
          allFaults(
            trial,
            unit,
            faults.filter((one) => one.unit === unit),
          ),
        ),
      )
    ).flat()
    const failed = rows.filter(({ outcome }) => outcome !== 'survived')
    if (failed.length > 0) process.stderr.write(`${await lastLines(trial, 12)}\n`)
    const count = await compare(trial, units)
    print(rows)
    const seconds = Math.round((performance.now() - startedMs) / 1_000)
    const { stored, held, lost, duplicated, unknown, wrong, read, scenes } = count
    process.stdout.write(
      `${stored} sightings stored by ${units.length} units, ${held} held by the cloud; ${unknown} that no unit knows of, ${read} of ${scenes} plates of the scenes read, ${wrong} reads of others\n` +
        `${rows.length - failed.length} survived, ${failed.length} failed, ${lost} lost, ${duplicated} duplicated, ${seconds} s\n`,
    )
    return failed.length + lost + duplicated + unknown === 0 && held > 0
  } finally {
    for (const one of undo.reverse()) await one()
  }
}

async function prepare(
  trial: TrialCloud,
  body: string,
  folder: string,
  undo: Undo[],
): Promise<{ units: Unit[]; faults: Fault[] }> {
  const names = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => join(PICTURES, `scene-00${n}.jpg`))
  const scenes = await Promise.all(names.map((name) => readFile(name)))
  const bus = await openBus(body, join(folder, 'bus'))
  await bus.show(names[1] ?? '')
  const still = await openPtpCamera(scenes)
  const liveView = await openPtpCamera(scenes, { hasLiveView: true })
  const mjpeg = await openMjpegCamera(scenes, 200)
  const rtsp = await openRtspCamera(join(PICTURES, 'scene-%03d.jpg'))
  undo.push(
    () => still.unplug(),
    () => liveView.unplug(),
    () => mjpeg.stop(),
    () => rtsp.stop(),
  )
  const ptpip = await buildHilport(join(folder, 'ptpip'), [still.address, liveView.address])

  const source = { framesPerSecond: RATE, stallMs: STALL_MS }
  const gphoto2 = { ...source, kind: 'gphoto2' }
  const stream = { ...source, kind: 'stream' }
  const drivers = { CAMLIBS: ptpip.CAMLIBS ?? '' }
  const bodyUnit = await openUnit(trial, 'body', gphoto2, { ...drivers, IOLIBS: bus.folder })
  const stillUnit = await openUnit(trial, 'still', { ...gphoto2, port: `ptpip:${still.address}` }, ptpip)
  const liveUnit = await openUnit(trial, 'live-view', { ...gphoto2, port: `ptpip:${liveView.address}` }, ptpip)
  const mjpegUnit = await openUnit(trial, 'mjpeg', { ...stream, address: mjpeg.address }, {})
  const rtspUnit = await openUnit(trial, 'rtsp', { ...stream, address: rtsp.address }, {})
  const absent: Fault = {
    ...{ unit: bodyUnit, what: 'not attached at the start', sign: 'lost', isFromStart: true },
    begin: () => {},
    end: () => bus.attach(),
  }
  return {
    units: [bodyUnit, stillUnit, liveUnit, mjpegUnit, rtspUnit],
    faults: [
      ...[absent, ...bodyFaults(bodyUnit, bus, names[6] ?? '')],
      ...ptpFaults(stillUnit, still, false, ['drops', 'truncates', 'silent', 'busy', 'unplugged']),
      ...ptpFaults(liveUnit, liveView, true, ['truncates', 'silent', 'mute', 'unplugged']),
      ...mjpegFaults(mjpegUnit, mjpeg),
      ...rtspFaults(rtspUnit, rtsp),
    ],
  }
}

/** False when `holds` does not within the time. */
async function within(limitMs: number, holds: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + limitMs
  while (performance.now() < endMs) {
    if (await holds()) return true
    await sleep(LOOK_MS)
  }
  return false
}

async function allFaults(trial: TrialCloud, unit: Unit, faults: readonly Fault[]): Promise<Row[]> {
  const rows: Row[] = []
  for (const fault of faults) {
    const row: Row = { unit: unit.name, fault: fault.what, sign: fault.sign, seconds: '', outcome: '' }
    let begunMs = 0
    try {
      row.outcome = await oneFault(trial, fault, () => {
        begunMs = performance.now()
      })
    } catch (thrown) {
      row.outcome = describeError(thrown)
    }
    row.seconds = ((performance.now() - begunMs) / 1_000).toFixed(1)
    process.stderr.write(`    ${row.unit}: ${row.fault}: ${row.outcome}, ${row.seconds} s\n`)
    rows.push(row)
  }
  return rows
}

/** Of a unit of which nothing was heard yet. */
const FIRST: UnitHealth = {
  frames: { read: 0, rejected: 0 },
  outbox: { rows: 0 },
  source: { state: 'opening', reconnects: 0, stalls: 0, frameAgeMs: null },
}

/** Lets the unit have it; `survived`, or what did not happen. */
async function oneFault(trial: TrialCloud, fault: Fault, onBegin: () => void): Promise<string> {
  const { unit, sign, begin, end, check, isFromStart } = fault
  const health = async () => (await unit.health()) ?? FIRST
  const sendsSince = (sinceMs: number) => async () =>
    (await health()).source?.state === 'delivering' &&
    heldSightings(trial).some(({ camera, seenAtMs }) => camera === unit.name && seenAtMs > sinceMs)
  if (isFromStart === undefined && !(await within(RETURN_TIMEOUT_MS, sendsSince(0)))) return 'no sightings came before'
  const before = await health()
  onBegin()
  await begin()
  const isShown = await within(SIGN_TIMEOUT_MS, async () => hasSign(sign, before, await health()))
  const problem = check?.() ?? null
  await end()
  const isBack = await within(RETURN_TIMEOUT_MS, sendsSince(Date.now()))
  if (!isShown) return `the unit did not show that it was ${sign}`
  if (!isBack) return 'no sightings came afterwards'
  return problem ?? 'survived'
}

/** Ends the units in order, and counts. What a unit could not send in its last second it sends when it is started again. */
async function compare(trial: TrialCloud, units: readonly Unit[]) {
  const isEmpty = async (unit: Unit) => ((await unit.health())?.outbox.rows ?? 1) === 0
  for (const unit of units) await unit.stop()
  const stored = new Set<string>()
  const missing = async () => {
    stored.clear()
    for (const unit of units) for (const id of await unit.stored()) stored.add(`${unit.name}/${id}`)
    const held = new Set(
      heldSightings(trial).map(({ camera, sightingId, revision }) => `${camera}/${sightingId}/${revision}`),
    )
    return { held, lost: [...stored].filter((id) => !held.has(id)) }
  }
  const late = new Set((await missing()).lost.map((id) => id.split('/')[0]))
  for (const unit of units.filter(({ name }) => late.has(name))) {
    unit.start()
    await within(
      SETTLE_MS,
      async () => (await isEmpty(unit)) && !(await missing()).lost.some((id) => id.startsWith(`${unit.name}/`)),
    )
    await unit.stop()
  }
  const { held, lost } = await missing()
  const labels = (await readFile(join(PICTURES, 'labels.tsv'), 'utf8')).trim().split('\n')
  const plates = new Set(labels.slice(1).map((line) => line.split('\t').at(-1)))
  const finals = heldSightings(trial).filter(({ revision }) => revision === 1)
  // The same vehicle in the same frame, told twice.
  const told = new Set(finals.map(({ camera, seenAtMs, plate }) => `${camera}/${seenAtMs}/${plate}`))
  return {
    stored: stored.size,
    held: held.size,
    lost: lost.length,
    unknown: [...held].filter((id) => !stored.has(id)).length,
    duplicated: finals.length - told.size,
    read: new Set(finals.map(({ plate }) => plate).filter((plate) => plates.has(plate ?? ''))).size,
    scenes: plates.size,
    wrong: finals.filter(({ plate }) => plate !== null && !plates.has(plate)).length,
  }
}

function print(rows: readonly Row[]): void {
  const columns = ['unit', 'fault', 'sign', 'seconds', 'outcome'] as const
  const widths = columns.map((name) => Math.max(name.length, ...rows.map((row) => row[name].length)))
  const line = (cells: readonly string[]) =>
    process.stdout.write(
      `${cells
        .map((cell, n) => cell.padEnd(widths[n] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
  line(columns)
  for (const row of rows) line(columns.map((name) => row[name]))
}

const [body] = process.argv.slice(2)
if (body === undefined) {
  process.stderr.write('started by ./scripts/hil ci\n')
  process.exitCode = EXIT.usage
} else {
  try {
    process.exitCode = (await main(body)) ? EXIT.done : EXIT.failed
  } catch (thrown) {
    process.stderr.write(`hil: ${describeError(thrown)}\n`)
    process.exitCode = EXIT.failed
  }
}

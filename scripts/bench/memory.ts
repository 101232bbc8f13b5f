/**
 * `candor bench memory`: does a camera that runs for weeks keep its memory? A real `candor edge` reads a Motion JPEG camera on loopback,
 * or one that is not there, and sends to a real cloud. Prints what its processes hold, minute by minute, and how much that grows.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SingleBar } from 'cli-progress'
import { silentLog } from '../../shared/log.ts'
import { openMjpegCamera } from '../hil-ci/mjpeg-camera.ts'
import { descendant, openUnit } from '../hil-ci/units.ts'
import { openTrialCloud } from '../trial/cloud.ts'

const PICTURES = fileURLToPath(new URL('../sample-scenes/pictures/', import.meta.url))
const PICTURE_COUNT = 8
/** More than an emulated or small machine reads: the newest wins, as on any camera. */
const FRAMES_PER_SECOND = 25
const MINUTE_S = 60
const MEGABYTE = 1_000_000
/** Of which the growth is told: pools fill and code is compiled in the first third. */
const SETTLED = 1 / 3
/** Each a name, and a part of the command line. */
const CHILDREN = [
  ['vision', 'vision/child'],
  ['source', 'stream-child'],
] as const

export interface MemoryOptions {
  minutes: number
  /** The camera is taken away after the first third. */
  lost?: boolean
  json?: boolean
}

/** Resident, megabytes; null: there is no such process. */
type Sample = Record<'camera' | 'vision' | 'source', number | null> & { frames: number }

/** [proc(5), VmRSS] */
async function residentMb(pid: number | null): Promise<number | null> {
  const text = pid === null ? '' : await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const found = /^VmRSS:\s+(\d+) kB/m.exec(text)
  return found === null ? null : Math.round((Number(found[1]) * 1024) / MEGABYTE)
}

export async function run({ minutes, lost = false, json = false }: MemoryOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-memory-'))
  const names = Array.from({ length: PICTURE_COUNT }, (_, i) => join(PICTURES, `scene-00${i + 1}.jpg`))
  const camera = await openMjpegCamera(
    await Promise.all(names.map((name) => readFile(name))),
    1_000 / FRAMES_PER_SECOND,
  )
  const trial = await openTrialCloud(join(folder, 'cloud'), 'springfield', silentLog)
  const source = { kind: 'stream', address: camera.address, framesPerSecond: FRAMES_PER_SECOND }
  const unit = await openUnit(trial, 'bench', source, {})
  const bar = new SingleBar({ format: '{bar} {value} of {total} min', clearOnComplete: true, stream: process.stderr })
  try {
    unit.start()
    bar.start(minutes, 0)
    const samples: Sample[] = []
    for (let minute = 1; minute <= minutes; minute += 1) {
      await sleep(MINUTE_S * 1_000)
      const [vision, ofSource] = await Promise.all(
        CHILDREN.map(async ([, program]) => await residentMb(await descendant(unit.pid, program))),
      )
      const frames = (await unit.health())?.frames.read ?? 0
      samples.push({
        ...{ camera: await residentMb(unit.pid), vision: vision ?? null, source: ofSource ?? null, frames },
      })
      bar.update(minute)
      if (lost && minute === Math.ceil(minutes * SETTLED)) await camera.stop()
    }
    bar.stop()
    const report = { minutes, lost, samples, growthMbAnHour: growth(samples), load: loadavg() }
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : table(report))
  } finally {
    bar.stop()
    await unit.stop()
    await camera.stop()
    await trial.cloud.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

interface Report {
  samples: readonly Sample[]
  growthMbAnHour: Record<'camera' | 'vision', number | null>
}

/** Slope of the least squares over the settled samples. */
function growth(samples: readonly Sample[]): Report['growthMbAnHour'] {
  const settled = samples.slice(Math.floor(samples.length * SETTLED))
  const slope = (part: 'camera' | 'vision') => {
    const points = settled.flatMap((sample, minute) => {
      const mb = sample[part]
      return mb === null ? [] : [{ minute, mb }]
    })
    if (points.length < 2) return null
    const mean = (pick: (point: { minute: number; mb: number }) => number) =>
      points.reduce((sum, point) => sum + pick(point), 0) / points.length
    const [meanMinute, meanMb] = [mean(({ minute }) => minute), mean(({ mb }) => mb)]
    const up = points.reduce((sum, { minute, mb }) => sum + (minute - meanMinute) * (mb - meanMb), 0)
    const across = points.reduce((sum, { minute }) => sum + (minute - meanMinute) ** 2, 0)
    return Math.round((up / across) * 60)
  }
  return { camera: slope('camera'), vision: slope('vision') }
}

function table({ samples, growthMbAnHour: { camera, vision } }: Report): string {
  const row = (cells: readonly unknown[]) => `${cells.map((cell) => String(cell ?? '-').padStart(9)).join('')}\n`
  return [
    row(['minute', 'camera', 'vision', 'source', 'frames']),
    ...samples.map((one, i) => row([i + 1, one.camera, one.vision, one.source, one.frames])),
    `megabytes; growth an hour after the first third: camera ${camera ?? '-'}, vision ${vision ?? '-'}\n`,
  ].join('')
}

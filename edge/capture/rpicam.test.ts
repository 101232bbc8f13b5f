import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { type LiveLimits, openLive, REOPEN_BACK_OFF } from './live.ts'
import { openRpicam, rpicamArguments, rpicamSchema } from './rpicam.ts'
import { openSource } from './sources.ts'
import type { CaptureSource, Frame } from './types.ts'

const SCENE_FILE = fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-001.jpg', import.meta.url))
const clock = systemClock
const deps = { clock, random: () => 0, log: silentLog }
const LIMITS: LiveLimits = { stallMs: 60_000, openTimeoutMs: 60_000, framesPerSecond: null }

const config = (change: object = {}) => rpicamSchema.parse({ kind: 'rpicam', ...change })

/** An executable that writes its arguments into a file beside it, and then does `work` (JavaScript; `scene` is a JPEG, `starts` a count). */
async function withStandIn(
  work: string,
  test: (program: string, starts: () => Promise<string[][]>) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-rpicam-'))
  try {
    const program = join(folder, 'rpicam-vid')
    const log = join(folder, 'starts')
    const script = `#!${process.execPath}
const fs = require('node:fs')
const given = process.argv.slice(2)
if (given[0] === '--version') process.exit(0)
fs.appendFileSync(${JSON.stringify(log)}, JSON.stringify(given) + '\\n')
const starts = fs.readFileSync(${JSON.stringify(log)}, 'utf8').trim().split('\\n').length
const scene = fs.readFileSync(${JSON.stringify(SCENE_FILE)})
${work}`
    await writeFile(program, script)
    await chmod(program, 0o755)
    await test(program, async () => {
      const text = await readFile(log, 'utf8')
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as string[])
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function frames(source: CaptureSource, count: number): Promise<Frame[]> {
  const found: Frame[] = []
  for await (const frame of source) {
    found.push(frame)
    if (found.length === count) break
  }
  return found
}

test('by a stand-in for rpicam-vid: its pictures are frames, and it is told what the configuration says', () =>
  withStandIn('setInterval(() => process.stdout.write(scene), 20)', async (program, starts) => {
    const device = await openRpicam(config({ program, settings: { shutterUs: 800 } }), clock)
    const source = openLive(device, LIMITS, deps)
    const found = await frames(source, 3)
    await source.close()
    const scene = await readFile(SCENE_FILE)
    for (const { encoded } of found) assert.equal(encoded, scene)
    const [given = []] = await starts()
    assert.is(given[given.indexOf('--shutter') + 1], '800')
    assert.equal(given.slice(-2), ['--output', '-'])
  }))

test('by a stand-in for rpicam-vid: half a picture is counted, and a program that ends is started again', () =>
  withStandIn(
    'process.stdout.write(starts === 1 ? scene.subarray(0, 5000) : scene); if (starts === 1) setTimeout(() => process.stdout.write(scene, () => process.exit(3)), 50); else setInterval(() => {}, 1000)',
    async (program, starts) => {
      const source = openLive(await openRpicam(config({ program }), clock), LIMITS, deps)
      await frames(source, 2)
      assert.is(source.rejected, 1)
      assert.is(source.live?.reconnects, 1)
      assert.is((await starts()).length, 2)
      await source.close()
    },
  ))

test('by a stand-in for rpicam-vid: one that hangs, and hears no SIGTERM, is killed and started again', () =>
  withStandIn(
    "process.on('SIGTERM', () => {}); if (starts > 1) process.stdout.write(scene); setInterval(() => {}, 1000)",
    async (program, starts) => {
      const source = openLive(await openRpicam(config({ program }), clock), { ...LIMITS, stallMs: 1_000 }, deps)
      await frames(source, 1)
      assert.ok((source.live?.stalls ?? 0) >= 1)
      assert.ok((await starts()).length >= 2)
      await source.close()
    },
  ))

test('by a stand-in for rpicam-vid: at nightfall it is started again with the settings of the night', () =>
  withStandIn('setInterval(() => process.stdout.write(scene), 20)', async (program, starts) => {
    let nowMs = Date.parse('2026-06-01T20:59:59Z')
    const dusk = { ...clock, nowMs: () => nowMs }
    const night = { fromUtc: '21:00', toUtc: '04:00', settings: { gain: 8 } }
    const device = await openRpicam(config({ program, settings: { gain: 1, shutterUs: 900 }, night }), dusk)
    const source = openLive(device, LIMITS, { ...deps, clock: dusk })
    await frames(source, 1)
    nowMs += 1_000
    for await (const _ of source) if ((await starts()).length === 2) break
    await source.close()
    const gains = (await starts()).map((given) => [
      given[given.indexOf('--gain') + 1],
      given[given.indexOf('--shutter') + 1],
    ])
    assert.equal(gains, [
      ['1', '900'],
      ['8', '900'],
    ])
    assert.is(source.live?.reconnects, 0)
  }))

test('by a stand-in for rpicam-vid: what it said before it ended is told', () =>
  withStandIn("console.error('ERROR: *** no cameras available ***'); process.exit(255)", async (program) => {
    const device = await openRpicam(config({ program }), clock)
    const connection = await device.open(new AbortController().signal, () => {})
    const thrown = await connection.next().catch((error: unknown) => error)
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, 'unavailable')
    assert.match((thrown as AppError).message, /exit 255.*no cameras available/)
    await connection.close()
  }))

/** Time passes only when the test says so. */
function createStandingClock(nowMs: number) {
  let atMs = 0
  const sleeping = new Set<{ untilMs: number; wake: () => void }>()
  return {
    nowMs: () => nowMs,
    monotonicMs: () => atMs,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const one = { untilMs: atMs + ms, wake: resolve }
        sleeping.add(one)
        signal?.addEventListener('abort', () => {
          sleeping.delete(one)
          reject(signal.reason)
        })
      }),
    /** Of the longest sleep, from now. */
    longestMs: () => Math.max(0, ...[...sleeping].map(({ untilMs }) => untilMs - atMs)),
    advance(ms: number) {
      atMs += ms
      for (const one of sleeping) if (one.untilMs <= atMs) one.wake()
    },
  }
}

test('by a stand-in for rpicam-vid: the time that a picture takes by the configuration is no silence, one millisecond more is', () =>
  withStandIn('setTimeout(() => process.stdout.write(scene), starts === 1 ? 0 : 1e8)', async (program) => {
    const night = { fromUtc: '20:00', toUtc: '05:00', settings: { shutterUs: 60_000_000 } }
    const slow = { program, framesPerSecond: 0.1, night }
    for (const [time, periodMs] of [
      ['2026-06-01T12:00:00Z', 10_000],
      ['2026-06-01T22:00:00Z', 60_000],
    ] as const) {
      await rm(join(dirname(program), 'starts'), { force: true })
      const standing = createStandingClock(Date.parse(time))
      const source = await openSource(config(slow), { ...deps, clock: standing })
      await frames(source, 1)
      const { stallMs } = config()
      while (standing.longestMs() !== stallMs + periodMs) await clock.sleep(5)
      standing.advance(stallMs + periodMs - 1)
      await clock.sleep(0)
      assert.equal([source.live?.stalls, source.live?.state], [0, 'delivering'])
      standing.advance(1)
      while (source.live?.state !== 'lost') await clock.sleep(5)
      assert.is(source.live.stalls, 1)
      standing.advance(REOPEN_BACK_OFF.firstMs)
      // Before the first picture some are kept back.
      while (standing.longestMs() !== stallMs + 10 * periodMs) await clock.sleep(5)
      await source.close()
    }
  }))

test('a program that is not there, or that may not be started, is a problem of the configuration', () =>
  withStandIn('', async (program) => {
    const refused = async (path: string, message: RegExp) => {
      const thrown = await openRpicam(config({ program: path }), clock).catch((error: unknown) => error)
      assert.instance(thrown, AppError)
      assert.is((thrown as AppError).code, 'configuration')
      assert.match((thrown as AppError).message, message)
    }
    await refused('/nonexistent/rpicam-vid', /source\.program: there is no such program/)
    await chmod(program, 0o644)
    await refused(program, /source\.program: cannot be started \(EACCES\)/)
  }))

test('every option of the configuration is one of rpicam-vid, and what is absent is left to the camera', () => {
  const plain = rpicamArguments(config(), {})
  for (const name of ['--shutter', '--gain', '--ev', '--exposure', '--roi', '--lens-position', '--autofocus-mode'])
    assert.not(plain.includes(name), name)
  const full = rpicamArguments(config({ roi: { x: 0.25, y: 0.5, width: 0.5, height: 0.5 }, rotation: 180 }), {
    ...{ shutterUs: 500, gain: 2, ev: -1, exposure: 'sport', lensPosition: 0 },
  }).join(' ')
  for (const part of [
    '--roi 0.25,0.5,0.5,0.5',
    '--rotation 180',
    '--shutter 500',
    '--gain 2',
    '--ev -1',
    '--exposure sport',
    '--autofocus-mode manual --lens-position 0',
  ])
    assert.ok(full.includes(part), part)
})

test('a part of the sensor that leaves it is refused, one that touches its edge is not', () => {
  assert.is(rpicamSchema.safeParse({ kind: 'rpicam', roi: { x: 0.5, y: 0, width: 0.5, height: 1 } }).success, true)
  assert.is(rpicamSchema.safeParse({ kind: 'rpicam', roi: { x: 0.5, y: 0, width: 0.51, height: 1 } }).success, false)
})

test.run()

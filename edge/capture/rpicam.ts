/**
 * A camera on a Raspberry Pi's ribbon cable: `rpicam-vid` (`libcamera-vid` as its older name) writes JPEGs on a pipe. The program
 * comes with Raspberry Pi OS alone. Supervised by live.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { z } from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import { MAX_PICTURE_BYTES } from '../vision/limits.ts'
import { createJpegSplitter } from './jpeg.ts'
import { createNewest } from './newest.ts'
import { nightSchema, settingsAt } from './night.ts'
import type { Connection, Device, Shot } from './types.ts'

/** Options of rpicam-vid that day and night may differ in; what is absent is left to the camera. */
const settingsSchema = z.strictObject({
  shutterUs: z
    .int()
    .min(1)
    .max(MINUTE_MS * 1_000)
    .optional()
    .describe('exposure, microseconds; at most 1,000 for vehicles that drive'),
  gain: z.number().min(1).max(64).optional().describe('sensor gain'),
  ev: z.number().min(-10).max(10).optional().describe('exposure compensation, stops'),
  exposure: z
    .enum(['normal', 'sport', 'long'])
    .optional()
    .describe('how the camera chooses exposure where shutterUs is absent'),
  lensPosition: z
    .number()
    .min(0)
    .max(32)
    .optional()
    .describe('fixed focus, dioptres (1 / metres), for modules with a focus motor'),
})

export const rpicamSchema = z.strictObject({
  kind: z.literal('rpicam'),
  program: z
    .string()
    .min(1)
    .max(4_096)
    .nullable()
    .default(null)
    .describe('path of the program; null: rpicam-vid, or libcamera-vid'),
  camera: z.int().min(0).max(7).default(0).describe('which of the cameras on the board'),
  widthPx: z.int().min(64).max(8_192).default(1_920),
  heightPx: z.int().min(64).max(8_192).default(1_080),
  framesPerSecond: z.number().min(0.1).max(120).default(10).describe('frames a second'),
  quality: z.int().min(1).max(100).default(93).describe('of the JPEGs'),
  rotation: z
    .union([z.literal(0), z.literal(180)])
    .default(0)
    .describe('degrees'),
  roi: z
    .strictObject({
      x: z.number().min(0).max(1),
      y: z.number().min(0).max(1),
      width: z.number().gt(0).max(1),
      height: z.number().gt(0).max(1),
    })
    .refine(({ x, y, width, height }) => x + width <= 1 && y + height <= 1, 'must lie within the picture')
    .optional()
    .describe('part of the sensor, as shares of its sides'),
  settings: settingsSchema.prefault({}),
  night: nightSchema(settingsSchema).optional(),
  stallMs: z
    .int()
    .min(1_000)
    .max(10 * MINUTE_MS)
    .default(10 * SECOND_MS)
    .describe('no frame for so long, beyond the time of one (framesPerSecond, shutterUs): started again, milliseconds'),
  sequence: z.enum(['auto', 'stills', 'video']).default('auto').describe('auto: video'),
})
export type RpicamConfig = z.infer<typeof rpicamSchema>

export const PROGRAMS = ['rpicam-vid', 'libcamera-vid'] as const
/** For `--version`, which loads the camera libraries from a slow card. Milliseconds. */
const VERSION_TIMEOUT_MS = 20 * SECOND_MS
/** While exposure and white balance settle, libcamera may keep pictures for itself: some ten. */
const SETTLING_PICTURES = 10
/** Of what the program says, the last is kept for the error. Bytes. */
const MAX_SAID_BYTES = 4_096

/** The arguments that make it write pictures on its standard output until it is ended. */
export function rpicamArguments(config: RpicamConfig, settings: RpicamConfig['settings']): string[] {
  const { roi } = config
  const given: readonly (readonly [string, string | number | undefined])[] = [
    ['--camera', config.camera],
    ['--width', config.widthPx],
    ['--height', config.heightPx],
    ['--framerate', config.framesPerSecond],
    ['--quality', config.quality],
    ['--rotation', config.rotation],
    ['--roi', roi === undefined ? undefined : [roi.x, roi.y, roi.width, roi.height].join(',')],
    ['--shutter', settings.shutterUs],
    ['--gain', settings.gain],
    ['--ev', settings.ev],
    ['--exposure', settings.exposure],
    ['--autofocus-mode', settings.lensPosition === undefined ? undefined : 'manual'],
    ['--lens-position', settings.lensPosition],
  ]
  const options = given.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]))
  return ['--codec', 'mjpeg', '--timeout', '0', '--nopreview', '--flush', ...options, '--output', '-']
}

/** From one picture to the next, milliseconds: an exposure that is longer than the rate allows slows the camera down. */
export function periodMs({ framesPerSecond }: RpicamConfig, { shutterUs }: RpicamConfig['settings']): number {
  return Math.ceil(Math.max(SECOND_MS / framesPerSecond, (shutterUs ?? 0) / 1_000))
}

/** Finds the program. Throws `configuration` when there is none that can be started. */
export async function openRpicam(config: RpicamConfig, clock: Clock): Promise<Device> {
  const program = await findProgram(config.program === null ? PROGRAMS : [config.program], clock)
  return {
    kind: 'rpicam',
    async open(signal, onRejected) {
      signal.throwIfAborted()
      return new Pipe(program, config, clock, onRejected, signal)
    },
  }
}

async function findProgram(names: readonly string[], clock: Clock): Promise<string> {
  let cause: unknown = null
  for (const name of names) {
    const failure = await startable(name, clock)
    if (failure === null) return name
    cause = failure
  }
  const why = systemCode(cause) === 'ENOENT' ? 'there is no such program' : `cannot be started (${systemCode(cause)})`
  throw new AppError('configuration', `source.program: ${why} (got ${names.join(', ')})`, {
    hint: 'rpicam-vid comes with Raspberry Pi OS (package rpicam-apps); other cameras are of the kinds gphoto2 and stream',
    cause,
  })
}

/** Null when it starts, however it ends: a camera that is not attached is no fault of the configuration. */
function startable(name: string, clock: Clock): Promise<unknown> {
  return new Promise((resolve) => {
    const child = spawn(name, ['--version'], { stdio: 'ignore' })
    const timer = new AbortController()
    clock.sleep(VERSION_TIMEOUT_MS, timer.signal).then(
      () => child.kill('SIGKILL'),
      () => {},
    )
    child.once('error', (error) => {
      timer.abort()
      resolve(error)
    })
    child.once('exit', () => {
      timer.abort()
      resolve(null)
    })
  })
}

class Pipe implements Connection {
  readonly ownSilenceMs: { first: number; between: number }
  readonly #config: RpicamConfig
  readonly #clock: Clock
  readonly #child: ChildProcess
  readonly #gone: Promise<void>
  readonly #newest = createNewest<{ jpeg: Buffer; atMs: number }>()
  readonly #openedAtNight: boolean

  constructor(program: string, config: RpicamConfig, clock: Clock, onRejected: () => void, signal: AbortSignal) {
    this.#config = config
    this.#clock = clock
    const { isNight, settings } = settingsAt(config.settings, config.night ?? null, clock.nowMs())
    this.#openedAtNight = isNight
    const between = periodMs(config, settings)
    this.ownSilenceMs = { first: SETTLING_PICTURES * between, between }
    this.#child = spawn(program, rpicamArguments(config, settings), { stdio: ['ignore', 'pipe', 'pipe'] })
    signal.addEventListener('abort', () => this.#child.kill('SIGKILL'), { once: true })
    const splitter = createJpegSplitter(MAX_PICTURE_BYTES)
    let rejected = 0
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      const atMs = clock.monotonicMs()
      for (const jpeg of splitter.feed(bytes)) this.#newest.put({ jpeg, atMs })
      for (; rejected < splitter.rejected; rejected += 1) onRejected()
    })
    let said = ''
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      said = `${said}${bytes.toString('utf8')}`.slice(-MAX_SAID_BYTES)
    })
    this.#gone = new Promise((resolve) => {
      const end = (how: string) => {
        this.#newest.fail(new AppError('unavailable', `${program} ended (${how})${lastLine(said)}`))
        resolve()
      }
      this.#child.once('error', (error) => end(error.message))
      this.#child.once('close', (code, by) => end(by ?? `exit ${code}`))
    })
  }

  async next(): Promise<Shot | null> {
    const { settings, night } = this.#config
    // The program takes its settings at its start only.
    if (settingsAt(settings, night ?? null, this.#clock.nowMs()).isNight !== this.#openedAtNight) return null
    const taken = await this.#newest.take()
    if (taken === null) return null
    return { jpeg: taken.jpeg, ageMs: this.#clock.monotonicMs() - taken.atMs }
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#gone
  }
}

function lastLine(said: string): string {
  const line = said.trim().split('\n').at(-1)?.trim() ?? ''
  return line === '' ? '' : `: ${line}`
}

/**
 * Cameras that libgphoto2 drives, over USB: live view where the body has it, else one picture after another. Everything that touches
 * a camera runs in a process of its own (gphoto2-child.ts), which is killed when the camera hangs. Supervised by live.ts.
 */
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { limitLog } from '../limited-log.ts'
import { CaptureChild } from './child.ts'
import type { FromGphoto2Child, OfferedSetting, RefusedSetting, ToGphoto2Child } from './gphoto2-exchange.ts'
import { nightSchema, settingsAt } from './night.ts'
import type { Connection, Device } from './types.ts'
import { NUMBERED_PORT, USB_FOLDER } from './usb.ts'

/** Most settings that a configuration may name. */
const MAX_SETTINGS = 64
const settingsSchema = z
  .record(z.string().regex(/^[\w/-]{1,64}$/, 'must be a name of libgphoto2'), z.string().max(128))
  .refine((settings) => Object.keys(settings).length <= MAX_SETTINGS, `at most ${MAX_SETTINGS} settings`)

export const gphoto2Schema = z
  .strictObject({
    kind: z.literal('gphoto2'),
    model: z
      .string()
      .min(1)
      .max(128)
      .nullable()
      .default(null)
      .describe('as `gphoto2 --auto-detect` names it; null: whatever is attached'),
    // A number of the kernel passes here, so that a unit that has one can still be set up and enrolled: `numberedPortProblem`.
    port: z
      .string()
      .min(1)
      .max(128)
      .nullable()
      .default(null)
      .describe(
        'where several are attached: the plug on USB, such as usb:1-1.2, as `candor doctor` shows it, or ptpip:ADDRESS; null: any',
      ),
    capture: z
      .enum(['auto', 'preview', 'still'])
      .default('auto')
      .describe('preview: live view; still: one picture after another; auto: live view where the camera has it'),
    framesPerSecond: z.number().gt(0).max(60).default(5).describe('most pictures asked for in a second'),
    settings: settingsSchema
      .default({})
      .describe('set when the camera connects, by libgphoto2’s names: `{"iso": "800", "shutterspeed": "1/1000"}`'),
    night: nightSchema(settingsSchema).optional(),
    keepOnCamera: z
      .boolean()
      .default(false)
      .describe(
        'with still, pictures stay on the camera’s card; false: each is fetched a second time once it is whole here, and deleted; true is best where the camera is set not to store them (`capturetarget`)',
      ),
    stallMs: z
      .int()
      .min(1_000)
      .max(10 * MINUTE_MS)
      .default(20 * SECOND_MS)
      .describe(
        'no whole picture for so long: ended and opened again, milliseconds; longer than an exposure, also at night',
      ),
    sequence: z
      .enum(['auto', 'stills', 'video'])
      .default('auto')
      .describe('auto: stills with capture still, else video'),
  })
  .refine(({ settings, night }) => Object.keys(night?.settings ?? {}).every((name) => name in settings), {
    message: 'each setting of the night needs one of the day, to which it is set back',
    path: ['night', 'settings'],
  })
export type Gphoto2Config = z.infer<typeof gphoto2Schema>

/** Why no camera is opened by this port, nor such a one set; null: nothing is against it. */
export const numberedPortProblem = (port: string | null): string | null =>
  port === null || !NUMBERED_PORT.test(port)
    ? null
    : `source.port: is a number that the kernel gives anew at each plugging in; name the plug, such as usb:1-1.2, as \`candor doctor\` shows it (got ${port})`

export interface Gphoto2Deps {
  clock: Clock
  log: Log
  /** Each time that the camera connects: what of the picture it lets be set. */
  onOffered?: (offered: readonly OfferedSetting[]) => void
  /** Of sysfs. */
  usbFolder?: string
}

/** Loading the package and libgphoto2's 30 drivers from a slow card, milliseconds. */
const LOAD_TIMEOUT_MS = 60 * SECOND_MS
/** Previews pass through files, since the package gives them in no other way; in memory, as no picture may lie on a disk. */
const MEMORY_FOLDER = '/dev/shm'

type Child = CaptureChild<ToGphoto2Child, FromGphoto2Child>

/** Throws `configuration` when the package does not load. No camera needs to be attached. What it returns must be opened. */
export async function openGphoto2(config: Gphoto2Config, deps: Gphoto2Deps): Promise<Device> {
  const log = limitLog(deps.log, deps.clock)
  let loaded: Child | null = start(deps.clock)
  try {
    await loaded.ask({ kind: 'load' }, LOAD_TIMEOUT_MS)
  } catch (thrown) {
    await loaded.close()
    throw thrown
  }
  return {
    kind: 'gphoto2',
    open(signal) {
      const child = loaded ?? start(deps.clock)
      loaded = null
      return connect(child, config, { ...deps, log }, signal)
    },
  }
}

/** A new one for each time that the camera is opened: the package finds what is attached only once. */
function start(clock: Clock): Child {
  return new CaptureChild<ToGphoto2Child, FromGphoto2Child>(new URL('./gphoto2-child', import.meta.url), clock, {
    died: (how) => new AppError('unavailable', `the process that talks to the camera ended (${how})`),
    late: () => new AppError('unavailable', 'the process that talks to the camera does not answer'),
  })
}

async function connect(
  child: Child,
  config: Gphoto2Config,
  { clock, log, onOffered, usbFolder = USB_FOLDER }: Gphoto2Deps,
  signal: AbortSignal,
): Promise<Connection> {
  const inMemory = await access(MEMORY_FOLDER).then(
    () => true,
    () => false,
  )
  const folder = await mkdtemp(join(inMemory ? MEMORY_FOLDER : tmpdir(), 'candor-preview-')).catch(async (cause) => {
    await child.close()
    throw new AppError('unavailable', 'no folder for previews can be made', { cause })
  })
  const close = async () => {
    signal.removeEventListener('abort', end)
    await child.close()
    await rm(folder, { recursive: true, force: true })
  }
  const end = () => void close()
  signal.addEventListener('abort', end, { once: true })
  const tell = (refused: readonly RefusedSetting[]) => {
    for (const { name, why } of refused)
      log.error('setting_refused', { field: name, error: `source.settings.${name}: ${why}` })
  }
  const profile = () => settingsAt(config.settings, config.night ?? null, clock.nowMs())
  let set = profile()
  try {
    signal.throwIfAborted()
    const { model, port, capture, keepOnCamera } = config
    const { settings } = set
    // live.ts gives each step its time.
    const wanted = { model, port, capture, keepOnCamera, settings }
    const answer = await child.ask({ kind: 'connect', ...wanted, folder, usbFolder }, null)
    if (answer.kind !== 'connected') throw unexpected(answer)
    log.info('camera_connected', { model: answer.model, port: answer.port, state: answer.capture })
    tell(answer.refused)
    onOffered?.(answer.offered)
  } catch (thrown) {
    await close()
    throw thrown
  }
  return {
    async next() {
      const now = profile()
      if (now.isNight !== set.isNight) {
        const answer = await child.ask({ kind: 'set', settings: now.settings }, null)
        if (answer.kind !== 'set') throw unexpected(answer)
        set = now
        tell(answer.refused)
      }
      const answer = await child.ask({ kind: 'shoot' }, null)
      if (answer.kind !== 'shot') throw unexpected(answer)
      const { jpeg, ageMs, isLeft } = answer
      if (isLeft) log.warn('picture_left_on_camera', { bytes: jpeg.byteLength })
      return { jpeg: Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength), ageMs }
    },
    close,
  }
}

const unexpected = ({ kind }: FromGphoto2Child) => new AppError('internal', `the camera's process answered ${kind}`)

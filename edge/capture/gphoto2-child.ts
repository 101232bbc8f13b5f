/**
 * The process that talks to a camera by libgphoto2; started by gphoto2.ts and killed when it hangs, which libgphoto2 does for ever when
 * a camera falls silent. The only importer of node-gphoto2.
 */
import { readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Camera, GPhoto2, Widget, WidgetTree } from 'node-gphoto2'
import { systemClock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { answerParent } from '../answer-parent.ts'
import type { Failed } from './child.ts'
import type {
  CameraSettings,
  FromGphoto2Child,
  OfferedSetting,
  RefusedSetting,
  ToGphoto2Child,
} from './gphoto2-exchange.ts'
import { wholeJpeg } from './jpeg.ts'
import { bodyText, lastingPort, type UsbDevice, usbDevices } from './usb.ts'

/** Numbers that say more than their words [gphoto2-result.h, gphoto2-port-result.h]. */
const NOT_SUPPORTED = -6
const FAULTS: Readonly<Record<number, string>> = {
  [-1]: 'unspecified error',
  [-2]: 'bad parameters',
  [-3]: 'no room, most often on the camera’s card',
  [-5]: 'unknown port',
  [NOT_SUPPORTED]: 'the camera cannot do this',
  [-7]: 'input or output error',
  [-10]: 'time-out',
  [-52]: 'no such device on USB',
  [-53]: 'the device is claimed by another program (often gvfs: stop it)',
  [-60]: 'the port is locked',
  [-102]: 'corrupted data',
  [-105]: 'unknown model',
  [-108]: 'no such file on the camera',
  [-110]: 'the camera is busy',
  [-113]: 'camera error',
  [-115]: 'no space left on the camera',
}
/** Choices of a setting, and names of settings, that an error lists. */
const MAX_LISTED = 40
/** What decides how a picture looks; everything else about a body is not the business of who sets a unit up. */
const PICTURE_SETTINGS: readonly string[] = [
  ...['iso', 'shutterspeed', 'shutterspeed2', 'aperture', 'f-number', 'exposurecompensation', 'whitebalance'],
  ...['autoexposuremode', 'expprogram', 'focusmode', 'focusmode2', 'imagesize', 'imagequality', 'imageformat'],
]
/** Choices of one setting that are told of: no body has as many. */
const MAX_CHOICES = 120
/** libgphoto2's level of logs in which it says which file it fetches. */
const DEBUG_LEVEL = 2

interface Connected {
  camera: Camera
  capture: 'preview' | 'still'
  folder: string
  keepOnCamera: boolean
}

let gphoto2: GPhoto2 | null = null
let connected: Connected | null = null
/** Where on the camera the files lie that were fetched for this picture. */
let fetched: string[] = []

class CameraFault extends AppError {
  readonly number: number
  constructor(number: number, what: string) {
    super('unavailable', `${what}: ${FAULTS[number] ?? 'error'} (libgphoto2 ${number})`)
    this.number = number
  }
}

function asked<T>(what: string, start: (done: (error: number | undefined, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === undefined || error >= 0 ? resolve(value) : reject(new CameraFault(error, what))))
  })
}

async function load(): Promise<GPhoto2> {
  if (gphoto2 !== null) return gphoto2
  try {
    const { default: loaded } = await import('node-gphoto2')
    gphoto2 = new loaded.GPhoto2()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : ''
    throw new AppError('configuration', `the package node-gphoto2 does not load (./scripts/setup builds it): ${why}`)
  }
  gphoto2.on('log', (_level, domain, text) => {
    const [, file, folder] = /^Getting file '(.+)' in folder '(.+)'\.\.\.$/.exec(text) ?? []
    if (domain === 'gp_camera_file_get' && file !== undefined) fetched.push(`${folder}/${file}`)
  })
  return gphoto2
}

async function connect(request: Extract<ToGphoto2Child, { kind: 'connect' }>): Promise<FromGphoto2Child> {
  const loaded = await load()
  const cameras = await new Promise<Camera[]>((resolve) => loaded.list(resolve))
  const devices = await usbDevices(request.usbFolder)
  const camera = chosen(cameras, devices, request)
  const { refused, offered } = await apply(camera, request.settings)
  const { folder, keepOnCamera } = request
  const capture = request.capture === 'auto' ? await bestCapture(camera, folder) : request.capture
  // Once: the package adds a listener each time and removes none.
  if (capture === 'still' && !keepOnCamera) loaded.setLogLevel(DEBUG_LEVEL)
  connected = { camera, capture, folder, keepOnCamera }
  return { kind: 'connected', model: camera.model, port: lastingPort(camera.port, devices), capture, refused, offered }
}

function chosen(
  cameras: readonly Camera[],
  devices: readonly UsbDevice[],
  { model, port }: { model: string | null; port: string | null },
): Camera {
  const fitting = cameras.filter(
    (one) => (model === null || one.model === model) && (port === null || lastingPort(one.port, devices) === port),
  )
  const [camera] = fitting
  const attached = cameras.map((one) => bodyText(one, devices)).join(', ')
  if (camera === undefined) {
    const what =
      cameras.length === 0
        ? 'no camera is attached'
        : `no camera fits source.model and source.port; attached: ${attached}`
    throw new AppError('unavailable', what)
  }
  if (fitting.length > 1)
    throw new AppError('configuration', `several cameras fit, name one by source.port: ${attached}`)
  return camera
}

/** Live view where the body has it. */
async function bestCapture(camera: Camera, folder: string): Promise<'preview' | 'still'> {
  try {
    await preview(camera, folder)
    return 'preview'
  } catch (thrown) {
    if (thrown instanceof CameraFault && thrown.number === NOT_SUPPORTED) return 'still'
    throw thrown
  }
}

const isWidget = (node: Widget | WidgetTree): node is Widget => typeof node.label === 'string'

function widgetsOf(tree: WidgetTree): Map<string, Widget> {
  const found = new Map<string, Widget>()
  for (const [name, node] of Object.entries(tree)) {
    // What the camera could not read is undefined.
    if (node === undefined) continue
    if (isWidget(node)) found.set(name, node)
    else for (const [inner, widget] of widgetsOf(node)) found.set(inner, widget)
  }
  return found
}

/** Sets each one that the camera takes. The camera is asked in any case: the answer shows that it is there. */
async function apply(
  camera: Camera,
  settings: CameraSettings,
): Promise<{ refused: RefusedSetting[]; offered: OfferedSetting[] }> {
  const config = await asked<{ main: WidgetTree } | undefined>('reading its settings', (done) =>
    camera.getConfig(true, done),
  )
  const widgets = widgetsOf(config?.main ?? {})
  const refused: RefusedSetting[] = []
  for (const [name, value] of Object.entries(settings)) {
    const widget = widgets.get(name)
    // Asked for a name that it does not have, the package frees its memory twice.
    const why =
      widget === undefined
        ? `the camera has no such setting; it has ${listed([...widgets.keys()])}`
        : misfit(widget, value)
    if (why !== null) {
      refused.push({ name, why })
      continue
    }
    if (String(widget?.value) === value) continue
    try {
      await asked<undefined>(`setting ${name}`, (done) => camera.setConfigValue(name, value, done))
    } catch (thrown) {
      const offered = widget?.choices === undefined ? '' : `; it offers ${listed(widget.choices)}`
      refused.push({ name, why: `${toAppError(thrown).message}${offered}` })
    }
  }
  const taken = (name: string) => (refused.some((one) => one.name === name) ? undefined : settings[name])
  const offered = PICTURE_SETTINGS.flatMap((name): OfferedSetting[] => {
    const widget = widgets.get(name)
    if (widget === undefined) return []
    const { label, value, choices } = widget
    const shown = choices === undefined || choices.length === 0 ? null : choices.slice(0, MAX_CHOICES)
    return [{ name, label, value: taken(name) ?? String(value ?? ''), choices: shown }]
  })
  return { refused, offered }
}

/** Why the camera would not take `value`, or null. What is no choice must not reach the package, which takes a number for a place in the list. */
function misfit({ type, choices, min, max }: Widget, value: string): string | null {
  if (type === 'choice' && choices !== undefined && choices.length > 0 && !choices.includes(value))
    return `the camera offers ${listed(choices)} (got ${value})`
  if (type === 'range' && min !== undefined && max !== undefined) {
    const number = Number(value)
    if (!(number >= min && number <= max)) return `the camera takes ${min} to ${max} (got ${value})`
  }
  return null
}

const listed = (names: readonly string[]) =>
  `${names.slice(0, MAX_LISTED).join(', ')}${names.length > MAX_LISTED ? ', …' : ''}`

async function preview(camera: Camera, folder: string): Promise<Buffer> {
  try {
    const targetPath = join(folder, 'XXXXXX')
    return await readFile(
      await asked<string>('a preview', (done) => camera.takePicture({ preview: true, targetPath }, done)),
    )
  } finally {
    // Also where it failed, which makes a file as well.
    for (const name of await readdir(folder)) await unlink(join(folder, name))
  }
}

/**
 * A picture that stays on the camera until it is known to be whole here. The package deletes a file only together with fetching it,
 * half or whole, and does not say where one lies that it keeps. So the path is read from libgphoto2's log, and to be deleted the
 * picture is fetched a second time.
 */
async function still({ camera, keepOnCamera }: Connected): Promise<{ jpeg: Buffer; isLeft: boolean }> {
  fetched = []
  const jpeg = await asked<Buffer>('a picture', (done) => camera.takePicture({ download: true, keep: true }, done))
  if (keepOnCamera) return { jpeg, isLeft: false }
  await logged()
  const [cameraPath, another] = fetched
  // Where it is not certain which file this was, none is deleted.
  if (wholeJpeg(jpeg) === null || cameraPath === undefined || another !== undefined) return { jpeg, isLeft: true }
  try {
    await asked<Buffer>('deleting', (done) => camera.downloadPicture({ cameraPath }, done))
    return { jpeg, isLeft: false }
  } catch {
    return { jpeg, isLeft: true }
  } finally {
    await logged()
  }
}

/** Lines of the log that were written before the work that has just ended come in this turn of the loop or in the next. */
async function logged(): Promise<void> {
  await systemClock.sleep(0)
  await systemClock.sleep(0)
}

async function answer(request: ToGphoto2Child): Promise<FromGphoto2Child> {
  if (request.kind === 'load') {
    await load()
    return { kind: 'loaded' }
  }
  if (request.kind === 'connect') return await connect(request)
  if (connected === null) throw new AppError('internal', `asked to ${request.kind} before it was connected`)
  if (request.kind === 'set') return { kind: 'set', refused: (await apply(connected.camera, request.settings)).refused }
  const startedMs = systemClock.monotonicMs()
  const { jpeg, isLeft } =
    connected.capture === 'still'
      ? await still(connected)
      : { jpeg: await preview(connected.camera, connected.folder), isLeft: false }
  return { kind: 'shot', jpeg, ageMs: systemClock.monotonicMs() - startedMs, isLeft }
}

const send = (message: FromGphoto2Child | Failed) => answerParent(process, message)

process.on('message', async (request: ToGphoto2Child) => {
  try {
    send(await answer(request))
  } catch (thrown) {
    const { code, message } = toAppError(thrown)
    // Whatever a camera makes this process stumble over, a new process may work later.
    send({ kind: 'failed', code: code === 'internal' ? 'unavailable' : code, message })
  }
})
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
// An ordinary exit would wait for the thread in which libgphoto2 hangs.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

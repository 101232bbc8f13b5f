/**
 * The one door to vision, on the parent's side. The child is started at once, again with a growing pause when it dies, and killed
 * when a frame passes the time limit. The frame that it died of is never sent again.
 */
import type { ChildProcess } from 'node:child_process'
import { MINUTE_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { ScenePicture } from '../../shared/wire/heartbeat.ts'
import { abortable } from '../waiting.ts'
import { type Areas, WHOLE_PICTURE } from './areas.ts'
import type { AreasRequest, FrameAnswer, FrameRequest, FromChild, OpenRequest, Versions } from './exchange.ts'
import { startChild } from './start-child.ts'
import type {
  Corners,
  EvidenceCrop,
  FrameReading,
  Jurisdiction,
  ReadOptions,
  VisionConfig,
  VisionDeps,
  VisionDoor,
} from './types.ts'

/** Loading the models takes 1-3 s; a slow card and a cold disk take more. */
export const START_TIMEOUT_MS = 60_000
/** Pause before the child is started again: the first, then twice the last up to the most; back to the first after a frame is read. */
export const RESTART_PAUSE_MS = { first: 100, most: 10_000 } as const
/** A child that died this often in a row while the camera starts will not get better by itself. */
export const MAX_START_ATTEMPTS = 5
/** While no frame was read for longer, how the picture was says nothing of how it is. */
export const PICTURE_FRESH_MS = 2 * MINUTE_MS
/** An ending child gets this long before it is killed. */
const CLOSE_TIMEOUT_MS = 2_000

interface Waiting {
  done(value: FrameAnswer): void
  failed(error: AppError): void
}

type Unsent = FrameRequest extends infer R ? (R extends FrameRequest ? Omit<R, 'id'> : never) : never

export async function openVision(
  config: VisionConfig,
  deps: VisionDeps,
  areas: Areas = WHOLE_PICTURE,
): Promise<VisionDoor> {
  const vision = new Vision(config, deps, areas)
  await vision.open()
  return vision
}

class Vision implements VisionDoor {
  restarts = 0
  #picture: ScenePicture | null = null
  #readAtMs = 0
  readonly #config: VisionConfig
  readonly #deps: VisionDeps
  readonly #closing = new AbortController()
  #areas: Areas
  #child: ChildProcess | null = null
  #ready: Promise<void> = Promise.resolve()
  /** What the child has been asked: at most one of the frames' calls and one about a jurisdiction. */
  readonly #waiting = new Map<number, Waiting>()
  /** Frames' calls run one after another; this is the end of their queue. */
  #last: Promise<unknown> = Promise.resolve()
  /** Jurisdictions are read beside the frames: most of that is another thread's work. */
  #lastJurisdiction: Promise<unknown> = Promise.resolve()
  #nextId = 1
  #pauseMs: number = RESTART_PAUSE_MS.first
  #versions: Versions = { detector: 'unknown', reader: 'unknown' }

  constructor(config: VisionConfig, deps: VisionDeps, areas: Areas) {
    this.#config = config
    this.#deps = deps
    this.#areas = areas
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  get picture(): ScenePicture | null {
    return this.#deps.clock.monotonicMs() - this.#readAtMs > PICTURE_FRESH_MS ? null : this.#picture
  }

  get versions(): Versions {
    return this.#versions
  }

  /** A child that dies while it starts is started again; one that dies each time, or refuses, is told. */
  async open(): Promise<void> {
    this.#start()
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#ready
        return
      } catch (thrown) {
        // #exited has put the next start in its place.
        if (toAppError(thrown).code === 'unavailable' && attempt < MAX_START_ATTEMPTS) continue
        await this.close()
        throw thrown
      }
    }
  }

  async read(frame: Uint8Array, options: ReadOptions = {}): Promise<FrameReading> {
    const isVideo = options.unlessStill === true
    const unlessStill = isVideo && this.#config.motionGate
    const previewPx = options.previewPx ?? null
    const request = { kind: 'read', frame, unlessStill, isVideo, previewPx } as const
    const reading = (await this.#call(request, options.signal)) as FrameReading
    this.#picture = reading.picture ?? this.#picture
    this.#readAtMs = this.#deps.clock.monotonicMs()
    const { preview } = reading
    return preview === undefined ? reading : { ...reading, preview: { ...preview, jpeg: asBuffer(preview.jpeg) } }
  }

  setAreas(areas: Areas): void {
    this.#areas = areas
    // A child that starts later is told by `open`.
    if (this.#child?.connected === true) this.#child.send({ kind: 'areas', areas } satisfies AreasRequest, () => {})
  }

  async crop(frame: Uint8Array, region: EvidenceRegion, maxBytes: number): Promise<EvidenceCrop> {
    const crop = (await this.#call({ kind: 'crop', frame, region, maxBytes })) as EvidenceCrop
    return { ...crop, jpeg: asBuffer(crop.jpeg) }
  }

  async jurisdiction(frame: Uint8Array, corners: Corners): Promise<Jurisdiction | null> {
    const before = this.#lastJurisdiction
    const mine = (async () => {
      await before
      return this.#exchange({ kind: 'jurisdiction', frame, corners })
    })()
    this.#lastJurisdiction = mine.catch(() => {})
    return (await mine) as Jurisdiction | null
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const child = this.#child
    if (child === null) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    if (child.connected) child.disconnect()
    const stop = new AbortController()
    const late = this.#deps.clock.sleep(CLOSE_TIMEOUT_MS, stop.signal).then(
      () => child.kill('SIGKILL'),
      () => {},
    )
    await gone
    stop.abort()
    await late
  }

  async #call(request: Unsent, signal?: AbortSignal): Promise<FrameAnswer> {
    const before = this.#last
    const mine = (async () => {
      await before
      signal?.throwIfAborted()
      return this.#exchange(request)
    })()
    this.#last = mine.catch(() => {})
    if (signal === undefined) return mine
    return abortable(mine, signal)
  }

  async #exchange(request: Unsent): Promise<FrameAnswer> {
    if (this.#closing.signal.aborted) throw new AppError('unavailable', 'vision is closed')
    await this.#ready
    const child = this.#child
    if (child === null) throw new AppError('unavailable', 'the vision process is not running')
    const id = this.#nextId++
    const timer = new AbortController()
    try {
      return await new Promise((done, failed) => {
        this.#waiting.set(id, { done, failed })
        child.send({ ...request, id }, (error) => {
          if (error !== null) failed(new AppError('unavailable', 'the vision process is gone', { cause: error }))
        })
        this.#deps.clock.sleep(this.#config.frameTimeoutMs, timer.signal).then(
          () => {
            this.#deps.log.warn('vision_frame_too_slow', { limit: this.#config.frameTimeoutMs })
            failed(new AppError('unavailable', `the frame took more than ${this.#config.frameTimeoutMs} ms`))
            this.#child = null
            // Who asks next waits for the new child, not for the end of this one.
            const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
            this.#ready = gone.then(() => this.#ready)
            this.#ready.catch(() => {})
            child.kill('SIGKILL')
          },
          () => {},
        )
      })
    } finally {
      timer.abort()
      this.#waiting.delete(id)
    }
  }

  /** Afterwards `#ready` resolves when the child is; it rejects when the child refuses its configuration or dies before. */
  #start(): void {
    const child = startChild(new URL('./child', import.meta.url), { errors: 'inherit' })
    this.#child = child
    const ready = new Promise<void>((resolve, reject) => {
      const timer = new AbortController()
      this.#deps.clock.sleep(START_TIMEOUT_MS, timer.signal).then(
        () => child.kill('SIGKILL'),
        () => {},
      )
      child.on('message', (message: FromChild) => {
        if (message.kind === 'ready') {
          timer.abort()
          this.#versions = message.versions
          resolve()
        } else if (message.kind === 'refused') {
          reject(new AppError(message.code, message.message, { hint: message.hint ?? '' }))
          child.kill('SIGKILL')
        } else {
          this.#answered(message)
        }
      })
      const over = (died: AppError, how: { exitCode: number | null; signal: string | null }) => {
        timer.abort()
        reject(died)
        this.#exited(child, died, how)
      }
      child.on('error', (cause) => {
        // `exit` follows where there is a process; one that could not be started at all has none.
        if (child.pid !== undefined) return
        const died = new AppError('unavailable', 'the vision process cannot be started', { cause })
        over(died, { exitCode: null, signal: null })
      })
      child.once('exit', (exitCode, signal) => {
        const died = new AppError('unavailable', `the vision process ended (${signal ?? `exit ${exitCode}`})`)
        over(died, { exitCode, signal })
      })
    })
    this.#ready = ready
    // Who waits for a frame sees the rejection; nobody may be waiting.
    ready.catch(() => {})
    const { viewFile = null } = this.#deps
    const request: OpenRequest = { kind: 'open', config: this.#config, viewFile, areas: this.#areas }
    // A child that died before it could be told says so by `exit`.
    if (child.pid !== undefined) child.send(request, () => {})
  }

  #answered(message: Extract<FromChild, { id: number }>): void {
    const waiting = this.#waiting.get(message.id)
    if (waiting === undefined) return
    this.#pauseMs = RESTART_PAUSE_MS.first
    if (message.kind === 'done') waiting.done(message.value)
    else
      waiting.failed(new AppError(message.code, message.message, message.hint === null ? {} : { hint: message.hint }))
  }

  #exited(child: ChildProcess, died: AppError, how: { exitCode: number | null; signal: string | null }): void {
    if (this.#child === child) this.#child = null
    for (const waiting of this.#waiting.values()) waiting.failed(died)
    if (this.#closing.signal.aborted) return
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(RESTART_PAUSE_MS.most, pauseMs * 2)
    this.#deps.log.warn('vision_died', { ...how, retryInMs: pauseMs })
    this.#ready = this.#deps.clock.sleep(pauseMs, this.#closing.signal).then(
      () => {
        this.restarts += 1
        this.#start()
        return this.#ready
      },
      () => {
        throw new AppError('unavailable', 'vision is closed')
      },
    )
    this.#ready.catch(() => {})
  }
}

/** A Buffer comes over the pipe as a plain Uint8Array. */
const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

type EvidenceRegion = Parameters<VisionDoor['crop']>[1]

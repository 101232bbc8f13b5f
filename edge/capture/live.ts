/**
 * The one supervisor of every live camera: opens it within a time, ends it when it gives no whole frame for too long, opens it again
 * with back-off, rejects half pictures, gives each frame its number and time, and lets the newest win. Nothing that a camera does
 * ends it; the device's own file (gphoto2, rpicam, stream) knows how to open one and how to ask it for a picture.
 */
import type { Clock } from '../../shared/clock.ts'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError, type ErrorCode, toAppError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { createBackOff } from '../../shared/retry.ts'
import { limitLog } from '../limited-log.ts'
import { MAX_PICTURE_BYTES } from '../vision/limits.ts'
import { wholeJpeg } from './jpeg.ts'
import { createNewest } from './newest.ts'
import type { CaptureSource, Connection, Device, Frame, LiveStatus, Shot } from './types.ts'

export interface LiveLimits {
  /** No whole frame for so long, beyond what the device needs for one: ended and opened again. Milliseconds. */
  stallMs: number
  openTimeoutMs: number
  /** Most frames asked of the device in a second; null: as many as it has. */
  framesPerSecond: number | null
}

export interface LiveDeps {
  clock: Clock
  random: Random
  log: Log
}

/** A camera that was pulled is looked for twice in the first second, and then less often: opening costs a unit a process each time. */
export const REOPEN_BACK_OFF = { firstMs: 500, mostMs: 30 * SECOND_MS }
/** A device that was ended and does not go: it is left to the system. Milliseconds. */
const CLOSE_TIMEOUT_MS = 5 * SECOND_MS

/** Starts at once; a camera that is not there yet is waited for. Ends only by `close`, or by an error of the program. */
export function openLive(device: Device, limits: LiveLimits, deps: LiveDeps): CaptureSource {
  return new Live(device, limits, deps)
}

class Live implements CaptureSource {
  dropped = 0
  rejected = 0
  readonly #device: Device
  readonly #limits: LiveLimits
  readonly #clock: Clock
  readonly #log: Log
  readonly #newest = createNewest<Frame>()
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #state: LiveStatus['state'] = 'opening'
  #reconnects = 0
  #stalls = 0
  #errorCode: ErrorCode | null = null
  /** Of the last whole frame, monotonic milliseconds. */
  #frameAtMs: number | null = null
  #seq = 0

  constructor(device: Device, limits: LiveLimits, { clock, random, log }: LiveDeps) {
    this.#device = device
    this.#limits = limits
    this.#clock = clock
    this.#log = limitLog(log.with({ kind: device.kind }), clock)
    this.#running = this.#run(random)
  }

  get live(): LiveStatus {
    return {
      state: this.#state,
      reconnects: this.#reconnects,
      stalls: this.#stalls,
      frameAgeMs: this.#frameAtMs === null ? null : Math.round(this.#clock.monotonicMs() - this.#frameAtMs),
      errorCode: this.#errorCode,
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame> {
    for (;;) {
      const frame = await this.#newest.take()
      if (frame === null || this.#closing.signal.aborted) return
      yield frame
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#newest.end()
    await this.#running
  }

  /** Until `close`. Never rejects. */
  async #run(random: Random): Promise<void> {
    const { signal } = this.#closing
    const backOff = createBackOff(REOPEN_BACK_OFF, random)
    while (!signal.aborted) {
      try {
        await this.#once(() => backOff.reset())
      } catch (thrown) {
        if (signal.aborted) return
        const { code, message } = toAppError(thrown)
        if (code === 'internal') {
          this.#newest.fail(thrown)
          return
        }
        this.#state = 'lost'
        this.#errorCode = code
        const retryInMs = backOff.nextMs()
        this.#log.warn('source_lost', { code, error: message, attempt: backOff.attempts, retryInMs })
        await this.#clock.sleep(retryInMs, signal).catch(() => {})
      }
    }
  }

  /** One time that the device is open, until it is to be opened again. Throws what went wrong. */
  async #once(whole: () => void): Promise<void> {
    const { signal } = this.#closing
    const ending = new AbortController()
    const end = () => ending.abort()
    signal.addEventListener('abort', end, { once: true })
    let connection: Connection | null = null
    try {
      const opening = this.#device.open(ending.signal, () => this.#reject(0))
      // One that opens although it was given up is not left open.
      opening.then(
        async (late) => {
          if (ending.signal.aborted) await late.close()
        },
        () => {},
      )
      connection = await this.#within(this.#limits.openTimeoutMs, opening, 'the camera was not open in time')
      await this.#deliver(connection, whole)
    } finally {
      signal.removeEventListener('abort', end)
      ending.abort()
      if (connection !== null) await this.#closed(connection)
    }
  }

  async #deliver(connection: Connection, whole: () => void): Promise<void> {
    const { stallMs, framesPerSecond } = this.#limits
    const periodMs = framesPerSecond === null ? 0 : SECOND_MS / framesPerSecond
    // Of the time in which the camera was asked: our own pause between two pictures is no silence of the camera.
    let silentFromMs = this.#clock.monotonicMs()
    /** Since the last whole picture. */
    let halves = 0
    let limitMs = stallMs + (connection.ownSilenceMs?.first ?? 0)
    for (;;) {
      const askedAtMs = this.#clock.monotonicMs()
      const leftMs = silentFromMs + limitMs - askedAtMs
      const late = `no whole frame for ${limitMs} ms`
      // One that answers at once would win any race.
      if (leftMs <= 0) throw this.#stalled(late)
      const shot = await this.#within(leftMs, connection.next(), late)
      if (shot === null) return
      const isWhole = this.#take(shot)
      halves = isWhole ? 0 : halves + 1
      if (isWhole) {
        silentFromMs = this.#clock.monotonicMs()
        limitMs = stallMs + (connection.ownSilenceMs?.between ?? 0)
        whole()
      }
      const pauseFromMs = this.#clock.monotonicMs()
      const pauseMs = askedAtMs + periodMs - pauseFromMs
      if (pauseMs <= 0) continue
      await this.#clock.sleep(pauseMs, this.#closing.signal)
      // After half pictures it is: one that answers at once with nothing else is opened again as soon as one that says nothing. Not after the first: of one
      // that is asked once a minute the pause alone is longer than stallMs.
      if (halves <= 1) silentFromMs += this.#clock.monotonicMs() - pauseFromMs
    }
  }

  /** False when it is no whole picture. */
  #take({ jpeg, ageMs }: Shot): boolean {
    const encoded = jpeg.length > MAX_PICTURE_BYTES ? null : wholeJpeg(jpeg)
    if (encoded === null) {
      this.#reject(jpeg.length)
      return false
    }
    if (this.#state !== 'delivering') {
      if (this.#state === 'lost') this.#reconnects += 1
      this.#state = 'delivering'
      this.#log.info('source_delivering', { count: this.#reconnects })
    }
    this.#frameAtMs = this.#clock.monotonicMs() - ageMs
    const capturedAtMs = Math.round(this.#clock.nowMs() - ageMs)
    const frame: Frame = { seq: this.#seq, capturedAtMs, clock: 'synced', encoded, name: null }
    this.#seq += 1
    if (this.#newest.put(frame)) this.dropped += 1
    return true
  }

  #reject(bytes: number): void {
    this.rejected += 1
    this.#log.warn('frame_rejected', { bytes, code: 'bad_input' })
  }

  /** What `work` gives within `limitMs`; throws `unavailable` when that is late, which is a stall, or the source is closed. */
  async #within<T>(limitMs: number, work: Promise<T>, late: string): Promise<T> {
    const timer = new AbortController()
    const end = () => timer.abort()
    this.#closing.signal.addEventListener('abort', end, { once: true })
    if (this.#closing.signal.aborted) end()
    const timeout = this.#clock.sleep(limitMs, timer.signal).then(
      (): never => {
        throw this.#stalled(late)
      },
      (): never => {
        throw new AppError('unavailable', 'the source is closed')
      },
    )
    timeout.catch(() => {})
    // Whoever loses the race is heard by nobody any more.
    work.catch(() => {})
    try {
      return await Promise.race([work, timeout])
    } finally {
      this.#closing.signal.removeEventListener('abort', end)
      end()
    }
  }

  #stalled(how: string): AppError {
    this.#stalls += 1
    return new AppError('unavailable', how)
  }

  async #closed(connection: Connection): Promise<void> {
    const timer = new AbortController()
    const late = this.#clock.sleep(CLOSE_TIMEOUT_MS, timer.signal).catch(() => {})
    await Promise.race([connection.close(), late])
    timer.abort()
  }
}

/**
 * The camera while it is set up: frames are taken and read only while somebody looks, one for each look, and the newest there is. What was
 * seen is in memory alone, until the next frame. Source and vision are those of the camera process; the source is opened anew when it is
 * set otherwise. Called by the routes; owns source, vision process and the last look.
 */
import type { Clock } from '../../shared/clock.ts'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError, describeError, toAppError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import type { OfferedSetting } from '../capture/gphoto2-exchange.ts'
import type { SourceConfig } from '../capture/sources.ts'
import type { CaptureSource, LiveStatus } from '../capture/types.ts'
import type { Areas } from '../vision/areas.ts'
import type { PlateRead, VisionConfig, VisionDoor } from '../vision/types.ts'
import { LOOK_WAIT_MS, MAX_LOOKERS, PREVIEW_WIDTH_PX, TURN_WAIT_MS } from './limits.ts'

/** One frame as the technician sees it. */
export interface Look {
  seq: number
  widthPx: number
  heightPx: number
  jpeg: Buffer
  sharpness: number | null
  reads: PlateRead[]
  /** For reading it, milliseconds. */
  elapsedMs: number
  /** Since the shutter opened, when it was read, milliseconds. */
  ageMs: number
}

export interface SetupCamera {
  /** A frame newer than `after`, as soon as one is read; null: none came in time. Throws `too_large` when too many wait already. */
  look(after: number, signal: AbortSignal): Promise<Look | null>
  /**
   * `config` resolved; null: there is none yet. Resolves when it is opened or cannot be, or another was chosen since, and after `TURN_WAIT_MS` in any case: a small unit loads its
   * networks first. Never rejects: what is wrong is told by `problem`.
   */
  setSource(config: SourceConfig | null): Promise<void>
  setAreas(view: Areas): void
  readonly live: LiveStatus | null
  /** Why there are no pictures, for a person. */
  readonly problem: string | null
  /** What a camera by gphoto2 lets be set; null: nothing was said yet, or it is of another kind. */
  readonly offered: readonly OfferedSetting[] | null
  /** Settings that the camera has not taken. */
  readonly refused: readonly string[]
  close(): Promise<void>
}

export interface SetupCameraDeps {
  clock: Clock
  random: Random
  log: Log
  openSource(
    config: SourceConfig,
    deps: { clock: Clock; random: Random; log: Log; onOffered: (offered: readonly OfferedSetting[]) => void },
  ): Promise<CaptureSource>
  openVision(config: VisionConfig, deps: { clock: Clock; log: Log }, view: Areas): Promise<VisionDoor>
}

/** While vision is starting again, frames fail at once. */
const VISION_PAUSE_MS = SECOND_MS
/** Refusals that are kept for the page. */
const MAX_REFUSED = 16

/** Vision is started with the first source: loading it takes a small unit some seconds, in which the page is there already. */
export function createSetupCamera(vision: VisionConfig, firstView: Areas, deps: SetupCameraDeps): SetupCamera {
  const { clock, log } = deps
  let door: VisionDoor | null = null
  let view = firstView
  let source: CaptureSource | null = null
  let problem: string | null = 'no camera is chosen yet'
  let offered: readonly OfferedSetting[] | null = null
  const refused: string[] = []
  let last: Look | null = null
  let seq = 0
  let lookers = 0
  /** Views that were set. */
  let views = 0
  let wanted: () => void = () => {}
  let came: () => void = () => {}
  let next = new Promise<void>((resolve) => {
    came = resolve
  })
  /** Sources that were chosen. */
  let turns = 0
  /** They are opened and closed one after another. */
  let turning: Promise<void> = Promise.resolve()
  const closing = new AbortController()

  /** What a setting was refused for stands in an error of the log alone. */
  const listening: Log = {
    ...log,
    error(name, fields) {
      log.error(name, fields)
      if (name === 'setting_refused' && refused.length < MAX_REFUSED) refused.push(String(fields?.error ?? ''))
    },
    with: () => listening,
  }

  async function run(own: CaptureSource, eyes: VisionDoor): Promise<void> {
    const frames = own[Symbol.asyncIterator]()
    try {
      while (source === own) {
        if (lookers === 0) {
          await new Promise<void>((resolve) => {
            wanted = resolve
          })
          continue
        }
        const frame = await frames.next()
        if (frame.done === true) {
          if (source === own) problem = 'the source has ended'
          return
        }
        const askedAtMs = clock.nowMs()
        const byView = views
        try {
          const { widthPx, heightPx, reads, preview, elapsedMs } = await eyes.read(frame.value.encoded, {
            previewPx: PREVIEW_WIDTH_PX,
          })
          // What was masked a moment ago is not shown again.
          if (preview === undefined || source !== own || byView !== views) continue
          problem = null
          seq += 1
          const ageMs = Math.max(0, askedAtMs - frame.value.capturedAtMs)
          last = { seq, widthPx, heightPx, ...preview, reads, elapsedMs, ageMs }
          came()
          next = new Promise<void>((resolve) => {
            came = resolve
          })
        } catch (thrown) {
          const { code, message } = toAppError(thrown)
          problem = message
          log.warn('frame_not_read', { code, error: message })
          if (code === 'unavailable') await clock.sleep(VISION_PAUSE_MS, closing.signal).catch(() => {})
        }
      }
    } catch (thrown) {
      // The source itself has failed; setting it anew helps.
      if (source === own) problem = describeError(thrown)
      log.error('source_failed', { code: toAppError(thrown).code, error: toAppError(thrown).message })
    }
  }

  async function turnTo(config: SourceConfig | null): Promise<void> {
    const before = source
    source = null
    wanted()
    await before?.close()
    last = null
    offered = null
    refused.length = 0
    if (closing.signal.aborted) return
    problem = config === null ? 'no camera is chosen yet' : null
    if (config === null) return
    try {
      const onOffered = (found: readonly OfferedSetting[]) => {
        offered = found
      }
      const opened = await deps.openSource(config, { clock, random: deps.random, log: listening, onOffered })
      source = opened
      door ??= await deps.openVision(vision, { clock, log }, view)
      door.setAreas(view)
      void run(opened, door)
    } catch (thrown) {
      problem = describeError(thrown)
    }
  }

  function turn(config: SourceConfig | null): Promise<void> {
    turns += 1
    const own = turns
    // Of those that were chosen while one was opening, only the newest is wanted.
    turning = turning.then(() => (own === turns ? turnTo(config) : undefined))
    return turning
  }

  async function setSource(config: SourceConfig | null): Promise<void> {
    const timer = new AbortController()
    const late = clock.sleep(TURN_WAIT_MS, timer.signal).catch(() => {})
    await Promise.race([turn(config), late])
    timer.abort()
  }

  async function look(after: number, signal: AbortSignal): Promise<Look | null> {
    if (lookers >= MAX_LOOKERS) throw new AppError('too_large', `more than ${MAX_LOOKERS} pictures are waited for`)
    lookers += 1
    const timer = new AbortController()
    const stop = () => timer.abort()
    signal.addEventListener('abort', stop, { once: true })
    closing.signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted || closing.signal.aborted) stop()
    const late = clock.sleep(LOOK_WAIT_MS, timer.signal).then(
      () => {},
      () => {},
    )
    let isLate = false
    void late.then(() => {
      isLate = true
    })
    try {
      wanted()
      // Whoever asks gets a frame that is taken from now on: the one that lies there may be old.
      const from = Math.max(after, seq)
      while (!isLate) {
        if (last !== null && last.seq > from) return last
        await Promise.race([next, late])
      }
      return null
    } finally {
      lookers -= 1
      signal.removeEventListener('abort', stop)
      closing.signal.removeEventListener('abort', stop)
      timer.abort()
    }
  }

  return {
    look,
    setSource,
    setAreas(next) {
      view = next
      views += 1
      last = null
      door?.setAreas(view)
    },
    get live() {
      return source?.live ?? null
    },
    get problem() {
      return problem
    },
    get offered() {
      return offered
    },
    get refused() {
      return refused
    },
    async close() {
      closing.abort()
      await turn(null)
      await door?.close()
    },
  }
}

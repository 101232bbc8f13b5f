/**
 * Replay: a folder of pictures, one picture or a video file as if a camera saw it now. At a set rate the newest frame wins and
 * dropped ones are counted; without a rate each frame waits until the reader asks, and none is dropped.
 */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { createNewest, type Newest } from './newest.ts'
import { isPictureFile, listPictures, openPictures } from './pictures.ts'
import type { CaptureSource, Frame, Supply } from './types.ts'
import { openVideoFile } from './video.ts'

export const replaySchema = z.strictObject({
  kind: z.literal('replay'),
  path: z.string().min(1).max(4_096).describe('a folder of pictures, a picture or a video file'),
  framesPerSecond: z
    .number()
    .gt(0)
    .max(1_000)
    .nullable()
    .default(null)
    .describe('frames a second; null: as fast as they are read, none dropped'),
  loop: z.boolean().default(false).describe('start again at the end'),
  sequence: z
    .enum(['auto', 'stills', 'video'])
    .default('auto')
    .describe(
      'stills: each picture may show another vehicle; video: neighbouring frames show the same; auto: a folder is stills',
    ),
})
export type ReplayConfig = Pick<z.infer<typeof replaySchema>, 'path' | 'framesPerSecond' | 'loop'>

export interface ReplayDeps {
  clock: Clock
  log: Log
}

/** Throws `bad_input` for an empty folder and for a file that is neither picture nor video, `configuration` for a missing one. */
export async function openReplay(config: ReplayConfig, deps: ReplayDeps): Promise<CaptureSource> {
  let rejected = 0
  const supply = await openSupply(config.path, deps, () => {
    rejected += 1
  })
  return new Replay(config, supply, () => rejected, deps.clock)
}

async function openSupply(path: string, deps: ReplayDeps, rejected: () => void): Promise<Supply> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new AppError('configuration', `the source ${path} cannot be read`, { cause })
  })
  if (found.isDirectory()) return openPictures(path, await listPictures(path), deps.log, rejected)
  if (found.size === 0) throw new AppError('bad_input', `the file ${path} is empty`)
  if (await isPictureFile(path)) return openPictures(path, [path], deps.log, rejected)
  return openVideoFile(path, deps, rejected)
}

class Replay implements CaptureSource {
  dropped = 0
  readonly #config: ReplayConfig
  readonly #supply: Supply
  readonly #rejected: () => number
  readonly #clock: Clock
  readonly #closing = new AbortController()
  #seq = 0
  #pump: Promise<void> = Promise.resolve()

  constructor(config: ReplayConfig, supply: Supply, rejected: () => number, clock: Clock) {
    this.#config = config
    this.#supply = supply
    this.#rejected = rejected
    this.#clock = clock
  }

  get rejected(): number {
    return this.#rejected()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame> {
    const { framesPerSecond } = this.#config
    if (framesPerSecond === null) {
      for (;;) {
        const loaded = await this.#load()
        if (loaded === null) return
        yield this.#framed(loaded)
      }
    }
    const newest = createNewest<Frame>()
    this.#pump = this.#fill(newest, SECOND_MS / framesPerSecond)
    this.#closing.signal.addEventListener('abort', () => newest.end(), { once: true })
    for (;;) {
      const frame = await newest.take()
      if (frame === null) return
      yield frame
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#pump
    await this.#supply.close()
  }

  async #load(): Promise<Pick<Frame, 'encoded' | 'name'> | null> {
    if (this.#closing.signal.aborted) return null
    const loaded = await this.#supply.next()
    if (loaded !== null || !this.#config.loop) return loaded
    await this.#supply.rewind()
    return this.#supply.next()
  }

  #framed(loaded: Pick<Frame, 'encoded' | 'name'>): Frame {
    return { ...loaded, seq: this.#seq++, capturedAtMs: this.#clock.nowMs(), clock: 'synced' }
  }

  /** Puts a frame each period, however slow the reader; never rejects. */
  async #fill(newest: Newest<Frame>, periodMs: number): Promise<void> {
    let dueMs = this.#clock.monotonicMs()
    try {
      for (;;) {
        const loaded = await this.#load()
        if (loaded === null) break
        const waitMs = dueMs - this.#clock.monotonicMs()
        if (waitMs > 0) await this.#clock.sleep(waitMs, this.#closing.signal)
        if (newest.put(this.#framed(loaded))) this.dropped += 1
        // A disk that is late is not made up for by a burst.
        dueMs = Math.max(dueMs + periodMs, this.#clock.monotonicMs() - periodMs)
      }
      newest.end()
    } catch (thrown) {
      newest.fail(thrown)
    }
  }
}

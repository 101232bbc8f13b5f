/**
 * A video file as JPEG frames. Decoding runs in a process of its own (video-child.ts), for the same reasons as vision does: the
 * binding is not safe beside others, and a hostile file must not take the camera down.
 */
import type { ChildProcess } from 'node:child_process'
import { basename } from 'node:path'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { startChild } from '../vision/start-child.ts'
import type { ReplayDeps } from './replay.ts'
import type { Supply } from './types.ts'
import type { FromVideoChild, ToVideoChild } from './video-exchange.ts'

/** One frame, or opening the file; a slow card and a cold disk included. Milliseconds. */
export const VIDEO_STEP_TIMEOUT_MS = 30 * SECOND_MS
/** A video with fewer of the frames that its header promises is reported as cut short; headers estimate. */
const WHOLE_SHARE = 0.95

/** Throws `bad_input` when it is no video or gives not one frame. */
export async function openVideoFile(path: string, deps: ReplayDeps, rejected: () => void): Promise<Supply> {
  const child = new VideoChild(deps)
  try {
    const opened = await child.ask({ kind: 'open', path })
    if (opened.kind !== 'opened') throw new AppError('internal', `the video process answered ${opened.kind} to open`)
    const { frames: promised } = opened
    let given = 0
    return {
      async next() {
        const answer = await child.ask({ kind: 'next' })
        if (answer.kind === 'frame') {
          given += 1
          const { jpeg } = answer
          return {
            encoded: Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength),
            name: `${basename(path)}#${given}`,
          }
        }
        if (given === 0) throw new AppError('bad_input', `the video ${path} has not one frame that can be decoded`)
        if (given < promised * WHOLE_SHARE) {
          rejected()
          deps.log.warn('video_cut_short', { count: given, limit: promised })
        }
        return null
      },
      async rewind() {
        given = 0
        await child.ask({ kind: 'open', path })
      },
      close: () => child.close(),
    }
  } catch (thrown) {
    await child.close()
    throw thrown
  }
}

class VideoChild {
  readonly #deps: ReplayDeps
  readonly #child: ChildProcess
  readonly #gone: Promise<string>

  constructor(deps: ReplayDeps) {
    this.#deps = deps
    // The decoder writes what it thinks of a broken file to standard error; it is told by an error of ours instead.
    this.#child = startChild(new URL('./video-child', import.meta.url), { errors: 'ignore' })
    this.#gone = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`))
      this.#child.once('error', (error) => resolve(error.message))
    })
  }

  async ask(request: ToVideoChild): Promise<FromVideoChild> {
    const timer = new AbortController()
    try {
      const answered = new Promise<FromVideoChild>((resolve) => this.#child.once('message', resolve))
      // Rejected by `exit` below; without a callback the send would throw into nobody's hands.
      this.#child.send(request, () => {})
      const died = this.#gone.then((how): never => {
        throw new AppError('bad_input', `the video made its decoder fail (${how})`)
      })
      const late = this.#deps.clock.sleep(VIDEO_STEP_TIMEOUT_MS, timer.signal).then((): never => {
        this.#child.kill('SIGKILL')
        throw new AppError('bad_input', `the video gave no frame for ${VIDEO_STEP_TIMEOUT_MS / SECOND_MS} s`)
      })
      late.catch(() => {})
      died.catch(() => {})
      const answer = await Promise.race([answered, died, late])
      if (answer.kind === 'failed') throw new AppError(answer.code, answer.message)
      return answer
    } finally {
      timer.abort()
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    await this.#gone
  }
}

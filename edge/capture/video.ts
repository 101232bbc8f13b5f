/**
 * A video file as JPEG frames. Decoding runs in a process of its own (video-child.ts), for the same reasons as vision does: the
 * binding is not safe beside others, and a hostile file must not take the camera down.
 */
import { basename } from 'node:path'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { CaptureChild } from './child.ts'
import type { ReplayDeps } from './replay.ts'
import type { Supply } from './types.ts'
import type { FromVideoChild, ToVideoChild } from './video-exchange.ts'

/** One frame, or opening the file; a slow card and a cold disk included. Milliseconds. */
export const VIDEO_STEP_TIMEOUT_MS = 30 * SECOND_MS
/** A video with fewer of the frames that its header promises is reported as cut short; headers estimate. */
const WHOLE_SHARE = 0.95

/** Throws `bad_input` when it is no video or gives not one frame. */
export async function openVideoFile(path: string, deps: ReplayDeps, rejected: () => void): Promise<Supply> {
  const child = new CaptureChild<ToVideoChild, FromVideoChild>(new URL('./video-child', import.meta.url), deps.clock, {
    died: (how) => new AppError('bad_input', `the video made its decoder fail (${how})`),
    late: (limitMs) => new AppError('bad_input', `the video gave no frame for ${limitMs / SECOND_MS} s`),
  })
  try {
    const opened = await child.ask({ kind: 'open', path }, VIDEO_STEP_TIMEOUT_MS)
    if (opened.kind !== 'opened') throw new AppError('internal', `the video process answered ${opened.kind} to open`)
    const { frames: promised } = opened
    let given = 0
    return {
      async next() {
        const answer = await child.ask({ kind: 'next' }, VIDEO_STEP_TIMEOUT_MS)
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
        await child.ask({ kind: 'open', path }, VIDEO_STEP_TIMEOUT_MS)
      },
      close: () => child.close(),
    }
  } catch (thrown) {
    await child.close()
    throw thrown
  }
}

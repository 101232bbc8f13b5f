/**
 * The process that decodes a live stream; started by stream.ts, ended by its kill or by the pipe closing. It reads whatever comes,
 * asked or not: a stream that is left unread would give old frames later.
 */
import { systemClock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { answerParent } from '../answer-parent.ts'
import type { Stream } from '../vision/opencv.ts'
import type { Failed } from './child.ts'
import type { FromStreamChild, ToStreamChild } from './stream-exchange.ts'

// Read by the package while it loads; with its memory tracking, V8 crashes.
process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'

let stream: Stream | null = null
/** Of a frame that nobody has had, monotonic milliseconds. */
let readAtMs: number | null = null
let isAsked = false
let fault: AppError | null = null

const say = (answer: FromStreamChild | Failed) => answerParent(process, answer)
/** Whatever a stream makes this process stumble over, a new process may work later. */
function sayFailed(thrown: unknown): void {
  const { code, message } = toAppError(thrown)
  say({ kind: 'failed', code: code === 'internal' ? 'unavailable' : code, message })
}

function give(): void {
  if (!isAsked) return
  try {
    if (readAtMs !== null) {
      const jpeg = stream?.newest() ?? null
      if (jpeg === null) return
      say({ kind: 'frame', jpeg, ageMs: systemClock.monotonicMs() - readAtMs })
      readAtMs = null
    } else if (fault !== null) sayFailed(fault)
    else return
  } catch (thrown) {
    sayFailed(thrown)
  }
  isAsked = false
}

async function drain(from: Stream): Promise<void> {
  try {
    while (await from.read()) {
      readAtMs = systemClock.monotonicMs()
      give()
    }
    fault = new AppError('unavailable', 'the stream has ended')
  } catch (thrown) {
    fault = toAppError(thrown)
  }
  give()
}

process.on('message', async (request: ToStreamChild) => {
  if (request.kind === 'next') {
    isAsked = true
    give()
    return
  }
  try {
    process.env.OPENCV_FFMPEG_CAPTURE_OPTIONS = request.ffmpeg
    const { openStream } = await import('../vision/opencv.ts')
    stream = openStream(request.address, request.device)
    say({ kind: 'opened' })
    void drain(stream)
  } catch (thrown) {
    sayFailed(thrown)
  }
})
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
// An ordinary exit would wait for the thread that waits for the camera.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

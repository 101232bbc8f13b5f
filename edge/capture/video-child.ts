/** The process that decodes a video file, one frame when asked; started by video.ts, ended by its kill or by the pipe closing. */
import { toAppError } from '../../shared/errors.ts'
import { answerParent } from '../answer-parent.ts'
import type { Video } from '../vision/opencv.ts'
import type { Failed } from './child.ts'
import type { FromVideoChild, ToVideoChild } from './video-exchange.ts'

// Read by the package while it loads; with its memory tracking, V8 crashes.
process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'
// A playlist that calls itself a video could otherwise make the decoder fetch from the network.
process.env.OPENCV_FFMPEG_CAPTURE_OPTIONS = 'protocol_whitelist;file'

let video: Video | null = null

async function answer(request: ToVideoChild): Promise<FromVideoChild> {
  if (request.kind === 'open') {
    video?.close()
    const { openVideo } = await import('../vision/opencv.ts')
    video = openVideo(request.path)
    return { kind: 'opened', frames: video.frames }
  }
  const jpeg = video?.next() ?? null
  return jpeg === null ? { kind: 'end' } : { kind: 'frame', jpeg }
}

const send = (message: FromVideoChild | Failed) => answerParent(process, message)

process.on('message', async (request: ToVideoChild) => {
  try {
    send(await answer(request))
  } catch (thrown) {
    const { code, message } = toAppError(thrown)
    send({ kind: 'failed', code, message })
  }
})
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

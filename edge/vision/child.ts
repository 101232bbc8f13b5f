/**
 * The vision process: door.ts starts it, sends one frame at a time, and kills it when a frame takes too long. OpenCV and the
 * networks live here alone, so that a picture that crashes them takes no other part of the camera with it.
 */
import { systemClock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { answerParent } from '../answer-parent.ts'
import { type Areas, WHOLE_PICTURE } from './areas.ts'
import type { FrameRequest, FromChild, OpenRequest, ToChild } from './exchange.ts'
import type { FrameReader } from './frame-reader.ts'

const send = (message: FromChild) => answerParent(process, message)

function failure(thrown: unknown): Pick<AppError, 'code' | 'message' | 'hint'> {
  const { code, message, hint } = toAppError(thrown)
  return { code, message, hint }
}

async function open(request: OpenRequest): Promise<FrameReader> {
  // Read by the package while it loads; native.md of its rules: with its memory tracking, V8 crashes.
  process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
  process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'
  const { openFrameReader } = await import('./frame-reader.ts')
  return openFrameReader(request.config, systemClock.monotonicMs, request.viewFile)
}

async function answer(reader: FrameReader, request: FrameRequest): Promise<void> {
  const startedMs = systemClock.monotonicMs()
  try {
    if (request.kind === 'crop') {
      const crop = await reader.crop(request.frame, request.region, request.maxBytes)
      send({ kind: 'done', id: request.id, value: crop })
      return
    }
    if (request.kind === 'jurisdiction') {
      send({ kind: 'done', id: request.id, value: await reader.jurisdiction(request.frame, request.corners) })
      return
    }
    const reading = await reader.read(request.frame, request)
    const elapsedMs = systemClock.monotonicMs() - startedMs
    send({ kind: 'done', id: request.id, value: { ...reading, elapsedMs } })
  } catch (thrown) {
    send({ kind: 'failed', id: request.id, ...failure(thrown) })
  }
}

let reader: FrameReader | null = null
/** The newest that was sent: one can come while the networks still load. */
let areas: Areas = WHOLE_PICTURE

process.on('message', async (message: ToChild) => {
  if (message.kind === 'areas') {
    areas = message.areas
    reader?.setAreas(areas)
    return
  }
  if (message.kind !== 'open') {
    if (reader === null) {
      send({ kind: 'failed', id: message.id, ...failure(new AppError('internal', 'a frame came before `open`')) })
    } else {
      await answer(reader, message)
    }
    return
  }
  try {
    areas = message.areas
    reader = await open(message)
    reader.setAreas(areas)
    send({ kind: 'ready', versions: reader.versions })
  } catch (thrown) {
    send({ kind: 'refused', ...failure(thrown) })
  }
})

// The parent's own signals end the child through the pipe, after the frame in hand.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

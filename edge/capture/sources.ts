/** The kinds of sources: how each is configured, opened, and what its neighbouring frames have to do with each other. Called by main.ts. */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { type Gphoto2Deps, gphoto2Schema, numberedPortProblem, openGphoto2 } from './gphoto2.ts'
import { type LiveDeps, openLive } from './live.ts'
import { openReplay, replaySchema } from './replay.ts'
import { openRpicam, rpicamSchema } from './rpicam.ts'
import { openStreamDevice, streamSchema } from './stream.ts'
import type { CaptureSource } from './types.ts'

export const sourceSchema = z.discriminatedUnion('kind', [replaySchema, gphoto2Schema, rpicamSchema, streamSchema])
export type SourceConfig = z.infer<typeof sourceSchema>

/** Beyond `stallMs`, for the process that opens it to start on a slow card, milliseconds. */
const START_MS = 20 * SECOND_MS

/** What the schema lets pass, so that the unit can be mended, and no camera is opened with. Throws `configuration`. */
export function requireOpenable(config: SourceConfig): void {
  const problem = config.kind === 'gphoto2' ? numberedPortProblem(config.port) : null
  if (problem !== null) throw new AppError('configuration', problem)
}

/** Throws `configuration` for what no waiting would mend; a camera that is not there is waited for. */
export async function openSource(
  config: SourceConfig,
  deps: LiveDeps & Pick<Gphoto2Deps, 'onOffered' | 'usbFolder'>,
): Promise<CaptureSource> {
  requireOpenable(config)
  if (config.kind === 'replay') return await openReplay(config, deps)
  const { stallMs } = config
  const limits = { stallMs, openTimeoutMs: stallMs + START_MS, framesPerSecond: config.framesPerSecond }
  if (config.kind === 'gphoto2') return openLive(await openGphoto2(config, deps), limits, deps)
  if (config.kind === 'stream') return openLive(await openStreamDevice(config, deps.clock), limits, deps)
  // The program keeps the rate itself.
  return openLive(await openRpicam(config, deps.clock), { ...limits, framesPerSecond: null }, deps)
}

/** Whether neighbouring frames show the same, a moment later. */
export async function sequenceOf(source: SourceConfig): Promise<'stills' | 'video'> {
  if (source.sequence !== 'auto') return source.sequence
  if (source.kind === 'gphoto2') return source.capture === 'still' ? 'stills' : 'video'
  if (source.kind !== 'replay') return 'video'
  // A folder of pictures shows another vehicle in each.
  const found = await stat(source.path).catch((cause: unknown) => {
    throw new AppError('configuration', `source.path: cannot be read (got ${source.path})`, { cause })
  })
  return found.isDirectory() ? 'stills' : 'video'
}

/**
 * Cameras that OpenCV reads: RTSP, Motion JPEG over HTTP, and V4L2 devices. Decoding runs in a process of its own (stream-child.ts),
 * for the reasons that video.ts gives. Supervised by live.ts.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { CaptureChild } from './child.ts'
import type { FromStreamChild, ToStreamChild } from './stream-exchange.ts'
import type { Connection, Device } from './types.ts'

/**
 * What each kind of address may make FFmpeg open: a camera, or who answers in its place, must not have it fetch files or other
 * protocols. `timeout` is FFmpeg 5's name for what was `stimeout`, in microseconds; without a shorter analysis it looks at a stream
 * for five seconds before the first frame.
 */
const PROTOCOLS: Readonly<Record<string, string>> = {
  'rtsp:': 'rtsp_transport;tcp|protocol_whitelist;tcp,rtp,udp|format_whitelist;rtsp|analyzeduration;1000000',
  'rtsps:': 'rtsp_transport;tcp|protocol_whitelist;tls,tcp,rtp,udp|format_whitelist;rtsp|analyzeduration;1000000',
  'http:': 'protocol_whitelist;http,tcp|format_whitelist;mpjpeg,mjpeg',
  'https:': 'protocol_whitelist;https,tls,tcp|format_whitelist;mpjpeg,mjpeg',
}
const DEVICE = /^\/dev\/(?!.*\.\.)[\w/.:-]+$/

const addressSchema = z
  .string()
  .max(2_048)
  .refine((text) => {
    if (DEVICE.test(text)) return true
    const url = URL.canParse(text) ? new URL(text) : null
    return url !== null && url.protocol in PROTOCOLS && url.hostname !== '' && !/\s/.test(text)
  }, 'must be rtsp://, rtsps://, http:// or https://, or the path of a device such as /dev/video0')
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : null
    return url === null || (url.username === '' && url.password === '')
  }, 'must hold no user and no password: they stand in a file, see credentialsFile')

export const streamSchema = z.strictObject({
  kind: z.literal('stream'),
  address: addressSchema.describe(
    'RTSP or Motion JPEG over HTTP, without user and password; or the path of a V4L2 device: one below /dev/v4l/by-id/ stays that of its camera whatever number it gets',
  ),
  credentialsFile: z.string().min(1).max(4_096).optional().describe('file with `user:password` in its first line'),
  widthPx: z.int().min(64).max(8_192).default(1_920).describe('asked of a V4L2 device, px'),
  heightPx: z.int().min(64).max(8_192).default(1_080).describe('asked of a V4L2 device, px'),
  framesPerSecond: z.number().gt(0).max(120).default(10).describe('most frames taken from the stream in a second'),
  stallMs: z
    .int()
    .min(1_000)
    .max(10 * MINUTE_MS)
    .default(10 * SECOND_MS)
    .describe('no frame for so long: opened again, milliseconds; longer than the camera’s own pause between two'),
  sequence: z.enum(['auto', 'stills', 'video']).default('auto').describe('auto: video'),
})
export type StreamConfig = z.infer<typeof streamSchema>

/** Longest file of credentials, bytes. */
export const MAX_CREDENTIALS_BYTES = 1_024

/** `user:password`, as a camera knows it. null: it is none. */
export function credentialsIn(text: string): { user: string; password: string } | null {
  const [, user, password] = /^([^:\r\n]+):([^\r\n]+)\r?\n?$/.exec(text) ?? []
  if (text.length > MAX_CREDENTIALS_BYTES || user === undefined || password === undefined) return null
  return { user, password }
}

/** Throws `configuration`. */
export async function readCredentials(file: string): Promise<{ user: string; password: string }> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('configuration', `source.credentialsFile: cannot be read (got ${file})`, { cause })
  })
  const found = credentialsIn(text)
  if (found === null)
    throw new AppError('configuration', `source.credentialsFile: must hold one line, user:password (got ${file})`)
  return found
}

/** Looks at the credentials' file. Throws `configuration`. */
export async function openStreamDevice(config: StreamConfig, clock: Clock): Promise<Device> {
  if (config.credentialsFile !== undefined) await readCredentials(config.credentialsFile)
  return {
    kind: 'stream',
    open: (signal) => openConnection(config, clock, signal),
  }
}

async function openConnection(config: StreamConfig, clock: Clock, signal: AbortSignal): Promise<Connection> {
  // Read each time: a password that is changed on the camera is changed here without a restart.
  const request = await openRequest(config)
  signal.throwIfAborted()
  const child = new CaptureChild<ToStreamChild, FromStreamChild>(new URL('./stream-child', import.meta.url), clock, {
    died: (how) => new AppError('unavailable', `the process that decodes the stream ended (${how})`),
    late: () => new AppError('unavailable', 'the process that decodes the stream does not answer'),
  })
  const end = () => void child.close()
  signal.addEventListener('abort', end, { once: true })
  try {
    // live.ts gives each step its time.
    await child.ask(request, null)
  } catch (thrown) {
    await child.close()
    throw thrown
  }
  return {
    async next() {
      const answer = await child.ask({ kind: 'next' }, null)
      if (answer.kind !== 'frame')
        throw new AppError('internal', `the stream's process answered ${answer.kind} to next`)
      const { jpeg, ageMs } = answer
      return { jpeg: Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength), ageMs }
    },
    async close() {
      signal.removeEventListener('abort', end)
      await child.close()
    },
  }
}

/** With its credentials, which travel in this alone: no argument, variable or log line of any process has them. */
export async function openRequest(config: StreamConfig): Promise<ToStreamChild> {
  const { address, widthPx, heightPx } = config
  if (DEVICE.test(address)) return { kind: 'open', address, ffmpeg: '', device: { widthPx, heightPx } }
  const url = new URL(address)
  if (config.credentialsFile !== undefined) {
    const { user, password } = await readCredentials(config.credentialsFile)
    url.username = encodeURIComponent(user)
    url.password = encodeURIComponent(password)
  }
  const ffmpeg = `${PROTOCOLS[url.protocol]}|timeout;${config.stallMs * 1_000}`
  return { kind: 'open', address: url.href, ffmpeg, device: null }
}

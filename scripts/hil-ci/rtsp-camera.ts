/** Starts and stops rtsp-camera.py. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort } from '../trial/ports.ts'

const SERVER = fileURLToPath(new URL('./rtsp-camera.py', import.meta.url))
/** Debian's, which knows python3-gi; the first one on the path may be another. */
const PYTHON = '/usr/bin/python3'

export interface RtspCamera {
  readonly address: string
  /** Everything of it stands still, with its connections open. */
  stall(): void
  resume(): void
  stop(): Promise<void>
  start(): Promise<void>
}

/** `pattern`: as GStreamer's multifilesrc takes it, `/folder/scene-%03d.jpg`, from 1 on. */
export async function openRtspCamera(pattern: string): Promise<RtspCamera> {
  const port = await freePort()
  let server: ChildProcess | null = null
  const camera: RtspCamera = {
    address: `rtsp://127.0.0.1:${port}/live`,
    stall: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    async stop() {
      const ending = server
      server = null
      if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return
      ending.kill('SIGKILL')
      await once(ending, 'exit')
    },
    async start() {
      const starting = spawn(PYTHON, [SERVER, String(port), pattern], { stdio: ['ignore', 'pipe', 'ignore'] })
      server = starting
      const { stdout } = starting
      const ended = once(starting, 'exit').then(() => {
        throw new Error('the RTSP camera ended; are the packages of GStreamer installed?')
      })
      await Promise.race([once(stdout, 'data'), ended])
      ended.catch(() => {})
    },
  }
  await camera.start()
  return camera
}

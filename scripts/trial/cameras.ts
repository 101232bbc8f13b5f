/** Cameras of a demo or trial: enrolled over the API, each with its own folder; run as real `candor edge` processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import type { Https } from './https.ts'
import { candorProgram } from './program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const issuedSchema = z.object({
  certificatePem: z.string(),
  caPem: z.string(),
  listKeysPem: z.string(),
  sealingPem: z.string(),
})

export interface CameraFiles {
  folder: string
  keyPem: string
  certificatePem: string
  caPem: string
}

/** Registers `camera` and writes key.pem, certificate.pem, ca.pem, list-keys.pem and sealing.pem into `folder`. */
export async function enrolCamera(https: Https, token: string, camera: string, folder: string): Promise<CameraFiles> {
  const { keyPem, csrPem } = newCameraRequest(camera)
  const issued = issuedSchema.parse(await https.call('POST', '/api/v1/cameras', { token, json: { camera, csrPem } }))
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, 'key.pem'), keyPem, { mode: 0o600 })
  await writeFile(join(folder, 'certificate.pem'), issued.certificatePem)
  await writeFile(join(folder, 'ca.pem'), issued.caPem)
  await writeFile(join(folder, 'list-keys.pem'), issued.listKeysPem)
  await writeFile(join(folder, 'sealing.pem'), issued.sealingPem)
  return { folder, keyPem, certificatePem: issued.certificatePem, caPem: issued.caPem }
}

export interface Replay {
  agency: string
  camera: string
  mqttPort: number
  /** Pictures to read. */
  framesFolder: string
  /** null: as fast as they are read, each one. */
  framesPerSecond: number | null
  loop: boolean
  /** A plate seen again within this time makes no new sighting, ms. */
  repeatWindowMs: number
  /** Ends by itself when all is read and acknowledged. */
  exitWhenDone: boolean
}

/** Writes the camera's edge.json beside its files; returns its path. */
export async function writeEdgeConfig(folder: string, replay: Replay): Promise<string> {
  const path = join(folder, 'edge.json')
  const config = {
    agency: replay.agency,
    cameraId: replay.camera,
    dataFolder: 'data',
    broker: { url: `mqtts://localhost:${replay.mqttPort}` },
    source: {
      kind: 'replay',
      path: replay.framesFolder,
      framesPerSecond: replay.framesPerSecond,
      loop: replay.loop,
      sequence: 'stills',
    },
    track: { repeatWindowMs: replay.repeatWindowMs },
    healthIntervalMs: 1_000,
    // A container or a chroot has no service that could say so.
    assumeClockSynced: true,
    exitWhenDone: replay.exitWhenDone,
    logLevel: 'info',
  }
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`)
  return path
}

export interface RunningCamera {
  readonly camera: string
  readonly process: ChildProcess
  /** File with its log lines. */
  readonly logFile: string
  /** Resolves with the exit code; null when it was ended by a signal. */
  readonly exited: Promise<number | null>
  /** Asks it to end, and ends it after 10 s. */
  stop(): Promise<void>
  /** Ends it at once, with its vision process. */
  kill(): void
}

/** Starts `candor edge --config` as a process of its own, its log in the camera's folder; `more` is added to its environment. */
export function startCamera(
  camera: string,
  folder: string,
  configFile: string,
  more: Readonly<Record<string, string>> = {},
): RunningCamera {
  const logFile = join(folder, 'edge.log')
  const log = createWriteStream(logFile, { flags: 'a' })
  const child = spawn(process.execPath, [...candorProgram(), 'edge', '--config', configFile], {
    cwd: ROOT,
    // As systemd/candor-edge.service does.
    env: { ...process.env, NODE_OPTIONS: '--max-semi-space-size=2', ...more },
    // Ctrl-C in the terminal goes to the demo alone, which then ends its cameras in order.
    detached: true,
    // The channel carries nothing: when this process ends, however it does, the camera sees it close and ends too.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  child.stdout?.pipe(log, { end: false })
  child.stderr?.pipe(log, { end: false })
  child.channel?.unref()
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      log.end()
      resolve(code)
    })
  })
  return {
    camera,
    process: child,
    logFile,
    exited,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await exited
      clearTimeout(late)
    },
    kill() {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It ended while we looked.
      }
    },
  }
}

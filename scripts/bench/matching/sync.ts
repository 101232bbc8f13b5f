/** A whole list from the file to the camera's own table, over mutual TLS: real cloud and real camera, each a process of its own. */
import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { AppError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'
import { enrolCamera, type RunningCamera, startCamera, writeEdgeConfig } from '../../trial/cameras.ts'
import { openTrialCloud } from '../../trial/cloud.ts'
import { logIn } from '../../trial/people.ts'
import { startCloudProcess, stopProcess } from '../../trial/processes.ts'
import { inventedPlates } from './invented.ts'

const AGENCY = 'bench'
const CAMERA = 'bench'
const LIST = 'stolen'
const POLL_MS = 100
/** Entries that come from one version to the next, and as many that go: together as many changes as in store.ts. */
const CHANGES = 5_000
const LIMIT_MS = 600_000

export interface SyncScore {
  entries: number
  /** From the request to the answer: read, stored, signed, published. */
  importMs: number
  /** From that answer until the cloud has the camera's acknowledgement. */
  syncMs: number
  /** From the start of a camera that has nothing until the same; its own start is in it. */
  firstSyncMs: number
  /** The same of the next version, in which CHANGES entries came and as many went: by delta. */
  nextImportMs: number
  nextSyncMs: number
}

const acksSchema = z.object({
  cameras: z.array(z.object({ camera: z.string(), list: z.string(), version: z.int(), result: z.string() })),
})

export async function measureSync(entries: number, scenes: string): Promise<SyncScore> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const children: ChildProcess[] = []
  const cameras: RunningCamera[] = []
  try {
    const trial = await openTrialCloud(folder, AGENCY, createLog({ level: 'error', part: 'bench' }))
    for (const camera of [CAMERA, 'late'])
      await enrolCamera(trial.https, trial.administratorToken, camera, join(folder, camera))
    await trial.cloud.close()
    const { https, mqttPort } = await startCloudProcess(folder, children)
    const token = await logIn(https, trial.administrator)
    const start = async (camera: string) => {
      const own = join(folder, camera)
      const frames = join(own, 'frames')
      await mkdir(frames, { recursive: true })
      const replay = { framesFolder: scenes, framesPerSecond: 1, loop: true, repeatWindowMs: 60_000 }
      const config = await writeEdgeConfig(own, { agency: AGENCY, camera, mqttPort, ...replay, exitWhenDone: false })
      cameras.push(startCamera(camera, own, config))
    }
    const applied = async (camera: string, version: number) => {
      const { cameras: acks } = acksSchema.parse(await https.call('GET', '/api/v1/hotlists', { token }))
      const ack = acks.find((one) => one.camera === camera && one.list === LIST && one.version === version)
      if (ack?.result === 'refused') throw new AppError('internal', 'the camera refused the list')
      return ack !== undefined
    }
    const until = async (holds: () => Promise<boolean>) => {
      const startedMs = performance.now()
      while (!(await holds())) {
        if (performance.now() - startedMs > LIMIT_MS) throw new AppError('unavailable', 'the list did not arrive')
        await sleep(POLL_MS)
      }
      return performance.now() - startedMs
    }
    const importList = (plates: readonly string[]) =>
      https.call('PUT', `/api/v1/hotlists/${LIST}?match=near`, { token, text: `plate\n${plates.join('\n')}\n` })
    await start(CAMERA)
    await importList(['AAA1111'])
    await until(() => applied(CAMERA, 1))
    const plates = inventedPlates(entries + CHANGES, 3)
    const startedMs = performance.now()
    await importList(plates.slice(0, entries))
    const importMs = performance.now() - startedMs
    const syncMs = await until(() => applied(CAMERA, 2))
    await start('late')
    const firstSyncMs = await until(() => applied('late', 2))
    const nextStartedMs = performance.now()
    await importList(plates.slice(CHANGES))
    const nextImportMs = performance.now() - nextStartedMs
    const nextSyncMs = await until(() => applied(CAMERA, 3))
    return { entries, importMs, syncMs, firstSyncMs, nextImportMs, nextSyncMs }
  } finally {
    await Promise.all(cameras.map((camera) => camera.stop()))
    await Promise.all(children.map(stopProcess))
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

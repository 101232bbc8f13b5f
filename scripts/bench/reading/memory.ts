/** Memory of a whole camera: the real `candor edge`, enrolled at a real cloud, reading pictures as fast as it can. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../shared/clock.ts'
import { AppError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'
import { enrolCamera, startCamera, writeEdgeConfig } from '../../trial/cameras.ts'
import { openTrialCloud } from '../../trial/cloud.ts'
import { treePss } from './cost.ts'

const AGENCY = 'bench'
const CAMERA = 'north'
const SAMPLE_EVERY_MS = 1_000

export interface MemoryScore {
  /** Largest and last proportional set size of the camera's processes together, bytes. */
  mostBytes: number
  lastBytes: number
}

export async function measureMemory(framesFolder: string, seconds: number): Promise<MemoryScore> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const log = createLog({ level: 'error', part: 'bench' })
  const trial = await openTrialCloud(join(folder, 'cloud'), AGENCY, log)
  try {
    const cameraFolder = join(folder, CAMERA)
    await enrolCamera(trial.https, trial.administratorToken, CAMERA, cameraFolder)
    const config = await writeEdgeConfig(cameraFolder, {
      agency: AGENCY,
      camera: CAMERA,
      mqttPort: trial.cloud.mqttPort,
      framesFolder,
      framesPerSecond: null,
      loop: true,
      repeatWindowMs: 60_000,
      exitWhenDone: false,
    })
    const camera = startCamera(CAMERA, cameraFolder, config)
    const score: MemoryScore = { mostBytes: 0, lastBytes: 0 }
    try {
      for (let second = 0; second < seconds; second++) {
        await systemClock.sleep(SAMPLE_EVERY_MS)
        if (camera.process.pid === undefined || camera.process.exitCode !== null) {
          throw new AppError('unavailable', 'the camera ended while its memory was measured')
        }
        score.lastBytes = await treePss(camera.process.pid)
        score.mostBytes = Math.max(score.mostBytes, score.lastBytes)
      }
    } finally {
      await camera.stop()
    }
    return score
  } finally {
    await trial.cloud.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/**
 * `prepare.ts FOLDER PICTURES`: a cloud with one camera, made by a real cloud that is closed again, as the units of systemd/ find them:
 * FOLDER/data is the cloud's state, FOLDER/cloud and FOLDER/edge are their folders in /etc. Run by units.sh.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLog } from '../../shared/log.ts'
import { enrolCamera, writeEdgeConfig } from '../trial/cameras.ts'
import { openTrialCloud } from '../trial/cloud.ts'

const AGENCY = 'springfield'
const CAMERA = 'north-1'

const [folder = '', framesFolder = ''] = process.argv.slice(2)
const made = join(folder, 'cloud')
await mkdir(made, { recursive: true })
const trial = await openTrialCloud(made, AGENCY, createLog({ level: 'error', part: 'hil' }))
await enrolCamera(trial.https, trial.administratorToken, CAMERA, join(folder, 'edge'))
const { mqttPort } = trial.cloud
await writeEdgeConfig(join(folder, 'edge'), {
  ...{ agency: AGENCY, camera: CAMERA, mqttPort, framesFolder },
  ...{ framesPerSecond: 1, loop: true, repeatWindowMs: 0, exitWhenDone: false },
})
await trial.cloud.close()
await rename(join(made, 'data'), join(folder, 'data'))
const config = JSON.parse(await readFile(join(made, 'cloud.json'), 'utf8')) as Record<string, unknown>
await writeFile(join(made, 'cloud.json'), JSON.stringify({ ...config, dataFolder: '/var/lib/candor-cloud' }))

/** The cloud of a demo or trial: the real one, in this process, with throw-away authority, keys and accounts. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cloudConfigSchema } from '../../cloud/config.ts'
import { type RunningCloud, runCloud } from '../../cloud/main.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { newSecret } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { createHttps, type Https } from './https.ts'
import { addPerson, logIn, type Person, setUp } from './people.ts'

/** 96 bits. */
const PASSWORD_BYTES = 12
export const GROUP = 'patrol'

export interface TrialCloud {
  readonly agency: string
  readonly folder: string
  readonly cloud: RunningCloud
  readonly https: Https
  /** Sets everything up; may not search or read the audit. */
  readonly administrator: Person
  readonly administratorToken: string
  /** Makes an account with a new password. */
  addPerson(account: string, roles: readonly string[]): Promise<Person>
  logIn(person: Person): Promise<string>
}

export interface TrialPorts {
  mqttPort: number
  httpsPort: number
  /** Names and addresses on the certificate beside this machine's own, for who comes from elsewhere. */
  hostnames?: readonly string[]
}

/** Starts a cloud in `folder` (empty) on the loopback address; ports of 0 take free ones. */
export async function openTrialCloud(
  folder: string,
  agency: string,
  log: Log,
  ports: TrialPorts = { mqttPort: 0, httpsPort: 0 },
): Promise<TrialCloud> {
  const cloud = await startCloud(folder, agency, log, ports)
  try {
    // With the ports it got, so that `candor cloud --config` can run it on.
    const { mqttPort, httpsPort } = cloud
    await writeFile(
      join(folder, 'cloud.json'),
      JSON.stringify(rawConfig(agency, { ...ports, mqttPort, httpsPort }), null, 2),
    )
    const https = createHttps(originOf(cloud), cloud.caPem)
    const code = await cloud.parts.firstRun.code()
    if (code === null) throw new AppError('conflict', `${folder} already holds a cloud`)
    const administrator = { account: 'admin', password: newSecret(PASSWORD_BYTES), roles: [] }
    const administratorToken = await setUp(https, code, administrator)
    return {
      agency,
      folder,
      cloud,
      https,
      administrator,
      administratorToken,
      async addPerson(account, roles) {
        const person = { account, password: newSecret(PASSWORD_BYTES), roles }
        await addPerson(https, administratorToken, person, [GROUP])
        return person
      },
      logIn: (person) => logIn(https, person),
    }
  } catch (thrown) {
    await cloud.close()
    throw thrown
  }
}

/** The cloud alone, in a folder that may already hold one: a restart. */
export function startCloud(folder: string, agency: string, log: Log, ports: TrialPorts): Promise<RunningCloud> {
  const config = checkConfig(rawConfig(agency, ports), cloudConfigSchema, join(folder, 'cloud.json'))
  return runCloud(config, folder, { log })
}

function rawConfig(agency: string, { mqttPort, httpsPort, hostnames: others = [] }: TrialPorts) {
  const hostnames = ['localhost', '127.0.0.1', ...others]
  // People of a trial are programs: they have a password and nothing else.
  return { agency, dataFolder: 'data', host: '127.0.0.1', mqttPort, httpsPort, hostnames, secondFactor: 'optional' }
}

export function originOf(cloud: RunningCloud): string {
  return `https://localhost:${cloud.httpsPort}`
}

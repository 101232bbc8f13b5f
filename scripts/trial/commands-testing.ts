/** What the tests of the command line share: real processes, against a real cloud in the test's own. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { openTrialCloud, type TrialCloud } from './cloud.ts'
import { candorProgram } from './program.ts'

export const SCENES = fileURLToPath(new URL('../sample-scenes/pictures', import.meta.url))

export interface Result {
  code: number
  out: string
  err: string
}

export interface World {
  folder: string
  trial: TrialCloud
  /** Makes the account and a way to run commands as it. */
  as(account: string, roles: readonly string[]): Promise<(...args: string[]) => Promise<Result>>
  asAdministrator(...args: string[]): Promise<Result>
}

/** Runs `candor ARGS` as a process of its own. */
export function candor(args: readonly string[], environment: Record<string, string> = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...candorProgram(), ...args],
      { env: { ...process.env, ...environment }, maxBuffer: 64 * 1024 * 1024 },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

export async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-commands-'))
  const trial = await openTrialCloud(join(folder, 'cloud'), 'springfield', silentLog)
  const environmentOf = async ({ account, password }: { account: string; password: string }) => {
    await writeFile(join(folder, `${account}.password`), `${password}\n`)
    await writeFile(join(folder, 'ca.pem'), trial.cloud.caPem)
    return {
      CANDOR_CLOUD: trial.https.origin,
      CANDOR_CA: join(folder, 'ca.pem'),
      CANDOR_ACCOUNT: account,
      CANDOR_PASSWORD_FILE: join(folder, `${account}.password`),
      CANDOR_SESSION: join(folder, `${account}.session`),
    }
  }
  try {
    const administrator = await environmentOf(trial.administrator)
    await work({
      folder,
      trial,
      asAdministrator: (...args) => candor(args, administrator),
      async as(account, roles) {
        const environment = await environmentOf(await trial.addPerson(account, roles))
        return (...args) => candor(args, environment)
      },
    })
  } finally {
    await trial.cloud.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The fingerprint of the unit that asks to be this camera. */
export async function untilPending(world: Pick<World, 'asAdministrator'>, name: string): Promise<string> {
  for (;;) {
    const { out } = await world.asAdministrator('camera', 'pending', '--json')
    const found = (JSON.parse(out) as { camera: string; fingerprint: string }[]).find(({ camera }) => camera === name)
    if (found !== undefined) return found.fingerprint
    await systemClock.sleep(200)
  }
}

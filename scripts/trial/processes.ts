/** Servers of a measurement as processes of their own, as they run in earnest. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { createHttps, type Https } from './https.ts'
import { candorProgram } from './program.ts'

const START_TIMEOUT_MS = 60_000

export interface CloudProcess {
  mqttPort: number
  https: Https
  process: ChildProcess
}

/** `candor cloud` in a folder that `openTrialCloud` has set up and closed again. It is in `children` as soon as it runs. */
export async function startCloudProcess(folder: string, children: ChildProcess[]): Promise<CloudProcess> {
  const configFile = join(folder, 'cloud.json')
  const config = { ...JSON.parse(await readFile(configFile, 'utf8')), logLevel: 'error' }
  await writeFile(configFile, JSON.stringify(config))
  const child = spawn(process.execPath, [...candorProgram(), 'cloud', '--config', configFile], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  children.push(child)
  const caPem = await readFile(join(folder, 'data', 'authority', 'ca.pem'), 'utf8')
  const https = createHttps(`https://localhost:${config.httpsPort}`, caPem)
  await answering('the cloud', child, () => https.call('GET', '/health/ready'))
  return { mqttPort: config.mqttPort, https, process: child }
}

/** Resolves when `ask` does; rejects when the process ends before. */
export async function answering(what: string, child: ChildProcess, ask: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  for (;;) {
    if (child.exitCode !== null) throw new AppError('unavailable', `${what} ended with ${child.exitCode}`)
    try {
      await ask()
      return
    } catch (cause) {
      if (performance.now() > deadline) throw new AppError('unavailable', `${what} does not answer`, { cause })
      await sleep(50)
    }
  }
}

export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

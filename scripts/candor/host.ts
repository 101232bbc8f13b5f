/** Runs a command on the server itself, with the cloud's configuration file instead of a session. */
import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { cloudConfigSchema, cloudPaths, configBase } from '../../cloud/config.ts'
import { type Host, openHost } from '../../cloud/host.ts'
import { loadConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'

export async function onHost<T>(configFile: string, work: (host: Host) => Promise<T>): Promise<T> {
  const config = loadConfig(configFile, cloudConfigSchema)
  const base = configBase(configFile)
  if (!existsSync(cloudPaths(config, base).databaseFile)) {
    throw new AppError('configuration', 'this cloud has not been started yet', {
      hint: `candor cloud --config ${configFile}`,
    })
  }
  const host = await openHost(config, base, userInfo().username)
  try {
    return await work(host)
  } finally {
    await host.close()
  }
}

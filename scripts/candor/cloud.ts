/** `candor cloud`: run the cloud, or write its first configuration. */
import { Argument, type Command } from 'commander'

interface InitOptions {
  agency: string
  dataFolder: string
  hostname?: string[]
  profile?: string
}

export function register(program: Command): void {
  const cloud = program
    .command('cloud')
    .description('run the cloud: broker, API and page')
    .option('--config <file>', 'configuration file (JSON)')
    .action(async (options: { config?: string }, command: Command) => {
      const { AppError, EXIT } = await import('../../shared/errors.ts')
      if (options.config === undefined) {
        throw new AppError('configuration', 'no configuration named', {
          hint: 'candor cloud --config FILE; `candor cloud init FOLDER --agency NAME` writes a first one',
        })
      }
      if (command.args.length > 0) throw new AppError('bad_input', `unknown argument ${command.args[0]}`)
      const { loadConfig } = await import('../../shared/config.ts')
      const { cloudConfigSchema, configBase } = await import('../../cloud/config.ts')
      const { runCloud } = await import('../../cloud/main.ts')
      const config = loadConfig(options.config, cloudConfigSchema)
      const cloud = await runCloud(config, configBase(options.config))
      const code = await cloud.parts.firstRun.code()
      if (code !== null) {
        const page = config.pageOrigin ?? `https://${config.hostnames[0] ?? 'HOST'}:${cloud.httpsPort}`
        process.stderr.write(
          `No account exists yet. Make the first administrator at ${page}/ with the one-time code ${code}\n` +
            `or here: candor account first --config ${options.config} --account NAME\n`,
        )
      }
      const { createSystemd } = await import('../../shared/systemd.ts')
      const { systemClock } = await import('../../shared/clock.ts')
      const systemd = createSystemd({ environment: process.env, clock: systemClock, log: cloud.parts.log })
      const ended = new AbortController()
      await systemd.ready()
      // That this process still has turns is all there is to say: what hangs for one connection must not end the others.
      void systemd.runWatchdog(() => true, ended.signal)
      await new Promise<void>((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) {
          process.once(signal, () => {
            // A second signal ends at once: what was acknowledged is on disk already.
            process.once(signal, () => process.exit(EXIT.failed))
            resolve()
          })
        }
      })
      ended.abort()
      await systemd.stopping()
      await cloud.close()
    })

  cloud
    .command('authority')
    .description(
      'on the host: from one certificate authority to the next, step by step; start the cloud again after each',
    )
    .addArgument(new Argument('<step>').choices(['prepare', 'switch', 'retire']))
    .requiredOption('--config <file>', 'configuration file of the cloud')
    .option('--leave', 'go on without cameras that have not followed: they are to be enrolled anew')
    .action(async (step: 'prepare' | 'switch' | 'retire', options: { config: string; leave?: boolean }) => {
      const { onHost } = await import('./host.ts')
      await onHost(options.config, (host) => host.rotateAuthority(step, options.leave === true))
      process.stdout.write(
        'Done. Start the cloud again; every camera renews its certificate within an hour of being online.\n',
      )
    })

  cloud
    .command('init')
    .description('write a first configuration with safe defaults')
    .argument('<folder>', 'made if missing; the configuration becomes FOLDER/cloud.json')
    .requiredOption('--agency <name>', 'name of the agency: a-z, 0-9 and -')
    .option('--data-folder <folder>', 'database, authority and keys; relative to FOLDER', 'data')
    .option('--hostname <name...>', 'names and addresses that cameras and browsers reach the server by')
    .option('--profile <id>', 'make the first policy from one of `candor policy profiles`')
    .action(async (folder: string, options: InitOptions) => {
      const { mkdir, writeFile } = await import('node:fs/promises')
      const { join } = await import('node:path')
      const { checkConfig } = await import('../../shared/config.ts')
      const { AppError, systemCode } = await import('../../shared/errors.ts')
      const { cloudConfigSchema } = await import('../../cloud/config.ts')
      const config = checkConfig(
        {
          agency: options.agency,
          dataFolder: options.dataFolder,
          ...(options.hostname === undefined ? {} : { hostnames: options.hostname }),
          ...(options.profile === undefined ? {} : { profile: options.profile }),
        },
        cloudConfigSchema,
        'options',
      )
      const path = join(folder, 'cloud.json')
      await mkdir(folder, { recursive: true, mode: 0o700 })
      try {
        await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, { flag: 'wx', mode: 0o600 })
      } catch (cause) {
        if (systemCode(cause) !== 'EEXIST') throw cause
        throw new AppError('conflict', `${path} is there already`, { hint: 'edit it, or name another folder', cause })
      }
      process.stdout.write(`${path}\nStart it: candor cloud --config ${path}\n`)
    })
}

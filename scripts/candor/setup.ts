/** `candor setup`: the page on the unit for the technician who puts it up. */
import type { Command } from 'commander'
import { wholeNumber } from './options.ts'

interface Options {
  config: string
  port?: number
  codeFile?: string
  claimFile?: string
  settingsFile?: string
  keptSettingsFile?: string
  reopen?: boolean
  undo?: boolean
}

export function register(program: Command): void {
  program
    .command('setup')
    .description(
      'on a camera unit: the page to aim, focus, claim and finish it, in the local network, with a one-time code',
    )
    .option(
      '--config <file>',
      'configuration of the camera, made by its claim where there is none yet',
      '/etc/candor-edge/edge.json',
    )
    .option('--port <number>', 'of the page (default: 8443)', wholeNumber(1, 65_535))
    .option(
      '--code-file <file>',
      'file with the first one-time code; without it, or when it was used, one is made and shown',
    )
    .option('--claim-file <file>', 'claim by which a unit that is no camera yet enrols while the page is open')
    .option('--settings-file <file>', 'fields of edge.json for a unit that is no camera yet')
    .option(
      '--kept-settings-file <file>',
      'copy of the settings from afar that the camera keeps, where its data are closed to the page',
    )
    .option('--reopen', 'a unit that is set up already: open the page again, under systemd by its unit')
    .option('--undo', 'put back the configuration of before the last set-up')
    .action(async (options: Options) => {
      const { config: configFile, port, codeFile, claimFile, settingsFile, keptSettingsFile } = options
      if (options.reopen === true) return await reopen(configFile)
      if (options.undo === true) return await undoLast(configFile)
      const { setupProcess } = await import('../../edge/setup/main.ts')
      process.exitCode = await setupProcess({
        configFile,
        ...(port === undefined ? {} : { port }),
        ...(codeFile === undefined ? {} : { codeFile }),
        ...(claimFile === undefined ? {} : { claimFile }),
        ...(settingsFile === undefined ? {} : { settingsFile }),
        ...(keptSettingsFile === undefined ? {} : { keptFile: keptSettingsFile }),
      })
    })
}

/** Of the one camera whose page systemd can open. */
const UNIT_FOLDER = '/etc/candor-edge'

async function reopen(configFile: string): Promise<void> {
  const { dirname, join, resolve } = await import('node:path')
  const { existsSync, readdirSync } = await import('node:fs')
  const { markWaiting } = await import('../../edge/setup/draft.ts')
  const folder = resolve(dirname(configFile))
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const systemctl = (...args: string[]) => promisify(execFile)('systemctl', args)
  // Wherever the unit is: a package has it in another folder than an administrator.
  const hasUnit = await systemctl('cat', 'candor-setup.service').then(
    () => true,
    () => false,
  )
  const others = existsSync(folder)
    ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'edge.json')))
    : []
  if (!hasUnit || folder !== UNIT_FOLDER || others.length > 0) {
    await markWaiting(folder, 'reopened')
    process.stdout.write(`Marked. Stop the camera and start: candor setup --config ${configFile}\n`)
    return
  }
  await markWaiting(folder, 'reopened')
  await systemctl('start', '--no-block', 'candor-setup.service')
  process.stdout.write('The set-up page opens. Its address and code: journalctl -fu candor-setup\n')
}

async function undoLast(configFile: string): Promise<void> {
  const { undo } = await import('../../edge/setup/draft.ts')
  await undo(configFile)
  process.stdout.write(`The configuration of before is back in ${configFile}. Start the camera anew.\n`)
}

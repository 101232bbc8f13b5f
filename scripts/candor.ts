#!/usr/bin/env -S sh -c 'exec node --import "$(dirname "$(readlink -f "$0")")/../node_modules/tsx/dist/loader.mjs" "$0" "$@"'
/**
 * The command line: `npx candor <command> [<verb>]`. Each command declares itself in scripts/candor/NAME.ts and imports edge
 * or cloud code only when it runs, so that `--help` is quick and a camera never loads the cloud.
 */
import { Command, CommanderError } from 'commander'
import { describeError, EXIT, toAppError } from '../shared/errors.ts'
import { softwareVersion } from '../shared/version.ts'
import { register as registerAccount } from './candor/account.ts'
import { register as registerAlert } from './candor/alert.ts'
import { register as registerAudit } from './candor/audit.ts'
import { register as registerBackup } from './candor/backup.ts'
import { register as registerBench } from './candor/bench.ts'
import { register as registerCamera } from './candor/camera.ts'
import { register as registerCloud } from './candor/cloud.ts'
import { register as registerContract } from './candor/contract.ts'
import { register as registerDoctor } from './candor/doctor.ts'
import { register as registerEdge } from './candor/edge.ts'
import { register as registerHotlist } from './candor/hotlist.ts'
import { register as registerLogin } from './candor/login.ts'
import { register as registerRead } from './candor/read.ts'
import { register as registerSearch } from './candor/search.ts'

/** In the order in which a newcomer meets them; `--help` prints them so. */
const REGISTRATIONS = [
  registerRead,
  registerEdge,
  registerCloud,
  registerLogin,
  registerAccount,
  registerCamera,
  registerHotlist,
  registerAlert,
  registerSearch,
  registerAudit,
  registerBackup,
  registerContract,
  registerDoctor,
  registerBench,
]

async function main(argv: readonly string[]): Promise<number> {
  const program = new Command('candor')
    .description('Licence-plate reading that can prove to outsiders how it is used')
    .version(softwareVersion())
    .showHelpAfterError('(add --help for the options)')
    .exitOverride()
  for (const register of REGISTRATIONS) register(program)
  program.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 usage, 78 configuration.')
  try {
    await program.parseAsync(argv)
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.done
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.done : EXIT.usage
    process.stderr.write(`candor: ${describeError(thrown)}\n`)
    if (toAppError(thrown).code === 'internal' && process.env.CANDOR_DEBUG !== undefined) console.error(thrown)
    return toAppError(thrown).code === 'configuration' ? EXIT.configuration : EXIT.failed
  }
}

// A reader such as `head` that closes the pipe is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed)
})
process.exitCode = await main(process.argv)

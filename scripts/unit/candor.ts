/** `candor` on a unit that was made from an image: what a unit needs of the command line, without the cloud's part. Started by /usr/bin/candor. */
import { Command, CommanderError } from 'commander'
import { describeError, EXIT, toAppError } from '../../shared/errors.ts'
import { softwareVersion } from '../../shared/version.ts'
import { register as registerDoctor } from '../candor/doctor.ts'
import { register as registerEdge } from '../candor/edge.ts'
import { register as registerEnrolUnit } from '../candor/enrol-unit.ts'
import { register as registerRead } from '../candor/read.ts'
import { register as registerSetup } from '../candor/setup.ts'

const program = new Command('candor')
  .description('Licence-plate reading: the commands of a camera unit')
  .version(softwareVersion())
  .showHelpAfterError('(add --help for the options)')
  .exitOverride()
for (const register of [registerRead, registerEdge, registerSetup, registerEnrolUnit, registerDoctor]) register(program)

try {
  await program.parseAsync(process.argv)
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? EXIT.done : EXIT.usage
  else {
    process.stderr.write(`candor: ${describeError(thrown)}\n`)
    process.exitCode = toAppError(thrown).code === 'configuration' ? EXIT.configuration : EXIT.failed
  }
}

/**
 * What runs as root on a unit that was made from an image: `main.ts slots|network|provision|update|update-ended|confirm …`. Bundled at the build of the image
 * (scripts/unit-image/contents.ts), so that it starts in the time of Node alone; started by the units of scripts/unit-image/files and by RAUC.
 */
import { describeError, EXIT } from '../../shared/errors.ts'

async function run(program: string | undefined, args: readonly string[]): Promise<number> {
  switch (program) {
    case 'slots':
      return (await import('./slots.ts')).slotsProcess(args)
    case 'network':
      return (await import('./network.ts')).networkProcess()
    case 'provision':
      return (await import('./provision.ts')).provisionProcess()
    case 'update':
      return (await import('./update.ts')).updateProcess()
    case 'update-ended':
      return (await import('./update.ts')).updateEndedProcess(args[0])
    case 'confirm':
      return (await import('./confirm.ts')).confirmProcess()
    default:
      process.stderr.write('started by systemd: slots | network | provision | update | update-ended | confirm\n')
      return EXIT.usage
  }
}

try {
  const [program, ...args] = process.argv.slice(2)
  process.exitCode = await run(program, args)
} catch (thrown) {
  process.stderr.write(`${describeError(thrown)}\n`)
  process.exitCode = EXIT.failed
}

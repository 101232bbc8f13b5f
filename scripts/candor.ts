#!/usr/bin/env -S sh -c 'exec node --import "$(dirname "$(readlink -f "$0")")/../node_modules/tsx/dist/loader.mjs" "$0" "$@"'
/**
 * The command line: `npx candor <command> [<verb>]`. Each command declares itself in scripts/candor/NAME.ts and imports edge
 * or cloud code only when it runs, so that `--help` is quick and a camera never loads the cloud.
 */
import { CommanderError } from 'commander'
import { describeError, EXIT, toAppError } from '../shared/errors.ts'
import { createProgram } from './candor/program.ts'

async function main(argv: readonly string[]): Promise<number> {
  const program = createProgram()
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

/** `candor edge`: runs a camera unit until it is told to stop. */
import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('edge')
    .description('run a camera unit: read plates, match them, send sightings')
    .requiredOption('--config <file>', 'configuration of the camera; `candor camera add` writes one')
    .action(async (options: { config: string }) => {
      const { edgeProcess } = await import('../../edge/main.ts')
      process.exitCode = await edgeProcess(options.config)
    })
}

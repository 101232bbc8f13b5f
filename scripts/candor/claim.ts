/** `candor camera claim`, `claims`, `pending`, `approve`, `reject`, `claim-revoke`: the administrator's side of a unit that enrols itself. */
import type { Command } from 'commander'
import type { ClaimOptions } from './claim-calls.ts'
import { positiveNumber } from './options.ts'

export function registerClaims(camera: Command): void {
  camera
    .command('claim')
    .description('make a claim: a code with which one unit may ask once to become this camera')
    .argument('<name>', 'name of the camera: a-z, 0-9 and -')
    .option('--site <text>', 'where it is put up')
    .option('--hours <number>', 'how long a unit may use it, at most 336', positiveNumber, 72)
    .option('--replace', 'for another unit in the place of this camera: its first connection ends the old one’s rights')
    .option('--out <file>', 'write the claim into this new file, for the unit’s card, and do not show the code')
    .action(async (name: string, options: ClaimOptions) => {
      const { makeClaim } = await import('./claim-calls.ts')
      await makeClaim(name, options)
    })

  const list = (name: string, description: string, states: readonly string[]) =>
    camera
      .command(name)
      .description(description)
      .option('--json', 'one JSON document')
      .action(async (options: { json?: boolean }) => {
        const { listClaims } = await import('./claim-calls.ts')
        await listClaims(states, options.json === true)
      })
  list('claims', 'claims that are open, and those that raised an alarm', ['waiting', 'asked', 'approved'])
  list('pending', 'units that have asked and wait for an administrator', ['asked'])

  camera
    .command('approve')
    .description('the unit that shows this fingerprint becomes the camera')
    .argument('<name>')
    .requiredOption('--fingerprint <text>', 'as the unit shows it')
    .action(async (name: string, options: { fingerprint: string }) => {
      const { post } = await import('./claim-calls.ts')
      await post(name, 'approve', { fingerprint: options.fingerprint })
      process.stdout.write(`${name} is approved; the unit fetches its certificate by itself.\n`)
    })
  const ending = (command: string, verb: 'reject' | 'revoke', description: string, done: string) =>
    camera
      .command(command)
      .description(description)
      .argument('<name>')
      .action(async (name: string) => {
        const { post } = await import('./claim-calls.ts')
        await post(name, verb)
        process.stdout.write(`${name}: ${done}\n`)
      })
  ending('reject', 'reject', 'the unit that asks does not become the camera', 'the unit is rejected.')
  ending('claim-revoke', 'revoke', 'end the newest claim for a camera, and the alarm about it', 'no claim is open.')
}

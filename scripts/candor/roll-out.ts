/** `candor roll-out`: a release or settings brought to cameras in stages; stopped by itself where it goes wrong. */
import { type Command, InvalidArgumentError } from 'commander'
import { collect, usageError, wholeNumber } from './options.ts'
import type { StartOptions } from './roll-out-calls.ts'

function percents(text: string): number[] {
  const numbers = text.split(',').map(Number)
  if (numbers.every((number) => number > 0 && number <= 100)) return numbers
  throw new InvalidArgumentError('percents that rise to 100 are needed, such as 1,10,100.')
}

export function register(program: Command): void {
  const rollOut = program.command('roll-out').description('releases and settings brought to cameras in stages')

  rollOut
    .command('start')
    .description('to one camera in a hundred, then one in ten, then all, each stage when the one before went well')
    .option('--release <version>', 'of the units’ system, see `candor release list`')
    .option('--compatible <family>', 'of units, where several have this version')
    .option(
      '--settings <file>',
      'JSON: what differs from the units’ own configuration; the fields stand in `candor schema`',
    )
    .option('--camera <name>', 'only to this one; may be given again (default: all)', collect, [])
    .option('--first <name>', 'whose turn it is first; may be given again (default: drawn)', collect, [])
    .option('--stages <percents>', 'default: 1,10,100', percents)
    .option('--soak-minutes <n>', 'from the last camera that went well to the next stage (default: 60)', wholeNumber(0))
    .requiredOption('--reason <text>', 'kept in the audit')
    .action(async (options: StartOptions) => {
      if ((options.release === undefined) === (options.settings === undefined))
        throw usageError('give --release or --settings, one of them')
      const { withClient } = await import('./client.ts')
      const { rollOutText, startRollOut } = await import('./roll-out-calls.ts')
      process.stdout.write(rollOutText(await withClient((client) => startRollOut(client, options))))
    })

  rollOut
    .command('list')
    .description('roll-outs, newest first')
    .option('--json', 'one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { countsText, fetchRollOuts } = await import('./roll-out-calls.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const rollOuts = await withClient(fetchRollOuts)
      if (json === true) return printJson(rollOuts)
      const stateText = ({ state, stillSinceMs }: (typeof rollOuts)[number]) =>
        stillSinceMs === null ? state : `${state}, still since ${time(stillSinceMs)}`
      const rows = rollOuts.map((one) => [
        ...[String(one.number), one.kind, stateText(one), `${one.stages[one.stage]} %`, countsText(one.counts)],
        ...[time(one.madeAtMs), one.madeBy, one.because ?? one.reason],
      ])
      process.stdout.write(table(['number', 'what', 'state', 'stage', 'cameras', 'made', 'by', 'reason'], rows))
    })

  rollOut
    .command('show')
    .description('one roll-out, camera by camera')
    .argument('<number>', 'as in list', wholeNumber(1))
    .option('--json', 'one JSON document')
    .action(async (number: number, { json }: { json?: boolean }) => {
      const { withClient } = await import('./client.ts')
      const { fetchRollOut, rollOutText, settingsText } = await import('./roll-out-calls.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const shown = await withClient((client) => fetchRollOut(client, number))
      if (json === true) return printJson(shown)
      const rows = shown.turns.map(({ camera, stage, state, changedAtMs, message }) => [
        ...[camera, `${shown.rollOut.stages[stage]} %`, state.replace('_', ' '), time(changedAtMs), message ?? ''],
      ])
      process.stdout.write(rollOutText(shown.rollOut))
      process.stdout.write(settingsText(shown.rollOut))
      process.stdout.write(table(['camera', 'stage', 'state', 'since', 'why'], rows))
    })

  const acting = (verb: string, description: string) =>
    rollOut
      .command(verb)
      .description(description)
      .argument('<number>', 'as in list', wholeNumber(1))
      .action(async (number: number) => {
        const { withClient } = await import('./client.ts')
        const { actOn, rollOutText } = await import('./roll-out-calls.ts')
        process.stdout.write(rollOutText(await withClient((client) => actOn(client, number, verb))))
      })
  acting('approve', 'the second person, where the policy wants one')
  acting('pause', 'no further camera is told')
  acting('resume', 'go on, also in spite of cameras that went wrong')
  acting('advance', 'the next stage now')
  acting('end', 'end it; cameras that have it keep it')
  acting('revert', 'give its cameras the settings of before it, as a roll-out of its own')
}

/** `candor simulate …`: use of the whole system, counted beside it. */
import { type Command, InvalidArgumentError } from 'commander'
import { wholeNumber } from './options.ts'

function scale(text: string): number {
  const number = Number(text)
  if (Number.isFinite(number) && number >= 0.001 && number <= 1) return number
  throw new InvalidArgumentError('a number from 0.001 to 1 is needed.')
}

export function register(program: Command): void {
  const simulate = program.command('simulate').description('let the real parts live through use, and count beside them')

  simulate
    .command('month')
    .description(
      'thirty days of a city with 95 cameras; then publish its page and compare each figure; exit code 1 on a difference',
    )
    .option('--scale <share>', 'of its 2,077,502 vehicles', scale, 0.01)
    .option('--days <n>', 'fewer than the thirty', wholeNumber(8, 30), 30)
    .option('--seed <number>', 'another month of the same kind', wholeNumber(1, 2 ** 31), 1)
    .option('--out <folder>', 'keep the published files there')
    .option('--json', 'one JSON document')
    .action(async (options: { scale: number; days: number; seed: number; out?: string; json?: boolean }) => {
      const { EXIT } = await import('../../shared/errors.ts')
      const { simulateMonth } = await import('../simulate/month.ts')
      const { printJson, table } = await import('./terminal.ts')
      const { lines, elapsedMs } = await simulateMonth({
        ...{ scale: options.scale, days: options.days, seed: options.seed, out: options.out ?? null },
        onDay: (day) => process.stderr.write(`day ${day + 1} of ${options.days}\n`),
      })
      const wrong = lines.filter(({ agrees }) => !agrees).length
      if (wrong > 0) process.exitCode = EXIT.failed
      if (options.json === true) return printJson({ scale: options.scale, wrong, elapsedMs, lines })
      const rows = lines.map((line) => [line.figure, line.published, line.counted, line.agrees ? 'agrees' : 'DIFFERS'])
      process.stdout.write(table(['figure', 'published', 'counted', ''], rows))
      process.stdout.write(
        `${lines.length} compared, ${wrong} differ; scale ${options.scale}, ${Math.round(elapsedMs / 1_000)} s.\n`,
      )
    })
}

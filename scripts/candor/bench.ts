/** `candor bench …`: figures that anyone can measure again. */
import { type Command, Option } from 'commander'
import type { MatchingOptions } from '../bench/matching.ts'
import type { MemoryOptions } from '../bench/memory.ts'
import type { OutboxOptions } from '../bench/outbox.ts'
import type { ReadingOptions } from '../bench/reading.ts'
import type { SceneOptions } from '../bench/scene.ts'
import type { SearchOptions } from '../bench/search.ts'
import { usageError, wholeNumber } from './options.ts'

export function register(program: Command): void {
  const bench = program.command('bench').description('measure this machine and this version')

  bench
    .command('reading')
    .description('how well plates are read, how honestly, how fast and with how much memory, beside the peers')
    .option('--plates <folder>', 'holds us, eu, br, states, each with labels.tsv (default: $CANDOR_PLATES)')
    .addOption(new Option('--detector <name>', 'what finds (default: candor)').choices(['candor', 'ppocr', 'cascade']))
    .addOption(new Option('--reader <name>', 'what reads (default: candor)').choices(['candor', 'ppocr', 'tesseract']))
    .option('--rendered <folder>', 'drawn plates that nothing was trained with (default: drawn once, into .candor)')
    .option('--only <parts>', 'some of sets,peers,states,cost,memory,calibration,tracks,runtimes,large,widths,views')
    .option('--frame-timeout <ms>', 'given up after (default: as a camera does)', wholeNumber(100, 600_000))
    .option('--json', 'one JSON document')
    .action(async (options: ReadingOptions) => {
      const { run } = await import('../bench/reading.ts')
      await run(options)
    })

  bench
    .command('matching')
    .description(
      'what hotlists cost on a camera, what near matching finds and takes for another, and how soon an officer knows',
    )
    .option(
      '--plates <folder>',
      'holds us, eu, br, each with labels.tsv (default: $CANDOR_PLATES; without it no real reads)',
    )
    .option('--entries <n>', 'of the largest list', wholeNumber(1_000, 1_000_000), 1_000_000)
    .option('--only <parts>', 'some of stores,sync,reads,delivery')
    .option('--json', 'one JSON document')
    .action(async (options: MatchingOptions) => {
      const { run } = await import('../bench/matching.ts')
      await run(options)
    })

  bench
    .command('ingest')
    .description('how many sightings a second the cloud stores')
    .option('--seconds <n>', 'length of the measurement of each server', wholeNumber(1, 600), 10)
    .option('--cameras <n>', 'connections', wholeNumber(1, 500), 50)
    .option('--json', 'one JSON document')
    .action(async (options: { seconds: number; cameras: number; json?: boolean }) => {
      const { run } = await import('../bench/ingest.ts')
      await run(options)
    })

  bench
    .command('search')
    .description(
      'how long searches of every kind take among millions of sightings, what that costs, and what others would take',
    )
    .option('--rows <counts>', 'sightings, several with commas', '2000000')
    .option('--keep <folder>', 'keeps the databases there, and uses those that are there already')
    .option('--only <parts>', 'some of kinds,peers,ingest')
    .option('--json', 'one JSON document')
    .action(async (options: SearchOptions) => {
      if (!/^[1-9]\d{2,8}(,[1-9]\d{2,8})*$/.test(options.rows))
        throw usageError('--rows: 100 to 999999999, with commas')
      const { run } = await import('../bench/search.ts')
      await run(options)
    })

  bench
    .command('purge')
    .description('whether deleting millions of expired sightings holds up ingest')
    .option('--rows <n>', 'sightings that expire', wholeNumber(1_000, 50_000_000), 2_000_000)
    .option('--rate <n>', 'sightings a second that arrive meanwhile', wholeNumber(1, 5_000), 100)
    .option('--seconds <n>', 'measured before and after', wholeNumber(1, 600), 30)
    .option('--json', 'one JSON document')
    .action(async (options: { rows: number; rate: number; seconds: number; json?: boolean }) => {
      const { run } = await import('../bench/purge.ts')
      await run(options)
    })

  bench
    .command('outbox')
    .description('whether a camera without a link for a week keeps everything, and what that writes to its card')
    .option('--days <n>', 'without a link', wholeNumber(1, 365), 7)
    .option(
      '--crop <bytes>',
      'of a picture, in the mean (of 87 real and rendered ones: 7,500)',
      wholeNumber(100, 48_000),
      8_000,
    )
    .option('--folder <folder>', 'on the disk to be measured (default: this checkout)')
    .option('--json', 'one JSON document')
    .action(async (options: OutboxOptions) => {
      const { run } = await import('../bench/outbox.ts')
      await run(options)
    })

  bench
    .command('memory')
    .description('whether a camera that reads a stream, or has lost it, keeps its memory')
    .option('--minutes <n>', 'how long it is watched', wholeNumber(3, 10_080), 15)
    .option('--lost', 'the camera is taken away after the first third')
    .option('--json', 'one JSON document')
    .action(async (options: MemoryOptions) => {
      const { run } = await import('../bench/memory.ts')
      await run(options)
    })

  bench
    .command('scene')
    .description('whether a camera that is covered, dark, blurred or turned is noticed, and a good one left in peace')
    .option('--plates <folder>', 'holds us, eu, br and perhaps ro-train (default: $CANDOR_PLATES)')
    .option('--pictures <n>', 'each a camera', wholeNumber(8, 600), 80)
    .option('--json', 'one JSON document')
    .action(async (options: SceneOptions) => {
      const { run } = await import('../bench/scene.ts')
      await run(options)
    })
}

/** `candor read`: pictures in, one JSON line each out. Asks vision through the same door as the camera. */
import { stat } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import type { PicturePath } from '../../edge/capture/pictures.ts'
import type { DetectorName, FrameReading, PlateRead, ReaderName } from '../../edge/vision/types.ts'

interface ReadOptions {
  json?: boolean
  detector?: DetectorName
  reader?: ReaderName
}

export function register(program: Command): void {
  program
    .command('read')
    .description('read the plates in pictures')
    .argument('<path...>', 'pictures, or folders of pictures (not the folders within)')
    .option('--json', 'one JSON line a picture')
    .addOption(new Option('--detector <name>', 'what finds plates').choices(['candor', 'ppocr', 'cascade']))
    .addOption(new Option('--reader <name>', 'what reads their text').choices(['candor', 'ppocr', 'tesseract']))
    .action(async (paths: string[], options: ReadOptions) => {
      const { EXIT } = await import('../../shared/errors.ts')
      if (!(await readPictures(paths, options))) process.exitCode = EXIT.failed
    })
}

/** True when every picture could be read. */
async function readPictures(paths: readonly string[], options: ReadOptions): Promise<boolean> {
  const { openVision } = await import('../../edge/vision/door.ts')
  const { visionConfigSchema } = await import('../../edge/vision/types.ts')
  const { listPictures, loadPicture, PICTURE_EXTENSIONS, shownPath } = await import('../../edge/capture/pictures.ts')
  const { systemClock } = await import('../../shared/clock.ts')
  const { describeError } = await import('../../shared/errors.ts')
  const { printable } = await import('./terminal.ts')
  const { createLog } = await import('../../shared/log.ts')
  const { detector, reader } = options
  const config = visionConfigSchema.parse({ ...(detector && { detector }), ...(reader && { reader }) })
  const vision = await openVision(config, { clock: systemClock, log: createLog({ level: 'error', part: 'read' }) })
  const print =
    options.json === true
      ? printJson
      : (file: string, reading: FrameReading) => printForPeople(printable(file), reading)
  let whole = true
  const nothing = (folder: string) => {
    // Nothing was broken, so this is no failure; but saying nothing at all would look like one.
    process.stderr.write(`${printable(folder)}: no picture in it (${[...PICTURE_EXTENSIONS].join(' ')})\n`)
  }
  try {
    for await (const found of picturesOf(paths, listPictures, nothing)) {
      const file = shownPath(found.file)
      try {
        if ('error' in found) throw found.error
        const picture = await loadPicture(found.file)
        const reading = await vision.read(picture)
        for (const read of reading.reads) {
          if (read.corners !== undefined) read.jurisdiction ??= await vision.jurisdiction(picture, read.corners)
        }
        print(file, reading)
      } catch (thrown) {
        whole = false
        const error = describeError(thrown)
        if (options.json === true) process.stdout.write(`${JSON.stringify({ file, error })}\n`)
        else process.stdout.write(`${printable(file)}\n  cannot be read: ${printable(error)}\n`)
      }
    }
  } finally {
    await vision.close()
  }
  return whole
}

type Found = { file: PicturePath } | { file: PicturePath; error: unknown }

/** The pictures that `paths` name, folders in order of name; `nothing` is told of those without any. */
async function* picturesOf(
  paths: readonly string[],
  listPictures: (folder: string) => Promise<PicturePath[]>,
  nothing: (folder: string) => void,
): AsyncGenerator<Found> {
  for (const path of paths) {
    try {
      if (!(await stat(path)).isDirectory()) {
        yield { file: path }
        continue
      }
      const files = await listPictures(path)
      if (files.length === 0) nothing(path)
      for (const file of files) yield { file }
    } catch (error) {
      yield { file: path, error }
    }
  }
}

/** Ten thousandths are enough for a share of one, and hundredths of a pixel for a place. */
function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts
}

function forJson(read: PlateRead): object {
  const pixel = (value: number) => rounded(value, 100)
  const { x, y, width, height } = read.region
  return {
    plate: read.plate,
    confidence: rounded(read.confidence, 10_000),
    region: { x: pixel(x), y: pixel(y), width: pixel(width), height: pixel(height) },
    ...(read.corners && { corners: read.corners.map((corner) => ({ x: pixel(corner.x), y: pixel(corner.y) })) }),
    jurisdiction: read.jurisdiction && {
      code: read.jurisdiction.code,
      confidence: rounded(read.jurisdiction.confidence, 10_000),
    },
    candidates: read.candidates.map(({ plate, confidence }) => ({ plate, confidence: rounded(confidence, 10_000) })),
    ...(read.format && { format: read.format }),
    vehicle: read.vehicle && { ...read.vehicle, confidence: rounded(read.vehicle.confidence, 10_000) },
  }
}

function printJson(file: string, reading: FrameReading): void {
  const { widthPx, heightPx, elapsedMs, reads } = reading
  const line = { file, widthPx, heightPx, elapsedMs: rounded(elapsedMs, 10), plates: reads.map(forJson) }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function printForPeople(file: string, reading: FrameReading): void {
  process.stdout.write(`${file}\n`)
  if (reading.reads.length === 0) process.stdout.write('  no plate\n')
  for (const { plate, confidence, candidates } of reading.reads) {
    const others = candidates.slice(1, 4).map((other) => `${other.plate} ${(other.confidence * 100).toFixed(0)} %`)
    const or = others.length === 0 ? '' : `   or ${others.join(', ')}`
    process.stdout.write(`  ${(plate ?? '?').padEnd(12)} ${(confidence * 100).toFixed(0)} %${or}\n`)
  }
}

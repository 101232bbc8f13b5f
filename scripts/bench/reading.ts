/** `candor bench reading`: every figure about reading that the project promises, beside what was asked for and beside its peers. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type VisionConfig, visionConfigSchema } from '../../edge/vision/types.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { expectedCalibrationError, type JudgedRead, reliability } from './reading/calibration.ts'
import { LOOKS_A_PLATE, measureCost, PI_MULTIPLY_ADDS_A_MS } from './reading/cost.ts'
import { measureLarge } from './reading/large.ts'
import { measureMemory } from './reading/memory.ts'
import { measureRenderedReads, measureTracks, render } from './reading/rendered.ts'
import { measureRuntimes } from './reading/runtimes.ts'
import type { SetScore } from './reading/score.ts'
import { measureSets, SETS, type SetsScore } from './reading/sets.ts'
import { measureStates } from './reading/states.ts'
import { measureViews } from './reading/views.ts'
import { measureWidths } from './reading/widths.ts'
import { bootstrap } from './statistics.ts'

/** What can be measured alone, in the order of the report. */
export const PARTS = [
  'sets',
  'peers',
  'states',
  'cost',
  'memory',
  'calibration',
  'tracks',
  'runtimes',
  'large',
  'widths',
  'views',
] as const
type Part = (typeof PARTS)[number]
/** These need the labelled pictures. */
const ON_PICTURES: readonly Part[] = ['sets', 'peers', 'states', 'large', 'widths', 'views']

const SCENES = fileURLToPath(new URL('../sample-scenes/pictures', import.meta.url))
const RENDERED_FOLDER = fileURLToPath(new URL('../../.candor/rendered', import.meta.url))
const MEMORY_SECONDS = 40
const MEGABYTE = 1_000_000

/** Off the shelf, measured on the same pictures in the same run. */
const PEERS = [
  { detector: 'ppocr', reader: 'ppocr' },
  { detector: 'ppocr', reader: 'tesseract' },
] as const

export interface Figure {
  figure: string
  must: string
  goal: string
  measured: string
}

/** A line of progress that is written over, at most every two seconds; nothing where no person looks on. */
function progress(what: string): (done: number, all: number) => void {
  let last = Number.NEGATIVE_INFINITY
  return (done, all) => {
    if (systemClock.monotonicMs() - last < 2_000) return
    last = systemClock.monotonicMs()
    process.stderr.write(`${what} ${done}/${all}\n`)
  }
}

const percent = (value: number) => value.toFixed(1)
const share = (value: number) => value.toFixed(3)

function setsFigures({ sets }: SetsScore): Figure[] {
  const each = (of: (score: SetScore) => string) =>
    SETS.map((set) => (sets[set] === undefined ? '-' : of(sets[set]))).join(' / ')
  return [
    {
      figure: 'exact plate, strict, % (US / EU / BR)',
      must: '80 / 82 / 92',
      goal: '92 / 91 / 99',
      measured: each((score) => percent(score.strictPercent)),
    },
    {
      figure: 'exact plate, O=0 I=1, %',
      must: '84 / 92 / 94',
      goal: '96 / 98 / 99',
      measured: each((score) => percent(score.foldedPercent)),
    },
    {
      figure: 'found at IoU 0.5, %',
      must: '95',
      goal: '99',
      measured: each((score) => percent(score.foundPercent)),
    },
    {
      figure: 'false reads a picture',
      must: '0.10',
      goal: '0.02',
      measured: each((score) => score.falseReadsPerPicture.toFixed(2)),
    },
    {
      figure: 'vehicles told of without a plate where no label is, a picture',
      must: '',
      goal: '',
      measured: each((score) => score.falseVehiclesPerPicture.toFixed(2)),
    },
    {
      figure: 'characters wrong, %',
      must: '',
      goal: '',
      measured: each((score) => percent(score.characterErrorPercent)),
    },
    {
      figure: 'median / 95th percentile ms a picture, decoding included',
      must: '',
      goal: '',
      measured: each((score) => `${score.medianMs}, ${score.p95Ms}`),
    },
  ]
}

function calibrationFigures(rendered: readonly JudgedRead[] | null, real: readonly JudgedRead[] | null): Figure[] {
  const figures: Figure[] = []
  if (rendered !== null) {
    figures.push({
      figure: `calibration error, ${rendered.length} rendered reads`,
      must: '0.05',
      goal: '0.02',
      measured: share(expectedCalibrationError(rendered)),
    })
    const table = reliability(rendered)
      .filter((bin) => bin.reads > 0)
      .map((bin) => `${bin.meanConfidence.toFixed(2)}→${bin.rightShare.toFixed(2)} (${bin.reads})`)
    figures.push({ figure: 'of reads at → are right (reads)', must: '', goal: '', measured: table.join(' ') })
  }
  if (real !== null) {
    const [least, most] = bootstrap(real, expectedCalibrationError)
    figures.push({
      figure: `calibration error, ${real.length} real reads, labels' faults included (95 %)`,
      must: '',
      goal: '',
      measured: `${share(expectedCalibrationError(real))} (${share(least)}-${share(most)})`,
    })
  }
  return figures
}

function print(figures: readonly Figure[]): void {
  const widths = (['figure', 'must', 'goal'] as const).map((column) =>
    Math.max(column.length, ...figures.map((row) => row[column].length)),
  )
  const line = (cells: readonly string[]) =>
    `${cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()}\n`
  process.stdout.write(line(['figure', 'must', 'goal', 'measured']))
  for (const { figure, must, goal, measured } of figures) process.stdout.write(line([figure, must, goal, measured]))
}

export interface ReadingOptions {
  plates?: string
  rendered?: string
  only?: string
  detector?: string
  reader?: string
  /** Milliseconds. */
  frameTimeout?: number
  json?: boolean
}

export async function run(options: ReadingOptions): Promise<void> {
  const parts = chosen(options.only)
  const folder = options.plates ?? process.env.CANDOR_PLATES ?? null
  const { detector, reader, frameTimeout: frameTimeoutMs } = options
  const config = visionConfigSchema.parse({
    ...(detector && { detector }),
    ...(reader && { reader }),
    ...(frameTimeoutMs && { frameTimeoutMs }),
  })
  const needsPictures = parts.some((part) => ON_PICTURES.includes(part))
  if (needsPictures && (folder === null || !SETS.some((set) => existsSync(join(folder, set, 'labels.tsv'))))) {
    throw new AppError('configuration', 'no labelled pictures', {
      hint: 'name their folder with --plates or CANDOR_PLATES; it holds us, eu or br with labels.tsv in each',
    })
  }
  const figures = await measureParts(parts, folder ?? '', config, options)
  if (options.json === true) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`)
  else print(figures)
}

function chosen(only: string | undefined): readonly Part[] {
  if (only === undefined) return PARTS
  const names = only.split(',')
  const unknown = names.find((name) => !(PARTS as readonly string[]).includes(name))
  if (unknown !== undefined) {
    throw new AppError('bad_input', `there is no part ${unknown}`, { hint: `parts: ${PARTS.join(', ')}` })
  }
  return PARTS.filter((part) => names.includes(part))
}

async function measureParts(
  parts: readonly Part[],
  folder: string,
  config: VisionConfig,
  options: ReadingOptions,
): Promise<Figure[]> {
  const figures: Figure[] = []
  let real: JudgedRead[] | null = null
  let rendered: JudgedRead[] | null = null
  const drawn = options.rendered ?? RENDERED_FOLDER
  const onSet = progress('pictures')
  if (parts.includes('sets')) {
    const score = await measureSets(folder, config, { onPicture: (_, done, all) => onSet(done, all) })
    real = score.reads
    figures.push(...setsFigures(score))
  }
  if (parts.includes('peers')) {
    for (const peer of PEERS) {
      const score = await measureSets(folder, { ...config, ...peer }, { onPicture: (_, done, all) => onSet(done, all) })
      const name = `${peer.detector}+${peer.reader}: `
      figures.push(...setsFigures(score).map((row) => ({ ...row, figure: name + row.figure, must: '', goal: '' })))
    }
  }
  if (parts.includes('states')) {
    const score = await measureStates(folder, config, progress('states'))
    const named = `${percent(score.rightPercent)}; ${percent(score.namedPercent)}`
    figures.push(
      { figure: 'state right, % of those named; named, %', must: '90; 50', goal: '97; 80', measured: named },
      {
        figure: 'plates of states: found, %; text O=0 I=1, %',
        must: '',
        goal: '',
        measured: `${percent(score.foundPercent)}; ${percent(score.foldedPercent)}`,
      },
    )
    for (const line of score.wrong) process.stderr.write(`${line}\n`)
  }
  if (parts.includes('cost')) {
    const { medianMs, p95Ms, stagesMs, weightsBytes, multiplyAdds } = await measureCost(config)
    const onPi = Object.entries(PI_MULTIPLY_ADDS_A_MS).map(
      ([board, each]) => `${board} ${(multiplyAdds / each).toFixed(0)} ms`,
    )
    const stages = Object.entries(stagesMs).map(([name, ms]) => `${name} ${ms.toFixed(1)}`)
    figures.push(
      {
        figure: 'one 1280×720 frame, one plate, one thread, after decoding, ms (95th percentile)',
        must: '40',
        goal: '15',
        measured: `${medianMs.toFixed(1)} (${p95Ms.toFixed(1)})`,
      },
      { figure: 'its stages, ms', must: '', goal: '', measured: stages.join(', ') },
      {
        figure: `multiply-adds of the detector and ${LOOKS_A_PLATE} looks at one plate, millions; estimate for these on one core`,
        must: '',
        goal: '',
        measured: `${(multiplyAdds / 1e6).toFixed(0)}; ${onPi.join(', ')}`,
      },
      { figure: 'weights, MB', must: '8', goal: '3', measured: (weightsBytes / MEGABYTE).toFixed(2) },
    )
  }
  if (parts.includes('runtimes')) {
    for (const {
      network,
      threads,
      bytesMs,
      singleMs,
      convolutionsMs,
      opencvConvolutionsMs,
    } of await measureRuntimes()) {
      const all = [bytesMs, singleMs, convolutionsMs, opencvConvolutionsMs].map((ms) => ms.toFixed(1))
      figures.push({
        figure: `${network}, threads ${threads}, ms: 8 bits, single precision; its convolutions alone, the same in OpenCV's DNN`,
        must: '',
        goal: '',
        measured: `${all[0]}, ${all[1]}; ${all[2]}, ${all[3]}`,
      })
    }
  }
  if (parts.includes('large')) {
    for (const score of await measureLarge(folder, config, progress('large frames'))) {
      const { widthPx, heightPx, smallestPlatePx, plates, foundPercent, strictPercent, medianMs } = score
      figures.push({
        figure: `${widthPx}×${heightPx}, ${plates} plates, smallestPlatePx ${smallestPlatePx}: found, %; exact, %; median ms`,
        must: '',
        goal: '',
        measured: `${percent(foundPercent)}; ${percent(strictPercent)}; ${medianMs.toFixed(0)}`,
      })
    }
  }
  if (parts.includes('widths')) {
    for (const { widthPx, plates, rightPercent, wrongPercent } of await measureWidths(folder, config, onSet)) {
      figures.push({
        figure: `plates ${widthPx} px wide, ${plates}: right, O=0 I=1, %; read as something else, %`,
        must: '',
        goal: '',
        measured: `${percent(rightPercent)}; ${percent(wrongPercent)}`,
      })
    }
  }
  if (parts.includes('views')) {
    for (const score of await measureViews(folder, config, progress('frames'))) {
      const { view, plates, foundPercent, rightPercent, medianMs, viewMs, detectMs } = score
      figures.push({
        figure: `2560×1440 ${view}, ${plates} plates: found, %; right, O=0 I=1, %; median ms; of it masks, detector`,
        must: '',
        goal: '',
        measured: `${percent(foundPercent)}; ${percent(rightPercent)}; ${medianMs.toFixed(1)}; ${viewMs.toFixed(2)}, ${detectMs.toFixed(1)}`,
      })
    }
  }
  if (parts.includes('memory')) {
    const { mostBytes, lastBytes } = await measureMemory(SCENES, MEMORY_SECONDS)
    const measured = `${(mostBytes / MEGABYTE).toFixed(0)} (${(lastBytes / MEGABYTE).toFixed(0)})`
    figures.push({ figure: 'PSS of the camera at most (at the end), MB', must: '450', goal: '250', measured })
  }
  if (parts.includes('calibration') || parts.includes('tracks')) {
    const photographs = ['ro-train'].map((set) => join(folder, set)).filter((path) => folder !== '' && existsSync(path))
    const wanted = [['calibration', 'reads'] as const, ['tracks', 'tracks'] as const]
    await render(
      drawn,
      wanted.flatMap(([part, drawing]) => (parts.includes(part) ? [drawing] : [])),
      photographs,
    )
  }
  if (parts.includes('calibration')) {
    rendered = await measureRenderedReads(drawn, config, progress('rendered scenes'))
    figures.push(...calibrationFigures(rendered, real))
  }
  if (parts.includes('tracks')) {
    const score = await measureTracks(drawn, config, progress('vehicles'))
    const [least, most] = score.gainInterval
    figures.push(
      {
        figure: `voted against single frames, points, ${score.vehicles} vehicles (95 %)`,
        must: '+3',
        goal: '+10',
        measured: `+${score.gainPoints.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`,
      },
      {
        figure: `calibration error, ${score.judged.length} vehicles`,
        must: '',
        goal: '',
        measured: share(expectedCalibrationError(score.judged)),
      },
      {
        figure: 'single frames right, %; vehicles right, %; taken for more than one; told of for each',
        must: '',
        goal: '',
        measured: `${percent(score.singlePercent)}; ${percent(score.votedPercent)}; ${score.split}; ${score.toldPerVehicle.toFixed(2)}`,
      },
    )
  }
  return figures
}

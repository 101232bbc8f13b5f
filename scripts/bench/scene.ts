/**
 * `candor bench scene`: how often a camera's picture that is covered, dark, out of focus or turned is noticed, how often a good one is
 * taken for such, and whether a plate can be read in what the camera keeps of its view. Real pictures, to which things are done.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { fleetConfigSchema } from '../../cloud/fleet/config.ts'
import { type PictureFault, pictureFaults, type UsualPicture } from '../../cloud/fleet/picture.ts'
import { listPictures } from '../../edge/capture/pictures.ts'
import { luminance, median, sharpness } from '../../edge/vision/scene.ts'
import { visionConfigSchema } from '../../edge/vision/types.ts'
import { createView, LEARNED_LOOKS, outlines, VIEW_GRID, type View } from '../../edge/vision/view.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { ScenePicture } from '../../shared/wire/index.ts'
import { createProgress } from '../candor/progress.ts'
import { parseLabels } from './reading/score.ts'
import { openBenchVision, SETS } from './reading/sets.ts'
import { type Condition, FRAME, openStreet, type Street } from './scene/street.ts'
import { type LowReads, measureLowReads } from './scene/traffic.ts'

export interface SceneOptions {
  plates?: string
  pictures: number
  json?: boolean
}

/** Looks from one health report to the next: 30 s at one in 5 s. */
const LOOKS_A_REPORT = 6
/** Looks between noon and night: five minutes of each light, faster than any dusk. */
const DUSK = [0.6, 0.35, 0.2, 0.12]
const NIGHT_LIGHT = 0.12

/** With what each must raise; none: nothing may be. */
const CONDITIONS: { name: string; is: Condition; raises: PictureFault[]; night?: boolean }[] = [
  { name: 'day', is: {}, raises: [] },
  { name: 'dense traffic', is: { traffic: 1 }, raises: [] },
  { name: 'rain', is: { rain: true, noise: 6 }, raises: [] },
  { name: 'dull', is: { light: 0.5 }, raises: [] },
  { name: 'mist (half the light)', is: { fog: 0.5 }, raises: [] },
  { name: 'fog (four fifths)', is: { fog: 0.8 }, raises: [] },
  { name: 'night', is: { light: NIGHT_LIGHT, noise: 6 }, raises: [], night: true },
  { name: 'moved by 2 %', is: { right: 0.02 }, raises: ['moved'] },
  { name: 'moved by 4 %', is: { right: 0.04 }, raises: ['moved'] },
  { name: 'moved by 8 %, down 5 %', is: { right: -0.08, below: 0.05 }, raises: ['moved'] },
  { name: 'moved by 15 %', is: { right: 0.15 }, raises: ['moved'] },
  { name: 'turned away', is: { other: true }, raises: ['moved'] },
  { name: 'turned away at night', is: { other: true, light: NIGHT_LIGHT, noise: 6 }, raises: ['moved'], night: true },
  { name: 'out of focus, 2 px', is: { blurPx: 2 }, raises: ['blurred'] },
  { name: 'out of focus, 4 px', is: { blurPx: 4 }, raises: ['blurred'] },
  { name: 'out of focus, 8 px', is: { blurPx: 8 }, raises: ['blurred'] },
  { name: 'out of focus at night', is: { blurPx: 4, light: NIGHT_LIGHT, noise: 6 }, raises: ['blurred'], night: true },
  { name: 'covered by cloth', is: { cover: 110 }, raises: ['covered'] },
  { name: 'sprayed, three quarters', is: { sprayed: 0.75 }, raises: ['covered', 'blurred', 'moved'] },
  { name: 'sprayed, nearly all', is: { sprayed: 0.95 }, raises: ['covered', 'blurred', 'moved'] },
  { name: 'lens cap', is: { cover: 1, noise: 1 }, raises: ['dark'] },
  { name: 'lens cap at night', is: { cover: 1, noise: 1 }, raises: ['dark'], night: true },
]

interface Found {
  pictures: number
  /** Any alarm. */
  raised: number
  /** One of those that fit. */
  fitting: number
  kinds: Record<string, number>
}

export async function run(options: SceneOptions): Promise<void> {
  const folder = options.plates ?? process.env.CANDOR_PLATES
  if (folder === undefined) {
    throw new AppError('bad_input', 'no pictures to measure with', {
      hint: 'name a folder that holds us, eu, br and perhaps ro-train: --plates or $CANDOR_PLATES',
    })
  }
  const progress = createProgress(process.stderr, systemClock)
  const files = await picturesOf(folder, options.pictures)
  const results: Record<string, Found> = {}
  const costs = { view: [] as number[], sharpness: [] as number[] }
  for (const [i, file] of files.entries()) {
    progress.show('cameras', i, files.length)
    const street = await openStreet(file, files[(i + 7) % files.length] ?? file, i + 1)
    await watch(street, results, costs)
  }
  progress.show('plates in the kept view', 0, 0)
  const legible = await legiblePlates(folder)
  progress.stop()
  const perLook = { viewMs: round(median(costs.view)), sharpnessMs: round(median(costs.sharpness)) }
  const report = { pictures: files.length, frame: FRAME, results, perLook, legible, lowReads: measureLowReads() }
  process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : table(report))
}

/** So many, of all sets alike, the same each time. */
async function picturesOf(folder: string, count: number): Promise<string[]> {
  const all: string[][] = []
  for (const set of [...SETS, 'ro-train']) {
    const found = await listPictures(join(folder, set)).catch(() => [])
    if (found.length > 0) all.push(found.map((file) => String(file)))
  }
  const chosen: string[] = []
  const each = Math.ceil(count / Math.max(1, all.length))
  for (const set of all) for (let i = 0; i < each; i++) chosen.push(set[Math.floor((i * set.length) / each)] ?? '')
  const found = [...new Set(chosen)].filter((file) => file !== '').slice(0, count)
  if (found.length < 8) throw new AppError('bad_input', `at least 8 pictures are needed (found ${found.length})`)
  return found
}

async function watch(
  street: Street,
  results: Record<string, Found>,
  costs: { view: number[]; sharpness: number[] },
): Promise<void> {
  const { raiseAfter, darkRatio, blurredRatio, movedRatio } = fleetConfigSchema.parse({})
  const limits = { darkRatio, blurredRatio, movedRatio }
  const usualAt = async (condition: Condition): Promise<UsualPicture> => {
    const frame = await street.frame(condition)
    return { luminance: luminance(frame), sharpness: sharpness(frame) }
  }
  const usual = { day: await usualAt({}), night: await usualAt({ light: NIGHT_LIGHT, noise: 6 }) }
  const view = createView(null)
  const brightness = (cells: Uint8Array) => cells.reduce((sum, value) => sum + value, 0) / cells.length
  const look = (on: View, condition: Condition) => {
    const cells = street.cells(condition)
    return on.look(cells, brightness(cells))
  }
  for (const light of [1, ...DUSK])
    for (let n = 0; n < LEARNED_LOOKS + 15; n++) look(view, { light, noise: light < 0.3 ? 6 : 3 })
  const kept = view.kept()
  for (const { name, is, raises, night } of CONDITIONS) {
    const own = createView(kept)
    const frame = await street.frame(is)
    const startedMs = performance.now()
    const sharp = sharpness(frame)
    costs.sharpness.push(performance.now() - startedMs)
    const inRow = new Map<PictureFault, number>()
    const raised = new Set<PictureFault>()
    for (let report = 0; report <= raiseAfter; report++) {
      let found = null
      for (let n = 0; n < LOOKS_A_REPORT; n++) {
        const cells = street.cells(is)
        const at = performance.now()
        found = own.look(cells, brightness(cells))
        costs.view.push(performance.now() - at)
      }
      const picture: ScenePicture = {
        ...{ luminance: luminance(frame), sharpness: sharp, lookMs: 0 },
        ...{ detail: found?.detail ?? null, likeness: found?.likeness ?? null, displacementPx: null },
        displacementRatio:
          found === null ? null : Math.hypot(found.shift.x, (found.shift.y * FRAME.heightPx) / FRAME.widthPx),
      }
      const faults = pictureFaults(picture, night === true ? usual.night : usual.day, limits)
      for (const fault of ['dark', 'covered', 'blurred', 'moved'] as const) {
        inRow.set(fault, faults.has(fault) ? (inRow.get(fault) ?? 0) + 1 : 0)
        if ((inRow.get(fault) ?? 0) >= raiseAfter) raised.add(fault)
      }
    }
    const total = results[name] ?? { pictures: 0, raised: 0, fitting: 0, kinds: {} }
    results[name] = total
    total.pictures += 1
    total.raised += raised.size > 0 ? 1 : 0
    total.fitting += raises.some((kind) => raised.has(kind)) ? 1 : 0
    for (const kind of raised) total.kinds[kind] = (total.kinds[kind] ?? 0) + 1
  }
}

/** Labelled plates that are read right in what a camera keeps of its view, if nothing in it ever moved: the best that there can be to read. */
async function legiblePlates(folder: string): Promise<{ plates: number; read: number; widestCells: number }> {
  const vision = await openBenchVision(visionConfigSchema.parse({ minConfidence: 0 }))
  const found = { plates: 0, read: 0, widestCells: 0 }
  try {
    for (const set of SETS) {
      const labels = await readFile(join(folder, set, 'labels.tsv'), 'utf8').catch(() => '')
      for (const [file, plates] of parseLabels(labels)) {
        const path = join(folder, set, file)
        const { width = 1 } = await sharp(path).metadata()
        const cells = await sharp(path)
          .resize(VIEW_GRID.columns, VIEW_GRID.rows, { fit: 'fill' })
          .toColourspace('srgb')
          .removeAlpha()
          .raw()
          .toBuffer()
        const kept = Buffer.from(outlines(cells).map((value) => 255 - Math.round(255 * value)))
        const raw = { width: VIEW_GRID.columns, height: VIEW_GRID.rows, channels: 1 } as const
        // As large as a reader likes it.
        const large = await sharp(kept, { raw })
          .resize(FRAME.widthPx, FRAME.heightPx, { kernel: 'cubic' })
          .png()
          .toBuffer()
        const { reads } = await vision.read(large)
        for (const { plate, region } of plates) {
          found.plates += 1
          found.widestCells = Math.max(found.widestCells, (region.width * VIEW_GRID.columns) / width)
          if (reads.some((read) => read.candidates.some((candidate) => candidate.plate === plate))) found.read += 1
        }
      }
    }
  } finally {
    await vision.close()
  }
  return { ...found, widestCells: round(found.widestCells) }
}

const round = (value: number) => Math.round(value * 10) / 10

function table(report: {
  pictures: number
  results: Record<string, Found>
  perLook: { viewMs: number; sharpnessMs: number }
  legible: { plates: number; read: number; widestCells: number }
  lowReads: LowReads
}): string {
  const rows = CONDITIONS.flatMap(({ name, raises }) => {
    const found = report.results[name]
    if (found === undefined) return []
    const part = (count: number) => `${Math.round((100 * count) / found.pictures)} %`.padStart(6)
    const kinds = Object.entries(found.kinds).map(([kind, count]) => `${kind} ${count}`)
    const outcome =
      raises.length === 0
        ? `false alarms ${part(found.raised)}`
        : `noticed ${part(found.raised)}, rightly named ${part(found.fitting)}`
    return [`  ${name.padEnd(26)} ${outcome}  ${kinds.join(', ')}`]
  })
  const { perLook, legible, lowReads } = report
  const percent = (part: number) => `${Math.round(100 * part)} %`
  return `${[
    `${report.pictures} cameras, each before a real picture`,
    ...rows,
    `a look: ${perLook.sharpnessMs} ms for the sharpness, ${perLook.viewMs} ms for the view`,
    `far fewer vehicles: ${lowReads.falseAlarms} false alarms in ${lowReads.cameraWeeks} weeks of cameras (${percent(lowReads.judged)} of the hours can be judged); noticed within a day at a tenth of the traffic ${percent(lowReads.noticedTenth)}, at a quarter ${percent(lowReads.noticedQuarter)}`,
    `kept view: ${legible.read} of ${legible.plates} plates read at its size (the widest: ${legible.widestCells} cells)`,
  ].join('\n')}\n`
}

/**
 * Pictures that scripts/train/render.py draws, with plates that no network was trained with: single scenes for calibration, and
 * vehicles driving past for what voting over frames is worth.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createTracker } from '../../../edge/track.ts'
import type { VisionConfig } from '../../../edge/vision/types.ts'
import { systemClock } from '../../../shared/clock.ts'
import { newId } from '../../../shared/ids.ts'
import { bootstrap } from '../statistics.ts'
import type { JudgedRead } from './calibration.ts'
import { runTraining } from './python.ts'
import { editDistance, overlapOf, parseLabels } from './score.ts'
import { openBenchVision } from './sets.ts'

/** Plates and vehicles that are drawn. */
export const RENDERED = { reads: 12_000, tracks: 420 } as const

type Part = keyof typeof RENDERED

/** Draws `parts` into `folder` where they are not there yet; needs Debian's python3-opencv, python3-pil and the typefaces of scripts/train/README.md. */
export async function render(folder: string, parts: readonly Part[], photographs: readonly string[]): Promise<void> {
  for (const part of parts) {
    if (existsSync(join(folder, part, 'labels.tsv'))) continue
    // A drawing that was stopped half way is not taken for a whole one.
    const unfinished = `${folder}.unfinished`
    await mkdir(unfinished, { recursive: true })
    const photographsArguments = photographs.length === 0 ? [] : ['--photographs', ...photographs]
    await runTraining(
      'render.py',
      [unfinished, `--${part}`, String(RENDERED[part]), ...photographsArguments],
      'install what scripts/train/README.md names, or name a folder of drawn plates with --rendered',
    )
    await mkdir(dirname(join(folder, part)), { recursive: true })
    await rename(join(unfinished, part), join(folder, part))
  }
}

/** A read lies on a label from this overlap on (intersection over union). */
const ON_LABEL = 0.3

/** A read with what the networks said of it, for fitting the curve. */
export interface RenderedRead extends JudgedRead {
  widthPx: number
}

/** Every read of the rendered scenes, down to confidence 0, and whether it says what was drawn there. */
export async function measureRenderedReads(
  folder: string,
  config: VisionConfig,
  onPicture: (done: number, all: number) => void,
): Promise<RenderedRead[]> {
  const labels = [...parseLabels(await readFile(join(folder, 'reads', 'labels.tsv'), 'utf8'))]
  const vision = await openBenchVision({ ...config, minConfidence: 0 })
  const judged: RenderedRead[] = []
  try {
    for (const [index, [file, plates]] of labels.entries()) {
      onPicture(index, labels.length)
      const { reads } = await vision.read(await readFile(join(folder, 'reads', file)))
      for (const { plate, confidence, region } of reads) {
        if (plate === null) continue
        const label = plates.find((candidate) => overlapOf(candidate.region, region) >= ON_LABEL)
        judged.push({ confidence, right: label?.plate === plate, widthPx: region.width })
      }
    }
  } finally {
    await vision.close()
  }
  return judged
}

export interface TracksScore {
  vehicles: number
  /** Of a vehicle's frames in which its plate was read at all, the mean over vehicles. */
  singlePercent: number
  votedPercent: number
  gainPoints: number
  /** 95 %, over vehicles. */
  gainInterval: [number, number]
  /** Sightings more than vehicles: one vehicle that was taken for two. */
  split: number
  /** What was reported of each vehicle: how sure, and whether it was right. */
  judged: JudgedRead[]
  /** Vehicles told of in all, read or not, for each that was drawn; what stands in the photographs behind them is among these. */
  toldPerVehicle: number
}

/** Time between frames, ms: a camera that reads ten a second. */
const FRAME_MS = 100
/** A text in which more than this share is another is of another plate: the photographs behind the drawn vehicles have some of their own. */
const OWN_EDIT_SHARE = 0.5

function isOf(plate: string, text: string | null): boolean {
  return text !== null && editDistance(text, plate) <= Math.max(text.length, plate.length) * OWN_EDIT_SHARE
}

export async function measureTracks(
  folder: string,
  config: VisionConfig,
  onTrack: (done: number, all: number) => void,
): Promise<TracksScore> {
  const rows = (await readFile(join(folder, 'tracks', 'labels.tsv'), 'utf8')).trim().split(/\r?\n/).slice(1)
  const vision = await openBenchVision(config)
  const vehicles: { single: number; frames: number; voted: boolean }[] = []
  const judged: JudgedRead[] = []
  let sightings = 0
  let told = 0
  try {
    for (const [index, row] of rows.entries()) {
      onTrack(index, rows.length)
      const [name = '', plate = ''] = row.split('\t')
      const tracker = createTracker({ gapMs: 1_500, sequence: 'video' }, newId)
      let single = 0
      let frames = 0
      const ended = []
      for (const [n, file] of (await readdir(join(folder, 'tracks', name))).sort().entries()) {
        const { reads } = await vision.read(await readFile(join(folder, 'tracks', name, file)))
        const atMs = n * FRAME_MS
        const time = { capturedAtMs: systemClock.nowMs(), clock: 'synced', takenAtMs: atMs, readAtMs: atMs } as const
        ended.push(...tracker.observe(time, reads).ended)
        const best = reads.find((read) => isOf(plate, read.plate))?.plate ?? null
        if (best === null) continue
        frames += 1
        single += best === plate ? 1 : 0
      }
      ended.push(...tracker.finish())
      told += ended.length
      const votes = ended.map((track) => track.vote()).filter((vote) => isOf(plate, vote.plate))
      sightings += votes.length
      // What the vehicle is reported as: the sighting that most frames stand behind.
      const [first] = votes.sort((a, b) => b.frames - a.frames || b.confidence - a.confidence)
      if (first !== undefined) judged.push({ confidence: first.confidence, right: first.plate === plate })
      if (frames > 0) vehicles.push({ single, frames, voted: first?.plate === plate })
    }
  } finally {
    await vision.close()
  }
  const share = (of: readonly (typeof vehicles)[number][]) => {
    const voted = of.filter((vehicle) => vehicle.voted).length / of.length
    // Of one vehicle after the other, as for the vote: those that are hard to read have few frames that were read at all.
    const single = of.reduce((sum, vehicle) => sum + vehicle.single / vehicle.frames, 0) / of.length
    return { voted: voted * 100, single: single * 100 }
  }
  const { voted, single } = share(vehicles)
  const gain = (of: readonly (typeof vehicles)[number][]) => share(of).voted - share(of).single
  return {
    vehicles: vehicles.length,
    singlePercent: single,
    votedPercent: voted,
    gainPoints: voted - single,
    gainInterval: bootstrap(vehicles, gain),
    judged,
    split: sightings - vehicles.length,
    toldPerVehicle: told / rows.length,
  }
}

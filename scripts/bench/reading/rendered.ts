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
import { overlapOf, parseLabels } from './score.ts'
import { openBenchVision } from './sets.ts'

/** Plates and vehicles that are drawn. */
export const RENDERED = { reads: 12_000, tracks: 300 } as const

/** Draws into `folder` what is not there yet; needs Debian's python3-opencv, python3-pil and the typefaces of scripts/train/README.md. */
export async function render(folder: string, photographs: readonly string[]): Promise<void> {
  for (const part of ['reads', 'tracks'] as const) {
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
  /** Of the single frames in which a plate was read at all. */
  singlePercent: number
  votedPercent: number
  gainPoints: number
  /** 95 %, over vehicles. */
  gainInterval: [number, number]
  /** Sightings more than vehicles: one vehicle that was taken for two. */
  split: number
}

/** Time between frames, ms: a camera that reads ten a second. */
const FRAME_MS = 100

export async function measureTracks(
  folder: string,
  config: VisionConfig,
  onTrack: (done: number, all: number) => void,
): Promise<TracksScore> {
  const rows = (await readFile(join(folder, 'tracks', 'labels.tsv'), 'utf8')).trim().split(/\r?\n/).slice(1)
  const vision = await openBenchVision(config)
  const vehicles: { single: number; frames: number; voted: boolean }[] = []
  let sightings = 0
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
        const best = reads[0]?.plate ?? null
        if (best === null) continue
        frames += 1
        single += best === plate ? 1 : 0
      }
      ended.push(...tracker.finish())
      const votes = ended.map((track) => track.vote()).filter((vote) => vote.plate !== null)
      sightings += votes.length
      // What the vehicle is reported as: the sighting that most frames stand behind.
      const [first] = votes.sort((a, b) => b.frames - a.frames || b.confidence - a.confidence)
      if (frames > 0) vehicles.push({ single, frames, voted: first?.plate === plate })
    }
  } finally {
    await vision.close()
  }
  const share = (of: readonly (typeof vehicles)[number][]) => {
    const voted = of.filter((vehicle) => vehicle.voted).length / of.length
    const single =
      of.reduce((sum, vehicle) => sum + vehicle.single, 0) / of.reduce((sum, vehicle) => sum + vehicle.frames, 0)
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
    split: sightings - vehicles.length,
  }
}

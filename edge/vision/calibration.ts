/**
 * How likely a read is right, from how likely the network thinks it is: a logistic curve fitted on rendered plates that no network
 * was trained with (scripts/train/calibrate.ts). What it is worth is measured by `candor bench reading`: of the reads at 0.9, nine in ten.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { DecodedText } from './ctc.ts'

/** models/calibration.json: weights of the curve, and what they were fitted on. */
export const calibrationSchema = z.strictObject({
  fittedOn: z.string(),
  reads: z.int().min(1),
  /** Networks that it belongs to; with others the curve would be false. */
  detector: z.string(),
  reader: z.string(),
  weights: z.strictObject({
    constant: z.number(),
    /** Of the log odds of the reader's probability and of the detector's score. */
    reader: z.number().min(0),
    detector: z.number().min(0),
  }),
})
export type Calibration = z.infer<typeof calibrationSchema>

export async function loadCalibration(path: string): Promise<Calibration> {
  return calibrationSchema.parse(JSON.parse(await readFile(path, 'utf8')))
}

/** Odds beyond these say nothing more: the networks' own numbers end there. */
const MOST_LOG_ODDS = 12

function logOdds(probability: number): number {
  const odds = Math.log(probability / (1 - probability))
  return Math.max(-MOST_LOG_ODDS, Math.min(MOST_LOG_ODDS, Number.isNaN(odds) ? 0 : odds))
}

/** What the curve is fitted on, in the order of its weights; the first is the constant. */
export function features(read: { probability: number; score: number }): [1, number, number] {
  return [1, logOdds(read.probability), logOdds(read.score)]
}

export function calibrated(
  { weights }: Pick<Calibration, 'weights'>,
  read: { probability: number; score: number },
): number {
  const [one, reader, detector] = features(read)
  return 1 / (1 + Math.exp(-(weights.constant * one + weights.reader * reader + weights.detector * detector)))
}

/**
 * Confidences of all texts of a region, likeliest first: the first by the curve; the others share what is left in the proportion of
 * their probabilities, none above what its probability is worth beside the first's.
 */
export function confidencesOf(
  calibration: Pick<Calibration, 'weights'>,
  texts: readonly DecodedText[],
  region: { score: number },
): number[] {
  const first = texts[0]
  if (first === undefined) return []
  const best = calibrated(calibration, { probability: first.probability, ...region })
  return texts.map(({ probability }, place) => {
    if (place === 0) return best
    const left = ((1 - best) * probability) / Math.max(1e-9, 1 - first.probability)
    return Math.min(left, (best * probability) / Math.max(1e-9, first.probability))
  })
}

/** How honest confidences are: reliability by bins, expected calibration error, and how far chance may have moved it. */

export interface JudgedRead {
  confidence: number
  right: boolean
}

export const BINS = 10

export interface Bin {
  reads: number
  meanConfidence: number
  rightShare: number
}

export function reliability(reads: readonly JudgedRead[]): Bin[] {
  const bins = Array.from({ length: BINS }, () => ({ reads: 0, confidence: 0, right: 0 }))
  for (const { confidence, right } of reads) {
    const bin = bins[Math.min(BINS - 1, Math.floor(confidence * BINS))]
    if (bin === undefined) continue
    bin.reads += 1
    bin.confidence += confidence
    bin.right += right ? 1 : 0
  }
  return bins.map(({ reads: count, confidence, right }) => ({
    reads: count,
    meanConfidence: count === 0 ? Number.NaN : confidence / count,
    rightShare: count === 0 ? Number.NaN : right / count,
  }))
}

/** Mean difference between confidence and truth, bins weighted by their reads (Naeini et al. 2015); NaN of none. */
export function expectedCalibrationError(reads: readonly JudgedRead[]): number {
  let sum = 0
  for (const bin of reliability(reads)) {
    if (bin.reads > 0) sum += bin.reads * Math.abs(bin.meanConfidence - bin.rightShare)
  }
  return sum / reads.length
}

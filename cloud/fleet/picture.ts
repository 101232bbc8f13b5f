/**
 * What is wrong with a camera's picture, judged by one health report and by what is usual for this camera at this hour. Pure. One report is
 * never enough for an alarm: judging.ts counts them. `candor bench scene` measures how often this is right.
 */
import type { ScenePicture } from '../../shared/wire/index.ts'

export type PictureFault = 'dark' | 'covered' | 'blurred' | 'moved'

export interface PictureLimits {
  /** Beside the usual brightness of the hour. */
  darkRatio: number
  /** Beside the usual sharpness. */
  blurredRatio: number
  /** Displacement in parts of the width. */
  movedRatio: number
}

/** Medians of this camera's past; null: too little of it. */
export interface UsualPicture {
  luminance: number | null
  sharpness: number | null
}

/** Brightness, 0-255, from which no picture is dark, whatever is usual: a summer noon before a storm. */
const NEVER_DARK = 50
/** Likeness from which a displacement is believed: below it the view may be any. */
const SURE_LIKENESS = 0.45
/** Likeness below which it is another view, if there is something to be seen in it. */
const UNLIKE = 0.35
/**
 * Outlines beside the learned ones, below which something is before the lens if what is left is unlike what was learned. Fog leaves a
 * fifth of the outlines where they were (likeness 0.8 and more), paint and cloth leave others or none.
 */
const VIEW_DETAIL = 0.45
const COVERED_LIKENESS = 0.55
/** Below this nothing is left, and what is alike is a memory of the looks before. */
const NOTHING_DETAIL = 0.05

export function pictureFaults(picture: ScenePicture, usual: UsualPicture, limits: PictureLimits): Set<PictureFault> {
  const { luminance, sharpness, detail, likeness, displacementRatio } = picture
  const faults = new Set<PictureFault>()
  if (usual.luminance !== null && luminance < NEVER_DARK && luminance < limits.darkRatio * usual.luminance) {
    faults.add('dark')
  }
  const isBlurred = sharpness !== null && usual.sharpness !== null && sharpness < limits.blurredRatio * usual.sharpness
  if (isBlurred) faults.add('blurred')
  if (detail === null || likeness === null || displacementRatio === null) return faults
  // What is dark has no outlines either, and what cannot be seen cannot be said to have moved.
  if (faults.has('dark')) return faults
  if (detail < VIEW_DETAIL) {
    if (likeness < COVERED_LIKENESS || detail < NOTHING_DETAIL) faults.add('covered')
    return faults
  }
  const isDisplaced = likeness >= SURE_LIKENESS && displacementRatio >= limits.movedRatio
  if (isDisplaced || likeness < UNLIKE) faults.add('moved')
  return faults
}

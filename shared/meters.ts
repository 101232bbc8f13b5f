/** What the gauges of the set-up page say of a look, for the page itself and for `candor doctor`. Pure: it is built into the page. */

/** Focus is a mean over so many frames: noise is no turn of the ring. */
export const FOCUS_FRAMES = 4

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** 0-1 as people are told it, 0-100. */
export const focusText = (sharpness: number): string => (100 * sharpness).toFixed(0)

export const FOCUS_UNKNOWN = 'too few edges to tell'

/** null: there are none. */
export function widestOf<R extends { region: { width: number } }>(reads: readonly R[]): R | null {
  return reads.reduce<R | null>(
    (best, read) => (best === null || read.region.width > best.region.width ? read : best),
    null,
  )
}

export type WidthState = 'bad' | 'fair' | 'good'

/** `limits`: PLATE_WIDTH_PX of limits.ts, px. */
export function judgeWidth(
  widthPx: number,
  limits: { least: number; good: number },
): { px: number; state: WidthState; words: string } {
  const px = Math.round(widthPx)
  const state = px < limits.least ? 'bad' : px < limits.good ? 'fair' : 'good'
  const words = {
    bad: 'too small: zoom in or move closer',
    fair: `marginal: from ${limits.good} px it is good`,
    good: 'good',
  }
  return { px, state, words: words[state] }
}

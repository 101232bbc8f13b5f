/** Figures of many values, and how far chance may have moved them. */

/** Value below which `share` (0-1) of the values lie, by nearest rank; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

/** 0-1, the same sequence each time (mulberry32): figures that are measured again are the same again. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const RESAMPLES = 1_000

/** 95 % of the statistic over resamples of `values` (Efron's bootstrap, percentiles). */
export function bootstrap<T>(values: readonly T[], statistic: (values: readonly T[]) => number): [number, number] {
  const random = seeded(1)
  const figures = Array.from({ length: RESAMPLES }, () =>
    statistic(values.map(() => values[Math.floor(random() * values.length)] as T)),
  ).sort((a, b) => a - b)
  return [figures[Math.floor(RESAMPLES * 0.025)] ?? Number.NaN, figures[Math.floor(RESAMPLES * 0.975)] ?? Number.NaN]
}

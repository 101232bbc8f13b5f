/**
 * Small counts, so that no published figure tells of one person's search or one vehicle's stop. A count from 1 to below the policy's
 * bound is shown as "fewer than"; and because it could be had again by taking the others from their total, one more is withheld. Which one
 * does not hang on the small counts, and a table is shown only where each of them may still be anything below the bound, also for
 * a reader who knows these rules. Pure.
 */

export type Shown = { count: number } | { fewerThan: number } | { withheld: true }

export interface Protected {
  total: Shown
  /** In the order given; null: this breakdown cannot be shown at all. */
  cells: Shown[] | null
}

export const isSmall = (count: number, bound: number) => count > 0 && count < bound

export const shown = (count: number, bound: number): Shown => (isSmall(count, bound) ? { fewerThan: bound } : { count })

/** Counts that add up to a total which is shown with them. Their order must not come from the counts. */
export function protect(counts: readonly number[], bound: number): Protected {
  const sum = counts.reduce((all, count) => all + count, 0)
  const total = shown(sum, bound)
  // So few that all might be small: if some such tables were shown, a reader would know that another is not one of them.
  if (isSmall(sum, bound) || (bound > 0 && sum > 0 && sum <= counts.length * (bound - 1))) return { total, cells: null }
  const small = counts.filter((count) => isSmall(count, bound))
  if (small.length === 0) return { total, cells: counts.map((count) => ({ count })) }
  const also = counts.findIndex((count) => count >= bound)
  // What a reader can compute: the sum of those that are not shown. Each small one may be one below the bound only if that leaves enough
  // for the others; as the withheld one has no upper bound, each may be 1 as well.
  const hidden = small.reduce((all, count) => all + count, 0) + (counts[also] ?? 0)
  if (also < 0 || hidden < bound - 1 + (small.length - 1) + bound) return { total, cells: null }
  const cells = counts.map((count, index) => (index === also ? { withheld: true as const } : shown(count, bound)))
  return { total, cells }
}

/** One row of figures of a list; each is 0, or must not be small. */
export interface Row {
  name: string
  counts: readonly number[]
}

/**
 * Rows of which no figure is small: the others are added up under `poolName`, together with as many of the next as it takes. Null: even all of
 * them together are too few. The order of the rows must not come from the counts.
 */
export function pooled(rows: readonly Row[], bound: number, poolName: string): Row[] | null {
  const fits = ({ counts }: Row) => counts.every((count) => !isSmall(count, bound))
  const apart = rows.filter(fits)
  const pool = rows.filter((row) => !fits(row))
  if (pool.length === 0) return apart
  for (;;) {
    const counts = (pool[0]?.counts ?? []).map((_, column) =>
      pool.reduce((sum, row) => sum + (row.counts[column] ?? 0), 0),
    )
    const whole = { name: poolName, counts }
    if (pool.length > 1 && fits(whole)) return [...apart, whole]
    const next = apart.shift()
    if (next === undefined) return null
    pool.push(next)
  }
}

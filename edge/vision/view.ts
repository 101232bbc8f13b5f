/**
 * Does the camera still look where it looked? Outlines of the picture, averaged over the last looks so that traffic fades, are compared
 * with those that were learned over hours. Pure; scene-watch.ts calls it and keeps what was learned in a file.
 *
 * What is kept is no picture: the mean steepness of brightness in cells of 1/96 of the width, over minutes at least and without its sign.
 * A plate of 300 px in a frame of 1280 covers 22 × 5 cells, 3 a character. `candor bench scene` tries to read plates in it.
 */

export const VIEW_GRID = { columns: 96, rows: 54 } as const
const { columns: COLUMNS, rows: ROWS } = VIEW_GRID
const CELLS = COLUMNS * ROWS

/** Steepness, as a ratio of neighbours' brightness (its logarithm), beyond which an outline is no clearer: lamps must not outweigh walls. */
const CLEAREST = 0.7
/** Added to brightness before its logarithm is taken, so that noise in the dark is no outline. */
const DARK_OFFSET = 12
/** Part of the newest look in what is compared: half of it is of the last 20 s. */
const RECENT = 0.15
/** The street looks otherwise by lamp light: each of these ranges of mean brightness has a reference of its own; below the first, none. */
export const LIGHT_BANDS = [4, 45, 100, 256] as const
/** Looks after which a reference may be compared with: five minutes at one in 5 s. */
export const LEARNED_LOOKS = 60
/** From here on each look counts for 1/2000: a reference follows shadows and seasons within hours. */
export const SLOWEST_LOOKS = 2_000
/** Correlation from which it is the same view, and is learned from. */
const SAME_LIKENESS = 0.5
/** Where the view is as it was, only shifts by so many cells are tried. */
const SURE_LIKENESS = 0.8
/** Largest displacement that is found, cells: a quarter of the picture. Beyond it the view is simply another one. */
export const MAX_SHIFT = { columns: 24, rows: 14 } as const

export interface Likeness {
  /** Correlation of outlines at the best displacement, -1 to 1; 1: as learned. */
  likeness: number
  /** Outlines beside those that were learned, as a ratio; near 0 when the lens is covered. */
  detail: number
  /** Of the picture's width and height. */
  shift: { x: number; y: number }
}

export interface View {
  /**
   * `cells`: RGB, VIEW_GRID; of those that are 1 in `hidden`, under a privacy mask, nothing is compared or kept. Null until the first light is
   * learned, and in the dark.
   */
  look(cells: Uint8Array, luminance: number, hidden?: Uint8Array): Likeness | null
  /** What was learned, for `createView` of the next run. */
  kept(): KeptView
}

export interface KeptView {
  /** One for each of LIGHT_BANDS but the last bound; null: not seen yet. Outlines are 0-255. */
  bands: ({ looks: number; outlines: Uint8Array } | null)[]
}

interface Reference {
  looks: number
  outlines: Float32Array
}

export function createView(before: KeptView | null): View {
  const references: (Reference | null)[] = Array.from({ length: LIGHT_BANDS.length - 1 }, (_, i) => {
    const band = before?.bands[i]
    if (band === null || band === undefined || band.outlines.length !== CELLS) return null
    return { looks: band.looks, outlines: Float32Array.from(band.outlines, (value) => value / 255) }
  })
  let recent: Float32Array | null = null

  function learn(reference: Reference, now: Float32Array): void {
    reference.looks += 1
    const part = 1 / Math.min(reference.looks, SLOWEST_LOOKS)
    for (let i = 0; i < CELLS; i++) {
      const old = reference.outlines[i] ?? 0
      reference.outlines[i] = old + part * ((now[i] ?? 0) - old)
    }
  }

  return {
    look(cells, luminance, hidden) {
      const now = outlines(cells)
      if (hidden !== undefined) for (let i = 0; i < CELLS; i++) if (hidden[i] === 1) now[i] = 0
      const seen = recent === null ? now : recent.map((value, i) => value + RECENT * ((now[i] ?? 0) - value))
      recent = seen
      const band = LIGHT_BANDS.findIndex((bound) => luminance < bound) - 1
      if (band < 0) return null
      const learned = references.filter((one) => one !== null && one.looks >= LEARNED_LOOKS)
      const own = references[band] ?? null
      if (learned.length === 0) {
        if (own === null) references[band] = { looks: 1, outlines: Float32Array.from(now) }
        else learn(own, now)
        return null
      }
      // Of each light there is at most one, and the own one is mostly the best at once.
      const ordered = learned.sort((a, b) => Number(b === own) - Number(a === own))
      let found: Likeness | null = null
      for (const reference of ordered) {
        const one = compare(reference?.outlines ?? now, seen)
        if (found === null || one.likeness > found.likeness) found = one
        if (found.likeness >= SAME_LIKENESS) break
      }
      // Another light is learned only while it is sure to be the same view: somebody may have turned it in the dark.
      if (found !== null && found.likeness >= SAME_LIKENESS && isInPlace(found)) {
        if (own === null) references[band] = { looks: 1, outlines: Float32Array.from(now) }
        else learn(own, now)
      }
      return found
    },
    kept: () => ({
      bands: references.map((reference) =>
        reference === null
          ? null
          : {
              looks: reference.looks,
              outlines: Uint8Array.from(reference.outlines, (value) => Math.round(value * 255)),
            },
      ),
    }),
  }
}

/** Within a cell, which wind can do to a pole. */
const isInPlace = ({ shift }: Likeness) => Math.abs(shift.x) < 1 / COLUMNS && Math.abs(shift.y) < 1 / ROWS

/** 0-1 a cell: how much brightness differs from that of the cells around, as a ratio, so that a cloud changes nothing. */
export function outlines(cells: Uint8Array): Float32Array {
  const light = new Float32Array(CELLS)
  for (let i = 0; i < CELLS; i++) {
    const brightness = 0.3 * (cells[3 * i] ?? 0) + 0.59 * (cells[3 * i + 1] ?? 0) + 0.11 * (cells[3 * i + 2] ?? 0)
    light[i] = Math.log(brightness + DARK_OFFSET)
  }
  const found = new Float32Array(CELLS)
  for (let y = 1; y < ROWS - 1; y++) {
    for (let x = 1; x < COLUMNS - 1; x++) {
      const i = y * COLUMNS + x
      const across = (light[i + 1] ?? 0) - (light[i - 1] ?? 0)
      const down = (light[i + COLUMNS] ?? 0) - (light[i - COLUMNS] ?? 0)
      found[i] = Math.min(1, Math.hypot(across, down) / CLEAREST)
    }
  }
  return found
}

/** `now` beside `reference`: the displacement at which they are most alike. */
export function compare(reference: Float32Array, now: Float32Array): Likeness {
  const means = { reference: mean(reference), now: mean(now) }
  const at = (x: number, y: number) => correlation(reference, now, means, x, y)
  const scores = new Map<number, number>()
  const score = (x: number, y: number): number => {
    const key = (y + ROWS) * 4 * COLUMNS + x + COLUMNS
    const known = scores.get(key)
    if (known !== undefined) return known
    const value = at(x, y)
    scores.set(key, value)
    return value
  }
  let best = { x: 0, y: 0 }
  const better = (x: number, y: number) => {
    if (Math.abs(x) > MAX_SHIFT.columns || Math.abs(y) > MAX_SHIFT.rows) return
    if (score(x, y) > score(best.x, best.y)) best = { x, y }
  }
  if (score(0, 0) < SURE_LIKENESS) {
    for (let y = -MAX_SHIFT.rows; y <= MAX_SHIFT.rows; y += 2)
      for (let x = -MAX_SHIFT.columns; x <= MAX_SHIFT.columns; x += 2) better(x, y)
  }
  for (let before = { x: Number.NaN, y: 0 }; before.x !== best.x || before.y !== best.y; ) {
    before = best
    for (let y = -1; y <= 1; y++) for (let x = -1; x <= 1; x++) better(before.x + x, before.y + y)
  }
  const top = score(best.x, best.y)
  const shift = {
    x: (best.x + between(score(best.x - 1, best.y), top, score(best.x + 1, best.y))) / COLUMNS,
    y: (best.y + between(score(best.x, best.y - 1), top, score(best.x, best.y + 1))) / ROWS,
  }
  return { likeness: top, detail: means.reference === 0 ? 1 : means.now / means.reference, shift }
}

/** Of cells that both show when `now` lies `x`, `y` cells to the right and below; as in Pearson's, with the means of the whole. */
function correlation(
  reference: Float32Array,
  now: Float32Array,
  means: { reference: number; now: number },
  x: number,
  y: number,
): number {
  let both = 0
  let first = 0
  let second = 0
  // The outermost cells have no outlines.
  for (let row = Math.max(1, 1 - y); row < Math.min(ROWS - 1, ROWS - 1 - y); row++) {
    const from = row * COLUMNS
    const to = (row + y) * COLUMNS + x
    for (let column = Math.max(1, 1 - x); column < Math.min(COLUMNS - 1, COLUMNS - 1 - x); column++) {
      const a = (reference[from + column] ?? 0) - means.reference
      const b = (now[to + column] ?? 0) - means.now
      both += a * b
      first += a * a
      second += b * b
    }
  }
  return first === 0 || second === 0 ? 0 : both / Math.sqrt(first * second)
}

/** Where a parabola through three neighbours has its top, -0.5 to 0.5 off the middle one. */
function between(before: number, top: number, after: number): number {
  const curve = before - 2 * top + after
  return curve >= 0 ? 0 : Math.min(0.5, Math.max(-0.5, (before - after) / (2 * curve)))
}

function mean(values: Float32Array): number {
  let sum = 0
  for (const value of values) sum += value
  return sum / values.length
}

/**
 * Has anything moved since the last frame that was read? Most frames of a street show nothing new, and reading them costs far
 * more than this. Pure.
 */

/** The picture is averaged to so many cells; a plate of 50 px in 1280 × 720 is about 3 × 2 of them. */
export const MOTION_GRID = { columns: 64, rows: 36 } as const
/** Brightness of a cell, 0-255, that must change more than the picture as a whole; chosen above what noise leaves in a cell's mean. */
const CELL_CHANGE = 10
/** Cells that must change: a vehicle far off has more, a leaf fewer. */
const CHANGED_CELLS = 3
/** A street without motion is read all the same after this many frames: a vehicle may have come in too slowly to be seen moving. */
export const MAX_STILL_FRAMES = 50

export interface MotionGate {
  /** `cells` is RGB, MOTION_GRID.columns × rows; false where nothing moved since the last time that this was true. */
  moved(cells: Buffer): boolean
}

export function createMotionGate(): MotionGate {
  let reference: Float32Array | null = null
  let still = 0
  return {
    moved(cells) {
      const now = brightness(cells)
      if (reference !== null && reference.length === now.length && still < MAX_STILL_FRAMES) {
        if (changedCells(reference, now) < CHANGED_CELLS) {
          still += 1
          return false
        }
      }
      reference = now
      still = 0
      return true
    },
  }
}

function brightness(cells: Buffer): Float32Array {
  const values = new Float32Array(cells.length / 3)
  for (let i = 0; i < values.length; i++) {
    values[i] = 0.3 * (cells[3 * i] ?? 0) + 0.59 * (cells[3 * i + 1] ?? 0) + 0.11 * (cells[3 * i + 2] ?? 0)
  }
  return values
}

/** A cloud or the camera's exposure changes all cells alike: the median change is taken off. */
function changedCells(before: Float32Array, now: Float32Array): number {
  const changes = now.map((value, i) => value - (before[i] ?? 0))
  const common = [...changes].sort((a, b) => a - b)[changes.length >> 1] ?? 0
  let count = 0
  for (const change of changes) if (Math.abs(change - common) > CELL_CHANGE) count += 1
  return count
}

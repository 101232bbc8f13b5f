/**
 * Looks at a frame every few seconds, in the vision process, beside the reading: how bright, how sharp, and whether the view is the one
 * that was learned. What it says goes into the camera's health; only the cloud judges it, by what is usual for this camera. Owns the
 * file of the learned view. Called by frame-reader.ts.
 */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { ScenePicture } from '../../shared/wire/index.ts'
import { type GreyPicture, luminance, sharpness } from './scene.ts'
import { createView, type KeptView, VIEW_GRID } from './view.ts'

/** Looks after which the learned view is written down: ten minutes. */
export const KEEP_EVERY_LOOKS = 120
/** First bytes of the file, before the digest of the aim; another version is learned anew. */
const MAGIC = 'candor view 2\n'
const DIGEST_BYTES = 32
const HEAD_BYTES = MAGIC.length + DIGEST_BYTES
const CELLS = VIEW_GRID.columns * VIEW_GRID.rows
/** Of each range of light: looks (4 bytes; 0: none), then its outlines. */
const BAND_BYTES = 4 + CELLS

export interface SceneWatch {
  /** Time for the next look? */
  isDue(): boolean
  /** `cells` are RGB, VIEW_GRID; null for frames that do not follow each other, of which each may show another view. `hidden`: as `View` has it. */
  look(grey: GreyPicture, cells: Uint8Array | null, hidden?: Uint8Array): ScenePicture
}

/** Where the learned view is kept, and how the camera hung when it was learned. */
export interface KeptAt {
  file: string
  aim: string
}

/** `kept`: null: nowhere. */
export function openSceneWatch(kept: KeptAt | null, monotonicMs: () => number, intervalMs: number): SceneWatch {
  const view = createView(kept === null ? null : readKept(kept))
  let lookedAtMs = Number.NEGATIVE_INFINITY
  let looks = 0
  return {
    isDue: () => monotonicMs() - lookedAtMs >= intervalMs,
    look(grey, cells, hidden) {
      lookedAtMs = monotonicMs()
      const bright = luminance(grey)
      const sharp = sharpness(grey)
      const found = cells === null ? null : view.look(cells, bright, hidden)
      looks += cells === null ? 0 : 1
      if (kept !== null && looks > 0 && looks % KEEP_EVERY_LOOKS === 0) writeKept(kept, view.kept())
      const moved = found === null ? null : { x: found.shift.x * grey.widthPx, y: found.shift.y * grey.heightPx }
      const displacementPx = moved === null ? null : Math.hypot(moved.x, moved.y)
      return {
        luminance: rounded(bright, 1),
        sharpness: sharp === null ? null : rounded(sharp, 3),
        detail: found === null ? null : rounded(found.detail, 3),
        likeness: found === null ? null : rounded(found.likeness, 3),
        displacementPx: displacementPx === null ? null : rounded(displacementPx, 1),
        displacementRatio: displacementPx === null ? null : rounded(displacementPx / grey.widthPx, 4),
        lookMs: rounded(monotonicMs() - lookedAtMs, 1),
      }
    },
  }
}

const rounded = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

const headOf = (aim: string) => Buffer.concat([Buffer.from(MAGIC), createHash('sha256').update(aim).digest()])

/** Null for a file that is missing, damaged, of another version or another aim: the view is learned anew. */
export function readKept({ file, aim }: KeptAt): KeptView | null {
  try {
    const bytes = readFileSync(file)
    const count = (bytes.length - HEAD_BYTES) / BAND_BYTES
    if (!bytes.subarray(0, HEAD_BYTES).equals(headOf(aim)) || !Number.isInteger(count)) return null
    const bands = Array.from({ length: count }, (_, i) => {
      const at = HEAD_BYTES + i * BAND_BYTES
      const looks = bytes.readUInt32LE(at)
      return looks === 0 ? null : { looks, outlines: new Uint8Array(bytes.subarray(at + 4, at + BAND_BYTES)) }
    })
    return { bands }
  } catch {
    return null
  }
}

/** A disk that is full costs what was learned since the last time, and nothing else. */
export function writeKept({ file, aim }: KeptAt, { bands }: KeptView): void {
  const bytes = Buffer.alloc(HEAD_BYTES + bands.length * BAND_BYTES)
  bytes.set(headOf(aim))
  for (const [i, band] of bands.entries()) {
    if (band === null) continue
    const at = HEAD_BYTES + i * BAND_BYTES
    bytes.writeUInt32LE(band.looks, at)
    bytes.set(band.outlines, at + 4)
  }
  try {
    writeFileSync(`${file}.new`, bytes, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  } catch {
    // The next time.
  }
}

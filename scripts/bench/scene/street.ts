/**
 * A camera before one real picture: what it would see at each look, with traffic, light, noise, wind, and with what is done to it. Not as
 * real as a year on a pole, and repeatable. Used by scene.ts.
 */
import sharp from 'sharp'
import { VIEW_GRID } from '../../../edge/vision/view.ts'
import { seeded } from '../statistics.ts'

/** Of the frame that the camera shows, px. */
export const FRAME = { widthPx: 1_280, heightPx: 720 } as const
/** The picture is this much wider and higher than the frame, so that the camera can be turned in it. */
const ROOM = 1.4
/** Looks are made at a multiple of the cells, and averaged to them. */
const TIMES = 2
const SMALL = { widthPx: TIMES * VIEW_GRID.columns, heightPx: TIMES * VIEW_GRID.rows } as const

/** What differs from the plain view; all zero or one: nothing. */
export interface Condition {
  /** Displacement in parts of the frame's width and height. */
  right?: number
  below?: number
  /** Standard deviation of the blur, px of the frame. */
  blurPx?: number
  /** Light is multiplied by this. */
  light?: number
  noise?: number
  /** Part of the light that comes from fog; 1: nothing else. */
  fog?: number
  /** Of the frame, painted over in blotches. */
  sprayed?: number
  /** An even surface before the lens, of this brightness. */
  cover?: number
  /** Part of the looks with a vehicle, and streaks of rain. */
  traffic?: number
  rain?: boolean
  /** Another picture is seen. */
  other?: boolean
}

interface Colours {
  widthPx: number
  heightPx: number
  pixels: Float32Array
}

export interface Street {
  /** RGB cells as the camera would make them; another every time. */
  cells(condition: Condition): Uint8Array
  /** One grey frame at full size. */
  frame(condition: Condition): Promise<{ widthPx: number; heightPx: number; pixels: Uint8Array }>
}

async function scaled(file: string, widthPx: number, heightPx: number): Promise<Colours> {
  const { data } = await sharp(file)
    .rotate()
    .resize(widthPx, heightPx, { fit: 'cover' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { widthPx, heightPx, pixels: Float32Array.from(data) }
}

export async function openStreet(file: string, otherFile: string, seed: number): Promise<Street> {
  const random = seeded(seed)
  const size = { widthPx: Math.round(SMALL.widthPx * ROOM), heightPx: Math.round(SMALL.heightPx * ROOM) }
  const own = await scaled(file, size.widthPx, size.heightPx)
  const other = await scaled(otherFile, size.widthPx, size.heightPx)

  function gauss(): number {
    return Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random())
  }

  function look(condition: Condition): Float32Array {
    const source = condition.other === true ? other : own
    const sway = () => 0.002 * gauss()
    const x = (0.5 * (ROOM - 1) + (condition.right ?? 0) + sway()) * SMALL.widthPx
    const y = (0.5 * (ROOM - 1) + (condition.below ?? 0) + sway()) * SMALL.heightPx
    const view = cut(source, x, y)
    if (random() < (condition.traffic ?? 0.6)) drive(view, other, random)
    if (condition.blurPx !== undefined) soften(view, (condition.blurPx * SMALL.widthPx) / FRAME.widthPx)
    // A cloud, and the shadow of something along a line.
    const light = (condition.light ?? 1) * (0.75 + 0.5 * random())
    const edge = random() * 1.6 * SMALL.widthPx
    const slope = random() - 0.5
    const shadow = 0.7 + 0.3 * random()
    const haze = condition.fog ?? 0
    for (let row = 0; row < SMALL.heightPx; row++) {
      for (let column = 0; column < SMALL.widthPx; column++) {
        const i = 3 * (row * SMALL.widthPx + column)
        const shade = light * (column + slope * row > edge ? shadow : 1)
        for (let c = 0; c < 3; c++) view[i + c] = ((view[i + c] ?? 0) * (1 - haze) + 190 * haze) * shade
      }
    }
    if (condition.rain === true) rain(view, random)
    if (condition.sprayed !== undefined) spray(view, condition.sprayed)
    if (condition.cover !== undefined) view.fill(condition.cover)
    return view
  }

  return {
    cells(condition) {
      const view = look(condition)
      const cells = new Uint8Array(VIEW_GRID.columns * VIEW_GRID.rows * 3)
      // The mean of a cell's 13 × 13 px has a thirteenth of their noise.
      const grain = (condition.noise ?? 3) / (FRAME.widthPx / VIEW_GRID.columns)
      for (let row = 0; row < VIEW_GRID.rows; row++) {
        for (let column = 0; column < VIEW_GRID.columns; column++) {
          for (let c = 0; c < 3; c++) {
            let sum = 0
            for (let dy = 0; dy < TIMES; dy++)
              for (let dx = 0; dx < TIMES; dx++)
                sum += view[3 * ((TIMES * row + dy) * SMALL.widthPx + TIMES * column + dx) + c] ?? 0
            const value = Math.round(sum / TIMES ** 2 + grain * gauss())
            cells[3 * (row * VIEW_GRID.columns + column) + c] = Math.min(255, Math.max(0, value))
          }
        }
      }
      return cells
    },
    async frame(condition) {
      const wide = { widthPx: Math.round(FRAME.widthPx * ROOM), heightPx: Math.round(FRAME.heightPx * ROOM) }
      const from = condition.other === true ? otherFile : file
      const at = (room: number, part: number, px: number) =>
        Math.min(Math.round((ROOM - 1) * px), Math.max(0, Math.round((room + part) * px)))
      const whole = await sharp(from)
        .rotate()
        .resize(wide.widthPx, wide.heightPx, { fit: 'cover' })
        .removeAlpha()
        .raw()
        .toBuffer()
      let image = sharp(whole, { raw: { width: wide.widthPx, height: wide.heightPx, channels: 3 } }).extract({
        left: at(0.5 * (ROOM - 1), condition.right ?? 0, FRAME.widthPx),
        top: at(0.5 * (ROOM - 1), condition.below ?? 0, FRAME.heightPx),
        width: FRAME.widthPx,
        height: FRAME.heightPx,
      })
      if (condition.blurPx !== undefined) image = image.blur(condition.blurPx)
      const { data } = await image.toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
      const pixels = new Uint8Array(FRAME.widthPx * FRAME.heightPx)
      const haze = condition.fog ?? 0
      for (let i = 0; i < pixels.length; i++) {
        const light = ((data[i] ?? 0) * (1 - haze) + 190 * haze) * (condition.light ?? 1)
        const value = (condition.cover ?? light) + (condition.noise ?? 3) * gauss()
        pixels[i] = Math.min(255, Math.max(0, Math.round(value)))
      }
      return { ...FRAME, pixels }
    },
  }
}

/** SMALL out of `from`, at this corner, between its pixels. */
function cut(from: Colours, x: number, y: number): Float32Array {
  const view = new Float32Array(SMALL.widthPx * SMALL.heightPx * 3)
  const left = Math.min(from.widthPx - SMALL.widthPx - 2, Math.max(0, x))
  const top = Math.min(from.heightPx - SMALL.heightPx - 2, Math.max(0, y))
  const [column, row] = [Math.floor(left), Math.floor(top)]
  const [fx, fy] = [left - column, top - row]
  for (let dy = 0; dy < SMALL.heightPx; dy++) {
    for (let dx = 0; dx < SMALL.widthPx; dx++) {
      const at = 3 * ((row + dy) * from.widthPx + column + dx)
      const down = 3 * from.widthPx
      for (let c = 0; c < 3; c++) {
        const upper = (from.pixels[at + c] ?? 0) * (1 - fx) + (from.pixels[at + 3 + c] ?? 0) * fx
        const lower = (from.pixels[at + down + c] ?? 0) * (1 - fx) + (from.pixels[at + down + 3 + c] ?? 0) * fx
        view[3 * (dy * SMALL.widthPx + dx) + c] = upper * (1 - fy) + lower * fy
      }
    }
  }
  return view
}

/** A vehicle, out of another picture, somewhere on the lower two thirds: an eighth to a third of the width. */
function drive(view: Float32Array, from: Colours, random: () => number): void {
  const width = Math.round(SMALL.widthPx * (0.12 + 0.2 * random()))
  const height = Math.round(width * 0.6)
  const left = Math.round(random() * (SMALL.widthPx - width))
  const top = Math.round(SMALL.heightPx / 3 + random() * (SMALL.heightPx * (2 / 3) - height))
  const fromX = Math.floor(random() * (from.widthPx - width))
  const fromY = Math.floor(random() * (from.heightPx - height))
  for (let y = Math.max(0, top); y < Math.min(SMALL.heightPx, top + height); y++) {
    for (let x = left; x < left + width; x++) {
      const at = 3 * ((fromY + y - top) * from.widthPx + fromX + x - left)
      for (let c = 0; c < 3; c++) view[3 * (y * SMALL.widthPx + x) + c] = from.pixels[at + c] ?? 0
    }
  }
}

/** Bright streaks, another fall of them at each look. */
function rain(view: Float32Array, random: () => number): void {
  for (let drop = 0; drop < 400; drop++) {
    const x = Math.floor(random() * SMALL.widthPx)
    const top = Math.floor(random() * SMALL.heightPx)
    for (let y = top; y < Math.min(SMALL.heightPx, top + 6); y++) {
      const i = 3 * (y * SMALL.widthPx + Math.min(SMALL.widthPx - 1, x + ((y - top) >> 2)))
      for (let c = 0; c < 3; c++) view[i + c] = 0.75 * (view[i + c] ?? 0) + 0.25 * 220
    }
  }
}

/** Paint on the glass, far too near to be sharp: the same blotches each time. */
function spray(view: Float32Array, part: number): void {
  const random = seeded(5)
  const radius = SMALL.heightPx * 0.28
  const paint = new Float32Array(SMALL.widthPx * SMALL.heightPx)
  for (let covered = 0; covered < part; ) {
    const x = random() * SMALL.widthPx
    const y = random() * SMALL.heightPx
    let sum = 0
    for (let row = 0; row < SMALL.heightPx; row++) {
      for (let column = 0; column < SMALL.widthPx; column++) {
        const i = row * SMALL.widthPx + column
        const distance = ((column - x) ** 2 + (row - y) ** 2) / (radius * radius)
        const near = Math.exp(-(distance * distance))
        paint[i] = Math.max(paint[i] ?? 0, near)
        sum += paint[i] ?? 0
      }
    }
    covered = sum / paint.length
  }
  for (let i = 0; i < paint.length; i++)
    for (let c = 0; c < 3; c++) view[3 * i + c] = (view[3 * i + c] ?? 0) * (1 - (paint[i] ?? 0)) + 90 * (paint[i] ?? 0)
}

/** A box blur thrice, which is nearly a Gaussian. */
function soften(view: Float32Array, sigmaPx: number): void {
  const radius = Math.max(1, Math.round(sigmaPx))
  if (sigmaPx < 0.5) return
  for (let pass = 0; pass < 3; pass++) {
    for (const [step, length, lines, stride] of [
      [3, SMALL.widthPx, SMALL.heightPx, 3 * SMALL.widthPx],
      [3 * SMALL.widthPx, SMALL.heightPx, SMALL.widthPx, 3],
    ] as const) {
      const half = Math.max(1, Math.round(radius / 2))
      for (let line = 0; line < lines; line++) {
        for (let c = 0; c < 3; c++) {
          const from = line * stride + c
          const copy = Float32Array.from({ length }, (_, i) => view[from + i * step] ?? 0)
          for (let i = 0; i < length; i++) {
            let sum = 0
            for (let k = -half; k <= half; k++) sum += copy[Math.min(length - 1, Math.max(0, i + k))] ?? 0
            view[from + i * step] = sum / (2 * half + 1)
          }
        }
      }
    }
  }
}

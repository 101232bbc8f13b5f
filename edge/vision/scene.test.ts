import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type GreyPicture, LEAST_FIELDS, LEAST_SIDE_PX, luminance, SHARPNESS_FIELDS, sharpness } from './scene.ts'

const WIDTH = 640
const HEIGHT = 360

/** Numbers from 0 to 1 that are the same in every run. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Boxes of all shades, `blurPx` out of focus, between `dark` and `bright`, with noise of this standard deviation. */
function street({ blurPx = 0, dark = 40, bright = 200, noise = 0, emptyFields = 0 }): GreyPicture {
  const next = numbers(7)
  const values = new Float32Array(WIDTH * HEIGHT).fill(dark)
  const { columns, rows } = SHARPNESS_FIELDS
  const emptyUpTo = (emptyFields / (columns * rows)) * WIDTH * HEIGHT
  for (let box = 0; box < 200; box++) {
    const left = Math.floor(next() * WIDTH)
    const top = Math.floor(next() * HEIGHT)
    const shade = dark + next() * (bright - dark)
    const width = 20 + Math.floor(next() * 80)
    for (let y = top; y < Math.min(HEIGHT, top + width); y++)
      values.fill(shade, y * WIDTH + left, y * WIDTH + Math.min(WIDTH, left + width))
  }
  values.fill(dark, 0, Math.floor(emptyUpTo / WIDTH) * WIDTH)
  const soft = blurPx === 0 ? values : gaussian(values, blurPx)
  const pixels = new Uint8Array(soft.length)
  for (let i = 0; i < soft.length; i++) {
    const grain = noise * Math.sqrt(-2 * Math.log(next() + 1e-9)) * Math.cos(2 * Math.PI * next())
    pixels[i] = Math.min(255, Math.max(0, Math.round((soft[i] ?? 0) + grain)))
  }
  return { widthPx: WIDTH, heightPx: HEIGHT, pixels }
}

function gaussian(values: Float32Array, sigmaPx: number): Float32Array {
  const radius = Math.ceil(3 * sigmaPx)
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigmaPx ** 2)))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const along = (from: Float32Array, step: number, place: (i: number) => number, most: number) =>
    from.map((_, i) => {
      let value = 0
      for (const [k, weight] of weights.entries()) {
        const off = Math.min(most - 1 - place(i), Math.max(-place(i), k - radius))
        value += (weight / sum) * (from[i + off * step] ?? 0)
      }
      return value
    })
  const across = along(values, 1, (i) => i % WIDTH, WIDTH)
  return along(across, WIDTH, (i) => Math.floor(i / WIDTH), HEIGHT)
}

test('brightness is the mean of all pixels', () => {
  assert.is(luminance({ widthPx: 2, heightPx: 2, pixels: new Uint8Array([0, 255, 100, 45]) }), 100)
})

test('the more a picture is blurred, the less sharp it is', () => {
  const found = [0, 1, 2, 4].map((blurPx) => sharpness(street({ blurPx })) ?? -1)
  assert.ok((found[0] ?? 0) > 0.85, `${found}`)
  assert.ok(Math.abs((found[1] ?? 0) - 0.6) < 0.1, `${found}`)
  assert.ok(Math.abs((found[2] ?? 0) - 0.29) < 0.1, `${found}`)
  assert.ok((found[3] ?? 1) < 0.16 && (found[3] ?? -1) > 0, `${found}`)
})

test('dusk, little contrast and noise leave the sharpness as it is', () => {
  const plain = sharpness(street({ blurPx: 1 })) ?? 0
  const dusk = sharpness(street({ blurPx: 1, dark: 10, bright: 60 })) ?? 0
  const night = sharpness(street({ blurPx: 1, dark: 10, bright: 90, noise: 8 })) ?? 0
  assert.ok(Math.abs(dusk - plain) < 0.08, `${plain} ${dusk}`)
  assert.ok(Math.abs(night - plain) < 0.12, `${plain} ${night}`)
})

test('noise alone is no sharp picture', () => {
  assert.is(sharpness(street({ dark: 20, bright: 20, noise: 12 })), null)
})

test('nothing is said of a picture without edges', () => {
  assert.is(sharpness(street({ dark: 0, bright: 0 })), null)
})

test('edges in too few fields say nothing, in enough they do', () => {
  const { columns, rows } = SHARPNESS_FIELDS
  // Whole rows of fields are empty; the last one has `columns` of them, of which so many are needed.
  assert.ok(columns >= LEAST_FIELDS)
  assert.type(sharpness(street({ emptyFields: columns * (rows - 1) })), 'number')
  assert.is(sharpness(street({ emptyFields: columns * rows })), null)
})

test('a picture too small for one tile is not judged, the smallest possible one is', () => {
  const cut = (sidePx: number): GreyPicture => {
    const whole = street({})
    const pixels = new Uint8Array(sidePx * sidePx)
    for (let y = 0; y < sidePx; y++)
      pixels.set(whole.pixels.subarray((y + 100) * WIDTH + 200, (y + 100) * WIDTH + 200 + sidePx), y * sidePx)
    return { widthPx: sidePx, heightPx: sidePx, pixels }
  }
  assert.type(sharpness(cut(LEAST_SIDE_PX)), 'number')
  assert.is(sharpness(cut(LEAST_SIDE_PX - 1)), null)
})

test.run()

/** What a stored crop shows, pixel by pixel. */
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

// Read by OpenCV's package while it loads, and pictures load it.
process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'
const { COARSE_CELL, cutJpeg, decodePicture } = await import('./picture.ts')

const WIDTH = 640
const HEIGHT = 480
const REGION = { x: 270, y: 300, width: 100, height: 50 }
const CELL = REGION.width * COARSE_CELL

interface Pixels {
  data: Buffer
  width: number
  height: number
}

/** A picture whose every pixel differs from its neighbours; `detail` chooses one of many. */
function noisy(detail: number): Buffer {
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 3)
  let state = detail
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    pixels[i] = state >>> 24
  }
  return pixels
}

const encoded = (pixels: Buffer) =>
  sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
    .png()
    .toBuffer()

async function cropOf(pixels: Buffer): Promise<Pixels> {
  const { jpeg } = await cutJpeg(await decodePicture(await encoded(pixels)), REGION, 1024 * 1024)
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** The plate with its sharp neighbourhood within the crop, px. */
const PLATE = { left: 75, top: 60, right: 225, bottom: 150 }
const isNear = (x: number, y: number) =>
  x >= PLATE.left - 1 && x <= PLATE.right && y >= PLATE.top - 1 && y <= PLATE.bottom

/** Mean difference of two crops, 0-255, over the pixels that `counts` says. */
function difference(a: Pixels, b: Pixels, counts: (x: number, y: number) => boolean): number {
  let sum = 0
  let count = 0
  for (let y = 0; y < a.height; y++) {
    for (let x = 0; x < a.width; x++) {
      if (!counts(x, y)) continue
      for (let c = 0; c < 3; c++) {
        const at = (y * a.width + x) * 3 + c
        sum += Math.abs((a.data[at] ?? 0) - (b.data[at] ?? 0))
        count += 1
      }
    }
  }
  return sum / count
}

test('around the plate a crop shows nothing finer than its cells: two pictures with other details look the same there', async () => {
  const plain = Buffer.alloc(WIDTH * HEIGHT * 3, 127)
  const one = await cropOf(noisy(1))
  const other = await cropOf(noisy(2))
  const none = await cropOf(plain)
  assert.equal([one.width, one.height], [other.width, other.height])
  const outside = (x: number, y: number) => !isNear(x, y)
  // Noise of 0-255 differs by 85 on average; the means of cells of 20 × 20 px by about 4.
  assert.ok(difference(one, other, outside) < 8, `${difference(one, other, outside)}`)
  assert.ok(difference(one, none, outside) < 8, `${difference(one, none, outside)}`)
  const inside = (x: number, y: number) =>
    x > PLATE.left + 2 && x < PLATE.right - 2 && y > PLATE.top + 2 && y < PLATE.bottom - 2
  assert.ok(difference(one, other, inside) > 50, `${difference(one, other, inside)}`)
})

test('within a cell around the plate all pixels are of one colour', async () => {
  const { data, width, height } = await cropOf(noisy(3))
  assert.equal([width, height], [300, 175])
  const cells = { x: width / Math.round(width / CELL), y: height / Math.round(height / CELL) }
  let widest = 0
  for (let cellY = 0; cellY < Math.round(height / CELL); cellY++) {
    for (let cellX = 0; cellX < Math.round(width / CELL); cellX++) {
      const values: number[] = []
      for (let y = Math.ceil(cellY * cells.y) + 2; y < Math.floor((cellY + 1) * cells.y) - 2; y++) {
        for (let x = Math.ceil(cellX * cells.x) + 2; x < Math.floor((cellX + 1) * cells.x) - 2; x++) {
          // JPEG rings as far as its blocks go beside the sharp part.
          if (isNear(x - 18, y - 18) || isNear(x + 18, y + 18) || isNear(x - 18, y + 18) || isNear(x + 18, y - 18))
            continue
          values.push(data[(y * width + x) * 3 + 1] ?? 0)
        }
      }
      if (values.length > 0) widest = Math.max(widest, Math.max(...values) - Math.min(...values))
    }
  }
  assert.ok(widest > 0 && widest < 24, `${widest} of 255`)
})

test('a plate at the edge of the picture has its crop cut there', async () => {
  const picture = await encoded(noisy(4))
  for (const region of [
    { x: 0, y: 0, width: 60, height: 30 },
    { x: WIDTH - 60, y: HEIGHT - 30, width: 60, height: 30 },
    { x: -20, y: HEIGHT - 10, width: 60, height: 30 },
  ]) {
    const { jpeg, plate } = await cutJpeg(await decodePicture(picture), region, 64 * 1024)
    const { width = 0, height = 0 } = await sharp(jpeg).metadata()
    assert.ok(width >= 60 && height >= 20)
    assert.equal([plate.width, plate.height], [60, 30])
    assert.ok(plate.x >= -20 && plate.x + 60 <= width && plate.y >= 0 && plate.y <= height - 10)
  }
})

test.run()

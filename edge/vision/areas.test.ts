/** Masks and the region of interest: on bare pixels, and in the real vision process with each detector. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { MAX_MASKS, MAX_POLYGON_POINTS, MIN_REGION_SIDE, type Polygon } from '../../shared/polygon.ts'
import { type Areas, areasSchema, isReported, maskedCells, maskedSpans, searchedPart, WHOLE_PICTURE } from './areas.ts'
import { openVision } from './door.ts'
import { cornersOfRegion } from './geometry.ts'
import { DETECTORS, type Region, type VisionDoor, visionConfigSchema } from './types.ts'

/** Two plates: HHW6462 on the right, KLH4N93 on the left. */
const SCENE = fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-003.jpg', import.meta.url))
const [WIDTH, HEIGHT] = [1280, 720]
const RIGHT: Region = { x: 898, y: 431, width: 116, height: 33 }
const LEFT: Region = { x: 288, y: 491, width: 129, height: 46 }

const box = (left: number, top: number, right: number, bottom: number): [number, number][] => [
  [left, top],
  [right, top],
  [right, bottom],
  [left, bottom],
]
const around = ({ x, y, width, height }: Region, px: number) =>
  box((x - px) / WIDTH, (y - px) / HEIGHT, (x + width + px) / WIDTH, (y + height + px) / HEIGHT)
/** So many points on a circle. */
const circle = (points: number, radius = 0.2): [number, number][] =>
  Array.from({ length: points }, (_, n) => {
    const angle = (2 * Math.PI * n) / points
    return [0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle)]
  })

const accepts = (view: unknown) => areasSchema.safeParse(view).success

test('a polygon has 3 to 32 points within the picture, and its lines do not cross', () => {
  assert.ok(accepts({}))
  assert.ok(accepts({ masks: [circle(3)] }))
  assert.ok(accepts({ masks: [circle(MAX_POLYGON_POINTS)] }))
  assert.not.ok(accepts({ masks: [circle(MAX_POLYGON_POINTS + 1)] }))
  assert.not.ok(accepts({ masks: [circle(3).slice(1)] }))
  assert.ok(accepts({ masks: [box(0, 0, 1, 1)] }))
  assert.not.ok(accepts({ masks: [box(-0.001, 0, 1, 1)] }))
  assert.not.ok(accepts({ masks: [box(0, 0, 1.001, 1)] }))
  const [a, b, c, d] = box(0.1, 0.1, 0.5, 0.5)
  assert.not.ok(accepts({ masks: [[a, c, b, d]] }))
  assert.not.ok(accepts({ masks: [[a, c, c]] }))
})

test('there are at most 16 masks', () => {
  assert.ok(accepts({ masks: Array.from({ length: MAX_MASKS }, () => circle(3)) }))
  assert.not.ok(accepts({ masks: Array.from({ length: MAX_MASKS + 1 }, () => circle(3)) }))
})

test('a region is at least a twentieth of the picture wide and high', () => {
  const least = MIN_REGION_SIDE + 1e-9
  assert.ok(accepts({ region: box(0, 0, least, least) }))
  assert.not.ok(accepts({ region: box(0, 0, least, MIN_REGION_SIDE - 0.001) }))
  assert.not.ok(accepts({ region: box(0, 0, MIN_REGION_SIDE - 0.001, least) }))
})

/** Which pixels of a picture of 8 × 6 are masked, one string a row. */
function drawn(masks: readonly Polygon[]): string[] {
  const black = new Uint8Array(8 * 6 * 3)
  for (const [from, to] of maskedSpans(masks, 8, 6)) black.fill(1, from, to)
  return Array.from({ length: 6 }, (_, row) =>
    Array.from({ length: 8 }, (_, column) => (black[(row * 8 + column) * 3] === 1 ? '#' : '.')).join(''),
  )
}

test('each pixel that a mask touches is black, to the edges of the picture and no further', () => {
  assert.equal(drawn([box(2 / 8, 1 / 6, 5 / 8, 3 / 6)]), [
    '........',
    '..###...',
    '..###...',
    '........',
    '........',
    '........',
  ])
  // A quarter of a pixel more on each side takes the whole pixel.
  assert.equal(drawn([box(1.75 / 8, 0.5 / 6, 5.25 / 8, 3.5 / 6)]), [
    '.#####..',
    '.#####..',
    '.#####..',
    '.#####..',
    '........',
    '........',
  ])
  assert.equal(drawn([box(0, 0, 1, 1)]), Array(6).fill('########'))
  assert.equal(
    drawn([
      [
        [0, 0],
        [1, 0],
        [0, 1],
      ],
    ]),
    ['########', '#######.', '######..', '####....', '###.....', '##......'],
  )
})

test('cells that a mask touches are masked, and those beside them', () => {
  const cells = maskedCells({ region: null, masks: [box(0.5, 0.5, 0.6, 0.6)] }, 10, 10)
  const masked = [...cells].flatMap((value, i) => (value === 1 ? [[i % 10, Math.floor(i / 10)]] : []))
  const columns = masked.map(([column = 0]) => column)
  const rows = masked.map(([, row = 0]) => row)
  assert.equal([Math.min(...columns), Math.max(...columns)], [Math.min(...rows), Math.max(...rows)])
  assert.ok(Math.min(...columns) <= 4 && Math.max(...columns) >= 6 && masked.length < 40, JSON.stringify(masked))
  assert.ok(maskedCells(WHOLE_PICTURE, 10, 10).every((value) => value === 0))
})

test('the searched part holds the region with a margin, in whole pixels of the picture', () => {
  assert.equal(searchedPart(WHOLE_PICTURE, WIDTH, HEIGHT), { x: 0, y: 0, width: WIDTH, height: HEIGHT })
  assert.equal(searchedPart({ region: box(0.5, 0.5, 0.75, 0.75), masks: [] }, WIDTH, HEIGHT), {
    ...{ x: 576, y: 296, width: 448, height: 308 },
  })
  assert.equal(searchedPart({ region: box(0, 0, 1, 0.5), masks: [] }, WIDTH, HEIGHT), {
    ...{ x: 0, y: 0, width: WIDTH, height: 424 },
  })
})

test('a plate counts by its centre in the region, and not at all where a mask touches it', () => {
  const reported = (view: Partial<Areas>) =>
    isReported({ ...WHOLE_PICTURE, ...view }, cornersOfRegion(LEFT), WIDTH, HEIGHT)
  const centre = (LEFT.x + LEFT.width / 2) / WIDTH
  assert.ok(reported({}))
  assert.ok(reported({ region: box(0, 0, centre + 0.001, 1) }))
  assert.not.ok(reported({ region: box(0, 0, centre - 0.001, 1) }))
  assert.not.ok(reported({ masks: [box(0, 0, (LEFT.x + 2) / WIDTH, 1)] }))
  assert.ok(reported({ masks: [box(0, 0, (LEFT.x - 20) / WIDTH, 1)] }))
  // A mask within the plate, and one around it.
  assert.not.ok(reported({ masks: [around({ x: LEFT.x + 50, y: LEFT.y + 20, width: 4, height: 4 }, 0)] }))
  assert.not.ok(reported({ masks: [box(0, 0, 1, 1)] }))
})

async function withVision(options: object, view: Areas, work: (vision: VisionDoor) => Promise<void>): Promise<void> {
  const config = visionConfigSchema.parse({ threads: 1, frameTimeoutMs: 120_000, ...options })
  const vision = await openVision(config, { clock: systemClock, log: silentLog }, view)
  try {
    await work(vision)
  } finally {
    await vision.close()
  }
}

const overlaps = (a: Region, b: Region) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height

for (const detector of DETECTORS) {
  test(`${detector}: a masked plate is not read, the other one is, in the picture's own pixels`, async () => {
    const frame = await readFile(SCENE)
    await withVision({ detector, minConfidence: 0 }, { region: null, masks: [around(LEFT, 6)] }, async (vision) => {
      const { reads } = await vision.read(frame)
      assert.not.ok(reads.some(({ region }) => overlaps(region, LEFT)))
      const before = reads.find(({ region }) => overlaps(region, RIGHT))
      vision.setAreas(WHOLE_PICTURE)
      const all = (await vision.read(frame)).reads
      // The cascade reads few plates at all; what it finds without the mask it must find beside one.
      assert.is(before?.plate, all.find(({ region }) => overlaps(region, RIGHT))?.plate)
      if (detector !== 'cascade') {
        assert.is(before?.plate, 'HHW6462')
        assert.ok(all.some(({ plate }) => plate === 'KLH4N93'))
      }
    })
  })

  test(`${detector}: with a region only plates in it are read, where they are in the whole picture`, async () => {
    const frame = await readFile(SCENE)
    const region = box(0.6, 0.4, 0.95, 0.9)
    await withVision({ detector, minConfidence: 0 }, { region, masks: [] }, async (vision) => {
      const { reads, widthPx, heightPx } = await vision.read(frame)
      assert.equal([widthPx, heightPx], [WIDTH, HEIGHT])
      assert.ok(reads.every((read) => read.region.x > 0.5 * WIDTH))
      if (detector === 'cascade') return
      const read = reads.find(({ plate }) => plate === 'HHW6462')
      assert.ok(read !== undefined)
      for (const side of ['x', 'y', 'width', 'height'] as const)
        assert.ok(Math.abs(read.region[side] - RIGHT[side]) < 12, `${side} ${read.region[side]}`)
    })
  })
}

/** The brightest that any of its pixels is, 0-255. */
async function brightest(jpeg: Buffer, part: Region): Promise<number> {
  const { width, height } = await sharp(jpeg).metadata()
  const left = Math.max(0, Math.ceil(part.x))
  const top = Math.max(0, Math.ceil(part.y))
  const right = Math.min(width, Math.floor(part.x + part.width))
  const bottom = Math.min(height, Math.floor(part.y + part.height))
  const pixels = await sharp(jpeg)
    .extract({ left, top, width: right - left, height: bottom - top })
    .greyscale()
    .raw()
    .toBuffer()
  return Math.max(...pixels)
}

test('what is masked is black in crops and previews, and stays so when the child dies and is started again', async () => {
  const frame = await readFile(SCENE)
  // The upper half of the plate and what is above it.
  const mask = box((LEFT.x - 20) / WIDTH, (LEFT.y - 60) / HEIGHT, 0.4, (LEFT.y + 23) / HEIGHT)
  const look = async (vision: VisionDoor) => {
    const { jpeg, plate } = await vision.crop(frame, LEFT, 64 * 1024)
    const { preview } = await vision.read(frame, { previewPx: 640 })
    const half = { x: LEFT.x / 2 + 4, y: LEFT.y / 2 - 20, width: LEFT.width / 2 - 8, height: 28 }
    return [
      await brightest(jpeg, { x: plate.x + 6, y: plate.y, width: plate.width - 12, height: plate.height / 2 - 6 }),
      await brightest(preview?.jpeg ?? Buffer.alloc(0), half),
    ] as const
  }
  await withVision({}, WHOLE_PICTURE, async (vision) => {
    const open = await look(vision)
    assert.ok(open[0] > 150 && open[1] > 150, `${open}`)
    vision.setAreas({ region: null, masks: [mask] })
    const masked = await look(vision)
    assert.ok(masked[0] < 24 && masked[1] < 24, `${masked}`)
    process.kill(vision.pid ?? 0, 'SIGKILL')
    await vision.read(frame).catch(() => {})
    const after = await look(vision)
    assert.is(vision.restarts, 1)
    assert.ok(after[0] < 24 && after[1] < 24, `${after}`)
  })
})

test('a preview is no wider than asked for, and tells how sharp the searched part is', async () => {
  const frame = await readFile(SCENE)
  const soft = await sharp(frame).blur(4).jpeg().toBuffer()
  await withVision({}, { region: box(0.1, 0.3, 0.9, 0.9), masks: [around(LEFT, 6)] }, async (vision) => {
    const sharpOne = (await vision.read(frame, { previewPx: 960 })).preview
    const softOne = (await vision.read(soft, { previewPx: 960 })).preview
    const { width, height } = await sharp(sharpOne?.jpeg).metadata()
    assert.equal([width, height], [960, 540])
    assert.ok((sharpOne?.sharpness ?? 0) > (softOne?.sharpness ?? 1) + 0.2)
    assert.is((await vision.read(frame)).preview, undefined)
    assert.is((await sharp((await vision.read(frame, { previewPx: 4_000 })).preview?.jpeg).metadata()).width, WIDTH)
  })
})

test.run()

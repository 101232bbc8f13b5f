/** The project's own two networks: what is made of their outputs, and that the shipped ones read what they should. */
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { calibrated, confidencesOf } from './calibration.ts'

// Read by OpenCV's package while it loads.
process.env.OPENCV4NODEJS_DISABLE_AUTOBUILD = '1'
process.env.OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING = '1'
const { inputSize, MOST_INPUT_PIXELS, openCandorDetector, platesIn } = await import('./detect-candor.ts')
const { countryOf, isWorthAnotherLook, joined, openCandorReader, together } = await import('./read-candor.ts')
const { modelPaths } = await import('./models.ts')
const { movedCorners, rgbMat, straightenedPlate } = await import('./opencv.ts')

test("the detector's picture keeps the frame's shape, in multiples of 32, and enlarges nothing", () => {
  assert.equal(inputSize(1280, 1280, 30), { width: 640, height: 640, filledRows: 640 })
  assert.equal(inputSize(461, 346, 30), { width: 448, height: 352, filledRows: 352 })
  assert.equal(inputSize(20, 16, 30), { width: 32, height: 32, filledRows: 32 })
})

test('frames of the usual sizes are shrunk by a whole number for the detector, and the rows that lack are added below', () => {
  assert.equal(inputSize(1280, 720, 30), { width: 640, height: 384, filledRows: 360 })
  assert.equal(inputSize(1280, 720, 300), { width: 640, height: 384, filledRows: 360 })
  assert.equal(inputSize(640, 384, 30), { width: 640, height: 384, filledRows: 384 })
  assert.equal(inputSize(1280, 960, 30), { width: 640, height: 480, filledRows: 480 })
})

test('a large frame is shrunk no more than the smallest plate allows, up to the most that memory allows', () => {
  assert.equal(inputSize(2560, 1440, 30), { width: 1280, height: 736, filledRows: 720 })
  assert.equal(inputSize(2560, 1440, 60), { width: 640, height: 384, filledRows: 360 })
  // 1920 × 1152 pixels are the most: twice as large a frame is shrunk by 4 instead of 2.
  assert.equal(inputSize(3840, 2304, 30), { width: 1920, height: 1152, filledRows: 1152 })
  assert.equal(inputSize(7680, 4608, 30), { width: 1920, height: 1152, filledRows: 1152 })
  const past = inputSize(4608, 2592, 30)
  assert.ok(past.width * past.filledRows < 1.01 * MOST_INPUT_PIXELS, JSON.stringify(past))
})

test('of the cells that see one plate the surest speaks, and corners are in pixels of the frame', () => {
  const size = { width: 64, height: 32 }
  // Grids of 8 × 4, 4 × 2 and 2 × 1 cells.
  const cells = new Float32Array((32 + 8 + 2) * 9)
  const see = (cell: number, score: number, x: number, y: number) => {
    const at = cell * 9
    cells[at] = score
    for (const [n, [dx, dy]] of [
      [-1, -0.5],
      [1, -0.5],
      [1, 0.5],
      [-1, 0.5],
    ].entries()) {
      cells[at + 1 + 2 * n] = (dx ?? 0) + x
      cells[at + 2 + 2 * n] = (dy ?? 0) + y
    }
  }
  // The cell in column 2, row 1 of the first grid has its centre at 20, 12; one unit is 16 px.
  see(10, 0.9, 0, 0)
  see(11, 0.8, -0.5, 0)
  see(0, 0.1, 0, 0)
  const plates = platesIn(cells, size, 2, 3)
  assert.is(plates.length, 1)
  assert.equal(plates[0]?.region, { x: 8, y: 12, width: 64, height: 48 })
  assert.ok(Math.abs((plates[0]?.confidence ?? 0) - 0.9) < 1e-6)
})

test('two lines are one text, every pair of readings counted once', () => {
  const texts = joined(
    [
      { text: 'AB', probability: 0.9 },
      { text: 'A', probability: 0.1 },
    ],
    [
      { text: '12', probability: 0.8 },
      { text: 'B12', probability: 0.2 },
    ],
  )
  assert.equal(
    texts.map(({ text }) => text),
    ['AB12', 'ABB12', 'A12'],
  )
  assert.ok(Math.abs((texts[0]?.probability ?? 0) - 0.74) < 1e-9)
})

test('two looks at one plate are averaged', () => {
  const texts = together(
    [
      { text: 'AB12', probability: 0.6 },
      { text: 'A812', probability: 0.4 },
    ],
    [{ text: 'A812', probability: 0.9 }],
  )
  assert.equal(
    texts.map(({ text, probability }) => `${text} ${probability.toFixed(2)}`),
    ['A812 0.65', 'AB12 0.30'],
  )
})

test('a place is looked at again unless it is clearly none, or its text is already sure', () => {
  const text = (text: string, probability: number) => [{ text, probability }]
  assert.equal(
    [
      isWorthAnotherLook([], 0),
      isWorthAnotherLook(text('AB', 0.9), 0),
      isWorthAnotherLook(text('ABC', 0.005), 0),
      isWorthAnotherLook(text('ABC', 0.0049), 0),
      isWorthAnotherLook(text('ABC123', 0.99), 0),
      isWorthAnotherLook(text('ABC123', 0.98), 1),
      isWorthAnotherLook(text('ABC123', 0.9799), 1),
    ],
    [false, false, true, false, true, false, true],
  )
})

test('a plate pulled straight shows its margin around it, and corners found there lie where they do in the picture', () => {
  const size = { widthPx: 112, heightPx: 64, margin: { x: 0.06, y: 0.14 } }
  // A white plate of 200 × 50 px on black, its top left at 40, 30.
  const [width, height] = [320, 120]
  const pixels = Buffer.alloc(width * height * 3)
  for (let y = 30; y < 80; y++) pixels.fill(255, (y * width + 40) * 3, (y * width + 240) * 3)
  const corners = (left: number, top: number, right: number, bottom: number) =>
    [
      { x: left, y: top },
      { x: right, y: top },
      { x: right, y: bottom },
      { x: left, y: bottom },
    ] as const
  const picture = rgbMat(pixels, width, height)
  const plate = straightenedPlate(picture, corners(40, 30, 240, 80), size)
  const shown = plate.getData()
  const at = (x: number, y: number) => shown[(y * size.widthPx + x) * 3]
  assert.equal([plate.cols, plate.rows], [112, 64])
  // 6 of 112 columns and 7 of 64 rows are margin on each side.
  assert.equal([at(4, 32), at(8, 32), at(103, 32), at(108, 32)], [0, 255, 255, 0])
  assert.equal([at(56, 5), at(56, 9), at(56, 54), at(56, 59)], [0, 255, 255, 0])
  plate.release()
  picture.release()
  // A plate found by corners that are 10 px too far left and 5 too low.
  const moved = movedCorners(corners(30, 35, 230, 85), size, [0.05, -0.1, 0.05, -0.1, 0.05, -0.1, 0.05, -0.1])
  for (const [n, { x, y }] of corners(40, 30, 240, 80).entries()) {
    assert.ok(Math.abs((moved[n]?.x ?? 0) - x) < 1e-3 && Math.abs((moved[n]?.y ?? 0) - y) < 1e-3)
  }
})

test('a country is named only when it is clear, and a US state never by looks', () => {
  const classes = ['', 'US', 'SK', 'CZ']
  const long = { aspect: 4.5, lines: 1 }
  assert.equal(countryOf([0.02, 0.02, 0.95, 0.01], classes, long), { code: 'SK', confidence: 0.95 })
  assert.is(countryOf([0.1, 0, 0.8, 0.1], classes, long), null)
  assert.is(countryOf([0.97, 0, 0.03, 0], classes, long), null)
  assert.is(countryOf([0, 0.99, 0.01, 0], classes, long), null)
  // As high as a US plate: only with two lines of text.
  assert.is(countryOf([0, 0, 1, 0], classes, { aspect: 2.3, lines: 1 }), null)
  assert.is(countryOf([0, 0, 1, 0], classes, { aspect: 1.5, lines: 2 })?.code, 'SK')
})

test('confidence grows with what either network is sure of, and candidates stay below the first', () => {
  const curve = { weights: { constant: -1, reader: 0.8, detector: 0.3 } }
  const of = (probability: number, score: number) => calibrated(curve, { probability, score })
  assert.ok(of(0.99, 0.9) > of(0.9, 0.9))
  assert.ok(of(0.9, 0.9) > of(0.9, 0.3))
  for (const probability of [0, 1]) assert.ok(Number.isFinite(of(probability, 1)))
  const texts = [
    { text: 'AB12', probability: 0.5 },
    { text: 'AB17', probability: 0.4 },
    { text: 'A812', probability: 0.05 },
  ]
  const sure = confidencesOf(curve, texts, { score: 0.9 })
  assert.is(sure.length, 3)
  assert.ok((sure[0] ?? 0) >= (sure[1] ?? 1) && (sure[1] ?? 0) > (sure[2] ?? 1))
  assert.ok(sure.reduce((sum, value) => sum + value, 0) <= 1)
  assert.equal(confidencesOf(curve, [], { score: 0.9 }), [])
})

test('the shipped networks find and read the plates of the sample scenes, alone and several at a time', async () => {
  const scenes = new URL('../../scripts/sample-scenes/pictures/', import.meta.url)
  const labels = (await readFile(new URL('labels.tsv', scenes), 'utf8')).trim().split('\n').slice(1)
  const models = modelPaths()
  const detector = await openCandorDetector(models.detector, 1, 30)
  const reader = await openCandorReader(models.reader, models.calibration, 1)
  let right = 0
  try {
    for (const file of (await readdir(fileURLToPath(scenes))).filter((name) => name.endsWith('.jpg'))) {
      const path = fileURLToPath(new URL(file, scenes))
      const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true })
      const picture = rgbMat(data, info.width, info.height)
      try {
        const regions = await detector.detect(picture)
        const together = await reader.read(picture, regions)
        assert.is(together.length, regions.length)
        for (const [place, region] of regions.entries()) {
          const [alone] = await reader.read(picture, [region])
          assert.is(alone?.texts[0]?.text, together[place]?.texts[0]?.text)
        }
        const texts = together.map((look) => look.texts[0]?.text ?? '')
        right += labels.filter((row) => row.startsWith(file) && texts.includes(row.split('\t').at(-1) ?? '?')).length
      } finally {
        picture.release()
      }
    }
  } finally {
    await detector.close()
    await reader.close()
  }
  assert.ok(right >= labels.length * 0.8, `${right} of ${labels.length}`)
})

test.run()

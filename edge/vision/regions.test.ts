import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DecodedText } from './ctc.ts'
import { boundsOf, cornersOf, type TextBox } from './geometry.ts'
import {
  MAX_REGIONS,
  MAX_UNREADABLE_WIDTH_PX,
  MIN_READABLE_WIDTH_PX,
  MIN_VEHICLE_SCORE,
  readRegions,
} from './regions.ts'
import { plateOutline, type TextRegion } from './stages.ts'

/** Side by side, far enough apart to be different plates. */
function regionAt(place: number, confidence = 0.9): TextRegion {
  const text: TextBox = { centre: { x: 100 + 300 * place, y: 100 }, widthPx: 100, heightPx: 20, angle: 0 }
  return { ...plateOutline(text), text, confidence, isPlate: false }
}

const look = (text: string, probability: number) => ({
  texts: [{ text, probability }],
  corners: null,
  jurisdiction: null,
})
const plateAt = (place: number) => `ABC${String(place).padStart(3, '0')}`

async function readAll(regions: readonly TextRegion[], minConfidence = 0) {
  const asked: TextRegion[] = []
  const reads = await readRegions(
    regions,
    {
      async read(taken) {
        asked.push(...taken)
        return taken.map((_, place) => look(plateAt(place), 0.99))
      },
      confidences: (texts) => texts.map(({ probability }) => probability),
    },
    minConfidence,
  )
  return { asked, plates: reads.map(({ plate }) => plate) }
}

test('as many regions are read as the limit allows, the best ones, and none beyond', async () => {
  for (const count of [1, MAX_REGIONS, MAX_REGIONS + 1]) {
    const regions = Array.from({ length: count }, (_, i) => regionAt(i))
    const { asked, plates } = await readAll(regions)
    const read = Math.min(count, MAX_REGIONS)
    assert.equal(asked, regions.slice(0, read))
    assert.equal(
      plates.sort(),
      Array.from({ length: read }, (_, i) => plateAt(i)),
    )
  }
})

test('two reads of one place are one plate', async () => {
  const { asked, plates } = await readAll([regionAt(0), regionAt(0), regionAt(1)])
  assert.is(asked.length, 3)
  assert.is(plates.length, 2)
})

test('a read below the least confidence is not reported', async () => {
  assert.is((await readAll([regionAt(0)], 0)).plates.length, 1)
  assert.is((await readAll([regionAt(0)], 1)).plates.length, 0)
})

/** A plate `widthPx` wide of a detector that knows plates. */
function plateOf(widthPx: number, confidence: number): TextRegion {
  const text: TextBox = { centre: { x: 100, y: 100 }, widthPx, heightPx: widthPx / 4, angle: 0 }
  const corners = cornersOf(text)
  return { region: boundsOf(corners), corners, text, confidence, isPlate: true }
}

const reader = (probability: number) => ({
  read: async (regions: readonly TextRegion[]) => regions.map(() => look('ABC123', probability)),
  confidences: (texts: readonly DecodedText[]) => texts.map((text) => text.probability),
})

test('a plate that cannot be read is a vehicle without a plate when the detector is sure of it, and nothing else', async () => {
  const sure = await readRegions([plateOf(100, 0.9)], reader(0.2), 0.5)
  assert.equal(
    sure.map(({ plate, confidence, candidates }) => ({ plate, confidence, candidates })),
    [{ plate: null, confidence: 0.9, candidates: [] }],
  )
  const told = async (widthPx: number, score: number) =>
    (await readRegions([plateOf(widthPx, score)], reader(0.2), 0.5)).length
  assert.is(await told(100, MIN_VEHICLE_SCORE), 1)
  assert.is(await told(100, MIN_VEHICLE_SCORE - 0.01), 0)
  assert.is(await told(MAX_UNREADABLE_WIDTH_PX, 0.9), 1)
  assert.is(await told(MAX_UNREADABLE_WIDTH_PX + 1, 0.9), 0)
  assert.equal(await readRegions([{ ...plateOf(100, 0.9), isPlate: false }], reader(0.2), 0.5), [])
})

test('a plate under the least width is not guessed at, one at it is read', async () => {
  const plates = async (widthPx: number) =>
    (await readRegions([plateOf(widthPx, 0.9)], reader(0.9), 0.5)).map(({ plate }) => plate)
  assert.equal(await plates(MIN_READABLE_WIDTH_PX), ['ABC123'])
  assert.equal(await plates(MIN_READABLE_WIDTH_PX - 1), [null])
})

test('reads come before what cannot be read, however sure the detector is', async () => {
  const far = plateOf(100, 0.7)
  const moved = { ...far, region: { ...far.region, x: 900 } }
  let asked = 0
  const reads = await readRegions(
    [{ ...plateOf(100, 0.95), region: { ...far.region, x: 500 } }, moved],
    {
      ...reader(0.6),
      read: async (regions) =>
        regions.map(() => (asked++ === 0 ? { texts: [], corners: null, jurisdiction: null } : look('ABC123', 0.6))),
    },
    0.5,
  )
  assert.equal(
    reads.map(({ plate }) => plate),
    ['ABC123', null],
  )
})

test.run()

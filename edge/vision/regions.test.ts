import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TextBox } from './geometry.ts'
import { MAX_REGIONS, readRegions } from './regions.ts'
import { plateOutline, type TextRegion } from './stages.ts'

/** Side by side, far enough apart to be different plates. */
function regionAt(place: number, confidence = 0.9): TextRegion {
  const text: TextBox = { centre: { x: 100 + 300 * place, y: 100 }, widthPx: 100, heightPx: 20, angle: 0 }
  return { ...plateOutline(text), text, confidence }
}

const plateAt = (place: number) => `ABC${String(place).padStart(3, '0')}`

async function readAll(regions: readonly TextRegion[], minConfidence = 0) {
  const asked: TextRegion[] = []
  const reads = await readRegions(
    regions,
    {
      async read(taken) {
        asked.push(...taken)
        return taken.map((_, place) => [{ text: plateAt(place), probability: 0.99 }])
      },
      confidence: ({ probability }) => probability,
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

test.run()

/** The promise on accuracy, on labelled street pictures where they are (CANDOR_PLATES); the score itself is tested everywhere. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { visionConfigSchema } from '../../edge/vision/types.ts'
import { editDistance, fold, overlapOf, parseLabels, scorePicture, scoreSet } from './reading/score.ts'
import { measureSets } from './reading/sets.ts'
import { quantile } from './statistics.ts'

/** What is promised of each set, %; open-source OpenALPR 2.3 reads 46.9, 73.7 and 49.2 exactly. */
const PROMISED = {
  us: { strict: 80, folded: 84 },
  eu: { strict: 82, folded: 92 },
  br: { strict: 92, folded: 94 },
} as const
const PROMISED_FOUND = 95
const PROMISED_FALSE_READS = 0.1
const SCENES = fileURLToPath(new URL('../sample-scenes/pictures', import.meta.url))

const region = { x: 10, y: 10, width: 100, height: 40 }
const elsewhere = { x: 400, y: 10, width: 100, height: 40 }

test('the best read decides, and O and I count as 0 and 1 only in the folded figure', () => {
  const labels = [{ region, plate: 'ABC120' }]
  const right = scorePicture(labels, [
    { plate: 'ABC120', region },
    { plate: 'XYZ', region: elsewhere },
    { plate: null, region: elsewhere },
    { plate: null, region },
  ])
  assert.equal(right, {
    strict: true,
    folded: true,
    found: true,
    falseReads: 1,
    falseVehicles: 1,
    edits: 0,
    characters: 6,
  })
  const folded = scorePicture(labels, [{ plate: 'ABCI2O', region }])
  assert.equal([folded.strict, folded.folded, folded.edits], [false, true, 2])
  const second = scorePicture(labels, [
    { plate: 'XYZ999', region: elsewhere },
    { plate: 'ABC120', region },
  ])
  assert.equal([second.strict, second.found, second.falseReads], [false, true, 1])
})

test('a picture without a read is a wrong read of all its characters', () => {
  const none = scorePicture([{ region, plate: 'ABC120' }], [])
  assert.equal(none, {
    strict: false,
    folded: false,
    found: false,
    falseReads: 0,
    falseVehicles: 0,
    edits: 6,
    characters: 6,
  })
})

test('overlap, distance, quantile and labels are what their names say', () => {
  assert.is(overlapOf(region, region), 1)
  assert.is(overlapOf(region, elsewhere), 0)
  assert.is(overlapOf(region, { ...region, x: 60 }), 1 / 3)
  assert.is(editDistance('ABC', 'AXCD'), 2)
  assert.is(fold('OI0'), '010')
  assert.is(quantile([3, 1, 2], 0.5), 2)
  const labels = parseLabels('file\tx\ty\twidth\theight\tplate\na.jpg\t1\t2\t3\t4\tAB1\na.jpg\t5\t6\t7\t8\tCD2\n')
  assert.is(labels.get('a.jpg')?.length, 2)
  assert.throws(() => parseLabels('file\na.jpg\tone\n'), /line 2/)
  const score = scoreSet([
    { ...scorePicture([{ region, plate: 'A1' }], [{ plate: 'A1', region }]), elapsedMs: 10 },
    { ...scorePicture([{ region, plate: 'A1' }], []), elapsedMs: 30 },
  ])
  assert.equal([score.strictPercent, score.foundPercent, score.characterErrorPercent], [50, 50, 50])
})

test('a picture that is none, is missing or takes too long counts as not read, and the next one is read', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-test-'))
  try {
    await mkdir(join(folder, 'us'))
    await writeFile(join(folder, 'us', 'bad.jpg'), 'not a picture')
    await cp(join(SCENES, 'scene-002.jpg'), join(folder, 'us', 'good.jpg'))
    const rows = ['bad', 'missing', 'good'].map((name) => `${name}.jpg\t1\t1\t10\t10\tTJ977FA`)
    await writeFile(join(folder, 'us', 'labels.tsv'), ['file\tx\ty\twidth\theight\tplate', ...rows, ''].join('\n'))
    const patient = visionConfigSchema.parse({ frameTimeoutMs: 120_000 })
    const { sets } = await measureSets(folder, patient)
    assert.equal([sets.us?.pictures, sets.us?.strictPercent], [3, 33.3])
    const hasty = await measureSets(folder, { ...patient, frameTimeoutMs: 1 })
    assert.equal([hasty.sets.us?.pictures, hasty.sets.us?.strictPercent], [3, 0])
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

const folder = process.env.CANDOR_PLATES
const withPictures: (name: string, run: () => Promise<void>) => void = folder === undefined ? test.skip : test

withPictures('the default reads, finds and leaves alone as much as is promised, on every set', async () => {
  const { sets } = await measureSets(folder ?? '', visionConfigSchema.parse({ frameTimeoutMs: 120_000 }))
  for (const [set, promised] of Object.entries(PROMISED)) {
    const score = sets[set]
    assert.ok(score !== undefined, `${set} is missing`)
    assert.ok(score.strictPercent >= promised.strict, `${set}: ${score.strictPercent} % exactly`)
    assert.ok(score.foldedPercent >= promised.folded, `${set}: ${score.foldedPercent} % with O as 0 and I as 1`)
    assert.ok(score.foundPercent >= PROMISED_FOUND, `${set}: ${score.foundPercent} % found`)
    assert.ok(score.falseReadsPerPicture <= PROMISED_FALSE_READS, `${set}: ${score.falseReadsPerPicture} false reads`)
  }
})

test.run()

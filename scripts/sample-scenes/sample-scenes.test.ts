import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PLATE_PATTERN } from '../../shared/plate.ts'
import { DEFAULT_COUNT, DEFAULT_SEED, MAX_PICTURE_BYTES, samples, writeSamples } from './generate.ts'
import { textSvg, textWidth } from './glyphs.ts'
import { inventPlate, PLATE_STYLES, plateSvg, seeded } from './plates.ts'
import { drawScene, SCENE_HEIGHT_PX, SCENE_WIDTH_PX } from './scene.ts'

const committed = fileURLToPath(new URL('./pictures', import.meta.url))

test('every letter and digit has strokes, and an unknown character is refused', () => {
  const svg = textSvg('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', '#000')
  assert.is([...svg.matchAll(/<path /g)].length, 36)
  assert.throws(() => textSvg('Ä', '#000'), /no stroke/)
  assert.is(textWidth('AA'), textWidth('A') * 2 + 34)
})

test('an invented plate is a plate, in each style, and is written with its gaps', () => {
  for (const style of PLATE_STYLES) {
    const plate = inventPlate(seeded(1), style)
    assert.match(plate.text, PLATE_PATTERN)
    assert.is(plate.written.replace(/[ ·-]/g, ''), plate.text)
    assert.ok(plateSvg(plate).length > 200)
  }
})

test('the same seed draws the same scene and another seed another', () => {
  const draw = (seed: number) => drawScene(seeded(seed), ['eu', 'us'], false)
  assert.is(draw(7).svg, draw(7).svg)
  assert.is.not(draw(7).svg, draw(8).svg)
  assert.is(draw(7).plates.length, 2)
})

test('the same seed gives the same bytes, within the size limit, with the plate inside its box', async () => {
  const render = async () => {
    for await (const sample of samples(3, 1)) return sample
    throw new Error('no sample')
  }
  const [first, second] = [await render(), await render()]
  assert.equal(first.jpeg, second.jpeg)
  assert.ok(first.jpeg.length <= MAX_PICTURE_BYTES)
  const label = first.scene.plates[0]
  assert.ok(label !== undefined && label.box.width > 60 && label.box.x > 0)
  assert.ok(label.box.x + label.box.width < SCENE_WIDTH_PX && label.box.y + label.box.height < SCENE_HEIGHT_PX)
})

test('the committed pictures are those of the generator', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-samples-'))
  try {
    await writeSamples(folder, DEFAULT_SEED, DEFAULT_COUNT)
    assert.equal((await readdir(committed)).sort(), (await readdir(folder)).sort())
    assert.is(await readFile(join(committed, 'labels.tsv'), 'utf8'), await readFile(join(folder, 'labels.tsv'), 'utf8'))
    for (const name of (await readdir(committed)).filter((file) => file.endsWith('.jpg'))) {
      const bytes = await readFile(join(committed, name))
      assert.ok(bytes.length <= MAX_PICTURE_BYTES, name)
      // Another build of libvips may round a pixel elsewhere, so the pictures are compared by what is seen.
      const small = (picture: Buffer) => sharp(picture).resize(64, 36).greyscale().raw().toBuffer()
      const [kept, made] = [await small(bytes), await small(await readFile(join(folder, name)))]
      assert.ok(
        kept.every((value, i) => Math.abs(value - (made[i] ?? 0)) <= 4),
        name,
      )
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test.run()

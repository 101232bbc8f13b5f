/**
 * Renders the sample scenes: `node --import tsx scripts/sample-scenes/generate.ts [--out DIR] [--count N] [--seed N]`.
 * The same seed gives the same scenes. Writes NAME.jpg files and labels.tsv (file, x, y, width, height, plate).
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { type Draw, PLATE_STYLES, type PlateStyle, seeded } from './plates.ts'
import { drawScene, SCENE_HEIGHT_PX, SCENE_WIDTH_PX, type Scene } from './scene.ts'

/** A committed picture is at most this large, so that a clone stays small. */
export const MAX_PICTURE_BYTES = 60 * 1024
export const DEFAULT_SEED = 2026
export const DEFAULT_COUNT = 8
const QUALITIES = [82, 76, 70, 62, 54, 46] as const

/** Noise of a sensor: grey grains around the middle, added by the soft-light of the scene. */
function grain(draw: Draw): Buffer {
  const pixels = Buffer.alloc((SCENE_WIDTH_PX / 2) * (SCENE_HEIGHT_PX / 2))
  for (let i = 0; i < pixels.length; i++) pixels[i] = 128 + Math.round((draw() + draw() - 1) * 26)
  return pixels
}

/** The scene as a camera would give it: a little soft, grainy, as a JPEG of at most MAX_PICTURE_BYTES. */
export async function renderScene(scene: Scene, draw: Draw): Promise<Buffer> {
  const noise = await sharp(grain(draw), {
    raw: { width: SCENE_WIDTH_PX / 2, height: SCENE_HEIGHT_PX / 2, channels: 1 },
  })
    .resize(SCENE_WIDTH_PX, SCENE_HEIGHT_PX)
    .toColourspace('srgb')
    .png()
    .toBuffer()
  const picture = await sharp(Buffer.from(scene.svg))
    .blur(0.7)
    .composite([{ input: noise, blend: 'soft-light' }])
    .removeAlpha()
    .raw()
    .toBuffer()
  for (const quality of QUALITIES) {
    const jpeg = await sharp(picture, { raw: { width: SCENE_WIDTH_PX, height: SCENE_HEIGHT_PX, channels: 3 } })
      .jpeg({ quality, mozjpeg: true })
      .toBuffer()
    if (jpeg.length <= MAX_PICTURE_BYTES) return jpeg
  }
  throw new Error(`the scene does not fit into ${MAX_PICTURE_BYTES} bytes`)
}

export interface Sample {
  name: string
  jpeg: Buffer
  scene: Scene
}

/** `count` scenes; kinds of plates take turns, each third scene has two vehicles, each fifth is at night. */
export async function* samples(seed: number, count: number): AsyncGenerator<Sample> {
  for (let i = 0; i < count; i++) {
    const draw = seeded(seed * 1_000 + i)
    const style = (offset: number): PlateStyle => PLATE_STYLES[(i + offset) % PLATE_STYLES.length] ?? 'eu'
    const scene = drawScene(draw, i % 3 === 2 ? [style(1), style(0)] : [style(0)], i % 5 === 4)
    yield { name: `scene-${String(i + 1).padStart(3, '0')}.jpg`, jpeg: await renderScene(scene, draw), scene }
  }
}

/** Writes the pictures and labels.tsv into `folder`. */
export async function writeSamples(folder: string, seed: number, count: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const lines = ['file\tx\ty\twidth\theight\tplate']
  for await (const { name, jpeg, scene } of samples(seed, count)) {
    await writeFile(join(folder, name), jpeg)
    for (const { plate, box } of scene.plates) {
      lines.push([name, box.x, box.y, box.width, box.height, plate.text].join('\t'))
    }
  }
  await writeFile(join(folder, 'labels.tsv'), `${lines.join('\n')}\n`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, count: { type: 'string' }, seed: { type: 'string' } },
  })
  const folder = values.out ?? fileURLToPath(new URL('./pictures', import.meta.url))
  await writeSamples(folder, Number(values.seed ?? DEFAULT_SEED), Number(values.count ?? DEFAULT_COUNT))
  console.log(folder)
}

/** The real vision process on the sample scenes and on pictures that mean harm. */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GLYPH_HEIGHT, textSvg, textWidth } from '../../scripts/sample-scenes/glyphs.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { MAX_START_ATTEMPTS, openVision, PICTURE_FRESH_MS, START_TIMEOUT_MS } from './door.ts'
import { cornersOfRegion } from './geometry.ts'
import { MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS, MIN_JURISDICTION_WIDTH_PX, MIN_PICTURE_SIDE_PX } from './limits.ts'
import { type VisionDoor, visionConfigSchema } from './types.ts'

const scenes = new URL('../../scripts/sample-scenes/pictures/', import.meta.url)
const scene = (name: string) => readFile(fileURLToPath(new URL(name, scenes)))

async function withVision(options: object, work: (vision: VisionDoor) => Promise<void>): Promise<void> {
  const deps = { clock: systemClock, log: silentLog }
  // A machine that is busy with other tests must not make a good frame a slow one.
  const vision = await openVision(visionConfigSchema.parse({ threads: 1, frameTimeoutMs: 120_000, ...options }), deps)
  try {
    await work(vision)
  } finally {
    await vision.close()
  }
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  )
  assert.instance(thrown, AppError)
  return thrown as AppError
}

const refused = async (code: ErrorCode, work: Promise<unknown>) => assert.is((await failure(work)).code, code)
const plates = async (vision: VisionDoor, frame: Uint8Array) =>
  (await vision.read(frame)).reads.map((read) => read.plate)

/** Uncompressed, 24 bits, rows from the bottom [Microsoft, Bitmap Storage]. */
async function bmp(jpeg: Buffer): Promise<Buffer> {
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true })
  const rowBytes = Math.ceil((info.width * 3) / 4) * 4
  const bytes = Buffer.alloc(54 + rowBytes * info.height)
  bytes.write('BM')
  bytes.writeUInt32LE(bytes.length, 2)
  bytes.writeUInt32LE(54, 10)
  bytes.writeUInt32LE(40, 14)
  bytes.writeInt32LE(info.width, 18)
  bytes.writeInt32LE(info.height, 22)
  bytes.writeUInt16LE(1, 26)
  bytes.writeUInt16LE(24, 28)
  for (let y = 0; y < info.height; y += 1) {
    for (let x = 0; x < info.width; x += 1) {
      const from = (y * info.width + x) * 3
      const to = 54 + (info.height - 1 - y) * rowBytes + x * 3
      bytes[to] = data[from + 2] as number
      bytes[to + 1] = data[from + 1] as number
      bytes[to + 2] = data[from] as number
    }
  }
  return bytes
}

test('the same plate is read from JPEG, PNG, WebP, TIFF and BMP, and each read lies where the label says', async () => {
  const jpeg = await scene('scene-002.jpg')
  const formats = {
    jpeg,
    png: await sharp(jpeg).png({ compressionLevel: 1 }).toBuffer(),
    webp: await sharp(jpeg).webp({ quality: 95 }).toBuffer(),
    tiff: await sharp(jpeg).tiff({ quality: 95 }).toBuffer(),
    bmp: await bmp(jpeg),
  }
  await withVision({}, async (vision) => {
    for (const [format, bytes] of Object.entries(formats)) {
      const { reads, widthPx, heightPx } = await vision.read(bytes)
      assert.is(reads[0]?.plate, 'TJ977FA', format)
      assert.equal([widthPx, heightPx], [1280, 720], format)
      const { x, y, width, height } = reads[0]?.region ?? { x: 0, y: 0, width: 0, height: 0 }
      assert.ok(x < 641 && x + width > 641 && y < 502 && y + height > 502, `${format}: ${x} ${y} ${width} ${height}`)
    }
  })
})

test('every plate of the sample scenes is read, and nothing else', async () => {
  const labels = (await readFile(new URL('labels.tsv', scenes), 'utf8')).trim().split('\n').slice(1)
  const wanted = new Map<string, string[]>()
  for (const label of labels) {
    const [file = '', , , , , plate = ''] = label.split('\t')
    wanted.set(file, [...(wanted.get(file) ?? []), plate].sort())
  }
  await withVision({}, async (vision) => {
    for (const [file, expected] of wanted)
      assert.equal((await plates(vision, await scene(file))).sort(), expected, file)
  })
})

test('what is no whole picture is refused with a clear error, and the next frame is read', async () => {
  const jpeg = await scene('scene-002.jpg')
  const whole = await bmp(jpeg)
  const huge = Buffer.from(whole)
  huge.writeInt32LE(60_000, 18)
  huge.writeInt32LE(60_000, 22)
  const bad: Record<string, [ErrorCode, Buffer]> = {
    empty: ['bad_input', Buffer.alloc(0)],
    text: ['bad_input', Buffer.from('<html>not a picture</html>')],
    noise: ['bad_input', Buffer.alloc(100_000, 0xa7)],
    'JPEG cut short': ['bad_input', jpeg.subarray(0, jpeg.length >> 1)],
    'JPEG with a hole': ['bad_input', Buffer.concat([jpeg.subarray(0, 2_000), Buffer.alloc(20_000)])],
    'PNG cut short': ['bad_input', (await sharp(jpeg).png().toBuffer()).subarray(0, 50_000)],
    'BMP cut short': ['bad_input', whole.subarray(0, whole.length - 1)],
    'BMP header alone': ['bad_input', whole.subarray(0, 54)],
    'BMP that lies about its size': ['too_large', huge],
    'SVG, which could fetch': [
      'bad_input',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"/>'),
    ],
    '100 megapixels': [
      'too_large',
      await sharp({
        create: { width: 10_000, height: 10_000, channels: 3, background: '#888' },
        limitInputPixels: false,
      })
        .png()
        .toBuffer(),
    ],
  }
  await withVision({}, async (vision) => {
    for (const [what, [code, bytes]] of Object.entries(bad)) {
      const error = await failure(vision.read(bytes))
      assert.is(error.code, code, `${what}: ${error.message}`)
    }
    assert.equal(await plates(vision, jpeg), ['TJ977FA'])
    assert.is(vision.restarts, 0, 'none of them took the process down')
  })
})

test('limits on pictures hold at the limit and refuse one past it', async () => {
  const flat = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#888' }, limitInputPixels: false })
      .png()
      .toBuffer()
  const wide = 8_000
  await withVision({ frameTimeoutMs: 120_000 }, async (vision) => {
    assert.equal(await plates(vision, await flat(MIN_PICTURE_SIDE_PX, 64)), [])
    await refused('bad_input', vision.read(await flat(MIN_PICTURE_SIDE_PX - 1, 64)))
    assert.equal(await plates(vision, await flat(wide, MAX_PICTURE_PIXELS / wide)), [])
    await refused('too_large', vision.read(await flat(wide, MAX_PICTURE_PIXELS / wide + 1)))
    // Bytes behind the end of a PNG are no part of it; only their number counts here.
    const jpeg = await scene('scene-002.jpg')
    const padded = (bytes: number) => Buffer.concat([jpeg, Buffer.alloc(bytes - jpeg.length)])
    assert.equal(await plates(vision, padded(MAX_PICTURE_BYTES)), ['TJ977FA'])
    await refused('too_large', vision.read(padded(MAX_PICTURE_BYTES + 1)))
  })
})

test('a crop shows the plate with a margin, is a JPEG within its limit, and carries its digest', async () => {
  const jpeg = await scene('scene-002.jpg')
  const region = { x: 546, y: 480, width: 190, height: 44 }
  await withVision({}, async (vision) => {
    const { jpeg: crop, sha256 } = await vision.crop(jpeg, region, 64 * 1024)
    const { width, height, format, exif } = await sharp(crop).metadata()
    assert.is(format, 'jpeg')
    assert.is(exif, undefined)
    assert.ok((width ?? 0) > 190 && (height ?? 0) > 44)
    assert.match(sha256, /^[0-9a-f]{64}$/)
    assert.ok((await vision.crop(jpeg, region, crop.length)).jpeg.length <= crop.length)
    assert.ok((await vision.crop(jpeg, region, crop.length - 1)).jpeg.length < crop.length)
    await refused('too_large', vision.crop(jpeg, region, 100))
    await refused('bad_input', vision.crop(jpeg, { x: 5_000, y: 10, width: 10, height: 10 }, 64 * 1024))
    assert.ok((await vision.crop(jpeg, { x: -50, y: -50, width: 100, height: 100 }, 64 * 1024)).jpeg.length > 0)
  })
})

test("a plate's state is read from its small writing, and not where there is none or the plate is small", async () => {
  const plate = (name: string, width: number) => {
    const line = (text: string, y: number, heightPx: number) => {
      const scale = heightPx / GLYPH_HEIGHT
      const x = 200 - (textWidth(text) * scale) / 2
      return `<g transform="translate(${x} ${y}) scale(${scale})">${textSvg(text, '#102050')}</g>`
    }
    const body = `${line(name, 14, 26)}${line('ABC123', 62, 80)}`
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="400" height="200"><rect width="400" height="200" fill="#f4f4f4"/>${body}</svg>`
    return sharp(Buffer.from(svg)).resize(width).jpeg({ quality: 95 }).toBuffer()
  }
  const whole = (width: number) => cornersOfRegion({ x: 0, y: 0, width, height: width / 2 })
  await withVision({}, async (vision) => {
    assert.is((await vision.jurisdiction(await plate('MINNESOTA', 400), whole(400)))?.code, 'US-MN')
    assert.is(await vision.jurisdiction(await plate('', 400), whole(400)), null)
    const small = MIN_JURISDICTION_WIDTH_PX - 1
    assert.is(await vision.jurisdiction(await plate('MINNESOTA', small), whole(small)), null)
    const long = cornersOfRegion({ x: 0, y: 0, width: 400, height: 100 })
    assert.is(await vision.jurisdiction(await plate('MINNESOTA', 400), long), null)
    await refused('bad_input', vision.jurisdiction(Buffer.from('no picture'), whole(400)))
  })
})

test('of a video, a frame in which nothing has moved is not read; without the gate, and of stills, every one is', async () => {
  const jpeg = await scene('scene-002.jpg')
  const other = await scene('scene-003.jpg')
  const still = async (vision: VisionDoor, frame: Buffer, unlessStill = true) =>
    (await vision.read(frame, { unlessStill })).still
  await withVision({}, async (vision) => {
    assert.equal(
      [await still(vision, jpeg), await still(vision, jpeg), await still(vision, other), await still(vision, other)],
      [false, true, false, true],
    )
    assert.is(await still(vision, other, false), false)
    assert.equal((await vision.read(other, { unlessStill: true })).reads, [])
  })
  await withVision({ motionGate: false }, async (vision) => {
    assert.equal([await still(vision, jpeg), await still(vision, jpeg)], [false, false])
  })
})

test('a vision process that is killed costs one frame; it is started again and counted', async () => {
  const jpeg = await scene('scene-002.jpg')
  await withVision({}, async (vision) => {
    const before = vision.pid
    const reading = vision.read(jpeg)
    process.kill(before ?? 0, 'SIGKILL')
    await refused('unavailable', reading)
    assert.equal(await plates(vision, jpeg), ['TJ977FA'])
    assert.is(vision.restarts, 1)
    assert.is.not(vision.pid, before)
  })
})

/** A clock at whose START_TIMEOUT_MS, which is set between starting a child and telling it anything, that child is killed. */
function killingClock(deaths: number): Clock {
  let left = deaths
  return {
    ...systemClock,
    sleep(ms, signal) {
      if (ms === START_TIMEOUT_MS && left > 0) {
        left -= 1
        const pid = startedChild()
        process.kill(pid, 'SIGKILL')
        // A zombie: its end of the pipe is closed, and nobody here knows yet.
        while (!/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) {}
      }
      return systemClock.sleep(ms, signal)
    },
  }
}

/** Process id of the living vision child of this process. */
function startedChild(): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, state, parent] = /^\d+ \(.*\) (\S) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
      if (state === 'Z' || Number(parent) !== process.pid) continue
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vision/child')) return Number(pid)
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error('no vision child was started')
}

test('a process that dies before it was told anything is started again, up to the limit', async () => {
  const jpeg = await scene('scene-002.jpg')
  const deps = (deaths: number) => ({ clock: killingClock(deaths), log: silentLog })
  const config = visionConfigSchema.parse({ threads: 1 })
  const vision = await openVision(config, deps(MAX_START_ATTEMPTS - 1))
  try {
    assert.is(vision.restarts, MAX_START_ATTEMPTS - 1)
    assert.equal(await plates(vision, jpeg), ['TJ977FA'])
  } finally {
    await vision.close()
  }
  await refused('unavailable', openVision(config, deps(MAX_START_ATTEMPTS)))
})

test('a frame that takes longer than its time ends the process, and the next frame is read by a new one', async () => {
  const jpeg = await scene('scene-002.jpg')
  await withVision({ frameTimeoutMs: 20_000 }, async (vision) => {
    // Stopped, it answers nothing: what a picture that never ends looks like from outside.
    process.kill(vision.pid ?? 0, 'SIGSTOP')
    const error = await failure(vision.read(jpeg))
    assert.is(error.code, 'unavailable')
    assert.match(error.message, /more than 20000 ms/)
    assert.equal(await plates(vision, jpeg), ['TJ977FA'])
    assert.is(vision.restarts, 1)
  })
})

test('how the picture was is told while frames are read, and no longer than its time after the last one', async () => {
  const jpeg = await scene('scene-002.jpg')
  let aheadMs = 0
  const clock: Clock = { ...systemClock, monotonicMs: () => aheadMs }
  const config = visionConfigSchema.parse({ threads: 1, frameTimeoutMs: 120_000, lookIntervalMs: 600_000 })
  const vision = await openVision(config, { clock, log: silentLog })
  try {
    assert.is(vision.picture, null)
    await vision.read(jpeg)
    const picture = vision.picture
    assert.ok(picture)
    aheadMs = PICTURE_FRESH_MS
    assert.equal(vision.picture, picture)
    await refused('bad_input', vision.read(Buffer.from('not a picture')))
    aheadMs += 1
    assert.is(vision.picture, null)
    // One that is read, although it was not looked at for this, shows that the camera still sees.
    await vision.read(jpeg)
    assert.equal(vision.picture, picture)
  } finally {
    await vision.close()
  }
})

test('reads run one after the other, an aborted one is given up, and after close there are none', async () => {
  const jpeg = await scene('scene-002.jpg')
  const deps = { clock: systemClock, log: silentLog }
  const vision = await openVision(visionConfigSchema.parse({ frameTimeoutMs: 120_000 }), deps)
  const abort = new AbortController()
  const [first, second] = [vision.read(jpeg), vision.read(jpeg, { signal: abort.signal })]
  const givenUp = second.then(String, String)
  abort.abort(new Error('no longer wanted'))
  assert.is((await first).reads[0]?.plate, 'TJ977FA')
  assert.match(await givenUp, /no longer wanted/)
  await vision.close()
  await refused('unavailable', vision.read(jpeg))
  assert.is(vision.pid, null)
})

test('memory stays flat over many frames', async () => {
  const jpeg = await scene('scene-003.jpg')
  await withVision({}, async (vision) => {
    const residentKiB = async () => {
      const status = await readFile(`/proc/${vision.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
    }
    for (let frame = 0; frame < 30; frame += 1) await vision.read(jpeg)
    // The C library keeps what was freed up to a level that it reaches in steps; what leaks grows in every block of frames.
    let leastGrownKiB = Number.POSITIVE_INFINITY
    for (let block = 0; block < 3 && leastGrownKiB >= 160_000; block += 1) {
      const before = await residentKiB()
      for (let frame = 0; frame < 80; frame += 1) await vision.read(jpeg)
      leastGrownKiB = Math.min(leastGrownKiB, (await residentKiB()) - before)
    }
    // One unreleased picture a frame would be 80 × 2,700 KiB.
    assert.ok(leastGrownKiB < 160_000, `${leastGrownKiB} KiB more after 80 frames, three times`)
  })
})

test('the peers stand behind the same door', async () => {
  const jpeg = await scene('scene-003.jpg')
  // Tesseract takes minutes for a frame on an emulated processor.
  const frameTimeoutMs = 600_000
  await withVision({ detector: 'cascade', reader: 'ppocr', frameTimeoutMs }, async (vision) => {
    assert.ok((await plates(vision, jpeg)).includes('KLH4N93'))
  })
  await withVision({ detector: 'ppocr', reader: 'tesseract', frameTimeoutMs }, async (vision) => {
    assert.ok((await plates(vision, jpeg)).includes('KLH4N93'))
  })
})

test.run()

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { MAX_PICTURE_BYTES } from '../vision/limits.ts'
import { listPictures, loadPicture } from './pictures.ts'
import { openReplay, type ReplayConfig } from './replay.ts'
import type { CaptureSource, Frame } from './types.ts'

const deps = { clock: systemClock, log: silentLog }
const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0])

/** A picture as far as replay looks: its first bytes, and what tells it from the others. */
const picture = (mark: string) => Buffer.concat([JPEG, Buffer.from(mark)])

async function inFolder(files: Record<string, Buffer>, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-replay-'))
  try {
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const replay = (path: string, more: Partial<ReplayConfig> = {}) =>
  openReplay({ path, framesPerSecond: null, loop: false, ...more }, deps)

async function all(source: CaptureSource): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of source) frames.push(frame)
  await source.close()
  return frames
}

async function refused(code: ErrorCode, message: RegExp, work: () => Promise<unknown>): Promise<void> {
  const thrown = await work().then(
    () => null,
    (error: unknown) => error,
  )
  assert.instance(thrown, AppError)
  assert.is((thrown as AppError).code, code)
  assert.match((thrown as AppError).message, message)
}

test('a folder gives its pictures sorted by name, and nothing else that lies in it', () =>
  inFolder(
    { 'b.JPG': picture('b'), 'a.png': picture('a'), 'notes.txt': picture('x'), 'c.tif': picture('c') },
    async (folder) => {
      await mkdir(join(folder, 'within.jpg'))
      const frames = await all(await replay(folder))
      assert.equal(
        frames.map(({ name, seq }) => [name, seq]),
        [
          ['a.png', 0],
          ['b.JPG', 1],
          ['c.tif', 2],
        ],
      )
      assert.equal(frames[0]?.encoded, picture('a'))
      assert.ok(Number.isInteger(frames[0]?.capturedAtMs))
    },
  ))

test('one picture is a source of one frame', () =>
  inFolder({ 'only.jpg': picture('1') }, async (folder) => {
    assert.is((await all(await replay(join(folder, 'only.jpg')))).length, 1)
  }))

test('an empty folder, and one without pictures, is refused with what pictures are called', () =>
  inFolder({ 'notes.txt': Buffer.from('x') }, async (folder) => {
    await refused('bad_input', /there is no picture/, () => replay(folder))
  }))

test('a source that is not there is a problem of the configuration', () =>
  refused('configuration', /cannot be read/, () => replay('/nonexistent/pictures')))

test('a file that is no picture is counted and the others are still given', () =>
  inFolder(
    { 'a.jpg': picture('a'), 'b.jpg': Buffer.from('<html>'), 'c.jpg': Buffer.alloc(0), 'd.jpg': picture('d') },
    async (folder) => {
      const source = await replay(folder)
      const frames = await all(source)
      assert.equal(
        frames.map((frame) => frame.name),
        ['a.jpg', 'd.jpg'],
      )
      assert.is(source.rejected, 2)
    },
  ))

test('a folder in which no file is a picture ends with an error, looped or not', () =>
  inFolder({ 'a.jpg': Buffer.from('no'), 'b.png': Buffer.from('no') }, async (folder) => {
    for (const loop of [false, true]) {
      await refused('bad_input', /none of the 2 files/, async () => all(await replay(folder, { loop })))
    }
  }))

test('a file of the largest size is loaded, one byte more is refused before it is read', () =>
  inFolder({}, async (folder) => {
    const file = join(folder, 'large.jpg')
    await writeFile(file, JPEG)
    const { truncate } = await import('node:fs/promises')
    await truncate(file, MAX_PICTURE_BYTES)
    assert.is((await loadPicture(file)).byteLength, MAX_PICTURE_BYTES)
    await truncate(file, MAX_PICTURE_BYTES + 1)
    await refused('too_large', /the limit is/, () => loadPicture(file))
  }))

test('without a rate each frame waits for its reader, and none is dropped', () =>
  inFolder(Object.fromEntries(['a', 'b', 'c', 'd'].map((mark) => [`${mark}.jpg`, picture(mark)])), async (folder) => {
    const source = await replay(folder)
    let count = 0
    for await (const _ of source) {
      await systemClock.sleep(30)
      count += 1
    }
    assert.is(count, 4)
    assert.is(source.dropped, 0)
  }))

test('at a rate a slow reader gets the newest frame, and what it missed is counted', () =>
  inFolder(
    Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`${100 + i}.jpg`, picture(`${i}`)])),
    async (folder) => {
      const source = await replay(folder, { framesPerSecond: 100 })
      const seen: number[] = []
      for await (const frame of source) {
        seen.push(frame.seq)
        // Slower than the source, however slow the machine is: it goes on when some were replaced.
        while (source.dropped < 10) await systemClock.sleep(5)
      }
      await source.close()
      assert.is(seen.length + source.dropped, 30)
      assert.ok(source.dropped >= 10, `${source.dropped} dropped`)
      assert.is(seen.at(-1), 29, 'the last one is the newest')
      assert.equal(
        seen,
        [...seen].sort((a, b) => a - b),
      )
    },
  ))

test('frames at a rate are not given sooner than the rate says', () =>
  inFolder({ 'a.jpg': picture('a'), 'b.jpg': picture('b'), 'c.jpg': picture('c') }, async (folder) => {
    const startedMs = systemClock.monotonicMs()
    await all(await replay(folder, { framesPerSecond: 20 }))
    assert.ok(systemClock.monotonicMs() - startedMs >= 95)
  }))

test('a looped replay starts again, with its numbers going on', () =>
  inFolder({ 'a.jpg': picture('a'), 'b.jpg': picture('b') }, async (folder) => {
    const source = await replay(folder, { loop: true })
    const seen: (string | null)[] = []
    for await (const { name, seq } of source) {
      seen.push(name)
      if (seq === 4) break
    }
    await source.close()
    assert.equal(seen, ['a.jpg', 'b.jpg', 'a.jpg', 'b.jpg', 'a.jpg'])
  }))

test('closing ends a reader that waits', () =>
  inFolder({ 'a.jpg': picture('a'), 'b.jpg': picture('b') }, async (folder) => {
    const source = await replay(folder, { framesPerSecond: 0.01 })
    const frames = source[Symbol.asyncIterator]()
    assert.is((await frames.next()).done, false)
    const second = frames.next()
    await source.close()
    assert.is((await second).done, true)
  }))

test('a folder lists only the kinds that are read', () =>
  inFolder(
    Object.fromEntries(
      ['a.jpg', 'b.jpeg', 'c.png', 'd.bmp', 'e.webp', 'f.tif', 'g.gif', 'h.mp4'].map((name) => [name, JPEG]),
    ),
    async (folder) => {
      assert.is((await listPictures(folder)).length, 6)
    },
  ))

test.run()

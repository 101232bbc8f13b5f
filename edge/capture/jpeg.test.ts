import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createJpegSplitter, wholeJpeg } from './jpeg.ts'

const SCENE = readFileSync(
  fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-001.jpg', import.meta.url)),
)
const LIMIT = 4_096

const bytes = (...values: number[]) => Buffer.from(values)
const segment = (marker: number, body: Buffer) =>
  Buffer.concat([bytes(0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 0xff), body])
const START = bytes(0xff, 0xd8)
const END = bytes(0xff, 0xd9)

/** A JPEG as far as its markers go: stuffed bytes, a restart marker, two scans. */
const jpeg = (mark: number, size = 64, before: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([
    ...[START, before, segment(0xe0, Buffer.from('JFIF')), segment(0xc2, bytes(8, 0, 1, 0, 1, 1))],
    ...[segment(0xda, bytes(1, 0, 0)), Buffer.alloc(size, mark), bytes(0xff, 0x00, 0xff, 0xd3, mark)],
    ...[segment(0xc4, bytes(0)), segment(0xda, bytes(1, 0, 0)), bytes(mark, 0xff, 0xff), END.subarray(1)],
  ])

/** A segment that holds a small picture with an end marker of its own, as cameras write their thumbnails. */
const thumbnail = segment(0xe1, Buffer.concat([Buffer.from('Exif'), jpeg(9, 8)]))

test('pictures are cut from a pipe wherever its chunks end, with thumbnails inside and rubbish between', () => {
  const pictures = [jpeg(1), jpeg(2, 40, thumbnail), jpeg(3)]
  const pipe = Buffer.concat([Buffer.from('rubbish'), ...pictures.flatMap((one) => [one, bytes(0, 0xff, 7, 0xff)])])
  for (let cut = 0; cut <= pipe.length; cut += 1) {
    const splitter = createJpegSplitter(LIMIT)
    const found = [...splitter.feed(pipe.subarray(0, cut)), ...splitter.feed(pipe.subarray(cut))]
    assert.equal(found, pictures, `cut at ${cut}`)
    assert.is(splitter.rejected, 0)
  }
})

test('pictures that come byte by byte are the same', () => {
  const splitter = createJpegSplitter(LIMIT)
  const pipe = Buffer.concat([jpeg(1, 40, thumbnail), jpeg(2)])
  const found = [...pipe].flatMap((byte) => splitter.feed(bytes(byte)))
  assert.equal(found, [jpeg(1, 40, thumbnail), jpeg(2)])
})

test('what is given is a copy: the next chunk may lie in the same memory', () => {
  const splitter = createJpegSplitter(LIMIT)
  const chunk = Buffer.from(jpeg(1))
  const [found] = splitter.feed(chunk)
  chunk.fill(0)
  assert.equal(found, jpeg(1))
})

test('a picture that breaks off in its drawing is counted, and the next one is found', () => {
  const half = jpeg(1).subarray(0, 60)
  const splitter = createJpegSplitter(LIMIT)
  assert.equal(splitter.feed(Buffer.concat([half, jpeg(2), jpeg(3)])), [jpeg(2), jpeg(3)])
  assert.is(splitter.rejected, 1)
})

test('a picture that breaks off in a segment costs at most the one behind it', () => {
  const broken = Buffer.concat([START, segment(0xe1, Buffer.alloc(90, 5)).subarray(0, 30)])
  const splitter = createJpegSplitter(LIMIT)
  assert.equal(splitter.feed(Buffer.concat([broken, jpeg(2), jpeg(3), jpeg(4)])).at(-1), jpeg(4))
  assert.ok(splitter.rejected >= 1 && splitter.rejected <= 2, `${splitter.rejected}`)
})

test('a segment that says a length of less than its own two bytes ends the picture', () => {
  const broken = Buffer.concat([START, bytes(0xff, 0xe0, 0, 1), Buffer.alloc(5)])
  const splitter = createJpegSplitter(LIMIT)
  assert.equal(splitter.feed(Buffer.concat([broken, jpeg(2)])), [jpeg(2)])
  assert.is(splitter.rejected, 1)
})

test('a picture of the largest size is given, one byte more is counted, and so is one without an end', () => {
  const atLimit = jpeg(1, LIMIT - jpeg(1, 0).length)
  assert.is(atLimit.length, LIMIT)
  for (const chunkBytes of [1_000, LIMIT + 1]) {
    const splitter = createJpegSplitter(LIMIT)
    const given: Buffer[] = []
    const pipe = Buffer.concat([atLimit, jpeg(2, LIMIT + 1 - jpeg(2, 0).length), jpeg(3)])
    for (let at = 0; at < pipe.length; at += chunkBytes)
      given.push(...splitter.feed(pipe.subarray(at, at + chunkBytes)))
    assert.equal(given, [atLimit, jpeg(3)], `in chunks of ${chunkBytes}`)
    assert.is(splitter.rejected, 1)
  }
  const endless = createJpegSplitter(LIMIT)
  endless.feed(jpeg(1, 100).subarray(0, 90))
  for (let n = 0; n < 100; n += 1) endless.feed(Buffer.alloc(LIMIT, 4))
  assert.is(endless.rejected, 1)
  assert.equal(endless.feed(jpeg(3)), [jpeg(3)])
})

test('a whole picture is known by its end marker, and what a camera pads it with is cut off', () => {
  for (const picture of [SCENE, jpeg(1), jpeg(1, 40, thumbnail)]) {
    assert.equal(wholeJpeg(picture), picture)
    assert.equal(wholeJpeg(Buffer.concat([picture, Buffer.alloc(500)])), picture)
  }
})

test('half a picture is none, wherever it breaks off, and however it is padded', () => {
  const picture = jpeg(1, 40, thumbnail)
  for (let length = 0; length < picture.length; length += 1) {
    assert.is(wholeJpeg(picture.subarray(0, length)), null, `${length} bytes`)
    assert.is(
      wholeJpeg(Buffer.concat([picture.subarray(0, length), Buffer.alloc(picture.length)])),
      null,
      `${length}, padded`,
    )
  }
  assert.is(wholeJpeg(SCENE.subarray(0, SCENE.length - 2)), null)
  assert.is(wholeJpeg(Buffer.concat([bytes(0), SCENE])), null)
})

test.run()

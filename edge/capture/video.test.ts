import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { openReplay } from './replay.ts'

const deps = { clock: systemClock, log: silentLog }
const SCENE = fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-001.jpg', import.meta.url))

function chunk(name: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(8)
  head.write(name, 0, 'latin1')
  head.writeUInt32LE(body.length, 4)
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)])
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) buffer.writeUInt32LE(value, index * 4)
  return buffer
}

const named = (text: string) => Buffer.from(text, 'latin1')

/** Motion JPEG in an AVI file [Microsoft, AVI RIFF File Reference]. */
function avi(jpeg: Buffer, widthPx: number, heightPx: number, frames: number): Buffer {
  const rate = 10
  const main = words(1_000_000 / rate, 0, 0, 0x10, frames, 0, 1, jpeg.length, widthPx, heightPx, 0, 0, 0, 0)
  const stream = Buffer.concat([named('vidsMJPG'), words(0, 0, 0, 1, rate, 0, frames, jpeg.length, 0, 0), words(0, 0)])
  const format = Buffer.concat([
    words(40, widthPx, heightPx, 0x00180001),
    named('MJPG'),
    words(widthPx * heightPx * 3, 0, 0, 0, 0),
  ])
  const list = (kind: string, ...parts: Buffer[]) => chunk('LIST', named(kind), ...parts)
  const header = list('hdrl', chunk('avih', main), list('strl', chunk('strh', stream), chunk('strf', format)))
  const one = chunk('00dc', jpeg)
  const index = Array.from({ length: frames }, (_, i) =>
    Buffer.concat([named('00dc'), words(0x10, 4 + i * one.length, jpeg.length)]),
  )
  return chunk(
    'RIFF',
    named('AVI '),
    header,
    list('movi', ...Array.from({ length: frames }, () => one)),
    chunk('idx1', ...index),
  )
}

async function withVideo(bytes: Buffer, work: (file: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-video-'))
  try {
    const file = join(folder, 'drive.avi')
    await writeFile(file, bytes)
    await work(file)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Width and height in the first frame header of a JPEG. */
function sizeOf(jpeg: Buffer): [number, number] {
  let at = 2
  while (at < jpeg.length) {
    const marker = jpeg.readUInt16BE(at)
    if (marker >= 0xffc0 && marker <= 0xffc2) return [jpeg.readUInt16BE(at + 7), jpeg.readUInt16BE(at + 5)]
    at += 2 + jpeg.readUInt16BE(at + 2)
  }
  throw new Error('no frame header')
}

test('a video gives each of its frames as a JPEG of its size, and again when looped', async () => {
  const jpeg = await readFile(SCENE)
  const [widthPx, heightPx] = sizeOf(jpeg)
  await withVideo(avi(jpeg, widthPx, heightPx, 5), async (path) => {
    const source = await openReplay({ path, framesPerSecond: null, loop: true }, deps)
    let count = 0
    for await (const frame of source) {
      assert.equal(sizeOf(frame.encoded), [widthPx, heightPx])
      count += 1
      if (count === 7) break
    }
    await source.close()
    assert.is(source.rejected, 0)
  })
})

test('a video that was cut short gives what can be decoded and is counted', async () => {
  const jpeg = await readFile(SCENE)
  const [widthPx, heightPx] = sizeOf(jpeg)
  const whole = avi(jpeg, widthPx, heightPx, 10)
  await withVideo(whole, async (path) => {
    await truncate(path, Math.round(whole.length / 2))
    const source = await openReplay({ path, framesPerSecond: null, loop: false }, deps)
    let count = 0
    for await (const _ of source) count += 1
    await source.close()
    assert.ok(count >= 3 && count < 10, `${count} frames`)
    assert.is(source.rejected, 1)
  })
})

test('what is no video at all, and a playlist that would fetch others, is refused with a clear error', async () => {
  const playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n'
  for (const bytes of [
    Buffer.from('nothing of the kind'),
    Buffer.from(playlist),
    Buffer.alloc(5_000, 7),
    Buffer.alloc(0),
  ]) {
    await withVideo(bytes, async (path) => {
      const thrown = await openReplay({ path, framesPerSecond: null, loop: false }, deps)
        .then(
          async (source) => {
            try {
              for await (const _ of source);
              return null
            } finally {
              await source.close()
            }
          },
          (error: unknown) => error,
        )
        .catch((error: unknown) => error)
      assert.instance(thrown, AppError)
      assert.is((thrown as AppError).code, 'bad_input')
    })
  }
})

test.run()

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { checkConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { createLog, silentLog } from '../../shared/log.ts'
import { type LiveLimits, openLive } from './live.ts'
import { openRequest, openStreamDevice, type StreamConfig, streamSchema } from './stream.ts'
import type { CaptureSource, Frame } from './types.ts'

const SCENE = await readFile(
  fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-001.jpg', import.meta.url)),
)
const clock = systemClock
const deps = { clock, random: () => 0, log: silentLog }
const LIMITS: LiveLimits = { stallMs: 60_000, openTimeoutMs: 60_000, framesPerSecond: null }

const config = (change: object): StreamConfig =>
  streamSchema.parse({ kind: 'stream', address: 'rtsp://camera', ...change })

/** A camera that sends Motion JPEG; `answer` decides for each connection. */
async function withCamera(
  answer: (request: IncomingMessage, response: ServerResponse, stream: (everyMs: number) => void) => void,
  work: (address: string) => Promise<void>,
): Promise<void> {
  const server = createServer((request, response) => {
    answer(request, response, (everyMs) => {
      response.writeHead(200, { 'content-type': 'multipart/x-mixed-replace; boundary=frame' })
      const send = () => {
        response.write(`--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ${SCENE.length}\r\n\r\n`)
        response.write(SCENE)
        response.write('\r\n')
      }
      const timer = setInterval(send, everyMs)
      response.once('close', () => clearInterval(timer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/live.mjpg`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

async function withFile(text: string, work: (file: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-stream-'))
  try {
    const file = join(folder, 'credentials')
    await writeFile(file, text)
    await work(file)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function frames(source: CaptureSource, count: number): Promise<Frame[]> {
  const found: Frame[] = []
  for await (const frame of source) {
    found.push(frame)
    if (found.length === count) break
  }
  return found
}

test('Motion JPEG over HTTP is read, and a camera that falls silent or hangs up is opened again', async () => {
  let connections = 0
  await withCamera(
    (_request, response, stream) => {
      connections += 1
      stream(20)
      // The first falls silent, the second hangs up.
      if (connections === 1) setTimeout(() => (response.write = () => true), 1_000)
      if (connections === 2) setTimeout(() => response.destroy(), 1_000)
    },
    async (address) => {
      const device = await openStreamDevice(config({ address, stallMs: 3_000 }), clock)
      const source = openLive(device, { ...LIMITS, stallMs: 3_000 }, deps)
      while (connections < 3 || source.live?.state !== 'delivering') await frames(source, 1)
      const [frame] = await frames(source, 1)
      assert.equal(frame?.encoded.subarray(0, 3), Buffer.from([0xff, 0xd8, 0xff]))
      assert.ok((source.live?.reconnects ?? 0) >= 2)
      await source.close()
    },
  )
})

test('what was not asked for is read all the same: after a pause the newest frame comes, and not the oldest', async () => {
  let sent = 0
  await withCamera(
    (_request, response, stream) => {
      const write = response.write.bind(response)
      response.write = ((bytes: Buffer | string) => {
        if (bytes === SCENE) sent += 1
        return write(bytes)
      }) as typeof response.write
      stream(20)
    },
    async (address) => {
      const device = await openStreamDevice(config({ address }), clock)
      const connection = await device.open(new AbortController().signal, () => {})
      await connection.next()
      const before = sent
      const pausedAtMs = clock.monotonicMs()
      while (sent < before + 40) await clock.sleep(20)
      const late = await connection.next()
      const pausedMs = clock.monotonicMs() - pausedAtMs
      assert.ok((late?.ageMs ?? Number.POSITIVE_INFINITY) < pausedMs / 2, `${late?.ageMs} of ${pausedMs} ms old`)
      await connection.close()
    },
  )
})

test('user and password come from their file, and no error or log line has them', async () => {
  const seen: (string | undefined)[] = []
  const lines: string[] = []
  const log = createLog({ level: 'debug', part: 'edge', target: { write: (line) => void lines.push(line) } })
  await withFile('tech:s3:cr/et@\n', async (credentialsFile) => {
    await withCamera(
      (request, response, stream) => {
        const { authorization } = request.headers
        seen.push(authorization)
        if (authorization !== undefined && seen.length > 3) return stream(20)
        response.writeHead(401, { 'www-authenticate': 'Basic realm="camera"' })
        response.end()
      },
      async (address) => {
        const device = await openStreamDevice(config({ address, credentialsFile }), clock)
        const source = openLive(device, LIMITS, { ...deps, log })
        await frames(source, 1)
        await source.close()
      },
    )
  })
  assert.is(seen.at(-1), `Basic ${Buffer.from('tech:s3:cr/et@').toString('base64')}`)
  assert.ok(lines.length > 0)
  for (const line of lines) assert.not.match(line, /s3|cr%2Fet|tech/)
})

test('an address with a password in it is refused, and the refusal does not repeat it', () => {
  for (const address of ['rtsp://tech:s3cret@camera/live', 'ftp://tech:s3cret@camera/live', 'http://tech:s3cret@'])
    try {
      checkConfig({ kind: 'stream', address }, streamSchema, 'edge.json')
      assert.unreachable(address)
    } catch (thrown) {
      assert.instance(thrown, AppError)
      assert.match((thrown as AppError).message, /address/)
      assert.not.match((thrown as AppError).message, /s3cret|tech/)
    }
})

test('a file that is no line of user and password is a problem of the configuration', async () => {
  for (const text of ['', 'tech', ':x', 'tech:', 'tech:a\ntech:b', `a:${'x'.repeat(1_024)}`])
    await withFile(text, async (credentialsFile) => {
      const thrown = await openStreamDevice(config({ credentialsFile }), clock).catch((error: unknown) => error)
      assert.instance(thrown, AppError, text)
      assert.is((thrown as AppError).code, 'configuration')
      assert.not.match((thrown as AppError).message, /tech/)
    })
})

test('each kind of address lets FFmpeg open no other, and a device is none of its', async () => {
  const ffmpeg = async (address: string) => {
    const request = await openRequest(config({ address }))
    return request.kind === 'open' ? request.ffmpeg : ''
  }
  assert.match(
    await ffmpeg('rtsp://camera/live'),
    /^rtsp_transport;tcp\|protocol_whitelist;tcp,rtp,udp\|.*timeout;10000000$/,
  )
  assert.match(await ffmpeg('http://camera/live'), /^protocol_whitelist;http,tcp\|format_whitelist;mpjpeg,mjpeg\|/)
  const device = await openRequest(config({ address: '/dev/video0' }))
  assert.equal(device, {
    kind: 'open',
    address: '/dev/video0',
    ffmpeg: '',
    device: { widthPx: 1_920, heightPx: 1_080 },
  })
})

test('a playlist that calls itself a camera fetches nothing', async () => {
  const asked: string[] = []
  await withCamera(
    (request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(200, { 'content-type': 'application/vnd.apple.mpegurl' })
      response.end('#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/other.ts\n#EXT-X-ENDLIST\n')
    },
    async (address) => {
      const device = await openStreamDevice(config({ address }), clock)
      const thrown = await device.open(new AbortController().signal, () => {}).catch((error: unknown) => error)
      assert.instance(thrown, AppError)
      assert.is((thrown as AppError).code, 'unavailable')
      assert.ok(asked.every((path) => path === '/live.mjpg'))
    },
  )
})

test('a device that is not there is waited for', async () => {
  const device = await openStreamDevice(config({ address: '/dev/video-that-is-not-there' }), clock)
  const source = openLive(device, LIMITS, deps)
  while (source.live?.state !== 'lost') await clock.sleep(20)
  assert.is(source.live.errorCode, 'unavailable')
  await source.close()
})

test.run()

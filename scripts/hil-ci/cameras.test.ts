/** The source gphoto2 with the real libgphoto2, and a camera on loopback that has every fault. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSource, sourceSchema } from '../../edge/capture/sources.ts'
import type { CaptureSource, Frame } from '../../edge/capture/types.ts'
import { createSetupCamera } from '../../edge/setup/camera.ts'
import { WHOLE_PICTURE } from '../../edge/vision/areas.ts'
import { openVision } from '../../edge/vision/door.ts'
import { visionConfigSchema } from '../../edge/vision/types.ts'
import { systemClock } from '../../shared/clock.ts'
import { createLog, silentLog } from '../../shared/log.ts'
import { buildHilport } from './hilport.ts'
import { type CameraFault, openPtpCamera, type PtpCamera } from './ptp-camera.ts'

const PICTURES = fileURLToPath(new URL('../sample-scenes/pictures/', import.meta.url))
const SCENES = await Promise.all(['scene-001.jpg', 'scene-002.jpg'].map((name) => readFile(join(PICTURES, name))))
const deps = { clock: systemClock, random: () => 0, log: silentLog }

interface World {
  cameras: PtpCamera[]
  source: CaptureSource
  /** The next frame from here on. */
  next(): Promise<Frame>
  /** Frames are taken meanwhile. */
  until(holds: () => boolean): Promise<void>
}

async function withCameras(
  cameras: PtpCamera[],
  config: object,
  work: (world: World) => Promise<void>,
  more: Partial<typeof deps & { usbFolder: string }> = {},
  named = (address: string, _index: number) => address,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-ptpip-'))
  Object.assign(
    process.env,
    await buildHilport(
      folder,
      cameras.map(({ address }, index) => named(address, index)),
    ),
  )
  const parsed = sourceSchema.parse({ kind: 'gphoto2', framesPerSecond: 20, stallMs: 2_500, ...config })
  const source = await openSource(parsed, { ...deps, ...more })
  let newest: Frame | null = null
  const taking = (async () => {
    for await (const frame of source) newest = frame
  })()
  const until = async (holds: () => boolean) => {
    while (!holds()) await systemClock.sleep(10)
  }
  const world: World = {
    cameras,
    source,
    until,
    async next() {
      const before = newest
      await until(() => newest !== before)
      assert.ok(newest)
      return newest
    },
  }
  try {
    await work(world)
  } finally {
    await source.close()
    await taking
    for (const camera of cameras) await camera.unplug()
    await rm(folder, { recursive: true })
  }
}

const isScene = (encoded: Buffer) => SCENES.some((scene) => scene.equals(encoded))

const camera = (options: { hasLiveView?: boolean } = {}) => openPtpCamera(SCENES, options)

/** Lets the camera have a fault until `shows`, and expects frames again afterwards. */
async function survives(
  { cameras, source, until, next }: World,
  fault: CameraFault,
  shows: () => boolean,
): Promise<void> {
  const [one] = cameras
  assert.ok(one)
  one.fault = fault
  await until(shows)
  one.fault = 'none'
  await until(() => source.live?.state === 'delivering' && (source.live.frameAgeMs ?? 0) < 1_000)
  const { encoded } = await next()
  assert.ok(isScene(encoded))
}

test('each picture is given whole and once, and deleted on the camera after that; of half a picture the original stays there', async () => {
  await withCameras([await camera()], {}, async (world) => {
    const { cameras, source, next } = world
    const [one] = cameras
    for (let n = 0; n < 4; n += 1) {
      const { seq, encoded } = await next()
      assert.ok(isScene(encoded), `frame ${seq}`)
    }
    assert.ok((one?.did.deleted ?? 0) >= 3)
    assert.ok((one?.card.size ?? 0) <= 1)
    await survives(world, 'truncates', () => source.rejected >= 2)
    assert.ok((one?.card.size ?? 0) >= 2, 'what was not whole is still there')
    assert.is(one?.did.lost, 0)
  })
})

test('with keepOnCamera every picture stays there and is fetched once', async () => {
  await withCameras([await camera()], { keepOnCamera: true }, async ({ cameras: [one], next, source }) => {
    for (let n = 0; n < 3; n += 1) await next()
    await source.close()
    assert.is(one?.did.deleted, 0)
    assert.ok((one?.card.size ?? 0) >= 3)
    assert.ok((one?.did.fetched ?? 0) <= (one?.did.captures ?? 0))
  })
})

test('a connection that breaks in a picture, a camera that falls silent after a capture, and one that is busy: frames come again', async () => {
  await withCameras([await camera()], {}, async (world) => {
    const { source, next } = world
    await next()
    await survives(world, 'drops', () => source.live?.state === 'lost')
    await survives(world, 'silent', () => (source.live?.stalls ?? 0) > 0)
    await survives(world, 'busy', () => source.live?.state === 'lost')
    assert.ok((source.live?.reconnects ?? 0) >= 3)
    assert.is(source.live?.errorCode, 'unavailable')
  })
})

test('a camera that is pulled, also before the start, is waited for', async () => {
  const one = await camera()
  await one.unplug()
  await withCameras([one], {}, async ({ source, next, until }) => {
    await until(() => source.live?.state === 'lost')
    await one.plug()
    await next()
    await one.unplug()
    await until(() => source.live?.state === 'lost')
    await one.plug()
    await until(() => source.live?.state === 'delivering')
    assert.ok((source.live?.reconnects ?? 0) >= 2)
  })
})

test('live view is taken where the body has it, and survives its faults', async () => {
  await withCameras([await camera({ hasLiveView: true })], {}, async (world) => {
    const { cameras, source, next } = world
    const { encoded } = await next()
    assert.ok(isScene(encoded))
    await survives(
      world,
      'truncates',
      () => source.rejected + (source.live?.reconnects ?? 0) > 0 || source.live?.state === 'lost',
    )
    await survives(world, 'silent', () => (source.live?.stalls ?? 0) > 0)
    assert.is(cameras[0]?.card.size, 0)
  })
})

test('settings are set; one that the camera does not offer is named with what it does, and frames come all the same', async () => {
  const lines: string[] = []
  const log = createLog({ level: 'error', part: 'edge', target: { write: (line) => void lines.push(line) } })
  const night = { fromUtc: '21:00', toUtc: '04:00', settings: { iso: '800' } }
  let nowMs = Date.parse('2026-06-01T20:59:00Z')
  const clock = { ...systemClock, nowMs: () => nowMs }
  const settings = { iso: '200', shutterspeed: '1/1000', autofocus: 'Sideways' }
  await withCameras(
    [await camera()],
    { settings, night },
    async ({ cameras: [one], next, until }) => {
      await next()
      assert.is(one?.iso, 200)
      nowMs += 60_000
      await until(() => one?.iso === 800)
      nowMs = Date.parse('2026-06-02T04:00:00Z')
      await until(() => one?.iso === 200)
    },
    { log, clock },
  )
  assert.ok(
    lines.some((line) => /source\.settings\.shutterspeed: the camera has no such setting; it has .*iso/.test(line)),
  )
})

test('the set-up is told what the body offers, and what it sets there reaches the body', async () => {
  const one = await camera()
  const folder = await mkdtemp(join(tmpdir(), 'candor-ptpip-'))
  Object.assign(process.env, await buildHilport(folder, [one.address]))
  const setup = createSetupCamera(visionConfigSchema.parse({}), WHOLE_PICTURE, { ...deps, openSource, openVision })
  const source = (settings: object) => sourceSchema.parse({ kind: 'gphoto2', framesPerSecond: 5, settings })
  const offered = async () => {
    while (setup.offered === null) await systemClock.sleep(10)
    return setup.offered
  }
  try {
    await setup.setSource(source({}))
    const iso = (await offered()).find(({ name }) => name === 'iso')
    assert.ok(iso?.choices?.includes('400'), JSON.stringify(iso))
    await setup.setSource(source({ iso: '400', shutterspeed: '1/1000' }))
    assert.is((await offered()).find(({ name }) => name === 'iso')?.value, '400')
    assert.is(one.iso, 400)
    assert.match(setup.refused.join(), /shutterspeed: the camera has no such setting/)
    const look = await setup.look(0, new AbortController().signal)
    assert.ok((look?.jpeg.length ?? 0) > 1_000)
  } finally {
    await setup.close()
    await one.unplug()
    await rm(folder, { recursive: true, force: true })
  }
})

test('of several cameras the one that is named is taken, and without a name none', async () => {
  const cameras = [await camera(), await camera()]
  const port = `ptpip:${cameras[1]?.address}`
  await withCameras(cameras, { port }, async ({ next }) => {
    await next()
    assert.is(cameras[0]?.did.captures, 0)
    assert.ok((cameras[1]?.did.captures ?? 0) > 0)
    await cameras[0]?.unplug()
  })
  await cameras[0]?.plug()
  await cameras[1]?.plug()
  await withCameras(cameras, {}, async ({ source, until }) => {
    await until(() => source.live?.state === 'lost')
    assert.is(source.live?.errorCode, 'configuration')
  })
})

test('of equal bodies on USB the one in the named plug is taken, also after the kernel has given both new numbers', async () => {
  const cameras = [await camera(), await camera()]
  const [one, other] = cameras
  const usbFolder = await mkdtemp(join(tmpdir(), 'candor-usb-'))
  const plug = async (name: string, device: number) => {
    await mkdir(join(usbFolder, name), { recursive: true })
    await writeFile(join(usbFolder, name, 'busnum'), '1\n')
    await writeFile(join(usbFolder, name, 'devnum'), `${device}\n`)
  }
  const lines: string[] = []
  const log = createLog({ level: 'info', part: 'edge', target: { write: (line) => void lines.push(line) } })
  await plug('1-1.2', 4)
  await plug('1-1.3', 5)
  const named = (address: string, index: number) => `usb:001,00${4 + index}=${address}`
  try {
    await withCameras(
      cameras,
      { port: 'usb:1-1.2' },
      async ({ source, next, until }) => {
        await next()
        assert.is(other?.did.captures, 0)
        assert.ok((one?.did.captures ?? 0) > 0)
        // Pulled, and not there: the other body is left alone.
        process.env.CANDOR_PTPIP = `usb:001,005=${other?.address}`
        await rm(join(usbFolder, '1-1.2'), { recursive: true })
        await one?.unplug()
        await until(() => source.live?.state === 'lost' && lines.some((line) => line.includes('no camera fits')))
        // Each now has the number that was the other's.
        await one?.plug()
        await plug('1-1.2', 5)
        await plug('1-1.3', 4)
        process.env.CANDOR_PTPIP = `usb:001,005=${one?.address} usb:001,004=${other?.address}`
        await next()
        assert.is(other?.did.captures, 0)
        assert.is(source.live?.state, 'delivering')
      },
      { usbFolder, log },
      named,
    )
  } finally {
    await rm(usbFolder, { recursive: true })
  }
  assert.ok(lines.some((line) => line.includes('attached: PTP/IP Camera at usb:1-1.3')))
  assert.ok(lines.some((line) => line.includes('camera_connected') && line.includes('usb:1-1.2')))
})

test.run()

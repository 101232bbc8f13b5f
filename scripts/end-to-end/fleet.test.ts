/** The whole camera, with its real vision process, whose picture is turned, blurred and covered: the cloud raises an alarm for each. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { JUDGE_INTERVAL_MS } from '../../cloud/fleet/watching.ts'
import { AGENCY, inCloud, until } from '../../cloud/testing.ts'
import { loadEdgeConfig } from '../../edge/config.ts'
import { runEdge, systemDeps } from '../../edge/main.ts'
import { HOUR_MS, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { enrol } from '../trial/link-testing.ts'

const SCENE = fileURLToPath(new URL('../sample-scenes/pictures/scene-002.jpg', import.meta.url))
const HEALTH_INTERVAL_MS = 100
const SIDE = { width: 640, height: 360 } as const

test('a camera that is turned, put out of focus and covered raises an alarm each time, and tells how its unit is', async () => {
  await inCloud(async (world) => {
    const folder = await enrol(world, 'north')
    const frames = join(folder, 'frames')
    mkdirSync(frames)
    const scene = readFileSync(SCENE)
    const at = (left: number) =>
      sharp(scene)
        .resize(800, 450)
        .extract({ left, top: 40, ...SIDE })
    /** The next frame that the camera takes. */
    const show = async (picture: Sharp) => {
      writeFileSync(join(folder, 'next.jpg'), await picture.jpeg({ quality: 95 }).toBuffer())
      renameSync(join(folder, 'next.jpg'), join(frames, 'a.jpg'))
    }
    await show(at(40))
    const file = join(folder, 'edge.json')
    const source = { kind: 'replay', path: frames, loop: true, sequence: 'video', framesPerSecond: 25 }
    writeFileSync(
      file,
      JSON.stringify({
        ...{ agency: AGENCY, cameraId: 'north', broker: { url: `mqtts://localhost:${world.cloud.mqttPort}` }, source },
        ...{
          assumeClockSynced: true,
          healthIntervalMs: HEALTH_INTERVAL_MS,
          vision: { frameTimeoutMs: 120_000, lookIntervalMs: 50 },
        },
      }),
    )
    const camera = await runEdge(loadEdgeConfig(file, null), systemDeps(silentLog), new AbortController().signal)
    const { fleet } = world.cloud.parts
    const picture = () => camera.health().picture
    const open = async () => (await fleet.alarms({ open: true, camera: 'north', limit: 20 })).map(({ kind }) => kind)
    /** Each report that comes is judged: the cloud's clock goes on by what lies between two that are. */
    const raised = (kind: string) =>
      until(`the alarm ${kind}`, async () => {
        world.clock.advance(JUDGE_INTERVAL_MS)
        await systemClock.sleep(HEALTH_INTERVAL_MS)
        return (await open()).some((one) => one === kind)
      })
    try {
      await until('the view is learned', () => (picture()?.likeness ?? 0) > 0.9)
      const { luminance = 0, sharpness } = picture() ?? {}
      assert.ok(luminance > 20 && typeof sharpness === 'number', `${luminance} ${sharpness}`)
      const device = camera.health().device
      assert.is(device?.versions?.node, process.version)
      assert.ok((device?.disk?.freeBytes ?? 0) > 0 && (device?.memory?.totalBytes ?? 0) > 0)
      await until('frames are counted', () => (camera.health().rate?.readPerSecond ?? 0) > 0)
      // What is usual needs days of a past.
      const hour = Math.floor(world.clock.nowMs() / HOUR_MS)
      const spreads = JSON.stringify({
        luminance: [luminance, luminance, luminance, 9],
        sharpness: Array(4).fill(sharpness),
      })
      const past = Array.from({ length: 72 }, (_, i) => hour - 1 - i)
      world.sql(
        `INSERT INTO fleet_hours VALUES ${past.map((one) => `('north', ${one}, 9, 3600000, '${spreads}')`).join(', ')}`,
      )
      await until('the cloud has heard of it', async () => (await fleet.cameras())[0]?.figures.likeness !== undefined)
      world.clock.advance(HOUR_MS)

      await show(at(104))
      await until('it sees that it has moved', () => (picture()?.displacementPx ?? 0) > 50)
      assert.ok(Math.abs((picture()?.displacementRatio ?? 0) - 0.1) < 0.03, `${picture()?.displacementRatio}`)
      await raised('moved')
      await show(at(40).blur(5))
      await until('it sees the blur', () => (picture()?.sharpness ?? 1) < 0.5 * (sharpness ?? 0))
      await raised('blurred')
      await show(sharp({ create: { ...SIDE, channels: 3, background: '#777' } }))
      await until('it sees nothing', () => (picture()?.detail ?? 1) < 0.05)
      await raised('covered')
      await show(sharp({ create: { ...SIDE, channels: 3, background: '#020202' } }))
      await until('it sees the dark', () => (picture()?.luminance ?? 255) < 5)
      await raised('dark')
    } finally {
      await camera.close()
    }
  })
})

test.run()

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, inCloud, type TestCloud } from '../cloud/testing.ts'
import type { Finding } from '../edge/checks.ts'
import { lockFolder } from '../edge/folder-lock.ts'
import { checkSource } from '../edge/setup/check-source.ts'
import { systemClock } from '../shared/clock.ts'
import { random } from '../shared/ids.ts'
import { FOCUS_FRAMES } from '../shared/meters.ts'
import { bodiesFinding, checkUnit } from './doctor.ts'
import { enrol } from './trial/link-testing.ts'

const SCENES = fileURLToPath(new URL('./sample-scenes/pictures/', import.meta.url))

async function withUnit(
  work: (unit: {
    file: string
    folder: string
    looks: () => number
    look: (source: object, more?: object) => Promise<Finding[]>
  }) => Promise<void>,
): Promise<void> {
  await inCloud(async (cloud: TestCloud) => {
    const folder = await enrol(cloud, 'north')
    const file = join(folder, 'edge.json')
    let looks = 0
    const broker = { url: `mqtts://localhost:${cloud.cloud.mqttPort}` }
    await work({
      ...{ file, folder, looks: () => looks },
      async look(source, more = {}) {
        writeFileSync(file, JSON.stringify({ agency: AGENCY, cameraId: 'north', broker, source, ...more }))
        const onProgress = (done: number) => {
          looks = done
        }
        return checkSource(file, { clock: systemClock, random, onProgress })
      },
    })
  })
}

const named = (findings: readonly Finding[], name: string): Finding =>
  findings.find((one) => one.name === name) ?? { name, ok: false, detail: 'not there', hint: null }

test('bodies that are attached are listed with the port to configure, and their number where they say one', () => {
  const said = (bodies: object[]) => ({ name: 'node-gphoto2', ok: true, detail: JSON.stringify(bodies), hint: null })
  const device = { name: 'Nikon D750', isCamera: true, port: 'usb:1-1.2', numberedPort: 'usb:001,004' }
  const devices = [{ ...device, serialNumber: '6048172' }]
  assert.is(bodiesFinding(said([]), devices).detail, '0 gphoto2 camera(s) attached')
  const both = [
    { model: 'Nikon DSC D750', port: 'usb:001,004' },
    { model: 'PTP/IP Camera', port: 'ptpip:10.0.0.9' },
  ]
  assert.is(
    bodiesFinding(said(both), devices).detail,
    '2 gphoto2 camera(s) attached; Nikon DSC D750 at usb:1-1.2 (serial number 6048172); PTP/IP Camera at ptpip:10.0.0.9',
  )
  const failed = { name: 'node-gphoto2', ok: false, detail: 'does not load', hint: 'x' }
  assert.equal(bodiesFinding(failed, devices), failed)
})

test('of a configured camera the unit and its broker are looked at, and what keeps frames from coming is said', async () => {
  await withUnit(async ({ file, look }) => {
    const [missing] = await look({ kind: 'rpicam', program: '/nonexistent/rpicam-vid' })
    assert.is(missing?.ok, false)
    assert.match(missing?.detail ?? '', /source\.program: there is no such program/)
    const [numbered] = await look({ kind: 'gphoto2', port: 'usb:001,004' })
    assert.equal([numbered?.name, numbered?.ok], ['source gphoto2', false])
    assert.match(numbered?.detail ?? '', /^source\.port: is a number .* usb:1-1\.2/)
    const [wrong] = await look({ kind: 'webcam' })
    assert.is(wrong?.ok, false)
    assert.match(wrong?.detail ?? '', /source\.kind/)
    const [empty] = await look({ kind: 'replay', path: '.' })
    assert.equal([empty?.name, empty?.ok], ['source replay', false])
    const unit = await checkUnit(file)
    assert.equal(
      unit.map(({ name }) => name),
      ['link', 'clock', 'temperature', 'broker', 'lists'],
    )
    // In nobody's name: the camera may be running.
    assert.match(unit.find(({ name }) => name === 'broker')?.detail ?? '', /is the agency’s$/)
  })
})

test('what the set-up page shows of the picture is told: focus, the widest plate, reads, areas; a masked plate is not', async () => {
  await withUnit(async ({ look, looks, folder }) => {
    const open = await look({ kind: 'replay', path: SCENES, framesPerSecond: 2 })
    assert.equal(
      open.map(({ name }) => name),
      ['source replay', 'focus', 'plate width', 'read', 'areas'],
    )
    assert.match(named(open, 'source replay').detail, new RegExp(`^${FOCUS_FRAMES} frames of \\d+ × \\d+ px$`))
    assert.is(looks(), FOCUS_FRAMES)
    const sharpness = Number(named(open, 'focus').values?.sharpness)
    assert.ok(sharpness > 0 && sharpness <= 1)
    assert.match(named(open, 'focus').detail, new RegExp(`^${(100 * sharpness).toFixed(0)} of 100;`))
    const { px, state } = named(open, 'plate width').values as { px: number; state: string }
    const reads = named(open, 'read').values?.reads as { plate: string; widthPx: number }[]
    assert.ok(reads.length > 0 && Math.max(...reads.map(({ widthPx }) => widthPx)) <= px)
    assert.match(
      named(open, 'plate width').detail,
      state === 'good' ? /^\d+ px: good$/ : /^\d+ px: (marginal|too small)/,
    )
    assert.match(named(open, 'read').detail, new RegExp(`^${reads[0]?.plate} .*\\d+ % \\(\\d+ px\\)`))
    assert.is(named(open, 'areas').detail, 'the whole picture; no mask')

    const everything = [
      [0, 0],
      [1, 0],
      [1, 1],
      [0, 1],
    ]
    const half = everything.map(([x = 0, y = 0]) => [x, y / 2])
    const masked = await look({ kind: 'replay', path: SCENES }, { view: { region: half, masks: [everything] } })
    assert.equal(named(masked, 'read').detail, 'nothing')
    assert.is(named(masked, 'plate width').ok, null)
    assert.ok(named(masked, 'focus').ok, 'the lens is measured as on the page, where masks have no part in it')
    assert.is(named(masked, 'areas').detail, 'a region of 4 points, 50 % of the picture; 1 mask (100 % of the picture)')

    // The same scene from three times as far.
    const far = join(folder, 'far')
    mkdirSync(far)
    const scene = sharp(join(SCENES, 'scene-001.jpg'))
    const { width = 0 } = await scene.metadata()
    await scene
      .resize({ width: Math.round(width / 3) })
      .jpeg()
      .toFile(join(far, 'one.jpg'))
    const small = named(await look({ kind: 'replay', path: far, loop: true }), 'plate width')
    assert.equal([small.ok, small.values?.state], [false, 'bad'])
    assert.match(small.detail, /^\d+ px: too small: zoom in or move closer$/)
  })
})

test('while the camera process runs its camera is left to it, and that is said', async () => {
  await withUnit(async ({ look, looks, folder }) => {
    mkdirSync(join(folder, 'data'))
    const lock = lockFolder(join(folder, 'data'))
    const source = { kind: 'replay', path: SCENES }
    const [busy, areas] = await look(source)
    assert.equal([busy?.name, busy?.ok, areas?.name], ['source replay', null, 'areas'])
    assert.match(busy?.detail ?? '', /^not looked at: the camera process runs/)
    assert.is(looks(), 0)
    lock.close()
    assert.is((await look(source))[0]?.ok, true)
    assert.is(looks(), FOCUS_FRAMES)
    lockFolder(join(folder, 'data')).close()
  })
})

test.run()

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, inCloud } from '../cloud/testing.ts'
import { checkSource, checkUnit } from './doctor.ts'
import { enrol } from './trial/link-testing.ts'

const SCENES = fileURLToPath(new URL('./sample-scenes/pictures/', import.meta.url))

test('of a configured camera its unit and broker are looked at, one frame is taken, and what keeps it from coming is said', async () => {
  await inCloud(async (cloud) => {
    const file = join(await enrol(cloud, 'north'), 'edge.json')
    const tried = async (source: object) => {
      const broker = { url: `mqtts://localhost:${cloud.cloud.mqttPort}` }
      writeFileSync(file, JSON.stringify({ agency: AGENCY, cameraId: 'north', broker, source }))
      return await checkSource(file)
    }
    const good = await tried({ kind: 'replay', path: SCENES })
    const unit = await checkUnit(file)
    assert.equal(
      unit.map(({ name }) => name),
      ['link', 'clock', 'temperature', 'broker', 'lists'],
    )
    // In nobody's name: the camera may be running.
    assert.match(unit.find(({ name }) => name === 'broker')?.detail ?? '', /is the agency’s$/)
    assert.is(good.ok, true)
    assert.match(`${good.name}: ${good.detail}`, /^source replay: a frame of \d+ bytes$/)
    const missing = await tried({ kind: 'rpicam', program: '/nonexistent/rpicam-vid' })
    assert.is(missing.ok, false)
    assert.match(missing.detail, /source\.program: there is no such program/)
    const wrong = await tried({ kind: 'webcam' })
    assert.is(wrong.ok, false)
    assert.match(wrong.detail, /source\.kind/)
  })
})

test.run()

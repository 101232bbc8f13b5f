/** The set-up of a camera that works by settings from afar: what the technician sees is taken with them, and what is changed is no longer theirs. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import type { NetworkInterfaceInfo } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, inCloud } from '../../cloud/testing.ts'
import { enrol } from '../../scripts/trial/link-testing.ts'
import { systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { type CameraSettings, MAX_SETTINGS_FIELDS } from '../../shared/wire/index.ts'
import type { SourceConfig } from '../capture/sources.ts'
import { edgeConfigSchema, loadEdgeConfig } from '../config.ts'
import { openSettings, SETTINGS_FILE } from '../roll-out/settings.ts'
import { openDraft } from './draft.ts'
import { runSetup, systemSetupDeps } from './main.ts'

const LOOPBACK = { lo: [{ address: '127.0.0.1', family: 'IPv4', cidr: '127.0.0.1/8' } as NetworkInterfaceInfo] }
/** Beside the unit's folder, as candor-setup.service has it elsewhere. */
const keptOf = (folder: string) => `${folder}.kept.json`
const OWN = { shutterUs: 800, gain: 2 }
const NIGHT = { fromUtc: '20:00', toUtc: '05:00', settings: { gain: 16 } }
const KEPT: CameraSettings = {
  source: { settings: { shutterUs: 500, gain: 4 }, night: NIGHT, rotation: 180 },
  vision: { minConfidence: 0.6, aim: 'east lane' },
}
const keptFile = (settings: CameraSettings, over = {}) =>
  JSON.stringify({ kept: { version: 7, targetId: newId(), settings, over }, trial: null, newest: 7, ack: null })

/** A unit that is a camera of a Raspberry Pi and keeps settings. */
async function withUnit(work: (folder: string) => Promise<void>, kept = KEPT): Promise<void> {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const config = {
      ...{ agency: AGENCY, cameraId: 'north', broker: { url: 'mqtts://localhost:8883' } },
      source: { kind: 'rpicam', settings: OWN },
    }
    writeFileSync(join(folder, 'edge.json'), JSON.stringify(config))
    writeFileSync(keptOf(folder), keptFile(kept))
    await work(folder)
  })
}

/** As the camera runs after the set-up. */
async function afterwards(folder: string) {
  const own = loadEdgeConfig(join(folder, 'edge.json'), null)
  mkdirSync(own.dataFolder, { recursive: true })
  writeFileSync(join(own.dataFolder, SETTINGS_FILE), readFileSync(keptOf(folder)))
  const { config, inForce } = await openSettings(own, {
    dataFolder: own.dataFolder,
    clock: systemClock,
    log: silentLog,
  })
  if (config.source.kind !== 'rpicam') throw new Error('another camera')
  const { settings, night, rotation } = config.source
  return { settings, night, rotation, aim: config.vision.aim, inForce }
}

/** The page over the unit; resolves with the sources that were opened. */
async function onPage(
  folder: string,
  work: (ask: (path: string, json?: unknown) => Promise<unknown>) => Promise<void>,
) {
  const said: string[] = []
  const opened: SourceConfig[] = []
  const system = systemSetupDeps(silentLog)
  const running = await runSetup(
    { configFile: join(folder, 'edge.json'), port: 0, codeFile: null, keptFile: keptOf(folder) },
    {
      ...system,
      interfaces: () => LOOPBACK,
      say: (line) => void said.push(line),
      openSource(config, deps) {
        opened.push(config)
        return system.openSource(config, deps)
      },
    },
  )
  let cookie = ''
  const ask = (path: string, json?: unknown) =>
    new Promise<unknown>((resolve, reject) => {
      const origin = `https://127.0.0.1:${running.port}`
      const headers = { origin, cookie, 'content-type': 'application/json' }
      const method = json === undefined ? 'GET' : 'POST'
      const asked = request(
        `${origin}${path}`,
        { method, headers, rejectUnauthorized: false, agent: false },
        (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
          answer.on('end', () => {
            assert.is(answer.statusCode, 200, Buffer.concat(chunks).toString())
            cookie ||= answer.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
            resolve(JSON.parse(Buffer.concat(chunks).toString()))
          })
        },
      )
      asked.on('error', reject).end(json === undefined ? undefined : JSON.stringify(json))
    })
  try {
    await ask('/api/login', { code: /code (\S+)/.exec(said.join('\n'))?.[1] })
    await work(ask)
  } finally {
    await running.close()
  }
  return opened.map((source) => (source.kind === 'rpicam' ? source : assert.unreachable()))
}

const exposureOf = async (ask: (path: string) => Promise<unknown>) =>
  ((await ask('/api/state')) as { exposure: unknown }).exposure

test('the page shows the picture as the camera takes it, and a set-up that changes nothing leaves what is kept', () =>
  withUnit(async (folder) => {
    const before = await afterwards(folder)
    const [first] = await onPage(folder, async (ask) => {
      assert.equal(await exposureOf(ask), { kind: 'rpicam', settings: KEPT.source?.settings, night: NIGHT })
      await ask('/api/exposure', { settings: KEPT.source?.settings, night: NIGHT })
      await ask('/api/source', { kind: 'rpicam', rotation: 180 })
      await ask('/api/finish', {})
    })
    assert.equal([first?.settings, first?.rotation], [KEPT.source?.settings, 180])
    const { aim, ...after } = await afterwards(folder)
    assert.equal(after, { ...KEPT.source, inForce: { version: 7, trial: false, changed: [] } })
    assert.not.equal(aim, before.aim, 'somebody was at the camera: the view is learned anew')
    assert.equal(JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8')).source.settings, OWN)
  }))

test('what is changed on the page counts, also where the unit’s own file says the same already; the rest stays kept', () =>
  withUnit(async (folder) => {
    const opened = await onPage(folder, async (ask) => {
      await ask('/api/exposure', { settings: OWN, night: NIGHT })
      assert.equal(await exposureOf(ask), { kind: 'rpicam', settings: OWN, night: NIGHT })
      await ask('/api/finish', {})
    })
    assert.equal([opened.at(-1)?.settings, opened.at(-1)?.night, opened.at(-1)?.rotation], [OWN, NIGHT, 180])
    const { settings, night, rotation, inForce } = await afterwards(folder)
    assert.equal([settings, night, rotation], [OWN, NIGHT, 180])
    assert.equal(inForce, { version: 7, trial: false, changed: ['source.settings'] })
    // The next set-up begins with what the camera takes now.
    assert.equal((await openDraft(join(folder, 'edge.json'), {}, keptOf(folder))).taken, { ...opened.at(-1) })
    await onPage(folder, async (ask) => {
      await ask('/api/exposure', { settings: OWN, night: null })
      await ask('/api/source', { kind: 'rpicam', rotation: 0 })
      await ask('/api/finish', {})
    })
    const again = await afterwards(folder)
    assert.equal([again.settings, again.night, again.rotation], [OWN, undefined, 0])
    assert.equal([...again.inForce.changed].sort(), ['source.night', 'source.rotation', 'source.settings'])
  }))

test('of a camera of another kind nothing that was kept of the source counts', () =>
  withUnit(async (folder) => {
    const draft = await openDraft(join(folder, 'edge.json'), {}, keptOf(folder))
    assert.is(draft.vision.minConfidence, 0.6)
    draft.source = { kind: 'stream', address: 'rtsp://10.0.0.20/one' } as never
    assert.is(draft.taken?.kind, 'stream')
    await draft.commit()
    const own = loadEdgeConfig(join(folder, 'edge.json'), null)
    assert.equal(Object.keys(own.setHere).sort(), ['source.night', 'source.rotation', 'source.settings'])
  }))

test('so many fields may be set at the camera, and one more is refused', () => {
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`source.f${i}`, 'x']))
  const config = {
    agency: AGENCY,
    cameraId: 'north',
    broker: { url: 'mqtts://localhost:8883' },
    source: { kind: 'rpicam' },
  }
  const takes = (count: number) => edgeConfigSchema.safeParse({ ...config, setHere: fields(count) }).success
  assert.equal([takes(MAX_SETTINGS_FIELDS), takes(MAX_SETTINGS_FIELDS + 1)], [true, false])
})

test.run()

/**
 * A unit that is taken back to a release finds files of the newer one. Each file that the unit itself writes is here, with members that nobody knows yet:
 * what stops at one of them cannot be taken back. A new file of the unit belongs here, too.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, inCloud } from '../../cloud/testing.ts'
import { edgeConfigSchema, loadEdgeConfig } from '../../edge/config.ts'
import { PREVIOUS_FILE, writeCameraFolder } from '../../edge/enrolment/folder.ts'
import { keptSettings, openSettings, SETTINGS_FILE } from '../../edge/roll-out/settings.ts'
import { openUpdates, UPDATE_FILE } from '../../edge/roll-out/update.ts'
import { openDraft, undo } from '../../edge/setup/draft.ts'
import { systemClock } from '../../shared/clock.ts'
import { asWritten, checkConfig } from '../../shared/config.ts'
import { newId } from '../../shared/ids.ts'
import { createLog, silentLog } from '../../shared/log.ts'
import type { IssuedCamera } from '../../shared/wire/index.ts'
import { enrol } from '../trial/link-testing.ts'
import { readEdgeStatus } from './edge-status.ts'
import { parseKeptNetwork, parseNetwork } from './network.ts'
import { readRequest } from './update-request.ts'
import { readUpdateState } from './update-state.ts'

const NOW_MS = 1_790_000_000_000
/** As the set-up page is given the settings from afar. */
const COPY_FILE = 'settings.kept.json'

/** `json` with a member more in it, and in each object that it holds. */
function ofNewer(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(ofNewer)
  if (typeof json !== 'object' || json === null) return json
  const members = Object.entries(json).map(([name, value]) => [name, ofNewer(value)])
  return { ...Object.fromEntries(members), ofNewer: { more: 1 } }
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-newer-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What the log says of members that are not known. */
function toldLog() {
  const lines: string[] = []
  const log = createLog({ level: 'info', part: 'edge', target: { write: (line) => void lines.push(line) } })
  return { log, told: () => lines.filter((line) => line.includes('unknown_member')).length }
}

type Json = Record<string, Record<string, unknown>>

/** The folder of a camera, as its enrolment wrote it. */
async function withCamera(use: (folder: string, issued: IssuedCamera) => Promise<void>): Promise<void> {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const pem = (name: string) => readFileSync(join(folder, name), 'utf8')
    const issued = {
      ...{ agency: AGENCY, camera: 'north', mqttPort: 8883, expiresAtMs: NOW_MS },
      ...{ certificatePem: pem('certificate.pem'), caPem: pem('ca.pem') },
      ...{ listKeysPem: pem('list-keys.pem'), sealingPem: pem('sealing.pem') },
      policy: {
        ...{ upload: 'all', unmatchedInMemory: false },
        retention: { unmatchedDays: 1, matchedDays: 2, cropDays: 3 },
      },
    } as unknown as IssuedCamera
    mkdirSync(join(folder, 'frames'))
    await writeCameraFolder(folder, issued, { host: 'localhost', settings: {} })
    await use(folder, issued)
  })
}

test('an edge.json that a newer release has written is taken without what only that knows, until a person changes it', () =>
  withCamera(async (folder, issued) => {
    const file = join(folder, 'edge.json')
    const read = () => JSON.parse(readFileSync(file, 'utf8')) as Json
    const put = (json: object) => writeFileSync(file, JSON.stringify(json, null, 1))
    const told: string[] = []
    const load = () => loadEdgeConfig(file, null, null, (members) => told.push(...members))
    const { written: _own, ...known } = load()
    assert.equal(told, [])
    put({ ...read(), shutter: 1 })
    assert.is(await codeOf(async () => load()), 'configuration', 'somebody has typed it')
    put(asWritten({ ...read(), shutter: 1, source: { ...read().source, ofNewer: 1 }, track: { lanes: [{ a: 1 }] } }))
    const { written: _newer, ...taken } = load()
    assert.equal(taken, known)
    assert.equal(told.toSorted(), ['shutter', 'source.ofNewer', 'track.lanes'])
    put({ ...read(), upload: 'matches-only' })
    assert.is(await codeOf(async () => load()), 'configuration')

    // The page of this release, on what is of the newer one.
    put(asWritten(read()))
    const before = readFileSync(file, 'utf8')
    const draft = await openDraft(file)
    draft.source = { kind: 'stream', address: 'rtsp://10.0.0.20/one' } as never
    await draft.commit()
    assert.is(load().source.kind, 'stream')
    assert.equal(
      [read().shutter, read().track],
      [1, { lanes: [{ a: 1 }] }],
      'it is there when the unit is brought forward',
    )
    await undo(file)
    assert.equal([readFileSync(file, 'utf8'), load().source.kind], [before, 'replay'])
    await undo(file)
    assert.is(readFileSync(join(folder, PREVIOUS_FILE), 'utf8'), before)

    // Enrolled again, its fields go on; those that were chosen for a new unit are a person's.
    const { agency: _agency, cameraId: _camera, broker: _broker, ...fields } = read()
    await writeCameraFolder(folder, issued, { host: 'localhost', settings: fields })
    assert.equal([load().source.kind, read().shutter], ['stream', 1])
    const chosen = { shutter: 1 }
    assert.is(
      await codeOf(() => writeCameraFolder(folder, issued, { host: 'localhost', settings: chosen })),
      'configuration',
    )
  }))

test('a page does not make a person’s typing error its own', () =>
  withCamera(async (folder) => {
    const file = join(folder, 'edge.json')
    const draft = await openDraft(file)
    draft.source = { kind: 'stream', address: 'rtsp://10.0.0.20/one' } as never
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), shuter: 1 }))
    assert.is(await codeOf(() => draft.commit()), 'configuration')
  }))

test('settings from afar that a newer release has kept stay in force, and its order to update stands', () =>
  inFolder(async (folder) => {
    const own = checkConfig(
      {
        ...{ agency: AGENCY, cameraId: 'north', broker: { url: 'mqtts://localhost:8883' } },
        source: { kind: 'stream', address: 'rtsp://10.0.0.20/one' },
      },
      edgeConfigSchema,
      'edge.json',
    )
    const targetId = newId()
    const ack = { targetId, state: 'confirmed', message: null, atMs: NOW_MS }
    const settings = { source: { framesPerSecond: 5 }, vision: { minConfidence: 0.5 }, track: {} }
    const kept = { version: 7, targetId, settings, over: {} }
    // Of `over` every member is a field's.
    const newer = { ...(ofNewer({ kept, trial: null, newest: 7, ack }) as Json) }
    Object.assign(newer.kept ?? {}, { over: {} })
    for (const name of [SETTINGS_FILE, COPY_FILE]) writeFileSync(join(folder, name), JSON.stringify(newer))
    const { log, told } = toldLog()
    const opened = await openSettings(own, { dataFolder: folder, clock: systemClock, log })
    assert.equal([opened.inForce.version, opened.config.source.framesPerSecond, opened.ack], [7, 5, ack])
    assert.is(told(), 1)
    assert.equal(await keptSettings(join(folder, COPY_FILE), own, silentLog), settings)

    const command = {
      ...{ agency: AGENCY, cameraId: 'north', targetId, issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + 1 },
      release: { version: '1.4.0', compatible: 'candor-arm64', sha256: 'a'.repeat(64), bytes: 1_000 },
      fetch: { port: 8443, path: '/a', token: 'x' },
    }
    writeFileSync(join(folder, UPDATE_FILE), JSON.stringify(ofNewer({ command, ack })))
    const updates = await openUpdates({
      ...{ agency: AGENCY, cameraId: 'north', updates: null, dataFolder: folder, host: 'localhost' },
      ...{ verifier: null as never, identity: null as never, clockState: { state: 'synced' }, onAck() {} },
      ...{ clock: systemClock, random: () => 0, log },
    })
    assert.equal([updates.ack, told()], [ack, 2])
  }))

test('what edge process and updater say to each other, and what the unit keeps of its network, is understood', () =>
  inFolder(async (folder) => {
    const put = (name: string, json: unknown) => {
      writeFileSync(join(folder, name), JSON.stringify(ofNewer(json)))
      return join(folder, name)
    }
    mkdirSync(join(folder, 'updates'))
    const request = { id: newId(), version: '1.4.0', bundle: `${'a'.repeat(64)}.raucb` }
    put('updates/install.json', request)
    assert.equal(await readRequest(join(folder, 'updates')), request)
    const state = {
      ...{ id: request.id, version: '1.4.0', state: 'installed', message: '', atMs: NOW_MS },
      ...{ slot: 'b', wasConnected: true },
    }
    assert.equal(await readUpdateState(put('update.json', state)), state)
    const status = { atMs: NOW_MS, connected: true, frames: { read: 1, still: 0 } }
    assert.equal(await readEdgeStatus(put('status.json', status)), status)
    const network = { dns: ['10.0.0.1'], ntp: [], wifi: { ssid: 'Yard', passphrase: '12345678', country: 'US' } }
    const kept = readFileSync(put('network.json', network), 'utf8')
    const told: string[] = []
    assert.equal(
      parseKeptNetwork(kept, (members) => told.push(...members)),
      network,
    )
    assert.equal(told.toSorted(), ['ofNewer', 'wifi.ofNewer'])
    assert.is(await codeOf(async () => parseNetwork(kept)), 'configuration', 'on the card it is a person’s')
  }))

test.run()

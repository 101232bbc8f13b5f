import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS, SECOND_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../../shared/signing.ts'
import { type CameraSettings, MAX_SETTINGS_BYTES, type RollOutAck } from '../../shared/wire/index.ts'
import { edgeConfigSchema } from '../config.ts'
import { MAX_AIM } from '../vision/types.ts'
import {
  type CommandDeps,
  keptSettings,
  MAX_TRIAL_STARTS,
  openSettings,
  SETTINGS_FILE,
  type Settings,
  TRIAL_MS,
  WELL_MS,
  withSettings,
} from './settings.ts'

const NOW_MS = 1_790_000_000_000
const OWN = edgeConfigSchema.parse({
  ...{ agency: 'springfield', cameraId: 'north', broker: { url: 'mqtts://localhost:8883' } },
  source: { kind: 'stream', address: 'rtsp://camera.example/live', framesPerSecond: 10 },
})
const { privateKeyPem, publicKeyPem } = newSigningKeyPem()
const signer = createSigner(privateKeyPem)

/** A camera that is started and watched; its time passes when it sleeps. */
function createWorld() {
  const folder = mkdtempSync(join(tmpdir(), 'candor-settings-'))
  let nowMs = NOW_MS
  let frames = 0
  const world = {
    folder,
    acks: [] as RollOutAck[],
    restarts: 0,
    framesASecond: 0,
    isConnected: true,
    clockState: { state: 'synced' as 'synced' | 'unsynced' },
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      async sleep(ms, signal) {
        nowMs += ms
        frames += world.framesASecond * (ms / SECOND_MS)
        signal?.throwIfAborted()
      },
    } as Clock,
    own: OWN,
    start: () => openSettings(world.own, { dataFolder: folder, clock: world.clock, log: silentLog }),
    command(): CommandDeps {
      frames = 0
      return {
        ...{ agency: 'springfield', cameraId: 'north', verifier: createVerifier([publicKeyPem]) },
        clockState: world.clockState,
        framesRead: () => frames,
        isConnected: () => world.isConnected,
        onAck: (ack) => world.acks.push(ack),
        restart() {
          world.restarts += 1
        },
      }
    },
    close: () => rmSync(folder, { recursive: true }),
  }
  return world
}

const sealed = (settings: CameraSettings, version: number, targetId: string, change: Record<string, unknown> = {}) =>
  Buffer.from(
    JSON.stringify(
      signer.seal(
        Buffer.from(
          JSON.stringify({
            ...{ agency: 'springfield', cameraId: 'north', targetId, issuedAtMs: NOW_MS, expiresAtMs: NOW_MS + DAY_MS },
            ...{ version, settings, ...change },
          }),
        ),
      ),
    ),
  )

type World = ReturnType<typeof createWorld>

async function give(world: World, to: Settings, settings: CameraSettings, version: number, change = {}) {
  const targetId = newId()
  return to.take(targetId, sealed(settings, version, targetId, change), world.command())
}

async function inWorld(work: (world: World) => Promise<void>) {
  const world = createWorld()
  try {
    await work(world)
  } finally {
    world.close()
  }
}

const FASTER: CameraSettings = { source: { framesPerSecond: 20 }, vision: { minConfidence: 0.4 } }

test('settings are tried with the next start and kept when frames are read and the cloud is reached', () =>
  inWorld(async (world) => {
    const before = await world.start()
    assert.equal([before.config, before.inForce.version, before.ack], [OWN, 0, null])
    const ack = await give(world, before, FASTER, 3)
    assert.equal([ack.state, world.restarts], ['probation', 1])

    const tried = await world.start()
    assert.is(tried.config.vision.minConfidence, 0.4)
    assert.is(tried.config.source.kind === 'stream' && tried.config.source.framesPerSecond, 20)
    assert.is(tried.config.vision.threads, OWN.vision.threads, 'the rest stands as it was')
    world.framesASecond = 5
    const startedMs = world.clock.monotonicMs()
    await tried.run(world.command(), new AbortController().signal)
    assert.equal([world.acks.at(-1)?.state, world.acks.at(-1)?.targetId], ['confirmed', ack.targetId])
    assert.ok(world.clock.monotonicMs() - startedMs >= WELL_MS)
    assert.is(world.restarts, 1, 'it goes on as it is')

    const kept = await world.start()
    assert.equal([kept.inForce.version, kept.config.vision.minConfidence, kept.ack?.state], [3, 0.4, 'confirmed'])
    await give(world, kept, {}, 4)
    const own = await world.start()
    assert.equal(own.config, OWN, 'all that came before counts no more')
  }))

test('without a frame it goes back after its time, and not before', () =>
  inWorld(async (world) => {
    await give(world, await world.start(), FASTER, 1)
    const tried = await world.start()
    const startedMs = world.clock.monotonicMs()
    await tried.run(world.command(), new AbortController().signal)
    assert.is(world.clock.monotonicMs() - startedMs, TRIAL_MS)
    assert.equal([world.acks.at(-1)?.state, world.restarts], ['rolled_back', 2])
    const back = await world.start()
    assert.equal([back.config, back.inForce.version, back.ack?.state], [OWN, 0, 'rolled_back'])
  }))

test('a camera of which a picture is asked for once in a minute is well with that, and not with none', () =>
  inWorld(async (world) => {
    for (const [everyMs, state] of [
      [60_000, 'confirmed'],
      [2 * TRIAL_MS, 'rolled_back'],
    ] as const) {
      await give(world, await world.start(), { source: { framesPerSecond: 1 / 60 } }, everyMs)
      const tried = await world.start()
      const startedMs = world.clock.monotonicMs()
      const framesRead = () => Math.floor((world.clock.monotonicMs() - startedMs) / everyMs)
      await tried.run({ ...world.command(), framesRead }, new AbortController().signal)
      assert.is(world.acks.at(-1)?.state, state)
    }
  }))

test('a link that is down is not the fault of the settings: they are tried until it is back', () =>
  inWorld(async (world) => {
    await give(world, await world.start(), FASTER, 1)
    const tried = await world.start()
    world.framesASecond = 1
    world.isConnected = false
    const stop = new AbortController()
    const { sleep } = world.clock
    let sleeps = 0
    world.clock.sleep = async (ms, signal) => {
      sleeps += 1
      if (sleeps === (2 * TRIAL_MS) / SECOND_MS) world.isConnected = true
      return sleep(ms, signal)
    }
    await tried.run(world.command(), stop.signal)
    assert.is(world.acks.at(-1)?.state, 'confirmed')
    assert.ok(sleeps > (2 * TRIAL_MS) / SECOND_MS)
  }))

test('a process that dies on trial goes back after three starts', () =>
  inWorld(async (world) => {
    await give(world, await world.start(), FASTER, 1)
    for (let start = 1; start <= MAX_TRIAL_STARTS; start++)
      assert.is((await world.start()).config.vision.minConfidence, 0.4)
    const back = await world.start()
    assert.equal([back.config, back.ack?.state], [OWN, 'rolled_back'])
    assert.match(back.ack?.message ?? '', /did not stay up/)
  }))

/** As a full disk does it: nothing new can be written into the folder. */
const fill = ({ folder }: World) => mkdirSync(join(folder, `${SETTINGS_FILE}.tmp`))
const makeRoom = ({ folder }: World) => rmSync(join(folder, `${SETTINGS_FILE}.tmp`), { recursive: true })

test('a disk that takes nothing ends no camera: it starts with what it had, and a trial goes on when there is room', () =>
  inWorld(async (world) => {
    await give(world, await world.start(), FASTER, 1)
    fill(world)
    const without = await world.start()
    assert.equal([without.config, without.isTrial], [OWN, false], 'a start that cannot be counted is none on trial')
    await without.run(world.command(), new AbortController().signal)
    makeRoom(world)

    const tried = await world.start()
    assert.ok(tried.isTrial)
    world.framesASecond = 1
    fill(world)
    const { sleep } = world.clock
    let sleeps = 0
    world.clock.sleep = async (ms, signal) => {
      sleeps += 1
      if (sleeps === (2 * WELL_MS) / SECOND_MS) makeRoom(world)
      return sleep(ms, signal)
    }
    await tried.run(world.command(), new AbortController().signal)
    assert.is(world.acks.at(-1)?.state, 'confirmed')
    assert.ok(sleeps >= (2 * WELL_MS) / SECOND_MS)
  }))

test('settings that died too often stay off also where that cannot be written down', () =>
  inWorld(async (world) => {
    await give(world, await world.start(), FASTER, 1)
    for (let start = 1; start <= MAX_TRIAL_STARTS; start++) await world.start()
    fill(world)
    assert.equal((await world.start()).config, OWN)
    makeRoom(world)
    assert.equal([(await world.start()).config, (await world.start()).ack?.state], [OWN, 'rolled_back'])
  }))

test('what the unit’s own rules forbid is refused, and says why', () =>
  inWorld(async (world) => {
    const settings = await world.start()
    const wrong = await give(world, settings, { source: { framesPerSecond: 121 } }, 1)
    assert.is(wrong.state, 'refused')
    assert.match(wrong.message ?? '', /source\.framesPerSecond/)
    const strange = await give(world, settings, { source: { rotation: 180 } }, 2)
    assert.match(strange.message ?? '', /rotation/, 'a stream has none')
    assert.is(world.restarts, 0)
    assert.is((await world.start()).ack?.state, 'refused', 'the answer outlives a restart')
  }))

test('nothing that names files, programs, addresses or whom to trust can be changed from afar', async () => {
  for (const settings of [
    { source: { address: 'rtsp://elsewhere' } },
    { source: { program: '/bin/sh' } },
    { source: { kind: 'replay' } },
    { broker: { url: 'mqtts://elsewhere:1' } },
    { listKeysFile: 'keys-of-another.pem' },
    { upload: 'all' },
    { retention: { unmatchedDays: 1 } },
    { dataFolder: '/' },
  ]) {
    const targetId = newId()
    await inWorld(async (world) => {
      const envelope = sealed(settings as CameraSettings, 1, targetId)
      const ack = await (await world.start()).take(targetId, envelope, world.command())
      assert.is(ack.state, 'refused', JSON.stringify(settings))
    })
  }
})

test('a command is taken once, for this camera, signed, in time, and never an older version', () =>
  inWorld(async (world) => {
    const settings = await world.start()
    const [first, second] = [newId(), newId()]
    const command = world.command()
    const taken = await settings.take(first, sealed(FASTER, 5, first), command)
    assert.equal(await settings.take(first, sealed(FASTER, 5, first), command), taken, 'said again')
    assert.is(world.restarts, 1)
    const state = async (change: Record<string, unknown>, version = 9) =>
      (await settings.take(second, sealed(FASTER, version, second, change), command)).message
    assert.is(await state({ cameraId: 'south' }), 'for another camera')
    assert.is(await state({ agency: 'shelbyville' }), 'for another camera')
    assert.is(await state({ targetId: first }), 'of another turn than its topic says')
    assert.is(await state({ expiresAtMs: NOW_MS }), 'too late')
    world.clockState.state = 'unsynced'
    assert.is(await state({ expiresAtMs: NOW_MS }), 'version 5 is being tried', 'without a clock nobody knows')
    const stranger = createSigner(newSigningKeyPem().privateKeyPem)
    const forged = Buffer.from(JSON.stringify(stranger.seal(sealed(FASTER, 9, second))))
    assert.is((await settings.take(second, forged, command)).state, 'refused')
    assert.match((await settings.take(newId(), Buffer.from('{'), command)).message ?? '', /not JSON/)
    world.framesASecond = 1
    const tried = await world.start()
    await tried.run(world.command(), new AbortController().signal)
    const third = newId()
    assert.match((await tried.take(third, sealed({}, 5, third), command)).message ?? '', /version 5 has been here/)
  }))

test('settings of the greatest length are taken, one byte more is not', () =>
  inWorld(async (world) => {
    const settings = await world.start()
    const night = (pad: number) => ({ source: { night: null, settings: { x: 'x'.repeat(pad) } } }) as CameraSettings
    const least = JSON.stringify(night(0)).length
    const over = await give(world, settings, night(MAX_SETTINGS_BYTES - least + 1), 1)
    assert.is(over.message, `more than ${MAX_SETTINGS_BYTES} bytes of settings`)
    const fits = await give(world, settings, night(MAX_SETTINGS_BYTES - least), 2)
    assert.not.match(fits.message ?? '', /bytes of settings/, 'this kind of source refuses it for what it is')
  }))

test('a damaged file and settings that no longer fit leave the camera with its own', () =>
  inWorld(async (world) => {
    writeFileSync(join(world.folder, SETTINGS_FILE), '{"kept":')
    assert.equal((await world.start()).config, OWN)
    await give(world, await world.start(), FASTER, 1)
    world.framesASecond = 1
    await (await world.start()).run(world.command(), new AbortController().signal)
    const file = join(world.folder, SETTINGS_FILE)
    const stored = JSON.parse(readFileSync(file, 'utf8'))
    stored.kept.settings.vision.minConfidence = 7
    writeFileSync(file, JSON.stringify(stored))
    assert.equal((await world.start()).config, OWN)
  }))

test('settings are laid over field by field, and a group such as the night replaces the one of before', () => {
  const night = { fromUtc: '20:00', toUtc: '05:00', settings: { iso: '1600' } }
  const camera = edgeConfigSchema.parse({
    ...OWN,
    source: { kind: 'gphoto2', settings: { iso: '400', aperture: '8' }, night },
  })
  const { source, logLevel } = withSettings(camera, { source: { settings: { iso: '800' } }, logLevel: 'debug' })
  assert.equal(source.kind === 'gphoto2' && [source.settings, source.night], [{ iso: '800' }, night])
  assert.is(logLevel, 'debug')
})

/** The camera after it has tried and kept them. */
async function keep(world: World, settings: CameraSettings, version: number): Promise<Settings> {
  await give(world, await world.start(), settings, version)
  const tried = await world.start()
  world.framesASecond = 5
  await tried.run(world.command(), new AbortController().signal)
  assert.equal(tried.inForce, { version, trial: false, changed: [] })
  return world.start()
}

test('what somebody sets at the camera takes the place of what was kept of that field, until newer settings come', () =>
  inWorld(async (world) => {
    const rate = ({ config: { source } }: Settings) => (source.kind === 'stream' ? source.framesPerSecond : null)
    assert.is(rate(await keep(world, FASTER, 3)), 20)
    // Set to what the unit's own file says already: only the name of the time tells.
    world.own = { ...OWN, setHere: { 'source.framesPerSecond': 'one', 'source.night': 'one' } }
    const after = await world.start()
    assert.equal([rate(after), after.config.vision.minConfidence], [10, 0.4], 'the other field stays')
    assert.equal(after.inForce, { version: 3, trial: false, changed: ['source.framesPerSecond'] })
    assert.equal(await keptSettings(join(world.folder, SETTINGS_FILE), world.own, silentLog), {
      ...{ source: {}, vision: { minConfidence: 0.4 } },
    })
    assert.is((await give(world, after, FASTER, 3)).state, 'refused', 'the floor stays')
    assert.is(rate(await keep(world, FASTER, 4)), 20, 'newer ones are meant for the camera as it is now')
    world.own = { ...OWN, setHere: { 'source.framesPerSecond': 'two' } }
    assert.is(rate(await world.start()), 10)
    world.own = { ...OWN, setHere: {} }
    assert.is(rate(await world.start()), 20, 'it was taken back at the camera')
  }))

test('settings of a roll-out of before leave every field that somebody has set at the camera', () =>
  inWorld(async (world) => {
    world.own = { ...OWN, setHere: { 'source.framesPerSecond': 'one', 'source.night': 'one' } }
    const rate = ({ config: { source } }: Settings) => (source.kind === 'stream' ? source.framesPerSecond : null)
    const strange = { source: { framesPerSecond: 20, rotation: 180 } }
    assert.is((await give(world, await world.start(), strange, 4, { keepSetHere: true })).state, 'refused')
    assert.is((await give(world, await world.start(), FASTER, 5, { keepSetHere: true })).state, 'probation')
    const tried = await world.start()
    const changed = ['source.framesPerSecond']
    assert.equal([rate(tried), tried.config.vision.minConfidence], [10, 0.4])
    assert.equal(tried.inForce, { version: 5, trial: true, changed })
    world.framesASecond = 5
    await tried.run(world.command(), new AbortController().signal)
    const kept = await world.start()
    assert.equal([rate(kept), kept.inForce], [10, { version: 5, trial: false, changed }])
    world.own = { ...OWN, setHere: {} }
    assert.is(rate(await world.start()), 20, 'it was taken back at the camera')
    world.own = { ...OWN, setHere: { 'source.framesPerSecond': 'one' } }
    assert.is(rate(await keep(world, FASTER, 6)), 20, 'the next roll-out is meant for the camera as it is now')
  }))

test('the view is learned anew when the camera’s own aim is another, or that from afar', () =>
  inWorld(async (world) => {
    const aim = async () => (await world.start()).config.vision.aim
    const aimed = (own: string) => ({ ...OWN, vision: { ...OWN.vision, aim: own } })
    world.own = aimed('one')
    assert.is(await aim(), 'one')
    await keep(world, { vision: { aim: 'east lane' } }, 3)
    const first = await aim()
    world.own = { ...aimed('two'), setHere: { 'vision.aim': 'x' } }
    const names = [first, await aim()]
    world.own = aimed('one')
    assert.is(await aim(), first)
    await keep(world, { vision: { aim: 'west lane' } }, 4)
    names.push(await aim())
    assert.is(new Set(names).size, 3)
    assert.ok(names.every((name) => name.length <= MAX_AIM))
  }))

test('the set-up page is told of nothing that the camera would not take', () =>
  inWorld(async (world) => {
    const file = join(world.folder, SETTINGS_FILE)
    assert.equal(await keptSettings(file, OWN, silentLog), {})
    await keep(world, { source: { framesPerSecond: 20 } }, 3)
    assert.equal(await keptSettings(file, OWN, silentLog), { source: { framesPerSecond: 20 } })
    const other = edgeConfigSchema.parse({ ...OWN, source: { kind: 'rpicam' } })
    const { kept } = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(
      file,
      JSON.stringify({
        ...{ trial: null, newest: 9, ack: null },
        kept: { ...kept, settings: { source: { stallMs: 'x' } } },
      }),
    )
    assert.equal(await keptSettings(file, other, silentLog), {})
    writeFileSync(file, 'no JSON')
    assert.equal(await keptSettings(file, OWN, silentLog), {})
    assert.equal(await keptSettings(world.folder, OWN, silentLog), {}, 'cannot be read')
  }))

test('settings that cannot be read any more are none, and the camera starts with its own', () =>
  inWorld(async (world) => {
    mkdirSync(join(world.folder, SETTINGS_FILE))
    const settings = await world.start()
    assert.equal([settings.config, settings.inForce.version], [OWN, 0])
  }))

test.run()

/**
 * Settings and releases from an administrator's command to a real camera process and back. What installs a release is the system's own
 * updater, a program of root: here this test says what that would say (`./scripts/hil image` has the real one).
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../cloud/testing.ts'
import { MAX_TRIAL_STARTS, SETTINGS_FILE } from '../../edge/roll-out/settings.ts'
import { INSTALL_FILE } from '../../edge/roll-out/update.ts'
import { silentLog } from '../../shared/log.ts'
import { enrolCamera, type RunningCamera, startCamera, writeEdgeConfig } from '../trial/cameras.ts'
import { openTrialCloud, type TrialCloud } from '../trial/cloud.ts'
import { candor, SCENES } from '../trial/commands-testing.ts'

const CAMERA = 'elm-st-1'

interface World {
  folder: string
  trial: TrialCloud
  /** Starts the camera again; the one of before is killed. */
  startCamera(): void
  killCamera(): Promise<void>
  administrator(...args: string[]): Promise<string>
  turn(number: number): Promise<{ state: string; message: string | null }>
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-roll-out-'))
  const trial = await openTrialCloud(join(folder, 'cloud'), 'springfield', silentLog)
  const camera = join(folder, 'camera')
  const running: RunningCamera[] = []
  try {
    await enrolCamera(trial.https, trial.administratorToken, CAMERA, camera)
    const file = await writeEdgeConfig(camera, {
      ...{ agency: 'springfield', camera: CAMERA, mqttPort: trial.cloud.mqttPort, framesFolder: SCENES },
      ...{ framesPerSecond: 2, loop: true, repeatWindowMs: 0, exitWhenDone: false },
    })
    const config = JSON.parse(readFileSync(file, 'utf8'))
    const updates = { folder: join(folder, 'updates'), statusFile: join(folder, 'status.json') }
    await writeFile(file, JSON.stringify({ ...config, updates, healthIntervalMs: 1_000 }))
    await writeFile(join(folder, 'admin.password'), trial.administrator.password)
    await writeFile(join(folder, 'ca.pem'), trial.cloud.caPem)
    const environment = {
      ...{ CANDOR_CLOUD: trial.https.origin, CANDOR_CA: join(folder, 'ca.pem'), CANDOR_ACCOUNT: 'admin' },
      ...{ CANDOR_PASSWORD_FILE: join(folder, 'admin.password'), CANDOR_SESSION: join(folder, 'admin.session') },
    }
    await work({
      folder,
      trial,
      startCamera() {
        running.push(startCamera(CAMERA, camera, file))
      },
      async killCamera() {
        running.at(-1)?.kill()
        await running.at(-1)?.exited
      },
      async administrator(...args) {
        const { code, out, err } = await candor(args, environment)
        assert.is(code, 0, err)
        return out
      },
      async turn(number) {
        const { turns } = await trial.cloud.parts.rollOuts.get(number)
        return turns[0] ?? (assert.unreachable('no turn') as never)
      },
    })
  } finally {
    for (const one of running) one.kill()
    await Promise.all(running.map(({ exited }) => exited))
    await trial.cloud.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

const isOnline = async ({ trial }: World) => (await trial.cloud.parts.cameras.counts()).online === 1

test('settings are tried by the camera that reads plates, confirmed, refused, and taken back when it dies of them', async () => {
  await inWorld(async (world) => {
    world.startCamera()
    await until('it is online', () => isOnline(world))
    const settings = join(world.folder, 'settings.json')
    const roll = async (what: unknown) => {
      await writeFile(settings, JSON.stringify(what))
      return world.administrator(
        ...['roll-out', 'start', '--settings', settings, '--stages', '100', '--reason', 'a steep street'],
      )
    }
    assert.match(await roll({ source: { framesPerSecond: 3 } }), /^Roll-out 1 of settings: running, stage 1 of 1/)
    await until('the camera tries it', async () => (await world.turn(1)).state === 'probation')
    const kept = () => JSON.parse(readFileSync(join(world.folder, 'camera', 'data', SETTINGS_FILE), 'utf8'))
    await until('it is confirmed', async () => (await world.turn(1)).state === 'confirmed')
    assert.equal(kept().kept.settings, { source: { framesPerSecond: 3 } })
    await until('the roll-out is done', async () => (await world.administrator('roll-out', 'list')).includes('done'))

    await roll({ source: { framesPerSecond: 5_000 } })
    await until('it is refused', async () => (await world.turn(2)).state === 'refused')
    const shown = await world.administrator('roll-out', 'show', '2')
    assert.match(shown, /halted[\s\S]*elm-st-1 .*refused .*framesPerSecond/)
    assert.match(shown, /Settings, SHA-256 [0-9a-f]{64}:\n\{\n {2}"source": \{\n {4}"framesPerSecond": 5000\n/)
    await world.administrator('roll-out', 'end', '2')

    await roll({ source: { framesPerSecond: 4 } })
    await until('the camera tries it', async () => (await world.turn(3)).state === 'probation')
    for (let start = kept().trial?.starts ?? 0; start < MAX_TRIAL_STARTS; start++) {
      await world.killCamera()
      world.startCamera()
      await until('it has begun', () => kept().trial === null || kept().trial.starts > start)
    }
    await world.killCamera()
    world.startCamera()
    await until('it is taken back', async () => (await world.turn(3)).state === 'rolled_back')
    assert.equal([kept().trial, kept().kept.version], [null, 1])
    assert.match(await world.administrator('roll-out', 'show', '3'), /did not stay up/)

    // A unit in its place, or the same without its data folder, has none of it and is sent what stood.
    await world.killCamera()
    await rm(join(world.folder, 'camera', 'data', SETTINGS_FILE))
    world.startCamera()
    const { rollOuts } = world.trial.cloud.parts
    await until('it is sent what stood for its name', async () => {
      await rollOuts.upkeep()
      return (await world.turn(1)).state === 'probation'
    })
    await until('it is confirmed', async () => (await world.turn(1)).state === 'confirmed')
    assert.equal([kept().kept.version, kept().kept.settings], [1, { source: { framesPerSecond: 3 } }])
    await until('the cloud shows it', async () => {
      const [one] = JSON.parse(await world.administrator('fleet', 'status', '--json')).cameras
      return one.settings.version === 1 && !one.settings.trial && one.settingsMeant === 1
    })
  })
})

test('a release is fetched whole, goes on after a cut, is handed to the updater, and told of until it is confirmed', async () => {
  await inWorld(async (world) => {
    const bundle = join(world.folder, 'unit.raucb')
    const bytes = randomBytes(9_000_000)
    await writeFile(bundle, bytes)
    await writeFile(`${bundle}.json`, JSON.stringify({ version: '1.4.0', compatible: 'candor-arm64' }))
    assert.match(
      await world.administrator('release', 'add', bundle, '--notes', 'a new reader'),
      /Release 1\.4\.0 for candor-arm64/,
    )
    const [release] = JSON.parse(await world.administrator('release', 'list', '--json'))
    const updates = join(world.folder, 'updates')
    // What a power cut left of an earlier attempt, and a release of before that nobody needs any more.
    await mkdir(updates)
    await writeFile(join(updates, `${release.sha256}.raucb.part`), bytes.subarray(0, 4_000_000))
    await writeFile(join(updates, `${'0'.repeat(64)}.raucb`), 'of before')
    world.startCamera()
    await until('it is online', () => isOnline(world))
    await world.administrator('roll-out', 'start', '--release', '1.4.0', '--stages', '100', '--reason', 'a new reader')
    await until('the updater has its order', () => existsSync(join(updates, INSTALL_FILE)))
    const order = JSON.parse(readFileSync(join(updates, INSTALL_FILE), 'utf8'))
    assert.equal([order.version, order.bundle], ['1.4.0', `${release.sha256}.raucb`])
    assert.ok(readFileSync(join(updates, order.bundle)).equals(bytes))
    assert.not.ok(existsSync(join(updates, `${'0'.repeat(64)}.raucb`)))
    const say = (state: string, message: string | null = null) =>
      writeFile(join(world.folder, 'status.json'), JSON.stringify({ id: order.id, state, message }))
    await say('installed')
    await until('it is on trial', async () => (await world.turn(1)).state === 'probation')
    await world.killCamera()
    await say('confirmed')
    world.startCamera()
    await until('it is confirmed', async () => (await world.turn(1)).state === 'confirmed')
    assert.match(await world.administrator('roll-out', 'list'), /1 +image +done +100 % +1 confirmed/)
  })
})

test.run()

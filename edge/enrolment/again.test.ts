/** A camera that is enrolled again by a new claim, against a real cloud; and the exchange of its folder, cut short at every step. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { codeOf, inCloud, makeSighting, publishSighting, type TestCloud, until } from '../../cloud/testing.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { loadEdgeConfig } from '../config.ts'
import { createIdentity } from '../identity.ts'
import { enrolAgain, finishAgain, finishAllAgain } from './again.ts'
import { type EnrolDeps, enrolUnit, readClaim, type UnitClaim } from './enrol.ts'

const CANDOR = fileURLToPath(new URL('../../scripts/candor.ts', import.meta.url))
const A = 'elm-st-1'
const VIEW = {
  region: null,
  masks: [
    [
      [0, 0],
      [0.5, 0],
      [0, 0.5],
    ],
  ],
}
const SETTINGS = {
  ...{ source: { kind: 'stream', address: 'rtsp://10.0.0.9/1' }, view: VIEW, broker: { keepaliveSeconds: 17 } },
  ...{ upload: 'matches-only', healthIntervalMs: 7_000 },
}
const clock: Clock = { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(20, signal) }
const never = new AbortController().signal

async function claimFor(world: TestCloud, camera: string, replaces: boolean): Promise<UnitClaim> {
  const { enrolment } = world.cloud.parts
  const { claim, code } = await enrolment.claim({ camera, site: null, hours: 72, replaces }, 'tess')
  const read = readClaim(
    JSON.stringify({
      ...{ candorClaim: 1, cloud: `https://localhost:${world.cloud.httpsPort}`, agency: 'springfield', camera, code },
      ...{ caPem: world.cloud.caPem, madeAtMs: claim.madeAtMs },
    }),
  )
  return 'file' in read ? read.file : (assert.unreachable() as never)
}

/** An administrator who approves as soon as somebody asks. */
function approving(world: TestCloud, camera = A): EnrolDeps {
  let fingerprint = ''
  let isApproved = false
  return {
    ...{ clock, random: () => 0, onTrouble: () => {}, onClockOff: () => {} },
    onKey(shown) {
      fingerprint = shown
    },
    onPending() {
      if (!isApproved) void world.cloud.parts.enrolment.approve(camera, fingerprint, 'ada')
      isApproved = true
    },
  }
}

/** The folder of a camera that was enrolled by its claim, with what else may lie in it. */
async function withCamera(work: (folder: string, world: TestCloud, first: UnitClaim) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'candor-again-'))
  try {
    await inCloud(async (world) => {
      const folder = join(root, 'camera')
      const claim = await claimFor(world, A, false)
      await enrolUnit({ claim, folder, settings: SETTINGS }, approving(world), never)
      writeFileSync(join(folder, 'camera-login'), 'user:secret', { mode: 0o600 })
      writeFileSync(join(folder, 'edge.json.previous'), '{}')
      mkdirSync(join(root, 'disk'))
      writeFileSync(join(root, 'disk', 'kept'), 'on a large disk')
      symlinkSync('../disk', join(folder, 'recordings'))
      mkdirSync(join(folder, 'data'))
      writeFileSync(join(folder, 'data', 'outbox.db'), 'what waits')
      await work(folder, world, claim)
    })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8')
const shows = (folder: string) => ({ key: read(folder, 'key.pem'), cert: read(folder, 'certificate.pem') })

test('a camera that is enrolled again works by its old certificate until the new one connects, and keeps all but its identity', async () => {
  await withCamera(async (folder, world) => {
    const old = shows(folder)
    const config = read(folder, 'edge.json')
    const running = await world.connectCamera(A, old)
    let pending = 0
    const deps = approving(world)
    const ended = enrolAgain(
      // The card may say all sorts of things; of what the unit has been set to since, it changes nothing.
      {
        ...{ claim: await claimFor(world, A, true), folder },
        settings: { source: { kind: 'replay', path: '/x' }, view: { masks: [] }, upload: 'matches-only' },
      },
      {
        ...deps,
        onPending() {
          pending += 1
          if (pending > 3) deps.onPending(A)
        },
      },
      never,
    )
    await until('it waits for its approval', () => pending > 1)
    assert.equal([shows(folder), read(folder, 'edge.json')], [old, config], 'meanwhile it is what it was')
    assert.is(await publishSighting(running, makeSighting(world.clock)), 'acknowledged')
    const { camera, expiresAtMs } = await ended
    assert.is(camera, A)
    assert.ok(expiresAtMs > world.clock.nowMs())
    assert.is(await publishSighting(running, makeSighting(world.clock)), 'acknowledged', 'nor by the approval')

    const now = loadEdgeConfig(join(folder, 'edge.json'), null)
    const { written: _written, ...kept } = JSON.parse(read(folder, 'edge.json'))
    const { written: _before, ...before } = JSON.parse(config)
    assert.equal(kept, before)
    assert.equal([now.view, now.broker.keepaliveSeconds, now.upload], [VIEW, 17, 'matches-only'])
    assert.equal(readdirSync(folder).sort(), [
      ...['ca.pem', 'camera-login', 'certificate.pem', 'claim.used', 'data', 'edge.json'],
      ...['key.pem', 'list-keys.pem', 'recordings', 'sealing.pem'],
    ])
    assert.equal([read(folder, 'camera-login'), read(folder, 'data/outbox.db')], ['user:secret', 'what waits'])
    assert.is(read(folder, 'recordings/kept'), 'on a large disk', 'a link leads where it did')
    assert.equal(readdirSync(join(folder, '..')), ['camera', 'disk'], 'nothing of before is left')

    assert.is.not(shows(folder).key, old.key)
    const anew = await world.connectCamera(A, shows(folder))
    assert.is(await publishSighting(anew, makeSighting(world.clock)), 'acknowledged')
    assert.is(await world.cloud.parts.enrolment.alarms(), 0)
  })
})

test('a camera that was revoked by mistake, and had renewed its certificate before, is let in again', async () => {
  await withCamera(async (folder, world) => {
    // As an older release let a person write it: nothing is read by it, and the unit can be mended.
    const source = { kind: 'gphoto2', port: 'usb:001,004' }
    writeFileSync(join(folder, 'edge.json'), JSON.stringify({ ...JSON.parse(read(folder, 'edge.json')), source }))
    const { agency, cameraId, broker, dataFolder } = loadEdgeConfig(join(folder, 'edge.json'), null)
    const identity = createIdentity({ agency, cameraId, broker, dataFolder, log: silentLog })
    const own = await identity.load()
    await identity.take(own)
    await world.cloud.parts.cameras.revoke(A, 'ada')
    const refusal = await world.connectCamera(A, { key: own.keyPem, cert: own.certificatePem }).catch(String)
    assert.match(String(refusal), /Not authorized/)
    // Dates of certificates have seconds.
    await systemClock.sleep(1_100)
    await enrolAgain({ claim: await claimFor(world, A, true), folder, settings: {} }, approving(world), never)
    const { keyPem: key, certificatePem: cert } = await identity.load()
    assert.is(key, shows(folder).key, 'the newer one is shown')
    assert.equal(JSON.parse(read(folder, 'edge.json')).source, source)
    assert.is(
      await publishSighting(await world.connectCamera(A, { key, cert }), makeSighting(world.clock)),
      'acknowledged',
    )
  })
})

test('a claim for another camera is not even asked with; one by which the camera was enrolled changes nothing', async () => {
  await withCamera(async (folder, world, first) => {
    const before = shows(folder)
    const other = await claimFor(world, 'oak-st-2', false)
    const again = (claim: UnitClaim, deps = approving(world)) =>
      enrolAgain({ claim, folder, settings: {} }, deps, never)
    assert.is(await codeOf(() => again(other)), 'conflict')
    assert.is((await world.cloud.parts.enrolment.list()).find(({ camera }) => camera === 'oak-st-2')?.state, 'waiting')
    // A code alone does not say whose it is; the cloud does, before anybody could approve.
    assert.is(await codeOf(() => again({ ...other, expected: null })), 'integrity')
    assert.is((await again(first)).camera, A)
    assert.equal([shows(folder), await world.cloud.parts.enrolment.alarms()], [before, 0])
    writeFileSync(join(folder, 'edge.json'), '{"agency": 1}')
    assert.is(await codeOf(() => again({ ...other, expected: null })), 'configuration')
  })
})

test('the power cut at any step of the exchange leaves a camera, the old or the new one, and the next start the new one', async () => {
  const root = mkdtempSync(join(tmpdir(), 'candor-again-'))
  try {
    const folder = (run: string) => join(root, run, 'camera')
    const make = (at: string, files: Record<string, string>) => {
      mkdirSync(at, { recursive: true })
      for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text)
    }
    const steps: [string, (at: string) => void][] = [
      ['complete', () => {}],
      ['one file kept', (at) => writeFileSync(join(`${at}.next`, 'camera-login'), 'l')],
      [
        'the old one away',
        (at) => {
          writeFileSync(join(`${at}.next`, 'camera-login'), 'l')
          renameSync(at, `${at}.before`)
        },
      ],
      [
        'the old one away, and an empty one made',
        (at) => {
          writeFileSync(join(`${at}.next`, 'camera-login'), 'l')
          renameSync(at, `${at}.before`)
          make(at, { 'set-up': 'new' })
        },
      ],
      [
        'the old one away, what waits taken along',
        (at) => {
          writeFileSync(join(`${at}.next`, 'camera-login'), 'l')
          renameSync(at, `${at}.before`)
          renameSync(join(`${at}.before`, 'data'), join(`${at}.next`, 'data'))
        },
      ],
      [
        'the new one there',
        (at) => {
          writeFileSync(join(`${at}.next`, 'camera-login'), 'l')
          renameSync(at, `${at}.before`)
          renameSync(join(`${at}.before`, 'data'), join(`${at}.next`, 'data'))
          renameSync(`${at}.next`, at)
        },
      ],
      [
        'the new one there, as an older release left it',
        (at) => {
          writeFileSync(join(`${at}.next`, 'camera-login'), 'l')
          renameSync(at, `${at}.before`)
          renameSync(`${at}.next`, at)
        },
      ],
    ]
    for (const [name, cut] of steps) {
      const at = folder(name)
      make(at, { 'key.pem': 'old', 'edge.json': 'old', 'camera-login': 'l' })
      make(join(at, 'data'), { 'outbox.db': 'what waits' })
      make(`${at}.next`, { 'key.pem': 'new', 'edge.json': 'new' })
      cut(at)
      for (const time of [1, 2]) {
        assert.is(await finishAgain(at), time === 1, 'told once, for who runs the camera')
        assert.equal(readdirSync(join(root, name)), ['camera'], name)
        assert.equal(readdirSync(at).sort(), ['camera-login', 'data', 'edge.json', 'key.pem'], name)
        assert.equal(
          [read(at, 'key.pem'), read(at, 'edge.json'), read(at, 'data/outbox.db')],
          ['new', 'new', 'what waits'],
        )
      }
    }
    // Before it was complete: the old one stays, and so does the key that has asked.
    const early = folder('early')
    make(early, { 'key.pem': 'old', 'edge.json': 'old' })
    make(`${early}.next`, { 'key.pem': 'new' })
    assert.is(await finishAgain(early), false)
    assert.equal([read(early, 'key.pem'), read(`${early}.next`, 'key.pem')], ['old', 'new'])
    // Nothing that would be overwritten goes, and nobody is left to find it by chance: nor does a new identity then take the camera's place.
    const both = folder('both')
    make(both, { 'edge.json': 'new' })
    make(join(both, 'data'), { 'outbox.db': 'newer' })
    cpSync(both, `${both}.before`, { recursive: true })
    assert.is(await codeOf(() => finishAgain(both)), 'conflict')
    make(`${both}.next`, { 'edge.json': 'newest' })
    assert.is(await codeOf(() => finishAgain(both)), 'conflict')
    assert.equal([read(both, 'edge.json'), read(`${both}.before`, 'data/outbox.db')], ['new', 'newer'])
    rmSync(join(both, 'data'), { recursive: true })
    assert.is(await finishAgain(both), true)
    assert.equal([read(both, 'edge.json'), read(both, 'data/outbox.db')], ['newest', 'newer'])
    assert.equal(readdirSync(join(root, 'both')), ['camera'])
    await finishAgain(folder('none'))
    assert.not.ok(existsSync(folder('none')))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test('whenever the new folder stands, what waits stands in it: a camera that starts at any moment makes no other', async () => {
  const root = mkdtempSync(join(tmpdir(), 'candor-again-'))
  const at = join(root, 'camera')
  for (const [folder, name] of [
    [at, 'old'],
    [`${at}.next`, 'new'],
  ] as const) {
    mkdirSync(folder)
    writeFileSync(join(folder, 'edge.json'), name)
  }
  mkdirSync(join(at, 'data'))
  // One queue of the kernel's: in the order in which it happened.
  const seen: string[] = []
  const look = (folder: string, where: string) => watch(folder, (_kind, name) => void seen.push(`${where}/${name}`))
  const looking = [look(root, 'root'), look(`${at}.next`, 'new')]
  try {
    await finishAgain(at)
    await until('all is seen', () => seen.filter((name) => name === 'root/camera').length === 2)
    await until('what waits has come', () => seen.includes('new/data'))
    assert.ok(seen.indexOf('new/data') < seen.lastIndexOf('root/camera'), seen.join(' '))
  } finally {
    for (const one of looking) one.close()
    rmSync(root, { recursive: true, force: true })
  }
})

test('what the start of a machine finishes: where a page has begun or made a camera since, and of several cameras', async () => {
  const root = mkdtempSync(join(tmpdir(), 'candor-again-'))
  const cut = (at: string, there: Record<string, string>) => {
    for (const [folder, files] of [
      [`${at}.before`, { 'edge.json': 'old', 'key.pem': 'old' }],
      [`${at}.next`, { 'edge.json': 'new', 'key.pem': 'new' }],
      [at, there],
    ] as const) {
      mkdirSync(folder, { recursive: true })
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    }
    mkdirSync(join(`${at}.before`, 'data'))
    writeFileSync(join(`${at}.before`, 'data', 'outbox.db'), 'what waits')
  }
  try {
    // Of a camera that a technician has made there on a page, which is the newest.
    const made = join(root, 'made')
    cut(made, { 'edge.json': 'newest', 'key.pem': 'newest' })
    await finishAllAgain(made)
    assert.equal([read(made, 'key.pem'), read(made, 'data/outbox.db')], ['newest', 'what waits'])
    // The cut came when what waits had its new place already.
    const later = join(root, 'later')
    cut(later, { 'edge.json': 'newest' })
    renameSync(join(`${later}.before`, 'data'), join(`${later}.next`, 'data'))
    await finishAllAgain(later)
    assert.equal([read(later, 'edge.json'), read(later, 'data/outbox.db')], ['newest', 'what waits'])
    rmSync(later, { recursive: true })
    // A page that was begun goes, another camera's folder there does not.
    const begun = join(root, 'begun')
    cut(begun, { 'set-up': 'new' })
    cut(join(begun, 'south'), { 'set-up': 'new' })
    await finishAllAgain(begun)
    assert.equal(readdirSync(begun).sort(), ['data', 'edge.json', 'key.pem', 'south'])
    assert.equal([read(begun, 'key.pem'), read(begun, 'south/key.pem')], ['new', 'new'])
    assert.equal(readdirSync(join(begun, 'south')).sort(), ['data', 'edge.json', 'key.pem'])
    // There is no new one, and a folder was made where the camera's was.
    const lost = join(root, 'lost')
    cut(lost, { 'set-up': 'new' })
    rmSync(`${lost}.next`, { recursive: true })
    await finishAllAgain(lost)
    assert.equal([read(lost, 'key.pem'), read(lost, 'data/outbox.db')], ['old', 'what waits'])
    // Through a link that leads nowhere for the moment, as in an image; by the command that the unit starts.
    const away = join(root, 'away')
    cut(away, {})
    rmSync(away, { recursive: true })
    symlinkSync('away', join(root, 'link'))
    execFileSync(process.execPath, ['--import', 'tsx', CANDOR, 'prepare', '--folder', join(root, 'link')])
    assert.is(read(join(root, 'link'), 'key.pem'), 'new')
    assert.equal(readdirSync(root).sort(), ['away', 'begun', 'link', 'lost', 'made'])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

/** Mounts of its own, in a namespace of its own: nothing is left mounted, and no root is needed. */
const withOwnMounts = (...command: string[]) => spawnSync('unshare', ['-rm', ...command], { encoding: 'utf8' })
// Some kernels and containers allow no user namespaces; then this one says that it is skipped (scripts/allowed-skips.json).
const withMounts = withOwnMounts('mount', '-t', 'tmpfs', 'tmpfs', tmpdir()).status === 0 ? test : test.skip

/** A camera by hand whose data lie on a mount; the lines that it prints are compared. */
const MOUNTED = `
  import { execFileSync } from 'node:child_process'
  import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
  import { join } from 'node:path'
  import { enrolAgain, finishAgain } from ${JSON.stringify(new URL('./again.ts', import.meta.url).href)}
  const [root, kind] = process.argv.slice(1)
  const at = join(root, 'the camera')
  for (const folder of [at, join(at, 'data'), join(at, 'recordings'), join(root, 'disk')]) mkdirSync(folder)
  const config = { agency: 'a', cameraId: 'north', broker: { url: 'mqtts://x:1' }, source: { kind: 'rpicam' } }
  writeFileSync(join(at, 'edge.json'), JSON.stringify(config))
  const how = kind === 'bind' ? ['--bind', join(root, 'disk')] : ['-t', 'tmpfs', 'tmpfs']
  execFileSync('mount', [...how, join(at, 'data')])
  writeFileSync(join(at, 'data', 'outbox.db'), 'what waits')
  const said = []
  const look = async (work) => {
    const outcome = await work().catch(({ code, message }) => [code, message.split(' cannot be moved')[0].replace(root, '')])
    const there = ['edge.json', 'data/outbox.db', 'recordings'].filter((name) => existsSync(join(at, name)))
    said.push([outcome, there, ['next', 'before'].filter((name) => existsSync(at + '.' + name))])
  }
  const claim = { expected: { agency: 'a', camera: 'north' }, code: 'x' }
  const deps = { onKey: () => said.push('the claim is used') }
  await look(() => enrolAgain({ claim, folder: at, settings: {} }, deps, new AbortController().signal))
  mkdirSync(at + '.next')
  writeFileSync(join(at + '.next', 'edge.json'), 'new')
  await look(() => finishAgain(at))
  // As it was left before this was looked at.
  renameSync(at, at + '.before')
  await look(() => finishAgain(at))
  await look(() => finishAgain(at))
  execFileSync('umount', [join(at, 'data')])
  writeFileSync(join(at, 'data', 'outbox.db'), 'what waits')
  await look(() => finishAgain(at))
  said.push(readFileSync(join(at, 'edge.json'), 'utf8'))
  process.stdout.write(JSON.stringify(said))`

withMounts(
  'a camera with a mount in its folder stays as it is, its claim unused, and takes its new place without the mount',
  () => {
    for (const kind of ['tmpfs', 'bind']) {
      const root = mkdtempSync(join(tmpdir(), 'candor-again-'))
      try {
        const script = ['--import', 'tsx', '--input-type=module', '-e', MOUNTED, root, kind]
        const run = withOwnMounts(process.execPath, ...script)
        assert.is(run.status, 0, run.stderr)
        const all = ['edge.json', 'data/outbox.db', 'recordings']
        const refused = (where: string) => ['conflict', `/the camera${where}/data`]
        assert.equal(JSON.parse(run.stdout), [
          [refused(''), all, []],
          [refused(''), all, ['next']],
          [refused('.before'), all, ['next']],
          [refused(''), all, ['next']],
          [true, all, []],
          'new',
        ])
      } finally {
        rmSync(root, { recursive: true, force: true })
      }
    }
  },
)

test.run()

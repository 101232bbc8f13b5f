/** The whole set-up process without its page: routes, code, session, camera, ends; real HTTPS, real vision, a replayed scene. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, inCloud, type TestCloud, until } from '../../cloud/testing.ts'
import { enrol } from '../../scripts/trial/link-testing.ts'
import { type Clock, MINUTE_MS, systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import type { UsbDevice } from '../capture/usb.ts'
import { openVision } from '../vision/door.ts'
import { codeDigest } from './access.ts'
import { newPageCertificate } from './certificate.ts'
import { codeFileText } from './code-file.ts'
import { USED_CODE_FILE, undo } from './draft.ts'
import { CLOSE_IDLE_MS, LOOK_WAIT_MS, OPEN_TRIES, PAGE_LIFE_MS, SESSION_IDLE_MS, STUCK_MS, TICK_MS } from './limits.ts'
import { type RunningSetup, runSetup, systemSetupDeps } from './main.ts'
import { COOKIE, type Route } from './server.ts'

/** For one frame, as in the tests of vision: an emulated processor is slower than any camera. */
const FRAME_MS = 120_000
const SCENE = fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-003.jpg', import.meta.url))
const SHOWN = { kind: 'replay', path: SCENE, loop: true }
const [LEFT, RIGHT] = ['KLH4N93', 'HHW6462']
/** A mask that hides the left plate. */
const OVER_LEFT = [
  [0.2, 0.64],
  [0.36, 0.64],
  [0.36, 0.8],
  [0.2, 0.8],
]
const LOOPBACK = { lo: [{ address: '127.0.0.1', family: 'IPv4', cidr: '127.0.0.1/8' } as NetworkInterfaceInfo] }

interface World {
  folder: string
  running: RunningSetup
  /** All that was said on the console and in the log. */
  said(): string
  code(): string
  /** Moves the monotonic clock, and lets the process look at it. */
  pass(ms: number): void
  ask(method: Route['method'], path: string, json?: unknown, cookie?: string): Promise<Given>
  /** With the newest code; returns its cookie, which `ask` has from then on. */
  logIn(): Promise<string>
}

interface Given {
  status: number
  bytes: Buffer
  json: Record<string, never> & { error?: { code: string } }
  cookie: string
}

interface Options {
  usb?: UsbDevice[]
  /** `scene`: with a configuration that shows one; `enrolled`: with certificates of a real cloud besides. */
  unit?: 'new' | 'scene' | 'enrolled'
  /** Of a unit with a configuration; else the scene. */
  source?: object
  codeFile?: string | null
  settingsFile?: string | null
}

async function withSetup(
  { unit = 'new', source = SHOWN, codeFile = null, settingsFile = null, usb = [] }: Options,
  work: (world: World) => Promise<void>,
): Promise<void> {
  const configure = (folder: string, broker: string) => {
    const config = { agency: AGENCY, cameraId: 'north', broker: { url: broker }, source }
    writeFileSync(join(folder, 'edge.json'), JSON.stringify(config))
  }
  if (unit === 'enrolled') {
    await inCloud(async (cloud) => {
      const folder = await enrol(cloud, 'north')
      configure(folder, `mqtts://localhost:${cloud.cloud.mqttPort}`)
      await inFolder(folder, { codeFile, usb }, work)
    })
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'candor-setup-'))
  try {
    if (unit === 'scene') configure(folder, 'mqtts://localhost:1')
    await inFolder(folder, { codeFile, settingsFile, usb }, work)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function inFolder(
  folder: string,
  { codeFile = null, settingsFile = null, usb = [] }: Options,
  work: (world: World) => Promise<void>,
): Promise<void> {
  const said: string[] = []
  let offMs = 0
  const clock: Clock = {
    nowMs: systemClock.nowMs,
    monotonicMs: () => systemClock.monotonicMs() + offMs,
    sleep: (ms, signal) => systemClock.sleep(ms === TICK_MS ? 20 : ms, signal),
  }
  const log = createLog({ level: 'debug', part: 'setup', target: { write: (line) => void said.push(line) } })
  const running = await runSetup(
    { configFile: join(folder, 'edge.json'), port: 0, codeFile, settingsFile },
    {
      ...systemSetupDeps(log),
      openVision: (config, ...more) => openVision({ ...config, frameTimeoutMs: FRAME_MS }, ...more),
      clock,
      interfaces: () => LOOPBACK,
      usbDevices: async () => usb,
      say: (line) => void said.push(line),
    },
  )
  let kept = ''
  const world: World = {
    folder,
    running,
    said: () => said.join('\n'),
    code: () => [...said.join('\n').matchAll(/code (\S+)/g)].at(-1)?.[1] ?? '',
    pass(ms) {
      offMs += ms
    },
    ask: (method, path, json, cookie = kept) => send(running, method, path, json, cookie),
    async logIn() {
      const { status, cookie } = await world.ask('POST', '/api/login', { code: world.code() }, '')
      assert.is(status, 200)
      kept = cookie
      return cookie
    },
  }
  try {
    await work(world)
  } finally {
    await running.close()
  }
}

function send(running: RunningSetup, method: string, path: string, json: unknown, cookie: string): Promise<Given> {
  return new Promise((resolve, reject) => {
    const origin = `https://127.0.0.1:${running.port}`
    const headers = { origin, cookie, 'content-type': 'application/json' }
    // Whose certificate this is, server.test.ts and the end-to-end test look at.
    const asked = request(
      `${origin}${path}`,
      { method, headers, rejectUnauthorized: false, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const bytes = Buffer.concat(chunks)
          const isJson = answer.headers['content-type'] === 'application/json'
          const [set = ''] = answer.headers['set-cookie'] ?? []
          resolve({
            status: answer.statusCode ?? 0,
            bytes,
            json: isJson ? JSON.parse(bytes.toString()) : {},
            cookie: set.split(';')[0] ?? '',
          })
        })
      },
    )
    asked.on('error', reject)
    asked.end(method === 'POST' ? JSON.stringify(json ?? {}) : undefined)
  })
}

/** The JSON in front of the picture, and the picture. */
function lookIn({ bytes }: Given): { reads: { plate: string | null }[]; sharpness: number; seq: number; jpeg: Buffer } {
  const length = bytes.readUInt32BE(0)
  return { ...JSON.parse(bytes.subarray(4, 4 + length).toString()), jpeg: bytes.subarray(4 + length) }
}

/** A picture newer than `after`; while vision still loads, some answers are empty. */
async function nextLook({ ask }: Pick<World, 'ask'>, after = 0): Promise<ReturnType<typeof lookIn>> {
  for (let n = 0; n < FRAME_MS / LOOK_WAIT_MS; n += 1) {
    const given = await ask('GET', `/api/look?after=${after}`)
    if (given.status === 200) return lookIn(given)
    assert.is(given.status, 204)
  }
  throw new Error('there was no picture')
}

const SECRET_ROUTES: readonly [Route['method'], string][] = [
  ...(['/api/state', '/api/look'] as const).map((path): [Route['method'], string] => ['GET', path]),
  ...['logout', 'here', 'view', 'exposure', 'source', 'checks', 'claim', 'finish'].map(
    (name): [Route['method'], string] => ['POST', `/api/${name}`],
  ),
]

test('without the one session no route but the page and the log-in answers, and the cookie cannot leave the browser', async () => {
  await withSetup({ unit: 'scene' }, async ({ ask, logIn, folder }) => {
    const before = readFileSync(join(folder, 'edge.json'), 'utf8')
    for (const cookie of ['', `${COOKIE}=guess`]) {
      for (const [method, path] of SECRET_ROUTES) {
        const { status, json } = await ask(method, path, { region: null, masks: [] }, cookie)
        assert.is(status, 401, `${method} ${path}`)
        assert.is(json.error?.code, 'unauthenticated')
      }
      for (const path of ['/', '/page.js', '/style.css', '/icon.svg'])
        assert.is((await ask('GET', path, undefined, cookie)).status, 200)
    }
    assert.is(readFileSync(join(folder, 'edge.json'), 'utf8'), before)
    const cookie = await logIn()
    assert.match(cookie, new RegExp(`^${COOKIE}=[\\w-]{43}$`))
    assert.is((await ask('GET', '/api/state')).status, 200)
    // Logged out, the cookie is worth nothing.
    assert.is((await ask('POST', '/api/logout')).status, 200)
    assert.is((await ask('GET', '/api/state')).status, 401)
  })
})

test('five wrong codes make a new one and a pause, and neither code nor plate ever stands in a log', async () => {
  await withSetup({ unit: 'scene' }, async ({ ask, code, pass, logIn, said }) => {
    const first = code()
    const statuses: number[] = []
    for (let n = 0; n < 5; n += 1) statuses.push((await ask('POST', '/api/login', { code: '0000-0000' }, '')).status)
    assert.equal(statuses, [401, 401, 401, 401, 429])
    assert.is.not(code(), first)
    assert.is((await ask('POST', '/api/login', { code: code() }, '')).status, 429)
    pass(30_000)
    await logIn()
    assert.is((await ask('POST', '/api/login', { code: first }, '')).status, 409)
    assert.ok((await nextLook({ ask })).reads.some(({ plate }) => plate === LEFT))
    for (const plate of [LEFT, RIGHT]) assert.not.ok(said().includes(plate))
    assert.not.ok(
      said()
        .split('\n')
        .some((line) => line.startsWith('{') && line.includes(first)),
    )
  })
})

test('a mask holds from the next picture on, is not stored before the end, and then is; the end closes the page', async () => {
  await withSetup({ unit: 'enrolled' }, async ({ ask, logIn, running, folder }) => {
    await logIn()
    const plates = async () => (await nextLook({ ask })).reads.map(({ plate }) => plate)
    const before = await plates()
    assert.ok(before.includes(LEFT) && before.includes(RIGHT))
    assert.is((await ask('POST', '/api/view', { region: null, masks: [OVER_LEFT] })).status, 200)
    assert.equal(await plates(), [RIGHT])
    assert.not.ok(readFileSync(join(folder, 'edge.json'), 'utf8').includes('masks'))
    for (const wrong of [
      { region: null, masks: [OVER_LEFT.slice(2)] },
      { masks: 'x' },
      { region: null, masks: [], more: 1 },
      [],
    ])
      assert.is((await ask('POST', '/api/view', wrong)).status, 400)
    assert.equal(await plates(), [RIGHT])
    assert.is((await ask('POST', '/api/finish')).status, 200)
    assert.is(await running.ended, 'finished')
    assert.equal(JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8')).view.masks, [OVER_LEFT])
    assert.ok(
      await ask('GET', '/').then(
        () => false,
        () => true,
      ),
    )
  })
})

async function claimIn(cloud: TestCloud, camera: string): Promise<string> {
  const { claim, code } = await cloud.cloud.parts.enrolment.claim(
    { camera, site: null, hours: 72, replaces: false },
    'tess',
  )
  return JSON.stringify({
    ...{ candorClaim: 1, cloud: `https://localhost:${cloud.cloud.httpsPort}`, agency: AGENCY, camera, code },
    ...{ caPem: cloud.cloud.caPem, madeAtMs: claim.madeAtMs },
  })
}

test('source and masks that the card gives are seen on the page before there is a claim, and stand in the configuration at the end', async () => {
  await inCloud(async (cloud) => {
    const settingsFile = join(cloud.folder, 'settings.json')
    const source = { kind: 'replay', path: SCENE, loop: true }
    const view = { region: null, masks: [OVER_LEFT] }
    writeFileSync(settingsFile, JSON.stringify({ source, view, healthIntervalMs: 7_000 }))
    await withSetup({ settingsFile }, async ({ ask, logIn, running, folder }) => {
      await logIn()
      const plates = async () => (await nextLook({ ask })).reads.map(({ plate }) => plate)
      assert.equal(await plates(), [RIGHT], 'the source is open, and masked')
      assert.is((await ask('POST', '/api/claim', { text: await claimIn(cloud, 'north') })).status, 200)
      const claim = async () =>
        (await ask('GET', '/api/state')).json.claim as unknown as { state: string; fingerprint: string }
      await until('it waits', async () => (await claim()).state === 'waiting')
      await cloud.cloud.parts.enrolment.approve('north', (await claim()).fingerprint, 'ada')
      await until('it is a camera', async () => (await claim()).state === 'done')
      assert.equal(await plates(), [RIGHT])
      assert.is((await ask('POST', '/api/finish')).status, 200)
      assert.is(await running.ended, 'finished')
      const config = JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8'))
      assert.equal([config.view, config.healthIntervalMs, config.source.path], [view, 7_000, SCENE])
    })
  })
})

test('each picture is newer than the one before, and no more than two are waited for at once', async () => {
  await withSetup({ unit: 'scene' }, async ({ ask, logIn }) => {
    await logIn()
    const first = await nextLook({ ask })
    const second = await nextLook({ ask }, first.seq)
    assert.ok(second.seq > first.seq)
    assert.ok(second.sharpness > 0.2)
    const three = await Promise.all([1, 2, 3].map(() => ask('GET', '/api/look?after=0')))
    assert.is(three.filter(({ status }) => status === 413).length, 1)
  })
})

test('a log-in that nobody uses ends, and asking for pictures is no use; a touch is', async () => {
  await withSetup({ unit: 'scene' }, async ({ ask, logIn, pass, code }) => {
    await logIn()
    pass(SESSION_IDLE_MS - 2 * MINUTE_MS)
    assert.is((await ask('GET', '/api/state')).status, 200)
    assert.is((await ask('POST', '/api/here')).status, 200)
    pass(SESSION_IDLE_MS - 2 * MINUTE_MS)
    await nextLook({ ask })
    const before = code()
    pass(2 * MINUTE_MS)
    assert.is((await ask('GET', '/api/state')).status, 401)
    await until('there is a new code', () => code() !== before)
    await logIn()
  })
})

test('without any use the whole page ends after an hour, and not a moment before', async () => {
  await withSetup({}, async ({ pass, running, ask }) => {
    pass(CLOSE_IDLE_MS - MINUTE_MS)
    await systemClock.sleep(60)
    assert.is((await ask('GET', '/')).status, 200)
    pass(MINUTE_MS)
    assert.is(await running.ended, 'unused')
    assert.ok(
      await ask('GET', '/').then(
        () => false,
        () => true,
      ),
    )
  })
})

test('a page that is used all the time ends after its longest life, and not before', async () => {
  await withSetup({}, async ({ pass, running, ask, logIn }) => {
    await logIn()
    const stepMs = SESSION_IDLE_MS - 5 * MINUTE_MS
    for (let passedMs = stepMs; passedMs < PAGE_LIFE_MS; passedMs += stepMs) {
      pass(stepMs)
      assert.is((await ask('POST', '/api/here')).status, 200)
    }
    await systemClock.sleep(60)
    assert.is((await ask('GET', '/api/state')).status, 200)
    pass(stepMs)
    assert.is(await running.ended, 'unused')
  })
})

test('the certificate that lies beside the first code is the page’s, until that code was used', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-given-'))
  try {
    const certificate = newPageCertificate(['candor-unit'], Date.now())
    const codeFile = join(folder, 'setup-code')
    writeFileSync(codeFile, codeFileText({ code: 'ABCDEFGH', certificate }))
    const shown = async () => {
      const deps = { ...systemSetupDeps(createLog({ level: 'silent', part: 'test' })), interfaces: () => LOOPBACK }
      const lines: string[] = []
      const say = (line: string) => void lines.push(line)
      const running = await runSetup({ configFile: join(folder, 'edge.json'), port: 0, codeFile }, { ...deps, say })
      const peer = await new Promise<string>((resolve, reject) => {
        const socket = connect({ port: running.port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256)
          socket.destroy()
        })
        socket.on('error', reject)
      })
      await running.close()
      assert.match(lines.join('\n'), peer)
      return peer
    }
    assert.is(await shown(), certificate.fingerprint)
    writeFileSync(join(folder, USED_CODE_FILE), codeDigest('ABCDEFGH'))
    assert.is.not(await shown(), certificate.fingerprint)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a port that another program has is asked for again, and as soon as it is free the page is there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-port-'))
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  let looks = 0
  let freeAt = Number.POSITIVE_INFINITY
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      if (ms !== TICK_MS) return systemClock.sleep(ms, signal)
      looks += 1
      if (looks === freeAt) await new Promise((resolve) => other.close(resolve))
      await systemClock.sleep(20, signal)
    },
  }
  const deps = { ...systemSetupDeps(createLog({ level: 'silent', part: 'test' })), clock, interfaces: () => LOOPBACK }
  const open = () =>
    runSetup({ configFile: join(folder, 'edge.json'), port, codeFile: null }, { ...deps, say: () => {} })
  try {
    assert.is(await codeOf(open), 'unavailable')
    assert.is(looks, OPEN_TRIES - 1)
    looks = 0
    freeAt = OPEN_TRIES - 1
    const running = await open()
    assert.equal(running.origins, [`https://127.0.0.1:${port}`])
    await running.close()
  } finally {
    other.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a page whose looks do not come round is alive for so long and no longer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-stuck-'))
  try {
    let nowMs = 0
    const clock: Clock = {
      ...{ nowMs: systemClock.nowMs, monotonicMs: () => nowMs },
      sleep: (ms, signal) => systemClock.sleep(ms === TICK_MS ? 2 ** 30 : ms, signal),
    }
    const deps = { ...systemSetupDeps(createLog({ level: 'silent', part: 'test' })), clock, interfaces: () => LOOPBACK }
    const options = { configFile: join(folder, 'edge.json'), port: 0, codeFile: null }
    const running = await runSetup(options, { ...deps, say: () => {} })
    nowMs = STUCK_MS - 1
    assert.is(running.isAlive(), true)
    nowMs = STUCK_MS
    assert.is(running.isAlive(), false)
    await running.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('of several bodies on USB the page lists each by its plug, and the one that is chosen is written', async () => {
  const device = { numberedPort: 'usb:001,004', name: 'Nikon D750' }
  const usb = [
    { ...device, port: 'usb:1-1.2', serialNumber: '6048172', isCamera: true },
    { ...device, port: 'usb:1-1.3', serialNumber: null, isCamera: true },
    { ...device, port: 'usb:1-1.4', serialNumber: null, isCamera: false },
  ]
  await withSetup({ unit: 'enrolled', usb }, async ({ ask, logIn, folder }) => {
    await logIn()
    const state = async () => JSON.parse((await ask('GET', '/api/state')).bytes.toString())
    assert.equal((await state()).bodies, [
      { port: 'usb:1-1.2', name: 'Nikon D750', serialNumber: '6048172' },
      { port: 'usb:1-1.3', name: 'Nikon D750', serialNumber: null },
    ])
    const choose = async (more: object) => (await ask('POST', '/api/source', { kind: 'gphoto2', ...more })).status
    assert.is(await choose({ port: 'usb:001,004' }), 400)
    assert.is(await choose({ port: 'usb:1-1.3' }), 200)
    assert.is((await state()).source.port, 'usb:1-1.3')
    assert.is(await choose({}), 200)
    assert.is((await state()).source.port, 'usb:1-1.3', 'as it stands')
    assert.is((await ask('POST', '/api/finish')).status, 200)
    const { source } = JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8'))
    assert.equal([source.kind, source.port], ['gphoto2', 'usb:1-1.3'])
  })
})

test('of a unit whose body is named by a number of the kernel the page opens, says so, and takes a plug instead', async () => {
  const source = { kind: 'gphoto2', port: 'usb:001,004' }
  const one = { name: 'Nikon D750', serialNumber: null, isCamera: true }
  const usb = [{ ...one, port: 'usb:1-1.2', numberedPort: 'usb:001,004' }]
  await withSetup({ unit: 'enrolled', source, usb }, async ({ ask, logIn, folder }) => {
    await logIn()
    const state = async () => JSON.parse((await ask('GET', '/api/state')).bytes.toString())
    const is = 'source.port: is a number'
    await until('it is opened', async () => (await state()).problem?.startsWith(is))
    const { source: shown, bodies } = await state()
    assert.is(shown.port, 'usb:001,004')
    assert.not(
      bodies.some(({ port }: { port: string }) => port === shown.port),
      'it is none of those that are there',
    )
    const refused = await ask('POST', '/api/finish')
    assert.is(refused.json.error?.code, 'configuration', 'it would read nothing')
    assert.is((await ask('POST', '/api/source', { kind: 'gphoto2', port: 'usb:1-1.2' })).status, 200)
    assert.is((await ask('POST', '/api/finish')).status, 200)
    assert.is(JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8')).source.port, 'usb:1-1.2')
    assert.is(await codeOf(() => undo(join(folder, 'edge.json'))), 'configuration', 'nor would what was before')
  })
})

test('what is chosen from the page is a camera: no program, no file, no address with a password', async () => {
  await withSetup({}, async ({ ask, logIn, folder }) => {
    await logIn()
    const source = async (choice: object) => (await ask('POST', '/api/source', choice)).status
    const wrong = [
      ...[
        { kind: 'replay', path: '/etc' },
        { kind: 'rpicam', program: '/bin/sh' },
        { kind: 'gphoto2', settings: {} },
      ],
      ...[
        'file:///etc/passwd',
        '/etc/passwd',
        'rtsp://user:word@10.0.0.1/',
        '/dev/../etc/passwd',
        '/dev/video 0',
        'gopher://10.0.0.1/',
      ].map((address) => ({
        ...{ kind: 'stream', address },
      })),
      { kind: 'stream', address: 'rtsp://10.0.0.1/', user: 'a:b', password: 'c' },
      { kind: 'stream', address: 'rtsp://10.0.0.1/', user: 'a', password: 'b\nc' },
      {},
    ]
    for (const choice of wrong) assert.is(await source(choice), 400, JSON.stringify(choice))
    assert.is(
      await source({ kind: 'stream', address: 'rtsp://127.0.0.1:9/', user: 'unit', password: 'pass word' }),
      200,
    )
    assert.is(readFileSync(join(folder, 'camera-login'), 'utf8'), 'unit:pass word\n')
    const state = (await ask('GET', '/api/state')).bytes.toString()
    assert.match(state, /"address":"rtsp:\/\/127\.0\.0\.1:9\/","hasLogin":true/)
    assert.not.match(state, /pass word/)
    const hasLogin = async () => (await ask('GET', '/api/state')).bytes.toString().includes('"hasLogin":true')
    assert.is(await source({ kind: 'stream', address: 'rtsp://127.0.0.1:9/second' }), 200)
    assert.is(await hasLogin(), true)
    for (const address of ['rtsp://127.0.0.2:9/', 'rtsp://127.0.0.1:10/', 'http://127.0.0.1:9/', '/dev/video9']) {
      const first = { kind: 'stream', address: 'rtsp://127.0.0.1:9/', user: 'unit', password: 'pass word' }
      assert.is(await source(first), 200)
      assert.is(await hasLogin(), true)
      assert.is(await source({ kind: 'stream', address }), 200, address)
      assert.is(await hasLogin(), false, `the password would go to ${address}`)
    }
    // One that is not there is told of, and the page goes on.
    assert.is(await source({ kind: 'rpicam' }), 200)
    const problem = async () => (await ask('GET', '/api/state')).bytes.toString()
    // Those that were chosen before it are opened first, one after another.
    const isTold = async () => (await problem()).includes('there is no such program')
    await until('it is told', isTold, 10 * MINUTE_MS)
    assert.is((await ask('POST', '/api/finish')).status, 409)
  })
})

test('exposure is that of the source: what it takes is set, what it does not is refused', async () => {
  await withSetup({}, async ({ ask, logIn }) => {
    await logIn()
    const set = async (settings: unknown, night: unknown = null) =>
      (await ask('POST', '/api/exposure', { settings, night })).status
    assert.is(await set({ gain: 2 }), 409)
    await ask('POST', '/api/source', { kind: 'rpicam' })
    const night = { fromUtc: '20:00', toUtc: '05:00', settings: { gain: 16 } }
    assert.is(await set({ shutterUs: 800, gain: 2 }, night), 200)
    const { exposure } = (await ask('GET', '/api/state')).json as unknown as { exposure: object }
    assert.equal(exposure, { kind: 'rpicam', settings: { shutterUs: 800, gain: 2 }, night })
    assert.is(await set({ gain: 65 }), 400)
    assert.is(await set({ shutterUs: 800, colour: 'red' }), 400)
    assert.is(await set({}, { ...night, toUtc: '20:00' }), 400)
    assert.is(await set({}), 200)
  })
})

test('the first code can lie on the card, is good once, and not again after a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-card-'))
  const codeFile = join(folder, 'setup-code')
  try {
    writeFileSync(codeFile, 'abcd efgh\r\n')
    await withSetup({ codeFile }, async ({ code, logIn, folder: unit }) => {
      assert.is(code(), 'ABCD-EFGH')
      await logIn()
      const used = codeDigest('ABCDEFGH')
      await until('it is burnt', () => {
        try {
          return readFileSync(join(unit, USED_CODE_FILE), 'utf8') === used
        } catch {
          return false
        }
      })
      const deps = { ...systemSetupDeps(createLog({ level: 'silent', part: 'test' })), interfaces: () => LOOPBACK }
      const said: string[] = []
      const again = await runSetup(
        { configFile: join(unit, 'edge.json'), port: 0, codeFile },
        { ...deps, say: (line) => void said.push(line) },
      )
      await again.close()
      assert.match(said.join('\n'), /code \S{4}-\S{4}/)
      assert.not.match(said.join('\n'), /ABCD-EFGH/)
    })
    writeFileSync(codeFile, 'abcd-efg')
    const silent = systemSetupDeps(createLog({ level: 'silent', part: 'test' }))
    const short = () => runSetup({ configFile: join(folder, 'edge.json'), port: 0, codeFile }, silent)
    assert.is(await codeOf(short), 'configuration')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the checks look at the unit, and at the broker in the camera’s own name', async () => {
  await withSetup({ unit: 'enrolled' }, async ({ ask, logIn }) => {
    await logIn()
    const { findings } = (await ask('POST', '/api/checks')).json as unknown as {
      findings: { name: string; ok: boolean; detail: string }[]
    }
    assert.equal(
      findings.map(({ name }) => name),
      ['link', 'broker', 'clock', 'disk', 'temperature', 'lists'],
    )
    const broker = findings.find(({ name }) => name === 'broker')
    assert.match(broker?.detail ?? '', /takes this camera/)
  })
})

test.run()

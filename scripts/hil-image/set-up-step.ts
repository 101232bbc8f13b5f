/**
 * A step of `scripts/hil image`: a card that says who the unit is and not what it looks through. The unit opens its set-up page, somebody logs in with the
 * code that `scripts/flash` has shown, chooses a camera on V4L2 and then one on the network, masks a corner, and finishes. Run by stage.ts.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { AppError } from '../../shared/errors.ts'
import { openMjpegCamera } from '../hil-ci/mjpeg-camera.ts'
import { listCard, putOnCard } from './again-step.ts'
import { BOOT_MS, type Context, FIRST } from './context.ts'
import { growFile, type Machine, startMachine } from './machine.ts'
import type { Step } from './steps.ts'
import { awaitReading, awaitShell, sure, until } from './unit.ts'

const CAMERA = 'bench-2'
const CARD_BYTES = 5 * 1024 ** 3
/** As QEMU's user network names the unit, and this machine, whose loopback the unit reaches there. */
const UNIT_ADDRESS = '10.0.2.15'
const HOST_ADDRESS = '10.0.2.2'
const PICTURE_EVERY_MS = 4_000
/** Without a source: that is for the page. */
const SETTINGS = {
  site: 'on the bench',
  edge: {
    vision: { threads: 1, frameTimeoutMs: 300_000 },
    track: { repeatWindowMs: 1_000 },
    healthIntervalMs: 3_000,
    assumeClockSynced: true,
  },
}
const VIEW = {
  region: null,
  masks: [
    [
      [0, 0],
      [0.1, 0],
      [0, 0.1],
    ],
  ],
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

interface Answer {
  status: number
  bytes: Buffer
  json: Record<string, unknown>
}

/** The page as a browser beside the unit would use it; the certificate is the one of which the unit's screen told. */
function openPage(port: number, fingerprint: string) {
  let cookie = ''
  return (method: string, path: string, json?: unknown) =>
    new Promise<Answer>((resolve, reject) => {
      const origin = `https://${UNIT_ADDRESS}:8443`
      const asked = request(
        {
          ...{ host: '127.0.0.1', port, path, method, rejectUnauthorized: false, agent: false, timeout: 120_000 },
          headers: { host: `${UNIT_ADDRESS}:8443`, origin, cookie, 'content-type': 'application/json' },
        },
        (answer) => {
          const shown = (answer.socket as TLSSocket).getPeerCertificate().fingerprint256
          if (shown !== fingerprint) return reject(new AppError('integrity', `another certificate: ${shown}`))
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('error', reject)
          answer.on('end', () => {
            const bytes = Buffer.concat(chunks)
            const [set] = answer.headers['set-cookie'] ?? []
            if (set !== undefined) cookie = set.split(';')[0] ?? ''
            const isJson = answer.headers['content-type'] === 'application/json'
            resolve({ status: answer.statusCode ?? 0, bytes, json: isJson ? JSON.parse(bytes.toString()) : {} })
          })
        },
      )
      asked.on('timeout', () => asked.destroy(new AppError('unavailable', `no answer from ${path}`)))
      asked.on('error', reject)
      asked.end(json === undefined ? undefined : JSON.stringify(json))
    })
}

type Page = ReturnType<typeof openPage>

/** Until the unit has said where its page is; with what it has said. */
async function awaitPage(machine: Machine, port: number, expected: string | null): Promise<Page> {
  const fingerprint = await until('the set-up page', BOOT_MS, async () => {
    const [, said] = machine.console().split(`https://${UNIT_ADDRESS}:8443`)
    return /certificate SHA-256 ([0-9A-F:]{95})/.exec(said ?? '')?.[1]
  })
  if (expected !== null && fingerprint !== expected)
    throw new AppError('integrity', `the unit tells of another certificate: ${fingerprint}`)
  const page = openPage(port, fingerprint)
  await until('an answer of the page', BOOT_MS, async () => (await page('GET', '/')).status === 200)
  return page
}

async function done(answer: Promise<Answer>): Promise<Answer> {
  const given = await answer
  if (given.status !== 200) throw new AppError('internal', `the page answers ${given.status}: ${given.bytes}`)
  return given
}

interface Look {
  widthPx: number
  heightPx: number
  seq: number
  reads: { plate: string | null }[]
}

/** A picture on the page for which `holds`. */
async function awaitLook(page: Page, what: string, holds: (look: Look) => boolean): Promise<Look> {
  let after = 0
  return await until(what, BOOT_MS, async () => {
    const { status, bytes } = await page('GET', `/api/look?after=${after}`)
    if (status !== 200) return null
    const length = bytes.readUInt32BE(0)
    const look = JSON.parse(bytes.subarray(4, 4 + length).toString()) as Look
    after = look.seq
    return holds(look) ? look : null
  })
}

const listening = async (machine: Machine) =>
  (await sure(machine, "ss -H -tlnup | grep -v 'systemd-network\\|systemd-timesyn' || true")).trim()

async function run(context: Context): Promise<string> {
  const { folder, world, checkout } = context
  await context.switchOff()
  const disk = join(folder, 'set-up.img')
  rmSync(disk, { force: true })
  writeFileSync(join(folder, 'claim-2.json'), await world.makeClaim(CAMERA), { mode: 0o600 })
  writeFileSync(join(folder, 'unit-2.json'), JSON.stringify(SETTINGS))
  const files = ['--claim', join(folder, 'claim-2.json'), '--unit', join(folder, 'unit-2.json'), '--set-up']
  const key = join(folder, 'out', FIRST, 'release.pem')
  const flashed = await context.run('flash-set-up', './scripts/flash', [
    ...[context.image(), disk, '--yes', '--key', key, ...files],
  ])
  const code = /good for one log-in: (\S+)/.exec(flashed)?.[1] ?? ''
  const ofFlash = /certificate of that page, SHA-256 (\S+)/.exec(flashed)?.[1] ?? ''
  growFile(disk, CARD_BYTES)
  const pagePort = await freePort()
  const machineFiles = {
    ...{ folder: join(folder, 'set-up'), disk, firmware: context.firmware, tpmDisk: null, bundlesDisk: null },
    pagePort,
  }
  const scenes = ['scene-001', 'scene-003', 'scene-005'].map((name) =>
    readFileSync(join(checkout, `scripts/sample-scenes/pictures/${name}.jpg`)),
  )
  const camera = await openMjpegCamera(scenes, PICTURE_EVERY_MS)
  let machine = await startMachine(machineFiles)
  const since = (fromMs: number) => `${Math.round((performance.now() - fromMs) / 1_000)} s`
  try {
    let page = await awaitPage(machine, pagePort, ofFlash)
    const openAfter = since(machine.startedMs)
    const wrong = (await page('POST', '/api/login', { code: '0000-0000' })).status
    await done(page('POST', '/api/login', { code }))

    // The claim of the card is under way by itself; somebody approves the key that the page shows.
    const state = async () => (await done(page('GET', '/api/state'))).json
    const fingerprint = await until('the unit’s request', BOOT_MS, async () => {
      const { claim } = (await state()) as { claim: { state: string; fingerprint: string } }
      return claim.state === 'waiting' ? claim.fingerprint : null
    })
    await world.approve(CAMERA, fingerprint)

    await awaitShell(machine, BOOT_MS)
    await sure(machine, 'modprobe vivid')
    await until('a device of V4L2', BOOT_MS, async () => (await machine.shell('test -c /dev/video0')).code === 0)
    await done(page('POST', '/api/source', { kind: 'stream', address: '/dev/video0' }))
    const v4l2 = await awaitLook(page, 'a picture of V4L2', ({ widthPx }) => widthPx > 0)

    await until('the certificate', BOOT_MS, async () => (await state()).camera !== null)
    await done(page('POST', '/api/view', VIEW))
    const address = camera.address.replace('127.0.0.1', HOST_ADDRESS)
    await done(page('POST', '/api/source', { kind: 'stream', address }))
    const { reads } = await awaitLook(page, 'a plate on the page', (look) => look.reads.some(({ plate }) => plate))
    const { findings } = (await done(page('POST', '/api/checks', {}))).json as {
      findings: { name: string; ok: boolean }[]
    }
    const bad = findings.flatMap(({ name, ok }) => (ok ? [] : [name])).join(', ')
    await done(page('POST', '/api/finish', {}))
    const finishedMs = performance.now()
    await awaitReading(machine, BOOT_MS)
    const readAfter = since(finishedMs)
    await until('a sighting in the cloud', BOOT_MS, async () => world.held(CAMERA).length > 0)
    if ((await listening(machine)) !== '') throw new Error(`something listens: ${await listening(machine)}`)
    const left = await until('a card without claim and code', BOOT_MS, async () => {
      const names = await listCard(machine)
      return /claim|setup-code/.test(names) ? null : names
    })
    const config = JSON.parse(await sure(machine, 'cat /etc/candor-edge/edge.json'))
    if (config.source.address !== address || config.statusFile === undefined || config.view.masks.length !== 1)
      throw new Error(`edge.json is not what was set: ${JSON.stringify(config)}`)
    const owners = (await sure(machine, 'cd /etc/candor-edge/ && stat -c %U * | sort -u')).trim()
    if (owners !== 'root') throw new Error(`the camera's folder is of ${owners}`)

    // Later somebody takes the card down and asks for the page once more.
    await machine.powerOff()
    const again = 'BENC-HAGA-1N42'
    writeFileSync(join(folder, 'setup-code'), again)
    await putOnCard(disk, join(folder, 'setup-code'), 'setup-code')
    machine = await startMachine(machineFiles)
    page = await awaitPage(machine, pagePort, null)
    const used = (await page('POST', '/api/login', { code })).status
    await done(page('POST', '/api/login', { code: again }))
    await done(page('POST', '/api/view', { region: null, masks: [] }))
    await done(page('POST', '/api/finish', {}))
    await awaitReading(machine, BOOT_MS)
    if ((await listening(machine)) !== '') throw new Error(`something listens: ${await listening(machine)}`)
    await machine.powerOff()
    rmSync(disk, { force: true })
    return `page open after ${openAfter} from power on, with the certificate that scripts/flash has told of; a wrong code ${wrong}, the used one later ${used}; V4L2 (vivid) ${v4l2.widthPx} × ${v4l2.heightPx}; ${reads[0]?.plate === undefined ? '' : 'plate read on the page from Motion JPEG over the network; '}${findings.filter(({ ok }) => ok).length} of ${findings.length} checks ok${bad === '' ? '' : ` (not: ${bad})`}; reading ${readAfter} after the end, no port listens, left on the card: ${left.trim().split(/\s+/).join(' ')}; a new code on the card opens the page again`
  } finally {
    await machine.cutPower()
    await camera.stop()
  }
}

export const SET_UP_STEPS: readonly Step[] = [
  {
    name: 'set-up',
    hasOwnCard: true,
    what: 'a card without a source: set-up page, one-time code, claim, cameras on V4L2 and the network, mask, end; opened again',
    run,
  },
]

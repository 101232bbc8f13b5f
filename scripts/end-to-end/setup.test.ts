/**
 * A unit from nothing to a camera: the real `candor setup` process before a real cloud and a real camera on the network, worked by a thumb
 * on a phone; then the real camera process with what was set.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud, type TestCloud, until } from '../../cloud/testing.ts'
import { loadEdgeConfig } from '../../edge/config.ts'
import { runEdge, systemDeps } from '../../edge/main.ts'
import { silentLog } from '../../shared/log.ts'
import { openMjpegCamera } from '../hil-ci/mjpeg-camera.ts'
import { CHROMIUM, openBrowser } from '../trial/browser.ts'
import { query } from '../trial/link-testing.ts'
import { freePort } from '../trial/ports.ts'
import { candorProgram } from '../trial/program.ts'

const SCENE = fileURLToPath(new URL('../sample-scenes/pictures/scene-003.jpg', import.meta.url))
/** In that scene, and where the left one is, as shares of the picture. */
const [LEFT, RIGHT] = ['KLH4N93', 'HHW6462']
const OVER_LEFT = [
  [0.2, 0.64],
  [0.36, 0.64],
  [0.36, 0.8],
  [0.2, 0.8],
] as const
/** A folder to keep pictures of the page in, to look at; nothing is kept without it. */
const screenshots = process.env.CANDOR_SCREENSHOTS

interface SetupProcess {
  child: ChildProcess
  said(): string
  /** The newest. */
  code(): string
  ended: Promise<number | null>
}

function startSetup(folder: string, port: number): SetupProcess {
  const config = join(folder, 'edge.json')
  const child = spawn(process.execPath, [...candorProgram(), 'setup', '--config', config, '--port', `${port}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
  }
  return {
    child,
    said: () => said,
    code: () => [...said.matchAll(/code (\S+)/g)].at(-1)?.[1] ?? '',
    ended: new Promise((resolve) => child.once('close', resolve)),
  }
}

/** What a browser would show of the server. */
function certificateAt(port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate()
      socket.destroy()
      if (certificate === undefined) reject(new Error('no certificate'))
      else resolve(certificate)
    })
    socket.once('error', reject)
  })
}

/** Status of a log-in from another machine. */
function logInElsewhere(port: number, certificate: X509Certificate, code: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const origin = `https://127.0.0.1:${port}`
    const sent = request(
      `${origin}/api/login`,
      { method: 'POST', ca: certificate.toString(), headers: { origin, 'content-type': 'application/json' } },
      (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      },
    )
    sent.once('error', reject)
    sent.end(JSON.stringify({ code }))
  })
}

const isClosed = (port: number) =>
  certificateAt(port).then(
    () => false,
    () => true,
  )

const keyOf = (certificate: X509Certificate) =>
  createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')

async function keepPicture(page: Page, name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `setup-${name}.png`) })
}

const platesOnPicture = (page: Page) => page.locator('.plate-text').allTextContents()

async function tapPicture(page: Page, [x, y]: readonly [number, number]): Promise<void> {
  const box = await page.locator('#overlay').boundingBox()
  assert.ok(box !== null)
  await page.touchscreen.tap(box.x + x * box.width, box.y + y * box.height)
}

/** As `candor camera claim` prints it. */
async function printedClaim(world: TestCloud, camera: string): Promise<string> {
  const { code } = await world.cloud.parts.enrolment.claim({ camera, site: null, hours: 72, replaces: false }, 'tess')
  const pin = new X509Certificate(world.cloud.caPem).fingerprint256.replaceAll(':', '').toLowerCase()
  return (
    `${code}\n\nClaim for ${camera}, good for one unit. On the unit:\n` +
    `  candor enrol --claim ${code} --cloud https://localhost:${world.cloud.httpsPort} \\\n    --ca-sha256 ${pin} --out FOLDER\n`
  )
}

const seen = (world: TestCloud) =>
  query<{ plate: string | null }>(world, 'SELECT DISTINCT plate FROM sightings').map(({ plate }) => plate)

const available = existsSync(CHROMIUM)
const browserTest: (name: string, run: () => Promise<void>) => void = available ? test : test.skip

browserTest(
  'a technician with a phone claims, aims, masks and finishes a unit, and its camera keeps to what was set',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'candor-setup-'))
    const unit = join(folder, 'unit')
    const camera = await openMjpegCamera([readFileSync(SCENE)], 100)
    const port = await freePort()
    const setup = startSetup(unit, port)
    try {
      await inCloud(async (world) => {
        await until('the page is announced', () => {
          if (setup.child.exitCode !== null) throw new Error(setup.said())
          return /It ends when/.test(setup.said())
        })
        const certificate = await certificateAt(port)
        assert.ok(setup.said().includes(certificate.fingerprint256))
        assert.ok(setup.said().includes(`https://127.0.0.1:${port}`))
        const browser = await openBrowser(join(folder, 'home'), { phone: true, trustedKey: keyOf(certificate) })
        try {
          const page = browser.pages()[0] ?? (await browser.newPage())
          const errors: string[] = []
          page.on('pageerror', (error) => errors.push(String(error)))
          page.on('console', (message) => {
            if (message.type() === 'error' && !/status of 4|net::ERR/.test(message.text())) errors.push(message.text())
          })
          await page.goto(`https://127.0.0.1:${port}/`)
          await page.fill('#code', 'AAAA-0000')
          await page.tap('#login-form button')
          await page.waitForSelector('#login-problem:has-text("4 more tries")')
          await keepPicture(page, 'login')
          const code = setup.code()
          await page.fill('#code', code.toLowerCase())
          await page.tap('#login-form button')
          await page.waitForSelector('#no-picture:has-text("no camera is chosen yet")')

          // The camera, and the first frames of it.
          await page.tap('#tab-light')
          await page.selectOption('#panel-light select', 'stream')
          await page.fill('#panel-light input[inputmode=url]', camera.address)
          await page.tap('text=Use this camera')
          await page.waitForSelector('.stage.has-picture')
          await page.tap('#tab-aim')
          await page.waitForSelector(`.reads .plate:has-text("${LEFT}")`)
          await page.waitForSelector(`.reads .plate:has-text("${RIGHT}")`)
          await page.waitForSelector('#width-gauge[data-state=good]')
          const width = Number(await page.textContent('#width-value'))
          assert.ok(width > 100 && width < 160, `${width}`)
          await page.waitForSelector('#focus-gauge[data-state=good]')
          assert.ok(Number(await page.textContent('#focus-value')) > 30)
          await keepPicture(page, 'aim')

          // The code is burnt.
          assert.is(await logInElsewhere(port, certificate, code), 409)

          // The claim, approved by somebody who compares the fingerprint.
          await page.tap('#tab-finish')
          assert.ok(await page.isDisabled('text=Finish and start the camera'))
          await page.fill('#panel-finish textarea', await printedClaim(world, 'elm-st-1'))
          await page.tap('text=Claim this unit')
          const fingerprint = (await page.textContent('.fingerprint')) ?? ''
          await page.waitForSelector('h2:has-text("Waiting for approval")')
          await keepPicture(page, 'waiting')
          await world.cloud.parts.enrolment.approve('elm-st-1', fingerprint, 'ada')
          await page.waitForSelector('#name:has-text("elm-st-1")')

          // A mask over the left plate.
          await page.tap('#tab-areas')
          await page.tap('text=Draw mask')
          for (const corner of OVER_LEFT) await tapPicture(page, corner)
          await keepPicture(page, 'drawing')
          await page.tap('text=Done')
          await page.waitForSelector('li:has-text("Mask 1")')
          await until('the left plate is no longer read, the right one is', async () => {
            const plates = await platesOnPicture(page)
            return plates.includes(RIGHT) && !plates.includes(LEFT)
          })
          await keepPicture(page, 'masked')

          await page.tap('#tab-checks')
          await page.waitForSelector('.check.good:has-text("takes this camera")')
          await keepPicture(page, 'checks')
          await page.tap('#tab-finish')
          await keepPicture(page, 'finish')
          await page.tap('text=Finish and start the camera')
          await page.waitForSelector('#done-title:has-text("elm-st-1 is set up")')
          await keepPicture(page, 'done')
          assert.equal(errors, [])
        } finally {
          await browser.close()
        }
        assert.is(await setup.ended, 0)
        assert.ok(await isClosed(port))
        for (const plate of [LEFT, RIGHT]) assert.not.ok(setup.said().includes(plate))

        const written = JSON.parse(readFileSync(join(unit, 'edge.json'), 'utf8'))
        assert.is(written.source.address, camera.address)
        assert.is(written.view.region, null)
        assert.is(written.view.masks.length, 1)
        for (const [n, [x, y]] of OVER_LEFT.entries()) {
          const [drawnX, drawnY] = written.view.masks[0][n]
          assert.ok(Math.abs(drawnX - x) < 0.01 && Math.abs(drawnY - y) < 0.01, `${drawnX} ${drawnY}`)
        }
        assert.not.ok(existsSync(join(unit, 'set-up')))
        assert.ok(existsSync(join(unit, 'edge.json.previous')))

        // The camera itself.
        const running = await runEdge(
          loadEdgeConfig(join(unit, 'edge.json'), null),
          systemDeps(silentLog),
          new AbortController().signal,
        )
        try {
          await until('it has looked at frames', () => running.pipeline.read + running.pipeline.still >= 10)
          await until('it is connected', () => running.connected)
        } finally {
          await running.close()
        }
        await until('the right plate is in the cloud', () => seen(world).includes(RIGHT))
        assert.equal(seen(world), [RIGHT])
      })
    } finally {
      setup.child.kill('SIGKILL')
      await camera.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
    }
  },
)

test.run()

/** The set-up page on a desk, with mouse and keys: what the phone of the end-to-end test does not do. Real process, real Chromium. */
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../../cloud/testing.ts'
import { CHROMIUM, openBrowser } from '../../scripts/trial/browser.ts'
import { silentLog } from '../../shared/log.ts'
import { runSetup, systemSetupDeps } from './main.ts'

const SCENE = fileURLToPath(new URL('../../scripts/sample-scenes/pictures/scene-003.jpg', import.meta.url))
const [LEFT, RIGHT] = ['KLH4N93', 'HHW6462']
const screenshots = process.env.CANDOR_SCREENSHOTS

interface World {
  page: Page
  port: number
  code(): string
  errors: string[]
}

/** `below`: so many rows of black under the scene, px. */
async function onDesk(work: (world: World) => Promise<void>, below = 0): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-desk-'))
  const path = below === 0 ? SCENE : join(folder, 'scene.jpg')
  if (below > 0) await sharp(SCENE).extend({ bottom: below }).jpeg().toFile(path)
  const source = { kind: 'replay', path, loop: true }
  const config = { agency: 'test', cameraId: 'north', broker: { url: 'mqtts://localhost:1' }, source }
  writeFileSync(join(folder, 'edge.json'), JSON.stringify(config))
  let said = ''
  const running = await runSetup(
    { configFile: join(folder, 'edge.json'), port: 0, codeFile: null },
    {
      ...systemSetupDeps(silentLog),
      say(line) {
        said += `${line}\n`
      },
    },
  )
  try {
    const browser = await openBrowser(join(folder, 'home'), { trustedKey: await keyAt(running.port) })
    try {
      const page = browser.pages()[0] ?? (await browser.newPage())
      const errors: string[] = []
      page.on('pageerror', (error) => errors.push(String(error)))
      page.on('console', (message) => {
        if (message.type() === 'error' && !/status of 4/.test(message.text())) errors.push(message.text())
      })
      await page.goto(`https://127.0.0.1:${running.port}/`)
      const code = () => [...said.matchAll(/code (\S+)/g)].at(-1)?.[1] ?? ''
      await work({ page, port: running.port, code, errors })
      assert.equal(errors, [])
    } finally {
      await browser.close()
    }
  } finally {
    await running.close()
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** SHA-256 of the server's public key, base64. */
function keyAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerX509Certificate() as X509Certificate
      const spki = new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' })
      socket.destroy()
      resolve(createHash('sha256').update(spki).digest('base64'))
    })
    socket.once('error', reject)
  })
}

const keepPicture = async (page: Page, name: string) => {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `desk-${name}.png`) })
}

const plates = (page: Page) => page.locator('.plate-text').allTextContents()

async function logIn({ page, code }: World): Promise<void> {
  await page.fill('#code', code())
  await page.keyboard.press('Enter')
  await page.waitForSelector('.stage.has-picture')
}

const available = existsSync(CHROMIUM)
const browserTest: (name: string, run: () => Promise<void>) => void = available ? test : test.skip

browserTest(
  'a region is drawn with keys alone, lines that cross are not taken, and undo takes changes back',
  async () => {
    await onDesk(async (world) => {
      const { page } = world
      await logIn(world)
      await page.waitForSelector(`.reads .plate:has-text("${LEFT}")`)
      await keepPicture(page, 'aim')
      // By keys to the areas, and into the picture.
      await page.focus('#tab-aim')
      await page.keyboard.press('ArrowRight')
      assert.is(await page.locator(':focus').getAttribute('id'), 'tab-areas')
      await page.focus('text=Draw region')
      // The page asks again and again how things are; the second answer comes when the first has been shown.
      for (let asked = 0; asked < 2; asked += 1) await page.waitForResponse(/\/api\/state$/)
      assert.is(await page.locator(':focus').textContent(), 'Draw region')
      await page.keyboard.press('Enter')
      assert.is(await page.locator(':focus').getAttribute('id'), 'overlay')
      const move = async (key: string, count: number) => {
        for (let n = 0; n < count; n += 1) await page.keyboard.press(key)
      }
      // From the middle, a step is 2 %: a bow tie first, which is refused.
      await page.keyboard.press('Enter')
      await move('ArrowRight', 20)
      await page.keyboard.press('Enter')
      await move('ArrowDown', 20)
      await move('ArrowLeft', 20)
      await page.keyboard.press('Enter')
      await move('ArrowRight', 20)
      await page.keyboard.press('Enter')
      await page.waitForSelector('.draft.wrong')
      assert.ok(await page.isDisabled('text=Done'))
      await keepPicture(page, 'crossing')
      await page.keyboard.press('d')
      assert.is(await page.locator('.region:not(.draft)').count(), 0)
      // The last two again, the other way round.
      await move('Backspace', 2)
      await page.keyboard.press('Enter')
      await move('ArrowLeft', 20)
      await page.keyboard.press('Enter')
      await page.keyboard.press('d')
      await page.waitForSelector('polygon.region:not(.draft)')
      await until('only the right plate is read', async () => (await plates(page)).join() === RIGHT)
      await keepPicture(page, 'region')
      await page.click('text=Undo')
      await page.waitForSelector('polygon.region:not(.draft)', { state: 'detached' })
      await until('both are read again', async () => (await plates(page)).length === 2)
      assert.ok(await page.isDisabled('button:text-is("Undo")'))
    })
  },
)

browserTest(
  'with the mouse a corner is added and dragged, a shape left half drawn is gone, a mask is removed by its key',
  async () => {
    await onDesk(async (world) => {
      const { page } = world
      await logIn(world)
      await page.click('#tab-areas')
      const box = await page.locator('#overlay').boundingBox()
      assert.ok(box !== null)
      const at = (x: number, y: number): [number, number] => [box.x + x * box.width, box.y + y * box.height]
      await page.click('text=Draw mask')
      for (const [x, y] of [
        [0.2, 0.64],
        [0.36, 0.64],
        [0.36, 0.8],
      ] as const)
        await page.mouse.click(...at(x, y))
      // Pressed and dragged to its place in one go; then an older corner is moved.
      await page.mouse.move(...at(0.3, 0.9))
      await page.mouse.down()
      await page.mouse.move(...at(0.2, 0.85), { steps: 4 })
      await page.mouse.up()
      await page.mouse.move(...at(0.36, 0.8))
      await page.mouse.down()
      await page.mouse.move(...at(0.36, 0.85), { steps: 4 })
      await page.mouse.up()
      assert.is(await page.locator('.point').count(), 4)
      await page.click('text=Done')
      await until('the left plate is masked', async () => (await plates(page)).join() === RIGHT)
      await page.click('text=Draw mask')
      await page.mouse.click(...at(0.5, 0.5))
      assert.is(await page.locator('.point').count(), 1)
      await page.click('#tab-aim')
      await page.click('#tab-areas')
      assert.is(await page.locator('.point').count(), 0)
      await page.click('[aria-label="Remove Mask 1"]')
      await until('both are read again', async () => (await plates(page)).length === 2)
    })
  },
)

browserTest(
  'a mask that was saved lies where it was drawn when the page is opened again, on a picture of any shape',
  async () => {
    await onDesk(async (world) => {
      const { page, code } = world
      await logIn(world)
      await page.click('#tab-areas')
      const box = await page.locator('#overlay').boundingBox()
      assert.ok(box !== null)
      await page.click('text=Draw mask')
      for (const [x, y] of [
        [0.2, 0.2],
        [0.4, 0.2],
        [0.3, 0.5],
      ] as const)
        await page.mouse.click(box.x + x * box.width, box.y + y * box.height)
      await page.click('text=Done')
      const lowest = async () => {
        const points = (await page.locator('polygon.mask').getAttribute('points')) ?? ''
        const height = Number((await page.locator('#overlay').getAttribute('viewBox'))?.split(' ')[3])
        return Math.max(...points.split(' ').map((point) => Number(point.split(',')[1]))) / height
      }
      const isInPlace = async () => Math.abs((await lowest()) - 0.5) < 0.01
      await until('the mask is shown', isInPlace)
      // Opened again, the mask is known before there is a picture.
      const before = code()
      await page.click('#leave')
      await until('there is a new code', () => code() !== before)
      await page.reload()
      await page.waitForSelector('#login:not([hidden])')
      await logIn(world)
      await page.waitForSelector('polygon.mask')
      await until('the mask lies where it was drawn', isInPlace)
      await keepPicture(page, 'mask-again')
    }, 300)
  },
)

browserTest(
  'exposure that a camera has is offered, and a log-in that ended leaves nothing of what was seen',
  async () => {
    await onDesk(async (world) => {
      const { page, code } = world
      await logIn(world)
      await page.click('#tab-light')
      await page.waitForSelector('text=Pictures from a file have nothing to set.')
      await page.click('text=Use this camera')
      await page.waitForSelector('#no-picture:has-text("there is no such program")')
      const shutter = page.getByLabel('Shutter, µs').first()
      await shutter.fill('800')
      await page.getByLabel('Gain, 1–64').first().fill('65')
      await page.click('text=Apply')
      await page.waitForSelector('#panel-light .problem:has-text("gain")')
      await keepPicture(page, 'exposure')
      await page.getByLabel('Gain, 1–64').first().fill('4')
      await page.click('text=Apply')
      await page.waitForSelector('text=Applied.')
      const before = code()
      await page.click('#leave')
      await page.waitForSelector('#login:not([hidden])')
      await until('there is a new code', () => code() !== before)
      assert.is(await page.locator('.reads li').count(), 0)
      assert.is(await page.getAttribute('#picture', 'src'), null)
      await page.reload()
      await page.waitForSelector('#login:not([hidden])')
    })
  },
)

test.run()

/** The fleet view in a real browser: cameras with alarms, their past, a note, and a unit that asks to become a camera. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CHROMIUM, openBrowser, trustAuthority } from '../../scripts/trial/browser.ts'
import { cameraRequest, keyDigest, newCameraKey, shortFingerprint } from '../../shared/certificate-request.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, systemClock } from '../../shared/clock.ts'
import { rotateAuthority } from '../authority.ts'
import { fleetConfigSchema } from '../fleet/config.ts'
import { CAMERA, healthOf, withCamera } from '../fleet/testing.ts'
import type { Role } from '../permissions.ts'
import { AGENCY, inCloud, type TestCloud, until } from '../testing.ts'

const PASSWORD = 'a heron stands in the reeds'
const screenshots = process.env.CANDOR_SCREENSHOTS
const browserTest: (name: string, run: () => Promise<void>) => void = existsSync(CHROMIUM) ? test : test.skip

async function keepPicture(page: Page, name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
}

async function onPage(
  world: TestCloud,
  roles: readonly Role[],
  use: (page: Page) => Promise<void>,
  options: { phone?: boolean } = {},
): Promise<void> {
  const home = join(world.folder, 'home')
  await trustAuthority(home, world.cloud.caPem)
  await world.addPerson('tess', roles, [])
  const browser = await openBrowser(home, options)
  try {
    const page = browser.pages()[0] ?? (await browser.newPage())
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    await page.goto(`https://localhost:${world.cloud.httpsPort}/`)
    await page.fill('#account', 'tess')
    await page.fill('#password', PASSWORD)
    await page.click('#login-form button[type=submit]')
    await page.waitForSelector('#link.connected')
    await use(page)
    assert.equal(errors, [])
  } finally {
    await browser.close()
  }
}

/** A day of reports of camera elm-st-1, so that there is something to draw. */
function writePast(world: TestCloud): void {
  const nowMs = world.clock.nowMs()
  const reports: string[] = []
  const hours: string[] = []
  for (let i = 0; i < 24 * 12; i++) {
    const sun = Math.max(0, Math.sin(((i / 12 - 6) / 24) * 2 * Math.PI))
    const figures = {
      ...{
        read: 4 + (i % 3) / 4,
        temperature: 45 + 22 * sun,
        luminance: 25 + 130 * sun,
        sharpness: 0.55 + (i % 5) / 100,
      },
      ...{ displacement: 0.001 * (i % 4), outboxRows: i % 60 === 0 ? 14 : 0, diskFree: 0.6 },
    }
    // A link that was down for two hours.
    if (i < 100 || i > 124)
      reports.push(`('${CAMERA}', ${nowMs - 24 * HOUR_MS + i * 5 * MINUTE_MS}, '${JSON.stringify(figures)}')`)
  }
  for (let hour = 1; hour <= 24; hour++) {
    const at = Math.floor(nowMs / HOUR_MS) - hour
    hours.push(
      `('${CAMERA}', ${at}, ${20 + ((hour * 13) % 30)}, 3600000, '{"read":[3,4,5,120],"temperature":[40,50,60,120]}')`,
    )
  }
  world.sql(
    `INSERT INTO fleet_reports VALUES ${reports.join(', ')}; INSERT INTO fleet_hours VALUES ${hours.join(', ')}`,
  )
}

const SOON_QUIET = { fleet: fleetConfigSchema.parse({ neverHeardHours: 1 }) }
const HOT = { device: { ...healthOf(1_750_000_000_000).device, temperatureC: 91, dataEncrypted: false } }

browserTest('a technician sees cameras and their past, acknowledges an alarm, and approves a unit that asks', () =>
  inCloud(async (world) => {
    const { report } = await withCamera(world)
    await world.addCamera('oak-st-2')
    writePast(world)
    for (let i = 0; i < 2; i++) await report(HOT)
    const { enrolment, fleet } = world.cloud.parts
    const key = newCameraKey()
    const { code } = await enrolment.claim(
      { camera: 'pine-st-3', site: 'Pine St 3, pole 7', hours: 1, replaces: false },
      'ada',
    )
    await enrolment.ask(code, cameraRequest('unit', key), '10.0.0.7')
    await onPage(world, ['camera-technician'], async (page) => {
      const text = (selector: string) =>
        page
          .locator(selector)
          .textContent()
          .then((found) => found ?? '')
      await page.waitForSelector('.fleet-table')
      assert.match(await text('#fleet .lead'), /2 cameras.*no alarm/)
      assert.match(await text('tr.new'), /oak-st-2\s*never heard of/)
      // The third report raises the alarm, which comes over the link.
      await report(HOT)
      await page.waitForSelector('tr.alarm')
      assert.match(await text('tr.alarm'), /elm-st-1\s*hot/)
      assert.match(await text('#announce'), /Camera elm-st-1: hot/)
      await page.click(`button[data-camera="${CAMERA}"]`)
      await page.waitForSelector('.chart')
      const labels = await page.locator('.chart').evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))
      assert.ok(
        labels.some((label) => /^Temperature: least 45 °C, mean .* most \d+ °C$/.test(label ?? '')),
        `${labels}`,
      )
      assert.ok(labels.length >= 6, `${labels}`)
      assert.match(await text('.fleet-detail'), /elm-st-1data not encrypted/)
      await keepPicture(page, 'fleet')

      await page.fill('.alarm-card input', 'fan is ordered')
      await page.click('.alarm-card button.primary')
      await page.waitForSelector('.alarm-card :text("Seen by tess: fan is ordered")')
      const [alarm] = await fleet.alarms({ open: true, camera: CAMERA, limit: 1 })
      assert.is(alarm?.acknowledged?.note, 'fan is ordered')

      const card = page.locator('.claim[data-camera="pine-st-3"]')
      const fingerprint = shortFingerprint(keyDigest(key))
      assert.ok(((await card.textContent()) ?? '').includes(fingerprint))
      assert.is(await card.locator('.approve').isDisabled(), true)
      await card.locator('input[type=checkbox]').check()
      await card.locator('.approve').click()
      await page.waitForSelector('.claim', { state: 'detached' })
      await until('it is a camera', () => world.cloud.parts.cameras.isRegistered('pine-st-3'))
      await page.click('.spans button:has-text("7 days")')
      await page.waitForSelector('.spans button[aria-pressed=true]:has-text("7 days")')
      await page.click('.service summary')
      await page.fill('#service-note', 'new lens')
      await page.click('.service button')
      await page.waitForSelector(':text("Serviced until")')
      assert.match(await text('tr.serviced'), /serviced/)
    })
  }),
)

browserTest(
  'a claim that two keys have used cannot be approved; who may only look changes nothing; a phone shows it all',
  () =>
    inCloud(async (world) => {
      await world.addCamera('oak-st-2')
      world.clock.advance(HOUR_MS + MINUTE_MS)
      await world.cloud.parts.fleet.upkeep()
      const { report } = await withCamera(world)
      writePast(world)
      for (let i = 0; i < 3; i++) await report(HOT)
      const { enrolment } = world.cloud.parts
      const { code } = await enrolment.claim({ camera: 'pine-st-3', site: null, hours: 1, replaces: false }, 'ada')
      const longAgo = { ...systemClock, nowMs: () => systemClock.nowMs() - 21 * DAY_MS }
      await rotateAuthority('prepare', join(world.folder, 'data', 'authority'), AGENCY, longAgo)
      for (let i = 0; i < 2; i++) await enrolment.ask(code, cameraRequest('unit', newCameraKey()), '10.0.0.7')
      await onPage(
        world,
        ['auditor'],
        async (page) => {
          await page.waitForSelector('.claim .warning')
          await page.waitForSelector('#fleet > div > .warning:text("stands still at `prepare`")')
          assert.match(
            (await page.locator('tr.alarm', { hasText: 'oak-st-2' }).textContent()) ?? '',
            /never heard of since it was approved/,
          )
          await page.click(`button[data-camera="${CAMERA}"]`)
          await page.waitForSelector('.chart')
          assert.is(await page.locator('#fleet .claim button, #fleet .alarm-card button, #fleet .service').count(), 0)
          const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
          assert.is(wide, false, 'nothing is cut off at the side')
          await keepPicture(page, 'fleet-phone')
        },
        { phone: true },
      )
    }, SOON_QUIET),
)

test.run()

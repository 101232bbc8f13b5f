/** Second factors on the page, in a real Chromium: its virtual authenticator is the security key, over the browser's own protocol. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CDPSession, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CHROMIUM, openBrowser, trustAuthority } from '../../scripts/trial/browser.ts'
import { MAX_KEYS_PER_ACCOUNT } from '../accounts/security-keys.ts'
import { codeAt, TOTP_PERIOD_MS } from '../accounts/totp.ts'
import { callerOf, PASSWORD } from '../api/testing.ts'
import { inCloud, type TestCloud } from '../testing.ts'

/** A folder to keep pictures of the page in, to look at; nothing is kept without it. */
const screenshots = process.env.CANDOR_SCREENSHOTS

interface World {
  world: TestCloud
  page: Page
  cdp: CDPSession
  call: ReturnType<typeof callerOf>
  /** Errors that the page itself made. */
  errors: string[]
}

async function inBrowser(secondFactor: 'required' | 'optional', work: (own: World) => Promise<void>): Promise<void> {
  await inCloud(
    async (world) => {
      const home = await mkdtemp(join(tmpdir(), 'candor-factors-'))
      await trustAuthority(home, world.cloud.caPem)
      await world.addPerson('bob', ['officer'], ['patrol'])
      const browser = await openBrowser(home)
      try {
        const page = browser.pages()[0] ?? (await browser.newPage())
        const errors: string[] = []
        page.on('pageerror', (error) => errors.push(String(error)))
        page.on('console', (line) => {
          if (line.type() === 'error' && !/net::ERR_|WebSocket connection|status of 4/.test(line.text()))
            errors.push(line.text())
        })
        const cdp = await browser.newCDPSession(page)
        await cdp.send('WebAuthn.enable')
        await page.goto(`https://localhost:${world.cloud.httpsPort}/`)
        await work({ world, page, cdp, errors, call: callerOf(world.cloud) })
      } finally {
        await browser.close()
        await rm(home, { recursive: true, force: true, maxRetries: 10 })
      }
    },
    { secondFactor },
  )
}

/** Plugs a key in that is touched at once when it is asked. */
async function plugIn(cdp: CDPSession): Promise<string> {
  const kind = { protocol: 'ctap2', transport: 'usb' } as const
  const options = { ...kind, hasResidentKey: false, hasUserVerification: false, automaticPresenceSimulation: true }
  return (await cdp.send('WebAuthn.addVirtualAuthenticator', { options })).authenticatorId
}

async function submitPassword(page: Page): Promise<void> {
  await page.fill('#account', 'bob')
  await page.fill('#password', PASSWORD)
  await page.click('#login-form button[type=submit]')
}

async function logInByKey(page: Page): Promise<void> {
  await submitPassword(page)
  await page.waitForSelector('#second-factor:not([hidden])')
  await page.click('#use-key')
}

async function keepPicture(page: Page, name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `${name}.png`) })
}

const browserTest: typeof test | typeof test.skip = existsSync(CHROMIUM) ? test : test.skip

browserTest(
  'an officer who needs a second factor adds a security key on the page and logs in with it from then on',
  async () => {
    await inBrowser('required', async ({ world, page, cdp, call, errors }) => {
      await plugIn(cdp)
      await submitPassword(page)
      await page.waitForSelector('#factor-password')
      assert.ok(await page.isHidden('#desk'), 'nothing else is shown')
      await keepPicture(page, 'must-enrol')
      await page.click('#add-key')
      await page.waitForSelector('#factors .problem:not(:empty)')
      await page.fill('#factor-password', PASSWORD)
      await page.fill('#key-name', 'blue')
      await page.click('#add-key')
      await page.waitForSelector('#recovery-codes li')
      assert.is(await page.locator('#recovery-codes li').count(), 10)
      await keepPicture(page, 'recovery-codes')
      await page.click('#factors-done')
      await page.waitForSelector('#link.connected')

      await page.click('#leave')
      let sent = ''
      page.on('request', (request) => {
        if (request.url().endsWith('/api/v1/login') && request.method() === 'POST') sent = request.postData() ?? ''
      })
      await logInByKey(page)
      await page.waitForSelector('#link.connected')
      const [entry] = await world.audited('session.login')
      assert.equal(entry?.detail, { by: 'password', factor: 'key', must_enrol: false })
      assert.match(sent, /"key":/)
      assert.is((await call('POST', '/api/v1/login', { json: JSON.parse(sent) })).status, 401, 'an answer counts once')
      assert.is((await world.audited('session.login'))[0]?.rule, 'wrong_second_factor')
      assert.equal(errors, [])
    })
  },
)

browserTest(
  'a key that was copied is found out by its counter, and one that is not of the account opens nothing',
  async () => {
    await inBrowser('required', async ({ world, page, cdp }) => {
      const authenticatorId = await plugIn(cdp)
      await submitPassword(page)
      await page.fill('#factor-password', PASSWORD)
      await page.click('#add-key')
      await page.waitForSelector('#recovery-codes')
      await page.click('#factors-done')
      await page.waitForSelector('#link.connected')
      await page.click('#leave')
      const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId })
      const [copied] = credentials
      assert.ok(copied !== undefined)
      if (copied === undefined) return
      for (let i = 0; i < 2; i += 1) {
        await logInByKey(page)
        await page.waitForSelector('#link.connected')
        await page.click('#leave')
      }
      // The copy has not seen the log-ins since.
      await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: copied.credentialId })
      await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: copied })
      await logInByKey(page)
      await page.waitForSelector('#login-problem:not(:empty)')
      assert.is((await world.audited('session.login'))[0]?.rule, 'wrong_second_factor')

      await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId })
      await world.addPerson('ada', ['account-admin'], [])
      await world.cloud.parts.accounts.resetFactors('bob', 'ada')
      const { database } = world.cloud.parts
      assert.equal(await database.read(database.build.selectFrom('security_keys').selectAll()), [])
    })
  },
)

browserTest(
  'keys have names, several stand beside an app, one is removed, and the page gives a code for a terminal',
  async () => {
    await inBrowser('optional', async ({ world, page, cdp, call, errors }) => {
      await submitPassword(page)
      await page.waitForSelector('#link.connected')
      await page.click('#show-factors')
      const first = await plugIn(cdp)
      const add = async (name: string) => {
        await page.fill('#factor-password', PASSWORD)
        await page.fill('#key-name', name)
        await page.click('#add-key')
        await page.waitForSelector(`#factors li:has-text("${name}")`)
      }
      await add('blue')
      await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: first })
      await plugIn(cdp)
      await add('green')

      await page.fill('#factor-password', PASSWORD)
      await page.click('#add-app')
      const secret = (await page.textContent('#app-secret')) ?? ''
      await page.waitForSelector('canvas')
      await keepPicture(page, 'add-app')
      await page.fill('#app-code', codeAt(secret, world.clock.nowMs()))
      await page.click('#confirm-app')
      await page.waitForSelector('#factors li:has-text("Authenticator app")')
      await page.fill('#factor-password', PASSWORD)
      await page.click('#factors li:has-text("blue") button')
      await page.waitForSelector('#factors li:has-text("blue")', { state: 'detached' })
      await keepPicture(page, 'factors')

      await page.click('#make-cli-code')
      const code = (await page.textContent('#cli-code')) ?? ''
      const terminal = await call('POST', '/api/v1/login/cli-code', { json: { account: 'bob', code } })
      assert.is(terminal.status, 200)
      const { token } = terminal.json
      const mine = await call('GET', '/api/v1/me/factors', { token })
      assert.equal(
        mine.json.keys.map(({ name }: { name: string }) => name),
        ['green'],
      )
      world.clock.advance(TOTP_PERIOD_MS)
      const byApp = { account: 'bob', password: PASSWORD, code: codeAt(secret, world.clock.nowMs()) }
      assert.is((await call('POST', '/api/v1/login', { json: byApp })).status, 200)

      // As many as an account may have, and one more.
      const { database } = world.cloud.parts
      const [green] = await database.read(database.build.selectFrom('security_keys').selectAll())
      assert.ok(green !== undefined)
      if (green === undefined) return
      const insert = (i: number) =>
        database.writeBatch([
          database.build.insertInto('security_keys').values({ ...green, credential_id: `c${i}`, name: `n${i}` }),
        ])
      for (let i = 2; i < MAX_KEYS_PER_ACCOUNT; i += 1) await insert(i)
      const options = () => call('POST', '/api/v1/me/factors/keys/options', { token, json: { password: PASSWORD } })
      assert.is((await options()).status, 200)
      await insert(MAX_KEYS_PER_ACCOUNT)
      assert.is((await options()).status, 413)
      assert.equal(errors, [])
    })
  },
)

test.run()

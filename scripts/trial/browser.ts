/**
 * Chromium that trusts one authority the way a person's browser would: by its own certificate store, in a home folder of its
 * own. No certificate check is switched off.
 */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type BrowserContext, chromium } from 'playwright-core'

export const CHROMIUM = '/usr/bin/chromium'

/** Makes `home` a home folder whose browser certificate store trusts `caPem` for servers. */
export async function trustAuthority(home: string, caPem: string): Promise<void> {
  const store = join(home, '.pki', 'nssdb')
  const file = join(home, 'ca.pem')
  await mkdir(store, { recursive: true })
  await writeFile(file, caPem)
  const certutil = (...args: string[]) => promisify(execFile)('certutil', ['-d', `sql:${store}`, ...args])
  await certutil('-N', '--empty-password')
  await certutil('-A', '-t', 'C,,', '-n', 'candor', '-i', file)
}

/**
 * A browser with that home, without a window. `trustedKey`: SHA-256 of the one public key that it takes from a server whatever its certificate
 * says, base64: as a technician does who has compared what the unit shows.
 */
export async function openBrowser(
  home: string,
  options: { phone?: boolean; trustedKey?: string } = {},
): Promise<BrowserContext> {
  const { CANDOR_PLATES: _, ...environment } = process.env
  return await launch(join(home, options.phone === true ? 'phone' : 'desktop'), {
    headless: true,
    viewport: options.phone === true ? { width: 390, height: 844 } : { width: 1440, height: 900 },
    isMobile: options.phone === true,
    hasTouch: options.phone === true,
    deviceScaleFactor: 1,
    args: options.trustedKey === undefined ? [] : [`--ignore-certificate-errors-spki-list=${options.trustedKey}`],
    env: { ...environment, HOME: home } as Record<string, string>,
  })
}

type LaunchOptions = NonNullable<Parameters<typeof chromium.launchPersistentContext>[1]>

/**
 * With Chromium's sandbox where the system lets it have one. Root, a container and a chroot do not; there it runs without, which is
 * enough for a page of our own on this machine.
 */
async function launch(profile: string, options: LaunchOptions): Promise<BrowserContext> {
  const whole = { ...options, executablePath: CHROMIUM }
  if (process.getuid?.() !== 0) {
    try {
      return await chromium.launchPersistentContext(profile, { ...whole, chromiumSandbox: true })
    } catch (thrown) {
      if (!/sandbox/i.test(String(thrown))) throw thrown
    }
  }
  return await chromium.launchPersistentContext(profile, { ...whole, chromiumSandbox: false })
}

/** A window of Chromium, in that home, on the page, logged in: what the demo opens where there is a screen. */
export async function openWindow(
  home: string,
  caPem: string,
  origin: string,
  person: { account: string; password: string },
): Promise<BrowserContext> {
  await trustAuthority(home, caPem)
  const context = await launch(join(home, 'desktop'), {
    headless: false,
    viewport: null,
    // The demo's own: it closes the window itself, and then all the rest.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    env: { ...process.env, HOME: home } as Record<string, string>,
  })
  const page = context.pages()[0] ?? (await context.newPage())
  await page.goto(`${origin}/`)
  await page.fill('#account', person.account)
  await page.fill('#password', person.password)
  await page.click('#login-form button[type=submit]')
  return context
}

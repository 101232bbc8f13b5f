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

/** A browser with that home, without a window. */
export async function openBrowser(home: string, options: { phone?: boolean } = {}): Promise<BrowserContext> {
  const { CANDOR_PLATES: _, ...environment } = process.env
  return await chromium.launchPersistentContext(join(home, options.phone === true ? 'phone' : 'desktop'), {
    executablePath: CHROMIUM,
    headless: true,
    viewport: options.phone === true ? { width: 390, height: 844 } : { width: 1440, height: 900 },
    isMobile: options.phone === true,
    hasTouch: options.phone === true,
    deviceScaleFactor: 1,
    env: { ...environment, HOME: home } as Record<string, string>,
    // Chromium's sandbox cannot be set up by root (a container); everybody else keeps it.
    chromiumSandbox: process.getuid?.() !== 0,
  })
}

/** A window of Chromium, in that home, on the page, logged in: what the demo opens where there is a screen. */
export async function openWindow(
  home: string,
  caPem: string,
  origin: string,
  person: { account: string; password: string },
): Promise<BrowserContext> {
  await trustAuthority(home, caPem)
  const context = await chromium.launchPersistentContext(join(home, 'desktop'), {
    executablePath: CHROMIUM,
    headless: false,
    viewport: null,
    env: { ...process.env, HOME: home } as Record<string, string>,
    chromiumSandbox: process.getuid?.() !== 0,
  })
  const page = context.pages()[0] ?? (await context.newPage())
  await page.goto(`${origin}/`)
  await page.fill('#account', person.account)
  await page.fill('#password', person.password)
  await page.click('#login-form button')
  return context
}

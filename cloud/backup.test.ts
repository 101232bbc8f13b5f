import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { silentLog } from '../shared/log.ts'
import { makeBackup, restoreBackup } from './backup.ts'
import { type CloudConfig, cloudConfigSchema, configBase } from './config.ts'
import { runCloud } from './main.ts'

const CONFIG: CloudConfig = cloudConfigSchema.parse({
  agency: 'springfield',
  dataFolder: 'data',
  host: '127.0.0.1',
  mqttPort: 0,
  httpsPort: 0,
})

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-backup-'))
  try {
    await run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown)
  }
  return 'none'
}

const backUp = (folder: string) =>
  makeBackup({
    config: CONFIG,
    base: join(folder, 'old'),
    into: join(folder, 'backups'),
    clock: systemClock,
    onProgress: () => {},
  })

/** A cloud with an account, two audit entries and a backup made while it runs. */
async function withBackup(folder: string): Promise<string> {
  const cloud = await runCloud(CONFIG, join(folder, 'old'), { log: silentLog })
  try {
    await cloud.parts.accounts.addFirst({ account: 'ann', password: 'correct horse battery' })
    for (let i = 0; i < 2; i++) {
      await cloud.parts.audit.append({
        operation: 'test.entry',
        outcome: 'allowed',
        actor: { account: 'ann', roles: [], session: null, source: null },
      })
    }
    await cloud.parts.keyRotation.rotate({ retireNow: false })
    return (await backUp(folder)).folder
  } finally {
    await cloud.close()
  }
}

test('a cloud that is restored elsewhere knows its accounts, authority, audit and signing keys', async () => {
  await inFolder(async (folder) => {
    const backup = await withBackup(folder)
    const target = join(folder, 'new')
    await restoreBackup(backup, target)
    const config = cloudConfigSchema.parse(JSON.parse(readFileSync(join(target, 'cloud.json'), 'utf8')))
    const cloud = await runCloud(config, configBase(join(target, 'cloud.json')), { log: silentLog })
    try {
      assert.is((await cloud.parts.accounts.list())[0]?.account, 'ann')
      assert.is(cloud.caPem, readFileSync(join(folder, 'old', 'data', 'authority', 'ca.pem'), 'utf8'))
      const entries = await cloud.parts.audit.list({ before: null, limit: 10 })
      assert.is(entries.filter((entry) => entry.operation === 'test.entry').length, 2)
      const { signing } = cloud.parts.keys
      assert.equal([signing.version, signing.documents.length], [3, 2])
      const { seq } = await cloud.parts.audit.append({
        operation: 'test.entry',
        outcome: 'allowed',
        actor: { account: 'ann', roles: [], session: null, source: null },
      })
      assert.ok(seq > 2, 'the audit goes on where it was')
    } finally {
      await cloud.close()
    }
  })
})

test('nobody but the owner can read a backup', async () => {
  await inFolder(async (folder) => {
    const backup = await withBackup(folder)
    assert.is(statSync(backup).mode & 0o077, 0)
    for (const entry of readdirSync(backup, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) assert.is(statSync(join(entry.parentPath, entry.name)).mode & 0o077, 0, entry.name)
    }
  })
})

test('a changed, a missing and an added file are refused and nothing is restored', async () => {
  await inFolder(async (folder) => {
    const backup = await withBackup(folder)
    const database = join(backup, 'candor.db')
    const whole = readFileSync(database)
    const changed = Buffer.from(whole)
    changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1
    writeFileSync(database, changed)
    assert.is(await codeOf(() => restoreBackup(backup, join(folder, 'new'))), 'integrity')
    rmSync(database)
    assert.is(await codeOf(() => restoreBackup(backup, join(folder, 'new'))), 'integrity')
    writeFileSync(database, whole)
    appendFileSync(join(backup, 'stranger'), 'x')
    assert.is(await codeOf(() => restoreBackup(backup, join(folder, 'new'))), 'integrity')
    assert.not(readdirSync(folder).includes('new'))
  })
})

test('a backup is never restored over something', async () => {
  await inFolder(async (folder) => {
    const backup = await withBackup(folder)
    assert.is(await codeOf(() => restoreBackup(backup, folder)), 'conflict')
    assert.is(await codeOf(() => restoreBackup(folder, join(folder, 'new'))), 'not_found')
  })
})

test('without a database there is nothing to back up, and it says so', async () => {
  await inFolder(async (folder) => {
    assert.is(await codeOf(() => backUp(folder)), 'not_found')
  })
})

test.run()

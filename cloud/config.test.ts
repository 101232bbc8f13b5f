import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkConfig, loadConfig } from '../shared/config.ts'
import { AppError } from '../shared/errors.ts'
import { silentLog } from '../shared/log.ts'
import { MAX_RETENTION_DAYS } from '../shared/wire/index.ts'
import { cloudConfigSchema, cloudPaths, configBase, MAX_BACKUP_DAYS, MIN_DATABASE_MEBIBYTES } from './config.ts'
import { runCloud } from './main.ts'

const LEAST = { agency: 'springfield', dataFolder: 'data' }

/** The message of the refusal, or null. */
function refusal(change: Record<string, unknown>): string | null {
  try {
    checkConfig({ ...LEAST, ...change }, cloudConfigSchema, 'cloud.json')
    return null
  } catch (thrown) {
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, 'configuration')
    return (thrown as AppError).message
  }
}

/** Says nothing of how strong a log-in must be, which a required second factor asks for. */
const PROVIDER = { issuer: 'https://idp.example', clientId: 'candor', clientSecretFile: 'oidc-secret' }

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-config-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startRefusal(config: Record<string, unknown>, folder: string): Promise<AppError> {
  try {
    const cloud = await runCloud(
      cloudConfigSchema.parse({ ...LEAST, host: '127.0.0.1', mqttPort: 0, httpsPort: 0, ...config }),
      folder,
      { log: silentLog },
    )
    await cloud.close()
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown
    throw thrown
  }
  return new AppError('internal', 'it started')
}

test('agency and data folder are enough; everything else has a default', () => {
  assert.equal(cloudConfigSchema.parse(LEAST), {
    ...LEAST,
    host: '0.0.0.0',
    mqttPort: 8_883,
    httpsPort: 8_443,
    federationPort: null,
    hostnames: ['localhost', '127.0.0.1'],
    secondFactor: 'required',
    passwordLogin: 'everyone',
    retentionDays: 30,
    upload: 'all',
    databaseMaxMebibytes: null,
    backupDays: 30,
    fleet: {
      ...{ raiseAfter: 3, clearAfter: 4, quietIntervals: 6, disconnectedMinutes: 5, neverHeardHours: 24 },
      ...{ readsLowRatio: 0.3, readsLowLeast: 20, darkRatio: 0.3, blurredRatio: 0.65, movedRatio: 0.03 },
      ...{
        hotC: 80,
        diskFreeRatio: 0.05,
        clockOffsetMs: 2_000,
        outboxAgeMinutes: 15,
        rejectedRatio: 0.2,
        failedRatio: 0.2,
      },
      ...{ historyDays: 7, summaryDays: 100 },
    },
    logLevel: 'info',
  })
})

test('each field is refused when it is wrong, by its name and with what was there, and taken at its limits', () => {
  const wrong: [string, unknown[]][] = [
    ['agency', [undefined, '', 'Springfield', 'a b', 'x'.repeat(33), 1]],
    ['dataFolder', [undefined, '', 1]],
    ['auditHeadFile', ['', 1]],
    ['host', ['', 1]],
    ['mqttPort', [-1, 65_536, 1.5, '8883']],
    ['httpsPort', [-1, 65_536, 1.5, '8443']],
    ['federationPort', [-1, 65_536, 1.5, '8444']],
    ['hostnames', [[], [''], ['x'.repeat(254)], Array(33).fill('a'), 'localhost']],
    ['pageOrigin', ['http://candor.example', 'candor', 1]],
    ['secondFactor', ['never', true]],
    ['passwordLogin', ['nobody', 'account-admins']],
    ['oidc', ['https://idp.example', 1, { ...PROVIDER, amr: ['mfa'], issuer: 'http://idp.example' }, PROVIDER]],
    ['retentionDays', [0, -1, MAX_RETENTION_DAYS + 1, '30']],
    ['upload', ['none', true]],
    ['profile', ['', 'atlantis', 1]],
    ['databaseMaxMebibytes', [0, MIN_DATABASE_MEBIBYTES - 1, 2.5, '100']],
    ['webhookCaFile', ['', 1]],
    ['backupDays', [0, -1, MAX_BACKUP_DAYS + 1, '30']],
    ['backupKeysFolder', ['', 1]],
    [
      'fleet',
      [
        ...[{ raiseAfter: 0 }, { raiseAfter: 21 }, { clearAfter: 61 }, { quietIntervals: 1 }, { hotC: 39 }],
        ...[{ movedRatio: 0.009 }, { movedRatio: 0.26 }, { historyDays: 91 }, { summaryDays: 6 }, 1],
      ],
    ],
    ['logLevel', ['verbose', 3]],
  ]
  assert.equal(wrong.map(([field]) => field).sort(), Object.keys(cloudConfigSchema.shape).sort(), 'every field is here')
  for (const [field, values] of wrong) {
    for (const value of values) {
      const message = refusal({ [field]: value }) ?? ''
      assert.match(message, new RegExp(`^cloud\\.json: 1 problem\\(s\\)\\n {2}${field}`), `${field} ${String(value)}`)
      assert.match(message, /\(got /)
    }
  }
  for (const good of [
    { agency: 'x'.repeat(32) },
    { mqttPort: 0, httpsPort: 65_535 },
    { federationPort: 65_535 },
    { federationPort: 0 },
    { hostnames: Array(32).fill('a'.repeat(253)) },
    { retentionDays: MAX_RETENTION_DAYS },
    { retentionDays: 0.001 },
    { profile: 'new-hampshire' },
    { databaseMaxMebibytes: MIN_DATABASE_MEBIBYTES },
    { oidc: PROVIDER, secondFactor: 'optional' },
    { oidc: { ...PROVIDER, amr: ['mfa'] }, passwordLogin: 'account-admins' },
    { oidc: { ...PROVIDER, acr: ['x'.repeat(256)] } },
  ]) {
    assert.is(refusal(good), null)
  }
})

test('a field that does not exist is refused, and every problem is told at once', () => {
  assert.match(refusal({ retention: 30 }) ?? '', /retention/)
  const message = refusal({ mqttPort: -1, httpsPort: -1, more: 1 }) ?? ''
  assert.match(message, /^cloud\.json: 3 problem\(s\)/)
  for (const name of ['mqttPort', 'httpsPort', 'more']) assert.ok(message.includes(name))
})

test('every field says what it is for', () => {
  for (const [name, field] of Object.entries(cloudConfigSchema.shape)) {
    assert.ok((field.description ?? '').length > 10, name)
  }
})

test('relative paths start from the folder of the file; absolute ones stay', () => {
  const paths = cloudPaths({ dataFolder: 'data' }, '/srv/candor')
  assert.is(paths.databaseFile, resolve('/srv/candor/data/candor.db'))
  assert.is(paths.auditHeadFile, resolve('/srv/candor/data/audit/head.json'))
  const elsewhere = cloudPaths(
    { dataFolder: '/var/lib/candor', auditHeadFile: '../head.json', webhookCaFile: 'ca.pem' },
    '/srv/candor',
  )
  assert.is(elsewhere.webhookCaFile, resolve('/srv/candor/ca.pem'))
  assert.is(paths.webhookCaFile, null)
  assert.is(elsewhere.keysFolder, resolve('/var/lib/candor/keys'))
  assert.is(elsewhere.auditHeadFile, resolve('/srv/head.json'))
  assert.is(configBase('/srv/candor/cloud.json'), resolve('/srv/candor'))
})

test('a file that is missing, no JSON or too wrong is a configuration problem that names it', async () => {
  await inFolder(async (folder) => {
    const file = join(folder, 'cloud.json')
    const message = () => {
      try {
        loadConfig(file, cloudConfigSchema)
        return 'none'
      } catch (thrown) {
        assert.is((thrown as AppError).code, 'configuration')
        return (thrown as AppError).message
      }
    }
    assert.is(message(), `${file}: no such file`)
    writeFileSync(file, '{')
    assert.match(message(), /not JSON/)
    writeFileSync(file, '[]')
    assert.match(message(), /1 problem/)
    writeFileSync(file, JSON.stringify(LEAST))
    assert.is(message(), 'none')
  })
})

test('a port in use or a folder that cannot be made stops the start with a configuration problem, and leaves nothing open', async () => {
  await inFolder(async (folder) => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    try {
      for (const name of ['mqttPort', 'httpsPort', 'federationPort']) {
        const refused = await startRefusal({ [name]: port }, folder)
        assert.is(refused.code, 'configuration')
        assert.match(refused.message, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use`))
      }
    } finally {
      await new Promise((resolve) => taken.close(resolve))
    }
    writeFileSync(join(folder, 'file'), '')
    const refused = await startRefusal({ dataFolder: 'file/data' }, folder)
    assert.is(refused.code, 'configuration')
    assert.match(refused.message, /dataFolder/)
    assert.is((await startRefusal({}, folder)).message, 'it started', 'the same folder starts afterwards')
  })
})

test.run()

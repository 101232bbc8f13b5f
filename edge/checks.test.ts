import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RotationStep } from '../cloud/authority/rotation.ts'
import { rotateAuthority } from '../cloud/authority.ts'
import { AGENCY, inCloud, type TestCloud } from '../cloud/testing.ts'
import { enrol } from '../scripts/trial/link-testing.ts'
import { keyDigest, newCameraRequest } from '../shared/certificate-request.ts'
import { systemClock } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { checkBroker, checkClock, checkDisk, checkLink, checkLists, checkTemperature, MOST_DEGREES } from './checks.ts'
import { openListTables } from './hotlist/tables.ts'
import { createIdentity } from './identity.ts'
import { newPageCertificate } from './setup/certificate.ts'

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-checks-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const brokerOf = (folder: string, url: string) => ({
  ...{ url, caFile: join(folder, 'ca.pem'), certificateFile: join(folder, 'certificate.pem') },
  keyFile: join(folder, 'key.pem'),
})

const check = (
  folder: string,
  url: string,
  change: { cameraId?: string; asCamera?: boolean; dataFolder?: string } = {},
) =>
  checkBroker({
    ...{ broker: brokerOf(folder, url), agency: AGENCY, cameraId: 'north', clock: systemClock },
    ...{ dataFolder: join(folder, 'data'), isClockTrusted: true, asCamera: true, ...change },
  })

const urlOf = (cloud: TestCloud) => `mqtts://localhost:${cloud.cloud.mqttPort}`

test('the broker takes the camera that its certificate names, and no other', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const good = await check(folder, urlOf(cloud))
    assert.equal([good.ok, good.detail], [true, `localhost:${cloud.cloud.mqttPort} takes this camera`])
    const other = await check(folder, urlOf(cloud), { cameraId: 'south' })
    assert.is(other.ok, false)
    assert.match(other.detail, /refuses|hangs up/)
  })
})

test('a camera that was revoked is told so, unless only the server is looked at', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    await cloud.cloud.parts.cameras.revoke('north', 'ada')
    const found = await check(folder, urlOf(cloud))
    assert.is(found.ok, false)
    const server = await check(folder, urlOf(cloud), { asCamera: false })
    assert.match(server.detail, /is the agency’s/)
  })
})

/** A certificate over a new key that has taken over, stored as the camera stores it. */
async function renew(cloud: TestCloud, folder: string): Promise<void> {
  const { cameras, authority } = cloud.cloud.parts
  const { keyPem, csrPem } = newCameraRequest('north')
  const inUse = cameras.certificatesInUse().find(({ camera }) => camera === 'north')
  await cameras.renew('north', csrPem, inUse?.fingerprint ?? '')
  const { certPem } = (await cameras.certificateOf('north', keyDigest(keyPem))) ?? { certPem: '' }
  await (await cloud.connectCamera('north', { key: keyPem, cert: certPem })).endAsync()
  mkdirSync(join(folder, 'data'), { recursive: true })
  await createIdentity({
    ...{ agency: AGENCY, cameraId: 'north', dataFolder: join(folder, 'data'), broker: brokerOf(folder, '') },
    log: silentLog,
  }).take({ keyPem, certificatePem: certPem, caPem: authority.trustedPem })
}

test('after a renewal it is the new certificate that the broker is asked with; where that cannot be seen, nothing is said', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    await renew(cloud, folder)
    const own = await check(folder, urlOf(cloud))
    assert.equal([own.ok, own.detail], [true, `localhost:${cloud.cloud.mqttPort} takes this camera`])
    // A folder that this process may not look into: not that there is none.
    const dataFolder = join(folder, 'key.pem')
    const hidden = await check(folder, urlOf(cloud), { dataFolder })
    assert.is(hidden.ok, null)
    assert.match(hidden.detail, /^not checked: by what the unit was enrolled with, .*cannot be seen from here.*ENOTDIR/)
    assert.is((await check(folder, urlOf(cloud), { dataFolder, asCamera: false })).ok, true)
    await cloud.cloud.parts.cameras.revoke('north', 'ada')
    assert.is((await check(folder, urlOf(cloud))).ok, false, 'one that is revoked is told so')
  })
})

test('a newer certificate that the cloud knows nothing of does not hide that the camera is taken', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    await renew(cloud, folder)
    // As from a backup of before the renewal.
    cloud.sql('DELETE FROM camera_certificates WHERE takes_over = 0 AND revoked_at_ms IS NULL')
    cloud.sql('UPDATE camera_certificates SET revoked_at_ms = NULL, takes_over = 0 WHERE rowid = 1')
    await cloud.restart()
    assert.is((await check(folder, urlOf(cloud))).ok, true)
  })
})

test('after a change of the authority the broker is looked at by the one that the camera was given', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const step = (name: RotationStep) =>
      rotateAuthority(name, join(cloud.folder, 'data', 'authority'), AGENCY, cloud.clock)
    await step('prepare')
    await cloud.restart()
    await renew(cloud, folder)
    await step('switch')
    await cloud.restart()
    for (const asCamera of [false, true]) {
      const found = await check(folder, urlOf(cloud), { asCamera })
      assert.is(found.ok, true, found.detail)
      const hidden = await check(folder, urlOf(cloud), { asCamera, dataFolder: join(folder, 'key.pem') })
      assert.is(hidden.ok, null)
      assert.match(hidden.detail, /^not checked: .*not signed by the authority/)
    }
    const none = await check(folder, 'mqtts://127.0.0.1:1', { dataFolder: join(folder, 'key.pem') })
    assert.is(none.ok, false, 'whoever does not answer does so whatever the certificate')
  })
})

test('a broker of another authority, one that is not there, and one that is none are each told apart', async () => {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const { certificatePem } = newPageCertificate(['localhost'], null)
    writeFileSync(join(folder, 'ca.pem'), certificatePem)
    const foreign = await check(folder, urlOf(cloud))
    assert.match(foreign.detail, /not trusted: it is not signed by the authority/)
    const none = createServer((socket) => {
      socket.on('error', () => {})
      socket.resume().end('hello')
    })
    await new Promise<void>((resolve) => none.listen(0, '127.0.0.1', resolve))
    const { port } = none.address() as AddressInfo
    assert.is((await check(folder, `mqtts://127.0.0.1:${port}`)).ok, false)
    await new Promise((resolve) => none.close(resolve))
    const gone = await check(folder, `mqtts://127.0.0.1:${port}`)
    assert.match(`${gone.detail} ${gone.hint}`, /ECONNREFUSED.*is the way to it open/)
  })
})

test('the warmest sensor counts, from 80 °C on it is too warm, and a machine without any is not blamed', async () => {
  await inFolder(async (folder) => {
    assert.is((await checkTemperature(folder)).ok, true)
    const zone = (name: string, milli: string) => {
      mkdirSync(join(folder, name), { recursive: true })
      writeFileSync(join(folder, name, 'temp'), milli)
    }
    zone('thermal_zone0', '45000\n')
    zone('thermal_zone1', `${MOST_DEGREES * 1_000 - 1}\n`)
    zone('cooling_device0', '99000\n')
    zone('thermal_zone2', 'broken')
    assert.equal([(await checkTemperature(folder)).ok, (await checkTemperature(folder)).detail], [true, '80 °C'])
    zone('thermal_zone1', `${MOST_DEGREES * 1_000}\n`)
    assert.is((await checkTemperature(folder)).ok, false)
  })
})

test('the link is an address in some network; loopback and link-local ones are none', () => {
  const info = (address: string, internal: boolean) => ({ address, internal }) as NetworkInterfaceInfo
  const lo = [info('127.0.0.1', true)]
  assert.is(checkLink({ lo }).ok, false)
  assert.is(checkLink({ lo, eth0: [info('fe80::1', false)] }).ok, false)
  assert.equal(checkLink({ lo, eth0: [info('192.168.1.7', false)] }).detail, 'eth0 192.168.1.7')
})

test('clock and disk say what they found', async () => {
  const noonMs = Date.UTC(2026, 5, 1, 12)
  assert.equal(await checkClock(async () => true, noonMs), {
    ...{ name: 'clock', ok: true, detail: 'synchronised, 2026-06-01 12:00 UTC' },
    hint: 'is there a time server the unit can reach? Until then its sightings are marked',
  })
  assert.is((await checkClock(async () => false, noonMs)).ok, false)
  assert.match((await checkDisk(tmpdir())).detail, /^\d+\.\d GiB free$/)
})

test('lists are told with their versions; none is no fault before the camera has run', async () => {
  await inFolder(async (folder) => {
    assert.match(checkLists(folder).detail, /they come when the camera runs/)
    const database = openDatabase(join(folder, 'lists.db'))
    openListTables(database)
    assert.match(checkLists(folder).detail, /none yet/)
    database.prepare("INSERT INTO hotlist_lists VALUES ('stolen', 1, 0, 0, 7, 'd', 'k', 1200, 0, 0, 0)").run()
    database.close()
    assert.is(checkLists(folder).detail, 'stolen v7, 1200 entries')
  })
})

test.run()

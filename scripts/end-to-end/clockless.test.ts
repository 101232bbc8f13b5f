/** Cameras whose clock is years off: they connect, and to nobody but the cloud. Real uplink, real cloud; the real clock is the wrong one. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CAMERA_LIFETIME_MS, openAuthority, SERVER_LIFETIME_MS } from '../../cloud/authority.ts'
import { AGENCY, createMovableClock, inCloud, type TestCloud, until } from '../../cloud/testing.ts'
import { DAY_MS } from '../../shared/clock.ts'
import { withCamera } from '../trial/link-testing.ts'

/** A camera that knows that it has no clock connects; one that believes its clock does not. */
async function connectsWithoutClockAlone(world: TestCloud): Promise<void> {
  await withCamera(world, { clockState: 'unsynced' }, async ({ uplink, start }) => {
    start()
    await until('it is connected', () => uplink.connected)
    assert.equal(uplink.counters.failures, {})
  })
  await withCamera(world, { camera: 'south' }, async ({ uplink, start }) => {
    start()
    await until('it has tried', () => (uplink.counters.failures.unauthenticated ?? 0) > 0)
    assert.not.ok(uplink.connected)
  })
}

// The broker holds cameras' certificates against the real clock: those must be good on it, and the server's must not.
test('a camera whose clock is years behind connects', async () => {
  await inCloud(async (world) => {
    const clock = createMovableClock()
    clock.advance(5 * 365 * DAY_MS)
    const folder = join(world.folder, 'data', 'authority')
    const later = await openAuthority({ folder, agency: AGENCY, hostnames: ['localhost'], clock })
    world.cloud.parts.broker.renew({ key: later.serverKeyPem, cert: later.serverCertPem })
    await connectsWithoutClockAlone(world)
  })
})

test('a camera whose clock is months ahead connects', async () => {
  const clock = createMovableClock()
  clock.advance(-2 * SERVER_LIFETIME_MS)
  await inCloud(connectsWithoutClockAlone, {}, {}, clock)
})

test('a camera without a clock trusts no other authority, and no certificate that ended before it was enrolled', async () => {
  await inCloud(async (world) => {
    let otherCa = ''
    await inCloud(async (elsewhere) => {
      otherCa = elsewhere.cloud.caPem
    })
    await withCamera(world, { clockState: 'unsynced' }, async ({ uplink, start }) => {
      writeFileSync(join(world.folder, 'north', 'ca.pem'), otherCa)
      start()
      await until('it has refused', () => (uplink.counters.failures.unauthenticated ?? 0) > 0)
      assert.is(uplink.counters.connections, 0)
    })
  })
  const clock = createMovableClock()
  await inCloud(
    async (world) => {
      // The server goes on with its certificate of before, as one that was stolen with it would.
      const { parts } = world.cloud
      const { serverKeyPem: key, serverCertPem: cert } = parts.authority
      clock.advance(CAMERA_LIFETIME_MS)
      await until('it has been renewed', () => parts.authority.serverCertPem !== cert)
      parts.broker.renew({ key, cert })
      await withCamera(world, { clockState: 'unsynced' }, async ({ uplink, start }) => {
        start()
        await until('it has refused', () => (uplink.counters.failures.unauthenticated ?? 0) > 0)
        assert.is(uplink.counters.connections, 0)
      })
    },
    {},
    {},
    clock,
  )
})

test.run()

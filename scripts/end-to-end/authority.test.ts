/** The rehearsal of a rotation of the authority: real cloud, real uplink, the steps as an administrator takes them on the host. */
import { X509Certificate } from 'node:crypto'
import { copyFileSync, existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RotationStep } from '../../cloud/authority/rotation.ts'
import { cloudConfigSchema } from '../../cloud/config.ts'
import { openHost } from '../../cloud/host.ts'
import { AGENCY, inCloud, makeSighting, type TestCloud, until } from '../../cloud/testing.ts'
import { authoritiesIn, issuerOf } from '../../edge/server-trust.ts'
import { ASK_INTERVAL_MS } from '../../edge/uplink/renewal.ts'
import { systemClock } from '../../shared/clock.ts'
import { type LinkedCamera, query, withCamera } from '../trial/link-testing.ts'

const CAMERA = 'north'

async function step(world: TestCloud, name: RotationStep, leave = false): Promise<string> {
  const host = await openHost(cloudConfigSchema.parse({ agency: AGENCY, dataFolder: 'data' }), world.folder, 'root')
  try {
    await host.rotateAuthority(name, leave)
    return 'done'
  } catch (thrown) {
    return (thrown as Error).message
  } finally {
    await host.close()
  }
}

function put({ outbox, uplink }: LinkedCamera, plate: string): void {
  const sighting = makeSighting(systemClock, { cameraId: CAMERA, plate })
  const { sightingId, revision, capturedAtMs, clock } = sighting
  const payload = Buffer.from(JSON.stringify(sighting))
  outbox.put({ sightingId, revision, matched: false, capturedAtMs, clock, payload }, null)
  uplink.wake()
}

/** The camera has its `renewals`th new certificate, connects with it, and has sent everything. */
async function follows(world: TestCloud, camera: LinkedCamera, renewals: number): Promise<X509Certificate> {
  // It has asked just now for the one before.
  camera.clock.advance(ASK_INTERVAL_MS)
  put(camera, `CAR000${renewals}`)
  await until(`certificate ${renewals} has taken over`, async () => {
    await world.cloud.parts.renewals.upkeep()
    return (await world.audited('camera.taken_over')).length === renewals
  })
  await until('it is connected again', () => camera.uplink.connected && camera.outbox.rows === 0)
  return new X509Certificate((await camera.identity.load()).certificatePem)
}

test('an authority is replaced in three steps, each of which every camera follows by itself, and nothing is lost', async () => {
  await inCloud(async (world) => {
    await withCamera(world, {}, async (camera) => {
      const [first] = authoritiesIn(world.cloud.caPem)
      const lost = await world.addCamera('lost')
      camera.start()
      await until('it is connected', () => camera.uplink.connected)
      assert.match(await step(world, 'switch'), /no next authority/)
      assert.match(await step(world, 'retire'), /no authority of before/)

      assert.is(await step(world, 'prepare'), 'done')
      assert.match(await step(world, 'prepare'), /there already/)
      assert.match(await step(world, 'switch'), /2 camera\(s\) have not followed.*lost, north/)
      await world.restart()
      assert.is(issuerOf(await follows(world, camera, 1), authoritiesIn(world.cloud.caPem))?.subject, first?.subject)
      assert.is(authoritiesIn((await camera.identity.load()).caPem).length, 2)
      assert.match(await step(world, 'switch'), /1 camera\(s\) have not followed.*lost/)

      assert.is(await step(world, 'switch', true), 'done')
      await world.restart()
      const [second] = authoritiesIn(world.cloud.caPem)
      assert.is.not(second?.fingerprint256, first?.fingerprint256)
      await world.connectCamera('lost', lost)
      assert.is(issuerOf(await follows(world, camera, 2), second === undefined ? [] : [second]), second)

      assert.is(await step(world, 'retire', true), 'done')
      await world.restart()
      await follows(world, camera, 3)
      assert.equal(
        authoritiesIn((await camera.identity.load()).caPem).map(({ fingerprint256 }) => fingerprint256),
        [second?.fingerprint256],
      )
      const refused = await world.connectCamera('lost', lost).then(
        () => false,
        () => true,
      )
      assert.ok(refused, 'what only the old authority has signed is trusted no more')
      assert.is(await step(world, 'prepare'), 'done', 'and so on')
      const [stored] = query<{ rows: number }>(world, 'SELECT count(*) AS rows FROM sightings')
      assert.is(stored?.rows, 3)
      assert.is((await world.audited('authority.rotate')).filter(({ outcome }) => outcome === 'allowed').length, 7)
    })
  })
})

test('a switch that was cut short anywhere is finished when it is taken again', async () => {
  await inCloud(async (world) => {
    const folder = join(world.folder, 'data', 'authority')
    const at = (name: string) => join(folder, name)
    const old = readFileSync(at('ca.pem'), 'utf8')
    assert.is(await step(world, 'prepare'), 'done')
    const next = readFileSync(at('ca-next.pem'), 'utf8')
    // The power went between the two renames.
    copyFileSync(at('ca.pem'), at('ca-before.pem'))
    renameSync(at('ca-next-key.pem'), at('ca-key.pem'))
    assert.match(await step(world, 'retire', true), /cut short/)
    assert.is(await step(world, 'switch', true), 'done')
    assert.equal([readFileSync(at('ca.pem'), 'utf8'), readFileSync(at('ca-before.pem'), 'utf8')], [next, old])
    assert.not.ok(existsSync(at('ca-next.pem')) || existsSync(at('ca-next-key.pem')))
    await world.restart()
    assert.is(world.cloud.caPem.trim(), next.trim())
  })
})

test.run()

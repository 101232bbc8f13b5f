/** Rotation of the signing key over the real broker: cameras follow while connected and after an absence, and take nothing of the old key afterwards. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, inCloud, publish, readOf, subscribe, until } from '../../cloud/testing.ts'
import { systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import { type CameraStatus, MAX_SIGNING_KEYS_BYTES } from '../../shared/wire/index.ts'
import { query, withCamera } from '../trial/link-testing.ts'

const retained = { qos: 1, retain: true } as const
const SIGNING_KEYS_ACK = `SELECT version, result, reason FROM camera_acks WHERE subject = 'signing-keys'`

test('a connected camera follows a rotation, its list goes on matching, and what the old key signed is refused', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { keyRotation, keys, broker, policy } = cloud.cloud.parts
      const matches = (plate: string) => camera.hotlists.match(readOf(plate), systemClock.nowMs()) !== null
      camera.start()
      await cloud.importList('stolen', ['ABC1234'])
      await until('the list matches', () => matches('ABC1234'))
      const [oldManifest] = query<{ payload: Buffer }>(
        cloud,
        `SELECT payload FROM broker_retained WHERE topic = '${topics.manifest(AGENCY, 'stolen')}'`,
      )
      const oldKey = keys.signing.signer.keyId

      const begun = await keyRotation.rotate({ retireNow: false })
      assert.equal([begun.version, begun.rotating], [2, true])
      assert.is.not(begun.keyId, oldKey)
      await until('the camera follows', () => camera.signingKeys.version === 2)
      assert.is(camera.signingKeys.verifier.keyIds.length, 2)
      await until('the camera has acknowledged', async () => (await keyRotation.state()).waitingFor.length === 0)
      await keyRotation.upkeep()
      assert.equal([(await keyRotation.state()).rotating, (await keyRotation.state()).version], [false, 3])
      await until('the old key is trusted no more', () => camera.signingKeys.version === 3)
      assert.equal(camera.signingKeys.verifier.keyIds, [keys.signing.signer.keyId])

      const ack = () =>
        query<{ result: string; reason: string }>(
          cloud,
          `SELECT result, reason FROM camera_acks WHERE subject = 'hotlists/stolen'`,
        )[0]
      await until('the list is acknowledged under the new key', () => ack()?.result === 'applied')
      await broker.publish(topics.manifest(AGENCY, 'stolen'), oldManifest?.payload ?? Buffer.alloc(0), retained)
      await until('the old signature is refused', () => ack()?.result === 'refused')
      assert.match(ack()?.reason ?? '', /unknown key/)
      assert.ok(matches('ABC1234'))
      await cloud.importList('stolen', ['XYZ7890'])
      await until('a new version is applied', () => matches('XYZ7890'))
      const changed = await policy.change(policy.current().version, { upload: 'matches-only' }, 'test')
      await until('so is a new policy', () => camera.policy.version === changed.version)
      assert.is((await policy.history(10)).length, 2, 'what the old key had signed can still be read')
      assert.is((await cloud.audited('hotlist.signing_key_retired')).length, 1)
    })
  })
})

test('a camera enrolled after two rotations trusts the newest key from the start, also after a restart of the cloud', async () => {
  await inCloud(async (cloud) => {
    await cloud.importList('stolen', ['ABC1234'])
    for (const version of [3, 5]) {
      // Nobody has been seen who would have to follow.
      const state = await cloud.cloud.parts.keyRotation.rotate({ retireNow: false })
      assert.equal([state.version, state.rotating], [version, false])
    }
    await cloud.restart()
    await withCamera(cloud, {}, async (camera) => {
      assert.is(camera.signingKeys.version, 5)
      camera.start()
      await until('the list matches', () => camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()) !== null)
    })
  })
})

test('a camera enrolled before two rotations follows the chain when it comes', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { keyRotation } = cloud.cloud.parts
      await cloud.importList('stolen', ['ABC1234'])
      await keyRotation.rotate({ retireNow: false })
      await keyRotation.rotate({ retireNow: true })
      assert.is(camera.signingKeys.version, 1)
      camera.start()
      await until('it has followed', () => camera.signingKeys.version === 5)
      await until('the list matches', () => camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()) !== null)
      await until('it has said so', () => query<{ version: number }>(cloud, SIGNING_KEYS_ACK)[0]?.version === 5)
    })
  })
})

test('forged key documents are refused and told to the cloud, and a camera may publish none', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { broker } = cloud.cloud.parts
      camera.start()
      await until('the policy is in force', () => camera.policy.version === 1)
      const topic = topics.signingKeys(AGENCY, 2)
      await broker.publish(topic, Buffer.from('{"payload":"","signatures":[]}'), { qos: 1, retain: false })
      const ack = () => query<{ result: string; reason: string }>(cloud, SIGNING_KEYS_ACK)[0]
      await until('it is refused', () => ack()?.result === 'refused')
      await broker.publish(topic, Buffer.alloc(MAX_SIGNING_KEYS_BYTES + 1, ' '), { qos: 1, retain: false })
      await until('too long a one too', () => ack()?.reason?.includes('more than') === true)
      assert.is(camera.signingKeys.version, 1)
      const south = await cloud.connectCamera('south', await cloud.addCamera('south'))
      assert.is(await subscribe(south, topics.allSigningKeys(AGENCY)), 1)
      assert.is(await publish(south, topic, '{}'), 'closed')
    })
  })
})

test('the old key is retired only when every camera that was seen has followed, is revoked, or is not waited for', async () => {
  await inCloud(async (cloud) => {
    const { keyRotation, cameras } = cloud.cloud.parts
    const seen = async (name: string) => {
      const client = await cloud.connectCamera(name, await cloud.addCamera(name))
      const status: CameraStatus = {
        cameraId: name,
        online: true,
        sessionId: newId(),
        sinceMs: cloud.clock.nowMs(),
        software: '0.1.0',
      }
      await publish(client, topics.status(AGENCY, name), JSON.stringify(status), { retain: true })
    }
    await seen('south')
    assert.equal((await keyRotation.rotate({ retireNow: false })).waitingFor, ['south'])
    await keyRotation.upkeep()
    assert.is((await keyRotation.state()).rotating, true)
    assert.is(await codeOf(() => keyRotation.rotate({ retireNow: false })), 'conflict')
    await cameras.revoke('south', 'test')
    await keyRotation.upkeep()
    assert.is((await keyRotation.state()).rotating, false)
    await seen('west')
    assert.equal((await keyRotation.rotate({ retireNow: false })).waitingFor, ['west'])
    const forced = await keyRotation.rotate({ retireNow: true })
    assert.equal([forced.rotating, forced.version], [false, 5])
  })
})

test.run()

/** What reaches a camera over the real broker and is not for it, not whole or too much: refused, counted, and the link goes on. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, inCloud, readOf, until } from '../../cloud/testing.ts'
import { MAX_INCOMING_BYTES } from '../../edge/uplink/connection.ts'
import { MAX_REFUSALS_PER_CONNECTION } from '../../edge/uplink/inbox.ts'
import { systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import { MAX_POLICY_BYTES } from '../../shared/wire/index.ts'
import { query, withCamera } from '../trial/link-testing.ts'

const once = { qos: 1, retain: false } as const

test('a command that this version does not know, and a document too long, are counted and change nothing', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { broker, policy } = cloud.cloud.parts
      const refused = () => camera.uplink.counters.refused
      camera.start()
      await until('the policy is in force', () => camera.policy.version === policy.current().version)
      await broker.publish(
        topics.commands(AGENCY, 'north').replace('+/+', `reboot/${newId()}`),
        Buffer.from('{}'),
        once,
      )
      await until('the command is refused', () => refused() === 1)
      await broker.publish(topics.policy(AGENCY), Buffer.alloc(MAX_POLICY_BYTES + 1, 'x'), once)
      await until('the document is refused', () => refused() === 2)
      await broker.publish(topics.policy(AGENCY), Buffer.alloc(0), once)
      await broker.publish(topics.policy(AGENCY), Buffer.from('not signed'), once)
      const ack = () => query<{ result: string; reason: string }>(cloud, 'SELECT result, reason FROM camera_acks')[0]
      await until('what is not signed is refused with an acknowledgement', () => ack()?.result === 'refused')
      assert.match(ack()?.reason ?? '', /not JSON/)
      assert.equal([refused(), camera.policy.version], [2, policy.current().version])
      assert.equal([camera.uplink.connected, camera.uplink.counters.connections], [true, 1])
    })
  })
})

test('a list whose manifest nobody we trust has signed is refused, told to the cloud, and the next true one applied', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { broker } = cloud.cloud.parts
      camera.start()
      await cloud.importList('stolen', ['ABC1234'])
      await until('the list matches', () => camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()) !== null)
      const envelope = { keyId: '0'.repeat(16), payload: '', signature: `${'A'.repeat(86)}==` }
      await broker.publish(topics.manifest(AGENCY, 'stolen'), Buffer.from(JSON.stringify(envelope)), once)
      const ack = () =>
        query<{ result: string; reason: string }>(
          cloud,
          `SELECT result, reason FROM camera_acks WHERE subject = 'hotlists/stolen'`,
        )[0]
      await until('the forgery is refused', () => ack()?.result === 'refused')
      assert.match(ack()?.reason ?? '', /unknown key/)
      assert.ok(camera.hotlists.match(readOf('ABC1234'), systemClock.nowMs()), 'what was there goes on matching')
      await cloud.importList('stolen', ['XYZ7890'])
      await until(
        'the next version matches',
        () => camera.hotlists.match(readOf('XYZ7890'), systemClock.nowMs()) !== null,
      )
      await until('and is acknowledged', () => ack()?.result === 'applied')
    })
  })
})

test('a packet larger than a camera takes ends the connection before it is collected, and the camera comes back', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { counters } = camera.uplink
      camera.start()
      await until('the policy is in force', () => camera.policy.version > 0)
      // Not kept for an offline session, or it would be sent again at each connection.
      const atMostOnce = { qos: 0, retain: false } as const
      await cloud.cloud.parts.broker.publish(topics.policy(AGENCY), Buffer.alloc(MAX_INCOMING_BYTES), atMostOnce)
      await until('it was ended', () => counters.failures.too_large === 1)
      await until('it is back', () => camera.uplink.connected)
      assert.equal([counters.connections, counters.refused], [2, 0])
    })
  })
})

test('a flood of manifests that nobody signed ends the connection, and the camera comes back', async () => {
  await inCloud(async (cloud) => {
    await withCamera(cloud, {}, async (camera) => {
      const { counters } = camera.uplink
      camera.start()
      await until('the policy is in force', () => camera.policy.version > 0)
      const atMostOnce = { qos: 0, retain: false } as const
      const flood = Array.from({ length: MAX_REFUSALS_PER_CONNECTION + 1 }, () =>
        cloud.cloud.parts.broker.publish(topics.manifest(AGENCY, 'stolen'), Buffer.from('junk'), atMostOnce),
      )
      await Promise.all(flood)
      await until('it was ended', () => counters.failures.too_large === 1)
      await until('it is back', () => camera.uplink.connected)
      assert.is(counters.connections, 2)
    })
  })
})

test.run()

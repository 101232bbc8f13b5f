import { request } from 'node:https'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { topics } from '../shared/topics.ts'
import { createMetrics } from './metrics.ts'
import { AGENCY, inCloud, makeSighting, publish, publishSighting, subscribe, type TestCloud, until } from './testing.ts'

const A = 'elm-st-1'

/** GET over HTTPS from an address of the loopback network: any but 127.0.0.1 is another machine to the cloud. */
function get(world: TestCloud, path: string, localAddress: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port: world.cloud.httpsPort,
        servername: 'localhost',
        ca: world.cloud.caPem,
        agent: false,
        localAddress,
        path,
      },
      (reply) => {
        let text = ''
        reply.on('data', (chunk: Buffer) => {
          text += chunk
        })
        reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }))
      },
    )
      .on('error', reject)
      .end()
  })
}

test('metrics are served to the server itself and to nobody else', async () => {
  await inCloud(async (world) => {
    const own = await get(world, '/metrics', '127.0.0.1')
    assert.is(own.status, 200)
    assert.match(own.text, /^candor_connections\{kind="camera"\}|^# HELP candor_/m)
    const other = await get(world, '/metrics', '127.0.0.2')
    assert.is(other.status, 403)
    assert.not.match(other.text, /candor_/)
    assert.is((await get(world, '/health/live', '127.0.0.2')).status, 200)
  })
})

test('no plate, camera, person, address or id is in the metrics, whatever happened', async () => {
  await inCloud(async (world) => {
    await world.importList('stolen', ['PLT4711'])
    const camera = await world.connectCamera(A, await world.addCamera(A))
    const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']))
    const sighting = makeSighting(world.clock, { plate: 'PLT4711' })
    await publishSighting(camera, sighting)
    await publish(camera, topics.sightings(AGENCY, A), '{"plate":"PLT4711"}')
    await subscribe(olga, 'plates/PLT4711')
    await publish(camera, topics.sightings(AGENCY, 'oak-st-2'), '{}')
    await until(
      'the refusals are counted',
      async () => (await world.counted('candor_denied_total{rule="publish"}')) === 1,
    )
    const { text } = await get(world, '/metrics', '127.0.0.1')
    for (const secret of ['PLT4711', A, 'oak-st-2', 'olga', '127.0.0.1', sighting.sightingId, 'stolen', AGENCY]) {
      assert.not.ok(text.includes(secret), secret)
    }
    for (const line of [
      'candor_ingest_arrivals_total{kind="sightings",outcome="stored"} 1',
      'candor_ingest_arrivals_total{kind="sightings",outcome="quarantined"} 1',
      'candor_ingest_quarantined_total{reason="malformed"} 1',
      'candor_alerts_raised_total{kind="exact"} 1',
      'candor_match_disagreements_total 1',
      'candor_denied_total{rule="publish"} 1',
      'candor_denied_total{rule="subscribe"} 1',
      'candor_connections{kind="person"} 1',
      'candor_audit_failures_total 0',
    ]) {
      assert.ok(text.includes(line), line)
    }
  })
})

test('an audit entry that cannot be written is counted', async () => {
  await inCloud(async (world) => {
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    const actor = { account: null, roles: [], session: null, source: null }
    await world.cloud.parts.audit.append({ operation: 'test.entry', outcome: 'allowed', actor }).then(
      () => assert.unreachable(),
      () => {},
    )
    assert.is(await world.counted('candor_audit_failures_total'), 1)
    world.sql('DROP TRIGGER broken')
  })
})

test('two clouds in one process count apart', async () => {
  const one = createMetrics()
  const other = createMetrics()
  one.denied('publish')
  one.queueDropped(3)
  assert.match((await one.render()).text, /^candor_denied_total\{rule="publish"\} 1$/m)
  assert.match((await one.render()).text, /^candor_queue_dropped_total 3$/m)
  assert.not.match((await other.render()).text, /rule="publish"/)
  assert.match((await other.render()).text, /^candor_queue_dropped_total 0$/m)
})

test.run()

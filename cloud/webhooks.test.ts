import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import { topics } from '../shared/topics.ts'
import { installationFolder } from '../shared/version.ts'
import { cloudConfigSchema } from './config.ts'
import { runCloud } from './main.ts'
import { AGENCY, codeOf, collect, filesWith, makeSighting, subscribe, until } from './testing.ts'
import { parseWebhookUrl } from './webhooks/address.ts'
import { type HookedCloud, isSigned, openReceiver, PLATE, type Receiver, withHooks } from './webhooks/testing.ts'
import { WEBHOOK_LIMITS } from './webhooks.ts'

/** One receiver, and webhook dispatch leads to it. */
async function withReceiver(
  work: (world: HookedCloud, receiver: Receiver, secret: string) => Promise<void>,
  limits: Partial<typeof WEBHOOK_LIMITS> = {},
): Promise<void> {
  const receiver = await openReceiver()
  try {
    const more = { webhookLimits: { ...WEBHOOK_LIMITS, ...limits } }
    await withHooks(async (world) => work(world, receiver, await world.addHook('dispatch', receiver.url)), more)
  } finally {
    await receiver.close()
  }
}

const alertOf = async (world: HookedCloud, sightingId: string) => {
  const [alert] = await world.cloud.parts.alerts.ofSighting('elm-st-1', sightingId)
  if (alert === undefined) throw new Error('no alert')
  return alert
}

/** The next step, by somebody who may, which makes revision 1. */
async function compare(world: HookedCloud, alertId: string): Promise<void> {
  const isThere = (await world.cloud.parts.accounts.find('otto')) !== null
  if (!isThere) await world.addPerson('otto', ['officer'], ['patrol'])
  await world.cloud.parts.alerts.step(
    alertId,
    { step: 'image_compared', revision: 0, plateSeen: PLATE, jurisdictionSeen: null },
    {
      actor: { account: 'otto', roles: ['officer'], session: null, source: null },
      account: 'otto',
      groups: ['patrol'],
    },
  )
}

const told = ({ got }: Receiver) => got.map(({ json }) => [json.alert.alertId, json.alert.revision])
const rows = async ({ cloud }: HookedCloud, table: 'webhooks' | 'webhook_deliveries') => {
  const { database } = cloud.parts
  return database.read(database.build.selectFrom(table).selectAll())
}
const RAW_CONFIG = { agency: AGENCY, dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort: 0 }

/** Some turns in which what should not come would have come. */
const aWhile = (world: HookedCloud) => world.clock.sleep(300)

test('an alert is delivered once, signed, and says where to look and not which plate', async () => {
  await withReceiver(async (world, receiver, secret) => {
    const alert = await alertOf(world, await world.raise())
    await until('it is delivered', async () => (await world.state('dispatch')).lastDeliveredAtMs !== null)
    await aWhile(world)
    assert.is(receiver.got.length, 1)
    const [delivery] = receiver.got
    assert.ok(delivery && isSigned(delivery, secret))
    assert.not(delivery && isSigned(delivery, `${secret}x`))
    assert.is(delivery?.headers['content-type'], 'application/json')
    assert.match(String(delivery?.headers['user-agent']), /^candor\/\d/)
    const { webhook, deliveryId, sentAtMs, alert: shown } = delivery?.json ?? {}
    assert.is(webhook, 'dispatch')
    assert.is(deliveryId, delivery?.headers['candor-delivery'])
    assert.ok(delivery?.headers['candor-signature']?.includes(`t=${sentAtMs},`))
    assert.equal(shown, {
      ...{
        alertId: alert.alertId,
        agency: AGENCY,
        revision: 0,
        state: 'raised',
        historical: false,
        outcome: null,
        groups: ['patrol'],
      },
      ...{ raisedAtMs: alert.raisedAtMs, updatedAtMs: alert.updatedAtMs, expiresAtMs: alert.expiresAtMs },
      match: { kind: 'exact', list: 'stolen', priority: 1, stale: false, stillMatches: true },
      sighting: { cameraId: 'elm-st-1', seenAtMs: alert.sighting.seenAtMs, clock: 'synced' },
      page: `https://localhost:${world.cloud.httpsPort}/#alert=${alert.alertId}`,
    })
    assert.not.match(delivery?.text ?? '', new RegExp(PLATE))
    const { state, waiting, lastStatus } = await world.state('dispatch')
    assert.equal([state, waiting, lastStatus], ['ok', 0, 200])
    assert.is(await world.counted('candor_webhook_attempts_total{outcome="delivered"}'), 1)
  })
})

test('a webhook that includes the plate gets the whole alert, and its own groups only', async () => {
  await withReceiver(async (world, receiver) => {
    await world.importList('stolen', [PLATE], ['night', 'patrol'])
    await world.addHook('whole', receiver.url, { includePlate: true })
    const alert = await alertOf(world, await world.raise())
    await until('both are delivered', () => receiver.got.length === 2)
    const whole = receiver.got.find(({ json }) => json.webhook === 'whole')
    const { page, ...shown } = whole?.json.alert ?? {}
    assert.equal(shown, { ...alert, groups: ['patrol'] })
    assert.match(page, /#alert=/)
  })
})

test('alerts of other groups are neither sent nor queued', async () => {
  await withReceiver(async (world, receiver) => {
    await world.addHook('night', receiver.url, { groups: ['night', 'harbour'] })
    await world.raise()
    await until('patrol gets its alert', () => receiver.got.length === 1)
    await aWhile(world)
    assert.equal(
      receiver.got.map(({ json }) => json.webhook),
      ['dispatch'],
    )
    assert.equal(await rows(world, 'webhook_deliveries'), [])
  })
})

test('what is refused with 500 comes again with the same delivery id until it is taken; begin and end of the failing are said', async () => {
  await withReceiver(async (world, receiver, secret) => {
    receiver.answer = (to) => to.writeHead(receiver.got.length <= 2 ? 500 : 200).end()
    await world.raise()
    await until('it fails', async () => (await world.state('dispatch')).state === 'failing')
    const failing = await world.state('dispatch')
    assert.equal([failing.waiting, failing.lastStatus, failing.lastReason], [1, 500, 'status 500'])
    assert.ok((failing.oldestQueuedAtMs ?? 0) <= (failing.failingSinceMs ?? 0))
    assert.is(await world.counted('candor_webhooks_failing'), 1)
    await until('it recovers', async () => (await world.state('dispatch')).state === 'ok')
    assert.is(receiver.got.length, 3)
    assert.is(new Set(receiver.got.map(({ json }) => json.deliveryId)).size, 1)
    assert.ok(receiver.got.every((one) => isSigned(one, secret)))
    assert.is((await world.state('dispatch')).waiting, 0)
    assert.is(await world.counted('candor_webhooks_failing'), 0)
    assert.is(await world.counted('candor_webhook_attempts_total{outcome="failed"}'), 2)
    const [begun] = await world.audited('webhook.failing')
    assert.equal(
      [begun?.subject, begun?.detail],
      [
        { kind: 'webhook', id: 'dispatch' },
        { status: 500, reason: 'status 500' },
      ],
    )
    assert.is((await world.audited('webhook.failing')).length, 1)
    assert.is((await world.audited('webhook.recovered')).length, 1)
    assert.is(world.logLines.filter((line) => line.includes('webhook_failing')).length, 1)
  })
})

test('a receiver that is down, also over a restart, misses nothing: each alert comes with its newest revision, oldest first', async () => {
  await withReceiver(async (world, receiver) => {
    await receiver.close()
    const first = await alertOf(world, await world.raise())
    await until('it fails', async () => (await world.state('dispatch')).lastReason === 'ECONNREFUSED')
    await compare(world, first.alertId)
    const second = await alertOf(world, await world.raise())
    await world.restart()
    const third = await alertOf(world, await world.raise())
    const waiting = await world.state('dispatch')
    assert.equal([waiting.state, waiting.waiting], ['failing', 3])
    await receiver.reopen()
    await until('all have come', () => receiver.got.length === 3)
    await until('it has recovered', async () => (await world.state('dispatch')).state === 'ok')
    const sorted = [...told(receiver)].sort()
    assert.equal(
      sorted,
      [
        [first.alertId, 1],
        [second.alertId, 0],
        [third.alertId, 0],
      ].sort(),
    )
    await compare(world, second.alertId)
    await until('the next revision comes', () => receiver.got.length === 4)
    assert.equal(told(receiver)[3], [second.alertId, 1])
  })
})

test('every revision of an alert comes after the one before, also when it is made while that is being sent', async () => {
  await withReceiver(async (world, receiver) => {
    let release = () => {}
    receiver.answer = (to) => {
      release = () => to.writeHead(200).end()
    }
    const alert = await alertOf(world, await world.raise())
    await until('the first is on its way', () => receiver.got.length === 1)
    await compare(world, alert.alertId)
    await aWhile(world)
    assert.is(receiver.got.length, 1, 'one at a time')
    receiver.answer = 200
    release()
    await until('the second comes', () => receiver.got.length === 2)
    assert.equal(told(receiver), [
      [alert.alertId, 0],
      [alert.alertId, 1],
    ])
    assert.is.not(receiver.got[0]?.json.deliveryId, receiver.got[1]?.json.deliveryId)
  })
})

test('a receiver that hangs is given up after its time and holds up neither officers nor other webhooks', async () => {
  const other = await openReceiver()
  await withReceiver(
    async (world, receiver) => {
      receiver.answer = () => {}
      await world.addHook('other', other.url)
      const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']))
      await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
      for (const _ of [1, 2, 3]) await world.raise()
      await until('the officer has all', () => collect(olga).length === 3)
      await until('the other webhook has all', () => other.got.length === 3)
      assert.is(receiver.got.length, 1)
      assert.is((await world.state('dispatch')).lastAttemptAtMs, null, 'the first one still hangs')
      await until('it is given up', async () => (await world.state('dispatch')).state === 'failing')
      assert.is((await world.state('dispatch')).lastReason, 'no answer within 6 s')
      assert.is((await world.state('other')).state, 'ok')
    },
    { postTimeoutMs: 6 * SECOND_MS },
  ).finally(() => other.close())
})

test('the cloud ends while a receiver hangs, without calling that its fault, and delivers after the next start', async () => {
  await withReceiver(async (world, receiver) => {
    receiver.answer = () => {}
    await world.raise()
    await until('it is on its way', () => receiver.got.length === 1)
    const beganMs = world.clock.monotonicMs()
    receiver.answer = 200
    await world.cloud.close()
    assert.ok(world.clock.monotonicMs() - beganMs < 8 * SECOND_MS, 'within the time that a receiver has')
    await world.restart()
    await until('it comes again', () => receiver.got.length === 2)
    await until('it is taken', async () => (await world.state('dispatch')).waiting === 0)
    assert.is((await world.audited('webhook.failing')).length, 0)
  })
})

test('a redirect is not followed, and is a failure', async () => {
  const elsewhere = await openReceiver()
  await withReceiver(async (world, receiver) => {
    receiver.answer = (to) => to.writeHead(307, { location: elsewhere.url }).end()
    await world.raise()
    await until('it fails', async () => (await world.state('dispatch')).lastStatus === 307)
    assert.match((await world.state('dispatch')).lastReason ?? '', /redirects are not followed/)
    assert.is(elsewhere.got.length, 0)
  }).finally(() => elsewhere.close())
})

test('a delivery that the receiver calls wrong, or gone, waits longer and holds up no other; it is never given up', async () => {
  await withReceiver(async (world, receiver) => {
    const bad = await alertOf(world, await world.raise())
    await until('it was taken', () => receiver.got.length === 1)
    receiver.answer = (to, { json }) => to.writeHead(json.alert.alertId === bad.alertId ? 410 : 200).end()
    await compare(world, bad.alertId)
    await until('it is refused', async () => (await world.state('dispatch')).lastStatus === 410)
    await world.raise()
    await world.raise()
    await until('the others are taken', () => receiver.got.length === 4)
    await until('one waits', async () => (await world.state('dispatch')).waiting === 1)
    const { state, lastStatus } = await world.state('dispatch')
    assert.equal([state, lastStatus], ['failing', 200], 'as long as one that failed waits')
    const [row] = await rows(world, 'webhook_deliveries')
    const inMs = Number((row as { next_at_ms: number }).next_at_ms) - world.clock.nowMs()
    assert.ok(inMs > 20 * SECOND_MS && inMs <= MINUTE_MS, String(inMs))
    receiver.answer = 200
    world.clock.advance(MINUTE_MS)
    // The loop sleeps to the moment at which it was due on the clock before.
    await world.raise()
    await until('it is taken at last', async () => (await world.state('dispatch')).state === 'ok')
    assert.equal(
      told(receiver)
        .filter(([id]) => id === bad.alertId)
        .at(-1),
      [bad.alertId, 1],
    )
  })
})

test('a webhook whose person pauses it gets nothing until it is resumed, and then all; a restart changes neither', async () => {
  await withReceiver(async (world, receiver) => {
    await world.cloud.parts.webhooks.pause('dispatch', 'paula')
    assert.is(await codeOf(() => world.cloud.parts.webhooks.pause('dispatch', 'paula')), 'conflict')
    await world.raise()
    await world.restart()
    await world.raise()
    await aWhile(world)
    const paused = await world.state('dispatch')
    assert.equal([paused.state, paused.pausedBy, paused.waiting], ['paused', 'paula', 2])
    assert.is(receiver.got.length, 0)
    await world.cloud.parts.webhooks.resume('dispatch')
    await until('both come', () => receiver.got.length === 2)
    assert.is(await codeOf(() => world.cloud.parts.webhooks.resume('dispatch')), 'conflict')
    assert.is((await world.state('dispatch')).state, 'ok')
  })
})

test('an alert past its retention is never sent, before the purge and after it, and its row goes', async () => {
  await withReceiver(async (world, receiver) => {
    await world.cloud.parts.webhooks.pause('dispatch', 'paula')
    await world.raise()
    world.sql("CREATE TRIGGER kept BEFORE DELETE ON alerts BEGIN SELECT RAISE(ABORT, 'no purge'); END")
    await until('it waits', async () => (await world.state('dispatch')).waiting === 1)
    world.clock.advance(31 * DAY_MS)
    await world.cloud.parts.webhooks.resume('dispatch')
    await until('its row goes', async () => (await world.state('dispatch')).waiting === 0)
    await world.cloud.parts.webhooks.pause('dispatch', 'paula')
    await world.raise()
    await until('the new one waits', async () => (await world.state('dispatch')).waiting === 1)
    world.sql('DROP TRIGGER kept')
    world.clock.advance(31 * DAY_MS)
    await until('the purge takes the rows with the alert', async () => {
      world.clock.advance(MINUTE_MS)
      return (await rows(world, 'webhook_deliveries')).length === 0
    })
    await world.cloud.parts.webhooks.resume('dispatch')
    await aWhile(world)
    assert.is(receiver.got.length, 0)
  })
})

test('an alert counts as published only with its deliveries queued', async () => {
  await withReceiver(async (world, receiver) => {
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON webhook_deliveries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    await world.raise()
    await until('the failure is in the log', () => world.logLines.some((line) => line.includes('alerts_not_published')))
    world.sql('DROP TRIGGER broken')
    await world.restart()
    await until('it comes after the next start', () => receiver.got.length === 1)
  })
})

test('a cloud that is killed after an alert is published and before it is delivered delivers it after the next start', async () => {
  await withReceiver(async (world, receiver) => {
    receiver.answer = () => {}
    await world.cloud.close()
    const sighting = makeSighting(world.clock)
    // The same database in a process of its own, killed when the receiver has the first delivery and has not answered.
    const script = `
      import { runCloud } from './cloud/main.ts'
      import { cloudConfigSchema } from './cloud/config.ts'
      import { silentLog } from './shared/log.ts'
      const config = cloudConfigSchema.parse({ agency: '${AGENCY}', dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort: 0 })
      const { parts } = await runCloud(config, process.argv[1], { log: silentLog })
      const sighting = JSON.parse(process.argv[2])
      for (const sightingId of [sighting.sightingId, parts.newId()]) {
        const match = parts.hotlists.match(sighting, Date.now())
        const found = { sighting: { ...sighting, sightingId }, receivedAtMs: Date.now(), match }
        await parts.database.writeBatch(parts.alerts.raise(found).statements)
      }
      await parts.alerts.publishPending()
      process.stdout.write('published')
    `
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script, world.folder, JSON.stringify(sighting)],
      { cwd: installationFolder(), stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const ended = once(child, 'close')
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    await until('one is on its way', () => output === 'published' && receiver.got.length === 1)
    child.kill('SIGKILL')
    await ended
    receiver.answer = 200
    await world.restart()
    await until('both have come', async () => (await world.state('dispatch')).waiting === 0)
    assert.is(receiver.got.length, 3)
    assert.equal(told(receiver)[1], told(receiver)[0], 'what was not answered comes again')
    assert.is(receiver.got[1]?.json.deliveryId, receiver.got[0]?.json.deliveryId)
    assert.is.not(receiver.got[2]?.json.alert.alertId, receiver.got[0]?.json.alert.alertId)
  })
})

test('the log says of a webhook that fails that it does, at first and then once an hour', async () => {
  await withReceiver(async (world, receiver) => {
    receiver.answer = 500
    const lines = () => world.logLines.filter((line) => line.includes('webhook_failing'))
    await world.raise()
    await until('it was tried three times', () => receiver.got.length === 3)
    assert.is(lines().length, 1)
    world.clock.advance(HOUR_MS)
    const before = receiver.got.length
    await until('it was tried again', () => receiver.got.length > before + 1)
    assert.is(lines().length, 2)
    const { webhook, status, ageMs } = JSON.parse(lines()[1] ?? '{}')
    assert.equal([webhook, status, ageMs >= HOUR_MS], ['dispatch', 500, true])
  })
})

test('a receiver whose certificate is of an authority of its own is reached when the configuration names that', async () => {
  await withHooks(async (world) => {
    const { serverKeyPem, serverCertPem, caPem } = world.cloud.parts.authority
    let taken = 0
    const server = createServer({ key: serverKeyPem, cert: serverCertPem }, (_, to) => {
      taken += 1
      to.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const url = `https://localhost:${(server.address() as AddressInfo).port}/`
      await world.addHook('own', url)
      await world.raise()
      await until('it fails', async () => (await world.state('own')).state === 'failing')
      assert.match((await world.state('own')).lastReason ?? '', /CERT|VERIFY|ISSUER/)
      await world.cloud.close()
      const config = { ...RAW_CONFIG, webhookCaFile: 'receivers.pem' }
      const start = () =>
        runCloud(cloudConfigSchema.parse(config), world.folder, { clock: world.clock, log: silentLog })
      assert.is(await codeOf(start), 'configuration', 'there is no such file')
      for (const text of ['', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
        writeFileSync(join(world.folder, 'receivers.pem'), text)
        assert.is(await codeOf(start), 'configuration')
      }
      writeFileSync(join(world.folder, 'receivers.pem'), caPem)
      const cloud = await start()
      await until('it is delivered', () => taken === 1)
      await cloud.close()
      await world.restart()
    } finally {
      server.close()
    }
  })
})

test('a delivery that was taken and cannot be written down is not sent again; it is written down later', async () => {
  await withReceiver(async (world, receiver) => {
    world.sql("CREATE TRIGGER broken BEFORE DELETE ON webhook_deliveries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    await world.raise()
    const failures = () => world.logLines.filter((line) => line.includes('webhook_not_recorded')).length
    await until('it was tried more than once', () => failures() > 1)
    assert.is((await world.state('dispatch')).waiting, 1)
    world.sql('DROP TRIGGER broken')
    await until('it is written down', async () => (await world.state('dispatch')).waiting === 0)
    assert.is(receiver.got.length, 1)
  })
})

test('a full queue drops the oldest, and says so: counted, shown, and in the audit once', async () => {
  await withReceiver(
    async (world, receiver) => {
      await receiver.close()
      const alerts = []
      for (const _ of [1, 2, 3]) alerts.push(await alertOf(world, await world.raise()))
      await until('all wait', async () => (await world.state('dispatch')).waiting === 3)
      assert.is((await world.state('dispatch')).dropped, 0, 'at the limit')
      await compare(world, alerts[0]?.alertId ?? '')
      await until('that is published', async () =>
        (await rows(world, 'webhook_deliveries')).some((row) => Reflect.get(row, 'revision') === 1),
      )
      assert.is((await world.state('dispatch')).dropped, 0, 'a newer revision takes the place of the older')
      for (const _ of [1, 2]) alerts.push(await alertOf(world, await world.raise()))
      await until('two are dropped', async () => (await world.state('dispatch')).dropped === 2)
      const { waiting, droppingSinceMs } = await world.state('dispatch')
      assert.is(waiting, 3)
      assert.ok(droppingSinceMs !== null)
      assert.is(await world.counted('candor_webhook_dropped_total'), 2)
      assert.is((await world.audited('webhook.dropping')).length, 1)
      assert.ok(world.logLines.some((line) => line.includes('webhook_queue_full')))
      await receiver.reopen()
      await world.cloud.parts.webhooks.test('dispatch')
      await until('the others come', () => receiver.got.length === 4)
      const expected = alerts.slice(2).map(({ alertId }) => alertId)
      assert.equal(receiver.got.flatMap(({ json }) => json.alert?.alertId ?? []).sort(), expected.sort())
      await until('it has recovered', async () => (await world.state('dispatch')).droppingSinceMs === null)
      assert.is((await world.state('dispatch')).dropped, 2)
    },
    { maxWaiting: 3 },
  )
})

test('a test says that it is one, works while paused, and what waits follows a success at once', async () => {
  await withReceiver(async (world, receiver, secret) => {
    receiver.answer = (to) => to.writeHead(503, { 'retry-after': '600' }).end()
    await world.raise()
    await until('it fails', async () => (await world.state('dispatch')).lastStatus === 503)
    await world.cloud.parts.webhooks.pause('dispatch', 'paula')
    const { durationMs, ...refused } = await world.cloud.parts.webhooks.test('dispatch')
    assert.ok(durationMs >= 0)
    assert.equal(refused, { delivered: false, status: 503, reason: 'status 503' })
    const sent = receiver.got.at(-1)
    assert.equal([sent?.json.test, sent?.json.alert], [true, null])
    assert.ok(sent && isSigned(sent, secret))
    await world.cloud.parts.webhooks.resume('dispatch')
    await until('a person hastens it', () => receiver.got.length === 3)
    await until('it waits again', async () => (await world.state('dispatch')).state === 'failing')
    await aWhile(world)
    assert.is(receiver.got.length, 3, 'for as long as the receiver has asked')
    receiver.answer = 200
    assert.is((await world.cloud.parts.webhooks.test('dispatch')).delivered, true)
    await until('the alert comes', async () => (await world.state('dispatch')).state === 'ok')
    assert.is(receiver.got.length, 5)
  })
})

test('a replaced secret signs from the next delivery on, and a removed webhook is gone with what waited', async () => {
  await withReceiver(async (world, receiver, secret) => {
    const { webhooks } = world.cloud.parts
    const { secret: next } = await webhooks.replaceSecret('dispatch')
    assert.is.not(next, secret)
    await world.raise()
    await until('it comes', () => receiver.got.length === 1)
    assert.ok(receiver.got.every((one) => isSigned(one, next) && !isSigned(one, secret)))
    await world.restart()
    await world.raise()
    await until('the next comes after a restart', () => receiver.got.length === 2)
    assert.ok(receiver.got[1] && isSigned(receiver.got[1], next))
    await world.cloud.parts.webhooks.pause('dispatch', 'paula')
    await world.raise()
    await until('one waits', async () => (await world.state('dispatch')).waiting === 1)
    await world.cloud.parts.webhooks.remove('dispatch')
    assert.equal([await rows(world, 'webhooks'), await rows(world, 'webhook_deliveries')], [[], []])
    await world.raise()
    await aWhile(world)
    assert.is(receiver.got.length, 2)
    assert.is(await codeOf(() => world.cloud.parts.webhooks.remove('dispatch')), 'not_found')
    assert.is.not(await world.addHook('dispatch', receiver.url), next)
  })
})

test('there are at most so many webhooks, each with a name of its own', async () => {
  await withReceiver(
    async (world, receiver) => {
      assert.is(await codeOf(() => world.addHook('dispatch', receiver.url)), 'conflict')
      await world.addHook('second', receiver.url)
      assert.is(await codeOf(() => world.addHook('third', receiver.url)), 'too_large')
      await world.cloud.parts.webhooks.remove('second')
      await world.addHook('third', receiver.url)
    },
    { maxWebhooks: 2 },
  )
})

test('neither a secret nor the path of an address is in the log, and no plate or secret lies in the tables', async () => {
  await withReceiver(async (world, receiver, secret) => {
    receiver.answer = 500
    await world.raise()
    await until('it fails', async () => (await world.state('dispatch')).state === 'failing')
    assert.equal(filesWith(world.databaseFile, secret), [])
    assert.not.match(JSON.stringify(await rows(world, 'webhook_deliveries')), new RegExp(PLATE))
    const { pathname } = parseWebhookUrl(receiver.url)
    for (const line of world.logLines)
      for (const text of [secret, pathname, PLATE]) assert.not.ok(line.includes(text), line)
  })
})

test.run()

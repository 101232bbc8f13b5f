import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS, MINUTE_MS, SECOND_MS, systemClock } from '../../shared/clock.ts'
import { topics } from '../../shared/topics.ts'
import { type Alert, type AlertStep, alertSchema } from '../../shared/wire/index.ts'
import {
  AGENCY,
  type Certified,
  codeOf,
  createMovableClock,
  inCloud,
  makeSighting,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from '../testing.ts'
import type { AlertRule } from './rules.ts'

const PLATES = ['ABC1230', 'ABC1231', 'ABC1232', 'ABC1233'] as const
const byWhom = (account: string, groups = ['patrol']) => ({
  ...{ actor: { account, roles: ['officer' as const], session: null, source: null }, account, groups },
})

interface Desk {
  world: TestCloud
  certified: Certified
  /** A new alert; the plates have priorities 1 to 4. */
  raise(priority?: number): Promise<Alert>
  now(alert: Alert): Promise<Alert>
  step(alert: Alert, step: object, account?: string): Promise<Alert>
  rule(change: Partial<AlertRule>): Promise<void>
  /** What is queued since for a person of this group who is away, as `priority.revision`. */
  follow(account: string, group: string): Promise<() => Promise<string[]>>
}

async function atDesk(work: (desk: Desk) => Promise<void>, clock = createMovableClock()): Promise<void> {
  await inCloud(
    async (world) => {
      const rows = PLATES.map((plate, i) => `${plate},stolen,${i + 1}`)
      await world.cloud.parts.hotlists.import({
        ...{ list: 'stolen', bytes: Buffer.from(['plate,category,priority', ...rows, ''].join('\n')), settings: {} },
        ...{ dryRun: false, skipBad: false, allowEmpty: false, by: 'test' },
      })
      const certified = await world.addCamera('north')
      let camera: MqttClient | null = null
      const tokens = new Map<string, string>()
      // Whoever takes an alert is somebody who may: what nobody has is let go.
      for (const account of ['olga', 'otto']) {
        tokens.set(account, await world.addPerson(account, ['officer'], ['patrol']))
      }
      const find = async (alertId: string) =>
        (await world.cloud.parts.alerts.get(alertId, ['patrol', 'chiefs', 'night'])).alert
      await work({
        world,
        certified,
        async raise(priority = 1) {
          if (camera?.connected !== true) camera = await world.connectCamera('north', certified)
          const sighting = makeSighting(world.clock, { cameraId: 'north', plate: PLATES[priority - 1] ?? '' })
          assert.is(await publishSighting(camera, sighting), 'acknowledged')
          const [alert] = await world.cloud.parts.alerts.ofSighting('north', sighting.sightingId)
          return alert as Alert
        },
        now: (alert) => find(alert.alertId),
        step: (alert, step, account = 'olga') =>
          world.cloud.parts.alerts.step(
            alert.alertId,
            { revision: alert.revision, ...step } as AlertStep,
            byWhom(account),
          ),
        rule: (change) => world.cloud.parts.alertRules.set({ list: null, group: null, ...change }, 'test'),
        async follow(account, group) {
          const token = tokens.get(account) ?? (await world.addPerson(account, ['officer'], [group]))
          const client = await world.connectPerson(account, token, { clean: false })
          await subscribe(client, topics.alerts(AGENCY, group))
          await client.endAsync()
          return async () => {
            const { database } = world.cloud.parts
            const queued = database.build.selectFrom('broker_outgoing').select('payload').orderBy('position')
            const rows = await database.read(queued.where('client_id', '=', `${account}.phone`))
            return rows.map(({ payload }) => {
              const { match, revision } = alertSchema.parse(JSON.parse(payload.toString()))
              return `${match.priority}.${revision}`
            })
          }
        },
      })
    },
    {},
    {},
    clock,
  )
}

test('who takes an alert is seen by everybody at once; another takes it over, and who has it lets it go', async () => {
  await atDesk(async ({ world, raise, step, now, follow }) => {
    const told = await follow('otto', 'patrol')
    const alert = await raise()
    const taken = await step(alert, { step: 'acknowledged' })
    assert.equal([taken.state, taken.acknowledgedBy, taken.revision], ['raised', 'olga', 1])
    assert.ok((taken.acknowledgedAtMs ?? 0) >= alert.raisedAtMs)
    await until('it is told', async () => (await told()).length === 2)
    assert.is(await codeOf(() => step(taken, { step: 'acknowledged' })), 'conflict', 'she has it already')
    assert.is(await codeOf(() => step(alert, { step: 'acknowledged' }, 'otto')), 'conflict', 'he has not seen that')
    assert.is(await codeOf(() => step(taken, { step: 'released' }, 'otto')), 'conflict', 'it is not his to release')
    const over = await step(taken, { step: 'acknowledged' }, 'otto')
    assert.is(over.acknowledgedBy, 'otto')
    const [entry] = await world.audited('alert.acknowledged')
    assert.equal([entry?.outcome, entry?.actor.account, entry?.detail.takenFrom], ['allowed', 'otto', 'olga'])
    const free = await step(over, { step: 'released' }, 'otto')
    assert.equal([free.acknowledgedBy, free.acknowledgedAtMs, free.state], [null, null, 'raised'])
    assert.is((await world.audited('alert.released')).filter(({ outcome }) => outcome === 'allowed').length, 1)
    const compare = { step: 'image_compared', plateSeen: PLATES[0], jurisdictionSeen: null }
    const compared = await step(free, compare, 'otto')
    assert.equal([compared.state, compared.acknowledgedBy], ['image_compared', 'otto'], 'any step takes what is free')
    const confirm = { step: 'source_confirmed', confirmedWith: 'register', result: 'stands' }
    assert.is((await step(compared, confirm)).acknowledgedBy, 'otto', 'and leaves what somebody has')
    const closed = await step(await now(alert), { step: 'closed', outcome: 'stale', note: '' })
    for (const wanted of ['acknowledged', 'released']) {
      assert.is(await codeOf(() => step(closed, { step: wanted })), 'conflict')
    }
    const { steps } = await world.cloud.parts.alerts.get(alert.alertId, ['patrol'])
    assert.equal(
      steps.map((one) => `${one.account} ${one.step}`),
      [
        ...['olga acknowledged', 'otto acknowledged', 'otto released', 'otto image_compared'],
        ...['olga source_confirmed', 'olga closed'],
      ],
    )
  })
})

test('what nobody takes in time is told to further groups, once, by the cloud itself, over a restart too', async () => {
  await atDesk(async ({ world, raise, step, now, rule }) => {
    await rule({ escalateAfterSeconds: 300, escalateTo: ['chiefs'], escalateUpTo: 2 })
    const [free, taken, minor] = [await raise(1), await raise(2), await raise(3)]
    await step(taken, { step: 'acknowledged' })
    world.clock.advance(5 * MINUTE_MS - 30 * SECOND_MS)
    await world.restart()
    assert.is((await now(free)).escalatedAtMs, null)
    world.clock.advance(MINUTE_MS)
    await until('it is escalated', async () => (await now(free)).escalatedAtMs !== null)
    const escalated = await now(free)
    assert.equal([escalated.groups, escalated.revision, escalated.state], [['patrol', 'chiefs'], 1, 'raised'])
    assert.is(escalated.updatedBy, null)
    const { alerts } = world.cloud.parts
    const theirs = await alerts.list({ groups: ['chiefs'], state: 'open', beforeMs: null, limit: 9 })
    assert.equal(
      theirs.map(({ alertId }) => alertId),
      [free.alertId],
    )
    const [entry, ...more] = await world.audited('alert.escalated')
    assert.equal([entry?.actor.account, entry?.subject?.id, entry?.detail.to], [null, free.alertId, ['chiefs']])
    assert.equal(more, [])
    await world.restart()
    world.clock.advance(HOUR_MS)
    await step(await now(free), { step: 'acknowledged' })
    await step(await now(free), { step: 'released' })
    world.clock.advance(HOUR_MS)
    const last = await raise(4)
    assert.equal([(await now(free)).revision, (await now(last)).escalatedAtMs], [3, null])
    for (const alert of [taken, minor]) assert.is((await now(alert)).escalatedAtMs, null)
  })
})

test('an alert that is let go waits for its escalation anew', async () => {
  await atDesk(async ({ world, raise, step, now, rule }) => {
    await rule({ escalateAfterSeconds: 600, escalateTo: ['chiefs'] })
    const alert = await raise()
    const taken = await step(alert, { step: 'acknowledged' })
    world.clock.advance(20 * MINUTE_MS)
    await step(taken, { step: 'released' })
    assert.is((await now(alert)).escalatedAtMs, null)
    world.clock.advance(10 * MINUTE_MS)
    await until('it is escalated', async () => (await now(alert)).escalatedAtMs !== null)
  })
})

test('an alert of somebody who is disabled or leaves its groups is nobody’s at once, and escalates as if it had been let go', async () => {
  await atDesk(async ({ world, raise, step, now, rule }) => {
    await rule({ escalateAfterSeconds: 600, escalateTo: ['chiefs'] })
    const { accounts } = world.cloud.parts
    await world.addPerson('omar', ['officer'], ['patrol'])
    const [hers, his, other, closed] = [await raise(1), await raise(2), await raise(3), await raise(4)]
    await step(hers, { step: 'image_compared', plateSeen: PLATES[0], jurisdictionSeen: null })
    await step(his, { step: 'acknowledged' }, 'otto')
    await step(other, { step: 'acknowledged' }, 'omar')
    await step(closed, { step: 'closed', outcome: 'stale', note: '' })
    world.clock.advance(20 * MINUTE_MS)
    await accounts.disable('olga', 'test')
    await until('hers is free', async () => (await now(hers)).acknowledgedBy === null)
    assert.equal([(await now(hers)).state, (await now(hers)).updatedBy], ['image_compared', null])
    await accounts.setRights('otto', { roles: ['officer'], groups: ['night'] }, 'test')
    await until('his is free', async () => (await now(his)).acknowledgedBy === null)
    assert.equal([(await now(other)).acknowledgedBy, (await now(closed)).acknowledgedBy], ['omar', 'olga'])
    const released = (await world.audited('alert.released')).map(({ actor, subject, detail }) => [
      ...[actor.account, subject?.id, detail.takenFrom],
    ])
    assert.equal(
      released,
      [
        [null, hers.alertId, 'olga'],
        [null, his.alertId, 'otto'],
      ].reverse(),
    )
    // As if a crash had come between the account's change and the release.
    world.sql("UPDATE accounts SET disabled_at_ms = 1 WHERE account = 'omar'")
    await world.restart()
    await until('theirs is free', async () => (await now(other)).acknowledgedBy === null)
    assert.is((await now(hers)).escalatedAtMs, null)
    world.clock.advance(10 * MINUTE_MS)
    await until('it is escalated', async () => (await now(hers)).escalatedAtMs !== null)
  })
})

test('without the audit nothing is escalated; it is as soon as that can be written', async () => {
  await atDesk(async ({ world, raise, now, rule }) => {
    await rule({ escalateAfterSeconds: 60, escalateTo: ['chiefs'] })
    const alert = await raise()
    world.sql("CREATE TRIGGER broken BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'broken'); END")
    world.clock.advance(MINUTE_MS)
    await until('it is in the log', () => world.logLines.some((line) => line.includes('alerts_not_escalated')))
    assert.is((await now(alert)).escalatedAtMs, null)
    world.sql('DROP TRIGGER broken')
    world.clock.advance(MINUTE_MS)
    await until('it is escalated', async () => (await now(alert)).escalatedAtMs !== null)
  })
})

/** A clock that starts at this time of day, UTC. */
function clockAt(timeOfDay: string) {
  const clock = createMovableClock()
  const dayMs = 24 * HOUR_MS
  const wanted = Date.parse(`1970-01-01T${timeOfDay}Z`)
  clock.advance((wanted - (systemClock.nowMs() % dayMs) + dayMs) % dayMs)
  return clock
}

test('in quiet hours only what is urgent is pushed; the rest is listed, marked, and published when they end unless it was closed', async () => {
  await atDesk(async ({ world, raise, step, now, rule, follow }) => {
    await rule({ quiet: { from: '22:00', until: '06:00', timeZone: 'UTC', pushUpTo: 1 } })
    const told = await follow('otto', 'patrol')
    const [urgent, held, closed] = [await raise(1), await raise(2), await raise(3)]
    await until('the urgent one is told', async () => (await told()).length === 1)
    await until('the others are held', async () => (await now(closed)).heldFor.length === 1)
    const { heldFor } = await now(held)
    assert.is(heldFor[0]?.group, 'patrol')
    assert.is(new Date(heldFor[0]?.untilMs ?? 0).toISOString().slice(11, 16), '06:00')
    assert.equal((await now(urgent)).heldFor, [])
    await step(held, { step: 'acknowledged' })
    await step(closed, { step: 'closed', outcome: 'stale', note: '' })
    const { alerts } = world.cloud.parts
    assert.is((await alerts.list({ groups: ['patrol'], state: 'open', beforeMs: null, limit: 9 })).length, 2)
    await world.restart()
    world.clock.advance(8 * HOUR_MS)
    await until('nothing is held', async () => (await now(held)).heldFor.length === 0)
    await step(await now(held), { step: 'released' })
    await until('its next changes are told too', async () => (await told()).length === 3)
    assert.equal(await told(), ['1.0', '2.1', '2.2'])
    assert.equal((await now(closed)).heldFor, [{ group: 'patrol', untilMs: null }])
  }, clockAt('23:00:00'))
})

test('what was held is published at the minute at which quiet hours end, and at once when the rule goes', async () => {
  await atDesk(async ({ world, raise, now, rule, follow }) => {
    const quiet = { from: '22:00', until: '06:00', timeZone: 'UTC', pushUpTo: 1 }
    await rule({ quiet })
    const told = await follow('otto', 'patrol')
    const held = await raise(2)
    await until('it is held', async () => (await now(held)).heldFor.length === 1)
    world.clock.advance(6 * HOUR_MS)
    await until('the loop has come round', async () => (await now(held)).heldFor.length === 1)
    assert.equal(await told(), [])
    world.clock.advance(HOUR_MS)
    await until('it is told', async () => (await told()).length === 1)
    world.clock.advance(17 * HOUR_MS)
    await raise(3)
    const second = await raise(4)
    await until('they are held', async () => (await now(second)).heldFor.length === 1)
    await world.cloud.parts.alertRules.remove(null, null)
    await world.cloud.parts.alerts.publishPending()
    assert.equal((await told()).sort(), ['2.0', '3.0', '4.0'])
  }, clockAt('23:00:00'))
})

test('what is not urgent enough for a group is only listed for it; an escalation reaches its groups in quiet hours too', async () => {
  await atDesk(async ({ world, raise, now, rule, follow }) => {
    await rule({ quiet: { from: '22:00', until: '06:00', timeZone: 'UTC', pushUpTo: 1 } })
    await rule({ group: 'patrol', quiet: null, pushUpTo: 1, escalateAfterSeconds: 60, escalateTo: ['chiefs'] })
    const [patrol, chiefs] = [await follow('otto', 'patrol'), await follow('carla', 'chiefs')]
    const alert = await raise(2)
    await until('it is decided', async () => (await now(alert)).heldFor.length === 1)
    assert.equal((await now(alert)).heldFor, [{ group: 'patrol', untilMs: null }])
    world.clock.advance(MINUTE_MS)
    await until('the chiefs are told', async () => (await chiefs()).length === 1)
    assert.equal([await chiefs(), await patrol()], [['2.1'], []])
  }, clockAt('23:00:00'))
})

test('of several rules the narrowest says each field', async () => {
  await inCloud(async (world) => {
    const { alertRules } = world.cloud.parts
    const set = (list: string | null, group: string | null, change: Partial<AlertRule>) =>
      alertRules.set({ list, group, ...change }, 'test')
    assert.equal(alertRules.pushing('stolen', 'patrol'), { pushUpTo: 5, quiet: null })
    assert.equal(alertRules.grouping('stolen'), { windowMs: HOUR_MS, duplicateMs: MINUTE_MS })
    assert.is(alertRules.escalation('stolen', ['patrol'], 1), null)
    await set(null, null, { pushUpTo: 1, escalateUpTo: 3, groupWindowSeconds: 10 })
    await set(null, 'patrol', { pushUpTo: 2 })
    await set('stolen', null, { pushUpTo: 3, duplicateSeconds: 5 })
    assert.is(alertRules.pushing('amber', 'night').pushUpTo, 1)
    assert.is(alertRules.pushing('amber', 'patrol').pushUpTo, 2)
    assert.is(alertRules.pushing('stolen', 'patrol').pushUpTo, 3)
    await set('stolen', 'patrol', { pushUpTo: 4, escalateAfterSeconds: 60, escalateTo: ['chiefs'] })
    assert.is(alertRules.pushing('stolen', 'patrol').pushUpTo, 4)
    assert.equal(alertRules.grouping('stolen'), { windowMs: 10_000, duplicateMs: 5_000 })
    await set('stolen', 'night', { escalateAfterSeconds: 30, escalateTo: ['chiefs', 'state'], escalateUpTo: 1 })
    assert.equal(alertRules.escalation('stolen', ['patrol', 'night'], 1), { afterMs: 30_000, to: ['chiefs', 'state'] })
    assert.equal(alertRules.escalation('stolen', ['patrol', 'night'], 3), { afterMs: 60_000, to: ['chiefs'] })
    assert.is(alertRules.escalation('stolen', ['patrol', 'night'], 4), null)
    assert.is(await codeOf(() => set('amber', null, { escalateAfterSeconds: 60 })), 'bad_input', 'to nobody')
    await world.restart()
    const again = world.cloud.parts.alertRules
    assert.is(again.list().length, 5)
    await again.remove('stolen', 'patrol')
    assert.is(again.pushing('stolen', 'patrol').pushUpTo, 3)
    assert.is(await codeOf(() => again.remove('stolen', 'patrol')), 'not_found')
  })
})

test.run()

/**
 * Whatever people call, cameras publish and the clock brings, in whatever order: an alert is actionable only when a person who may has
 * compared the picture of its own sighting and then confirmed the source, and neither was taken back.
 */
import type { MqttClient } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from '../../scripts/bench/statistics.ts'
import { MINUTE_MS } from '../../shared/clock.ts'
import { topics } from '../../shared/topics.ts'
import type { Alert, Sighting } from '../../shared/wire/index.ts'
import { AGENCY, inCloud, makeSighting, publish, publishSighting } from '../testing.ts'
import { callerOf } from './testing.ts'

const SEQUENCES = 12
const CALLS = 70
const CAMERAS = ['north', 'south'] as const
const plateOf = (seed: number) => `ABC12${String(seed).padStart(2, '0')}`

/** What is known of an alert: the steps done and not taken back, and the sighting that it is about. */
interface Known {
  done: string[]
  closed: boolean
  sightingId: string
}

test('no sequence of calls, publishes and minutes makes an alert actionable without both steps by a person who may', async () => {
  await inCloud(async (world) => {
    const ask = callerOf(world.cloud)
    const { alerts, alertRules } = world.cloud.parts
    await world.importList(
      'stolen',
      Array.from({ length: SEQUENCES }, (_, i) => plateOf(i + 1)),
    )
    const rule = { escalateAfterSeconds: 60, escalateTo: ['chiefs'], escalateUpTo: 5, duplicateSeconds: 0 }
    await alertRules.set({ list: null, group: null, ...rule }, 'test')
    const links = new Map<string, MqttClient>()
    for (const camera of CAMERAS) links.set(camera, await world.connectCamera(camera, await world.addCamera(camera)))
    const send = (sighting: Sighting) => publishSighting(links.get(sighting.cameraId) as MqttClient, sighting)
    const officer = await world.addPerson('olga', ['officer'], ['patrol'])
    const people: [string, boolean][] = [
      [officer, true],
      [await world.addPerson('sue', ['supervisor'], ['patrol']), true],
      [await world.addPerson('other', ['officer'], ['traffic']), false],
      [await world.addPerson('adam', ['hotlist-admin', 'policy-admin', 'account-admin'], ['patrol']), false],
      [await world.addPerson('rita', ['auditor'], ['patrol']), false],
      ['not-a-token-that-anybody-was-given', false],
    ]
    const reached = { actionable: 0, actionableWithTrail: 0, escalated: 0, takenOver: 0 }
    for (let seed = 1; seed <= SEQUENCES; seed += 1) {
      const plate = plateOf(seed)
      const random = seeded(seed)
      const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T
      const sent: Sighting[] = []
      const pass = async () => {
        const preview = makeSighting(world.clock, { cameraId: pick(CAMERAS), revision: 0, plate })
        sent.push(preview)
        await send(preview)
      }
      await pass()
      const known = new Map<string, Known>()
      const current = async (): Promise<Alert[]> => {
        const listed = await alerts.list({ groups: ['patrol'], state: null, beforeMs: null, limit: 200 })
        return listed.filter(({ match }) => match.listedPlate === plate)
      }
      for (let call = 0; call < CALLS; call += 1) {
        const [token, mayVerify] = random() < 0.6 ? (people[0] as [string, boolean]) : pick(people)
        const alert = pick(await current())
        const { alertId, revision } = alert
        const before = known.get(alertId) ?? { done: [], closed: false, sightingId: alert.sighting.sightingId }
        known.set(alertId, before)
        const chance = random()
        let replied: { step: string; status: number } | null = null
        if (chance < 0.06) await send({ ...pick(sent), revision: 1, plate: pick([plate, 'XYZ9999']) })
        else if (chance < 0.16) await pass()
        else if (chance < 0.18) world.clock.advance(MINUTE_MS)
        else if (chance < 0.2) {
          // A person who publishes an alert of their own making is cut off.
          const person = await world.connectPerson('olga', officer, { clientId: 'olga.forger' })
          const forged = JSON.stringify({ ...alert, state: 'actionable' })
          assert.is.not(await publish(person, topics.alerts(AGENCY, 'patrol'), forged), 'acknowledged')
        } else {
          const plateSeen = pick([plate, plate, plate, 'ABC1238', ''])
          const step = pick<Record<string, unknown>>([
            { step: 'image_compared', plateSeen, jurisdictionSeen: null },
            { step: 'image_compared', plateSeen: plate, jurisdictionSeen: null },
            { step: 'source_confirmed', confirmedWith: 'state register', result: 'still wanted' },
            { step: 'source_confirmed', confirmedWith: '', result: '' },
            { step: 'actionable' },
            { step: 'actionable' },
            { step: 'acknowledged' },
            { step: 'released' },
            { step: 'taken_back', reason: 'a slip' },
            { step: 'closed', outcome: pick(['misread', 'located', 'cleared']), note: '', correctPlate: null },
            { step: 'raised' },
            { step: 'actionable', state: 'actionable' },
          ])
          const json = { ...step, revision: random() < 0.1 ? revision + pick([-1, 1]) : revision }
          const { status } = await ask('POST', `/api/v1/alerts/${alertId}/steps`, { token, json })
          replied = { step: String(step.step), status }
          if (status === 200) {
            assert.ok(mayVerify, 'who may not verify has taken a step')
            if (step.step === 'image_compared') assert.ok(step.plateSeen === plate, 'another plate was taken')
            if (step.step === 'acknowledged' && alert.acknowledgedBy !== null) reached.takenOver += 1
            if (step.step === 'taken_back') {
              before.done = before.closed ? [] : before.done.slice(0, -1)
              before.closed = false
            } else if (step.step === 'closed') before.closed = true
            else if (step.step !== 'acknowledged' && step.step !== 'released') before.done.push(String(step.step))
          }
        }
        const where = `seed ${seed}, call ${call}, ${JSON.stringify(replied)}`
        for (const now of await current()) {
          const { done, closed, sightingId } = known.get(now.alertId) ?? { done: [], closed: false, sightingId: null }
          assert.is(now.state, closed ? 'closed' : (done.at(-1) ?? 'raised'), where)
          if (sightingId !== null)
            assert.is(now.sighting.sightingId, sightingId, 'what was compared is another sighting')
          if (now.escalatedAtMs !== null) reached.escalated += 1
          if (now.state !== 'actionable') continue
          reached.actionable += 1
          if (now.trail.length > 0) reached.actionableWithTrail += 1
          assert.equal(done, ['image_compared', 'source_confirmed', 'actionable'], where)
        }
      }
    }
    for (const [what, times] of Object.entries(reached)) assert.ok(times > 0, `some sequences get there: ${what}`)
  })
})

test.run()

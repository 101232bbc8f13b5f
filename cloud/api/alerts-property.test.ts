/**
 * Whatever people call and cameras publish, in whatever order: an alert is actionable only when a person who may has compared the picture
 * and then confirmed the source, and neither was taken back.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from '../../scripts/bench/statistics.ts'
import { topics } from '../../shared/topics.ts'
import type { Alert } from '../../shared/wire/index.ts'
import { AGENCY, inCloud, makeSighting, publish, publishSighting } from '../testing.ts'
import { callerOf } from './testing.ts'

const PLATE = 'ABC1230'
const SEQUENCES = 12
const CALLS = 60
const CAMERA = 'north'

test('no sequence of calls and publishes makes an alert actionable without both steps by a person who may', async () => {
  await inCloud(async (world) => {
    const ask = callerOf(world.cloud)
    await world.importList('stolen', [PLATE])
    const camera = await world.connectCamera(CAMERA, await world.addCamera(CAMERA))
    const officer = await world.addPerson('olga', ['officer'], ['patrol'])
    const people: [string, boolean][] = [
      [officer, true],
      [await world.addPerson('sue', ['supervisor'], ['patrol']), true],
      [await world.addPerson('other', ['officer'], ['traffic']), false],
      [await world.addPerson('adam', ['hotlist-admin', 'policy-admin', 'account-admin'], ['patrol']), false],
      [await world.addPerson('rita', ['auditor'], ['patrol']), false],
      ['not-a-token-that-anybody-was-given', false],
    ]
    let actionable = 0
    for (let seed = 1; seed <= SEQUENCES; seed += 1) {
      const random = seeded(seed)
      const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T
      const preview = makeSighting(world.clock, { cameraId: CAMERA, revision: 0, plate: PLATE })
      const { sightingId } = preview
      await publishSighting(camera, preview)
      const current = async () => (await world.cloud.parts.alerts.ofSighting(CAMERA, sightingId))[0] as Alert
      /** What has been done and not taken back. */
      let done: string[] = []
      let closed = false
      for (let call = 0; call < CALLS; call += 1) {
        const [token, mayVerify] = random() < 0.6 ? (people[0] as [string, boolean]) : pick(people)
        const { alertId, revision } = await current()
        if (random() < 0.06) {
          // Its final, the same or another plate; only the first is taken.
          await publishSighting(camera, { ...preview, revision: 1, plate: pick([PLATE, 'XYZ9999']) })
          continue
        }
        if (random() < 0.02) {
          // A person who publishes an alert of their own making is cut off.
          const person = await world.connectPerson('olga', officer, { clientId: 'olga.forger' })
          const forged = JSON.stringify({ ...(await current()), state: 'actionable' })
          assert.is.not(await publish(person, topics.alerts(AGENCY, 'patrol'), forged), 'acknowledged')
          continue
        }
        const plateSeen = pick([PLATE, PLATE, PLATE, 'ABC1238', ''])
        const step = pick<Record<string, unknown>>([
          { step: 'image_compared', plateSeen, jurisdictionSeen: null },
          { step: 'image_compared', plateSeen: PLATE, jurisdictionSeen: null },
          { step: 'source_confirmed', confirmedWith: 'state register', result: 'still wanted' },
          { step: 'source_confirmed', confirmedWith: '', result: '' },
          { step: 'actionable' },
          { step: 'actionable' },
          { step: 'taken_back', reason: 'a slip' },
          { step: 'closed', outcome: pick(['misread', 'located', 'cleared']), note: '' },
          { step: 'raised' },
          { step: 'actionable', state: 'actionable' },
        ])
        const json = { ...step, revision: random() < 0.1 ? revision + pick([-1, 1]) : revision }
        const reply = await ask('POST', `/api/v1/alerts/${alertId}/steps`, { token, json })
        if (reply.status === 200) {
          assert.ok(mayVerify, 'who may not verify has taken a step')
          if (step.step === 'taken_back') {
            done = closed ? [] : done.slice(0, -1)
            closed = false
          } else if (step.step === 'closed') closed = true
          else {
            if (step.step === 'image_compared') assert.is(plateSeen === PLATE || step.plateSeen === PLATE, true)
            done.push(String(step.step))
          }
        }
        const { state } = await current()
        assert.is(state, closed ? 'closed' : (done.at(-1) ?? 'raised'), `seed ${seed}, call ${call}`)
        if (state !== 'actionable') continue
        actionable += 1
        assert.equal(done, ['image_compared', 'source_confirmed', 'actionable'], `seed ${seed}, call ${call}`)
      }
    }
    assert.ok(actionable > 0, 'some sequences get there')
  })
})

test.run()

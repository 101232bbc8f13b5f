import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, MINUTE_MS } from '../shared/clock.ts'
import { confusableKey } from '../shared/plate.ts'
import { topics } from '../shared/topics.ts'
import { AGENCY, inCloud, makeSighting, publish, publishSighting, subscribe, type TestCloud, until } from './testing.ts'

const PLATE = 'LSTD4711'
const PICTURE = 'CROPBYTES4714'
const [A, B] = ['elm-st-1', 'oak-st-2']

/** Every file of the data folder in which one of these stands, as raw bytes. */
function filesWithAny(world: TestCloud, texts: readonly string[]): string[] {
  const folder = join(world.folder, 'data')
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .flatMap((path) => {
      // The audit's next head may be in its place by now.
      const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
      return texts.filter((text) => bytes.includes(text)).map((text) => `${text} in ${path.slice(folder.length)}`)
    })
}

/** The plate into everything that keeps one: reads, picture, alert with trail and steps, an officer's queue, webhook, quarantine, hold, audit. */
async function putEverywhere(world: TestCloud): Promise<{ holdId: string; sightingId: string }> {
  const { alerts, audit, holds, webhooks } = world.cloud.parts
  await world.importList('stolen', [PLATE])
  const url = new URL('http://127.0.0.1:9/')
  await webhooks.add({ webhook: 'dispatch', url, groups: ['patrol'], includePlate: true, notices: [], by: 'test' })
  const olga = await world.connectPerson('olga', await world.addPerson('olga', ['officer'], ['patrol']), {
    clean: false,
  })
  await subscribe(olga, topics.alerts(AGENCY, 'patrol'))
  await olga.endAsync()
  const first = await world.connectCamera(A, await world.addCamera(A))
  const second = await world.connectCamera(B, await world.addCamera(B))
  const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8]), Buffer.from(PICTURE.repeat(50)), Buffer.from([0xff, 0xd9])])
  const crop = { sha256: createHash('sha256').update(jpeg).digest('hex'), bytes: jpeg.length }
  const read = { plate: PLATE, candidates: [{ plate: PLATE, confidence: 0.9 }] }
  const seen = makeSighting(world.clock, { ...read, crop })
  await publishSighting(first, seen)
  await publish(first, topics.crop(AGENCY, A, seen.sightingId), jpeg)
  await publishSighting(second, makeSighting(world.clock, { ...read, cameraId: B }))
  await publish(first, topics.sightings(AGENCY, A), JSON.stringify({ ...seen, confidence: 'high' }))
  const [alert] = await alerts.ofSighting(A, seen.sightingId)
  const actor = { account: 'olga', roles: [], session: null, source: null }
  const alertId = alert?.alertId ?? ''
  const { alert: shown } = await alerts.get(alertId, ['patrol'])
  const step = { step: 'image_compared' as const, revision: shown.revision, plateSeen: PLATE, jurisdictionSeen: null }
  await alerts.step(alertId, step, { actor, account: 'olga', groups: ['patrol'] })
  const selected = await holds.select({ kind: 'alerts', alertIds: [alertId], groups: ['patrol'] })
  const { holdId } = await holds.add({
    ...{ caseNumber: '26-17', basis: `letter about ${PLATE}`, untilMs: world.clock.nowMs() + 90 * DAY_MS },
    ...{ selected, by: 'ines' },
  })
  const query = {
    plateDigest: audit.plateDigest(PLATE),
    plateKind: 'exact' as const,
    fromMs: null,
    toMs: null,
    cameras: [],
    limit: 1,
  }
  await audit.append({ operation: 'search.run', outcome: 'allowed', actor, query })
  return { holdId, sightingId: seen.sightingId }
}

test('after purges nothing of a plate or its picture is left in any file of the data folder, and while a case needs them nothing but what it names', async () => {
  await inCloud(async (world) => {
    const { holdId, sightingId } = await putEverywhere(world)
    const marks = [PLATE, confusableKey(PLATE), PICTURE, sightingId]
    assert.is.not(confusableKey(PLATE), PLATE)
    for (const mark of marks) assert.ok(filesWithAny(world, [mark]).length > 0, `${mark} is there to be found`)
    // The list is no read: it goes with its own versions.
    for (let version = 0; version < 5; version += 1) await world.importList('stolen', [`AAA111${version}`])
    const purged = async (what: string, isDone: () => Promise<boolean>) =>
      until(what, async () => {
        if (await isDone()) return true
        world.clock.advance(11 * MINUTE_MS)
        return false
      })
    const count = async (
      table: 'sightings' | 'held_sightings' | 'broker_outgoing' | 'holds' | 'held_alerts' | 'quarantine',
    ) => {
      const { database } = world.cloud.parts
      const [row] = await database.read(
        database.build.selectFrom(table).select((eb) => eb.fn.countAll<number>().as('n')),
      )
      return row?.n ?? -1
    }
    world.clock.advance(31 * DAY_MS)
    await purged(
      'all but what is held is gone',
      async () => (await count('sightings')) + (await count('quarantine')) + (await count('broker_outgoing')) === 0,
    )
    await purged('the held alert is moved aside', async () => (await count('held_alerts')) === 1)
    assert.is(await count('held_sightings'), 2)
    assert.equal(await world.cloud.parts.holds.alerts(holdId).then((kept) => kept.length), 1)
    await until('the key by which plates are searched is gone', () => {
      world.clock.advance(11 * MINUTE_MS)
      return filesWithAny(world, [confusableKey(PLATE)]).length === 0
    })
    await world.cloud.parts.holds.release(holdId)
    await purged('the hold is gone', async () => (await count('holds')) === 0)
    await until('nothing is left anywhere', () => {
      world.clock.advance(11 * MINUTE_MS)
      return filesWithAny(world, marks).length === 0
    })
    // The audit still knows that somebody asked.
    const digest = world.cloud.parts.audit.plateDigest(PLATE)
    assert.is((await world.audited('search.run'))[0]?.query?.plateDigest, digest)
    assert.ok(filesWithAny(world, [digest]).length > 0)
    assert.not.ok(world.logLines.some((line) => line.includes(PLATE)))
  })
})

test.run()

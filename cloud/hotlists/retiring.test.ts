/** What is left of versions that have had their time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KEPT_VERSIONS, KNOWN_VERSIONS } from './retiring.ts'
import { inWorld, plates, type World } from './testing.ts'

const versionsOf = ({ database }: World) =>
  database.read(
    database.build
      .selectFrom('hotlist_versions')
      .select(['version', 'state', 'manifest', 'chunks_retained'])
      .orderBy('version'),
  )

test('a version without rows has no manifest, and those that have rows keep theirs', async () => {
  await inWorld(async (world) => {
    for (let i = 0; i <= KEPT_VERSIONS; i++) await world.replace(plates(`ABC12${i}`))
    const versions = await versionsOf(world)
    assert.equal(
      versions.map(({ state, manifest }) => [state, manifest !== null]),
      [['retired', false], ...Array.from({ length: KEPT_VERSIONS }, () => ['ready', true])],
    )
    await world.hotlists.rollback('stolen', 2, 'ada')
    await world.restart()
    assert.is((await world.hotlists.status())[0]?.version, KEPT_VERSIONS + 2)
  })
})

test('of thousands of versions the newest stay known, and what is retained; no number is given twice', async () => {
  await inWorld(async (world) => {
    await world.import(plates('ABC123'))
    const { database } = world
    const { build } = database
    const [first] = await database.read(build.selectFrom('hotlist_versions').selectAll())
    assert.ok(first)
    const many = 3 * KNOWN_VERSIONS
    const retained = 5
    await database.writeBatch([
      build.insertInto('hotlist_versions').values(
        Array.from({ length: many - 1 }, (_, i) => ({
          ...{ ...first, version: i + 2, state: i + 2 < many ? 'retired' : 'ready', published: 1 },
          chunks_retained: i + 2 === retained ? 1 : 0,
        })),
      ),
      build.updateTable('hotlists').set({ current_version: many }),
    ])
    world.brokerFails = true
    await world.restart().catch(() => {})
    const turns = world.turns
    await world.replace(plates('BCD234'))
    assert.ok(world.turns - turns > 2, 'a step a turn')
    const left = (await versionsOf(world)).map(({ version }) => version)
    const from = many + 1 - KNOWN_VERSIONS
    assert.equal(left, [1, retained, ...Array.from({ length: KNOWN_VERSIONS + 1 }, (_, i) => from + i).slice(1)])
    // Cleared once the broker takes it, and then it is forgotten as well.
    world.brokerFails = false
    await world.hotlists.upkeep()
    await world.replace(plates('CDE345'))
    const after = (await versionsOf(world)).map(({ version }) => version)
    assert.equal(after.slice(0, 2), [from + 2, from + 3])
    assert.is(after.at(-1), many + 2)
  })
})

test.run()

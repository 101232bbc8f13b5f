/** Routes of entries that were cleared: each group's people see and lift those of its own lists. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { audited, inWorld } from './testing.ts'

test('a cleared entry is shown to, and lifted by, people of a group that its list alerts, and nobody else', async () => {
  await inWorld(async (world) => {
    const { hotlists, suppressions, database } = world.cloud.parts
    const officer = await world.as('officer')
    const nowMs = Date.now()
    const idOf = new Map<string, string>()
    for (const [list, group] of [
      ['stolen', 'patrol'],
      ['covert', 'detectives'],
    ] as const) {
      const bytes = Buffer.from('plate\nABC1230\n')
      const options = { dryRun: false, skipBad: false, allowEmpty: false, by: 'ada' }
      await hotlists.import({ list, bytes, settings: { groups: [group] }, ...options })
      const times = { untilMs: nowMs + HOUR_MS, madeAtMs: nowMs }
      const made = { list, entryId: newId(), ...times, madeBy: 'olga', alertId: newId() }
      idOf.set(list, made.entryId)
      await database.writeBatch([suppressions.insert(made)])
      suppressions.added(made)
    }
    const shown = await world.call('GET', '/api/v1/suppressions', { token: officer })
    assert.equal(
      shown.json.suppressions.map(({ list }: { list: string }) => list),
      ['stolen'],
    )
    const lift = async (list: string) =>
      (await world.call('DELETE', `/api/v1/suppressions/${list}/${idOf.get(list)}`, { token: officer })).status
    assert.equal([await lift('covert'), await lift('stolen'), await lift('stolen')], [404, 200, 404])
    assert.is(suppressions.list().length, 1)
    const lifts = (await audited(world)).filter(({ operation }) => operation === 'suppression.lift')
    assert.equal(lifts.map(({ outcome }) => outcome).reverse(), ['allowed', 'refused', 'allowed', 'allowed', 'refused'])
  })
})

test.run()

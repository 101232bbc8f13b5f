/** Policy, list settings and entries made by hand, as people call them: real processes against a real cloud. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inWorld } from '../trial/commands-testing.ts'

test('the policy is shown and changed one rule at a time', async () => {
  await inWorld(async ({ asAdministrator }) => {
    const set = await asAdministrator('policy', 'set', '--prohibit', 'toll debt', 'parking', '--stale-lists', 'stop')
    assert.match(set.out, /version 2/)
    const times = ['--shifts', '06:00,14:00,22:00', '--time-zone', 'America/Los_Angeles', '--manual-hours', '12']
    assert.is((await asAdministrator('policy', 'set', ...times)).code, 0)
    const shown = (await asAdministrator('policy', 'show')).out
    assert.match(shown, /immigration, toll debt and parking/)
    assert.match(shown, /matches nothing/)
    assert.match(shown, /at most 12 hours/)
    assert.match(shown, /06:00, 14:00 and 22:00 in America\/Los_Angeles/)
    assert.is((await asAdministrator('policy', 'set')).code, 2)
    assert.is((await asAdministrator('policy', 'set', '--shifts', '06:00')).code, 2)
    const zone = await asAdministrator('policy', 'set', '--shifts', '06:00', '--time-zone', 'Springfield')
    assert.is(zone.code, 1)
    assert.match(zone.err, /not a time zone/)
    assert.is((await asAdministrator('policy', 'set', '--shifts', 'none')).code, 0)
    assert.match((await asAdministrator('policy', 'show')).out, /When shifts end is not said/)
  })
})

test('a list gets its source, priority and dates; patterns are counted and said', async () => {
  await inWorld(async ({ asAdministrator, folder }) => {
    const file = join(folder, 'list.csv')
    await writeFile(file, 'plate\nABC1230\nXYZ*\n')
    const wild = ['--match', 'wildcard', '--source', 'amber', '--priority', '1']
    const imported = await asAdministrator('hotlist', 'import', file, '--list', 'amber', ...wild)
    assert.is(imported.code, 0, imported.err + imported.out)
    assert.match(imported.err, /1 entries are patterns/)
    assert.is((await asAdministrator('hotlist', 'set', 'amber')).code, 2)
    const changed = await asAdministrator('hotlist', 'set', 'amber', '--priority', '2', '--expires', '2099-12-31')
    assert.is(changed.code, 0, changed.err)
    const [list] = JSON.parse((await asAdministrator('hotlist', 'status', '--json')).out).hotlists
    assert.equal([list.source, list.priority, list.cloudEntries, list.entries], ['amber', 2, 1, 2])
    assert.is(list.expiresAtMs, Date.UTC(2100, 0, 1))
    assert.is((await asAdministrator('hotlist', 'set', 'amber', '--expires', 'always')).code, 0)
    await asAdministrator('policy', 'set', '--upload', 'matches-only')
    const refused = await asAdministrator('hotlist', 'import', file, '--list', 'amber')
    assert.is(refused.code, 1)
    assert.match(refused.out, /patterns, which cameras cannot match.*--accept-cloud-only/s)
    assert.is((await asAdministrator('hotlist', 'import', file, '--list', 'amber', '--accept-cloud-only')).code, 0)
  })
})

test('a supervisor puts a plate on a list, a second person approves it, and it is taken off; the audit has no plate of it', async () => {
  await inWorld(async ({ asAdministrator, as }) => {
    const sue = await as('sue', ['supervisor'])
    const ina = await as('ina', ['auditor'])
    await asAdministrator('policy', 'set', '--second-person', 'yes')
    const entry = [
      'entry',
      'add',
      'ABC-1230',
      '--list',
      'bolo',
      '--case',
      '24-001',
      '--reason',
      'took ABC 1230 on Elm St',
    ]
    assert.is((await sue('hotlist', ...entry)).code, 2, 'an end is compulsory')
    const added = await sue('hotlist', ...entry, '--hours', '8')
    assert.match(added.out, /waits for a second person/, added.err)
    const id = /Entry (\S+)/.exec(added.out)?.[1] ?? ''
    assert.match((await sue('hotlist', 'entry', 'approve', id, '--list', 'bolo')).err, /hotlists.write/)
    assert.match((await asAdministrator('hotlist', 'entry', 'approve', id, '--list', 'bolo')).out, /in force/)
    const listed = JSON.parse((await sue('hotlist', 'entry', 'list', '--json')).out)
    assert.equal([listed[0].plate, listed[0].state, listed[0].madeBy], ['ABC1230', 'in_force', 'sue'])
    assert.match((await sue('hotlist', 'entry', 'end', id, '--list', 'bolo')).out, /off the list/)
    assert.match((await sue('hotlist', 'entry', 'list', '--over')).out, /over/)
    const officer = await as('olga', ['officer'])
    assert.is((await officer('hotlist', ...entry, '--hours', '8')).code, 1)
    const audit = (await ina('audit', 'list', '--json')).out
    for (const operation of ['entry_add', 'entry_added', 'entry_approve', 'entry_end', 'entries_listed']) {
      assert.match(audit, new RegExp(`hotlist\\.${operation}"`))
    }
    assert.match(audit, /took \[plate /)
    assert.not.match(audit, /ABC.?1230/)
  })
})

test.run()

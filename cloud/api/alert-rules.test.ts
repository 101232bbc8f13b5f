/** Routes of alert rules and outcomes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  MAX_DUPLICATE_SECONDS,
  MAX_ESCALATE_AFTER_SECONDS,
  MAX_ESCALATE_TO,
  MAX_GROUP_WINDOW_SECONDS,
  MIN_ESCALATE_AFTER_SECONDS,
} from '../alerts/rules.ts'
import { audited, inWorld } from './testing.ts'

const URL = '/api/v1/alert-rules'
const QUIET = { from: '22:00', until: '06:00', timeZone: 'America/Chicago', pushUpTo: 1 }

test('a hotlist administrator sets and removes rules; others see nothing or change nothing; all of it is in the audit', async () => {
  await inWorld(async (world) => {
    const [admin, auditor, officer] = [
      ...[await world.as('hotlist-admin'), await world.as('auditor'), await world.as('officer')],
    ] as [string, string, string]
    const put = (token: string, json: object) => world.call('PUT', URL, { token, json })
    const rule = { list: 'stolen', group: 'patrol', pushUpTo: 3, quiet: QUIET, escalateTo: ['patrol', 'nobody'] }
    assert.equal((await put(admin, rule)).json, { warnings: ['nobody who may see alerts is in the group nobody'] })
    assert.is((await put(admin, { list: null, group: null, groupWindowSeconds: 600 })).status, 200)
    for (const token of [auditor, officer]) {
      assert.is((await put(token, rule)).status, 403)
      assert.is((await world.call('DELETE', URL, { token })).status, 403)
    }
    assert.is((await world.call('GET', URL, { token: officer })).status, 403)
    const { rules, defaults } = (await world.call('GET', URL, { token: auditor })).json
    assert.equal(
      rules.map(({ changedAtMs: _at, changedBy: _by, ...said }: Record<string, unknown>) => said),
      [{ list: null, group: null, groupWindowSeconds: 600 }, rule],
    )
    assert.equal([defaults.pushUpTo, defaults.quiet, defaults.groupWindowSeconds], [5, null, 3_600])
    assert.is((await world.call('DELETE', `${URL}?list=stolen`, { token: admin })).status, 404)
    assert.is((await world.call('DELETE', `${URL}?list=stolen&group=patrol`, { token: admin })).status, 200)
    const said = (await audited(world))
      .filter(({ operation }) => operation.startsWith('alert_rule'))
      .map(({ operation, outcome, subject }) => `${operation} ${outcome} ${subject?.id ?? ''}`)
    assert.equal(said.reverse(), [
      ...['alert_rule.set allowed stolen/patrol', 'alert_rule.set allowed */*', 'alert_rule.listed allowed '],
      ...['alert_rule.removed allowed stolen/*', 'alert_rule.removed refused stolen/*'],
      'alert_rule.removed allowed stolen/patrol',
    ])
  })
})

test('a rule is taken at its limits and refused past them', async () => {
  await inWorld(async (world) => {
    const token = await world.as('hotlist-admin')
    const to = { escalateTo: ['chiefs'] }
    const groups = (count: number) => Array.from({ length: count }, (_, i) => `group-${i}`)
    const cases: [object, number][] = [
      [{ pushUpTo: 1 }, 200],
      [{ pushUpTo: 0 }, 400],
      [{ pushUpTo: 6 }, 400],
      [{ quiet: null }, 200],
      [{ quiet: { ...QUIET, timeZone: 'Middle/Earth' } }, 400],
      [{ quiet: { ...QUIET, from: '24:00' } }, 400],
      [{ quiet: { ...QUIET, until: QUIET.from } }, 400],
      [{ escalateAfterSeconds: MIN_ESCALATE_AFTER_SECONDS, ...to }, 200],
      [{ escalateAfterSeconds: MIN_ESCALATE_AFTER_SECONDS - 1, ...to }, 400],
      [{ escalateAfterSeconds: MAX_ESCALATE_AFTER_SECONDS, ...to }, 200],
      [{ escalateAfterSeconds: MAX_ESCALATE_AFTER_SECONDS + 1, ...to }, 400],
      [{ escalateAfterSeconds: 60 }, 400],
      [{ escalateTo: groups(MAX_ESCALATE_TO) }, 200],
      [{ escalateTo: groups(MAX_ESCALATE_TO + 1) }, 400],
      [{ groupWindowSeconds: MAX_GROUP_WINDOW_SECONDS, duplicateSeconds: MAX_DUPLICATE_SECONDS }, 200],
      [{ groupWindowSeconds: MAX_GROUP_WINDOW_SECONDS + 1 }, 400],
      [{ duplicateSeconds: MAX_DUPLICATE_SECONDS + 1 }, 400],
      [{ groupWindowSeconds: 60, group: 'patrol' }, 400],
      [{ something: 1 }, 400],
    ]
    for (const [change, status] of cases) {
      const json = { list: 'stolen', group: null, ...change }
      assert.is((await world.call('PUT', URL, { token, json })).status, status, JSON.stringify(change))
    }
  })
})

test('outcomes are for auditors, supervisors and hotlist administrators, of so many days at most, and looking is in the audit', async () => {
  await inWorld(async (world) => {
    const ask = async (role: 'auditor' | 'supervisor' | 'hotlist-admin' | 'officer', query = '') =>
      world.call('GET', `/api/v1/outcomes${query}`, { token: await world.as(role) })
    for (const role of ['auditor', 'supervisor', 'hotlist-admin'] as const) assert.is((await ask(role)).status, 200)
    assert.is((await ask('officer')).status, 403)
    const year = await ask('auditor', '?from=2026-01-01&to=2027-01-01')
    assert.equal(year.json, { from: '2026-01-01', to: '2027-01-01', cameras: [], lists: [] })
    for (const query of ['?from=2026-01-01&to=2027-01-02', '?from=2026-01-02&to=2026-01-01', '?from=yesterday']) {
      assert.is((await ask('auditor', query)).status, 400, query)
    }
    const viewed = (await audited(world)).filter(({ operation }) => operation === 'outcomes.viewed')
    assert.equal([viewed.length, viewed[0]?.detail], [4, { from: '2026-01-01', to: '2027-01-01' }])
  })
})

test.run()

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../shared/errors.ts'
import { FIRST_ADMINISTRATOR_ROLES, may, PERMISSIONS, permissionsOf, ROLES, requirePermission } from './permissions.ts'

test('nobody without a role may do anything', () => {
  for (const permission of PERMISSIONS) assert.not(may([], permission))
})

test('every permission is given by some role', () => {
  for (const permission of PERMISSIONS) {
    assert.ok(
      ROLES.some((role) => may([role], permission)),
      permission,
    )
  }
})

test('an officer verifies alerts and neither searches nor watches plain reads', () => {
  assert.equal(permissionsOf(['officer']), ['alerts.read', 'alerts.verify'])
})

test('an auditor changes nothing', () => {
  for (const permission of permissionsOf(['auditor'])) assert.match(permission, /\.read$/)
})

test('the first administrator can set everything up but cannot search, watch or read the audit', () => {
  for (const permission of ['accounts.write', 'cameras.write', 'hotlists.write', 'policy.write'] as const) {
    assert.ok(may(FIRST_ADMINISTRATOR_ROLES, permission), permission)
  }
  for (const permission of ['search.run', 'sightings.view', 'sightings.watch', 'audit.read'] as const) {
    assert.not(may(FIRST_ADMINISTRATOR_ROLES, permission), permission)
  }
})

test('a refusal names the roles that would do', () => {
  try {
    requirePermission(['officer'], 'search.run')
    assert.unreachable()
  } catch (thrown) {
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, 'forbidden')
    assert.match((thrown as AppError).hint ?? '', /investigator/)
  }
})

test.run()

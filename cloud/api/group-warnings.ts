/** Groups whose alerts nobody would get: most likely a name that was mistyped. Called by the routes of lists and of rules. */
import type { CloudParts } from '../parts.ts'
import { may } from '../permissions.ts'

export async function groupWarnings(accounts: CloudParts['accounts'], wanted: readonly string[]): Promise<string[]> {
  const people = (await accounts.list()).filter(({ state, roles }) => state !== 'disabled' && may(roles, 'alerts.read'))
  return wanted
    .filter((group) => !people.some(({ groups }) => groups.includes(group)))
    .map((group) => `nobody who may see alerts is in the group ${group}`)
}

/**
 * What a receiver gets: the body, by default without the plate, and the signature that shows that it comes from this cloud and
 * for this webhook. Made at the moment of sending, never stored.
 */
import { createHmac } from 'node:crypto'
import type { Alert } from '../../shared/wire/index.ts'

/** Of the salt that a webhook's secret is made of, bytes: as long as the key. */
export const SECRET_SALT_BYTES = 32

/** What the receiver holds; a webhook's own, for nothing else. */
export function secretOf(key: Uint8Array, salt: string): string {
  return createHmac('sha256', key).update(`webhook ${salt}`, 'utf8').digest('base64url')
}

/** Value of `candor-signature`: the time that is signed with the body keeps an old request from being sent again. */
export function signatureOf(secret: string, atMs: number, body: Buffer): string {
  const v1 = createHmac('sha256', secret).update(`${atMs}.`, 'utf8').update(body).digest('hex')
  return `t=${atMs},v1=${v1}`
}

/**
 * The alert as a webhook shows it. A hit is criminal-justice information: unless the webhook says otherwise, it is told what to
 * look at and where, and the plate is seen in Candor. No other group of the alert is named.
 */
export function alertFor(
  hook: { groups: readonly string[]; includePlate: boolean },
  alert: Alert,
  pageOrigin: string,
): Record<string, unknown> {
  const groups = alert.groups.filter((group) => hook.groups.includes(group))
  const page = `${pageOrigin}/#alert=${alert.alertId}`
  const heldFor = alert.heldFor.filter(({ group }) => hook.groups.includes(group))
  if (hook.includePlate) return { ...alert, groups, heldFor, page }
  const { alertId, agency, revision, state, outcome, historical, raisedAtMs, updatedAtMs, expiresAtMs } = alert
  const { match, sighting } = alert
  const { kind, list, priority, stale, stillMatches } = match
  return {
    ...{ alertId, agency, revision, state, outcome, groups, historical, raisedAtMs, updatedAtMs, expiresAtMs },
    match: { kind, list, priority, stale, stillMatches },
    sighting: { cameraId: sighting.cameraId, seenAtMs: sighting.seenAtMs, clock: sighting.clock },
    page,
  }
}

/** Alerts of sightings that were stored before their plate came onto a list. Called by main for hotlists/past.ts. */
import type { Clock } from '../../shared/clock.ts'
import type { Alerts } from '../alerts.ts'
import type { Database } from '../database/database.ts'
import type { ListMatch } from '../hotlists.ts'
import type { Sightings, StoredSighting } from '../sightings.ts'

export interface HistoricalDeps {
  database: Database
  clock: Pick<Clock, 'nowMs'>
  alerts: Pick<Alerts, 'exclusively' | 'ofSighting' | 'raise' | 'publishPending'>
  sightings: Pick<Sightings, 'markMatched'>
}

/** Raises and publishes it, and keeps its sighting as a matched one. False: the sighting has an alert of that entry already. */
export async function raiseHistorical(
  { database, clock, alerts, sightings }: HistoricalDeps,
  { stored, match }: { stored: StoredSighting; match: ListMatch },
): Promise<boolean> {
  const { sighting, receivedAtMs } = stored
  const isRaised = await alerts.exclusively(async () => {
    const existing = await alerts.ofSighting(sighting.cameraId, sighting.sightingId)
    if (existing.some((alert) => alert.match.entryId === match.entryId)) return false
    const { statements } = alerts.raise({
      ...{ sighting, receivedAtMs, match },
      ...{ isHistorical: true, raisedAtMs: clock.nowMs() },
    })
    await database.writeBatch([...statements, sightings.markMatched(sighting.cameraId, sighting.sightingId)])
    return true
  })
  if (isRaised) await alerts.publishPending()
  return isRaised
}

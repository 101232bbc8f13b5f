/** The alert's document, as it is stored and published, made from a sighting and what it matched. Pure. */
import { seenAt } from '../../shared/seen.ts'
import type { Alert, Sighting } from '../../shared/wire/index.ts'
import type { ListMatch } from '../hotlists.ts'
import { timesOf } from '../sightings.ts'

export function describeMatch(match: ListMatch, sighting: Sighting): Alert['match'] {
  return {
    kind: match.kind,
    score: match.score,
    list: match.list,
    listVersion: match.listVersion,
    entryId: match.entryId,
    listedPlate: match.plate,
    listedJurisdiction: match.jurisdiction,
    category: match.category,
    priority: match.priority,
    stale: match.stale,
    cameraAgreed: sighting.match?.entryId === match.entryId,
    stillMatches: true,
  }
}

export function describeSighting(sighting: Sighting, receivedAtMs: number): Alert['sighting'] {
  const { seenAtMs, clockTrusted } = seenAt(sighting, receivedAtMs)
  return {
    sightingId: sighting.sightingId,
    revision: sighting.revision,
    cameraId: sighting.cameraId,
    capturedAtMs: sighting.capturedAtMs,
    receivedAtMs,
    seenAtMs,
    clock: clockTrusted ? 'synced' : 'unsynced',
    plate: sighting.plate ?? '',
    confidence: sighting.confidence,
    candidates: sighting.candidates,
    jurisdiction: sighting.jurisdiction,
    region: sighting.region,
    crop: sighting.crop,
  }
}

/** Where the retention of a queued publish starts: for an alert with the first of its sightings, for everything else now. */
export function queuedFrom({ topic, payload }: { topic: string; payload: Buffer }, nowMs: number): number {
  if (!topic.includes('/alerts/')) return nowMs
  const { sighting, trail = [] } = JSON.parse(payload.toString('utf8')) as Alert
  const starts = trail.map(({ seenAtMs, receivedAtMs }) => Math.min(seenAtMs, receivedAtMs))
  return Math.min(timesOf(sighting, sighting.receivedAtMs).retainedFromMs, ...starts)
}

/** The alert's document, as it is stored and published, made from a sighting and what it matched. Pure. */
import { seenAt } from '../../shared/seen.ts'
import type { Alert, Sighting } from '../../shared/wire/index.ts'
import type { ListMatch } from '../hotlists.ts'

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

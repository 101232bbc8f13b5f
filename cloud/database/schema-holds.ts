/** The tables of evidence holds as Kysely sees them; part of schema.ts. Owner of all: holds.ts. */

/** `selection` is JSON: what was asked to be held, its plate as a keyed digest. */
export interface HoldsTable {
  hold_id: string
  case_number: string
  basis: string
  selection: string
  made_at_ms: number
  made_by: string
  until_ms: number
  extended_at_ms: number | null
  extended_by: string | null
}

export interface HoldSightingsTable {
  hold_id: string
  camera_id: string
  sighting_id: string
}

export interface HoldAlertsTable {
  hold_id: string
  alert_id: string
}

/** Sightings whose retention is over, as they were; see schema.ts. */
export interface HeldSightingsTable {
  camera_id: string
  sighting_id: string
  revision: number
  payload_sha256: string
  seen_at_ms: number
  received_at_ms: number
  retained_from_ms: number
  clock_trusted: 0 | 1
  matched: 0 | 1
  document: string
}

export interface HeldCropsTable {
  camera_id: string
  sighting_id: string
  sha256: string
  jpeg: Buffer
  received_at_ms: number
  retained_from_ms: number
}

/** `steps` is a JSON array of AlertStepsTable without the alert's id. */
export interface HeldAlertsTable {
  alert_id: string
  retained_from_ms: number
  document: string
  steps: string
}

export interface HoldsSchema {
  holds: HoldsTable
  hold_sightings: HoldSightingsTable
  hold_alerts: HoldAlertsTable
  held_sightings: HeldSightingsTable
  held_crops: HeldCropsTable
  held_alerts: HeldAlertsTable
}

/** The tables of the fleet as Kysely sees them; part of schema.ts. Owner of all: fleet.ts. */

/** `figures`: Figures as JSON (fleet/metrics.ts); at_ms: received. */
export interface FleetReportsTable {
  camera_id: string
  at_ms: number
  figures: string
}

/** hour: since 1970-01-01T00Z; vehicles: that the camera made sightings of; covered_ms: between reports of one process; spreads: JSON. */
export interface FleetHoursTable {
  camera_id: string
  hour: number
  vehicles: number
  covered_ms: number
  spreads: string
}

/** told_revision: of the last that people and other programs were told. */
export interface FleetAlarmsTable {
  alarm_id: string
  camera_id: string
  kind: string
  revision: number
  raised_at_ms: number
  cleared_at_ms: number | null
  detail: string
  acknowledged_at_ms: number | null
  acknowledged_by: string | null
  note: string | null
  told_revision: number
}

export interface FleetMaintenanceTable {
  camera_id: string
  until_ms: number
  set_at_ms: number
  set_by: string
  note: string
}

/** Of the report that was judged last; uptime_ms: of the camera's process then, at_ms: received. */
export interface FleetLossesTable {
  camera_id: string
  sightings: number
  crops: number
  lost: number
  uptime_ms: number
  at_ms: number
}

export interface FleetSchema {
  fleet_reports: FleetReportsTable
  fleet_hours: FleetHoursTable
  fleet_alarms: FleetAlarmsTable
  fleet_maintenance: FleetMaintenanceTable
  fleet_losses: FleetLossesTable
}

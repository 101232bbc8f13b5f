/** The tables of counted use, of its review and of what is published, as Kysely sees them; part of schema.ts. */

/** Owner: usage.ts. utc_day: days since 1970-01-01. figure and name: see usage/figures.ts. */
export interface UsageDaysTable {
  utc_day: number
  figure: string
  name: string
  count: number
}

/** Owner: usage.ts. */
export interface UsagePlacesTable {
  reader: string
  seq: number
}

/** Owner: usage.ts. One a search; `who` as in usage/figures.ts; page: 1 where it only turned a page. */
export interface UsageSearchesTable {
  seq: number
  who: string
  at_ms: number
  outcome: string
  rule: string | null
  plate_digest: Buffer | null
  case_number: string | null
  offence_type: string | null
  reason: string | null
  page: 0 | 1
}

/** Owner: usage.ts. */
export interface UsageSwitchesTable {
  seq: number
  who: string
  at_ms: number
  before_seq: number
}

/** Owner: usage.ts. */
export interface UsageLastActsTable {
  who: string
  session_id: string
  source: string
  at_ms: number
  seq: number
}

/** Owner: usage.ts. organisation: '' is the own one. */
export interface UsagePlatesTable {
  plate_digest: Buffer
  seq: number
  outcome: string
  organisation: string
}

/** Owner: usage.ts. */
export interface UsageCameraDaysTable {
  utc_day: number
  camera_id: string
  online_ms: number
  made: number
  withheld: number
  lost: number
}

/** Owner: usage.ts. sign_at_ms null: it is offline. */
export interface UsageCameraSignsTable {
  camera_id: string
  session_id: string
  sign_at_ms: number | null
  health_at_ms: number | null
  uptime_ms: number
  made: number
  withheld: number
  lost: number
}

/** Owner: review.ts. left_out: findings beyond the bound, of which only the number is kept. */
export interface ReviewPeriodsTable {
  from_ms: number
  to_ms: number
  made_at_ms: number
  findings: number
  left_out: number
}

/** Owner: review.ts. decision: open, no_concern, explained or concern; entries: JSON array of audit numbers. */
export interface ReviewFindingsTable {
  finding_id: string
  from_ms: number
  to_ms: number
  who: string
  flag: string
  why: string
  entries: string
  entry_count: number
  made_at_ms: number
  decision: string
  note: string | null
  decided_at_ms: number | null
  decided_by: string | null
}

/** Owner: transparency.ts. Never changed or deleted. made_by null: the cloud, by its policy. */
export interface TransparencyReportsTable {
  report_id: number
  from_day: number
  to_day: number
  made_at_ms: number
  made_by: string | null
  manifest: string
  json: string
  csv: string
  html: string
}

export interface UsageSchema {
  usage_days: UsageDaysTable
  usage_places: UsagePlacesTable
  usage_searches: UsageSearchesTable
  usage_switches: UsageSwitchesTable
  usage_last_acts: UsageLastActsTable
  usage_plates: UsagePlatesTable
  usage_camera_days: UsageCameraDaysTable
  usage_camera_signs: UsageCameraSignsTable
  review_periods: ReviewPeriodsTable
  review_findings: ReviewFindingsTable
  transparency_reports: TransparencyReportsTable
}

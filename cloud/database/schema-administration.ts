/** The tables of people, cameras, lists and audit as Kysely sees them; part of schema.ts. */

/** Owner: audit/log.ts. */
export interface AuditEntriesTable {
  seq: number
  bytes: Buffer
  hash: Buffer
}

/** Owner: accounts.ts. `roles` and `alert_groups` are JSON arrays. */
export interface AccountsTable {
  account: string
  password_hash: string
  roles: string
  alert_groups: string
  created_at_ms: number
  created_by: string | null
  password_changed_at_ms: number
  disabled_at_ms: number | null
  locked_at_ms: number | null
}

/** Owner: accounts.ts. */
export interface LoginFailuresTable {
  account: string
  at_ms: number
}

/** Owner: accounts.ts. `token_digest` is SHA-256 of the token, which is nowhere stored. */
export interface SessionsTable {
  session_id: string
  token_digest: string
  account: string
  source: string
  created_at_ms: number
  used_at_ms: number
  /** What it was proved by besides the password; null: nothing. */
  factor: string | null
}

/** Owner: cameras.ts. `status` and `health` are the last documents. */
export interface CamerasTable {
  camera_id: string
  added_at_ms: number
  added_by: string
  revoked_at_ms: number | null
  status: string | null
  status_at_ms: number | null
  health: string | null
  health_at_ms: number | null
}

/** Owner: cameras.ts. */
export interface CameraCertificatesTable {
  fingerprint: string
  camera_id: string
  serial: string
  issued_at_ms: number
  expires_at_ms: number
  revoked_at_ms: number | null
  revoked_by: string | null
  /** Of the public key, hex; null: issued before these were kept, as is the certificate itself. */
  key_sha256: string | null
  certificate_pem: string | null
  /** 1: its first connection ends the rights of the camera's other certificates. */
  takes_over: 0 | 1
  /** 1: the unit in use asked for it; 0: it makes another unit the camera. Of meaning until it has taken over. */
  renews: 0 | 1
}

/**
 * Owner: enrolment.ts. `state`: waiting for a unit, asked by one, approved, rejected, revoked or expired. `alarm` 1: another key has
 * used it, and nobody has said to have seen that.
 */
export interface CameraClaimsTable {
  claim_id: string
  code_sha256: string
  camera_id: string
  site: string | null
  replaces: 0 | 1
  state: string
  made_at_ms: number
  made_by: string
  expires_at_ms: number
  key_sha256: string | null
  csr_pem: string | null
  asked_at_ms: number | null
  source: string | null
  decided_at_ms: number | null
  decided_by: string | null
  fetched_at_ms: number | null
  misuses: number
  misused_at_ms: number | null
  alarm: 0 | 1
}

/** Owner: cameras.ts. The last word of a camera on a subject (`hotlists/{list}` or `policy`). */
export interface CameraAcksTable {
  camera_id: string
  subject: string
  version: number
  digest: string | null
  result: string
  reason: string | null
  at_ms: number
  received_at_ms: number
}

/** Owner: hotlists.ts. */
export interface HotlistsTable {
  list: string
  /** `file`, or `manual`: of entries that people made. */
  kind: string
  source: string
  default_priority: number
  effective_at_ms: number | null
  expires_at_ms: number | null
  current_version: number | null
  /** The highest number of a version that ever waited for approval. */
  last_version: number
  alert_groups: string
  default_rule: string
  max_age_ms: number
  created_at_ms: number
}

/** Owner: hotlists.ts. `chunks_retained`: the broker may still hold that many chunks of this version; `published`: it holds all of it. */
export interface HotlistVersionsTable {
  list: string
  version: number
  state: string
  entries: number
  chunks: number
  chunks_retained: number
  /** Of `entries`: patterns, which no camera has. */
  cloud_entries: number
  /** The list's dates as the version was made: each of its entries travels within them. */
  effective_at_ms: number | null
  expires_at_ms: number | null
  /** Its new entries are still to be held against sightings seen from then on; null: no (longer). */
  past_from_ms: number | null
  /** The version that they are new beside; null: there was none. */
  past_since: number | null
  delta_chunks_retained: number
  published: number
  manifest: string | null
  source_sha256: string | null
  made_at_ms: number
  made_by: string
  /** JSON, of state `pending` only: see rows.ts. */
  pending: string | null
}

/** Owner: suppressions.ts. */
export interface SuppressionsTable {
  list: string
  entry_id: string
  until_ms: number
  made_at_ms: number
  made_by: string
  alert_id: string
}

/** Owner: hotlists.ts. */
export interface HotlistEntriesTable {
  list: string
  version: number
  entry_id: string
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: string
  reason: string | null
  case_number: string | null
  effective_at_ms: number | null
  expires_at_ms: number | null
}

/** Owner: hotlists/manual.ts. `state`: waiting, approved, in_force (on the list's current version), over. */
export interface ManualEntriesTable {
  entry_id: string
  list: string
  state: string
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: string
  reason: string
  case_number: string
  made_at_ms: number
  made_by: string
  decided_by: string | null
  effective_at_ms: number
  expires_at_ms: number
  /** `expires_at_ms`, or when it was taken off the list before that, or refused. */
  over_at_ms: number
}

/** Owner: hotlists/mappings.ts. `document` is JSON. */
export interface ListMappingsTable {
  name: string
  document: string
  saved_at_ms: number
  saved_by: string
}

/** Owner: hotlists/mappings.ts. */
export interface ListMappingUsesTable {
  list: string
  mapping: string
}

/** Owner: authority/watch.ts. */
export interface AuthorityAlarmsTable {
  alarm: string
  told_at_ms: number
}

export interface AdministrationSchema {
  audit_entries: AuditEntriesTable
  accounts: AccountsTable
  login_failures: LoginFailuresTable
  sessions: SessionsTable
  cameras: CamerasTable
  camera_certificates: CameraCertificatesTable
  camera_claims: CameraClaimsTable
  camera_acks: CameraAcksTable
  authority_alarms: AuthorityAlarmsTable
  hotlists: HotlistsTable
  hotlist_versions: HotlistVersionsTable
  hotlist_entries: HotlistEntriesTable
  manual_entries: ManualEntriesTable
  suppressions: SuppressionsTable
  list_mappings: ListMappingsTable
  list_mapping_uses: ListMappingUsesTable
}

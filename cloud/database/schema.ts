/** The tables as Kysely sees them; each has one owner file, named beside it. Columns end in their unit. */
import type { Generated } from 'kysely'
import type { AdministrationSchema } from './schema-administration.ts'
import type { AuditSchema } from './schema-audit.ts'
import type { FactorsSchema } from './schema-factors.ts'
import type { HoldsSchema } from './schema-holds.ts'
import type { PolicySchema } from './schema-policy.ts'
import type { RollOutsSchema } from './schema-roll-outs.ts'
import type { SearchSchema } from './schema-search.ts'
import type { SharingSchema } from './schema-sharing.ts'
import type { UsageSchema } from './schema-usage.ts'

/** Owner: sightings.ts. `document` is the exact payload; the two times but received are `timesOf`. */
export interface SightingsTable {
  camera_id: string
  sighting_id: string
  revision: number
  payload_sha256: string
  seen_at_ms: number
  received_at_ms: number
  retained_from_ms: number
  clock_trusted: 0 | 1
  plate: string | null
  confusable_key: string | null
  matched: 0 | 1
  match_disagreed: 0 | 1
  crop_sha256: string | null
  document: string
}

/** Owner: sightings.ts. */
export interface CropsTable {
  camera_id: string
  sighting_id: string
  sha256: string
  jpeg: Buffer
  received_at_ms: number
  retained_from_ms: number
}

/** Owner: quarantine.ts. `payload` is cut at MAX_QUARANTINED_BYTES; digest and length are of the whole. */
export interface QuarantineTable {
  quarantine_id: string
  camera_id: string
  topic: string
  reason: string
  payload: Buffer
  payload_bytes: number
  payload_sha256: string
  received_at_ms: number
}

/**
 * Owner: alerts.ts. `document` is the alert as it travels without what other tables tell (trail, count, held); published_revision is -1
 * before the first publish. match_kind: of its sighting as it is now, `none` when the final no longer matches.
 */
export interface AlertsTable {
  alert_id: string
  camera_id: string
  sighting_id: string
  entry_id: string
  revision: number
  published_revision: number
  state: string
  raised_at_ms: number
  retained_from_ms: number
  document: string
  list: string
  match_kind: string
  raised_kind: string
  first_seen_at_ms: number
  last_seen_at_ms: number
  sightings: Generated<number>
  escalate_at_ms: number | null
  holder: string | null
}

/**
 * Owner: alerts.ts. State and time are the alert's, here for the index that lists are read from. push: due until a publish decides, then
 * pushed for good, held until quiet hours end, or listed only.
 */
export interface AlertGroupsTable {
  alert_id: string
  group_name: string
  state: string
  raised_at_ms: number
  push: Generated<string>
  held_until_ms: Generated<number | null>
}

/** Owner: alerts.ts. Sightings that joined an open alert; shown: 1 in its trail, 0 only counted. */
export interface AlertSightingsTable {
  alert_id: string
  camera_id: string
  sighting_id: string
  revision: number
  shown: 0 | 1
  seen_at_ms: number
  received_at_ms: number
  retained_from_ms: number
  clock_trusted: 0 | 1
  plate: string
  kind: string
  confidence: number
  still_matches: 0 | 1
}

/** Owner: alerts.ts. utc_day: days since 1970-01-01; outcome: raised, grouped, duplicate, or how an alert was closed. */
export interface AlertOutcomesTable {
  utc_day: number
  camera_id: string
  list: string
  kind: string
  outcome: string
  count: number
}

/** Owner: alerts.ts. '' is any list or group; document: AlertRule as JSON. */
export interface AlertRulesTable {
  list: string
  group_name: string
  document: string
  changed_at_ms: number
  changed_by: string
}

/** Owner: alerts.ts. */
export interface AlertStepsTable {
  alert_id: string
  revision: number
  step: string
  account: string
  at_ms: number
  audit_seq: number
  details: string
}

/** Owner: sessions.ts, as all broker_ tables. `packet` is the MQTT packet as JSON without its payload. */
export interface BrokerSubscriptionsTable {
  client_id: string
  topic: string
  qos: number
  seen_at_ms: number
}

export interface BrokerOutgoingTable {
  position: Generated<number>
  client_id: string
  broker_id: string
  broker_counter: number
  message_id: number | null
  retained_from_ms: number
  packet: string
  payload: Buffer
}

export interface BrokerRetainedTable {
  topic: string
  qos: number
  stored_at_ms: number
  payload: Buffer
}

export interface BrokerWillsTable {
  client_id: string
  broker_id: string
  packet: string
  payload: Buffer
}

/** Owner: webhooks.ts. `alert_groups` is a JSON array; the secret is made of the salt and a key outside the database. */
export interface WebhooksTable {
  webhook: string
  url: string
  alert_groups: string
  include_plate: 0 | 1
  secret_salt: string
  created_at_ms: number
  created_by: string
  paused_at_ms: number | null
  paused_by: string | null
  failing_since_ms: number | null
  full_since_ms: number | null
  dropped: Generated<number>
  last_attempt_at_ms: number | null
  last_status: number | null
  last_reason: string | null
  last_delivered_at_ms: number | null
}

/** Owner: webhooks.ts. One an alert and webhook, ids only; `attempts` are those that failed. */
export interface WebhookDeliveriesTable {
  position: Generated<number>
  webhook: string
  alert_id: string
  revision: number
  delivery_id: string
  queued_at_ms: number
  attempts: number
  next_at_ms: number
}

export interface Schema
  extends AdministrationSchema,
    AuditSchema,
    SearchSchema,
    HoldsSchema,
    FactorsSchema,
    UsageSchema,
    SharingSchema,
    RollOutsSchema,
    PolicySchema {
  sightings: SightingsTable
  crops: CropsTable
  quarantine: QuarantineTable
  alerts: AlertsTable
  alert_groups: AlertGroupsTable
  alert_steps: AlertStepsTable
  alert_sightings: AlertSightingsTable
  alert_outcomes: AlertOutcomesTable
  alert_rules: AlertRulesTable
  broker_subscriptions: BrokerSubscriptionsTable
  broker_outgoing: BrokerOutgoingTable
  broker_retained: BrokerRetainedTable
  broker_wills: BrokerWillsTable
  webhooks: WebhooksTable
  webhook_deliveries: WebhookDeliveriesTable
}

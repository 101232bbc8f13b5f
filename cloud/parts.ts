/** All parts of a running cloud, built by main.ts in one place and handed to the API. Types only. */
import type { Clock } from '../shared/clock.ts'
import type { NewId } from '../shared/ids.ts'
import type { Log } from '../shared/log.ts'
import type { CliCodes } from './accounts/cli-codes.ts'
import type { Factors } from './accounts/factors.ts'
import type { Oidc } from './accounts/oidc.ts'
import type { Accounts } from './accounts.ts'
import type { Outcomes } from './alerts/outcomes.ts'
import type { AlertRules } from './alerts/rules.ts'
import type { Alerts } from './alerts.ts'
import type { Audit } from './audit/log.ts'
import type { Witnesses } from './audit/witnesses.ts'
import type { AuthorityWatch } from './authority/watch.ts'
import type { Authority } from './authority.ts'
import type { Broker } from './broker.ts'
import type { Cameras } from './cameras.ts'
import type { Database } from './database/database.ts'
import type { DenialAudit } from './denials.ts'
import type { Enrolment } from './enrolment.ts'
import type { FirstRun } from './first-run.ts'
import type { Fleet } from './fleet.ts'
import type { Holds } from './holds.ts'
import type { ListMappings } from './hotlists/mappings.ts'
import type { Hotlists } from './hotlists.ts'
import type { KeyRotation } from './key-rotation.ts'
import type { Keys } from './keys.ts'
import type { Metrics } from './metrics.ts'
import type { PolicyKeeper } from './policy.ts'
import type { Quarantine } from './quarantine.ts'
import type { Renewals } from './renewals.ts'
import type { Review } from './review.ts'
import type { RollOuts } from './roll-outs.ts'
import type { Search } from './search.ts'
import type { Sharing } from './sharing.ts'
import type { Sightings } from './sightings.ts'
import type { Suppressions } from './suppressions.ts'
import type { Transparency } from './transparency.ts'
import type { Usage } from './usage.ts'
import type { Webhooks } from './webhooks.ts'

export interface CloudParts {
  readonly agency: string
  readonly clock: Clock
  readonly newId: NewId
  readonly log: Log
  readonly database: Database
  readonly authority: Authority
  readonly authorityWatch: AuthorityWatch
  readonly keys: Keys
  readonly keyRotation: KeyRotation
  readonly audit: Audit
  /** Database and signed head, for a verification in a worker. */
  readonly auditFiles: { database: string; head: string }
  readonly witnesses: Witnesses
  readonly accounts: Accounts
  readonly factors: Factors
  readonly cliCodes: CliCodes
  /** null: the agency has no log-in provider. */
  readonly oidc: Oidc | null
  readonly secondFactor: 'required' | 'optional'
  readonly passwordLogin: 'everyone' | 'account-admins'
  readonly denials: DenialAudit
  readonly cameras: Cameras
  readonly enrolment: Enrolment
  readonly fleet: Fleet
  readonly renewals: Renewals
  readonly rollOuts: RollOuts
  readonly hotlists: Hotlists
  readonly listMappings: ListMappings
  readonly suppressions: Suppressions
  readonly policy: PolicyKeeper
  readonly usage: Usage
  readonly review: Review
  readonly transparency: Transparency
  readonly sightings: Sightings
  readonly search: Search
  readonly alerts: Alerts
  readonly holds: Holds
  readonly webhooks: Webhooks
  readonly alertRules: AlertRules
  readonly outcomes: Outcomes
  readonly quarantine: Quarantine
  readonly sharing: Sharing
  readonly broker: Broker
  readonly metrics: Metrics
  /** Where a browser reaches MQTT over TLS, for the camera's configuration. */
  readonly mqttPort: () => number
  readonly firstRun: FirstRun
}

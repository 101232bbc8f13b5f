/** All migrations; a landed one is never edited, a change is a new one. 0001-0009 traffic, 0010 and up people and lists. */
import type { Migration } from '../migrate.ts'
import { sightings } from './0001-sightings.ts'
import { alerts } from './0002-alerts.ts'
import { broker } from './0003-broker.ts'
import { audit } from './0010-audit.ts'
import { accounts } from './0011-accounts.ts'
import { cameras } from './0012-cameras.ts'
import { hotlists } from './0013-hotlists.ts'
import { policies } from './0014-policies.ts'
import { listApprovals } from './0015-list-approvals.ts'
import { suppressions } from './0016-suppressions.ts'
import { listSettings } from './0017-list-settings.ts'
import { listDeltas } from './0020-list-deltas.ts'
import { webhooks } from './0021-webhooks.ts'
import { alertFlow } from './0022-alert-flow.ts'
import { listMappings } from './0024-list-mappings.ts'
import { alertHolders } from './0025-alert-holders.ts'
import { auditTree } from './0030-audit-tree.ts'
import { policyProposals } from './0031-policy-proposals.ts'
import { holds } from './0032-holds.ts'
import { search } from './0033-search.ts'
import { secondFactors } from './0034-second-factors.ts'
import { reviewAndPublication } from './0035-review-and-publication.ts'
import { sharing } from './0036-sharing.ts'
import { auditPurge } from './0037-audit-purge.ts'
import { usagePlatesByNumber } from './0038-usage-plates-by-number.ts'
import { enrolment } from './0039-enrolment.ts'
import { fleet } from './0040-fleet.ts'
import { webhookNotices } from './0041-webhook-notices.ts'
import { rollOuts } from './0043-roll-outs.ts'
import { standingSettings } from './0044-standing-settings.ts'
import { stillRollOuts } from './0045-still-roll-outs.ts'
import { endsTold } from './0046-ends-told.ts'
import { renewedCertificates } from './0047-renewed-certificates.ts'
import { servedAndResumed } from './0048-served-and-resumed.ts'
import { reopenedTurns } from './0050-reopened-turns.ts'
import { pastVersions } from './0051-past-versions.ts'
import { toldLosses } from './0052-told-losses.ts'

export const MIGRATIONS: readonly Migration[] = [
  sightings,
  alerts,
  broker,
  audit,
  accounts,
  cameras,
  hotlists,
  policies,
  listApprovals,
  suppressions,
  listSettings,
  listDeltas,
  webhooks,
  alertFlow,
  listMappings,
  alertHolders,
  auditTree,
  policyProposals,
  holds,
  search,
  secondFactors,
  reviewAndPublication,
  sharing,
  auditPurge,
  usagePlatesByNumber,
  enrolment,
  fleet,
  webhookNotices,
  rollOuts,
  standingSettings,
  stillRollOuts,
  endsTold,
  renewedCertificates,
  servedAndResumed,
  reopenedTurns,
  pastVersions,
  toldLosses,
]

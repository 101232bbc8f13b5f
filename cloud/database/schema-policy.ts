/** The tables of the policy as Kysely sees them; part of schema.ts. */
import type { Generated } from 'kysely'

/** Owner: policy.ts. `issued_by` proposed it, `approved_by` is the second person; null: none was asked for. */
export interface PoliciesTable {
  version: number
  envelope: string
  issued_at_ms: number
  issued_by: string | null
  approved_by: string | null
}

/** Owner: policy/proposals.ts. `document`: the policy that it would make. */
export interface PolicyProposalsTable {
  number: number
  basis_version: number
  document: string
  state: string
  reason: string | null
  proposed_at_ms: number
  proposed_by: string
  expires_at_ms: number
  decided_at_ms: number | null
  decided_by: string | null
}

export interface PolicySchema {
  policies: PoliciesTable
  policy_proposals: Omit<PolicyProposalsTable, 'number'> & { number: Generated<number> }
}

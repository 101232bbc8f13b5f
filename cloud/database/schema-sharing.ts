/** The tables of sharing between agencies as Kysely sees them; part of schema.ts. Owner of all: sharing.ts. */

/** `fingerprint`: SHA-256, hex, of the public key of the partner's authority. `url` null: it cannot be asked. */
export interface PartnersTable {
  partner: string
  name: string
  jurisdiction: string
  url: string | null
  ca_pem: string
  fingerprint: string
  added_at_ms: number
  added_by: string
  revoked_at_ms: number | null
  revoked_by: string | null
}

/** `purposes` and `cameras` are JSON arrays; state: proposed, active, rejected or revoked. */
export interface GrantsTable {
  grant_id: string
  partner: string
  purposes: string
  what: string
  cameras: string
  max_age_days: number
  from_ms: number
  until_ms: number
  crops: 0 | 1
  patterns: 0 | 1
  state: string
  made_at_ms: number
  made_by: string
  decided_at_ms: number | null
  decided_by: string | null
  revoked_at_ms: number | null
  revoked_by: string | null
}

/** One row a search that crossed the border, without anything of what was asked; direction: asked (by us) or answered (by us). */
export interface SharedSearchesTable {
  partner: string
  direction: string
  request_id: string
  own_seq: number | null
  their_seq: number | null
  at_ms: number
  outcome: string
  results: number | null
}

export interface SharingSchema {
  partners: PartnersTable
  grants: GrantsTable
  shared_searches: SharedSearchesTable
}

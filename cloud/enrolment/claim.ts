/** A claim as the parts of the cloud see it, and as its row says it. The code is in neither. Used by enrolment.ts. */
import { shortFingerprint } from '../../shared/certificate-request.ts'
import type { CameraClaimsTable } from '../database/schema-administration.ts'

export const CLAIM_STATES = ['waiting', 'asked', 'approved', 'rejected', 'revoked', 'expired'] as const
export type ClaimState = (typeof CLAIM_STATES)[number]

export interface Claim {
  claimId: string
  camera: string
  site: string | null
  replaces: boolean
  state: ClaimState
  madeAtMs: number
  madeBy: string
  expiresAtMs: number
  /** Of the key that used it; null: none has. */
  keySha256: string | null
  csrPem: string | null
  fingerprint: string | null
  askedAtMs: number | null
  /** Address that it was first used from. */
  source: string | null
  decidedAtMs: number | null
  decidedBy: string | null
  /** When the unit first fetched its certificate. */
  fetchedAtMs: number | null
  /** Times that another key has tried it. */
  misuses: number
  misusedAtMs: number | null
  alarm: boolean
}

export function toClaim(row: CameraClaimsTable): Claim {
  return {
    claimId: row.claim_id,
    camera: row.camera_id,
    site: row.site,
    replaces: row.replaces === 1,
    state: row.state as ClaimState,
    madeAtMs: row.made_at_ms,
    madeBy: row.made_by,
    expiresAtMs: row.expires_at_ms,
    keySha256: row.key_sha256,
    csrPem: row.csr_pem,
    fingerprint: row.key_sha256 === null ? null : shortFingerprint(row.key_sha256),
    askedAtMs: row.asked_at_ms,
    source: row.source,
    decidedAtMs: row.decided_at_ms,
    decidedBy: row.decided_by,
    fetchedAtMs: row.fetched_at_ms,
    misuses: row.misuses,
    misusedAtMs: row.misused_at_ms,
    alarm: row.alarm === 1,
  }
}

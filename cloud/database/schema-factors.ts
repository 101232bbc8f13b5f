/** The tables of second factors as Kysely sees them; part of schema.ts. Their owner is accounts.ts. */

/** `last_step`: of the last code that was taken; that code and earlier ones are void. */
export interface TotpSecretsTable {
  account: string
  sealed: Buffer
  last_step: number
  added_at_ms: number
}

/** `public_key` is COSE, `transports` a JSON array. */
export interface SecurityKeysTable {
  credential_id: string
  account: string
  name: string
  public_key: Buffer
  counter: number
  transports: string
  added_at_ms: number
  used_at_ms: number | null
}

/** Unused ones; a used one is deleted. */
export interface RecoveryCodesTable {
  account: string
  digest: string
}

/** Who the agency's provider means by this account, from the first log-in by it on. */
export interface OidcSubjectsTable {
  account: string
  issuer: string
  subject: string
  linked_at_ms: number
}

export interface FactorsSchema {
  totp_secrets: TotpSecretsTable
  security_keys: SecurityKeysTable
  recovery_codes: RecoveryCodesTable
  oidc_subjects: OidcSubjectsTable
}

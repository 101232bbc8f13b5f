/**
 * Second factors: an authenticator app, security keys, and recovery codes for when both are lost. Called by accounts.ts (at log-in)
 * and by the API. Writes totp_secrets, security_keys and recovery_codes, which accounts.ts owns; who calls it writes the audit.
 */
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'
import type { Database } from '../database/database.ts'
import { createPending } from './pending.ts'
import { openSecret, sealSecret } from './sealed-secret.ts'
import { createSecurityKeys, type KeyDocument, type SecurityKey } from './security-keys.ts'
import { describeTotp, stepOfCode, TOTP_SECRET_BYTES } from './totp.ts'

export const RECOVERY_CODES = 10
/** 80 bits: cannot be guessed, so that a plain digest keeps it. */
const RECOVERY_CODE_BYTES = 10
/** From showing the secret to the first code of the app. */
export const TOTP_ENROLMENT_MS = 10 * MINUTE_MS
/** Enrolments that wait, one an account. */
const MAX_ENROLMENTS = 10_000

/** What a log-in was proved by besides the password. `oidc`: whatever the agency's own provider asked for. */
export const FACTORS = ['totp', 'key', 'recovery', 'oidc'] as const
export type Factor = (typeof FACTORS)[number]

/** `code`: of the app, or a recovery code. `key`: a security key's answer to `startAsking`. */
export type Proof = { code: string } | { key: KeyDocument }

export interface FactorSummary {
  totp: { addedAtMs: number } | null
  keys: SecurityKey[]
  recoveryCodesLeft: number
}

export interface FactorsDeps {
  database: Database
  clock: Clock
  newSecret: (byteCount: number) => string
  /** AES-256, of a file outside the database. */
  key: Buffer
  agency: string
  /** As browsers reach the page, `https://HOST:PORT`. */
  pageOrigin: () => string
}

export type Factors = ReturnType<typeof createFactors>

/** A secret to be typed by a person: groups of four hexadecimal digits. */
export function readableSecret(newSecret: (byteCount: number) => string, byteCount: number): string {
  const digits = Buffer.from(newSecret(byteCount), 'base64url').toString('hex')
  return (digits.match(/.{1,4}/g) ?? []).join('-')
}

/** As it was made, however it was typed. */
export function normaliseReadable(text: string): string {
  const digits = text.toLowerCase().replace(/[^0-9a-f]/g, '')
  return (digits.match(/.{1,4}/g) ?? []).join('-')
}

export function createFactors(deps: FactorsDeps) {
  const { database, clock, newSecret, key, agency } = deps
  const { build } = database
  const securityKeys = createSecurityKeys(deps)
  const enrolling = createPending<Buffer>(clock, TOTP_ENROLMENT_MS, MAX_ENROLMENTS)

  async function totpRow(account: string) {
    const [row] = await database.read(build.selectFrom('totp_secrets').selectAll().where('account', '=', account))
    return row ?? null
  }

  async function recoveryCodesLeft(account: string): Promise<number> {
    const rows = await database.read(build.selectFrom('recovery_codes').select('digest').where('account', '=', account))
    return rows.length
  }

  async function summary(account: string): Promise<FactorSummary> {
    const totp = await totpRow(account)
    return {
      totp: totp === null ? null : { addedAtMs: totp.added_at_ms },
      keys: await securityKeys.list(account),
      recoveryCodesLeft: await recoveryCodesLeft(account),
    }
  }

  async function has(account: string): Promise<boolean> {
    const { totp, keys } = await summary(account)
    return totp !== null || keys.length > 0
  }

  /** New ones in the place of all old ones; shown once, kept as digests. */
  async function newRecoveryCodes(account: string): Promise<string[]> {
    const codes = Array.from({ length: RECOVERY_CODES }, () => readableSecret(newSecret, RECOVERY_CODE_BYTES))
    await database.writeBatch([
      build.deleteFrom('recovery_codes').where('account', '=', account),
      build.insertInto('recovery_codes').values(codes.map((code) => ({ account, digest: sha256Hex(code) }))),
    ])
    return codes
  }

  /** With the first factor come the recovery codes; with a further one the old ones stay. */
  async function recoveryCodesIfNone(account: string): Promise<string[] | null> {
    return (await recoveryCodesLeft(account)) > 0 ? null : newRecoveryCodes(account)
  }

  async function checkCode(account: string, code: string): Promise<Factor | null> {
    const digits = code.replace(/\s/g, '')
    if (!/^\d{6}$/.test(digits)) {
      const [used] = await database.writeBatch([
        build
          .deleteFrom('recovery_codes')
          .where('account', '=', account)
          .where('digest', '=', sha256Hex(normaliseReadable(code))),
      ])
      return used?.changes === 1 ? 'recovery' : null
    }
    const row = await totpRow(account)
    if (row === null) return null
    const step = stepOfCode(openSecret(key, account, row.sealed), digits, clock.nowMs())
    if (step === null) return null
    // One statement decides, so that one code opens one session [RFC 6238, 5.2].
    const [taken] = await database.writeBatch([
      build
        .updateTable('totp_secrets')
        .set({ last_step: step })
        .where('account', '=', account)
        .where('last_step', '<', step),
    ])
    return taken?.changes === 1 ? 'totp' : null
  }

  /** Does the account belong to a subject of the agency's provider? */
  async function isProvided(account: string): Promise<boolean> {
    const query = build.selectFrom('oidc_subjects').select('subject').where('account', '=', account)
    return (await database.read(query)).length > 0
  }

  return {
    summary,
    has,
    isProvided,
    newRecoveryCodes,
    startRegisteringKey: securityKeys.startRegistering,
    startAskingKey: securityKeys.startAsking,

    /** Which factor `proof` is, used up by this; null: it proves nothing. */
    async check(account: string, proof: Proof): Promise<Factor | null> {
      if ('code' in proof) return checkCode(account, proof.code)
      return (await securityKeys.check(account, proof.key)) ? 'key' : null
    },

    /** A new secret that counts from `confirmTotp` on; one that is in use stays until then. */
    startTotp(account: string): { secret: string; uri: string } {
      const secret = Buffer.from(newSecret(TOTP_SECRET_BYTES), 'base64url')
      enrolling.put(account, secret)
      return describeTotp(secret, account, `Candor ${agency}`)
    },

    /** Returns recovery codes when the account has none. Throws `conflict` without a start, `bad_input` for a wrong code. */
    async confirmTotp(account: string, code: string): Promise<string[] | null> {
      const secret = enrolling.see(account)
      if (secret === null) {
        throw new AppError('conflict', 'no authenticator app is being added, or it took too long', {
          hint: 'start again for a new secret',
        })
      }
      const step = stepOfCode(secret, code.replace(/\s/g, ''), clock.nowMs())
      if (step === null) {
        throw new AppError('bad_input', 'the code is not right', {
          hint: 'compare the clocks, and type the newest code',
        })
      }
      enrolling.take(account)
      const row = {
        account,
        sealed: sealSecret(key, account, secret, newSecret),
        last_step: step,
        added_at_ms: clock.nowMs(),
      }
      await database.writeBatch([
        build
          .insertInto('totp_secrets')
          .values(row)
          .onConflict((conflict) => conflict.column('account').doUpdateSet(row)),
      ])
      return recoveryCodesIfNone(account)
    },

    async registerKey(account: string, name: string, response: KeyDocument): Promise<string[] | null> {
      await securityKeys.register(account, name, response)
      return recoveryCodesIfNone(account)
    },

    /**
     * Removes the app (`key` null) or one security key. `mayBeLast`: the account may be left without any; recovery codes go with
     * the last. Throws `not_found`, `conflict`.
     */
    async remove(account: string, name: string | null, mayBeLast: boolean): Promise<void> {
      const { totp, keys } = await summary(account)
      const isThere = name === null ? totp !== null : keys.some((one) => one.name === name)
      if (!isThere) throw new AppError('not_found', 'the account has no such second factor')
      const isLast = keys.length + (totp === null ? 0 : 1) === 1
      if (isLast && !mayBeLast) {
        throw new AppError('conflict', 'the last second factor cannot be removed', { hint: 'add another one first' })
      }
      await database.writeBatch([
        name === null
          ? build.deleteFrom('totp_secrets').where('account', '=', account)
          : build.deleteFrom('security_keys').where('account', '=', account).where('name', '=', name),
        ...(isLast ? [build.deleteFrom('recovery_codes').where('account', '=', account)] : []),
      ])
    },

    /** As if the account never had any, for who has lost them. */
    async removeAll(account: string): Promise<void> {
      await database.writeBatch([
        build.deleteFrom('totp_secrets').where('account', '=', account),
        build.deleteFrom('security_keys').where('account', '=', account),
        build.deleteFrom('recovery_codes').where('account', '=', account),
        build.deleteFrom('oidc_subjects').where('account', '=', account),
      ])
    },
  }
}

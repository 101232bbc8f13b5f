/**
 * Codes of authenticator apps [RFC 6238]: SHA-1, 6 digits, 30 seconds, what every app understands. The only importer of
 * otpauth; called by factors.ts.
 */
import { Secret, TOTP } from 'otpauth'
import { SECOND_MS } from '../../shared/clock.ts'

/** 160 bits [RFC 4226, 4, R6]. */
export const TOTP_SECRET_BYTES = 20
export const TOTP_PERIOD_MS = 30 * SECOND_MS
/** A code is taken one step early or late: clocks differ, and people type [RFC 6238, 5.2]. */
export const TOTP_WINDOW_STEPS = 1
const DIGITS = 6

function totpOf(secret: Uint8Array): TOTP {
  // A copy in a buffer of its own: the package keeps the whole buffer that an array lies in.
  return new TOTP({ secret: new Secret({ buffer: new Uint8Array(secret).buffer }), digits: DIGITS, period: 30 })
}

/** The secret for typing, base32, and for scanning, an `otpauth:` address. */
export function describeTotp(secret: Uint8Array, account: string, issuer: string): { secret: string; uri: string } {
  const totp = totpOf(secret)
  totp.issuer = issuer
  totp.label = account
  return { secret: totp.secret.base32, uri: totp.toString() }
}

/** The time step that `code` belongs to, within the window around `nowMs`; null: none. Compared in constant time by the package. */
export function stepOfCode(secret: Uint8Array, code: string, nowMs: number): number | null {
  if (!/^\d{6}$/.test(code)) return null
  const offset = totpOf(secret).validate({ token: code, timestamp: nowMs, window: TOTP_WINDOW_STEPS })
  return offset === null ? null : Math.floor(nowMs / TOTP_PERIOD_MS) + offset
}

/** The code of a secret in base32 at a time: what an app shows. */
export function codeAt(secretBase32: string, nowMs: number): string {
  return new TOTP({ secret: Secret.fromBase32(secretBase32), digits: DIGITS, period: 30 }).generate({
    timestamp: nowMs,
  })
}

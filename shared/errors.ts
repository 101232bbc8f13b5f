/**
 * The one error type of the project. A foreign error is translated where the package that throws it is imported;
 * everything else throws or returns AppError, so that a caller decides by `code` and never by message.
 */

/** Closed set of codes. Only `unavailable` is worth retrying. */
export const ERROR_CODES = [
  'bad_input', // what came in can never be valid
  'too_large', // a named limit was passed
  'unauthenticated', // we do not know who asks
  'second_factor_required', // the password is right, the second factor is still to be shown
  'forbidden', // we know who asks, and they may not
  'not_found',
  'conflict', // the state has moved on, or the same key has other content
  'configuration', // the operator must change something; exit code 78
  'storage_full', // no space left on the device, or a budget is used up
  'integrity', // a signature, digest or chain does not verify
  'unavailable', // may work later: link down, child restarting, table locked
  'internal', // a programmer's error
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export class AppError extends Error {
  readonly code: ErrorCode
  /** What the person who sees this should do; shown after the message. */
  readonly hint: string | null

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.hint = options.hint ?? null
  }
}

/** Exit codes of every command [sysexits(3): 78 is EX_CONFIG; systemd is told not to restart on it]. */
export const EXIT = { done: 0, failed: 1, usage: 2, configuration: 78 } as const

/** HTTP status of each code; the only such mapping. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_input: 400,
  too_large: 413,
  unauthenticated: 401,
  second_factor_required: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  configuration: 500,
  storage_full: 507,
  integrity: 500,
  unavailable: 503,
  internal: 500,
}

/** Any thrown value as AppError: an AppError is returned as it is, everything else becomes `internal` with its cause. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  const code = systemCode(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === 'ENOSPC' || code === 'EDQUOT') return new AppError('storage_full', message, { cause: thrown })
  if (code === 'ENOENT') return new AppError('not_found', message, { cause: thrown })
  return new AppError('internal', message, { cause: thrown })
}

/** The `code` of a Node.js or SQLite error, or null. */
export function systemCode(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null
  return typeof thrown.code === 'string' ? thrown.code : null
}

/** One line for a person: message, then the hint. */
export function describeError(thrown: unknown): string {
  const error = toAppError(thrown)
  return error.hint === null ? error.message : `${error.message}\n  ${error.hint}`
}

/**
 * One-time codes by which a session on the page opens one in a terminal: for accounts that log in by security key or by the
 * agency's provider, which a terminal cannot ask for. Called by the API.
 */
import { type Clock, MINUTE_MS } from '../../shared/clock.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { normaliseReadable, readableSecret } from './factors.ts'
import { createPending } from './pending.ts'
import type { Session } from './sessions.ts'

export const CLI_CODE_MS = 2 * MINUTE_MS
/** 80 bits, 20 digits to copy. */
const CLI_CODE_BYTES = 10
/** Codes that wait; beyond that the oldest is void. */
export const MAX_CLI_CODES = 1_000

export interface CliCodes {
  make(session: Session): { code: string; expiresAtMs: number }
  /** Once. null: no such code for this account, or its time is over. */
  take(account: string, code: string): { sessionId: string } | null
}

export function createCliCodes(deps: { clock: Clock; newSecret: (byteCount: number) => string }): CliCodes {
  const waiting = createPending<{ account: string; sessionId: string }>(deps.clock, CLI_CODE_MS, MAX_CLI_CODES)
  return {
    make({ account, sessionId }) {
      const code = readableSecret(deps.newSecret, CLI_CODE_BYTES)
      waiting.put(sha256Hex(code), { account, sessionId })
      return { code, expiresAtMs: deps.clock.nowMs() + CLI_CODE_MS }
    },
    take(account, code) {
      const found = waiting.take(sha256Hex(normaliseReadable(code)))
      return found !== null && found.account === account ? { sessionId: found.sessionId } : null
    },
  }
}

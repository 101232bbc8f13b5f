/**
 * Who may use the set-up page: whoever knows the code that the unit's console shows, once, and one at a time. Time is only looked at when
 * something is asked, and by `tick`. Owns the code and the session, both in memory alone. Called by the routes and by main.ts.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { CODE_CHARACTERS, LOGIN_PAUSE_MS, MAX_CODE_CHARACTERS, SESSION_IDLE_MS, TRIES } from './limits.ts'

/** Crockford's base 32, as in claims: no character is taken for another. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const SESSION_BYTES = 32

export type LoginAnswer =
  | { token: string }
  /** `triesLeft` with this code. */
  | { refused: 'wrong'; triesLeft: number }
  | { refused: 'pause'; retryInMs: number }
  /** Somebody else is logged in. */
  | { refused: 'busy' }

export interface Access {
  logIn(typed: string): LoginAnswer
  /** Whether this is the session that is open. */
  holds(token: string | null): boolean
  /** Somebody has done something on the page. */
  touch(): void
  logOut(): void
  /** Until the open session ends for want of use, milliseconds; null: nobody is logged in. */
  idleLeftMs(): number | null
  /** Since anybody last used the page, milliseconds. */
  unusedMs(): number
  /** Ends a session that nobody uses. */
  tick(): void
}

export interface AccessDeps {
  clock: Pick<Clock, 'monotonicMs'>
  /** base64url of so many random bytes. */
  newSecret(byteCount: number): string
  /** From a file; null: one is made. */
  firstCode: string | null
  /** A code holds from now on; null: none does, since somebody is logged in. */
  onCode(code: string | null): void
  /** The first code has been used. */
  onFirstUsed(): void
}

/** The characters that count, or null for what can be no code. */
export function bareCode(typed: string): string | null {
  if (typed.length > 4 * MAX_CODE_CHARACTERS) return null
  const bare = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  const fits = bare.length >= CODE_CHARACTERS && bare.length <= MAX_CODE_CHARACTERS
  return fits && [...bare].every((character) => ALPHABET.includes(character)) ? bare : null
}

/** `newSecret`: base64url of so many random bytes. */
export function newCode(newSecret: (byteCount: number) => string): string {
  const bytes = Buffer.from(newSecret(CODE_CHARACTERS), 'base64url')
  return [...bytes].map((byte) => ALPHABET.charAt(byte & 31)).join('')
}

/** In groups of four. */
export const shownCode = (bare: string): string => (bare.match(/.{1,4}/g) ?? []).join('-')

export const codeDigest = (bare: string): string => createHash('sha256').update(`candor set-up ${bare}`).digest('hex')

const isSame = (one: string, other: string) => {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

export function createAccess({ clock, newSecret, firstCode, onCode, onFirstUsed }: AccessDeps): Access {
  let code: string | null = null
  let isFirst = false
  let triesLeft = TRIES
  let pauseMs: number = LOGIN_PAUSE_MS.first
  let pausedUntilMs = Number.NEGATIVE_INFINITY
  let session: { token: string; usedAtMs: number } | null = null
  let usedAtMs = clock.monotonicMs()

  function renew(next: string | null): void {
    isFirst = next !== null
    code = next ?? newCode(newSecret)
    triesLeft = TRIES
    onCode(shownCode(code))
  }

  function end(): void {
    session = null
    renew(null)
  }

  /** The open session, unless its time is over. */
  function current(): typeof session {
    if (session !== null && clock.monotonicMs() - session.usedAtMs >= SESSION_IDLE_MS) end()
    return session
  }

  function logIn(typed: string): LoginAnswer {
    if (current() !== null || code === null) return { refused: 'busy' }
    const nowMs = clock.monotonicMs()
    if (nowMs < pausedUntilMs) return { refused: 'pause', retryInMs: Math.ceil(pausedUntilMs - nowMs) }
    const bare = bareCode(typed)
    if (bare === null || !isSame(bare, code)) {
      triesLeft -= 1
      if (triesLeft > 0) return { refused: 'wrong', triesLeft }
      pausedUntilMs = nowMs + pauseMs
      const retryInMs = pauseMs
      pauseMs = Math.min(LOGIN_PAUSE_MS.most, 2 * pauseMs)
      renew(null)
      return { refused: 'pause', retryInMs }
    }
    if (isFirst) onFirstUsed()
    code = null
    pauseMs = LOGIN_PAUSE_MS.first
    session = { token: newSecret(SESSION_BYTES), usedAtMs: nowMs }
    usedAtMs = nowMs
    onCode(null)
    return { token: session.token }
  }

  renew(firstCode)
  return {
    logIn,
    holds(token) {
      const open = current()
      return open !== null && token !== null && isSame(token, open.token)
    },
    touch() {
      usedAtMs = clock.monotonicMs()
      if (session !== null) session.usedAtMs = usedAtMs
    },
    logOut() {
      if (session !== null) end()
    },
    idleLeftMs() {
      const open = current()
      return open === null ? null : Math.max(0, open.usedAtMs + SESSION_IDLE_MS - clock.monotonicMs())
    },
    unusedMs: () => clock.monotonicMs() - usedAtMs,
    tick: () => void current(),
  }
}

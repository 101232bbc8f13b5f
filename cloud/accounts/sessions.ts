/**
 * Sessions: opened by a log-in, found by a token of which only the digest is kept, renewed, and ended by log-out, by time or by an
 * administrator. Writes the tables that accounts.ts owns, and is called by it alone.
 */
import { type Clock, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'
import type { Database } from '../database/database.ts'
import type { Role } from '../permissions.ts'
import { FACTORS, type Factor } from './factors.ts'
import { parseRoles } from './rights.ts'

/** A session ends when unused for this long [CJIS 5.9.5, AC-11: 30 minutes]. */
export const SESSION_IDLE_MS = 30 * MINUTE_MS
/** And in any case after a shift. */
export const SESSION_ABSOLUTE_MS = 12 * HOUR_MS
/** 256 bits: cannot be guessed. */
export const TOKEN_BYTES = 32
/** A further log-in ends the account's oldest session. */
export const MAX_SESSIONS_PER_ACCOUNT = 16
/** Sessions ended in one step; those beyond are refused all the same, and end in the next. */
export const MAX_ENDED_AT_ONCE = 200
/** Use is written down at most this often, so that a page that polls is not a write each time. */
const USED_RESOLUTION_MS = MINUTE_MS

export interface Session {
  sessionId: string
  account: string
  roles: readonly Role[]
  groups: readonly string[]
  /** What the log-in was proved by besides the password; null: nothing. */
  factor: Factor | null
  /** A second factor is required and the account has none: nothing but adding one is let through, and MQTT not at all. */
  mustEnrol: boolean
  /** The earlier of idle and absolute end; idle moves on with use. */
  expiresAtMs: number
}

/** A session ended before its client left; `sessionId` null: all of the account. */
export interface SessionEnd {
  account: string
  sessionId: string | null
}

interface Opened {
  token: string
  session: Session
}

export interface LoginSessionsDeps {
  database: Database
  clock: Clock
  newId: () => string
  newSecret: (byteCount: number) => string
  secondFactor: 'required' | 'optional'
}

export type LoginSessions = ReturnType<typeof createLoginSessions>

export function createLoginSessions(deps: LoginSessionsDeps) {
  const { database, clock } = deps
  const { build } = database
  const listeners: ((end: SessionEnd) => void)[] = []

  function tellEnded(end: SessionEnd): void {
    for (const listener of listeners) listener(end)
  }

  /** After a log-in, which forgives the failed ones before it. */
  async function open(account: string, source: string, factor: Factor | null): Promise<Opened> {
    const nowMs = clock.nowMs()
    const token = deps.newSecret(TOKEN_BYTES)
    await database.writeBatch([
      build.deleteFrom('login_failures').where('account', '=', account),
      build.insertInto('sessions').values({
        session_id: deps.newId(),
        token_digest: sha256Hex(token),
        account,
        source,
        created_at_ms: nowMs,
        used_at_ms: nowMs,
        factor,
      }),
    ])
    return found(account, token)
  }

  /** By another session of the account, which must be open: of the same factor and with the same absolute end. null: it is not. */
  async function openBeside(account: string, source: string, sessionId: string): Promise<Opened | null> {
    const nowMs = clock.nowMs()
    const token = deps.newSecret(TOKEN_BYTES)
    const [result] = await database.writeBatch([
      build
        .insertInto('sessions')
        .columns(['session_id', 'token_digest', 'account', 'source', 'created_at_ms', 'used_at_ms', 'factor'])
        // One statement decides and inserts, so that what ends the one meanwhile leaves no other behind.
        .expression(
          build
            .selectFrom('sessions')
            .select((eb) => [
              eb.val(deps.newId()).as('session_id'),
              eb.val(sha256Hex(token)).as('token_digest'),
              'account',
              eb.val(source).as('source'),
              'created_at_ms',
              eb.val(nowMs).as('used_at_ms'),
              'factor',
            ])
            .where('session_id', '=', sessionId)
            .where('account', '=', account)
            .where('used_at_ms', '>', nowMs - SESSION_IDLE_MS)
            .where('created_at_ms', '>', nowMs - SESSION_ABSOLUTE_MS),
        ),
    ])
    return result?.changes === 1 ? found(account, token) : null
  }

  /** The session that was just opened; the account's oldest beyond the limit end. */
  async function found(account: string, token: string): Promise<Opened> {
    const old = await database.read(
      build
        .selectFrom('sessions')
        .select('session_id')
        .where('account', '=', account)
        .where('token_digest', '!=', sha256Hex(token))
        .orderBy('created_at_ms', 'desc')
        .offset(MAX_SESSIONS_PER_ACCOUNT - 1)
        .limit(MAX_SESSIONS_PER_ACCOUNT),
    )
    await database.writeBatch(old.map((row) => build.deleteFrom('sessions').where('session_id', '=', row.session_id)))
    for (const row of old) tellEnded({ account, sessionId: row.session_id })
    const session = await find(token)
    if (session === null) throw new AppError('unauthenticated', 'the account was disabled meanwhile')
    return { token, session }
  }

  async function find(token: string): Promise<Session | null> {
    const nowMs = clock.nowMs()
    const [row] = await database.read(
      build
        .selectFrom('sessions')
        .innerJoin('accounts', 'accounts.account', 'sessions.account')
        .select([
          'sessions.session_id',
          'sessions.created_at_ms',
          'sessions.used_at_ms',
          'sessions.factor',
          'accounts.account',
          'accounts.roles',
          'accounts.alert_groups',
        ])
        .where('sessions.token_digest', '=', sha256Hex(token))
        .where('accounts.disabled_at_ms', 'is', null),
    )
    if (row === undefined) return null
    if (nowMs >= Math.min(row.used_at_ms + SESSION_IDLE_MS, row.created_at_ms + SESSION_ABSOLUTE_MS)) {
      await end(row.account, row.session_id)
      return null
    }
    if (nowMs - row.used_at_ms >= USED_RESOLUTION_MS) {
      await database.writeBatch([
        build.updateTable('sessions').set({ used_at_ms: nowMs }).where('session_id', '=', row.session_id),
      ])
    }
    const factor = FACTORS.find((one) => one === row.factor) ?? null
    return {
      sessionId: row.session_id,
      account: row.account,
      roles: parseRoles(row.roles),
      groups: JSON.parse(row.alert_groups) as string[],
      factor,
      mustEnrol: factor === null && deps.secondFactor === 'required',
      expiresAtMs: Math.min(nowMs + SESSION_IDLE_MS, row.created_at_ms + SESSION_ABSOLUTE_MS),
    }
  }

  async function end(account: string, sessionId: string | null): Promise<void> {
    let query = build.deleteFrom('sessions').where('account', '=', account)
    if (sessionId !== null) query = query.where('session_id', '=', sessionId)
    await database.writeBatch([query])
    tellEnded({ account, sessionId })
  }

  return {
    open,
    openBeside,
    find,
    end,
    tellEnded,
    /** The session has just shown this factor; null: it is proved by the password alone from now on. */
    async prove(sessionId: string, factor: Factor | null): Promise<void> {
      await database.writeBatch([build.updateTable('sessions').set({ factor }).where('session_id', '=', sessionId)])
    },
    async renew(token: string): Promise<{ token: string; session: Session }> {
      const session = await find(token)
      const next = deps.newSecret(TOKEN_BYTES)
      const nowMs = clock.nowMs()
      const [result] =
        session === null
          ? []
          : await database.writeBatch([
              build
                .updateTable('sessions')
                .set({ token_digest: sha256Hex(next), used_at_ms: nowMs })
                .where('session_id', '=', session.sessionId)
                .where('token_digest', '=', sha256Hex(token)),
            ])
      if (session === null || result?.changes !== 1) throw new AppError('unauthenticated', 'the session has ended')
      return { token: next, session }
    },
    async areOpen(sessionIds: ReadonlySet<string>): Promise<Set<string>> {
      if (sessionIds.size === 0) return new Set()
      const rows = await database.read(
        build
          .selectFrom('sessions')
          .select('session_id')
          .where('session_id', 'in', [...sessionIds]),
      )
      return new Set(rows.map((row) => row.session_id))
    },
    async endExpired(): Promise<number> {
      const nowMs = clock.nowMs()
      const rows = await database.read(
        build
          .selectFrom('sessions')
          .select(['account', 'session_id'])
          .where((where) =>
            where.or([
              where('used_at_ms', '<=', nowMs - SESSION_IDLE_MS),
              where('created_at_ms', '<=', nowMs - SESSION_ABSOLUTE_MS),
            ]),
          )
          .limit(MAX_ENDED_AT_ONCE),
      )
      await database.writeBatch(
        rows.map((row) => build.deleteFrom('sessions').where('session_id', '=', row.session_id)),
      )
      for (const row of rows) tellEnded({ account: row.account, sessionId: row.session_id })
      return rows.length
    },
    onEnded(listener: (end: SessionEnd) => void): void {
      listeners.push(listener)
    },
  }
}

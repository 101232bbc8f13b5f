/**
 * People's accounts and sessions: log-in with lock-out and second factor, short-lived tokens kept only as digests, and the one
 * first-run set-up. Called by the API, the broker (authenticate, onEnded) and commands on the host. Owns tables accounts,
 * login_failures, sessions and those of second factors. It decides; who calls it writes the audit.
 */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { slugSchema } from '../shared/names.ts'
import type { Factor, Factors, Proof } from './accounts/factors.ts'
import { checkRights, parseRoles, type Rights, storedRights } from './accounts/rights.ts'
import { createLoginSessions, type Session, type SessionEnd } from './accounts/sessions.ts'
import type { Database } from './database/database.ts'
import type { AccountsTable } from './database/schema-administration.ts'
import { checkPassword, createPasswords } from './passwords.ts'
import { FIRST_ADMINISTRATOR_ROLES, may, type Role } from './permissions.ts'

/** 5 failures in 15 minutes lock until an administrator acts [CJIS 5.9.5, AC-7]. */
export const MAX_LOGIN_FAILURES = 5
export const LOGIN_FAILURE_WINDOW_MS = 15 * MINUTE_MS
export const MAX_ACCOUNTS = 10_000
/** Log-ins to one account that wait for each other; beyond that they are refused. */
export const MAX_WAITING_LOGINS = 16
export interface Account {
  account: string
  roles: readonly Role[]
  groups: readonly string[]
  state: 'active' | 'locked' | 'disabled'
  createdAtMs: number
  createdBy: string | null
  passwordChangedAtMs: number
}

/** Why a log-in failed: for the audit. The person is told the same for all of them. */
export type LoginRefusal =
  | 'unknown_account'
  | 'wrong_password'
  | 'account_disabled'
  | 'account_locked'
  /** The agency lets this account in by its own provider only. */
  | 'password_login_off'
  /** The password is right, and the account has a second factor that was not shown: told to the person. */
  | 'second_factor_missing'
  | 'wrong_second_factor'
  /** The password is right, and the second factor of the account is the provider's: told to the person. */
  | 'provider_needed'
  /** The session by which this one should have been opened is no more. */
  | 'session_ended'

export type LoginResult =
  | { ok: true; token: string; session: Session }
  | { ok: false; rule: LoginRefusal; locked: boolean }

export interface Accounts {
  /** `proof`: the second factor, where the account has one. A wrong one counts as a failed log-in, as a wrong password does. */
  login(attempt: { account: string; password: string; proof?: Proof; source: string }): Promise<LoginResult>
  /** The first half of a log-in: null when the password is right and the account open. Throws `unavailable`. */
  checkPassword(account: string, password: string): Promise<{ rule: LoginRefusal; locked: boolean } | null>
  /** A session for who has been identified elsewhere: by the agency's provider, or in the session `sessionId`, which it ends with. */
  admit(
    who: { account: string; source: string } & ({ factor: Factor | null } | { sessionId: string }),
  ): Promise<LoginResult>
  /** The session of a token, or null for one that is unknown, ended or of a disabled account. Counts as use. */
  authenticate(token: string): Promise<Session | null>
  /** A new token for the same session; the old one is void at once. Throws `unauthenticated`. */
  renew(token: string): Promise<{ token: string; session: Session }>
  logout(session: Session): Promise<void>
  /** Ends sessions that ran out; called once a minute by the cloud's retention loop. Returns how many. */
  endExpired(): Promise<number>
  onEnded(listener: (end: SessionEnd) => void): void
  /** Those of these sessions that have not ended, also by a command on the host, of which `onEnded` does not tell. */
  areOpen(sessionIds: ReadonlySet<string>): Promise<Set<string>>

  isEmpty(): Promise<boolean>
  /** Makes the first administrator. Throws `conflict` when any account exists, also under two calls at once. */
  addFirst(first: { account: string; password: string }): Promise<Account>
  add(account: { account: string; password: string; by: string } & Rights): Promise<Account>
  list(): Promise<Account[]>
  /** null: there is no such account. */
  find(account: string): Promise<Account | null>
  /** Throws `forbidden` for one's own account: nobody gives rights to themselves. Ends the account's sessions. */
  setRights(account: string, rights: Rights, by: string): Promise<Account>
  /** Throws `forbidden` for one's own account. Ends its sessions at once. */
  disable(account: string, by: string): Promise<Account>
  enable(account: string, by: string): Promise<Account>
  /** `by` null: a command on the host. Throws `forbidden` for one's own account. */
  unlock(account: string, by: string | null): Promise<Account>
  /** By the person, who must know the old one (a wrong one counts as a failed log-in). Ends the account's other sessions. */
  changePassword(session: Session, change: { current: string; next: string }): Promise<void>
  /** Throws `forbidden` for a wrong password, which counts as a failed log-in. */
  confirmPassword(session: Session, password: string): Promise<void>
  /** Ends the account's other sessions; this one is proved by `factor` from now on. */
  factorsChanged(session: Session, factor: Factor | null): Promise<void>
  /** Removes every second factor. `by` null: a command on the host. Throws `forbidden` for one's own. Ends the account's sessions. */
  resetFactors(account: string, by: string | null): Promise<Account>
  /** By another account's administrator; throws `forbidden` for one's own. Ends the account's sessions. */
  resetPassword(account: string, next: string, by: string): Promise<Account>
}

export interface AccountsDeps {
  database: Database
  clock: Clock
  newId: () => string
  newSecret: (byteCount: number) => string
  log: Log
  factors: Pick<Factors, 'has' | 'isProvided' | 'check' | 'removeAll'>
  secondFactor: 'required' | 'optional'
  /** `account-admins`: everybody else comes in by the agency's provider. */
  passwordLogin: 'everyone' | 'account-admins'
}

export async function createAccounts(deps: AccountsDeps): Promise<Accounts> {
  const { database, clock, log } = deps
  const { build } = database
  const passwords = await createPasswords(deps.newSecret)
  const sessions = createLoginSessions(deps)
  const attempts = new Map<string, { last: Promise<unknown>; waiting: number }>()

  /** One log-in after the other for an account, or many at once would all be checked before the first failure counts. */
  async function inTurn<T>(account: string, work: () => Promise<T>): Promise<T> {
    const queue = attempts.get(account) ?? { last: Promise.resolve(), waiting: 0 }
    if (queue.waiting >= MAX_WAITING_LOGINS)
      throw new AppError('unavailable', 'too many log-ins to this account at once')
    const turn = queue.last.then(work, work)
    queue.last = turn
    queue.waiting += 1
    attempts.set(account, queue)
    try {
      return await turn
    } finally {
      queue.waiting -= 1
      if (queue.waiting === 0) attempts.delete(account)
    }
  }

  async function find(account: string) {
    const [row] = await database.read(build.selectFrom('accounts').selectAll().where('account', '=', account))
    return row ?? null
  }

  async function get(account: string): Promise<Account> {
    const row = await find(account)
    if (row === null) throw new AppError('not_found', `there is no account ${account}`)
    return toAccount(row)
  }

  async function recordFailure(account: string): Promise<boolean> {
    const nowMs = clock.nowMs()
    const since = nowMs - LOGIN_FAILURE_WINDOW_MS
    await database.writeBatch([
      build.deleteFrom('login_failures').where('account', '=', account).where('at_ms', '<=', since),
      build.insertInto('login_failures').values({ account, at_ms: nowMs }),
    ])
    const failures = await database.read(
      build.selectFrom('login_failures').select('at_ms').where('account', '=', account).limit(MAX_LOGIN_FAILURES),
    )
    if (failures.length < MAX_LOGIN_FAILURES) return false
    await database.writeBatch([
      build.updateTable('accounts').set({ locked_at_ms: nowMs }).where('account', '=', account),
    ])
    log.warn('account_locked', { account })
    return true
  }

  type Checked = { rule: LoginRefusal | null; locked: boolean }

  async function checkLogin(account: string, password: string): Promise<Checked> {
    const row = await find(account)
    // The same work whether the account exists or not, so that the time tells nothing.
    const fits = await passwords.matches(row?.password_hash ?? null, password)
    if (row === null) return { rule: 'unknown_account', locked: false }
    if (row.disabled_at_ms !== null) return { rule: 'account_disabled', locked: false }
    if (row.locked_at_ms !== null) return { rule: 'account_locked', locked: true }
    if (!fits) return { rule: 'wrong_password', locked: await recordFailure(account) }
    return { rule: null, locked: false }
  }

  async function checkFirst(account: string, password: string): Promise<Checked> {
    const first = await checkLogin(account, password)
    if (first.rule !== null || deps.passwordLogin === 'everyone') return first
    return may((await get(account)).roles, 'accounts.write') ? first : { rule: 'password_login_off', locked: false }
  }

  /** Both halves; the second is looked at only after the first, so that nobody learns of factors without the password. */
  async function checkBoth(account: string, password: string, proof: Proof | undefined) {
    const first = await checkFirst(account, password)
    if (first.rule !== null) return { ...first, factor: null }
    if (!(await deps.factors.has(account))) {
      // The session would add a factor to the account of somebody whom the provider has vouched for.
      const isOther = deps.secondFactor === 'required' && (await deps.factors.isProvided(account))
      return { rule: isOther ? 'provider_needed' : null, locked: false, factor: null } as const
    }
    if (proof === undefined) return { rule: 'second_factor_missing', locked: false, factor: null } as const
    const factor = await deps.factors.check(account, proof)
    if (factor === null) return { rule: 'wrong_second_factor', locked: await recordFailure(account), factor } as const
    return { rule: null, locked: false, factor }
  }

  /** Changes a row and ends the account's sessions in the same transaction. */
  async function changeAndEnd(
    account: string,
    change: Partial<AccountsTable>,
    keepSession: string | null,
  ): Promise<void> {
    let ended = build.deleteFrom('sessions').where('account', '=', account)
    if (keepSession !== null) ended = ended.where('session_id', '!=', keepSession)
    const others = await database.read(build.selectFrom('sessions').select('session_id').where('account', '=', account))
    const [result] = await database.writeBatch([
      build.updateTable('accounts').set(change).where('account', '=', account),
      ended,
    ])
    if (result?.changes !== 1) throw new AppError('not_found', `there is no account ${account}`)
    if (keepSession === null) sessions.tellEnded({ account, sessionId: null })
    else {
      for (const { session_id } of others) {
        if (session_id !== keepSession) sessions.tellEnded({ account, sessionId: session_id })
      }
    }
  }

  async function setDisabled(account: string, by: string, what: string, disabled_at_ms: number | null) {
    refuseOwn(account, by, what)
    await changeAndEnd(account, { disabled_at_ms }, null)
    return get(account)
  }

  async function newRow(account: string, password: string, rights: Rights, by: string | null): Promise<AccountsTable> {
    if (!slugSchema.safeParse(account).success) {
      throw new AppError('bad_input', 'an account name must be 1-32 of a-z, 0-9 and -')
    }
    checkRights(rights)
    checkPassword(password, account)
    const nowMs = clock.nowMs()
    return {
      account,
      password_hash: await passwords.hash(password),
      ...storedRights(rights),
      created_at_ms: nowMs,
      created_by: by,
      password_changed_at_ms: nowMs,
      disabled_at_ms: null,
      locked_at_ms: null,
    }
  }

  return {
    login({ account, password, proof, source }) {
      return inTurn(account, async () => {
        const { rule, locked, factor } = await checkBoth(account, password, proof)
        if (rule !== null) return { ok: false, rule, locked }
        return { ok: true, ...(await sessions.open(account, source, factor)) }
      })
    },
    checkPassword(account, password) {
      return inTurn(account, async () => {
        const { rule, locked } = await checkFirst(account, password)
        return rule === null ? null : { rule, locked }
      })
    },
    admit({ account, source, ...by }) {
      return inTurn(account, async () => {
        const row = await find(account)
        if (row === null) return { ok: false, rule: 'unknown_account', locked: false }
        if (row.disabled_at_ms !== null) return { ok: false, rule: 'account_disabled', locked: false }
        if (row.locked_at_ms !== null) return { ok: false, rule: 'account_locked', locked: true }
        if ('factor' in by) return { ok: true, ...(await sessions.open(account, source, by.factor)) }
        const opened = await sessions.openBeside(account, source, by.sessionId)
        return opened === null ? { ok: false, rule: 'session_ended', locked: false } : { ok: true, ...opened }
      })
    },
    authenticate: sessions.find,
    renew: sessions.renew,
    logout: (session) => sessions.end(session.account, session.sessionId),
    endExpired: sessions.endExpired,
    onEnded: sessions.onEnded,
    areOpen: sessions.areOpen,
    async isEmpty() {
      return (await database.read(build.selectFrom('accounts').select('account').limit(1))).length === 0
    },
    async addFirst({ account, password }) {
      const row = await newRow(account, password, { roles: FIRST_ADMINISTRATOR_ROLES, groups: [] }, null)
      const names = Object.keys(row) as (keyof AccountsTable)[]
      const [result] = await database.writeBatch([
        build
          .insertInto('accounts')
          .columns(names)
          // One statement decides and inserts, so that two set-ups at once cannot both be the first.
          .expression(
            build
              .selectNoFrom((eb) => names.map((name) => eb.val(row[name]).as(name)))
              .where(({ not, exists, selectFrom }) => not(exists(selectFrom('accounts').select('account')))),
          ),
      ])
      if (result?.changes !== 1) throw new AppError('conflict', 'there is an account already: set-up is done only once')
      return get(account)
    },
    async add({ account, password, by, roles, groups }) {
      const row = await newRow(account, password, { roles, groups }, by)
      const { count } = (
        await database.read(build.selectFrom('accounts').select((eb) => eb.fn.countAll<number>().as('count')))
      )[0] ?? { count: 0 }
      if (count >= MAX_ACCOUNTS)
        throw new AppError('too_large', `there are ${MAX_ACCOUNTS} accounts, the most there may be`)
      const [result] = await database.writeBatch([
        build
          .insertInto('accounts')
          .values(row)
          .onConflict((conflict) => conflict.column('account').doNothing()),
      ])
      if (result?.changes !== 1) throw new AppError('conflict', `there is an account ${account} already`)
      return get(account)
    },
    async list() {
      const rows = await database.read(build.selectFrom('accounts').selectAll().orderBy('account').limit(MAX_ACCOUNTS))
      return rows.map(toAccount)
    },
    async find(account) {
      const row = await find(account)
      return row === null ? null : toAccount(row)
    },
    async setRights(account, rights, by) {
      refuseOwn(account, by, 'change the rights of')
      checkRights(rights)
      await changeAndEnd(account, storedRights(rights), null)
      return get(account)
    },
    disable: (account, by) => setDisabled(account, by, 'disable', clock.nowMs()),
    enable: (account, by) => setDisabled(account, by, 'enable', null),
    async unlock(account, by) {
      refuseOwn(account, by, 'unlock')
      const [result] = await database.writeBatch([
        build.updateTable('accounts').set({ locked_at_ms: null }).where('account', '=', account),
        build.deleteFrom('login_failures').where('account', '=', account),
      ])
      if (result?.changes !== 1) throw new AppError('not_found', `there is no account ${account}`)
      return get(account)
    },
    changePassword(session, { current, next }) {
      return inTurn(session.account, async () => {
        const { rule } = await checkLogin(session.account, current)
        if (rule !== null) throw new AppError('forbidden', 'the current password is not right')
        checkPassword(next, session.account)
        if (next === current) throw new AppError('bad_input', 'the new password is the old one')
        const password_hash = await passwords.hash(next)
        await changeAndEnd(session.account, { password_hash, password_changed_at_ms: clock.nowMs() }, session.sessionId)
      })
    },
    confirmPassword({ account }, password) {
      return inTurn(account, async () => {
        const { rule } = await checkLogin(account, password)
        if (rule !== null) throw new AppError('forbidden', 'the password is not right')
      })
    },
    async factorsChanged({ account, sessionId }, factor) {
      await sessions.prove(sessionId, factor)
      await changeAndEnd(account, { account }, sessionId)
    },
    async resetFactors(account, by) {
      refuseOwn(account, by, 'reset the second factor of')
      await get(account)
      await deps.factors.removeAll(account)
      await changeAndEnd(account, { account }, null)
      return get(account)
    },
    async resetPassword(account, next, by) {
      // Whoever holds a session of an account without its password must not be able to keep it.
      refuseOwn(account, by, 'reset the password of')
      checkPassword(next, account)
      const password_hash = await passwords.hash(next)
      await changeAndEnd(account, { password_hash, password_changed_at_ms: clock.nowMs() }, null)
      return get(account)
    },
  }
}

function toAccount(row: AccountsTable): Account {
  return {
    account: row.account,
    roles: parseRoles(row.roles),
    groups: JSON.parse(row.alert_groups) as string[],
    state: row.disabled_at_ms !== null ? 'disabled' : row.locked_at_ms !== null ? 'locked' : 'active',
    createdAtMs: row.created_at_ms,
    createdBy: row.created_by,
    passwordChangedAtMs: row.password_changed_at_ms,
  }
}

function refuseOwn(account: string, by: string | null, what: string): void {
  if (account === by) {
    throw new AppError('forbidden', `nobody may ${what} their own account`, {
      hint: 'ask another account administrator',
    })
  }
}

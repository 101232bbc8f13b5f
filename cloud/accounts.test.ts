import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, MINUTE_MS, systemClock } from '../shared/clock.ts'
import { AppError, type ErrorCode } from '../shared/errors.ts'
import { newId, newSecret } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { createFactors } from './accounts/factors.ts'
import { MAX_GROUPS_PER_ACCOUNT } from './accounts/rights.ts'
import {
  MAX_ENDED_AT_ONCE,
  MAX_SESSIONS_PER_ACCOUNT,
  SESSION_ABSOLUTE_MS,
  SESSION_IDLE_MS,
  type SessionEnd,
} from './accounts/sessions.ts'
import {
  type Accounts,
  createAccounts,
  LOGIN_FAILURE_WINDOW_MS,
  MAX_ACCOUNTS,
  MAX_LOGIN_FAILURES,
  MAX_WAITING_LOGINS,
} from './accounts.ts'
import type { Database } from './database/database.ts'
import { openSqlite } from './database/sqlite.ts'
import { ARGON2, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './passwords.ts'
import { FIRST_ADMINISTRATOR_ROLES, type Role } from './permissions.ts'

/** Second factors as the cloud has them; none of these accounts has one. */
function accountsOf(database: Database, clock: Clock): Promise<Accounts> {
  const key = Buffer.alloc(32, 7)
  const pageOrigin = () => 'https://localhost'
  const factors = createFactors({ database, clock, newSecret, agency: 'springfield', key, pageOrigin })
  const policy = { secondFactor: 'optional', passwordLogin: 'everyone' } as const
  return createAccounts({ database, clock, newId, newSecret, log: silentLog, factors, ...policy })
}

const PASSWORD = 'a heron stands in the reeds'

interface World {
  accounts: Accounts
  database: Database
  ended: SessionEnd[]
  nowMs: number
  login(account?: string, password?: string): ReturnType<Accounts['login']>
  token(account?: string): Promise<string>
}

/** A world with the accounts ada (administrator) and bob (officer of patrol). */
async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-accounts-'))
  const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: Date.now() })
  const world = { database, ended: [] as SessionEnd[], nowMs: Date.now() } as World
  const clock: Clock = { ...systemClock, nowMs: () => world.nowMs }
  world.accounts = await accountsOf(database, clock)
  world.accounts.onEnded((end) => world.ended.push(end))
  world.login = (account = 'bob', password = PASSWORD) =>
    world.accounts.login({ account, password, source: '192.0.2.7' })
  world.token = async (account = 'bob') => {
    const result = await world.login(account)
    assert.ok(result.ok)
    return result.ok ? result.token : ''
  }
  try {
    await world.accounts.addFirst({ account: 'ada', password: PASSWORD })
    await world.accounts.add({ account: 'bob', password: PASSWORD, by: 'ada', roles: ['officer'], groups: ['patrol'] })
    await work(world)
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  try {
    await work
  } catch (thrown) {
    assert.instance(thrown, AppError, String(thrown))
    assert.is((thrown as AppError).code, code)
    return thrown as AppError
  }
  assert.unreachable(`expected ${code}`)
  throw new Error('unreachable')
}

test('the first administrator is made once, also when two set-ups run at the same time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-first-'))
  const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: Date.now() })
  const accounts = await accountsOf(database, systemClock)
  assert.ok(await accounts.isEmpty())
  const both = await Promise.allSettled([
    accounts.addFirst({ account: 'ada', password: PASSWORD }),
    accounts.addFirst({ account: 'eve', password: PASSWORD }),
  ])
  assert.equal(both.map((one) => one.status).sort(), ['fulfilled', 'rejected'])
  const list = await accounts.list()
  assert.is(list.length, 1)
  assert.equal(list[0]?.roles, [...FIRST_ADMINISTRATOR_ROLES])
  assert.not(await accounts.isEmpty())
  await rejects(accounts.addFirst({ account: 'late', password: PASSWORD }), 'conflict')
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

test('a password is stored as argon2id with the named parameters and a token only as its digest', async () => {
  await inWorld(async ({ database, token }) => {
    const [row] = await database.read(database.build.selectFrom('accounts').select('password_hash'))
    assert.ok(
      row?.password_hash.startsWith(
        `$argon2id$v=19$m=${ARGON2.memoryCost},t=${ARGON2.timeCost},p=${ARGON2.parallelism}$`,
      ),
    )
    const secret = await token()
    const rows = await database.read(database.build.selectFrom('sessions').selectAll())
    assert.not.ok(JSON.stringify(rows).includes(secret))
    assert.is(Buffer.from(secret, 'base64url').length, 32)
  })
})

test('a session carries roles and groups and is found by its token', async () => {
  await inWorld(async (world) => {
    const session = await world.accounts.authenticate(await world.token())
    assert.is(session?.account, 'bob')
    assert.equal(session?.roles, ['officer'])
    assert.equal(session?.groups, ['patrol'])
    assert.is(session?.expiresAtMs, world.nowMs + SESSION_IDLE_MS)
    assert.is(await world.accounts.authenticate('guess'), null)
    assert.is(await world.accounts.authenticate(''), null)
  })
})

test('five failures in fifteen minutes lock an account until it is unlocked; four do not', async () => {
  await inWorld(async (world) => {
    for (let i = 1; i < MAX_LOGIN_FAILURES; i++) {
      const failed = await world.login('bob', 'wrong password here')
      assert.equal(failed, { ok: false, rule: 'wrong_password', locked: false })
    }
    assert.ok((await world.login()).ok, 'the right password after four failures')
    for (let i = 1; i <= MAX_LOGIN_FAILURES; i++) {
      const failed = await world.login('bob', 'wrong password here')
      assert.is(!failed.ok && failed.locked, i === MAX_LOGIN_FAILURES)
    }
    assert.equal(await world.login(), { ok: false, rule: 'account_locked', locked: true })
    world.nowMs += 24 * 60 * MINUTE_MS
    assert.not((await world.login()).ok, 'time does not unlock')
    assert.is((await world.accounts.list()).find((one) => one.account === 'bob')?.state, 'locked')
    await rejects(world.accounts.unlock('bob', 'bob'), 'forbidden')
    assert.is((await world.accounts.unlock('bob', 'ada')).state, 'active')
    assert.ok((await world.login()).ok)
    await rejects(world.accounts.unlock('nobody', null), 'not_found')
  })
})

test('a failure stops counting when the window is over', async () => {
  await inWorld(async (world) => {
    await world.login('bob', 'wrong password here')
    world.nowMs += LOGIN_FAILURE_WINDOW_MS
    for (let i = 1; i < MAX_LOGIN_FAILURES; i++) await world.login('bob', 'wrong password here')
    assert.ok((await world.login()).ok, 'the first is just out of the window')
    await world.login('bob', 'wrong password here')
    world.nowMs += LOGIN_FAILURE_WINDOW_MS - 1
    for (let i = 1; i < MAX_LOGIN_FAILURES; i++) await world.login('bob', 'wrong password here')
    assert.not((await world.login()).ok, 'the first is just inside')
  })
})

test('many guesses at once count one after the other, and too many are turned away', async () => {
  await inWorld(async (world) => {
    const guesses = Array.from({ length: MAX_WAITING_LOGINS }, (_, i) => world.login('bob', `wrong password ${i}`))
    await rejects(world.login('bob'), 'unavailable')
    const results = await Promise.all(guesses)
    const checked = results.filter((result) => !result.ok && result.rule === 'wrong_password')
    assert.is(checked.length, MAX_LOGIN_FAILURES)
    assert.not((await world.login()).ok)
  })
})

test('an unknown account takes as long as a wrong password and is told apart only by the audit', async () => {
  await inWorld(async (world) => {
    const time = async (account: string) => {
      const startMs = performance.now()
      await world.login(account, 'wrong password here')
      return performance.now() - startMs
    }
    // In turns and the shortest of each: what else the machine does can only make one of them longer.
    let [unknownMs, knownMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (let i = 0; i < 12; i++) {
      unknownMs = Math.min(unknownMs, await time('nobody'))
      knownMs = Math.min(knownMs, await time('bob'))
    }
    assert.ok(unknownMs > knownMs / 3, `${unknownMs} ms against ${knownMs} ms`)
    assert.equal(await world.login('nobody'), { ok: false, rule: 'unknown_account', locked: false })
  })
})

test('disabling ends all sessions at once and the account cannot come back', async () => {
  await inWorld(async (world) => {
    const [one, two] = [await world.token(), await world.token()]
    await world.accounts.disable('bob', 'ada')
    assert.equal(world.ended, [{ account: 'bob', sessionId: null }])
    assert.is(await world.accounts.authenticate(one), null)
    assert.is(await world.accounts.authenticate(two), null)
    assert.equal(await world.login(), { ok: false, rule: 'account_disabled', locked: false })
    await rejects(world.accounts.renew(one), 'unauthenticated')
    await world.accounts.enable('bob', 'ada')
    assert.is(await world.accounts.authenticate(one), null, 'old tokens stay void')
    assert.ok((await world.login()).ok)
  })
})

test('nobody disables themselves or gives themselves rights', async () => {
  await inWorld(async (world) => {
    await rejects(world.accounts.disable('ada', 'ada'), 'forbidden')
    await rejects(world.accounts.setRights('ada', { roles: ['investigator'], groups: [] }, 'ada'), 'forbidden')
    await rejects(world.accounts.disable('nobody', 'ada'), 'not_found')
  })
})

test('new rights end the sessions that had the old ones', async () => {
  await inWorld(async (world) => {
    const token = await world.token()
    await world.accounts.setRights('bob', { roles: ['supervisor', 'supervisor'], groups: ['traffic', 'patrol'] }, 'ada')
    assert.is(await world.accounts.authenticate(token), null)
    assert.is(world.ended.length, 1)
    const session = await world.accounts.authenticate(await world.token())
    assert.equal(session?.roles, ['supervisor'])
    assert.equal(session?.groups, ['patrol', 'traffic'])
  })
})

test('a session ends after thirty idle minutes, moves on with use, and ends after twelve hours in any case', async () => {
  await inWorld(async (world) => {
    const token = await world.token()
    world.nowMs += SESSION_IDLE_MS - 1
    assert.ok(await world.accounts.authenticate(token))
    world.nowMs += SESSION_IDLE_MS - 1
    assert.ok(await world.accounts.authenticate(token))
    world.nowMs += SESSION_IDLE_MS
    assert.is(await world.accounts.authenticate(token), null)
    assert.is(world.ended.length, 1)

    const start = world.nowMs
    const long = await world.token()
    while (world.nowMs + 20 * MINUTE_MS < start + SESSION_ABSOLUTE_MS) {
      world.nowMs += 20 * MINUTE_MS
      assert.ok(await world.accounts.authenticate(long))
    }
    const session = await world.accounts.authenticate(long)
    assert.is(session?.expiresAtMs, start + SESSION_ABSOLUTE_MS)
    world.nowMs = start + SESSION_ABSOLUTE_MS
    assert.is(await world.accounts.authenticate(long), null)
  })
})

test('sessions that ran out unseen are ended by the sweep, and only those', async () => {
  await inWorld(async (world) => {
    const old = await world.accounts.login({ account: 'bob', password: PASSWORD, source: 'a' })
    world.nowMs += SESSION_IDLE_MS - MINUTE_MS
    const token = await world.token('ada')
    assert.is(await world.accounts.endExpired(), 0)
    world.nowMs += MINUTE_MS
    assert.is(await world.accounts.endExpired(), 1)
    assert.equal(world.ended, [{ account: 'bob', sessionId: old.ok ? old.session.sessionId : '' }])
    assert.ok(await world.accounts.authenticate(token))
  })
})

test('one sweep ends so many sessions, and the next the one beyond', async () => {
  await inWorld(async (world) => {
    const used_at_ms = world.nowMs - SESSION_IDLE_MS
    const row = (i: number) => ({
      ...{ session_id: `s${i}`, token_digest: `t${i}`, account: 'bob', source: 'a' },
      ...{ created_at_ms: used_at_ms, used_at_ms },
    })
    const rows = Array.from({ length: MAX_ENDED_AT_ONCE + 1 }, (_, i) => row(i))
    await world.database.writeBatch([world.database.build.insertInto('sessions').values(rows)])
    const sweeps = [await world.accounts.endExpired(), await world.accounts.endExpired()]
    assert.equal(sweeps, [MAX_ENDED_AT_ONCE, 1])
    assert.is(new Set(world.ended.map(({ sessionId }) => sessionId)).size, rows.length)
    assert.is(await world.accounts.endExpired(), 0)
  })
})

test('renewing gives a new token for the same session and voids the old one', async () => {
  await inWorld(async (world) => {
    const token = await world.token()
    const before = await world.accounts.authenticate(token)
    const renewed = await world.accounts.renew(token)
    assert.is(renewed.session.sessionId, before?.sessionId)
    assert.is(await world.accounts.authenticate(token), null)
    assert.ok(await world.accounts.authenticate(renewed.token))
    assert.is(world.ended.length, 0, 'the session goes on')
    const both = await Promise.allSettled([world.accounts.renew(renewed.token), world.accounts.renew(renewed.token)])
    assert.equal(both.map((one) => one.status).sort(), ['fulfilled', 'rejected'])
  })
})

test('logging out ends that session alone, and one log-in too many ends the oldest', async () => {
  await inWorld(async (world) => {
    const [one, two] = [await world.token(), await world.token()]
    const session = await world.accounts.authenticate(one)
    assert.ok(session !== null)
    if (session !== null) await world.accounts.logout(session)
    assert.is(await world.accounts.authenticate(one), null)
    assert.ok(await world.accounts.authenticate(two))
    world.ended.length = 0
    for (let i = 1; i < MAX_SESSIONS_PER_ACCOUNT; i++) {
      world.nowMs += 1
      await world.token()
    }
    assert.is(world.ended.length, 0)
    world.nowMs += 1
    await world.token()
    assert.is(world.ended.length, 1)
    assert.is(await world.accounts.authenticate(two), null)
  })
})

test('changing the password needs the old one, keeps this session and ends the others', async () => {
  await inWorld(async (world) => {
    const [mine, other] = [await world.token(), await world.token()]
    const session = await world.accounts.authenticate(mine)
    assert.ok(session !== null)
    if (session === null) return
    const next = 'seven geese over the weir'
    await rejects(world.accounts.changePassword(session, { current: 'not the password', next }), 'forbidden')
    await rejects(world.accounts.changePassword(session, { current: PASSWORD, next: PASSWORD }), 'bad_input')
    await rejects(world.accounts.changePassword(session, { current: PASSWORD, next: 'short' }), 'bad_input')
    await world.accounts.changePassword(session, { current: PASSWORD, next })
    assert.ok(await world.accounts.authenticate(mine))
    assert.is(await world.accounts.authenticate(other), null)
    assert.not((await world.login()).ok)
    assert.ok((await world.login('bob', next)).ok)
    await rejects(world.accounts.resetPassword('bob', PASSWORD, 'bob'), 'forbidden')
    await world.accounts.resetPassword('bob', PASSWORD, 'ada')
    assert.is(await world.accounts.authenticate(mine), null)
  })
})

test('passwords that are short, long, common or made of the account name are refused', async () => {
  await inWorld(async (world) => {
    const add = (password: string, account = 'carol-the-chief') =>
      world.accounts.add({ account, password, by: 'ada', roles: [], groups: [] })
    const refused = [
      '',
      'x'.repeat(MIN_PASSWORD_LENGTH - 1),
      'aaaaaaaaaaaaaaa',
      'abababababababab',
      'Password123456',
      '123456PASSWORD!!',
      'qwertyuiop123',
      'correcthorsebatterystaple',
      '123456789012',
      'carol-the-chief',
      'Carol-The-Chief',
      'carol-the-chiefcarol-the-chief',
      'carol-the-chief2024',
      `${PASSWORD}${'x'.repeat(MAX_PASSWORD_LENGTH)}`,
    ]
    for (const password of refused) await rejects(add(password), 'bad_input')
    await add('fjord-41-mug'.slice(0, MIN_PASSWORD_LENGTH))
    await add('abcdefgh '.repeat(40).slice(0, MAX_PASSWORD_LENGTH), 'dave')
    assert.ok((await world.login('dave', 'abcdefgh '.repeat(40).slice(0, MAX_PASSWORD_LENGTH))).ok)
    assert.not((await world.login('dave', 'abcdefgh '.repeat(40).slice(0, MAX_PASSWORD_LENGTH + 1))).ok)
  })
})

test('accounts are made up to the limit and one more is refused', async () => {
  await inWorld(async ({ accounts, database }) => {
    const [bob] = await database.read(database.build.selectFrom('accounts').selectAll().where('account', '=', 'bob'))
    assert.ok(bob !== undefined)
    if (bob === undefined) return
    // ada and bob are there, and one is made below.
    const rows = Array.from({ length: MAX_ACCOUNTS - 3 }, (_, i) => ({ ...bob, account: `person-${i}` }))
    await database.writeBatch(rows.map((row) => database.build.insertInto('accounts').values(row)))
    const add = (account: string) => accounts.add({ account, password: PASSWORD, by: 'ada', roles: [], groups: [] })
    await add('the-last')
    await rejects(add('one-more'), 'too_large')
    assert.is((await accounts.list()).length, MAX_ACCOUNTS, 'and all of them are listed')
  })
})

test('account names, roles and groups are checked and a name is given once', async () => {
  await inWorld(async (world) => {
    const add = (account: string, roles: readonly Role[] = [], groups: readonly string[] = []) =>
      world.accounts.add({ account, password: PASSWORD, by: 'ada', roles, groups })
    for (const name of ['', 'Bob', 'a b', 'x'.repeat(33), 'bob;--']) await rejects(add(name), 'bad_input')
    await rejects(add('bob'), 'conflict')
    await rejects(add('carol', ['king' as Role]), 'bad_input')
    await rejects(add('carol', [], ['No Slug']), 'bad_input')
    const groups = (count: number) => Array.from({ length: count }, (_, i) => `g${i}`)
    await rejects(add('carol', [], groups(MAX_GROUPS_PER_ACCOUNT + 1)), 'too_large')
    const carol = await add('x'.repeat(32), ['auditor'], groups(MAX_GROUPS_PER_ACCOUNT))
    assert.is(carol.createdBy, 'ada')
    assert.is(carol.groups.length, MAX_GROUPS_PER_ACCOUNT)
  })
})

test.run()

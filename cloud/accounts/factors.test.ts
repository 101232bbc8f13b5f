/** Second factors at log-in, as accounts and API have them: codes, windows, replays, recovery, lock-out, and what is stored. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS } from '../../shared/clock.ts'
import { newSecret } from '../../shared/ids.ts'
import { callerOf, PASSWORD, type Reply } from '../api/testing.ts'
import type { RunningCloud } from '../main.ts'
import { codeOf, filesWith, inCloud, type TestCloud, until } from '../testing.ts'
import { CLI_CODE_MS } from './cli-codes.ts'
import { RECOVERY_CODES, readableSecret, TOTP_ENROLMENT_MS } from './factors.ts'
import { createPending } from './pending.ts'
import { openSecret, sealSecret } from './sealed-secret.ts'
import { SESSION_ABSOLUTE_MS, SESSION_IDLE_MS } from './sessions.ts'
import { codeAt, stepOfCode, TOTP_PERIOD_MS, TOTP_SECRET_BYTES } from './totp.ts'

const WRONG = '000000'

interface World {
  world: TestCloud
  call: ReturnType<typeof callerOf>
  /** The session of bob, an officer. */
  token: string
  login(more?: Record<string, unknown>): Promise<Reply>
  /** Adds an app to bob's account; returns its secret and the recovery codes. */
  addApp(token?: string): Promise<{ secret: string; recoveryCodes: string[] }>
  code(secret: string, aheadMs?: number): string
  /** The next time step, so that a code is one that was not used. */
  nextStep(): void
}

async function inWorld(work: (own: World) => Promise<void>, secondFactor: 'required' | 'optional' = 'optional') {
  await inCloud(
    async (world) => {
      const call: World['call'] = (...args) => callerOf(world.cloud as RunningCloud)(...args)
      const token = await world.addPerson('bob', ['officer'], ['patrol'])
      const own: World = {
        world,
        call,
        token,
        login: (more = {}) => call('POST', '/api/v1/login', { json: { account: 'bob', password: PASSWORD, ...more } }),
        code: (secret, aheadMs = 0) => codeAt(secret, world.clock.nowMs() + aheadMs),
        nextStep: () => world.clock.advance(TOTP_PERIOD_MS),
        async addApp(mine = token) {
          const path = '/api/v1/me/factors/totp'
          const started = await call('POST', path, { token: mine, json: { password: PASSWORD } })
          assert.is(started.status, 200, started.body.toString())
          const { secret } = started.json
          const done = await call('POST', `${path}/confirm`, { token: mine, json: { code: own.code(secret) } })
          assert.is(done.status, 200, done.body.toString())
          own.nextStep()
          return { secret, recoveryCodes: done.json.recoveryCodes }
        },
      }
      await work(own)
    },
    { secondFactor },
  )
}

/** [RFC 6238, appendix B], SHA-1, the last six digits. */
const VECTORS: [number, string][] = [
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
]

test('codes are those of RFC 6238, and count one step early or late and not two', () => {
  const secret = Buffer.from('12345678901234567890')
  for (const [s, code] of VECTORS) {
    const atMs = s * 1_000
    const step = Math.floor(atMs / TOTP_PERIOD_MS)
    assert.is(stepOfCode(secret, code, atMs), step)
    assert.is(stepOfCode(secret, code, atMs + TOTP_PERIOD_MS), step, 'one step late')
    assert.is(stepOfCode(secret, code, atMs + 2 * TOTP_PERIOD_MS), null)
    assert.is(stepOfCode(secret, code, atMs - TOTP_PERIOD_MS), step, 'one step early')
    assert.is(stepOfCode(secret, code, atMs - 2 * TOTP_PERIOD_MS), null)
  }
  for (const wrong of ['', '28708', '2870822', 'abcdef', '２８７０８２'])
    assert.is(stepOfCode(secret, wrong, 59_000), null)
  assert.is(TOTP_SECRET_BYTES, 20)
})

test('what is sealed opens with its key and its owner only, and any changed byte is seen', async () => {
  const key = Buffer.alloc(32, 1)
  const sealed = sealSecret(key, 'bob', Buffer.from('secret'), newSecret)
  assert.is(openSecret(key, 'bob', sealed).toString(), 'secret')
  const open = (how: () => Buffer) => codeOf(async () => how())
  assert.is(await open(() => openSecret(Buffer.alloc(32, 2), 'bob', sealed)), 'integrity')
  assert.is(await open(() => openSecret(key, 'eve', sealed)), 'integrity')
  for (let i = 0; i < sealed.length; i += 1) {
    const changed = Buffer.from(sealed)
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.is(await open(() => openSecret(key, 'bob', changed)), 'integrity', String(i))
  }
  assert.is(await open(() => openSecret(key, 'bob', Buffer.alloc(3))), 'integrity')
})

test('what waits is taken once, until its time is over, and the oldest gives way to one too many', () => {
  let nowMs = 0
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
  const pending = createPending<number>(clock, 100, 2)
  pending.put('a', 1)
  nowMs = 99
  assert.is(pending.take('a'), 1)
  assert.is(pending.take('a'), null)
  pending.put('a', 2)
  nowMs = 199
  assert.is(pending.take('a'), null, 'just over')
  pending.put('a', 3)
  pending.put('b', 4)
  pending.put('c', 5)
  assert.equal([pending.see('a'), pending.see('b'), pending.see('c')], [null, 4, 5])
})

test('an app is added with password and code; from then on a log-in needs its code, and each code opens one session', async () => {
  await inWorld(async (own) => {
    const { call, token, login, world } = own
    const path = '/api/v1/me/factors/totp'
    assert.is((await call('POST', path, { token, json: { password: 'not the password' } })).status, 403)
    assert.is(
      (await call('POST', `${path}/confirm`, { token, json: { code: WRONG } })).status,
      409,
      'nothing was started',
    )
    const other = (await login()).json.token
    const { secret, recoveryCodes } = await own.addApp()
    assert.is(recoveryCodes.length, RECOVERY_CODES)
    assert.is((await call('GET', '/api/v1/me', { token: other })).status, 401, 'other sessions end')
    assert.is((await call('GET', '/api/v1/me', { token })).status, 200)

    const without = await login()
    assert.is(without.status, 401)
    assert.is(without.json.error.code, 'second_factor_required')
    const code = own.code(secret)
    assert.is((await login({ code })).status, 200)
    const replayed = await login({ code })
    assert.equal([replayed.status, replayed.json.error.code], [401, 'unauthenticated'])
    assert.is((await login({ code: own.code(secret, -TOTP_PERIOD_MS) })).status, 401, 'an earlier one is void as well')
    assert.is((await login({ code: own.code(secret, TOTP_PERIOD_MS) })).status, 200, 'one step early')
    assert.is((await login({ code })).status, 401)

    const entries = (await world.audited('session.login')).map(({ outcome, rule, detail }) => [
      outcome,
      rule,
      detail.factor,
    ])
    assert.equal(entries.slice(0, 4), [
      ['refused', 'wrong_second_factor', undefined],
      ['allowed', null, 'totp'],
      ['refused', 'wrong_second_factor', undefined],
      ['refused', 'wrong_second_factor', undefined],
    ])
    const everything = JSON.stringify(await world.cloud.parts.audit.list({ before: null, limit: 500 }))
    for (const text of [secret, ...recoveryCodes, code])
      assert.not.ok(everything.includes(text), 'no secret in the audit')
    for (const text of [secret, ...recoveryCodes]) assert.not.ok(world.logLines.join().includes(text))
  })
})

test('the secret lies sealed in the database and recovery codes as digests', async () => {
  await inWorld(async (own) => {
    const { secret, recoveryCodes } = await own.addApp()
    const { database } = own.world.cloud.parts
    const [row] = await database.read(database.build.selectFrom('totp_secrets').selectAll())
    assert.is(row?.sealed.length, 12 + TOTP_SECRET_BYTES + 16)
    for (const text of [secret, ...recoveryCodes]) assert.equal(filesWith(own.world.databaseFile, text), [])
  })
})

test('five wrong codes lock the account as five wrong passwords do, and the password alone forgives nothing', async () => {
  await inWorld(async (own) => {
    const { login } = own
    const { secret } = await own.addApp()
    for (let i = 0; i < 4; i += 1) assert.is((await login({ code: WRONG })).status, 401)
    assert.is((await login()).json.error.code, 'second_factor_required', 'the password alone')
    assert.is((await login({ code: own.code(secret) })).status, 200, 'four wrong ones do not lock')
    own.nextStep()
    for (let i = 0; i < 3; i += 1) await login({ code: WRONG })
    await login({ password: 'not the password' })
    await login()
    assert.is((await login({ code: WRONG })).status, 401, 'the fifth, of both kinds together')
    const locked = await login({ code: own.code(secret) })
    assert.is(locked.status, 401)
    const [entry] = await own.world.audited('session.login')
    assert.equal([entry?.rule, entry?.detail.locked], ['account_locked', true])
    assert.is((await own.world.cloud.parts.accounts.find('bob'))?.state, 'locked')
    await own.world.cloud.parts.accounts.unlock('bob', null)
    own.nextStep()
    assert.is((await login({ code: own.code(secret) })).status, 200)
  })
})

test('nothing tells a wrong code, a wrong password and an unknown account apart but the audit', async () => {
  await inWorld(async (own) => {
    await own.addApp()
    const wrongCode = await own.login({ code: WRONG })
    const wrongPassword = await own.login({ password: 'not the password', code: WRONG })
    const withoutCode = await own.login({ password: 'not the password' })
    const nobody = await own.login({ account: 'nobody', code: WRONG })
    for (const reply of [wrongPassword, withoutCode, nobody]) {
      assert.is(reply.status, wrongCode.status)
      assert.equal(reply.json, wrongCode.json)
    }
    const key = (json: unknown) => own.call('POST', '/api/v1/login/key', { json })
    assert.equal((await key({ account: 'nobody', password: PASSWORD })).json, wrongCode.json)
    assert.equal((await key({ account: 'bob', password: 'not the password' })).json, wrongCode.json)
    const rules = (await own.world.audited('session.login')).slice(0, 6).map((entry) => entry.rule)
    assert.equal(rules, [
      ...['wrong_password', 'unknown_account', 'unknown_account'],
      ...['wrong_password', 'wrong_password', 'wrong_second_factor'],
    ])
  })
})

test('a recovery code opens one session however it is typed, and new ones void the old', async () => {
  await inWorld(async (own) => {
    const { call, login, token } = own
    const { recoveryCodes } = await own.addApp()
    const [first = '', second = ''] = recoveryCodes
    assert.is((await login({ code: ` ${first.toUpperCase().replaceAll('-', ' ')}` })).status, 200)
    assert.is((await login({ code: first })).status, 401, 'used up')
    const mine = await call('GET', '/api/v1/me/factors', { token })
    assert.is(mine.json.recoveryCodesLeft, RECOVERY_CODES - 1)
    const path = '/api/v1/me/factors/recovery-codes'
    assert.is((await call('POST', path, { token, json: { password: 'not the password' } })).status, 403)
    const renewed = await call('POST', path, { token, json: { password: PASSWORD } })
    assert.is(new Set([...renewed.json.recoveryCodes, ...recoveryCodes]).size, 2 * RECOVERY_CODES)
    assert.is((await login({ code: second })).status, 401)
    assert.is((await login({ code: renewed.json.recoveryCodes[0] })).status, 200)
    assert.is((await own.world.audited('session.login'))[0]?.detail.factor, 'recovery')
  })
})

test('where a second factor is required, an account without one can only add one: no route, no broker', async () => {
  await inWorld(async (own) => {
    const { call, login, world } = own
    const limited = await login()
    assert.equal([limited.status, limited.json.mustEnrol], [200, true])
    const { token } = limited.json
    for (const [method, path] of [
      ['GET', '/api/v1/status'],
      ['GET', '/api/v1/alerts'],
      ['POST', '/api/v1/token'],
      ['POST', '/api/v1/me/cli-code'],
    ] as const) {
      const refused = await call(method, path, { token })
      assert.is(refused.status, 403, path)
      assert.match(refused.json.error.hint, /second|authenticator/)
    }
    assert.is((await world.audited('permission.refused'))[0]?.rule, 'second_factor_missing')
    assert.is(
      await world.connectPerson('bob', token).then(
        () => 'connected',
        () => 'refused',
      ),
      'refused',
    )
    assert.is(await world.counted('candor_denied_total{rule="second_factor_missing"}'), 1)

    const { secret } = await own.addApp(token)
    assert.is((await call('GET', '/api/v1/me', { token })).json.mustEnrol, false, 'the same session goes on')
    assert.is((await call('GET', '/api/v1/alerts', { token })).status, 200)
    await world.connectPerson('bob', token)
    assert.is((await login({ code: own.code(secret) })).json.mustEnrol, false)
    const last = await call('POST', '/api/v1/me/factors/totp/remove', { token, json: { password: PASSWORD } })
    assert.is(last.status, 409, 'the last one stays')
  }, 'required')
})

test('an account administrator resets lost factors, audited, never their own; sessions end', async () => {
  await inWorld(async (own) => {
    const { call, world } = own
    const ada = await world.addPerson('ada', ['account-admin'], [])
    const { secret } = await own.addApp()
    const reset = (account: string, token: string) => call('DELETE', `/api/v1/accounts/${account}/factors`, { token })
    assert.is((await reset('bob', own.token)).status, 403, 'bob is no administrator')
    assert.is((await reset('ada', ada)).status, 403, 'never one’s own')
    assert.is((await reset('nobody', ada)).status, 404)
    assert.is((await reset('bob', ada)).status, 200)
    assert.is((await call('GET', '/api/v1/me', { token: own.token })).status, 401)
    assert.is((await own.login()).status, 200, 'by password alone, as where factors are optional')
    assert.is((await own.login({ code: own.code(secret) })).status, 200, 'a code is not asked for')
    const entries = (await world.audited('factor.reset')).map(({ outcome, rule }) => [outcome, rule])
    assert.equal(entries.reverse(), [
      ['allowed', null],
      ['refused', 'forbidden'],
      ['allowed', null],
      ['refused', 'not_found'],
      ['allowed', null],
    ])
  })
})

test('an enrolment ends after ten minutes, and another app takes the place of the first only when it is confirmed', async () => {
  await inWorld(async (own) => {
    const { call, token } = own
    const path = '/api/v1/me/factors/totp'
    const start = async () => (await call('POST', path, { token, json: { password: PASSWORD } })).json.secret as string
    const confirm = (secret: string) => call('POST', `${path}/confirm`, { token, json: { code: own.code(secret) } })
    const first = await start()
    own.world.clock.advance(TOTP_ENROLMENT_MS - MINUTE_MS)
    assert.is((await confirm(first)).status, 200)
    const second = await start()
    own.nextStep()
    assert.is((await own.login({ code: own.code(first) })).status, 200, 'the first still counts')
    own.world.clock.advance(TOTP_ENROLMENT_MS)
    assert.is((await confirm(second)).status, 409, 'too late')
    const third = await start()
    const replaced = await confirm(third)
    assert.equal([replaced.status, replaced.json.recoveryCodes], [200, null])
    own.nextStep()
    assert.is((await own.login({ code: own.code(first) })).status, 401)
    assert.is((await own.login({ code: own.code(third) })).status, 200)
  })
})

test('a code of the page opens one session in a terminal, of the same factor, within two minutes', async () => {
  await inWorld(async (own) => {
    const { call, token, world } = own
    await own.addApp()
    const make = async () => (await call('POST', '/api/v1/me/cli-code', { token })).json.code as string
    const take = (code: string, account = 'bob') => call('POST', '/api/v1/login/cli-code', { json: { account, code } })
    const code = await make()
    assert.is((await take(code, 'ada')).status, 401, 'of another account')
    assert.is((await take(code)).status, 401, 'and used up by that')
    const opened = await take(await make())
    assert.is(opened.status, 200)
    assert.equal((await world.audited('session.login'))[0]?.detail, {
      by: 'cli_code',
      factor: 'totp',
      must_enrol: false,
    })
    const inTime = await make()
    world.clock.advance(CLI_CODE_MS - MINUTE_MS)
    assert.is((await take(inTime)).status, 200)
    const late = await make()
    world.clock.advance(CLI_CODE_MS)
    assert.is((await take(late)).status, 401)
    const disabled = await make()
    await world.cloud.parts.accounts.disable('bob', 'ada')
    assert.is((await take(disabled)).status, 401)
    assert.match(readableSecret(newSecret, 10), /^([0-9a-f]{4}-){4}[0-9a-f]{4}$/)
  })
})

test('a session by a code of the page ends no later than the one it came from, needs it open, and forgives no failed log-in', async () => {
  await inWorld(async (own) => {
    const { call, token, world, login } = own
    const { secret } = await own.addApp()
    const make = async (mine = token) =>
      (await call('POST', '/api/v1/me/cli-code', { token: mine })).json.code as string
    const take = (code: string) => call('POST', '/api/v1/login/cli-code', { json: { account: 'bob', code } })
    const keepUsed = async (mine: string, untilMs: number) => {
      while (world.clock.nowMs() < untilMs) {
        world.clock.advance(Math.min(SESSION_IDLE_MS - 5 * MINUTE_MS, untilMs - world.clock.nowMs()))
        await call('GET', '/api/v1/me', { token: mine })
      }
    }
    const endsAtMs = world.clock.nowMs() - TOTP_PERIOD_MS + SESSION_ABSOLUTE_MS
    await keepUsed(token, endsAtMs - 2 * MINUTE_MS)
    const late = await take(await make())
    assert.is(late.status, 200)
    assert.ok(late.json.expiresAtMs <= endsAtMs, 'the absolute end of the first')
    world.clock.advance(2 * MINUTE_MS)
    assert.is((await call('GET', '/api/v1/me', { token: late.json.token })).status, 401)

    const next = (await login({ code: own.code(secret) })).json.token as string
    for (let i = 0; i < 4; i += 1) await login({ password: 'not the password' })
    assert.is((await take(await make(next))).status, 200)
    const code = await make(next)
    assert.is((await call('POST', '/api/v1/logout', { token: next })).status, 204)
    assert.is((await take(code)).status, 401)
    assert.is((await world.audited('session.login'))[0]?.rule, 'session_ended')
    await login({ password: 'not the password' })
    assert.is((await world.cloud.parts.accounts.find('bob'))?.state, 'locked', 'the fifth')
  })
})

test('a code of the page is void when a new password has ended its session', async () => {
  await inWorld(async (own) => {
    const { call, token, login } = own
    const other = (await login()).json.token as string
    const { code } = (await call('POST', '/api/v1/me/cli-code', { token: other })).json
    const next = `${PASSWORD} and more`
    const json = { current: PASSWORD, next }
    assert.is((await call('POST', '/api/v1/me/password', { token, json })).status, 204)
    assert.is((await call('POST', '/api/v1/login/cli-code', { json: { account: 'bob', code } })).status, 401)
  })
})

test('asking for a security key tells and does no more than a log-in: each try is in the audit, and no key is a wrong password', async () => {
  await inWorld(async (own) => {
    const key = (json: unknown) => own.call('POST', '/api/v1/login/key', { json })
    const wrong = await key({ account: 'bob', password: 'not the password' })
    const none = await key({ account: 'bob', password: PASSWORD })
    assert.equal([none.status, none.json], [401, wrong.json])
    const entries = await own.world.audited('session.login')
    assert.equal([entries[0]?.rule, entries[0]?.subject?.id], ['no_security_key', 'bob'])
  })
})

test('a connection whose session was ended beside the running cloud is cut off within the minute', async () => {
  await inWorld(async (own) => {
    const { world, token } = own
    const other = await world.addPerson('ada', ['officer'], ['patrol'])
    const [mine, theirs] = [await world.connectPerson('bob', token), await world.connectPerson('ada', other)]
    // As a command on the host does, in a process of its own.
    world.sql("DELETE FROM sessions WHERE account = 'bob'")
    world.clock.advance(MINUTE_MS)
    await until('bob is cut off', async () => !mine.connected)
    assert.ok(theirs.connected)
  })
})

test('refusals of nobody known at the log-in are gathered, and written within the minute when nobody comes any more', async () => {
  await inWorld(async (own) => {
    for (let i = 0; i < 5; i += 1) await own.login({ account: `nobody-${i}` })
    const counts = async () =>
      (await own.world.audited('session.login')).map(({ rule, detail }) => [rule, detail.count])
    await until('the first is written', async () => (await counts()).length === 1)
    own.world.clock.advance(MINUTE_MS)
    await until('the repeats are written', async () => (await counts()).length === 2)
    assert.equal(await counts(), [
      ['unknown_account', 4],
      ['unknown_account', 1],
    ])
    assert.not.match(JSON.stringify(await own.world.audited('session.login')), /nobody-/)
  })
})

test.run()

/** Log-in by the agency's provider: a real one (the package oidc-provider) in a process of its own, over HTTPS with its own authority. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../../scripts/trial/ports.ts'
import { SECOND_MS, systemClock } from '../../shared/clock.ts'
import { newSecret } from '../../shared/ids.ts'
import { createLog } from '../../shared/log.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { callerOf, PASSWORD } from '../api/testing.ts'
import { openAuthority } from '../authority.ts'
import { type CloudConfig, cloudConfigSchema } from '../config.ts'
import { type RunningCloud, runCloud } from '../main.ts'
import { createMovableClock, type MovableClock, until } from '../testing.ts'
import { OIDC_CALLBACK, OIDC_HANDOVER_MS, OIDC_LOGIN_MS } from './oidc.ts'
import { createSecurityKey } from './testing.ts'
import { codeAt } from './totp.ts'

const PROGRAM = fileURLToPath(new URL('../../scripts/trial/provider-testing.ts', import.meta.url))
const SECRET = 'a secret of the client'

interface World {
  cloud: RunningCloud
  clock: MovableClock
  call: ReturnType<typeof callerOf>
  logLines: string[]
  /** A log-in as the page does it: where the browser ends up, and the secret that the page keeps. */
  logIn(name: string, amr?: string, change?: (back: URL) => URL): Promise<{ end: string; verifier: string }>
  redeem(end: string, verifier: string): ReturnType<World['call']>
  stopProvider(): Promise<void>
}

/** Subjects of the provider, by the name that they have there. */
const PEOPLE = { 'subject-1': 'bob', 'subject-2': 'nobody-here', 'subject-3': 'Bob', 'subject-4': 'ada' }

async function inWorld(change: Partial<CloudConfig>, work: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-oidc-'))
  const [port, httpsPort] = [await freePort(), await freePort()]
  let child: ChildProcess | null = null
  let cloud: RunningCloud | null = null
  try {
    const hostnames = ['localhost', '127.0.0.1']
    await mkdir(join(folder, 'provider'))
    const theirs = { folder: join(folder, 'provider'), agency: 'idp', hostnames, clock: systemClock }
    const { serverKeyPem: keyPem, serverCertPem: certPem, caPem } = await openAuthority(theirs)
    const redirectUri = `https://localhost:${httpsPort}${OIDC_CALLBACK}`
    const files = {
      provider: join(folder, 'provider.json'),
      secret: join(folder, 'secret'),
      ca: join(folder, 'idp.pem'),
    }
    const client = { clientId: 'candor', clientSecret: SECRET, redirectUri, people: PEOPLE }
    await writeFile(files.provider, JSON.stringify({ port, keyPem, certPem, ...client }))
    await writeFile(files.secret, `${SECRET}\n`)
    await writeFile(files.ca, caPem)
    const running = spawn(process.execPath, ['--import', 'tsx', PROGRAM, files.provider], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    child = running
    await once(running.stdout, 'data')

    const config = cloudConfigSchema.parse({
      ...{ agency: 'springfield', dataFolder: 'data', host: '127.0.0.1', mqttPort: 0, httpsPort, hostnames },
      oidc: {
        issuer: `https://localhost:${port}`,
        clientId: 'candor',
        clientSecretFile: 'secret',
        caFile: 'idp.pem',
        amr: ['mfa'],
      },
      ...change,
    })
    const logLines: string[] = []
    const log = createLog({ level: 'debug', part: 'cloud', target: { write: (line) => logLines.push(line) } })
    const clock = createMovableClock()
    cloud = await runCloud(config, folder, { log, clock })
    const add = (account: string, roles: ['officer'] | ['account-admin']) =>
      cloud?.parts.accounts.add({ account, password: PASSWORD, by: 'test', roles, groups: ['patrol'] })
    await add('bob', ['officer'])
    await add('ada', ['account-admin'])
    const call = callerOf(cloud)
    const follow = createFollow([cloud.caPem, caPem])
    await work({
      ...{ cloud, clock, call, logLines },
      async logIn(name, amr = 'pwd,mfa', changed = (back) => back) {
        const verifier = newSecret(32)
        const challenge = Buffer.from(sha256Hex(verifier), 'hex').toString('base64url')
        const end = await follow(`https://localhost:${httpsPort}/api/v1/login/oidc?challenge=${challenge}`, (url) => {
          if (url.pathname.startsWith('/interaction/'))
            return changed(new URL(`${url.pathname}/as?name=${name}&amr=${amr}`, url))
          return url.pathname === OIDC_CALLBACK || url.pathname === '/auth' ? changed(url) : url
        })
        return { end, verifier }
      },
      redeem(end, verifier) {
        const code = /^\/#login=(.+)$/.exec(end)?.[1]
        return call('POST', '/api/v1/login/oidc', { json: { code, verifier } })
      },
      async stopProvider() {
        running.kill()
        await once(running, 'exit')
      },
    })
  } finally {
    await cloud?.close()
    child?.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A browser without a screen: follows redirects, keeps cookies by host and port; ends where the page begins. */
function createFollow(ca: string[]) {
  return async (from: string, change: (url: URL) => URL): Promise<string> => {
    const cookies = new Map<string, Map<string, string>>()
    let url = new URL(from)
    for (let hops = 0; hops < 12; hops += 1) {
      const own = cookies.get(url.host) ?? new Map<string, string>()
      cookies.set(url.host, own)
      const headers = { cookie: [...own].map(([name, value]) => `${name}=${value}`).join('; ') }
      const { status, location, set } = await new Promise<{ status: number; location: string; set: string[] }>(
        (resolve, reject) => {
          const outgoing = request(url, { ca, headers, agent: false }, (incoming) => {
            incoming.resume()
            const { location: next = '', 'set-cookie': set = [] } = incoming.headers
            incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, location: next, set }))
          })
          outgoing.once('error', reject)
          outgoing.end()
        },
      )
      for (const line of set) {
        const [pair = ''] = line.split(';')
        own.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
      }
      if (status !== 302 && status !== 303) return `${status}`
      if (location.startsWith('/#')) return location
      url = change(new URL(location, url))
    }
    return 'round in circles'
  }
}

async function rulesOf({ cloud }: World): Promise<(string | null)[]> {
  const entries = await cloud.parts.audit.list({ before: null, limit: 100 })
  return entries.filter(({ operation }) => operation === 'session.login').map(({ rule }) => rule)
}

test('who the provider names gets the session of the account of that name, once, for the page that began', async () => {
  await inWorld({}, async (world) => {
    assert.equal((await world.call('GET', '/api/v1/login')).json, { passwordLogin: 'everyone', oidc: true })
    const { end, verifier } = await world.logIn('subject-1')
    assert.match(end, /^\/#login=/, end)
    const session = await world.redeem(end, verifier)
    assert.is(session.status, 200, session.body.toString())
    assert.equal([session.json.account, session.json.roles, session.json.mustEnrol], ['bob', ['officer'], false])
    assert.is((await world.call('GET', '/api/v1/alerts', { token: session.json.token })).status, 200)
    assert.is((await world.redeem(end, verifier)).status, 401, 'once')
    const other = await world.logIn('subject-1')
    assert.is((await world.redeem(other.end, newSecret(32))).status, 401, 'another page')
    const late = await world.logIn('subject-1')
    world.clock.advance(OIDC_HANDOVER_MS)
    assert.is((await world.redeem(late.end, late.verifier)).status, 401, 'too late')
    const entries = await world.cloud.parts.audit.list({ before: null, limit: 100 })
    const login = entries.find(({ operation, outcome }) => operation === 'session.login' && outcome === 'allowed')
    assert.equal(login?.detail, { by: 'oidc', factor: 'oidc', must_enrol: false })
    assert.not.match(JSON.stringify(entries) + world.logLines.join(), new RegExp(`${session.json.token}|${SECRET}`))
  })
})

test('a name without an account, a weak log-in, another person of the same name and a refusal open nothing, and are audited', async () => {
  await inWorld({}, async (world) => {
    const refused = async (name: string, amr?: string) =>
      assert.is((await world.logIn(name, amr)).end, '/#login-refused', name)
    await refused('subject-2')
    await refused('subject-1', 'pwd')
    await refused('refuse')
    const first = await world.logIn('subject-1')
    assert.is((await world.redeem(first.end, first.verifier)).status, 200)
    await refused('subject-3')
    assert.equal(await rulesOf(world), ['oidc_other_subject', null, 'oidc_refused', 'oidc_too_weak', 'unknown_account'])
    await world.cloud.parts.accounts.resetFactors('bob', 'ada')
    const next = await world.logIn('subject-3')
    assert.is((await world.redeem(next.end, next.verifier)).status, 200, 'an administrator has let go of the first')
    await world.cloud.parts.accounts.disable('bob', 'ada')
    const disabled = await world.logIn('subject-3')
    assert.is((await world.redeem(disabled.end, disabled.verifier)).status, 401)
    assert.is((await rulesOf(world))[0], 'account_disabled')
  })
})

test('an answer to nothing that was asked, of another log-in, changed or too late is refused', async () => {
  await inWorld({}, async (world) => {
    const changed = (name: string, value: string) => (back: URL) => {
      if (back.pathname !== OIDC_CALLBACK) return back
      back.searchParams.set(name, value)
      return back
    }
    for (const [name, value] of [
      ['state', newSecret(32)],
      ['code', 'made-up'],
      ['iss', 'https://localhost:1'],
    ] as const) {
      assert.is((await world.logIn('subject-1', 'mfa', changed(name, value))).end, '/#login-refused', name)
    }
    const late = (back: URL) => {
      if (back.pathname !== OIDC_CALLBACK) return back
      world.clock.advance(OIDC_LOGIN_MS)
      return back
    }
    assert.is((await world.logIn('subject-1', 'mfa', late)).end, '/#login-refused')
    let used: URL | null = null
    await world.logIn('subject-1', 'mfa', (back) => {
      used = new URL(back)
      return back
    })
    const replayed = await world.call('GET', `${OIDC_CALLBACK}${(used as URL | null)?.search ?? ''}`)
    assert.is(replayed.headers.location, '/#login-refused', 'the same answer again')
    await world.cloud.parts.denials.flush()
    const counts: Record<string, number> = {}
    for (const { operation, rule, detail } of await world.cloud.parts.audit.list({ before: null, limit: 100 })) {
      if (operation === 'session.login') counts[rule ?? ''] = (counts[rule ?? ''] ?? 0) + Number(detail.count)
    }
    assert.equal(counts, { oidc_unasked: 3, oidc_refused: 2 })
  })
})

test('where only account administrators log in by password, the others cannot, and are told no more than for a wrong one', async () => {
  await inWorld({ passwordLogin: 'account-admins' }, async (world) => {
    const login = (account: string, password: string) =>
      world.call('POST', '/api/v1/login', { json: { account, password } })
    const refused = await login('bob', PASSWORD)
    assert.is(refused.status, 401)
    assert.equal(refused.json, (await login('bob', 'not the password')).json)
    assert.is((await login('ada', PASSWORD)).status, 200)
    assert.equal(await rulesOf(world), [null, 'wrong_password', 'password_login_off'])
    const { end, verifier } = await world.logIn('subject-1')
    assert.is((await world.redeem(end, verifier)).status, 200)
    await world.stopProvider()
    assert.is((await login('ada', PASSWORD)).status, 200, 'without the provider as well')
  })
})

test('where only account administrators log in by password, nobody else’s security key is asked, nor counts', async () => {
  await inWorld({ passwordLogin: 'account-admins' }, async (world) => {
    const { factors } = world.cloud.parts
    const origin = `https://localhost:${world.cloud.httpsPort}`
    const keyOf = async (account: string) => {
      const key = createSecurityKey(origin)
      await factors.registerKey(account, 'key', key.register(await factors.startRegisteringKey(account)))
      return key
    }
    const ask = (account: string, password = PASSWORD) =>
      world.call('POST', '/api/v1/login/key', { json: { account, password } })
    const login = (account: string, key?: object) =>
      world.call('POST', '/api/v1/login', { json: { account, password: PASSWORD, key } })
    const [bobs, adas] = [await keyOf('bob'), await keyOf('ada')]

    const asked = await ask('ada')
    assert.is(asked.status, 200, asked.body.toString())
    assert.is((await login('ada', adas.answer(asked.json))).status, 200)

    const refused = await ask('bob')
    assert.is(refused.status, 401)
    assert.equal(refused.json, (await ask('bob', 'not the password')).json, 'no more than for a wrong password')
    assert.equal(refused.json, (await login('bob')).json, 'as a log-in by password alone')
    // Past the route that asks: a good answer of bob's own key.
    const challenge = (await factors.startAskingKey('bob')) ?? {}
    const answered = await login('bob', bobs.answer(challenge))
    assert.equal([answered.status, answered.json], [401, refused.json])
    const refusals = [...['password_login_off', 'password_login_off', 'wrong_password', 'password_login_off'], null]
    assert.equal(await rulesOf(world), refusals)
    assert.is(
      await factors.check('bob', { key: bobs.answer(challenge) }),
      'key',
      'the answer was good, and not used up',
    )
  })
})

test('a provider that does not answer is told as such, and a secret that is missing stops the start', async () => {
  await inWorld({}, async (world) => {
    await world.stopProvider()
    const reply = await world.call('GET', `/api/v1/login/oidc?challenge=${newSecret(32)}`)
    assert.equal([reply.status, reply.json.error.code], [503, 'unavailable'])
    assert.is((await world.call('GET', '/api/v1/login/oidc?challenge=short')).status, 400)
  })
  const folder = await mkdtemp(join(tmpdir(), 'candor-oidc-'))
  const oidc = { issuer: 'https://localhost:1', clientId: 'candor', clientSecretFile: 'missing', amr: ['mfa'] }
  const config = cloudConfigSchema.parse({
    agency: 'springfield',
    dataFolder: 'data',
    host: '127.0.0.1',
    mqttPort: 0,
    httpsPort: 0,
    oidc,
  })
  const started = await runCloud(config, folder, { log: createLog({ level: 'silent', part: 'test' }) }).then(
    () => 'started',
    (thrown: Error) => thrown.message,
  )
  assert.match(started, /clientSecretFile/)
  await rm(folder, { recursive: true, force: true })
})

test('an earlier log-in, which a provider that minds no `max_age` hands over, is refused', async () => {
  await inWorld({}, async (world) => {
    const longAgo = (ageMs: number) => (url: URL) => {
      url.searchParams.delete('max_age')
      if (url.pathname.startsWith('/interaction/')) {
        url.searchParams.set('ts', String(Math.floor((systemClock.nowMs() - ageMs) / SECOND_MS)))
      }
      return url
    }
    assert.match((await world.logIn('subject-1', 'mfa', longAgo(OIDC_LOGIN_MS / 2))).end, /^\/#login=/)
    assert.is((await world.logIn('subject-1', 'mfa', longAgo(2 * OIDC_LOGIN_MS))).end, '/#login-refused')
    await until('it is in the audit', async () => (await rulesOf(world))[0] === 'oidc_refused')
  })
})

test('a provider that does not say when somebody logged in there, although it was asked, is refused', async () => {
  await inWorld({}, async (world) => {
    // It sends `auth_time` for either of these; with neither of them it has no reason to.
    const without =
      (...names: string[]) =>
      (url: URL) => {
        for (const name of names) url.searchParams.delete(name)
        return url
      }
    const end = async (...names: string[]) => (await world.logIn('subject-1', 'mfa', without(...names))).end
    assert.match(await end('max_age'), /^\/#login=/)
    assert.match(await end('prompt'), /^\/#login=/)
    assert.is(await end('max_age', 'prompt'), '/#login-refused')
    await until('it is in the audit', async () => (await rulesOf(world))[0] === 'oidc_refused')
  })
})

test('a second factor here and one by the provider do not open the way around each other', async () => {
  await inWorld({}, async (world) => {
    const { accounts, factors } = world.cloud.parts
    const password = (account: string) => world.call('POST', '/api/v1/login', { json: { account, password: PASSWORD } })
    const { end, verifier } = await world.logIn('subject-1')
    assert.is((await world.redeem(end, verifier)).status, 200)
    const refused = await password('bob')
    assert.equal([refused.status, refused.json.error.code], [403, 'forbidden'], 'no session that could add a factor')
    assert.match(refused.json.error.hint, /provider/)

    await factors.confirmTotp('ada', codeAt(factors.startTotp('ada').secret, world.clock.nowMs()))
    assert.is((await world.logIn('subject-4')).end, '/#login-not-linked')
    assert.equal(await rulesOf(world), ['oidc_not_linked', 'provider_needed', null])
    await accounts.resetFactors('ada', null)
    const linked = await world.logIn('subject-4')
    assert.is((await world.redeem(linked.end, linked.verifier)).status, 200)
    await accounts.resetFactors('bob', null)
    assert.is((await password('bob')).json.mustEnrol, true)
  })
})

test.run()

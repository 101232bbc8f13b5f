/**
 * Who may call which route: the whole table, written down here by hand and by nobody's code, and every cell of it tried over
 * HTTP. A route that is not in the table fails, and so does a row without a route. What is refused is in the audit.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AuditEntry } from '../audit/entry.ts'
import { DENIAL_WINDOW_MS, MAX_DENIAL_KINDS } from '../denials.ts'
import type { Role } from '../permissions.ts'
import { inCloud, type TestCloud, until } from '../testing.ts'
import { createApi } from './api.ts'
import { callerOf, PASSWORD } from './testing.ts'

/**
 * Who may: `everyone` without a log-in; `enrolling` every session, also one that must add a second factor first; `session` every
 * full session; else the roles, and nobody but those.
 */
type Allowed = 'everyone' | 'enrolling' | 'session' | readonly Role[]

const ROLES = [
  ...['officer', 'supervisor', 'investigator', 'hotlist-admin', 'camera-technician', 'policy-admin'],
  ...['account-admin', 'auditor'],
] as const satisfies readonly Role[]

const ALERTS: Allowed = ['officer', 'supervisor', 'investigator']
const VERIFIERS: Allowed = ['officer', 'supervisor']
const LIST_READERS: Allowed = ['hotlist-admin', 'auditor']
const LIST_ADMINS: Allowed = ['hotlist-admin']
const INVESTIGATORS: Allowed = ['investigator']
const POLICY_ADMINS: Allowed = ['policy-admin']
const POLICY_READERS: Allowed = ['policy-admin', 'auditor']
const AUDITORS: Allowed = ['auditor']
const HOLDERS: Allowed = ['supervisor', 'investigator']
const TECHNICIANS: Allowed = ['camera-technician']
const ROLL_OUT_READERS: Allowed = ['camera-technician', 'auditor']
const LIST_ENTERERS: Allowed = ['supervisor', 'hotlist-admin']

/** By group; a new route is one line. */
const TABLE: Readonly<Record<string, Readonly<Record<string, Allowed>>>> = {
  'the page, health and documents': {
    'GET /': 'everyone',
    'GET /assets/icon.svg': 'everyone',
    'GET /assets/page.js': 'everyone',
    'GET /assets/page.js.LEGAL.txt': 'everyone',
    'GET /assets/style.css': 'everyone',
    'GET /health/live': 'everyone',
    'GET /health/ready': 'everyone',
    // To the server itself, which this test is.
    'GET /metrics': 'everyone',
    'GET /api/v1/openapi.json': 'everyone',
  },
  'set-up and log-in': {
    'POST /api/v1/setup': 'everyone',
    'GET /api/v1/login': 'everyone',
    'POST /api/v1/login': 'everyone',
    'POST /api/v1/login/key': 'everyone',
    'POST /api/v1/login/cli-code': 'everyone',
    'GET /api/v1/login/oidc': 'everyone',
    'POST /api/v1/login/oidc': 'everyone',
    'GET /api/v1/login/oidc/callback': 'everyone',
  },
  'releases and roll-outs': {
    // To who shows the token that its command carries.
    'GET /api/v1/releases/:sha256/bundle': 'everyone',
    'GET /api/v1/releases': ROLL_OUT_READERS,
    'GET /api/v1/releases/:sha256/parts': TECHNICIANS,
    'PUT /api/v1/releases/:sha256/parts': TECHNICIANS,
    'POST /api/v1/releases': TECHNICIANS,
    'DELETE /api/v1/releases/:sha256': TECHNICIANS,
    'GET /api/v1/roll-outs': ROLL_OUT_READERS,
    'POST /api/v1/roll-outs': TECHNICIANS,
    'GET /api/v1/roll-outs/:number': ROLL_OUT_READERS,
    'POST /api/v1/roll-outs/:number/approve': TECHNICIANS,
    'POST /api/v1/roll-outs/:number/pause': TECHNICIANS,
    'POST /api/v1/roll-outs/:number/resume': TECHNICIANS,
    'POST /api/v1/roll-outs/:number/advance': TECHNICIANS,
    'POST /api/v1/roll-outs/:number/end': TECHNICIANS,
    'POST /api/v1/roll-outs/:number/revert': TECHNICIANS,
  },
  'one’s own session and factors': {
    'GET /api/v1/me': 'enrolling',
    'POST /api/v1/logout': 'enrolling',
    'GET /api/v1/me/factors': 'enrolling',
    'POST /api/v1/me/factors/totp': 'enrolling',
    'POST /api/v1/me/factors/totp/confirm': 'enrolling',
    'POST /api/v1/me/factors/totp/remove': 'enrolling',
    'POST /api/v1/me/factors/keys': 'enrolling',
    'POST /api/v1/me/factors/keys/options': 'enrolling',
    'POST /api/v1/me/factors/keys/:name/remove': 'enrolling',
    'POST /api/v1/me/factors/recovery-codes': 'session',
    'POST /api/v1/me/cli-code': 'session',
    'POST /api/v1/me/password': 'session',
    'POST /api/v1/token': 'session',
    'GET /api/v1/status': 'session',
  },
  accounts: {
    'GET /api/v1/accounts': ['account-admin', 'auditor'],
    'POST /api/v1/accounts': ['account-admin'],
    'PATCH /api/v1/accounts/:account': ['account-admin'],
    'DELETE /api/v1/accounts/:account/factors': ['account-admin'],
  },
  alerts: {
    'GET /api/v1/alerts': ALERTS,
    'GET /api/v1/alerts/:alertId': ALERTS,
    'GET /api/v1/alerts/:alertId/crop': ALERTS,
    'POST /api/v1/alerts/:alertId/steps': VERIFIERS,
    'GET /api/v1/suppressions': ALERTS,
    'DELETE /api/v1/suppressions/:list/:entryId': VERIFIERS,
    'GET /api/v1/alert-rules': LIST_READERS,
    'PUT /api/v1/alert-rules': LIST_ADMINS,
    'DELETE /api/v1/alert-rules': LIST_ADMINS,
    'GET /api/v1/outcomes': ['supervisor', 'hotlist-admin', 'auditor'],
  },
  hotlists: {
    'GET /api/v1/hotlists': LIST_READERS,
    'PUT /api/v1/hotlists/:list': LIST_ADMINS,
    'PATCH /api/v1/hotlists/:list': LIST_ADMINS,
    'GET /api/v1/hotlists/:list/progress': LIST_ADMINS,
    'GET /api/v1/hotlists/:list/diff': LIST_ADMINS,
    'POST /api/v1/hotlists/:list/rollback': LIST_ADMINS,
    'POST /api/v1/hotlists/:list/pending/:version/approve': LIST_ADMINS,
    'POST /api/v1/hotlists/:list/pending/:version/reject': LIST_ADMINS,
    'GET /api/v1/list-entries': LIST_ENTERERS,
    'POST /api/v1/hotlists/:list/entries': LIST_ENTERERS,
    'POST /api/v1/hotlists/:list/entries/:entryId/approve': LIST_ADMINS,
    'POST /api/v1/hotlists/:list/entries/:entryId/reject': LIST_ADMINS,
    'POST /api/v1/hotlists/:list/entries/:entryId/end': LIST_ENTERERS,
    'GET /api/v1/list-mappings': LIST_READERS,
    'GET /api/v1/list-mappings/:name': LIST_READERS,
    'PUT /api/v1/list-mappings/:name': LIST_ADMINS,
    'DELETE /api/v1/list-mappings/:name': LIST_ADMINS,
    'POST /api/v1/hotlist-key': LIST_ADMINS,
    'GET /api/v1/signing-key': LIST_READERS,
    'POST /api/v1/signing-key': LIST_ADMINS,
  },
  cameras: {
    'GET /api/v1/cameras': ['camera-technician', 'auditor'],
    'POST /api/v1/cameras': ['camera-technician'],
    'POST /api/v1/cameras/:camera/replace': ['camera-technician'],
    'POST /api/v1/cameras/:camera/revoke': ['camera-technician'],
    'GET /api/v1/claims': ['camera-technician', 'auditor'],
    'POST /api/v1/claims': ['camera-technician'],
    'POST /api/v1/claims/:camera/approve': ['camera-technician'],
    'POST /api/v1/claims/:camera/reject': ['camera-technician'],
    'POST /api/v1/claims/:camera/revoke': ['camera-technician'],
    // Units that have nothing but a claim.
    'GET /api/v1/enrolment': 'everyone',
    'POST /api/v1/enrolment': 'everyone',
  },
  'stored reads': {
    'POST /api/v1/search': INVESTIGATORS,
    'POST /api/v1/search/:auditSeq/page': INVESTIGATORS,
    'POST /api/v1/search/:auditSeq/export': INVESTIGATORS,
    'POST /api/v1/search/agencies': INVESTIGATORS,
    'GET /api/v1/search/agencies/:askId': INVESTIGATORS,
    'GET /api/v1/sightings/:sightingId': INVESTIGATORS,
    'GET /api/v1/sightings/:sightingId/crop': INVESTIGATORS,
    'GET /api/v1/partners/:partner/picture': INVESTIGATORS,
  },
  'evidence holds': {
    'GET /api/v1/holds': ['supervisor', 'investigator', 'auditor'],
    'POST /api/v1/holds': HOLDERS,
    'GET /api/v1/holds/:holdId': HOLDERS,
    'GET /api/v1/holds/:holdId/sightings/:cameraId/:sightingId/crop': HOLDERS,
    'POST /api/v1/holds/:holdId/extend': HOLDERS,
    'POST /api/v1/holds/:holdId/release': HOLDERS,
  },
  sharing: {
    'GET /api/v1/partners/identity': POLICY_READERS,
    'GET /api/v1/partners': POLICY_READERS,
    'POST /api/v1/partners': POLICY_ADMINS,
    'POST /api/v1/partners/:partner/revoke': POLICY_ADMINS,
    'GET /api/v1/partners/:partner/grants': POLICY_READERS,
    'GET /api/v1/partners/:partner/reconcile': AUDITORS,
    'GET /api/v1/grants': POLICY_READERS,
    'POST /api/v1/grants': POLICY_ADMINS,
    'POST /api/v1/grants/:grantId/approve': POLICY_ADMINS,
    'POST /api/v1/grants/:grantId/reject': POLICY_ADMINS,
    'POST /api/v1/grants/:grantId/revoke': POLICY_ADMINS,
  },
  'review and publication': {
    'GET /api/v1/review/status': ['supervisor', 'auditor'],
    'GET /api/v1/review/findings': ['supervisor', 'auditor'],
    'GET /api/v1/review/findings/:findingId': ['supervisor', 'auditor'],
    'POST /api/v1/review/findings/:findingId/decision': ['supervisor'],
    'GET /api/v1/transparency/draft': POLICY_READERS,
    'GET /api/v1/transparency/reports': POLICY_READERS,
    'POST /api/v1/transparency/reports': POLICY_ADMINS,
    'GET /transparency': 'everyone',
    'GET /transparency/': 'everyone',
    'GET /transparency/reports/:reportId/': 'everyone',
    'GET /transparency/reports/:reportId/manifest.json': 'everyone',
    'GET /transparency/reports/:reportId/report.csv': 'everyone',
    'GET /transparency/reports/:reportId/report.json': 'everyone',
  },
  'policy and other programs': {
    'GET /api/v1/policy': 'session',
    'GET /api/v1/policy/history': 'session',
    'GET /api/v1/policy/versions/:version': 'session',
    'GET /api/v1/policy/diff': 'session',
    'GET /api/v1/policy/profiles': 'session',
    'GET /api/v1/policy/profiles/:profile': 'session',
    'POST /api/v1/policy/preview': POLICY_READERS,
    'PATCH /api/v1/policy': POLICY_ADMINS,
    'GET /api/v1/policy/proposals': POLICY_READERS,
    'POST /api/v1/policy/proposals/:number/approve': POLICY_ADMINS,
    'POST /api/v1/policy/proposals/:number/reject': POLICY_ADMINS,
    'POST /api/v1/policy/proposals/:number/withdraw': POLICY_ADMINS,
    'GET /api/v1/webhooks': ['policy-admin', 'auditor'],
    'POST /api/v1/webhooks': ['policy-admin'],
    'DELETE /api/v1/webhooks/:webhook': ['policy-admin'],
    'POST /api/v1/webhooks/:webhook/secret': ['policy-admin'],
    'POST /api/v1/webhooks/:webhook/test': ['policy-admin'],
    'POST /api/v1/webhooks/:webhook/pause': ['policy-admin'],
    'POST /api/v1/webhooks/:webhook/resume': ['policy-admin'],
  },
  audit: {
    'GET /api/v1/audit': AUDITORS,
    'POST /api/v1/audit/verify': AUDITORS,
    'POST /api/v1/audit/searched': AUDITORS,
    'POST /api/v1/audit/trace': AUDITORS,
    'GET /api/v1/audit/entries/:seq/proof': AUDITORS,
    'GET /api/v1/audit/witnesses': AUDITORS,
    'PUT /api/v1/audit/witnesses/:witness': POLICY_ADMINS,
    'DELETE /api/v1/audit/witnesses/:witness': POLICY_ADMINS,
    'POST /api/v1/audit/cosignatures': POLICY_ADMINS,
    // Hashes and signatures: for anybody.
    'GET /audit/checkpoint': 'everyone',
    'GET /audit/checkpoint.cosigned': 'everyone',
    'GET /audit/consistency': 'everyone',
    'GET /audit/key': 'everyone',
    'GET /audit/tile/*': 'everyone',
    'GET /audit/verify.mjs': 'everyone',
  },
}

const ROUTES: readonly [string, Allowed][] = Object.values(TABLE).flatMap((group) => Object.entries(group))
/** They end or replace the session that calls them. */
const ENDS_SESSION = new Set(['POST /api/v1/token', 'POST /api/v1/logout'])
/** Calls at once: the cloud is as busy as with a few people. */
const AT_ONCE = 8

/** Who calls: without a session, with one that must add a factor first, or with a full one of a single role. */
type Caller = 'nobody' | 'enrolling' | Role

function isAllowed(allowed: Allowed, caller: Caller): boolean {
  if (allowed === 'everyone') return true
  if (caller === 'nobody') return false
  if (allowed === 'enrolling') return true
  if (caller === 'enrolling') return false
  return allowed === 'session' || allowed.includes(caller)
}

/** Every route that the server has, as Fastify itself lists them: also those that the OpenAPI document hides. */
function routesOf(printed: string): string[] {
  const path: string[] = []
  const routes: string[] = []
  for (const line of printed.split('\n')) {
    const found = /^(.*?)[├└]── (\S+)(?: \((.+)\))?$/.exec(line)
    if (found === null) continue
    const depth = (found[1] ?? '').length / 4
    path.length = depth
    path[depth] = found[2] ?? ''
    const url = `/${path.slice(1).join('')}`
    for (const method of (found[3] ?? '').split(', '))
      if (method !== '' && method !== 'HEAD') routes.push(`${method} ${url}`)
  }
  return routes
}

async function tokenOf(world: TestCloud, caller: Caller): Promise<string | undefined> {
  if (caller === 'nobody') return undefined
  const { accounts } = world.cloud.parts
  const result =
    caller === 'enrolling'
      ? await accounts.login({ account: caller, password: PASSWORD, source: 'test' })
      : await accounts.admit({ account: caller, source: 'test', factor: 'totp' })
  return result.ok ? result.token : (assert.unreachable(`${caller}: ${result.rule}`) as never)
}

async function refusalsOf(world: TestCloud, caller: Caller): Promise<Set<string>> {
  const routes = new Set<string>()
  let before: number | null = null
  for (;;) {
    const entries: AuditEntry[] = await world.cloud.parts.audit.list({ before, limit: 500 })
    for (const { operation, actor, subject, seq } of entries) {
      before = seq
      const isTheirs =
        caller === 'nobody'
          ? operation === 'api.denied'
          : operation === 'permission.refused' && actor.account === caller
      if (isTheirs && subject !== null) routes.add(subject.id)
    }
    if (entries.length < 500) return routes
  }
}

test('every route of the server stands in the table, and every row of the table is a route', async () => {
  await inCloud(async (world) => {
    const app = await createApi(world.cloud.parts)
    const routes = routesOf(app.printRoutes())
    await app.close()
    assert.ok(routes.length > 60, `${routes.length} routes`)
    // A column of the table whose role no account can hold would say nothing.
    assert.equal(routes.sort(), ROUTES.map(([route]) => route).sort())
  })
})

test('each role reaches what the table allows it and nothing else, and every refusal is in the audit', async () => {
  await inCloud(
    async (world) => {
      const call = callerOf(world.cloud)
      const { accounts } = world.cloud.parts
      const add = (account: string, roles: readonly Role[]) =>
        accounts.add({ account, password: PASSWORD, by: 'test', roles, groups: ['patrol'] })
      for (const role of ROLES) await add(role, [role])
      await add('enrolling', ROLES)

      async function one(caller: Caller, token: string | undefined, route: string, allowed: Allowed): Promise<void> {
        const [method = '', pattern = ''] = route.split(' ')
        const own = ENDS_SESSION.has(route) ? await tokenOf(world, caller) : token
        const reply = await call(method, pattern.replace(/:[a-zA-Z]+/g, 'x'), {
          ...(own === undefined ? {} : { token: own }),
          // Nothing that a route takes: who is let through changes nothing.
          ...(method === 'GET' || method === 'DELETE' ? {} : { json: { matrix: true } }),
        })
        const name = `${caller}: ${route} answers ${reply.status} ${reply.body.toString().slice(0, 200)}`
        assert.ok(reply.status < 500, name)
        if (!isAllowed(allowed, caller)) assert.is(reply.status, caller === 'nobody' ? 401 : 403, name)
        else assert.ok(reply.status !== 401 && reply.status !== 403 && reply.status !== 429, name)
      }

      for (const caller of ['nobody', 'enrolling', ...ROLES] as const) {
        const token = await tokenOf(world, caller)
        const refused = ROUTES.filter(([, allowed]) => !isAllowed(allowed, caller)).map(([route]) => route)
        for (let i = 0; i < ROUTES.length; i += AT_ONCE) {
          // So many refusals of nobody known are told apart in a minute.
          if (caller === 'nobody' && i % (MAX_DENIAL_KINDS - AT_ONCE) < AT_ONCE) world.clock.advance(DENIAL_WINDOW_MS)
          await Promise.all(ROUTES.slice(i, i + AT_ONCE).map(([route, allowed]) => one(caller, token, route, allowed)))
        }
        await until(
          `refusals of ${caller} are written`,
          async () => (await refusalsOf(world, caller)).size >= refused.length,
        )
        assert.equal([...(await refusalsOf(world, caller))].sort(), refused.sort(), caller)
      }
    },
    { secondFactor: 'required' },
  )
})

test('a token that is none, and a HEAD in the place of a GET, open nothing more', async () => {
  await inCloud(async (world) => {
    const call = callerOf(world.cloud)
    for (const [route, allowed] of ROUTES) {
      if (allowed === 'everyone') continue
      const [method = '', pattern = ''] = route.split(' ')
      const path = pattern.replace(/:[a-zA-Z]+/g, 'x')
      assert.is((await call(method, path, { token: 'x'.repeat(43) })).status, 401, route)
      if (method === 'GET') assert.is((await call('HEAD', path)).status, 401, `HEAD ${path}`)
    }
  })
})

test('no person gets the role of another agency, by no way', async () => {
  await inCloud(async (world) => {
    const call = callerOf(world.cloud)
    const { accounts } = world.cloud.parts
    const token = await world.addPerson('ada', ['account-admin'], [])
    await world.addPerson('bob', ['officer'], [])
    const json = { account: 'eve', password: PASSWORD, roles: ['partner'], groups: [] }
    assert.is((await call('POST', '/api/v1/accounts', { token, json })).status, 400)
    const change = { roles: ['officer', 'partner'], groups: [] }
    assert.is((await call('PATCH', '/api/v1/accounts/bob', { token, json: change })).status, 400)
    const refusal = (work: Promise<unknown>) =>
      work.then(
        () => 'done',
        (thrown: Error) => thrown.message,
      )
    const rights = { roles: ['partner'] as const, groups: [] }
    assert.match(
      await refusal(accounts.add({ account: 'eve', password: PASSWORD, by: 'ada', ...rights })),
      /no role partner/,
    )
    assert.match(await refusal(accounts.setRights('bob', rights, 'ada')), /no role partner/)
    assert.equal((await accounts.find('bob'))?.roles, ['officer'])
  })
})

test.run()

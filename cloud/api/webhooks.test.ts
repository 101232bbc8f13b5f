/** Routes of webhooks: who may, what is shown, what is written down. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../testing.ts'
import { MAX_WEBHOOK_URL } from '../webhooks/address.ts'
import { openReceiver } from '../webhooks/testing.ts'
import { MAX_WEBHOOK_GROUPS, WEBHOOK_LIMITS } from '../webhooks.ts'
import { audited, inWorld, type World } from './testing.ts'

const HOOKS = '/api/v1/webhooks'
const ROUTES = [
  ['POST', HOOKS],
  ['POST', `${HOOKS}/dispatch/secret`],
  ['POST', `${HOOKS}/dispatch/test`],
  ['POST', `${HOOKS}/dispatch/pause`],
  ['POST', `${HOOKS}/dispatch/resume`],
  ['DELETE', `${HOOKS}/dispatch`],
] as const

const body = (change: object = {}) => ({
  ...{ webhook: 'dispatch', url: 'https://dispatch.example:8443/hook/token?key=1', groups: ['patrol'] },
  ...change,
})
const add = (world: World, token: string, change: object = {}) =>
  world.call('POST', HOOKS, { token, json: body(change) })

test('a policy administrator manages webhooks, an auditor sees them, and nobody else does either', async () => {
  await inWorld(async (world) => {
    const paula = await world.as('policy-admin')
    assert.is((await add(world, paula)).status, 201)
    const auditor = await world.as('auditor')
    assert.is((await world.call('GET', HOOKS, { token: auditor })).json.webhooks.length, 1)
    const others = await world.as(
      'officer',
      'supervisor',
      'investigator',
      'hotlist-admin',
      'camera-technician',
      'account-admin',
    )
    assert.is((await world.call('GET', HOOKS, { token: others })).status, 403)
    assert.is((await world.call('GET', HOOKS)).status, 401)
    for (const token of [auditor, others]) {
      for (const [method, path] of ROUTES) assert.is((await world.call(method, path, { token })).status, 403, path)
    }
    const refused = (await audited(world)).filter(({ rule }) => rule === 'webhooks.write')
    assert.is(refused.length, 2 * ROUTES.length)
    assert.is((await world.call('GET', HOOKS, { token: paula })).json.webhooks[0].state, 'ok', 'nothing was done')
  })
})

test('each change is in the audit with its origin and groups, and never with the secret or the path, which no answer shows again', async () => {
  const receiver = await openReceiver()
  try {
    await inWorld(async (world) => {
      const paula = await world.as('policy-admin')
      const added = await add(world, paula, { url: receiver.url, groups: ['patrol', 'night'], includePlate: true })
      assert.is(added.status, 201)
      const secrets = [added.json.secret]
      assert.match(secrets[0], /^[\w-]{43}$/)
      const call = (method: string, ending: string) =>
        world.call(method, `${HOOKS}/dispatch${ending}`, { token: paula })
      assert.is((await call('POST', '/pause')).status, 204)
      assert.is((await call('POST', '/pause')).status, 409)
      assert.is((await call('POST', '/resume')).status, 204)
      assert.is((await call('POST', '/resume')).status, 409)
      secrets.push((await call('POST', '/secret')).json.secret)
      assert.is(new Set(secrets).size, 2)
      const tested = (await call('POST', '/test')).json
      assert.equal([tested.delivered, tested.status, tested.reason], [true, 200, null])
      receiver.answer = 401
      assert.equal((await call('POST', '/test')).json.reason, 'status 401')
      const listed = await world.call('GET', HOOKS, { token: paula })
      const [hook] = listed.json.webhooks
      assert.equal(
        [hook.origin, hook.groups, hook.includePlate, hook.createdBy],
        [new URL(receiver.url).origin, ['night', 'patrol'], true, 'person-1'],
      )
      assert.is((await call('DELETE', '')).status, 204)
      for (const ending of ['/pause', '/resume', '/secret', '/test'])
        assert.is((await call('POST', ending)).status, 404)
      assert.is((await call('DELETE', '')).status, 404)

      const entries = (await audited(world)).filter(({ operation }) => operation.startsWith('webhook.'))
      const said = entries.map(({ operation, outcome }) => `${operation.slice(8)} ${outcome}`).reverse()
      const refusal = (verb: string) => [`${verb} allowed`, `${verb} refused`]
      assert.equal(said, [
        ...['add allowed', 'pause allowed', ...refusal('pause'), 'resume allowed', ...refusal('resume')],
        ...['replace_secret allowed', 'test allowed', 'test allowed', 'remove allowed'],
        ...['pause', 'resume', 'replace_secret', 'test', 'remove'].flatMap(refusal),
      ])
      const origin = new URL(receiver.url).origin
      assert.equal(entries.at(-1)?.detail, { origin, groups: ['patrol', 'night'], includePlate: true, notices: [] })
      assert.ok(entries.every(({ actor, subject }) => actor.account === 'person-1' && subject?.id === 'dispatch'))
      const text = `${JSON.stringify(entries)} ${listed.body} ${world.logLines.join('')}`
      for (const secret of [...secrets, 'token-in-the-path']) assert.not.ok(text.includes(secret), secret)
    })
  } finally {
    await receiver.close()
  }
})

test('an address, its groups and the number of webhooks go up to their limits and not above', async () => {
  await inWorld(async (world) => {
    const paula = await world.as('policy-admin')
    const statusOf = async (change: object) => (await add(world, paula, change)).status
    const groups = (count: number) => Array.from({ length: count }, (_, i) => `group-${i}`)
    const url = (length: number) => `https://dispatch.example/${'a'.repeat(length - 25)}`
    for (const change of [
      { url: url(MAX_WEBHOOK_URL + 1) },
      { url: 'http://dispatch.example/' },
      { url: 'https://169.254.169.254/' },
      { groups: groups(MAX_WEBHOOK_GROUPS + 1) },
      { groups: [] },
      { groups: ['Patrol'] },
      { webhook: 'Not A Slug' },
      { extra: 1 },
    ]) {
      const { status, json } = await add(world, paula, change)
      assert.is(status, 400, JSON.stringify(change))
      assert.not.match(json.error.message, /dispatch\.example/, 'what was sent is not said again')
    }
    assert.is(await statusOf({ url: url(MAX_WEBHOOK_URL), groups: groups(MAX_WEBHOOK_GROUPS) }), 201)
    assert.is(await statusOf({}), 409)
    for (let number = 2; number <= WEBHOOK_LIMITS.maxWebhooks; number += 1) {
      assert.is(await statusOf({ webhook: `hook-${number}` }), 201)
    }
    assert.is(await statusOf({ webhook: 'one-more' }), 413)
    assert.is((await world.call('GET', HOOKS, { token: paula })).json.webhooks.length, WEBHOOK_LIMITS.maxWebhooks)
  })
})

test('one test of a webhook runs at a time', async () => {
  const receiver = await openReceiver()
  try {
    await inWorld(async (world) => {
      const paula = await world.as('policy-admin')
      await add(world, paula, { url: receiver.url })
      let release = () => {}
      receiver.answer = (to) => {
        release = () => to.end()
      }
      const run = () => world.call('POST', `${HOOKS}/dispatch/test`, { token: paula })
      const first = run()
      await until('it is on its way', () => receiver.got.length === 1)
      assert.is((await run()).status, 409)
      release()
      assert.is((await first).json.delivered, true)
      assert.is(receiver.got.length, 1)
    })
  } finally {
    await receiver.close()
  }
})

test.run()

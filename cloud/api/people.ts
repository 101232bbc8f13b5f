/** Routes of set-up, sessions and accounts; how a session is opened stands in login.ts. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { MAX_GROUPS_PER_ACCOUNT } from '../accounts/rights.ts'
import type { Session } from '../accounts/sessions.ts'
import type { CloudParts } from '../parts.ts'
import { PERMISSIONS, PERSON_ROLES, permissionsOf, ROLES } from '../permissions.ts'
import type { Door, TypedApi } from './door.ts'

/** Log-ins and set-ups from one address in a minute; the lock-out counts by account. */
export const MAX_LOGINS_PER_MINUTE = 20
/** Longest password that is read at all, characters. */
const MAX_PASSWORD_FIELD = 1_024

export const passwordSchema = z.string().max(MAX_PASSWORD_FIELD)
const rolesSchema = z.array(z.enum(PERSON_ROLES)).max(PERSON_ROLES.length)
const groupsSchema = z.array(slugSchema).max(MAX_GROUPS_PER_ACCOUNT)

export const sessionSchema = z.object({
  token: z.string().describe('for `Authorization: Bearer …`, and as the password of MQTT'),
  expiresAtMs: timeMsSchema,
  account: slugSchema,
  roles: z.array(z.enum(ROLES)),
  groups: groupsSchema,
  mustEnrol: z.boolean().describe('the account has no second factor: nothing but adding one is let through'),
})

export const accountSchema = z.object({
  account: slugSchema,
  roles: z.array(z.enum(ROLES)),
  groups: groupsSchema,
  state: z.enum(['active', 'locked', 'disabled']),
  createdAtMs: timeMsSchema,
  createdBy: slugSchema.nullable(),
  passwordChangedAtMs: timeMsSchema,
})

const accountParams = z.object({ account: slugSchema })
export const limited = { rateLimit: { max: MAX_LOGINS_PER_MINUTE, timeWindow: 60_000 } }

export function describe(token: string, session: Session) {
  return {
    token,
    expiresAtMs: session.expiresAtMs,
    account: session.account,
    roles: [...session.roles],
    groups: [...session.groups],
    mustEnrol: session.mustEnrol,
  }
}

export function registerPeople(app: TypedApi, parts: CloudParts, door: Door): void {
  const { accounts, denials, firstRun } = parts
  const writes = door.guard('accounts.write')
  const subject = (account: string) => ({ kind: 'account', id: account })

  app.route({
    method: 'POST',
    url: '/api/v1/setup',
    config: limited,
    schema: {
      summary: 'Makes the first administrator with the one-time code; then never again',
      body: z.strictObject({ code: z.string().max(100), account: slugSchema, password: passwordSchema }),
      response: { 200: accountSchema },
    },
    async handler(request) {
      const { account } = request.body
      try {
        await firstRun.check(request.body.code)
      } catch (thrown) {
        const who = 'POST /api/v1/setup'
        denials.note({ door: 'setup', rule: 'setup_refused', who, address: request.ip, topic: null })
        throw thrown
      }
      return door.audited(request, { operation: 'account.first', subject: subject(account) }, async () =>
        present(await firstRun.complete(request.body)),
      )
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/token',
    onRequest: door.guard(null),
    schema: {
      summary: 'A new token for the same session; the old one is void at once',
      response: { 200: sessionSchema },
    },
    async handler(request) {
      const renewed = await accounts.renew(request.token)
      return describe(renewed.token, renewed.session)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/logout',
    onRequest: door.guard(null, { mayEnrol: true }),
    schema: { summary: 'Ends this session', response: { 204: z.null() } },
    async handler(request, reply) {
      await door.audit(request, { operation: 'session.logout' })
      await accounts.logout(door.session(request))
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/me',
    onRequest: door.guard(null, { mayEnrol: true }),
    schema: {
      summary: 'Who I am and what I may do',
      response: {
        200: sessionSchema
          .omit({ token: true })
          .extend({ permissions: z.array(z.enum(PERMISSIONS as [string, ...string[]])) }),
      },
    },
    async handler(request) {
      const session = door.session(request)
      const { token: _, ...rest } = describe('', session)
      return { ...rest, permissions: permissionsOf(session.roles) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/password',
    config: limited,
    onRequest: door.guard(null),
    schema: {
      summary: 'Changes the own password; ends the account’s other sessions',
      body: z.strictObject({ current: passwordSchema, next: passwordSchema }),
      response: { 204: z.null() },
    },
    async handler(request, reply) {
      const session = door.session(request)
      await door.audited(request, { operation: 'account.password_change', subject: subject(session.account) }, () =>
        accounts.changePassword(session, request.body),
      )
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/accounts',
    onRequest: door.guard('accounts.read'),
    schema: { summary: 'All accounts', response: { 200: z.object({ accounts: z.array(accountSchema) }) } },
    handler: async () => ({ accounts: (await accounts.list()).map(present) }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/accounts',
    onRequest: writes,
    schema: {
      summary: 'Adds an account',
      body: z.strictObject({ account: slugSchema, password: passwordSchema, roles: rolesSchema, groups: groupsSchema }),
      response: { 201: accountSchema },
    },
    async handler(request, reply) {
      const { account, roles, groups } = request.body
      const by = door.session(request).account
      const added = await door.audited(
        request,
        { operation: 'account.add', subject: subject(account), detail: { roles, groups } },
        () => accounts.add({ ...request.body, by }),
      )
      return reply.code(201).send(present(added))
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/accounts/:account',
    onRequest: writes,
    schema: {
      summary: 'Changes roles, groups, state or password of another account; ends its sessions',
      params: accountParams,
      body: z.union([
        z.strictObject({ roles: rolesSchema, groups: groupsSchema }),
        z.strictObject({ disabled: z.boolean() }),
        z.strictObject({ locked: z.literal(false) }),
        z.strictObject({ password: passwordSchema }),
      ]),
      response: { 200: accountSchema },
    },
    async handler(request) {
      const { account } = request.params
      const { body } = request
      const by = door.session(request).account
      const run = <T>(operation: string, work: () => Promise<T>, detail: Record<string, string[]> = {}) =>
        door.audited(request, { operation, subject: subject(account), detail }, work)
      if ('roles' in body) {
        const { roles, groups } = body
        return present(await run('account.set_rights', () => accounts.setRights(account, body, by), { roles, groups }))
      }
      if ('disabled' in body) {
        if (body.disabled) return present(await run('account.disable', () => accounts.disable(account, by)))
        return present(await run('account.enable', () => accounts.enable(account, by)))
      }
      if ('locked' in body) return present(await run('account.unlock', () => accounts.unlock(account, by)))
      return present(await run('account.password_reset', () => accounts.resetPassword(account, body.password, by)))
    },
  })
}

export function present<T extends { roles: readonly unknown[]; groups: readonly string[] }>(account: T) {
  return { ...account, roles: [...account.roles] as T['roles'][number][], groups: [...account.groups] }
}

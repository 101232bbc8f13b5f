/** Routes of second factors: one's own, with the password asked again, and their reset by an account administrator. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import type { Factor } from '../accounts/factors.ts'
import { MAX_KEYS_PER_ACCOUNT } from '../accounts/security-keys.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { accountSchema, limited, passwordSchema, present } from './people.ts'

const passwordBody = z.strictObject({ password: passwordSchema })
const recoveryCodesSchema = z.array(z.string()).nullable().describe('shown once; null: the account keeps those it has')
/** The standard's own JSON, looked into by the package that verifies it. */
export const keyDocumentSchema = z
  .looseObject({ id: z.string().max(2_048) })
  .describe('PublicKeyCredential.toJSON() [WebAuthn Level 3]')
export const codeSchema = z.string().min(1).max(64)

export function registerFactors(app: TypedApi, parts: CloudParts, door: Door): void {
  const { accounts, factors } = parts
  // An account that must add a factor comes this far.
  const own = door.guard(null, { mayEnrol: true })
  const subject = (account: string) => ({ kind: 'account', id: account })

  app.route({
    method: 'GET',
    url: '/api/v1/me/factors',
    onRequest: own,
    schema: {
      summary: 'My second factors',
      response: {
        200: z.object({
          mustEnrol: z.boolean().describe('nothing but adding one is let through'),
          totp: z.object({ addedAtMs: timeMsSchema }).nullable(),
          keys: z
            .array(z.object({ name: slugSchema, addedAtMs: timeMsSchema, usedAtMs: timeMsSchema.nullable() }))
            .max(MAX_KEYS_PER_ACCOUNT),
          recoveryCodesLeft: z.int().min(0),
        }),
      },
    },
    async handler(request) {
      const { account, mustEnrol } = door.session(request)
      return { mustEnrol, ...(await factors.summary(account)) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/totp',
    config: limited,
    onRequest: own,
    schema: {
      summary: 'A secret for an authenticator app, shown once; it counts when a code has confirmed it',
      body: passwordBody,
      response: { 200: z.object({ secret: z.string().describe('base32'), uri: z.string().describe('otpauth:…') }) },
    },
    async handler(request) {
      const session = door.session(request)
      return door.audited(request, { operation: 'factor.totp_start', subject: subject(session.account) }, async () => {
        await accounts.confirmPassword(session, request.body.password)
        return factors.startTotp(session.account)
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/totp/confirm',
    config: limited,
    onRequest: own,
    schema: {
      summary: 'Adds the authenticator app, or puts it in the place of the one before; ends my other sessions',
      body: z.strictObject({ code: codeSchema }),
      response: { 200: z.object({ recoveryCodes: recoveryCodesSchema }) },
    },
    async handler(request) {
      const session = door.session(request)
      const record = { operation: 'factor.totp_add', subject: subject(session.account) }
      return door.audited(request, record, async () => {
        const recoveryCodes = await factors.confirmTotp(session.account, request.body.code)
        await accounts.factorsChanged(session, 'totp')
        return { recoveryCodes }
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/totp/remove',
    config: limited,
    onRequest: own,
    schema: { summary: 'Removes the authenticator app', body: passwordBody, response: { 204: z.null() } },
    async handler(request, reply) {
      const { account } = door.session(request)
      await door.audited(request, { operation: 'factor.totp_remove', subject: subject(account) }, () =>
        remove(request, request.body.password, null),
      )
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/keys/options',
    config: limited,
    onRequest: own,
    schema: {
      summary: 'What a browser needs to make a security key (PublicKeyCredentialCreationOptionsJSON)',
      body: passwordBody,
      response: { 200: z.looseObject({ challenge: z.string() }) },
    },
    async handler(request) {
      const session = door.session(request)
      const record = { operation: 'factor.key_start', subject: subject(session.account) }
      return door.audited(request, record, async () => {
        await accounts.confirmPassword(session, request.body.password)
        return (await factors.startRegisteringKey(session.account)) as { challenge: string }
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/keys',
    config: limited,
    onRequest: own,
    schema: {
      summary: 'Adds a security key under a name of its own; ends my other sessions',
      body: z.strictObject({ name: slugSchema, response: keyDocumentSchema }),
      response: { 200: z.object({ recoveryCodes: recoveryCodesSchema }) },
    },
    async handler(request) {
      const session = door.session(request)
      const { name, response } = request.body
      const record = { operation: 'factor.key_add', subject: subject(session.account), detail: { name } }
      return door.audited(request, record, async () => {
        const recoveryCodes = await factors.registerKey(session.account, name, response)
        await accounts.factorsChanged(session, 'key')
        return { recoveryCodes }
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/keys/:name/remove',
    config: limited,
    onRequest: own,
    schema: {
      summary: 'Removes a security key',
      params: z.object({ name: slugSchema }),
      body: passwordBody,
      response: { 204: z.null() },
    },
    async handler(request, reply) {
      const { account } = door.session(request)
      const { name } = request.params
      await door.audited(request, { operation: 'factor.key_remove', subject: subject(account), detail: { name } }, () =>
        remove(request, request.body.password, name),
      )
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/factors/recovery-codes',
    config: limited,
    onRequest: door.guard(null),
    schema: {
      summary: 'New recovery codes in the place of the old ones, shown once',
      body: passwordBody,
      response: { 200: z.object({ recoveryCodes: recoveryCodesSchema }) },
    },
    async handler(request) {
      const session = door.session(request)
      const record = { operation: 'factor.recovery_codes', subject: subject(session.account) }
      return door.audited(request, record, async () => {
        await accounts.confirmPassword(session, request.body.password)
        if (!(await factors.has(session.account))) throw new AppError('conflict', 'there is no second factor yet')
        return { recoveryCodes: await factors.newRecoveryCodes(session.account) }
      })
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/accounts/:account/factors',
    onRequest: door.guard('accounts.write'),
    schema: {
      summary: 'Removes every second factor of another account, for who has lost them; ends its sessions',
      params: z.object({ account: slugSchema }),
      response: { 200: accountSchema },
    },
    async handler(request) {
      const { account } = request.params
      const by = door.session(request).account
      return present(
        await door.audited(request, { operation: 'factor.reset', subject: subject(account) }, () =>
          accounts.resetFactors(account, by),
        ),
      )
    },
  })

  async function remove(request: Parameters<Door['session']>[0], password: string, name: string | null): Promise<void> {
    const session = door.session(request)
    await accounts.confirmPassword(session, password)
    await factors.remove(session.account, name, parts.secondFactor === 'optional')
    const factor: Factor | null = (await factors.has(session.account)) ? session.factor : null
    await accounts.factorsChanged(session, factor)
  }
}

/** Routes by which a session is opened: password and second factor, the agency's provider, a code for a terminal. */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { OIDC_CALLBACK } from '../accounts/oidc.ts'
import type { LoginResult } from '../accounts.ts'
import type { Denial } from '../denials.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { codeSchema, keyDocumentSchema } from './factors.ts'
import { describe, limited, passwordSchema, sessionSchema } from './people.ts'

/** Base64url of 32 bytes. */
const secretSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

export function registerLogin(app: TypedApi, parts: CloudParts, door: Door): void {
  const { accounts, audit, cliCodes, denials, factors, oidc } = parts
  const subject = (account: string) => ({ kind: 'account', id: account })

  /** The one answer to all that went wrong but, the password being right, a second factor that is still to be shown. */
  function refusal(rule: string): AppError {
    if (rule === 'second_factor_missing') {
      return new AppError('second_factor_required', 'this account has a second factor', {
        hint: 'give the code of your authenticator app or a recovery code, or use your security key on the page',
      })
    }
    if (rule === 'provider_needed') {
      return new AppError('forbidden', 'this account logs in by the agency’s provider', {
        hint: 'log in by the provider on the page; where it cannot be reached any more, have your factors reset',
      })
    }
    return new AppError('unauthenticated', 'account, password or code is not right', {
      hint: 'after 5 failures the account is locked until an administrator unlocks it',
    })
  }

  /** Of nobody known: gathered. What was typed for an account that does not exist may be a password in the wrong field. */
  function refuseUnknown(request: FastifyRequest, rule: Denial): never {
    const { method, routeOptions, ip } = request
    denials.note({ door: 'login', rule, who: `${method} ${routeOptions.url ?? ''}`, address: ip, topic: null })
    throw refusal(rule)
  }

  async function refuse(
    request: FastifyRequest,
    rule: string,
    account: string,
    detail: Record<string, string | boolean>,
  ): Promise<never> {
    if (rule === 'unknown_account') refuseUnknown(request, rule)
    await audit.append({
      operation: 'session.login',
      outcome: 'refused',
      rule,
      actor: door.actor(request),
      subject: subject(account),
      detail,
    })
    throw refusal(rule)
  }

  /** Audited either way; throws the refusal. */
  async function opened(request: FastifyRequest, account: string, result: LoginResult, by: string) {
    if (!result.ok) return refuse(request, result.rule, account, { by, locked: result.locked })
    const { session, token } = result
    request.session = session
    const detail = { by, factor: session.factor, must_enrol: session.mustEnrol }
    await door.audit(request, { operation: 'session.login', subject: subject(session.account), detail })
    return describe(token, session)
  }

  const provider = () => {
    if (oidc !== null) return oidc
    throw new AppError('not_found', 'this cloud has no log-in provider', { hint: 'log in by password' })
  }

  app.route({
    method: 'GET',
    url: '/api/v1/login',
    schema: {
      summary: 'How one can log in',
      response: { 200: z.object({ passwordLogin: z.enum(['everyone', 'account-admins']), oidc: z.boolean() }) },
    },
    handler: async () => ({ passwordLogin: parts.passwordLogin, oidc: oidc !== null }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/login',
    config: limited,
    schema: {
      summary: 'Opens a session; `second_factor_required` asks for the same again with a code or a key’s answer',
      body: z.strictObject({
        account: slugSchema,
        password: passwordSchema,
        code: codeSchema.optional().describe('of the authenticator app, or a recovery code'),
        key: keyDocumentSchema.optional(),
      }),
      response: { 200: sessionSchema },
    },
    async handler(request) {
      const { account, password, code, key } = request.body
      const proof = key !== undefined ? { key } : code !== undefined ? { code } : undefined
      const result = await accounts.login({ account, password, ...(proof && { proof }), source: request.ip })
      return opened(request, account, result, 'password')
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/login/key',
    config: limited,
    schema: {
      summary: 'What a browser needs to ask a security key (PublicKeyCredentialRequestOptionsJSON)',
      body: z.strictObject({ account: slugSchema, password: passwordSchema }),
      response: { 200: z.looseObject({ challenge: z.string() }) },
    },
    async handler(request) {
      const { account, password } = request.body
      const refused = await accounts.checkPassword(account, password)
      if (refused !== null) {
        return refuse(request, refused.rule, account, { by: 'password', locked: refused.locked })
      }
      const options = await factors.startAskingKey(account)
      // As a wrong password is: this is no place to try one without a trace.
      if (options === null) return refuse(request, 'no_security_key', account, { by: 'password', locked: false })
      await door.audit(request, {
        operation: 'session.key_asked',
        subject: subject(account),
        detail: { by: 'password' },
      })
      return options as { challenge: string }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/me/cli-code',
    config: limited,
    onRequest: door.guard(null),
    schema: {
      summary: 'A one-time code that opens a session of mine in a terminal (`candor login --page-code`)',
      response: { 200: z.object({ code: z.string(), expiresAtMs: timeMsSchema }) },
    },
    async handler(request) {
      const session = door.session(request)
      await door.audit(request, { operation: 'session.cli_code', subject: subject(session.account) })
      return cliCodes.make(session)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/login/cli-code',
    config: limited,
    schema: {
      summary: 'Opens a session by a code that the page has shown',
      body: z.strictObject({ account: slugSchema, code: codeSchema }),
      response: { 200: sessionSchema },
    },
    async handler(request) {
      const { account, code } = request.body
      const found = cliCodes.take(account, code)
      // Not as the account's: anybody may type its name here, and a code cannot be guessed.
      if (found === null) return refuseUnknown(request, 'wrong_cli_code')
      const result = await accounts.admit({ account, source: request.ip, sessionId: found.sessionId })
      return opened(request, account, result, 'cli_code')
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/login/oidc',
    config: limited,
    schema: {
      summary: 'Leads the browser to the agency’s log-in provider',
      querystring: z.strictObject({ challenge: secretSchema.describe('SHA-256 of a secret that the page keeps') }),
      response: { 302: z.null() },
    },
    async handler(request, reply) {
      return reply.redirect((await provider().start(request.query.challenge)).href, 302)
    },
  })

  app.route({
    method: 'GET',
    url: OIDC_CALLBACK,
    config: limited,
    schema: { summary: 'Where the provider sends the browser back to', response: { 302: z.null() } },
    async handler(request, reply) {
      const result = await provider().finish(new URL(request.url, 'https://page').search)
      if (result.ok) return reply.redirect(`/#login=${result.code}`, 302)
      try {
        if (result.account === null) refuseUnknown(request, result.rule)
        await refuse(request, result.rule, result.account, { by: 'oidc' })
      } catch (thrown) {
        if (!(thrown instanceof AppError) || thrown.code !== 'unauthenticated') throw thrown
      }
      return reply.redirect(result.rule === 'oidc_not_linked' ? '/#login-not-linked' : '/#login-refused', 302)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/login/oidc',
    config: limited,
    schema: {
      summary: 'Opens the session that the provider’s answer stands for, for the page that began',
      body: z.strictObject({ code: secretSchema, verifier: secretSchema }),
      response: { 200: sessionSchema },
    },
    async handler(request) {
      const { code, verifier } = request.body
      const account = provider().redeem(code, verifier)
      if (account === null) return refuseUnknown(request, 'oidc_unasked')
      const result = await accounts.admit({ account, source: request.ip, factor: 'oidc' })
      return opened(request, account, result, 'oidc')
    },
  })
}

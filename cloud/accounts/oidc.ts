/**
 * Log-in by the agency's own OpenID Connect provider: authorization code with PKCE, state and nonce. It only says which account
 * of ours somebody is; accounts and roles are never made from it. The only importer of openid-client; called by the API.
 * Writes oidc_subjects, which accounts.ts owns; who calls it writes the audit.
 */
import * as client from 'openid-client'
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { slugSchema } from '../../shared/names.ts'
import { readFileIfThere } from '../../shared/secret-file.ts'
import { sha256Hex } from '../../shared/signing.ts'
import type { OidcConfig } from '../config.ts'
import type { Database } from '../database/database.ts'
import { readAuthorities } from '../webhooks/authorities.ts'
import { createPending } from './pending.ts'
import { createProviderFetch } from './provider-fetch.ts'

/** Where the provider sends the browser back to; to be registered there after the page's address. */
export const OIDC_CALLBACK = '/api/v1/login/oidc/callback'
/** From our page to the provider and back, with a password and a second factor to give there. */
export const OIDC_LOGIN_MS = 10 * MINUTE_MS
/** From the provider's answer to the page that asks for its session. */
export const OIDC_HANDOVER_MS = MINUTE_MS
/** Log-ins on their way; beyond that the oldest must start again. */
export const MAX_OIDC_LOGINS = 1_000
/** Each answer of the provider, s. */
const PROVIDER_TIMEOUT_S = 10
/** The provider must have asked for the log-in no longer ago than this, s, and say when (`auth_time`). */
const MAX_AUTHENTICATION_AGE_S = OIDC_LOGIN_MS / SECOND_MS
const SECRET_BYTES = 32

/** Why a log-in by the provider failed: for the audit. The person is told the same for all of them. */
export type OidcRefusal =
  /** An answer to nothing that we asked, or too late. */
  | 'oidc_unasked'
  /** The provider refused, or its answer does not verify. */
  | 'oidc_refused'
  /** Neither the class (`acr`) nor the method (`amr`) that the configuration asks for. */
  | 'oidc_too_weak'
  | 'unknown_account'
  /** The account is somebody else's at the provider, or this somebody has another account. */
  | 'oidc_other_subject'
  /** The account has a second factor here and no subject there: a reset of its factors lets the next log-in link it. */
  | 'oidc_not_linked'

/** `account` null: of nobody known here. */
export type OidcResult =
  | { ok: true; code: string }
  | { ok: false; rule: OidcRefusal; account: string }
  | { ok: false; rule: 'oidc_unasked' | 'oidc_refused' | 'unknown_account'; account: null }

export interface Oidc {
  /** The provider's address to send the browser to. `challenge`: base64url SHA-256 of a secret that the page keeps. */
  start(challenge: string): Promise<URL>
  /** What the browser came back with. `code` is given for the account by `redeem`, once. */
  finish(search: string): Promise<OidcResult>
  /** The account; null: no such code, too late, or not the page that began. */
  redeem(code: string, verifier: string): string | null
}

export interface OidcDeps {
  config: OidcConfig
  secretFile: string
  caFile: string | null
  /** As browsers reach the page, `https://HOST:PORT`. */
  pageOrigin: () => string
  database: Database
  isAccount: (name: string) => Promise<boolean>
  /** Has the account a second factor of its own here? */
  hasFactor: (account: string) => Promise<boolean>
  clock: Clock
  newSecret: (byteCount: number) => string
  log: Log
}

/** Reads the files; asks the provider only when somebody logs in. Throws `configuration`. */
export async function createOidc(deps: OidcDeps): Promise<Oidc> {
  const { config, pageOrigin, database, clock, newSecret, log } = deps
  const { build } = database
  const clientSecret = (await readFileIfThere(deps.secretFile))?.split('\n')[0]?.trim() ?? ''
  if (clientSecret === '') throw new AppError('configuration', `oidc.clientSecretFile: no secret in ${deps.secretFile}`)
  const providerFetch = createProviderFetch(await readAuthorities(deps.caFile, 'oidc.caFile'))
  const asked = createPending<{ verifier: string; nonce: string; challenge: string }>(
    clock,
    OIDC_LOGIN_MS,
    MAX_OIDC_LOGINS,
  )
  const identified = createPending<{ account: string; challenge: string }>(clock, OIDC_HANDOVER_MS, MAX_OIDC_LOGINS)
  let known: client.Configuration | null = null

  /** As the provider wants it; Basic where it does not say [OpenID Connect Discovery 1.0, 3]. */
  const authentication: client.ClientAuth = (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const by = methods.includes('client_secret_basic') ? client.ClientSecretBasic : client.ClientSecretPost
    by(clientSecret)(server, ...rest)
  }

  /** The provider's document, asked for once; a provider that does not answer is asked again by the next log-in. */
  async function provider(): Promise<client.Configuration> {
    if (known !== null) return known
    try {
      known = await client.discovery(new URL(config.issuer), config.clientId, undefined, authentication, {
        [client.customFetch]: providerFetch,
        timeout: PROVIDER_TIMEOUT_S,
        // The signature too, not only the way it came.
        execute: [client.enableNonRepudiationChecks],
      })
      return known
    } catch (cause) {
      log.error('oidc_provider_unavailable', { error: toAppError(cause).message })
      throw new AppError('unavailable', 'the agency’s log-in provider does not answer', {
        hint: 'try again; an account administrator can log in by password',
        cause,
      })
    }
  }

  async function linked(account: string) {
    const [row] = await database.read(
      build.selectFrom('oidc_subjects').select(['issuer', 'subject']).where('account', '=', account),
    )
    return row ?? null
  }

  /** Who the provider means stays the same: a name that is given to another person there opens nothing here. null: it is they. */
  async function refusalOf(account: string, issuer: string, subject: string): Promise<OidcRefusal | null> {
    if ((await linked(account)) === null) {
      // Its owner shows a factor here already: a name that the provider gives away must not go around that.
      if (await deps.hasFactor(account)) return 'oidc_not_linked'
      await database.writeBatch([
        build
          .insertInto('oidc_subjects')
          .values({ account, issuer, subject, linked_at_ms: clock.nowMs() })
          .onConflict((conflict) => conflict.doNothing()),
      ])
    }
    const row = await linked(account)
    return row?.issuer === issuer && row.subject === subject ? null : 'oidc_other_subject'
  }

  function isStrong({ acr, amr }: client.IDToken): boolean {
    if (config.acr !== undefined && !config.acr.some((one) => one === acr)) return false
    return config.amr === undefined || (Array.isArray(amr) && config.amr.some((one) => amr.includes(one)))
  }

  return {
    async start(challenge) {
      const server = await provider()
      const [state, nonce, verifier] = [newSecret(SECRET_BYTES), newSecret(SECRET_BYTES), newSecret(SECRET_BYTES)]
      asked.put(state, { verifier, nonce, challenge })
      return client.buildAuthorizationUrl(server, {
        redirect_uri: `${pageOrigin()}${OIDC_CALLBACK}`,
        scope: 'openid profile',
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
        // An officer who shares a computer is asked who they are, not taken for the one before.
        prompt: 'login',
        max_age: String(MAX_AUTHENTICATION_AGE_S),
        ...(config.acr === undefined ? {} : { acr_values: config.acr.join(' ') }),
      })
    },

    async finish(search) {
      const refused = (rule: OidcRefusal, account: string): OidcResult => ({ ok: false, rule, account })
      const unknown = (rule: 'oidc_unasked' | 'oidc_refused' | 'unknown_account'): OidcResult => ({
        ok: false,
        rule,
        account: null,
      })
      const state = new URLSearchParams(search).get('state') ?? ''
      const own = asked.take(state)
      if (own === null) return unknown('oidc_unasked')
      const server = await provider()
      let claims: client.IDToken | undefined
      try {
        const current = new URL(`${pageOrigin()}${OIDC_CALLBACK}${search}`)
        const tokens = await client.authorizationCodeGrant(server, current, {
          pkceCodeVerifier: own.verifier,
          expectedState: state,
          expectedNonce: own.nonce,
          idTokenExpected: true,
          // A provider that ignores `prompt` would hand over the log-in of the one before.
          maxAge: MAX_AUTHENTICATION_AGE_S,
        })
        claims = tokens.claims()
      } catch (cause) {
        log.warn('oidc_log_in_refused', { error: toAppError(cause).message })
        return unknown('oidc_refused')
      }
      if (claims === undefined) return unknown('oidc_refused')
      const name = slugSchema.safeParse(String(claims[config.accountClaim] ?? '').toLowerCase())
      if (!name.success || !(await deps.isAccount(name.data))) return unknown('unknown_account')
      if (!isStrong(claims)) return refused('oidc_too_weak', name.data)
      const rule = await refusalOf(name.data, claims.iss, claims.sub)
      if (rule !== null) return refused(rule, name.data)
      const code = newSecret(SECRET_BYTES)
      identified.put(code, { account: name.data, challenge: own.challenge })
      return { ok: true, code }
    },

    redeem(code, verifier) {
      const found = identified.take(code)
      const challenge = Buffer.from(sha256Hex(verifier), 'hex').toString('base64url')
      return found !== null && found.challenge === challenge ? found.account : null
    },
  }
}

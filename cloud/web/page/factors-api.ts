/** Log-in and second factors over the cloud's HTTP API, as the page uses them. The only importer of @simplewebauthn/browser. */
import {
  type AuthenticationResponseJSON,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  startAuthentication,
  startRegistration,
} from '@simplewebauthn/browser'
import { z } from 'zod'
import { type PageSession, request, sessionSchema } from './api.ts'

interface LogIn {
  account: string
  password: string
  code?: string
  key?: AuthenticationResponseJSON
}

/** Fails with code `second_factor_required` where one is still to be shown. */
export async function login(body: LogIn): Promise<PageSession> {
  return sessionSchema.parse(await (await request('/api/v1/login', { method: 'POST', body })).json())
}

/** The answer of one of the account's security keys; the browser asks for its touch. */
export async function askKey(body: LogIn): Promise<AuthenticationResponseJSON> {
  const response = await request('/api/v1/login/key', { method: 'POST', body })
  return startAuthentication({ optionsJSON: (await response.json()) as PublicKeyCredentialRequestOptionsJSON })
}

export async function loginByProvider(code: string, verifier: string): Promise<PageSession> {
  const response = await request('/api/v1/login/oidc', { method: 'POST', body: { code, verifier } })
  return sessionSchema.parse(await response.json())
}

export async function waysIn(): Promise<{ oidc: boolean }> {
  return z.object({ oidc: z.boolean() }).parse(await (await request('/api/v1/login', {})).json())
}

const mineSchema = z.object({
  mustEnrol: z.boolean(),
  totp: z.object({ addedAtMs: z.number() }).nullable(),
  keys: z.array(z.object({ name: z.string(), addedAtMs: z.number(), usedAtMs: z.number().nullable() })),
  recoveryCodesLeft: z.number(),
})
export type MyFactors = z.infer<typeof mineSchema>

const PATH = '/api/v1/me/factors'

export async function mine(token: string): Promise<MyFactors> {
  return mineSchema.parse(await (await request(PATH, { token })).json())
}

/** A change; the answer's recovery codes, where it has some. */
async function change(token: string, method: string, path: string, body: unknown): Promise<string[] | null> {
  const response = await request(`${PATH}/${path}`, { method, token, body })
  if (response.status === 204) return null
  return z.object({ recoveryCodes: z.array(z.string()).nullable() }).parse(await response.json()).recoveryCodes
}

export async function startTotp(token: string, password: string): Promise<{ secret: string; uri: string }> {
  const response = await request(`${PATH}/totp`, { method: 'POST', token, body: { password } })
  return z.object({ secret: z.string(), uri: z.string() }).parse(await response.json())
}

export const confirmTotp = (token: string, code: string) => change(token, 'POST', 'totp/confirm', { code })

/** The browser asks for the touch of the new key. */
export async function addKey(token: string, password: string, name: string): Promise<string[] | null> {
  const response = await request(`${PATH}/keys/options`, { method: 'POST', token, body: { password } })
  const optionsJSON = (await response.json()) as PublicKeyCredentialCreationOptionsJSON
  return change(token, 'POST', 'keys', { name, response: await startRegistration({ optionsJSON }) })
}

/** `name` null: the authenticator app. */
export const remove = (token: string, password: string, name: string | null) =>
  change(token, 'POST', name === null ? 'totp/remove' : `keys/${encodeURIComponent(name)}/remove`, { password })

export const newRecoveryCodes = (token: string, password: string) =>
  change(token, 'POST', 'recovery-codes', { password })

export async function cliCode(token: string): Promise<string> {
  const response = await request('/api/v1/me/cli-code', { method: 'POST', token })
  return z.object({ code: z.string() }).parse(await response.json()).code
}

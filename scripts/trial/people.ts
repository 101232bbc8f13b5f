/** Accounts of a demo or trial: made over the API, as an administrator would. */
import { z } from 'zod'
import type { Https } from './https.ts'

export interface Person {
  account: string
  password: string
  roles: readonly string[]
}

const sessionSchema = z.object({ token: z.string(), groups: z.array(z.string()) })

export async function logIn(https: Https, person: Pick<Person, 'account' | 'password'>): Promise<string> {
  const { account, password } = person
  return sessionSchema.parse(await https.call('POST', '/api/v1/login', { json: { account, password } })).token
}

/** The first administrator by the set-up code; returns a token. */
export async function setUp(https: Https, code: string, administrator: Person): Promise<string> {
  const { account, password } = administrator
  await https.call('POST', '/api/v1/setup', { json: { code, account, password } })
  return await logIn(https, administrator)
}

export async function addPerson(https: Https, token: string, person: Person, groups: readonly string[]): Promise<void> {
  const { account, password, roles } = person
  await https.call('POST', '/api/v1/accounts', { token, json: { account, password, roles, groups } })
}

/** The cloud's HTTP API as the page uses it. Errors carry what the server says a person should do. */
import { z } from 'zod'
import { type Alert, type AlertStep, alertSchema } from '../../../shared/wire/alert.ts'

/** A request that takes longer has failed, ms. */
const REQUEST_TIMEOUT_MS = 15_000

export class ApiError extends Error {
  readonly status: number
  readonly hint: string | null
  /** As the server has it; null: the request never got there. */
  readonly code: string | null
  constructor(status: number, message: string, hint: string | null, code: string | null = null) {
    super(message)
    this.status = status
    this.hint = hint
    this.code = code
  }
}

export const sessionSchema = z.object({
  token: z.string().min(1),
  expiresAtMs: z.number(),
  account: z.string(),
  roles: z.array(z.string()),
  groups: z.array(z.string()),
  /** Nothing but adding a second factor is let through. */
  mustEnrol: z.boolean(),
})
export type PageSession = z.infer<typeof sessionSchema>

const statusSchema = z.object({
  agency: z.string(),
  permissions: z.array(z.string()),
  hotlists: z.array(
    z.object({ list: z.string(), version: z.number(), entries: z.number(), ageMs: z.number(), stale: z.boolean() }),
  ),
})
export type Status = z.infer<typeof statusSchema>

const stepTakenSchema = z.object({
  revision: z.number(),
  step: z.string(),
  account: z.string(),
  atMs: z.number(),
  outcome: z.string().nullable().default(null),
  correctPlate: z.string().nullable().default(null),
})

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable().optional() }),
})

async function failure(response: Response): Promise<ApiError> {
  const parsed = errorSchema.safeParse(await response.json().catch(() => null))
  if (!parsed.success) return new ApiError(response.status, `the server answered ${response.status}`, null)
  const { code, message, hint } = parsed.data.error
  return new ApiError(response.status, message, hint ?? null, code)
}

export async function request(
  path: string,
  options: { method?: string; token?: string; body?: unknown },
): Promise<Response> {
  const headers: Record<string, string> = {}
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  let response: Response
  try {
    response = await fetch(path, {
      method: options.method ?? 'GET',
      headers,
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    })
  } catch {
    throw new ApiError(0, 'the cloud cannot be reached', 'check the link and try again')
  }
  if (!response.ok) throw await failure(response)
  return response
}

/** Makes the first administrator of a new installation. */
export async function setUp(first: { code: string; account: string; password: string }): Promise<void> {
  await request('/api/v1/setup', { method: 'POST', body: first })
}

/** A new token for the same session; the old one is void. */
export async function renew(token: string): Promise<PageSession> {
  return sessionSchema.parse(await (await request('/api/v1/token', { method: 'POST', token })).json())
}

export async function logout(token: string): Promise<void> {
  await request('/api/v1/logout', { method: 'POST', token })
}

export async function status(token: string): Promise<Status> {
  return statusSchema.parse(await (await request('/api/v1/status', { token })).json())
}

/** Alerts that are not closed, newest first. */
export async function openAlerts(token: string): Promise<Alert[]> {
  const response = await request('/api/v1/alerts?state=open&limit=200', { token })
  return z.object({ alerts: z.array(alertSchema) }).parse(await response.json()).alerts
}

const detailSchema = z.object({
  alert: alertSchema,
  steps: z.array(stepTakenSchema),
  source: z.object({ reason: z.string().nullable(), caseNumber: z.string().nullable() }).nullable(),
})
export type AlertDetail = z.infer<typeof detailSchema>

/** One alert with the steps that people took on it, and what the list says of the plate. */
export async function alertDetail(token: string, alertId: string): Promise<AlertDetail> {
  return detailSchema.parse(await (await request(`/api/v1/alerts/${encodeURIComponent(alertId)}`, { token })).json())
}

/** The evidence picture, or null while it has not arrived. */
export async function crop(token: string, alertId: string): Promise<Blob | null> {
  try {
    return await (await request(`/api/v1/alerts/${encodeURIComponent(alertId)}/crop`, { token })).blob()
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 404) return null
    throw thrown
  }
}

export async function takeStep(token: string, alertId: string, step: AlertStep): Promise<Alert> {
  const path = `/api/v1/alerts/${encodeURIComponent(alertId)}/steps`
  const body: unknown = await (await request(path, { method: 'POST', token, body: step })).json()
  return alertSchema.parse(body)
}

/** The cloud's routes about cameras and claims, as the fleet view uses them. */
import { z } from 'zod'
import { fleetAlarmSchema } from '../../../shared/wire/fleet.ts'
import { settingsInForceSchema } from '../../../shared/wire/roll-out.ts'
import { request } from './api.ts'

const figuresSchema = z.record(z.string(), z.number())

const cameraSchema = z.object({
  camera: z.string(),
  state: z.enum(['ok', 'alarm', 'serviced', 'new']),
  online: z.boolean(),
  lastHeardAtMs: z.number().nullable(),
  figures: figuresSchema,
  vehiclesThisHour: z.number(),
  vehiclesLastHour: z.number(),
  versions: z
    .object({ software: z.string(), node: z.string(), system: z.string().optional(), image: z.string().optional() })
    .nullable(),
  dataEncrypted: z.boolean().nullable(),
  hotlists: z.array(z.object({ list: z.string(), version: z.number(), stale: z.boolean() })),
  settings: settingsInForceSchema.nullable(),
  settingsMeant: z.number().nullable(),
  maintenance: z.object({ untilMs: z.number(), by: z.string(), note: z.string() }).nullable(),
  alarms: z.array(fleetAlarmSchema),
})
export type FleetCamera = z.infer<typeof cameraSchema>

const fleetSchema = z.object({
  nowMs: z.number(),
  cameras: z.array(cameraSchema),
  authority: z.object({ warnings: z.array(z.string()) }),
})
export type FleetNow = z.infer<typeof fleetSchema>

const historySchema = z.object({
  fromMs: z.number(),
  toMs: z.number(),
  reports: z.array(z.object({ atMs: z.number(), figures: figuresSchema })),
  hours: z.array(
    z.object({
      hour: z.number(),
      vehicles: z.number(),
      coveredMs: z.number(),
      spreads: z.record(z.string(), z.array(z.number())),
    }),
  ),
})
export type CameraHistory = z.infer<typeof historySchema>

const claimSchema = z.object({
  claimId: z.string(),
  camera: z.string(),
  site: z.string().nullable(),
  replaces: z.boolean(),
  state: z.string(),
  madeBy: z.string(),
  expiresAtMs: z.number(),
  fingerprint: z.string().nullable(),
  askedAtMs: z.number().nullable(),
  source: z.string().nullable(),
  misuses: z.number(),
  alarm: z.boolean(),
})
export type PageClaim = z.infer<typeof claimSchema>

const get = async (token: string, path: string): Promise<unknown> => (await request(path, { token })).json()
const post = (token: string, path: string, body?: unknown) => request(path, { method: 'POST', token, body })
const name = encodeURIComponent

export const fleetNow = async (token: string): Promise<FleetNow> => fleetSchema.parse(await get(token, '/api/v1/fleet'))

export const history = async (token: string, camera: string, fromMs: number, toMs: number): Promise<CameraHistory> =>
  historySchema.parse(await get(token, `/api/v1/cameras/${name(camera)}/history?fromMs=${fromMs}&toMs=${toMs}`))

export async function acknowledge(token: string, alarmId: string, note: string): Promise<void> {
  await post(token, `/api/v1/camera-alarms/${name(alarmId)}/acknowledge`, { note })
}

export async function setMaintenance(
  token: string,
  camera: string,
  untilMs: number | null,
  note: string,
): Promise<void> {
  await post(token, `/api/v1/cameras/${name(camera)}/maintenance`, { untilMs, note })
}

/** Those that need somebody: units that ask, and claims that two keys have used. */
export async function openClaims(token: string): Promise<PageClaim[]> {
  const { claims } = z.object({ claims: z.array(claimSchema) }).parse(await get(token, '/api/v1/claims'))
  return claims.filter(({ state, alarm }) => state === 'asked' || alarm)
}

export async function approve(token: string, camera: string, fingerprint: string): Promise<void> {
  await post(token, `/api/v1/claims/${name(camera)}/approve`, { fingerprint })
}

/** `revoke` ends a claim and the alarm about it, `reject` only the unit that asks. */
export async function endClaim(token: string, camera: string, how: 'reject' | 'revoke'): Promise<void> {
  await post(token, `/api/v1/claims/${name(camera)}/${how}`)
}

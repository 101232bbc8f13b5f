/** Alerts and sightings on the terminal as they arrive: MQTT over secure WebSocket, with the session that survives an absence. */
import { hostname } from 'node:os'
import { z } from 'zod'
import { systemClock } from '../../shared/clock.ts'
import { seenAt } from '../../shared/seen.ts'
import type { Alert, Sighting } from '../../shared/wire/index.ts'
import { connectPerson } from '../trial/person-link.ts'
import { connect } from './client.ts'
import { seenTime, time } from './terminal.ts'

/** A token lives 30 minutes; renewing keeps the MQTT session. */
const RENEW_MS = 10 * 60_000

const statusSchema = z.object({ agency: z.string(), permissions: z.array(z.string()), groups: z.array(z.string()) })

export async function watch(json: boolean): Promise<void> {
  const client = await connect()
  const status = await client.call(statusSchema, 'GET', '/api/v1/status')
  const device = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 27)
  const link = await connectPerson(
    {
      ...{ origin: client.url, caPem: client.caPem, account: client.account, token: client.token },
      device: `term-${device}`,
      agency: status.agency,
      groups: status.groups,
      watchSightings: status.permissions.includes('sightings.watch'),
    },
    {
      onAlert: (alert) => process.stdout.write(json ? `${JSON.stringify({ alert })}\n` : alertLine(alert)),
      onSighting: (sighting) =>
        process.stdout.write(json ? `${JSON.stringify({ sighting })}\n` : sightingLine(sighting, systemClock.nowMs())),
      onState: (state) => process.stderr.write(`link ${state}\n`),
    },
  )
  const renewal = setInterval(() => {
    client.renew().then(
      (token) => link.useToken(token),
      () => process.stderr.write('the session could not be renewed; log in again\n'),
    )
  }, RENEW_MS)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  clearInterval(renewal)
  await link.close()
}

/** `arrivedAtMs` stands for the time at which the cloud received it: a live sighting is passed on at once. */
export function sightingLine(sighting: Sighting, arrivedAtMs: number): string {
  const { cameraId, plate, confidence, revision } = sighting
  if (revision === 0) return ''
  const { seenAtMs, clockTrusted } = seenAt(sighting, arrivedAtMs)
  return `${seenTime(seenAtMs, clockTrusted)}  ${cameraId}  ${plate ?? '(unreadable)'}  ${(confidence * 100).toFixed(0)} %\n`
}

function alertLine({ updatedAtMs, sighting, match, state, outcome, alertId }: Alert): string {
  const head = `${time(updatedAtMs)}  ${sighting.cameraId}  ALERT ${outcome ?? state}: ${match.category} (list ${match.list})`
  if (state !== 'raised') return `${head}  ${alertId}\n`
  return `${head}\n    verify before you act: candor alert show ${alertId} --picture plate.jpg\n`
}

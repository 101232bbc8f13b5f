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

/** Alerts whose last revision is remembered, to say what is new. */
const MAX_REMEMBERED = 1_000

const statusSchema = z.object({ agency: z.string(), permissions: z.array(z.string()), groups: z.array(z.string()) })

export async function watch(json: boolean): Promise<void> {
  const client = await connect()
  const status = await client.call(statusSchema, 'GET', '/api/v1/status')
  const device = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 27)
  const known = new Map<string, Alert>()
  const link = await connectPerson(
    {
      ...{ origin: client.url, caPem: client.caPem, account: client.account, token: client.token },
      device: `term-${device}`,
      agency: status.agency,
      groups: status.groups,
      watchSightings: status.permissions.includes('sightings.watch'),
    },
    {
      onAlert(alert) {
        process.stdout.write(
          json ? `${JSON.stringify({ alert })}\n` : alertLine(alert, known.get(alert.alertId) ?? null),
        )
        known.delete(alert.alertId)
        known.set(alert.alertId, alert)
        for (const oldest of known.keys()) {
          if (known.size <= MAX_REMEMBERED) break
          known.delete(oldest)
        }
      },
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

/** `before`: as it was told last. What only came to it beside its state is a line of its own, and no new alert. */
export function alertLine(alert: Alert, before: Alert | null): string {
  const { updatedAtMs, sighting, match, state, outcome, alertId } = alert
  const past = alert.historical ? ', OF THE PAST' : ''
  const what = `${match.category} (list ${match.list}${match.stale ? ', PAST ITS AGE LIMIT' : ''}${past})`
  if (before?.state === state) {
    const news = newsOf(alert, before)
    return news === null ? '' : `${time(updatedAtMs)}  ${sighting.cameraId}  ${news}: ${what}  ${alertId}\n`
  }
  const head = `${time(updatedAtMs)}  ${sighting.cameraId}  ALERT ${outcome ?? state}: ${what}`
  if (state !== 'raised') return `${head}  ${alertId}\n`
  return `${head}\n    verify before you act: candor alert show ${alertId} --picture plate.jpg\n`
}

function newsOf(alert: Alert, before: Alert): string | null {
  if (alert.escalatedAtMs !== before.escalatedAtMs) return 'ESCALATED, nobody had taken it'
  if (alert.acknowledgedBy !== before.acknowledgedBy) return `taken by ${alert.acknowledgedBy ?? 'nobody any more'}`
  const known = new Set(before.trail.map(({ sightingId }) => sightingId))
  const again = alert.trail.find(({ sightingId }) => !known.has(sightingId))
  return again === undefined ? null : `seen again by ${again.cameraId}, not compared`
}

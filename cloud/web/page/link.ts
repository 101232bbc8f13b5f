/**
 * The MQTT connection of the page: secure WebSocket to the origin that served it, a persistent session bound to this device,
 * so that alerts published while the page was away come on return. Publishes nothing.
 */
import mqtt from 'mqtt'
import { topics } from '../../../shared/topics.ts'
import { type Alert, alertSchema } from '../../../shared/wire/alert.ts'
import { type FleetAlarm, fleetAlarmSchema } from '../../../shared/wire/fleet.ts'
import { type Sighting, sightingSchema } from '../../../shared/wire/sighting.ts'
import type { PageSession } from './api.ts'

/** A hidden tab's timers run once a minute, so that a ping may come a minute late; the broker waits 1.5 times this. */
const KEEP_ALIVE_S = 120
const RECONNECT_MS = 2_000
const CONNECT_TIMEOUT_MS = 10_000
/** MQTT 3.1.1 CONNACK codes that mean: this token is no good [MQTT-3.2.2.3]. */
const REFUSED_CODES: readonly number[] = [4, 5]

export type LinkState = 'connecting' | 'connected' | 'lost'

export interface LinkListeners {
  onState(state: LinkState): void
  onAlert(alert: Alert): void
  onSighting(sighting: Sighting): void
  onFleetAlarm(alarm: FleetAlarm): void
  /** The broker does not take the token any more. */
  onRefused(): void
  /** Connected and subscribed, or once more: what was missed should be looked up. */
  onConnected(): void
}

export interface Link {
  /** After the token was renewed; used at the next connect. */
  useToken(token: string): void
  close(): void
}

/** A name for this browser, kept, so that the broker finds its session again. */
export function deviceName(): string {
  const kept = localStorage.getItem('candor-device')
  if (kept !== null && /^[a-z0-9-]{1,32}$/.test(kept)) return kept
  const made = `web-${crypto.randomUUID().slice(0, 13)}`
  localStorage.setItem('candor-device', made)
  return made
}

export function openLink(
  session: PageSession,
  options: { agency: string; watchSightings: boolean; seeCameras: boolean },
  listeners: LinkListeners,
): Link {
  const { agency } = options
  const client = mqtt.connect(`wss://${location.host}/mqtt`, {
    clientId: `${session.account}.${deviceName()}`,
    username: session.account,
    password: session.token,
    clean: false,
    protocolVersion: 4,
    keepalive: KEEP_ALIVE_S,
    reconnectPeriod: RECONNECT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    queueQoSZero: false,
    resubscribe: false,
    // The other kind starts a worker from a blob, which the page's policy does not allow.
    timerVariant: 'native',
  })
  listeners.onState('connecting')

  const subscriptions: Record<string, { qos: 0 | 1 }> = {}
  for (const group of session.groups) subscriptions[topics.alerts(agency, group)] = { qos: 1 }
  if (options.seeCameras) subscriptions[topics.fleetAlarms(agency)] = { qos: 1 }
  if (options.watchSightings) subscriptions[topics.allSightings(agency)] = { qos: 0 }

  client.on('connect', () => {
    const ready = () => {
      listeners.onState('connected')
      listeners.onConnected()
    }
    if (Object.keys(subscriptions).length === 0) return ready()
    // Not before the broker has taken them: what is raised after the look-up and before that would come to nobody, under "connected".
    client.subscribe(subscriptions, () => {
      // One of them refused, such as the live sightings when watching cannot be recorded, must not take the others from the officer. A link that was lost
      // meanwhile says so by `close`.
      if (client.connected) ready()
    })
  })
  client.on('reconnect', () => listeners.onState('connecting'))
  client.on('close', () => listeners.onState('lost'))
  client.on('error', (error) => {
    if ('code' in error && typeof error.code === 'number' && REFUSED_CODES.includes(error.code)) listeners.onRefused()
  })
  client.on('message', (topic, payload) => {
    let document: unknown
    try {
      document = JSON.parse(new TextDecoder().decode(payload))
    } catch {
      return
    }
    if (topic.endsWith('/sightings')) {
      const sighting = sightingSchema.safeParse(document)
      if (sighting.success) listeners.onSighting(sighting.data)
    } else if (topic.endsWith('/fleet/alarms')) {
      const alarm = fleetAlarmSchema.safeParse(document)
      if (alarm.success) listeners.onFleetAlarm(alarm.data)
    } else {
      const alert = alertSchema.safeParse(document)
      if (alert.success) listeners.onAlert(alert.data)
    }
  })
  return {
    useToken(token) {
      client.options.password = token
    },
    close() {
      client.end(true)
    },
  }
}

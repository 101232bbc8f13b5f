/** A person's MQTT connection outside the browser: what `candor alert watch` and the demo see arrive. Publishes nothing. */
import { connect } from 'mqtt'
import { AppError } from '../../shared/errors.ts'
import { topics } from '../../shared/topics.ts'
import { type Alert, alertSchema, type Sighting, sightingSchema } from '../../shared/wire/index.ts'

const RECONNECT_MS = 2_000
const CONNECT_TIMEOUT_MS = 15_000
/** MQTT 3.1.1 CONNACK codes that mean: this token is no good [MQTT-3.2.2.3]. */
const REFUSED_CODES: readonly number[] = [4, 5]

export interface PersonLinkOptions {
  /** `https://host:port`. */
  origin: string
  caPem: string
  account: string
  token: string
  /** Names the session: what is published while it is away comes on return. */
  device: string
  agency: string
  groups: readonly string[]
  watchSightings: boolean
}

export interface PersonListeners {
  onAlert(alert: Alert): void
  onSighting(sighting: Sighting): void
  onState(state: 'connected' | 'lost'): void
}

export interface PersonLink {
  useToken(token: string): void
  close(): Promise<void>
}

/** Resolves when connected and subscribed; afterwards it connects again by itself. Rejects with `unauthenticated` or `unavailable`. */
export async function connectPerson(options: PersonLinkOptions, listeners: PersonListeners): Promise<PersonLink> {
  const { agency } = options
  const client = connect(`${options.origin.replace(/^https/, 'wss')}/mqtt`, {
    clientId: `${options.account}.${options.device}`,
    username: options.account,
    password: options.token,
    ca: options.caPem,
    clean: false,
    protocolVersion: 4,
    keepalive: 60,
    reconnectPeriod: RECONNECT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    queueQoSZero: false,
    resubscribe: false,
  })
  const subscriptions: Record<string, { qos: 0 | 1 }> = {}
  for (const group of options.groups) subscriptions[topics.alerts(agency, group)] = { qos: 1 }
  if (options.watchSightings) subscriptions[topics.allSightings(agency)] = { qos: 0 }

  client.on('message', (topic, payload) => {
    let document: unknown
    try {
      document = JSON.parse(payload.toString('utf8'))
    } catch {
      return
    }
    if (topic.endsWith('/sightings')) {
      const sighting = sightingSchema.safeParse(document)
      if (sighting.success) listeners.onSighting(sighting.data)
      return
    }
    const alert = alertSchema.safeParse(document)
    if (alert.success) listeners.onAlert(alert.data)
  })
  client.on('close', () => listeners.onState('lost'))
  try {
    await new Promise<void>((resolve, reject) => {
      client.on('connect', () => {
        listeners.onState('connected')
        if (Object.keys(subscriptions).length === 0) resolve()
        else client.subscribe(subscriptions, (error) => (error === null ? resolve() : reject(error)))
      })
      client.once('error', (cause) => {
        const refused = 'code' in cause && typeof cause.code === 'number' && REFUSED_CODES.includes(cause.code)
        const code = refused ? 'unauthenticated' : 'unavailable'
        reject(new AppError(code, `no MQTT connection to ${options.origin}: ${cause.message}`, { cause }))
      })
    })
  } catch (thrown) {
    await client.endAsync(true)
    throw thrown
  }
  // It connects again by itself; the state says so.
  client.on('error', () => {})
  return {
    useToken(token) {
      client.options.password = token
    },
    close: () => client.endAsync(),
  }
}

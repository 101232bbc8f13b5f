/**
 * What several tests of the cloud share: the real `runCloud` in a throw-away folder, real MQTT connections to it, and a clock
 * that can be moved. Each test opens its own world and closes it; nothing of the cloud is replaced.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { newCameraRequest } from '../shared/certificate-request.ts'
import { type Clock, MINUTE_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { newId } from '../shared/ids.ts'
import { createLog } from '../shared/log.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { topics } from '../shared/topics.ts'
import { type Sighting, sightingSchema } from '../shared/wire/index.ts'
import type { AuditEntry } from './audit/entry.ts'
import { type CloudConfig, cloudConfigSchema } from './config.ts'
import { CONNECTION_LIMITS, type ConnectionLimits } from './connections.ts'
import type { MatchedRead } from './hotlists.ts'
import { type CloudDeps, type RunningCloud, runCloud } from './main.ts'
import type { Role } from './permissions.ts'

export const AGENCY = 'springfield'

/** A read as the lists are asked about it: sure of its text. */
export const readOf = (plate: string, jurisdiction: string | null = null): MatchedRead => ({
  ...{ plate, candidates: [], jurisdiction: jurisdiction === null ? null : { code: jurisdiction } },
})

const PASSWORD = 'a heron stands in the reeds'
/** Generous: a test that waits this long is broken, not slow. */
const WAIT_LIMIT_MS = 60 * SECOND_MS

export interface Certified {
  key: string
  cert: string
}

/** The wall clock moved by `advance`; sleeps of a minute and longer end when it is moved far enough, others are real. */
/** Retention, and what is due of alerts; that sleeps for less than a minute where something is, and is not waited for then. */
const LOOPS = 2
const RESTING_MS = 2_000

export interface MovableClock extends Clock {
  advance(ms: number): void
  /** Who sleeps for a minute or longer. */
  readonly asleep: number
}

export function createMovableClock(): MovableClock {
  let aheadMs = 0
  let sleeping: { untilMs: number; wake: () => void }[] = []
  const nowMs = () => systemClock.nowMs() + aheadMs
  return {
    nowMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    sleep(ms, signal) {
      if (ms < MINUTE_MS) return systemClock.sleep(ms, signal)
      return new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason)
          return
        }
        const wake = () => {
          signal?.removeEventListener('abort', wakeUp)
          resolve()
        }
        const sleeper = { untilMs: nowMs() + ms, wake }
        sleeping.push(sleeper)
        const wakeUp = () => {
          sleeping = sleeping.filter((one) => one !== sleeper)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', wakeUp, { once: true })
      })
    },
    get asleep() {
      return sleeping.length
    },
    advance(ms) {
      aheadMs += ms
      const due = sleeping.filter((one) => one.untilMs <= nowMs())
      sleeping = sleeping.filter((one) => !due.includes(one))
      for (const { wake } of due) wake()
    },
  }
}

export interface TestCloud {
  /** Another one after `restart`. */
  readonly cloud: RunningCloud
  readonly clock: MovableClock
  readonly folder: string
  readonly databaseFile: string
  /** Every line of the log, at level debug. */
  readonly logLines: string[]
  restart(): Promise<void>
  /** Registers a camera; returns its key and certificate. */
  addCamera(camera: string): Promise<Certified>
  /** Rejects with the refusal. */
  connectCamera(camera: string, certified: Certified, options?: IClientOptions): Promise<MqttClient>
  /** Makes an account and logs it in. */
  addPerson(account: string, roles: readonly Role[], groups: readonly string[]): Promise<string>
  logIn(account: string): Promise<string>
  /** Over WebSocket, as the page does; `device` names the session. */
  connectPerson(account: string, token: string, options?: IClientOptions): Promise<MqttClient>
  /** Any connection over MQTT with TLS. */
  connectTls(options: IClientOptions): Promise<MqttClient>
  /** One list with these plates, for group patrol, as a new version. */
  importList(list: string, plates: readonly string[], groups?: readonly string[]): Promise<void>
  /** Newest first. */
  audited(operation: string): Promise<AuditEntry[]>
  /** Value of a counter such as `candor_denied_total{rule="publish"}`; 0 when it was never counted. */
  counted(name: string): Promise<number>
  /** Runs SQL on a connection of its own, past the cloud: a trigger that refuses a row is a disk that refuses a write. */
  sql(statements: string): void
}

export async function inCloud(
  work: (world: TestCloud) => Promise<void>,
  change: Partial<CloudConfig> = {},
  limits: Partial<ConnectionLimits> = {},
  clock = createMovableClock(),
  more: CloudDeps = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-cloud-'))
  const logLines: string[] = []
  const log = createLog({ level: 'debug', part: 'cloud', target: { write: (line) => logLines.push(line) } })
  const config = cloudConfigSchema.parse({
    agency: AGENCY,
    dataFolder: 'data',
    host: '127.0.0.1',
    mqttPort: 0,
    httpsPort: 0,
    secondFactor: 'optional',
    logLevel: 'debug',
    ...change,
  })
  const deps = { log, clock, limits: { ...CONNECTION_LIMITS, ...limits }, ...more }
  // Its loops rest before a test moves the clock: who is about to sleep would sleep past that.
  const start = async () => {
    const asleep = clock.asleep
    const started = await runCloud(config, folder, deps)
    const endMs = systemClock.monotonicMs() + RESTING_MS
    while (clock.asleep < asleep + LOOPS && systemClock.monotonicMs() < endMs) await systemClock.sleep(5)
    return started
  }
  let cloud = await start()
  const clients: MqttClient[] = []

  function open(url: string, options: IClientOptions): Promise<MqttClient> {
    const client = connect(url, {
      ca: cloud.caPem,
      clean: true,
      protocolVersion: 4,
      keepalive: 60,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      ...options,
    })
    // A listener for each publish on its way.
    client.setMaxListeners(0)
    clients.push(client)
    const received: Received[] = []
    arrived.set(client, received)
    client.on('message', (topic, payload, packet) => received.push({ topic, payload, packet }))
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => reject(error)
      client.once('error', failed)
      client.once('close', () => reject(new Error('closed before it was connected')))
      client.once('connect', () => {
        client.off('error', failed)
        // A connection that is ended by the server tells so by `close`.
        client.on('error', () => {})
        resolve(client)
      })
    })
  }

  const world: TestCloud = {
    get cloud() {
      return cloud
    },
    clock,
    folder,
    databaseFile: join(folder, 'data', 'candor.db'),
    logLines,
    async restart() {
      await cloud.close()
      cloud = await start()
    },
    async addCamera(camera) {
      const { keyPem, csrPem } = newCameraRequest(camera)
      const { certPem } = await cloud.parts.cameras.add(camera, csrPem, 'test')
      return { key: keyPem, cert: certPem }
    },
    connectCamera: (camera, certified, options = {}) =>
      world.connectTls({ clientId: `${AGENCY}.${camera}`, ...certified, ...options }),
    async addPerson(account, roles, groups) {
      await cloud.parts.accounts.add({ account, password: PASSWORD, by: 'test', roles, groups })
      return world.logIn(account)
    },
    async logIn(account) {
      const result = await cloud.parts.accounts.login({ account, password: PASSWORD, source: 'test' })
      if (!result.ok) throw new AppError('unauthenticated', `${account} cannot log in: ${result.rule}`)
      return result.token
    },
    connectPerson: (account, token, options = {}) =>
      open(`wss://localhost:${cloud.httpsPort}/mqtt`, {
        clientId: `${account}.phone`,
        username: account,
        password: token,
        ...options,
      }),
    connectTls: (options) => open(`mqtts://localhost:${cloud.mqttPort}`, options),
    async importList(list, plates, groups = ['patrol']) {
      const rows = plates.map((plate) => `${plate},stolen,1`)
      const report = await cloud.parts.hotlists.import({
        list,
        bytes: Buffer.from(['plate,category,priority', ...rows, ''].join('\n')),
        settings: { groups: [...groups] },
        dryRun: false,
        skipBad: false,
        allowEmpty: true,
        by: 'test',
      })
      if (!report.applied) throw new AppError('bad_input', `list not applied: ${JSON.stringify(report)}`)
    },
    async audited(operation) {
      const entries = await cloud.parts.audit.list({ before: null, limit: 500 })
      return entries.filter((entry) => entry.operation === operation)
    },
    async counted(name) {
      const { text } = await cloud.parts.metrics.render()
      const line = text.split('\n').find((one) => one.startsWith(`${name} `))
      return line === undefined ? 0 : Number(line.slice(name.length + 1))
    },
    sql(statements) {
      const connection = openDatabase(world.databaseFile)
      try {
        connection.exec(statements)
      } finally {
        connection.close()
      }
    },
  }
  try {
    await work(world)
  } finally {
    await Promise.all(clients.map((client) => client.endAsync(true).catch(() => {})))
    await cloud.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** No grouping: every sighting that meets an entry raises an alert of its own. */
export function eachAlone(world: TestCloud): Promise<void> {
  return world.cloud.parts.alertRules.set({ list: null, group: null, groupWindowSeconds: 0 }, 'test')
}

/** A valid final sighting of camera elm-st-1, captured now. */
export function makeSighting(clock: Clock, change: Partial<Sighting> = {}): Sighting {
  return sightingSchema.parse({
    sightingId: newId(),
    revision: 1,
    cameraId: 'elm-st-1',
    capturedAtMs: clock.nowMs(),
    clock: 'synced',
    plate: 'ABC1230',
    confidence: 0.98,
    candidates: [{ plate: 'ABC1230', confidence: 0.98 }],
    jurisdiction: null,
    region: { x: 1, y: 2, width: 100, height: 30 },
    frames: 3,
    match: null,
    crop: null,
    versions: { software: '0.1.0', detector: 'test', reader: 'test' },
    ...change,
  })
}

/** How a QoS 1 publish ended: PUBACK came, or the connection was closed without one. */
export function publish(
  client: MqttClient,
  topic: string,
  payload: string | Buffer,
  options: { qos?: 0 | 1 | 2; retain?: boolean } = {},
): Promise<'acknowledged' | 'closed'> {
  return new Promise((resolve) => {
    if (!client.connected) {
      resolve('closed')
      return
    }
    const closed = () => resolve('closed')
    client.once('close', closed)
    client.publish(topic, payload, { qos: 1, ...options }, (error) => {
      // QoS 0 has no acknowledgement: only a ping that comes back shows that the publish was let through.
      if (options.qos === 0 && !error) {
        client.once('packetreceive', (packet) => packet.cmd === 'pingresp' && resolve('acknowledged'))
        client.sendPing()
        return
      }
      client.off('close', closed)
      resolve(error ? 'closed' : 'acknowledged')
    })
  })
}

export function publishSighting(client: MqttClient, sighting: Sighting) {
  return publish(client, topics.sightings(AGENCY, sighting.cameraId), JSON.stringify(sighting))
}

/** The QoS that the broker granted, or `refused`. */
export function subscribe(client: MqttClient, filter: string, qos: 0 | 1 = 1): Promise<number | 'refused'> {
  return new Promise((resolve) => {
    const closed = () => resolve('refused')
    client.once('close', closed)
    client.subscribe(filter, { qos }, (error, granted) => {
      client.off('close', closed)
      const code = granted?.[0]?.qos
      resolve(error !== null || code === undefined || code === 128 ? 'refused' : code)
    })
  })
}

export interface Received {
  topic: string
  payload: Buffer
  packet: IPublishPacket
}

/** Everything that has arrived at the client since it was connected, and goes on arriving. */
export function collect(client: MqttClient): Received[] {
  return arrived.get(client) ?? []
}

/** The client takes nothing more from its connection, without closing it, until the returned function is called. */
export function stopReading(client: MqttClient): () => void {
  const held: (() => void)[] = []
  client.handleMessage = (_packet, done) => {
    held.push(done)
  }
  return () => {
    client.handleMessage = (_packet, done) => done()
    for (const done of held) done()
  }
}

/** Filled from the first byte on: what was queued comes right behind CONNACK. */
const arrived = new WeakMap<MqttClient, Received[]>()

/** Waits for a condition; throws, naming it, when it does not hold in time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs: number = WAIT_LIMIT_MS,
): Promise<void> {
  const endMs = systemClock.monotonicMs() + limitMs
  while (!(await holds())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`never: ${what}`)
    await systemClock.sleep(10)
  }
}

/** The code of the AppError that `work` throws, or `none`. */
export async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown)
  }
  return 'none'
}

/** Where in the database's files (main file and write-ahead log) the text stands, as raw bytes. */
export function filesWith(databaseFile: string, text: string): string[] {
  return ['', '-wal'].filter((ending) => {
    try {
      return readFileSync(databaseFile + ending).includes(text)
    } catch {
      return false
    }
  })
}

/**
 * What the tests of camera and cloud together share: the camera's half of the link with real files, against the real cloud, over
 * a wire that the test can cut or make silent.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { AGENCY, createMovableClock, type MovableClock, type TestCloud } from '../../cloud/testing.ts'
import { type ClockState, openClockState } from '../../edge/clock-state.ts'
import { readEnrolledKeys } from '../../edge/config.ts'
import { createHotlists, type Hotlists } from '../../edge/hotlist/hotlist.ts'
import { createIdentity, type Identity } from '../../edge/identity.ts'
import { type Outbox, openOutbox } from '../../edge/outbox/outbox.ts'
import { type CameraPolicy, createPolicy } from '../../edge/policy.ts'
import { createSigningKeys, type SigningKeys } from '../../edge/signing-keys.ts'
import { createUplink, outboxTopic, type Uplink } from '../../edge/uplink/uplink.ts'
import { newId } from '../../shared/ids.ts'
import { type Log, silentLog } from '../../shared/log.ts'
import { createSealer } from '../../shared/sealing.ts'
import { openDatabase } from '../../shared/sqlite.ts'

/** Rows of the cloud's own database, on a connection of its own. */
export function query<Row>(cloud: TestCloud, sql: string): Row[] {
  const database = openDatabase(cloud.databaseFile, { readonly: true })
  try {
    return database.prepare(sql).all() as Row[]
  } finally {
    database.close()
  }
}

/** Registers a camera and writes its files, as `candor camera add` leaves them; returns their folder. */
export async function enrol(cloud: TestCloud, camera: string): Promise<string> {
  const folder = join(cloud.folder, camera)
  mkdirSync(folder)
  const { key, cert } = await cloud.addCamera(camera)
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
  writeFileSync(join(folder, 'certificate.pem'), cert)
  writeFileSync(join(folder, 'ca.pem'), cloud.cloud.caPem)
  writeFileSync(join(folder, 'list-keys.pem'), cloud.cloud.parts.keys.signing.enrolmentPem)
  writeFileSync(join(folder, 'sealing.pem'), cloud.cloud.parts.keys.sealing.publicKeyPem)
  return folder
}

export interface Wire {
  readonly port: number
  /** From now on nothing that the cloud says on the present connections arrives; the other way is open. */
  silence(): void
  /** Ends the present connections as a power cut does: nobody says good-bye. */
  cut(): void
  close(): Promise<void>
}

/** A TCP relay in front of the cloud's broker. */
export async function openWire(cloud: TestCloud): Promise<Wire> {
  const open = new Set<{ camera: Socket; broker: Socket; silent: boolean }>()
  const server = createServer((camera) => {
    const broker = connect(cloud.cloud.mqttPort, '127.0.0.1')
    const pair = { camera, broker, silent: false }
    open.add(pair)
    camera.on('data', (bytes) => broker.write(bytes))
    broker.on('data', (bytes) => {
      if (!pair.silent) camera.write(bytes)
    })
    for (const [socket, other] of [
      [camera, broker],
      [broker, camera],
    ] as const) {
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(pair)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const { camera, broker } of open) {
      camera.destroy()
      broker.destroy()
    }
  }
  return {
    port: (server.address() as AddressInfo).port,
    silence() {
      for (const pair of open) pair.silent = true
    },
    cut,
    async close() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface LinkedCamera {
  readonly outbox: Outbox
  readonly uplink: Uplink
  readonly hotlists: Hotlists
  readonly policy: CameraPolicy
  readonly signingKeys: SigningKeys
  readonly wire: Wire
  readonly clock: MovableClock
  readonly clockState: ClockState
  readonly identity: Identity
  /** Starts the uplink; nothing is connected before. */
  start(): void
  /** Ends the uplink as a camera that is shut down does. */
  stop(): Promise<void>
}

export interface LinkOptions {
  camera?: string
  inFlight?: number
  /** Done to the outbox's file before it is opened. */
  prepare?(file: string): void | Promise<void>
  /** What the camera knows of its clock, and how far ahead that is, ms. */
  clockState?: 'synced' | 'unsynced'
  wallAheadMs?: number
  /** Of the uplink. */
  log?: Log
  /** Pauses are over when the test advances the clock, and never because the machine is slow. */
  stillClock?: boolean
}

export async function withCamera(
  cloud: TestCloud,
  options: LinkOptions,
  work: (camera: LinkedCamera) => Promise<void>,
): Promise<void> {
  const { camera = 'north', inFlight = 20 } = options
  const folder = await enrol(cloud, camera)
  const wire = await openWire(cloud)
  const movable = createMovableClock()
  let advancedMs = 0
  const clock: MovableClock = {
    ...movable,
    nowMs: () => movable.nowMs() + (options.wallAheadMs ?? 0),
    monotonicMs: () => (options.stillClock === true ? advancedMs : movable.monotonicMs()),
    advance(ms) {
      advancedMs += ms
      movable.advance(ms)
    },
  }
  const file = join(folder, 'outbox.db')
  await options.prepare?.(file)
  const database = openDatabase(join(folder, 'lists.db'))
  const isSynced = options.clockState !== 'unsynced'
  const clockState = await openClockState(async () => isSynced, clock, database)
  const aging = { nowMs: () => clockState.agingMs() }
  const sealer = createSealer(cloud.cloud.parts.keys.sealing.publicKeyPem)
  const outbox = openOutbox({
    ...{ file, maxRows: 10_000, maxBytes: 1024 ** 3, clock: aging },
    seal: (kind, id, bytes) => sealer.seal(bytes, outboxTopic({ agency: AGENCY, cameraId: camera }, kind, id)),
  })
  const enrolled = readEnrolledKeys(join(folder, 'list-keys.pem'))
  const signingKeys = createSigningKeys({ database, enrolled, agency: AGENCY, clock, log: silentLog })
  const signed = { database, verifier: signingKeys.verifier, agency: AGENCY, clock, log: silentLog }
  const retention = { unmatchedDays: 30, matchedDays: 30, cropDays: 30 }
  const policy = createPolicy({ ...signed, defaults: { upload: 'all', unmatchedInMemory: false, retention } })
  const hotlists = createHotlists({ ...signed, staleLists: () => policy.staleLists })
  const [caFile, certificateFile, keyFile] = ['ca.pem', 'certificate.pem', 'key.pem'].map((name) => join(folder, name))
  const identity = createIdentity({
    ...{ agency: AGENCY, cameraId: camera, dataFolder: folder, log: silentLog },
    broker: { caFile: caFile ?? '', certificateFile: certificateFile ?? '', keyFile: keyFile ?? '' },
  })
  const uplink = createUplink({
    config: {
      agency: AGENCY,
      cameraId: camera,
      broker: { url: `mqtts://localhost:${wire.port}`, keepaliveSeconds: 30 },
      inFlight,
    },
    outbox,
    hotlists,
    policy,
    signingKeys,
    verifier: signingKeys.verifier,
    identity,
    rollOuts: { take: () => Promise.reject(new Error('none is expected')), acks: () => [] },
    clockState,
    software: '0.1.0',
    clock,
    newId,
    // The shortest pauses between two connections.
    random: () => 0.999,
    log: options.log ?? silentLog,
  })
  const abort = new AbortController()
  let running: Promise<void> = Promise.resolve()
  const stop = async () => {
    abort.abort()
    await running
  }
  try {
    const start = () => {
      running = uplink.run(abort.signal)
    }
    await work({ outbox, uplink, hotlists, policy, signingKeys, wire, clock, clockState, identity, start, stop })
  } finally {
    await stop()
    await wire.close()
    outbox.close()
    database.close()
  }
}

/**
 * From a camera's publish of a listed sighting to its alert at an officer's MQTT client, with and without the sightings of many
 * cameras beside it: the real cloud in a process of its own, real clients over TLS here.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectAsync, type MqttClient } from 'mqtt'
import { AppError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'
import { createSealer, type Sealer } from '../../../shared/sealing.ts'
import { topics } from '../../../shared/topics.ts'
import type { Alert, Sighting } from '../../../shared/wire/index.ts'
import { GROUP, openTrialCloud } from '../../trial/cloud.ts'
import { logIn } from '../../trial/people.ts'
import { startCloudProcess, stopProcess } from '../../trial/processes.ts'
import { quantile, seeded } from '../statistics.ts'
import { type BenchCamera, connectCamera, enrolCameras, sightingOf } from '../traffic.ts'
import { inventedPlates } from './invented.ts'

const AGENCY = 'bench'
const CAMERAS = 50
const LIST = 'stolen'
const LISTED = 10_000
/** Sightings a second of all cameras together. */
const BACKGROUND_PER_SECOND = 1_000
/** Listed ones a second: 4 % of the above, as in the city with the most hits of those that published them. */
const LISTED_PER_SECOND = 40
/** Turns with and without background. */
const ROUNDS = 3
const WARM_UP_MS = 4_000
const ROUND_MS = 10_000
/** A final follows its preview after this, as a vehicle leaves the picture. */
const FINAL_AFTER_MS = 1_000
const ARRIVAL_LIMIT_MS = 10_000

export interface Delivery {
  /** Unlisted sightings a second beside the listed ones, as published. */
  backgroundPerSecond: number
  alerts: number
  /** Milliseconds: median, 95th and 99th percentile, maximum; by the way to the officer. */
  tls: [number, number, number, number]
  webSocket: [number, number, number, number]
  /** Of the machine, its load over a minute after each round. */
  load: number[]
}

export interface DeliveryScore {
  listedPerSecond: number
  withBackground: Delivery
  alone: Delivery
}

interface Source {
  client: MqttClient
  camera: BenchCamera
  sealer: Sealer
}

type Way = 'tls' | 'webSocket'

export async function measureDelivery(): Promise<DeliveryScore> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const children: ChildProcess[] = []
  const clients: MqttClient[] = []
  try {
    const trial = await openTrialCloud(folder, AGENCY, createLog({ level: 'error', part: 'bench' }))
    const cameras = await enrolCameras(trial, CAMERAS)
    const plates = inventedPlates(LISTED, 5)
    const text = `plate\n${plates.join('\n')}\n`
    const query = `groups=${GROUP}&match=near`
    // Each listed sighting is to raise an alert of its own.
    const alone = { list: null, group: null, groupWindowSeconds: 0 }
    await trial.https.call('PUT', '/api/v1/alert-rules', { token: trial.administratorToken, json: alone })
    await trial.https.call('PUT', `/api/v1/hotlists/${LIST}?${query}`, { token: trial.administratorToken, text })
    const officer = await trial.addPerson('officer', ['officer'])
    await trial.cloud.close()

    const { https, mqttPort } = await startCloudProcess(folder, children)
    const token = await logIn(https, officer)
    const ca = trial.cloud.caPem
    const arrivals: Record<Way, Map<string, number>> = { tls: new Map(), webSocket: new Map() }
    const follow = async (way: Way, url: string) => {
      const client = await connectAsync(url, {
        ...{ clientId: `officer.${way.toLowerCase()}`, username: 'officer', password: token, ca },
        ...{ protocolVersion: 4, clean: false, reconnectPeriod: 0 },
      })
      clients.push(client)
      client.on('message', (_topic, payload) => {
        const atMs = performance.now()
        const { sightingId } = (JSON.parse(payload.toString('utf8')) as Alert).sighting
        if (!arrivals[way].has(sightingId)) arrivals[way].set(sightingId, atMs)
      })
      await client.subscribeAsync(topics.alerts(AGENCY, GROUP), { qos: 1 })
    }
    await follow('tls', `mqtts://localhost:${mqttPort}`)
    await follow('webSocket', `${https.origin.replace(/^https/, 'wss')}/mqtt`)
    const sources: Source[] = []
    for (const camera of cameras) {
      const client = await connectCamera(AGENCY, camera, mqttPort)
      clients.push(client)
      const sealer = createSealer(await readFile(join(camera.files.folder, 'sealing.pem'), 'utf8'))
      sources.push({ client, camera, sealer })
    }

    const random = seeded(7)
    const measured = { withBackground: emptyRounds(), alone: emptyRounds() }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [rounds, background] of [
        [measured.withBackground, BACKGROUND_PER_SECOND - LISTED_PER_SECOND],
        [measured.alone, 0],
      ] as const) {
        const { published, unlisted } = await publishFor(sources, plates, background, random)
        const startedMs = performance.now()
        const isDue = () => [...published.keys()].some((id) => !arrivals.tls.has(id) || !arrivals.webSocket.has(id))
        while (isDue()) {
          if (performance.now() - startedMs > ARRIVAL_LIMIT_MS)
            throw new AppError('integrity', 'an alert did not arrive')
          await sleep(50)
        }
        rounds.unlisted += unlisted
        rounds.load.push(Math.round((loadavg()[0] ?? 0) * 10) / 10)
        for (const [sightingId, atMs] of published) {
          rounds.tls.push((arrivals.tls.get(sightingId) ?? Number.NaN) - atMs)
          rounds.webSocket.push((arrivals.webSocket.get(sightingId) ?? Number.NaN) - atMs)
        }
      }
    }
    return {
      listedPerSecond: LISTED_PER_SECOND,
      withBackground: scoreOf(measured.withBackground),
      alone: scoreOf(measured.alone),
    }
  } finally {
    await Promise.all(clients.map((client) => client.endAsync(true)))
    await Promise.all(children.map(stopProcess))
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

const emptyRounds = () => ({ unlisted: 0, tls: [] as number[], webSocket: [] as number[], load: [] as number[] })

function scoreOf({ unlisted, tls, webSocket, load }: ReturnType<typeof emptyRounds>): Delivery {
  const figures = (times: readonly number[]): Delivery['tls'] => [
    quantile(times, 0.5),
    quantile(times, 0.95),
    quantile(times, 0.99),
    quantile(times, 1),
  ]
  return {
    backgroundPerSecond: Math.round((unlisted * 1_000) / (ROUNDS * ROUND_MS)),
    alerts: tls.length,
    tls: figures(tls),
    webSocket: figures(webSocket),
    load,
  }
}

/**
 * Sightings of random cameras at random moments (a Poisson process, as traffic is) for a warm-up and ROUND_MS. A listed one comes as a
 * preview with a final after it. Returns when each listed sighting of ROUND_MS was first published, and how many others were.
 */
async function publishFor(
  sources: readonly Source[],
  plates: readonly string[],
  unlistedPerSecond: number,
  random: () => number,
): Promise<{ published: Map<string, number>; unlisted: number }> {
  const acknowledged: Promise<unknown>[] = []
  const publish = ({ client, camera, sealer }: Source, sighting: Sighting): number => {
    const topic = topics.sightings(AGENCY, camera.name)
    const sealed = sealer.seal(Buffer.from(JSON.stringify(sighting)), topic)
    const atMs = performance.now()
    acknowledged.push(client.publishAsync(topic, sealed, { qos: 1 }))
    return atMs
  }
  const published = new Map<string, number>()
  const finals: { dueMs: number; source: Source; sighting: Sighting }[] = []
  const perSecond = unlistedPerSecond + LISTED_PER_SECOND
  const pauseMs = () => (-Math.log(1 - random()) * 1_000) / perSecond
  const startedMs = performance.now()
  const measuredFromMs = startedMs + WARM_UP_MS
  const endMs = measuredFromMs + ROUND_MS
  let unlisted = 0
  let dueMs = startedMs + pauseMs()
  while (dueMs < endMs || finals.length > 0) {
    const nowMs = performance.now()
    for (; dueMs <= nowMs && dueMs < endMs; dueMs += pauseMs()) {
      const source = sources[Math.floor(random() * sources.length)] as Source
      const isMeasured = dueMs >= measuredFromMs
      if (random() * perSecond >= LISTED_PER_SECOND) {
        publish(source, sightingOf(source.camera.name))
        if (isMeasured) unlisted += 1
        continue
      }
      const final = sightingOf(source.camera.name, plates[Math.floor(random() * plates.length)])
      const atMs = publish(source, { ...final, revision: 0 })
      if (isMeasured) published.set(final.sightingId, atMs)
      finals.push({ dueMs: dueMs + FINAL_AFTER_MS, source, sighting: final })
    }
    for (let first = finals[0]; first !== undefined && first.dueMs <= nowMs; first = finals[0]) {
      finals.shift()
      publish(first.source, first.sighting)
    }
    await sleep(1)
  }
  await Promise.all(acknowledged)
  return { published, unlisted }
}

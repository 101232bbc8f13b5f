/**
 * `candor bench ingest`: durable sightings a second (PUBACK after the commit) of the real cloud, beside mosquitto's plain QoS 1,
 * which stores nothing: same client, same certificates, TLS on both, in turns.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { createLog } from '../../shared/log.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { topics } from '../../shared/topics.ts'
import { openTrialCloud } from '../trial/cloud.ts'
import { freePort } from '../trial/ports.ts'
import { answering, startCloudProcess, stopProcess } from '../trial/processes.ts'
import { quantile } from './statistics.ts'
import { type BenchCamera, connectCamera, enrolCameras, sightingOf } from './traffic.ts'

const AGENCY = 'bench'
/** Unacknowledged publishes of one camera; half of what a camera uses by default. */
const IN_FLIGHT = 10
/** Turns of each server; the median counts. */
const ROUNDS = 5
const WARM_UP_MS = 1_000
const MOSQUITTO = '/usr/sbin/mosquitto'

interface Round {
  server: 'candor' | 'mosquitto'
  perSecond: number
}

interface Report {
  cameras: number
  inFlight: number
  sightingBytes: number
  rounds: Round[]
  candorPerSecond: number
  mosquittoPerSecond: number | null
  /** candor / mosquitto. */
  ratio: number | null
  acknowledged: number
  stored: number
}

export async function run(options: { seconds: number; cameras: number; json?: boolean }): Promise<void> {
  const { seconds, cameras: count } = options
  const json = options.json === true
  const say = (text: string) => {
    if (!json) process.stderr.write(`${text}\n`)
  }
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  const children: ChildProcess[] = []
  try {
    say(`enrolling ${count} cameras`)
    const cameras = await prepare(folder, count)
    const { mqttPort: cloudPort } = await startCloudProcess(folder, children)
    const mosquittoPort = existsSync(MOSQUITTO) ? await startMosquitto(folder, children) : null
    if (mosquittoPort === null) say('mosquitto is not installed: no comparison (./scripts/setup installs it)')
    const servers = [
      { server: 'candor' as const, port: cloudPort },
      ...(mosquittoPort === null ? [] : [{ server: 'mosquitto' as const, port: mosquittoPort }]),
    ]
    const rounds: Round[] = []
    let acknowledged = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      // Who goes first changes, so that neither always finds the warmer machine.
      for (const { server, port } of round % 2 === 0 ? servers : [...servers].reverse()) {
        const measured = await measure(cameras, port, (seconds * 1_000) / ROUNDS)
        rounds.push({ server, perSecond: measured.perSecond })
        if (server === 'candor') acknowledged += measured.acknowledged
        say(`round ${round + 1}  ${server.padEnd(9)}  ${Math.round(measured.perSecond)} a second`)
      }
    }
    await Promise.all(children.map(stopProcess))
    const report = summary(rounds, cameras.length, acknowledged, storedRows(folder))
    if (json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else print(report)
    if (report.stored < report.acknowledged) throw new AppError('integrity', 'not all that was acknowledged is stored')
  } finally {
    await Promise.all(children.map(stopProcess))
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** A cloud that is set up once and closed again; its folder is what the measured process starts from. */
async function prepare(folder: string, count: number): Promise<BenchCamera[]> {
  const trial = await openTrialCloud(folder, AGENCY, createLog({ level: 'error', part: 'bench' }))
  try {
    return await enrolCameras(trial, count)
  } finally {
    await trial.cloud.close()
  }
}

async function startMosquitto(folder: string, children: ChildProcess[]): Promise<number> {
  const port = await freePort()
  const authority = join(folder, 'data', 'authority')
  const configFile = join(folder, 'mosquitto.conf')
  await writeFile(
    configFile,
    [
      `listener ${port} 127.0.0.1`,
      `cafile ${join(authority, 'ca.pem')}`,
      `certfile ${join(authority, 'server.pem')}`,
      `keyfile ${join(authority, 'server-key.pem')}`,
      'require_certificate true',
      'allow_anonymous true',
      'persistence false',
      'log_type error',
      // Started by root it would become a user who may not read the key.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      '',
    ].join('\n'),
  )
  const child = spawn(MOSQUITTO, ['-c', configFile], { stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  const { createConnection } = await import('node:net')
  await answering('mosquitto', child, async () => {
    await new Promise<void>((resolve, reject) => {
      const socket = createConnection(port, '127.0.0.1', () => {
        socket.destroy()
        resolve()
      })
      socket.once('error', reject)
    })
  })
  return port
}

/** All cameras publish for `forMs` with IN_FLIGHT each; what is in flight at the end is waited for, and not in the rate. */
async function measure(
  cameras: readonly BenchCamera[],
  port: number,
  forMs: number,
): Promise<{ perSecond: number; acknowledged: number }> {
  const clients = await Promise.all(cameras.map((camera) => connectCamera(AGENCY, camera, port)))
  try {
    let acknowledged = 0
    let running = true
    const publishing = clients.flatMap((client, index) => {
      const camera = (cameras[index] as BenchCamera).name
      const topic = topics.sightings(AGENCY, camera)
      return Array.from({ length: IN_FLIGHT }, async () => {
        while (running) {
          await client.publishAsync(topic, JSON.stringify(sightingOf(camera)), { qos: 1 })
          acknowledged += 1
        }
      })
    })
    await sleep(WARM_UP_MS)
    const before = { acknowledged, atMs: performance.now() }
    await sleep(forMs)
    const perSecond = ((acknowledged - before.acknowledged) * 1_000) / (performance.now() - before.atMs)
    running = false
    await Promise.all(publishing)
    return { perSecond, acknowledged }
  } finally {
    await Promise.all(clients.map((client) => client.endAsync()))
  }
}

function storedRows(folder: string): number {
  const database = openDatabase(join(folder, 'data', 'candor.db'), { readonly: true })
  try {
    return Number(database.prepare('SELECT count(*) FROM sightings').pluck().get())
  } finally {
    database.close()
  }
}

function summary(rounds: Round[], cameras: number, acknowledged: number, stored: number): Report {
  const median = (server: Round['server']) => {
    const rates = rounds.filter((round) => round.server === server).map((round) => round.perSecond)
    return rates.length === 0 ? null : Math.round(quantile(rates, 0.5))
  }
  const candorPerSecond = median('candor') ?? 0
  const mosquittoPerSecond = median('mosquitto')
  return {
    cameras,
    inFlight: IN_FLIGHT,
    sightingBytes: JSON.stringify(sightingOf('camera-0')).length,
    rounds: rounds.map(({ server, perSecond }) => ({ server, perSecond: Math.round(perSecond) })),
    candorPerSecond,
    mosquittoPerSecond,
    ratio: mosquittoPerSecond === null ? null : Math.round((100 * candorPerSecond) / mosquittoPerSecond) / 100,
    acknowledged,
    stored,
  }
}

function print(report: Report): void {
  const { cameras, inFlight, sightingBytes, candorPerSecond, mosquittoPerSecond, ratio, acknowledged, stored } = report
  process.stdout.write(
    `${cameras} cameras, ${inFlight} in flight each, sightings of ${sightingBytes} bytes, TLS; medians of ${ROUNDS} rounds in turns\n` +
      `  candor     ${candorPerSecond} durable sightings a second (acknowledged after the commit, SQLite synchronous FULL)\n` +
      (mosquittoPerSecond === null
        ? ''
        : `  mosquitto  ${mosquittoPerSecond} QoS 1 publishes a second (stores nothing)\n  ratio      ${ratio}\n`) +
      `  acknowledged ${acknowledged}, stored ${stored}\n`,
  )
}

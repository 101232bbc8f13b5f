/**
 * What the steps of `scripts/hil image` share: a real cloud on this machine, which the unit reaches at 10.0.2.2, and a folder in which a later run goes on.
 * Opened by stage.ts.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { cloudPaths } from '../../cloud/config.ts'
import type { RunningCloud } from '../../cloud/main.ts'
import { AppError } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { GROUP, openTrialCloud, originOf, startCloud } from '../trial/cloud.ts'
import { createHttps, type Https } from '../trial/https.ts'
import { logIn, type Person } from '../trial/people.ts'

export const AGENCY = 'springfield'
/** This machine, as QEMU's user network shows it to the unit. */
const HOST = '10.0.2.2'
const CANDOR = fileURLToPath(new URL('../candor.ts', import.meta.url))
const MAX_OUTPUT_BYTES = 8 * 1024 ** 2
const TSX = fileURLToPath(import.meta.resolve('tsx'))

export interface HeldSighting {
  sightingId: string
  revision: number
  plate: string | null
  seenAtMs: number
  matched: number
  matchedByUnit: number
}

export interface World {
  readonly folder: string
  readonly https: Https
  token(): Promise<string>
  /** Runs `candor ARGS` as the administrator, a process of its own; what it prints. Rejects with its own words unless it ends with 0. */
  candor(...args: string[]): Promise<string>
  /** The claim's file for the card. */
  makeClaim(camera: string): Promise<string>
  /** As an administrator who has read it where the unit is. */
  approve(camera: string, fingerprint: string): Promise<void>
  importList(list: string, csv: string): Promise<void>
  held(camera: string): HeldSighting[]
  health(camera: string): Promise<Record<string, unknown> | null>
  close(): Promise<void>
}

interface Kept {
  mqttPort: number
  httpsPort: number
  administrator: Person
}

const madeSchema = z.object({
  claim: z.looseObject({ madeAtMs: z.int() }),
  code: z.string(),
  agency: z.string(),
  caPem: z.string(),
})
const camerasSchema = z.object({
  cameras: z.array(z.looseObject({ camera: z.string(), health: z.record(z.string(), z.unknown()).nullable() })),
})

export async function openWorld(folder: string): Promise<World> {
  mkdirSync(folder, { recursive: true })
  const cloudFolder = join(folder, 'cloud')
  const keptFile = join(folder, 'cloud-kept.json')
  let cloud: RunningCloud
  let kept: Kept
  if (existsSync(keptFile)) {
    kept = JSON.parse(readFileSync(keptFile, 'utf8')) as Kept
    cloud = await startCloud(cloudFolder, AGENCY, silentLog, { ...kept, hostnames: [HOST] })
  } else {
    rmSync(cloudFolder, { recursive: true, force: true })
    mkdirSync(cloudFolder, { recursive: true })
    const trial = await openTrialCloud(cloudFolder, AGENCY, silentLog, { mqttPort: 0, httpsPort: 0, hostnames: [HOST] })
    cloud = trial.cloud
    kept = { mqttPort: cloud.mqttPort, httpsPort: cloud.httpsPort, administrator: trial.administrator }
    writeFileSync(keptFile, JSON.stringify(kept), { mode: 0o600 })
  }
  const https = createHttps(originOf(cloud), cloud.caPem)
  let token: { text: string; atMs: number } | null = null
  const fresh = async () => {
    if (token === null || performance.now() - token.atMs > 5 * 60_000)
      token = { text: await logIn(https, kept.administrator), atMs: performance.now() }
    return token.text
  }
  // In the cloud's own folder: a new cloud takes them along.
  const own = join(cloudFolder, 'administrator')
  mkdirSync(own, { recursive: true, mode: 0o700 })
  const environment = {
    ...process.env,
    ...{ CANDOR_CLOUD: originOf(cloud), CANDOR_ACCOUNT: kept.administrator.account },
    ...{ CANDOR_CA: join(own, 'ca.pem'), CANDOR_PASSWORD_FILE: join(own, 'password') },
    CANDOR_SESSION: join(own, 'session.json'),
  }
  writeFileSync(environment.CANDOR_CA, cloud.caPem)
  writeFileSync(environment.CANDOR_PASSWORD_FILE, kept.administrator.password, { mode: 0o600 })
  return {
    folder,
    https,
    token: fresh,
    candor: (...args) =>
      new Promise((resolve, reject) => {
        const options = { env: environment, maxBuffer: MAX_OUTPUT_BYTES }
        execFile(process.execPath, ['--import', TSX, CANDOR, ...args], options, (failed, out, err) => {
          if (failed === null) resolve(out)
          else reject(new AppError('internal', `candor ${args.join(' ')}: ${err.trim() || failed.message}`))
        })
      }),
    async makeClaim(camera) {
      // A step that is run once more has a new unit for the same camera.
      const { cameras } = camerasSchema.parse(await https.call('GET', '/api/v1/cameras', { token: await fresh() }))
      const replaces = cameras.some((one) => one.camera === camera)
      const json = { camera, site: 'on the bench', hours: 72, replaces }
      const { claim, code, agency, caPem } = madeSchema.parse(
        await https.call('POST', '/api/v1/claims', { token: await fresh(), json }),
      )
      const cloudUrl = `https://${HOST}:${kept.httpsPort}`
      return JSON.stringify({ candorClaim: 1, cloud: cloudUrl, agency, camera, code, caPem, madeAtMs: claim.madeAtMs })
    },
    async approve(camera, fingerprint) {
      await https.call('POST', `/api/v1/claims/${camera}/approve`, { token: await fresh(), json: { fingerprint } })
    },
    async importList(list, csv) {
      const path = `/api/v1/hotlists/${list}?match=exact&groups=${GROUP}`
      const { applied } = z
        .object({ applied: z.boolean() })
        .parse(await https.call('PUT', path, { token: await fresh(), text: csv }))
      if (!applied) throw new AppError('bad_input', 'the list was not applied')
    },
    held(camera) {
      const database = openDatabase(cloudPaths({ dataFolder: 'data' }, cloudFolder).databaseFile, { readonly: true })
      try {
        return database
          .prepare(
            `SELECT sighting_id AS sightingId, revision, plate, seen_at_ms AS seenAtMs, matched, json_extract(document, '$.match') IS NOT NULL AS matchedByUnit
             FROM sightings WHERE camera_id = ?`,
          )
          .all(camera) as HeldSighting[]
      } finally {
        database.close()
      }
    },
    async health(camera) {
      const answer = camerasSchema.parse(await https.call('GET', '/api/v1/cameras', { token: await fresh() }))
      return answer.cameras.find((one) => one.camera === camera)?.health ?? null
    },
    close: () => cloud.close(),
  }
}

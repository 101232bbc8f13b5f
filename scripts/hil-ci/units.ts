/** Camera units of the stage: real `candor edge` processes before a real cloud, and what both know of the sightings. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { cloudPaths } from '../../cloud/config.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { enrolCamera, type RunningCamera, startCamera } from '../trial/cameras.ts'
import type { TrialCloud } from '../trial/cloud.ts'

const healthSchema = z.object({
  frames: z.object({ rejected: z.int(), read: z.int() }),
  outbox: z.object({ rows: z.int() }),
  source: z
    .object({ state: z.string(), reconnects: z.int(), stalls: z.int(), frameAgeMs: z.int().nullable() })
    .optional(),
})
export type UnitHealth = z.infer<typeof healthSchema>
const listSchema = z.object({ cameras: z.array(z.object({ camera: z.string(), health: healthSchema.nullable() })) })

/** A sighting as the cloud holds it; times are milliseconds since 1970. */
export interface Held {
  camera: string
  sightingId: string
  revision: number
  plate: string | null
  seenAtMs: number
}

export interface Unit {
  readonly name: string
  /** Of the running process. */
  readonly pid: number
  start(): void
  stop(): Promise<void>
  kill(): void
  /** What the cloud last heard of it; null: nothing yet. */
  health(): Promise<UnitHealth | null>
  /** `id/revision` of each sighting that it says it has stored. */
  stored(): Promise<Set<string>>
}

export async function openUnit(
  trial: TrialCloud,
  name: string,
  source: object,
  environment: Record<string, string>,
): Promise<Unit> {
  const folder = join(trial.folder, 'units', name)
  await enrolCamera(trial.https, trial.administratorToken, name, folder)
  const configFile = join(folder, 'edge.json')
  const config = {
    agency: trial.agency,
    cameraId: name,
    broker: { url: `mqtts://localhost:${trial.cloud.mqttPort}` },
    source: { sequence: 'stills', ...source },
    vision: { threads: 1, frameTimeoutMs: 60_000 },
    // The few scenes come round every few seconds.
    track: { repeatWindowMs: 1_000 },
    healthIntervalMs: 300,
    assumeClockSynced: true,
    logLevel: 'info',
  }
  await writeFile(configFile, JSON.stringify(config, null, 2))
  let running: RunningCamera | null = null
  return {
    name,
    get pid() {
      return running?.process.pid ?? 0
    },
    start() {
      running = startCamera(name, folder, configFile, environment)
    },
    stop: async () => await running?.stop(),
    kill: () => running?.kill(),
    async health() {
      const answer = await trial.https.call('GET', '/api/v1/cameras', { token: trial.administratorToken })
      return listSchema.parse(answer).cameras.find(({ camera }) => camera === name)?.health ?? null
    },
    async stored() {
      const lines = (await readFile(join(folder, 'edge.log'), 'utf8')).split('\n')
      const stored = lines
        .filter((line) => line.includes('"sighting_stored"'))
        .map((line) => JSON.parse(line) as { sightingId: string; revision: number })
      return new Set(stored.map(({ sightingId, revision }) => `${sightingId}/${revision}`))
    },
  }
}

/** All that the cloud holds. */
export function heldSightings(trial: TrialCloud): Held[] {
  const database = openDatabase(cloudPaths({ dataFolder: 'data' }, trial.folder).databaseFile, { readonly: true })
  try {
    const columns = 'camera_id AS camera, sighting_id AS sightingId, revision, plate, seen_at_ms AS seenAtMs'
    return database.prepare(`SELECT ${columns} FROM sightings`).all() as Held[]
  } finally {
    database.close()
  }
}

/** The process among `pid` and its children, and theirs, that runs `program`; null when there is none. */
export async function descendant(pid: number, program: string): Promise<number | null> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  for (const child of children.trim().split(' ').filter(Boolean).map(Number)) {
    const command = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(program)) return child
    const deeper = await descendant(child, program)
    if (deeper !== null) return deeper
  }
  return null
}

/** The last lines of each unit's log, for who looks for what went wrong. */
export async function lastLines(trial: TrialCloud, count: number): Promise<string> {
  const folder = join(trial.folder, 'units')
  const names = await readdir(folder).catch(() => [])
  const logs = names.map(async (name) => {
    const text = await readFile(join(folder, name, 'edge.log'), 'utf8').catch(() => '')
    return `--- ${name}\n${text.trim().split('\n').slice(-count).join('\n')}`
  })
  return (await Promise.all(logs)).join('\n')
}

/**
 * A city that uses the cloud: its cameras, lists, investigators, officers and reviewer. Everything goes through the real parts (ingest,
 * search, steps of alerts, review, audit) on a real database; each act is told to the tally when it was done.
 */

import { createIngest, type Ingest } from '../../cloud/ingest.ts'
import type { RunningCloud } from '../../cloud/main.ts'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import type { CameraHealth, CameraStatus, Sighting } from '../../shared/wire/index.ts'
import { seeded } from '../bench/statistics.ts'
import type { MovedClock } from './clock.ts'
import type { Tally } from './tally.ts'

const REVIEWER = 'rita'
const OFFICER = { account: 'olga', roles: ['officer' as const], session: 'desk', source: '10.0.0.9' }
const GROUPS = ['patrol']
/** The share of cameras' messages that come again, and of vehicles that are told of early and finally. */
const RESENT = 0.02
const PREVIEWED = 0.1
/** Of alerts that stand alone, the share that an officer works at once. */
const WORKED = 0.03
const OUTCOMES = ['misread', 'misread', 'cleared', 'located', 'not_located', 'stale'] as const
const SHARES: readonly (readonly [list: string, share: number])[] = [
  ['stolen', 0.62],
  ['wanted', 0.379],
  // So few that they must not be shown.
  ['amber', 0.001],
]

interface SimulatedCamera {
  name: string
  sessionId: string
  startedAtMs: number
  addedAtMs: number
  onlineSinceMs: number | null
  lastSignMs: number
  made: number
  lost: number
}

export interface City {
  readonly cameras: SimulatedCamera[]
  addCamera(): Promise<void>
  revokeCamera(): Promise<void>
  goOnline(camera: SimulatedCamera): Promise<void>
  /** By a Will, or silently. */
  goOffline(camera: SimulatedCamera, how: 'will' | 'silently'): Promise<void>
  /** `mayLose`: a vehicle for which it had no room, now and then. */
  health(camera: SimulatedCamera, mayLose?: boolean): Promise<void>
  /** So many vehicles, of which so many are listed, pass now. */
  traffic(vehicles: number, hits: number): Promise<void>
  search(): Promise<void>
  refusedSearch(): Promise<void>
  review(): Promise<void>
  /** After a restart. */
  use(cloud: RunningCloud): void
}

export function createCity(options: {
  cloud: RunningCloud
  clock: MovedClock
  tally: Tally
  plates: ReadonlyMap<string, readonly string[]>
  seed: number
}): City {
  const { clock, tally, plates } = options
  let { parts } = options.cloud
  let ingest = ingestOf(options.cloud)
  const random = seeded(options.seed)
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  const cameras: SimulatedCamera[] = []
  let searches = 0
  let strangers = 0

  function ingestOf(cloud: RunningCloud): Ingest {
    return createIngest({
      ...cloud.parts,
      match: cloud.parts.hotlists.match,
      onListKeyRequest() {},
      onCertificateRequest() {},
      retention: () => cloud.parts.policy.retention(),
      unmatchedInMemory: () => cloud.parts.policy.current().unmatchedInMemory,
      counters: cloud.parts.metrics.ingest,
    })
  }

  const send = (
    camera: string,
    kind: 'sightings' | 'status' | 'health',
    body: Sighting | CameraStatus | CameraHealth,
  ) =>
    ingest.accept({
      topic: { kind, agency: parts.agency, camera },
      topicName: kind === 'sightings' ? topics.sightings(parts.agency, camera) : kind,
      payload: Buffer.from(JSON.stringify(body)),
    })

  const status = (camera: SimulatedCamera, online: boolean) =>
    send(camera.name, 'status', {
      ...{ cameraId: camera.name, online, sessionId: camera.sessionId, sinceMs: clock.nowMs(), software: '1' },
    })

  /** The time since the last sign is time online. */
  function sign(camera: SimulatedCamera): void {
    if (camera.onlineSinceMs !== null) tally.onlineMs.add(camera.name, clock.nowMs() - camera.lastSignMs)
    camera.lastSignMs = clock.nowMs()
  }

  function sightingOf(camera: SimulatedCamera, plate: string | null, revision: 0 | 1, sightingId: string): Sighting {
    return {
      ...{ sightingId, revision, cameraId: camera.name, capturedAtMs: clock.nowMs(), clock: 'synced', plate },
      ...{ confidence: 0.94, candidates: plate === null ? [] : [{ plate, confidence: 0.94 }], jurisdiction: null },
      ...{ region: { x: 512.5, y: 420.25, width: 118, height: 40.5 }, frames: 3 + revision, match: null, crop: null },
      versions: { software: '1', detector: 'candor', reader: 'candor' },
    }
  }

  /** A plate that no list has, nor one like it. */
  function stranger(): string | null {
    strangers += 1
    if (strangers % 40 === 0) return null
    return `W${(strangers % 16 ** 6).toString(16).padStart(6, '0').toUpperCase()}`
  }

  async function passes(camera: SimulatedCamera, plate: string | null): Promise<void> {
    const sightingId = newId()
    const revisions: (0 | 1)[] = random() < PREVIEWED ? [0, 1] : [1]
    camera.made += 1
    for (const revision of revisions) {
      const sighting = sightingOf(camera, plate, revision, sightingId)
      const sent = [send(camera.name, 'sightings', sighting)]
      if (random() < RESENT) sent.push(send(camera.name, 'sightings', sighting))
      const outcomes = await Promise.all(sent)
      if (outcomes[0] !== 'stored') throw new AppError('internal', `a sighting was ${outcomes[0]}`)
      tally.revisions.push(clock.nowMs())
    }
    tally.vehicles += 1
  }

  function listedPlate(): { list: string; plate: string } {
    let share = random()
    const [list] = SHARES.find(([, of]) => {
      share -= of
      return share < 0
    }) ?? ['stolen']
    return { list, plate: pick(plates.get(list) ?? []) }
  }

  /** An officer works some of the alerts that have just been raised, to their end. */
  async function work(plate: string): Promise<void> {
    const open = await parts.alerts.list({ groups: GROUPS, state: 'open', beforeMs: null, limit: 200 })
    let alert = open.find(({ sighting }) => sighting.plate === plate)
    if (alert === undefined) throw new AppError('internal', 'an alert that was to be raised is not there')
    const by = { actor: OFFICER, account: OFFICER.account, groups: GROUPS }
    const outcome = pick(OUTCOMES)
    const { alertId } = alert
    const step = async (taken: Parameters<typeof parts.alerts.step>[1]) => {
      alert = await parts.alerts.step(alertId, taken, by)
      return alert.revision
    }
    let { revision } = alert
    if (outcome === 'located' || outcome === 'not_located') {
      revision = await step({ step: 'image_compared', revision, plateSeen: plate, jurisdictionSeen: null })
      revision = await step({ step: 'source_confirmed', revision, confirmedWith: 'dispatch', result: 'entry stands' })
      revision = await step({ step: 'actionable', revision })
    }
    const correctPlate = outcome === 'misread' ? { correctPlate: 'XXX0000' } : {}
    await step({ step: 'closed', revision, outcome, note: '', ...correctPlate })
    tally.close(plate, outcome)
  }

  return {
    cameras,
    use(cloud) {
      parts = cloud.parts
      ingest = ingestOf(cloud)
    },
    async addCamera() {
      const name = `camera-${cameras.length + 1}`
      const { csrPem } = newCameraRequest(name)
      await parts.cameras.add(name, csrPem, 'tech')
      const nowMs = clock.nowMs()
      cameras.push({
        ...{ name, sessionId: newId(), startedAtMs: nowMs, addedAtMs: nowMs, onlineSinceMs: null, lastSignMs: nowMs },
        ...{ made: 0, lost: 0 },
      })
    },
    async revokeCamera() {
      const camera = cameras.shift()
      if (camera === undefined) return
      await status(camera, false)
      sign(camera)
      await parts.cameras.revoke(camera.name, 'tech')
      tally.registeredMs.add(camera.name, clock.nowMs())
    },
    async goOnline(camera) {
      camera.sessionId = newId()
      await status(camera, true)
      Object.assign(camera, { onlineSinceMs: clock.nowMs(), lastSignMs: clock.nowMs() })
    },
    async goOffline(camera, how) {
      if (how === 'will') {
        await status(camera, false)
        sign(camera)
      }
      camera.onlineSinceMs = null
    },
    async health(camera, mayLose = true) {
      if (camera.onlineSinceMs === null) return
      if (mayLose && random() < 0.001) {
        camera.lost += 1
        camera.made += 1
        tally.lost += 1
      }
      const counters = { made: camera.made, matched: 0, withheld: 0, lost: camera.lost }
      await send(camera.name, 'health', {
        ...{ cameraId: camera.name, sessionId: camera.sessionId, atMs: clock.nowMs() },
        ...{ uptimeMs: clock.nowMs() - camera.startedAtMs, clock: 'synced', hotlists: [] },
        frames: { read: 0, still: 0, dropped: 0, rejected: 0, failed: 0 },
        vision: { restarts: 0 },
        sightings: counters,
        outbox: { rows: 0, bytes: 0, oldestAgeMs: 0, evicted: { crops: 0, sightings: 0 }, expired: 0 },
        memory: { held: 0, bytes: 0, expired: 0, dropped: 0, matchedLate: 0 },
      })
      sign(camera)
    },
    async traffic(vehicles, hits) {
      const online = cameras.filter(({ onlineSinceMs }) => onlineSinceMs !== null)
      const seenAtMs = clock.nowMs()
      const passing: Promise<void>[] = []
      for (let i = 0; i < vehicles; i += 1) {
        if (i >= hits) {
          passing.push(passes(pick(online), stranger()))
          continue
        }
        const { list, plate } = listedPlate()
        tally.hit(list, plate, seenAtMs)
        passing.push(passes(pick(online), plate))
      }
      await Promise.all(passing)
      for (const plate of tally.fresh(seenAtMs)) if (random() < WORKED) await work(plate)
    },
    async search() {
      searches += 1
      const partner = searches % 97 === 0 ? 'shelbyville' : searches % 701 === 0 ? 'ogdenville' : null
      const number = (searches % 12) + 1
      const actor = {
        ...{ account: `investigator-${number}`, roles: ['investigator' as const] },
        ...{ session: `s-${number}`, source: `10.0.1.${number}` },
        ...(partner === null ? {} : { organisation: partner }),
      }
      // One of them searches one plate again and again.
      const plate =
        number === 1 ? 'QQQ1111' : random() < 0.5 ? pick(plates.get('stolen') ?? []) : (stranger() ?? 'QQQ2222')
      await parts.search.run(
        {
          ...{ plate, fromMs: null, toMs: null, cameras: [], limit: 50, offset: 0 },
          ...{ caseNumber: `26-${1_000 + searches}`, offenceType: pick(['burglary', 'robbery', 'hit and run']) },
          reason: `witness ${searches} named a ${pick(['white van', 'blue sedan', 'grey truck'])} leaving ${pick(['Elm', 'Oak', 'Main'])} Street`,
        },
        actor,
      )
      tally.searches.add(partner ?? '')
    },
    async refusedSearch() {
      const actor = { account: 'investigator-3', roles: ['investigator' as const], session: 's-3', source: '10.0.1.3' }
      const request = {
        ...{ plate: 'QQQ3333', fromMs: null, toMs: null, cameras: [], limit: 50, offset: 0 },
        ...{ caseNumber: '26-1', offenceType: 'burglary', reason: 'white van on Elm Street' },
      }
      const [rule, change] = pick([
        ['case_number_missing', { caseNumber: '' }],
        ['reason_vague', { reason: 'check' }],
        ['reason_vague', { reason: 'case' }],
        ['reason_missing', { reason: '.' }],
      ] as const)
      const refused = await parts.search.run({ ...request, ...change }, actor).then(
        () => false,
        () => true,
      )
      if (!refused) throw new AppError('internal', 'a search without its purpose was answered')
      tally.refused.add(rule)
    },
    async review() {
      const open = await parts.review.list({ decision: 'open', limit: 200, offset: 0 })
      for (const { findingId } of open) {
        const decision = pick(['no_concern', 'explained', 'explained', 'concern'] as const)
        await parts.review.decide(findingId, decision, 'spoken with the person', REVIEWER)
        tally.decisions.add(decision)
      }
    },
  }
}

export const LISTS = SHARES.map(([list]) => list)

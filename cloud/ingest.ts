/**
 * What cameras publish, made durable before it is acknowledged: bytes → parse → stored once | quarantined, never half. The
 * broker calls `accept` inside authorizePublish and sends PUBACK when it resolves [MQTT-4.3.2-2]; all publishes of one
 * event-loop turn share a transaction. When it throws, the connection is closed without PUBACK and the camera sends again.
 */
import type { Clock } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { ListMatchKind } from '../shared/match-order.ts'
import { confusableKey } from '../shared/plate.ts'
import { isSealed } from '../shared/sealing.ts'
import { sha256Hex } from '../shared/signing.ts'
import type { Topic } from '../shared/topics.ts'
import { MAX_CROP_BYTES, MAX_SIGHTING_BYTES, parseWire, type Sighting, sightingSchema } from '../shared/wire/index.ts'
import type { PlannedAlerts } from './alerts/grouping.ts'
import type { Alerts } from './alerts.ts'
import type { Database, Statement } from './database/database.ts'
import type { ListMatch, MatchedRead } from './hotlists.ts'
import type { Quarantine, QuarantineReason } from './quarantine.ts'
import { type ReportDeps, recordReport } from './reports.ts'
import { type Retention, type Sightings, timesOf } from './sightings.ts'
import { addTo, type Counts } from './usage/figures.ts'
import type { Usage } from './usage.ts'

/** Publishes in one transaction; more wait for the next, so that none holds the event loop for long. */
export const MAX_BATCH = 500
/** A lone sighting waits two turns; a crowd, at most so many. */
const MAX_GATHER_TURNS = 8
/**
 * From one commit to the next, unless CROWD wait: sightings that come one by one would take a commit each, and on a busy machine
 * nothing would be left for the alerts. A lone one after a pause waits for none of this. Milliseconds.
 */
const COMMIT_EVERY_MS = 5
const CROWD = 50
/** Quarantined publishes after which the quarantine's bound is looked at. */
export const QUARANTINE_CHECK_EVERY = 1_000

/** `dropped`: by policy no disk may hold it. */
export type IngestOutcome = 'stored' | 'duplicate' | 'quarantined' | 'recorded' | 'dropped'

export interface Arrival {
  topic: Topic & { camera: string }
  topicName: string
  payload: Buffer
}

export interface IngestCounters {
  outcome(kind: Topic['kind'], outcome: IngestOutcome): void
  quarantined(reason: QuarantineReason): void
  /** Rows that left the quarantine because it was full. */
  quarantinePurged(count: number): void
  batch(size: number, durationMs: number): void
  failed(code: string): void
  alertRaised(kind: ListMatchKind): void
  /** Of a sighting that joined an open alert, as an element of its trail or only counted. */
  alertJoined(as: 'trail' | 'duplicate'): void
  disagreement(): void
  clockMarked(): void
}

export interface Ingest {
  /** Resolves after the commit. Throws `storage_full` or `unavailable`: then nothing of it is stored. */
  accept(arrival: Arrival): Promise<IngestOutcome>
}

export interface IngestDeps extends ReportDeps {
  database: Database
  sightings: Sightings
  quarantine: Quarantine
  alerts: Alerts
  /** The current lists' entry for a read, or null. */
  match: (read: MatchedRead, nowMs: number) => ListMatch | null
  retention: () => Retention
  usage: Pick<Usage, 'countSightings' | 'cameras'>
  /** By policy: a sighting without a match touches no disk. A camera that has not heard of it yet may still send some. */
  unmatchedInMemory: () => boolean
  clock: Clock
  log: Log
  counters: IngestCounters
}

interface Waiting {
  arrival: Arrival
  receivedAtMs: number
  resolve(outcome: IngestOutcome): void
  reject(error: Error): void
}

/** What the statements of a batch will have stored, seen by later arrivals of the same batch. */
interface Batch {
  statements: Statement[]
  digests: Map<string, string>
  /** Sightings and entries whose alerts it changes; a further change needs those committed. */
  alerted: Set<string>
  alertsChanged: boolean
  /** `camera/sighting/sha256` of announced pictures → where their retention starts. */
  crops: Map<string, number>
  /** Sightings, `camera/sighting`, of which a revision was stored, and whether one of them met an entry. */
  vehicles: Map<string, boolean>
  /** Vehicles and hits, of which nothing but the number is kept for long. */
  usage: Counts
  /** Counted once the batch is committed. */
  afterCommit: (() => void)[]
}

export function createIngest(deps: IngestDeps): Ingest {
  const { database, sightings, quarantine, alerts, clock, counters, log } = deps
  const waiting: Waiting[] = []
  let flushing = false
  let sinceQuarantineCheck = 0
  let committedAtMs = Number.NEGATIVE_INFINITY

  function setAside(batch: Batch, arrived: Waiting, reason: QuarantineReason, detail: string): IngestOutcome {
    batch.statements.push(
      quarantine.insert({
        cameraId: arrived.arrival.topic.camera,
        topic: arrived.arrival.topicName,
        reason,
        detail,
        payload: arrived.arrival.payload,
        receivedAtMs: arrived.receivedAtMs,
      }),
    )
    batch.afterCommit.push(() => {
      counters.quarantined(reason)
      sinceQuarantineCheck += 1
    })
    return 'quarantined'
  }

  async function planSighting(batch: Batch, arrived: Waiting): Promise<IngestOutcome> {
    const { arrival, receivedAtMs } = arrived
    const parsed = parseWire(sightingSchema, arrival.payload, MAX_SIGHTING_BYTES)
    if (!parsed.ok) return setAside(batch, arrived, 'malformed', parsed.reason)
    const sighting = parsed.value
    if (sighting.cameraId !== arrival.topic.camera) return setAside(batch, arrived, 'not_its_own', 'cameraId')
    const { seenAtMs, retainedFromMs, clockTrusted } = timesOf(sighting, receivedAtMs)
    const key = `${sighting.cameraId}/${sighting.sightingId}/${sighting.revision}`
    const digest = sha256Hex(arrival.payload)
    const revisions = await sightings.storedRevisions(sighting.cameraId, sighting.sightingId)
    const stored = batch.digests.get(key) ?? revisions.get(sighting.revision)?.sha256
    if (stored === digest) return 'duplicate'
    if (stored !== undefined) return setAside(batch, arrived, 'conflicting_duplicate', 'sightingId')

    const { plate } = sighting
    const match = plate === null ? null : deps.match({ ...sighting, plate }, receivedAtMs)
    // Asked before the plan, which may commit the batch and empty it.
    const known = knownOf(batch, sighting, [...revisions.values()])
    const planned = await planAlerts(batch, { sighting, receivedAtMs, match, hasPreview: revisions.has(0) })
    const isMatched = match !== null || planned?.isAlerted === true
    if (!isMatched && deps.unmatchedInMemory()) return 'dropped'
    const { matchedMs, unmatchedMs } = deps.retention()
    if (retainedFromMs <= receivedAtMs - (isMatched ? matchedMs : unmatchedMs)) {
      return setAside(batch, arrived, 'clock_behind', 'capturedAtMs')
    }
    if (planned !== null) takeAlerts(batch, sighting, match, planned)
    batch.digests.set(key, digest)
    countVehicle(batch, sighting, match, known)
    if (sighting.crop !== null) {
      batch.crops.set(`${sighting.cameraId}/${sighting.sightingId}/${sighting.crop.sha256}`, retainedFromMs)
    }
    const disagreed = (match?.entryId ?? null) !== (sighting.match?.entryId ?? null)
    batch.statements.push(
      sightings.insert({
        camera_id: sighting.cameraId,
        sighting_id: sighting.sightingId,
        revision: sighting.revision,
        payload_sha256: digest,
        seen_at_ms: seenAtMs,
        received_at_ms: receivedAtMs,
        retained_from_ms: retainedFromMs,
        clock_trusted: clockTrusted ? 1 : 0,
        plate: sighting.plate,
        confusable_key: sighting.plate === null ? null : confusableKey(sighting.plate),
        matched: isMatched ? 1 : 0,
        match_disagreed: disagreed ? 1 : 0,
        crop_sha256: sighting.crop?.sha256 ?? null,
        document: arrival.payload.toString('utf8'),
      }),
    )
    batch.afterCommit.push(() => {
      if (disagreed) counters.disagreement()
      if (!clockTrusted) counters.clockMarked()
      log.debug('sighting_stored', { sightingId: sighting.sightingId, cameraId: sighting.cameraId })
    })
    return 'stored'
  }

  /** Null for most: what matches nothing, neither here nor on the camera, and had no preview needs no look at the alerts. */
  async function planAlerts(
    batch: Batch,
    found: { sighting: Sighting; receivedAtMs: number; match: ListMatch | null; hasPreview: boolean },
  ): Promise<PlannedAlerts | null> {
    const { sighting, match } = found
    if (match === null && sighting.match === null) {
      const preview = batch.digests.has(`${sighting.cameraId}/${sighting.sightingId}/0`) || found.hasPreview
      if (sighting.revision === 0 || !preview) return null
    }
    // What the batch has planned for the same alerts must be there to be read.
    if (alertKeys(sighting, match).some((key) => batch.alerted.has(key))) await commit(batch)
    const planned = await alerts.plan(found)
    if (!planned.alertIds.some((alertId) => batch.alerted.has(alertId))) return planned
    await commit(batch)
    return alerts.plan(found)
  }

  function takeAlerts(batch: Batch, sighting: Sighting, match: ListMatch | null, planned: PlannedAlerts): void {
    const { statements, raised, joined } = planned
    if (statements.length === 0) return
    batch.statements.push(...statements)
    for (const key of [...alertKeys(sighting, match), ...planned.alertIds]) batch.alerted.add(key)
    batch.alertsChanged ||= planned.isToPublish
    batch.afterCommit.push(() => {
      if (joined !== null) counters.alertJoined(joined.isShown ? 'trail' : 'duplicate')
      if (raised === null) return
      counters.alertRaised(raised.match.kind)
      log.info('alert_raised', { alertId: raised.alertId, sightingId: sighting.sightingId })
    })
  }

  async function planCrop(
    batch: Batch,
    arrived: Waiting & { arrival: { topic: { sightingId: string } } },
  ): Promise<IngestOutcome> {
    const { payload, topic } = arrived.arrival
    if (payload.length > MAX_CROP_BYTES)
      return setAside(batch, arrived, 'crop_mismatch', `at most ${MAX_CROP_BYTES} bytes`)
    if (!isWholeJpeg(payload)) return setAside(batch, arrived, 'crop_mismatch', 'not a whole JPEG')
    const digest = sha256Hex(payload)
    if (await sightings.hasCrop(topic.camera, topic.sightingId, digest)) return 'duplicate'
    const retainedFromMs =
      batch.crops.get(`${topic.camera}/${topic.sightingId}/${digest}`) ??
      (await sightings.announcedCrop(topic.camera, topic.sightingId, digest))
    // That of a sighting that was dropped.
    if (retainedFromMs === null && deps.unmatchedInMemory()) return 'dropped'
    // A camera sends the sighting first; a picture that no sighting announced cannot be told from a forgery.
    if (retainedFromMs === null) return setAside(batch, arrived, 'crop_mismatch', 'no sighting announced this picture')
    batch.statements.push(
      sightings.insertCrop({
        camera_id: topic.camera,
        sighting_id: topic.sightingId,
        sha256: digest,
        jpeg: payload,
        received_at_ms: arrived.receivedAtMs,
        retained_from_ms: retainedFromMs,
      }),
    )
    return 'stored'
  }

  async function planReport(batch: Batch, arrived: Waiting): Promise<IngestOutcome> {
    const { arrival, receivedAtMs } = arrived
    const refusal = await recordReport({ ...arrival, receivedAtMs }, deps, batch.statements)
    return refusal === null ? 'recorded' : setAside(batch, arrived, refusal.reason, refusal.detail)
  }

  async function plan(batch: Batch, arrived: Waiting): Promise<IngestOutcome> {
    const { topic, payload } = arrived.arrival
    if (isSealed(payload)) return setAside(batch, arrived, 'sealed', 'cannot be opened')
    if (topic.kind === 'sightings') return planSighting(batch, arrived)
    if (topic.kind === 'crop') return planCrop(batch, { ...arrived, arrival: { ...arrived.arrival, topic } })
    return planReport(batch, arrived)
  }

  /** Stores what the batch holds and empties it. */
  async function commit(batch: Batch): Promise<void> {
    const usage = batch.usage.size > 0 ? deps.usage.countSightings(batch.usage, clock.nowMs()) : []
    if (batch.statements.length > 0) await database.writeBatch([...batch.statements, ...usage])
    for (const count of batch.afterCommit) count()
    // Officers are told after the acknowledgement: a slow queue must not hold up the camera.
    if (batch.alertsChanged) {
      alerts.publishPending().catch((thrown: unknown) => {
        log.error('alerts_not_published', { error: toAppError(thrown).message })
      })
    }
    Object.assign(batch, newBatch())
  }

  /** One transaction for `arrivals`, more where several change the same alert. When it throws, what is stored makes their repeats duplicates. */
  async function store(arrivals: readonly Waiting[]): Promise<IngestOutcome[]> {
    const batch = newBatch()
    const outcomes: IngestOutcome[] = []
    for (const arrived of arrivals) outcomes.push(await plan(batch, arrived))
    await commit(batch)
    return outcomes
  }

  async function settle(arrivals: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await alerts.exclusively(() => store(arrivals))
      for (const [i, arrived] of arrivals.entries()) {
        const outcome = outcomes[i] ?? 'stored'
        counters.outcome(arrived.arrival.topic.kind, outcome)
        arrived.resolve(outcome)
      }
    } catch (thrown) {
      const error = toAppError(thrown)
      counters.failed(error.code)
      log.error('ingest_failed', { code: error.code, error: error.message, count: arrivals.length })
      // One arrival that trips over a fault of ours must not take the others with it for ever.
      if (error.code === 'internal' && arrivals.length > 1) for (const arrived of arrivals) await settle([arrived])
      else for (const arrived of arrivals) arrived.reject(error)
    }
  }

  async function flush(): Promise<void> {
    const arrivals = waiting.splice(0, MAX_BATCH)
    const startMs = clock.monotonicMs()
    await settle(arrivals)
    committedAtMs = clock.monotonicMs()
    counters.batch(arrivals.length, committedAtMs - startMs)
    if (sinceQuarantineCheck >= QUARANTINE_CHECK_EVERY) {
      sinceQuarantineCheck = 0
      try {
        counters.quarantinePurged(await quarantine.bound())
      } catch (thrown) {
        log.warn('quarantine_not_purged', { error: toAppError(thrown).message })
      }
    }
  }

  /** Turns of the event loop, until none brings more: a commit costs the same for one sighting as for hundreds. */
  async function gather(): Promise<void> {
    const restMs = COMMIT_EVERY_MS - (clock.monotonicMs() - committedAtMs)
    if (restMs > 0 && waiting.length < CROWD) await clock.sleep(restMs)
    for (let turn = 0, before = -1; turn < MAX_GATHER_TURNS && waiting.length > before; turn += 1) {
      if (waiting.length >= MAX_BATCH) return
      before = waiting.length
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      await gather()
      await flush()
    }
    flushing = false
  }

  return {
    accept(arrival) {
      return new Promise((resolve, reject) => {
        waiting.push({ arrival, receivedAtMs: clock.nowMs(), resolve, reject })
        if (flushing) return
        flushing = true
        void run()
      })
    },
  }
}

const vehicleOf = ({ cameraId, sightingId }: Sighting) => `${cameraId}/${sightingId}`

/** Is a revision of the vehicle stored or about to be, and did one meet an entry? */
function knownOf(batch: Batch, sighting: Sighting, stored: readonly { matched: boolean }[]) {
  const planned = batch.vehicles.get(vehicleOf(sighting))
  return {
    isNew: stored.length === 0 && planned === undefined,
    wasHit: planned === true || stored.some(({ matched }) => matched),
  }
}

/** Each vehicle once, whatever its revisions, and as a hit with the first of them that meets an entry. */
function countVehicle(
  batch: Batch,
  sighting: Sighting,
  match: ListMatch | null,
  { isNew, wasHit }: ReturnType<typeof knownOf>,
): void {
  if (isNew) addTo(batch.usage, 'sightings', sighting.cameraId)
  if (match !== null && !wasHit) addTo(batch.usage, 'hits', match.list)
  batch.vehicles.set(vehicleOf(sighting), wasHit || match !== null)
}

const newBatch = (): Batch => ({
  ...{
    statements: [],
    digests: new Map(),
    alerted: new Set(),
    alertsChanged: false,
    crops: new Map(),
    vehicles: new Map(),
    usage: new Map(),
    afterCommit: [],
  },
})

/** What stands for the alerts that a sighting may change: its own, those that it has joined, and those of the entry that it meets. */
function alertKeys({ cameraId, sightingId }: Sighting, match: ListMatch | null): string[] {
  const own = `sighting ${cameraId}/${sightingId}`
  return match === null ? [own] : [own, `entry ${match.list}/${match.entryId}`]
}

/** Starts with SOI and ends with EOI [ITU-T T.81, B.1.1.3]: half a picture is none. */
function isWholeJpeg(bytes: Buffer): boolean {
  return bytes.length > 4 && bytes.readUInt16BE(0) === 0xffd8 && bytes.readUInt16BE(bytes.length - 2) === 0xffd9
}

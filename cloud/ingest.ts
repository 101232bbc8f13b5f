/**
 * What cameras publish, made durable before it is acknowledged: bytes → parse → stored once | quarantined, never half. The
 * broker calls `accept` inside authorizePublish and sends PUBACK when it resolves [MQTT-4.3.2-2]; all publishes of one
 * event-loop turn share a transaction. When it throws, the connection is closed without PUBACK and the camera sends again.
 */
import type { Clock } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { confusableKey } from '../shared/plate.ts'
import { isSealed } from '../shared/sealing.ts'
import { sha256Hex } from '../shared/signing.ts'
import type { Topic } from '../shared/topics.ts'
import {
  type Alert,
  MAX_CROP_BYTES,
  MAX_SIGHTING_BYTES,
  parseWire,
  type Sighting,
  sightingSchema,
} from '../shared/wire/index.ts'
import type { Alerts } from './alerts.ts'
import type { Database, Statement } from './database/database.ts'
import type { ListMatch, MatchedRead } from './hotlists.ts'
import { MAX_QUARANTINED_ROWS, type Quarantine, type QuarantineReason } from './quarantine.ts'
import { type ReportDeps, recordReport } from './reports.ts'
import { type Retention, type Sightings, timesOf } from './sightings.ts'

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

export type IngestOutcome = 'stored' | 'duplicate' | 'quarantined' | 'recorded'

export interface Arrival {
  topic: Topic & { camera: string }
  topicName: string
  payload: Buffer
}

export interface IngestCounters {
  outcome(kind: Topic['kind'], outcome: IngestOutcome): void
  quarantined(reason: QuarantineReason): void
  /** Rows that left the quarantine because it was full, or past retention. */
  quarantinePurged(count: number): void
  batch(size: number, durationMs: number): void
  failed(code: string): void
  alertRaised(kind: Alert['match']['kind']): void
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
  /** Of each sighting, those that the batch raises or updates. */
  alerts: Map<string, Alert[]>
  alertsChanged: boolean
  /** `camera/sighting/sha256` of announced pictures → where their retention starts. */
  crops: Map<string, number>
  /** Counted once the batch is committed. */
  afterCommit: (() => void)[]
}

/** What a sighting does to its alerts, before it is decided that it is stored. */
interface PlannedAlerts {
  /** The sighting has an alert, new or not. */
  isAlerted: boolean
  alerts: Alert[]
  statements: Statement[]
  raised: Alert | null
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
    const digests = await sightings.storedDigests(sighting.cameraId, sighting.sightingId)
    const stored = batch.digests.get(key) ?? digests.get(sighting.revision)
    if (stored === digest) return 'duplicate'
    if (stored !== undefined) return setAside(batch, arrived, 'conflicting_duplicate', 'sightingId')

    const { plate } = sighting
    const match = plate === null ? null : deps.match({ ...sighting, plate }, receivedAtMs)
    const planned = await planAlerts(batch, { sighting, receivedAtMs, match, hasPreview: digests.has(0) })
    const isMatched = match !== null || planned.isAlerted
    const { matchedMs, unmatchedMs } = deps.retention()
    if (retainedFromMs <= receivedAtMs - (isMatched ? matchedMs : unmatchedMs)) {
      return setAside(batch, arrived, 'clock_behind', 'capturedAtMs')
    }
    takeAlerts(batch, sighting, planned)
    batch.digests.set(key, digest)
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

  /**
   * One alert per sighting, raised by whichever revision comes first and updated by the final. A final that meets another entry
   * raises an alert of its own: what a person has compared and confirmed never becomes a claim about another plate.
   */
  async function planAlerts(
    batch: Batch,
    found: { sighting: Sighting; receivedAtMs: number; match: ListMatch | null; hasPreview: boolean },
  ): Promise<PlannedAlerts> {
    const { sighting, match } = found
    const none: PlannedAlerts = { isAlerted: false, alerts: [], statements: [], raised: null }
    // Most sightings match nothing, neither here nor on the camera, and had no preview: they need no look at the alerts.
    if (match === null && sighting.match === null) {
      const preview = batch.digests.has(`${sighting.cameraId}/${sighting.sightingId}/0`) || found.hasPreview
      if (sighting.revision === 0 || !preview) return none
    }
    const existing =
      batch.alerts.get(`${sighting.cameraId}/${sighting.sightingId}`) ??
      (await alerts.ofSighting(sighting.cameraId, sighting.sightingId))
    // A late preview: the final has spoken.
    if (existing.some((alert) => sighting.revision < alert.sighting.revision)) return { ...none, isAlerted: true }
    const updated = existing.map((alert) =>
      alerts.update(alert, { ...found, match: alert.match.entryId === match?.entryId ? match : null }),
    )
    const isNew =
      match !== null && !match.suppressed && existing.every((alert) => alert.match.entryId !== match.entryId)
    const raised = isNew ? alerts.raise({ ...found, match }) : null
    const all = raised === null ? updated : [...updated, raised]
    return {
      isAlerted: all.length > 0,
      alerts: all.map(({ alert }) => alert),
      statements: all.flatMap(({ statements }) => statements),
      raised: raised?.alert ?? null,
    }
  }

  function takeAlerts(batch: Batch, sighting: Sighting, { alerts, statements, raised }: PlannedAlerts): void {
    if (alerts.length === 0) return
    batch.statements.push(...statements)
    batch.alerts.set(`${sighting.cameraId}/${sighting.sightingId}`, alerts)
    batch.alertsChanged = true
    if (raised === null) return
    batch.afterCommit.push(() => {
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
    const refusal = await recordReport(arrived.arrival, deps)
    return refusal === null ? 'recorded' : setAside(batch, arrived, refusal.reason, refusal.detail)
  }

  async function plan(batch: Batch, arrived: Waiting): Promise<IngestOutcome> {
    const { topic, payload } = arrived.arrival
    if (isSealed(payload)) return setAside(batch, arrived, 'sealed', 'cannot be opened')
    if (topic.kind === 'sightings') return planSighting(batch, arrived)
    if (topic.kind === 'crop') return planCrop(batch, { ...arrived, arrival: { ...arrived.arrival, topic } })
    return planReport(batch, arrived)
  }

  /** One transaction for `arrivals`; throws with nothing stored. */
  async function store(arrivals: readonly Waiting[]): Promise<IngestOutcome[]> {
    const batch: Batch = {
      statements: [],
      digests: new Map(),
      alerts: new Map(),
      alertsChanged: false,
      crops: new Map(),
      afterCommit: [],
    }
    const outcomes: IngestOutcome[] = []
    for (const arrived of arrivals) outcomes.push(await plan(batch, arrived))
    if (batch.statements.length > 0) await database.writeBatch(batch.statements)
    for (const count of batch.afterCommit) count()
    // Officers are told after the acknowledgement: a slow queue must not hold up the camera.
    if (batch.alertsChanged) {
      alerts.publishPending().catch((thrown: unknown) => {
        log.error('alerts_not_published', { error: toAppError(thrown).message })
      })
    }
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
        const { expired, overflow } = await quarantine.purge(clock.nowMs(), MAX_QUARANTINED_ROWS)
        counters.quarantinePurged(expired + overflow)
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

/** Starts with SOI and ends with EOI [ITU-T T.81, B.1.1.3]: half a picture is none. */
function isWholeJpeg(bytes: Buffer): boolean {
  return bytes.length > 4 && bytes.readUInt16BE(0) === 0xffd8 && bytes.readUInt16BE(bytes.length - 2) === 0xffd9
}

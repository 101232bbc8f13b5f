/**
 * The camera process: builds all parts, runs them, closes them in order. Tests run `runEdge` as it is; `candor edge` calls
 * `edgeProcess`, which alone knows signals and exit codes. The only file of edge that touches the process.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, MINUTE_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import { logUnknown } from '../shared/config.ts'
import { AppError, describeError, EXIT, toAppError } from '../shared/errors.ts'
import { type NewId, newId, type Random, random } from '../shared/ids.ts'
import { createLog, type Log } from '../shared/log.ts'
import { createSealer } from '../shared/sealing.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { createSystemd } from '../shared/systemd.ts'
import { CONFIGURE, UPDATE } from '../shared/topics.ts'
import { softwareVersion } from '../shared/version.ts'
import type { CameraHealth, RollOutAck } from '../shared/wire/index.ts'
import { openSource, sequenceOf } from './capture/sources.ts'
import type { CaptureSource } from './capture/types.ts'
import { openClockState, systemClockIsSynced } from './clock-state.ts'
import { type EdgeConfig, loadEdgeConfig, readEnrolledKeys } from './config.ts'
import { createDeviceWatch } from './device.ts'
import { lockFolder } from './folder-lock.ts'
import { cameraHealth, createRateMeter, type HealthDeps, reportHealth, runHealth } from './health.ts'
import { createHotlists } from './hotlist/hotlist.ts'
import { createIdentity } from './identity.ts'
import { limitLog } from './limited-log.ts'
import { createMemory, runMemory } from './memory.ts'
import { openOutbox } from './outbox/outbox.ts'
import { makeReserve, openWithReserve, reserveOf, useReserveIfFull } from './outbox/reserve.ts'
import { createPipeline, type PipelineCounters, type Seen } from './pipeline.ts'
import { createPolicy } from './policy.ts'
import { createRepeats } from './repeats.ts'
import { runRetention } from './retention.ts'
import { type CommandDeps, openSettings } from './roll-out/settings.ts'
import { openUpdates } from './roll-out/update.ts'
import { createSigningKeys } from './signing-keys.ts'
import { createTracker } from './track.ts'
import { createUplink, outboxTopic, type UplinkCounters } from './uplink/uplink.ts'
import { openVision } from './vision/door.ts'
import type { VisionDeps, VisionDoor } from './vision/types.ts'

/** From SIGTERM until the process must be gone, milliseconds. */
export const SHUTDOWN_MS = 5 * SECOND_MS
/** Of these, for what is being read and for what is in flight, milliseconds. */
const FINISH_READING_MS = 1_500
const FINISH_SENDING_MS = 1_000
/** A loop that has not come round for this much longer than a frame may take hangs: vision may have been started anew meanwhile. */
export const STUCK_MS = MINUTE_MS + 30 * SECOND_MS
/** For vision to be started again, five times for a minute each when it does not come up [vision/door.ts]. */
const RESTART_MS = 6 * MINUTE_MS
/** Between looks whether all has been sent, milliseconds. */
const DONE_CHECK_MS = 100

export interface EdgeDeps {
  clock: Clock
  newId: NewId
  random: Random
  log: Log
  openVision(config: EdgeConfig['vision'], deps: VisionDeps, view: EdgeConfig['view']): Promise<VisionDoor>
  openSource(config: EdgeConfig['source'], deps: Pick<EdgeDeps, 'clock' | 'random' | 'log'>): Promise<CaptureSource>
  isClockSynced(): Promise<boolean>
}

export interface RunningEdge {
  health(): CameraHealth
  readonly connected: boolean
  /** Frames are being taken, or there are none to come. False: only a new process helps. */
  isAlive(): boolean
  readonly pipeline: Readonly<PipelineCounters>
  readonly uplink: Readonly<UplinkCounters>
  readonly policyVersion: number
  /** It has stopped, or is about to, to be started again with other settings. */
  readonly restartWanted: boolean
  /** Process id of the vision child, for tests that kill it. */
  readonly visionPid: number | null
  /** Resolves when the source has ended and everything that was seen is in the outbox. */
  readonly sourceEnded: Promise<void>
  /** Resolves when all parts are closed; rejects with what ended the camera. */
  readonly stopped: Promise<void>
  /** Stops taking frames, stores what was being followed, waits shortly for acknowledgements, closes. Never rejects. */
  close(): Promise<void>
}

export const systemDeps = (log: Log): EdgeDeps => ({
  clock: systemClock,
  newId,
  random,
  log,
  openVision,
  openSource,
  isClockSynced: systemClockIsSynced,
})

/** Rejects if a part cannot be opened; afterwards only `stopped` tells of failure. */
export async function runEdge(own: EdgeConfig, deps: EdgeDeps, signal: AbortSignal): Promise<RunningEdge> {
  const { clock, log } = deps
  const startedAtMs = clock.monotonicMs()
  const enrolled = readEnrolledKeys(own.listKeysFile)
  const sealer = createSealer(readFileSync(own.sealingKeyFile, 'utf8'))
  const closers: (() => void | Promise<void>)[] = []
  let isOnTrial = false
  /** Every one of them, whatever one of them does. */
  const closeAll = async () => {
    for (const close of closers.reverse()) {
      try {
        await close()
      } catch (thrown) {
        log.error('close_failed', { error: toAppError(thrown).message })
      }
    }
  }
  try {
    mkdirSync(own.dataFolder, { recursive: true, mode: 0o700 })
    const outboxFile = join(own.dataFolder, 'outbox.db')
    const reserve = reserveOf(outboxFile)
    const lock = openWithReserve(reserve, () => lockFolder(own.dataFolder))
    // The reserve last: what the closed databases give back is what the next start needs.
    closers.push(
      () => makeReserve(reserve),
      () => void lock.close(),
    )
    useReserveIfFull(reserve)
    const settings = await openSettings(own, { dataFolder: own.dataFolder, clock, log })
    const { config } = settings
    isOnTrial = settings.isTrial
    const sequence = await sequenceOf(config.source)
    // A file of its own: a large list must not take the outbox's room, nor its checkpoints hold up a sighting.
    const lists = openDatabase(join(config.dataFolder, 'lists.db'))
    closers.push(() => void lists.close())
    const clockState = await openClockState(
      config.assumeClockSynced ? async () => true : deps.isClockSynced,
      clock,
      lists,
    )
    const trust = { database: lists, enrolled, agency: config.agency, clock, log: limitLog(log, clock) }
    const signingKeys = createSigningKeys(trust)
    const { verifier } = signingKeys
    const signed = { database: lists, verifier, agency: config.agency, clock, log: limitLog(log, clock) }
    const policy = createPolicy({ ...signed, defaults: config })
    const hotlists = createHotlists({ ...signed, staleLists: () => policy.staleLists })
    const aging = { nowMs: () => clockState.agingMs() }
    // Behind all that needs room to open: it makes the reserve again, of all the room there is.
    const outbox = openOutbox({
      ...{ file: outboxFile, ...config.outbox, clock: aging },
      seal: (kind, sightingId, bytes) => sealer.seal(bytes, outboxTopic(config, kind, sightingId)),
    })
    closers.push(() => outbox.close())
    const viewFile = join(config.dataFolder, 'view.learned')
    const vision = await deps.openVision(config.vision, { clock, log, viewFile }, config.view)
    closers.push(() => vision.close())
    const source = await deps.openSource(config.source, { clock, random: deps.random, log })
    closers.push(() => source.close())

    const software = softwareVersion()
    const versions = { software, detector: config.vision.detector, reader: config.vision.reader }
    const memory = createMemory<Seen>({ keptMs: () => policy.unmatchedMs })
    closers.push(() => memory.clear())
    const unmatchedMs = () => policy.unmatchedMs
    const repeats = createRepeats({ windowMs: config.track.repeatWindowMs, unmatchedMs, sequence })
    const identity = createIdentity({ ...config, log })
    const updates = await openUpdates({
      ...{ ...config, verifier, identity, clockState, ...deps },
      host: new URL(config.broker.url).hostname,
      onAck: (ack) => uplink.acknowledge(UPDATE, ack),
    })
    const uplink = createUplink({
      ...{ config, outbox, hotlists, policy, signingKeys, verifier, clockState, software, identity, ...deps },
      rollOuts: {
        take: (operation, targetId, payload) =>
          operation === UPDATE ? updates.take(targetId, payload) : settings.take(targetId, payload, command),
        acks: () => [
          ...(updates.ack === null ? [] : [[UPDATE, updates.ack] as [typeof UPDATE, RollOutAck]]),
          ...(settings.ack === null ? [] : [[CONFIGURE, settings.ack] as [typeof CONFIGURE, RollOutAck]]),
        ],
      },
    })
    const pipeline = createPipeline({
      sequence,
      cameraId: config.cameraId,
      gapMs: config.track.gapMs,
      versions,
      vision,
      tracker: createTracker({ gapMs: config.track.gapMs, sequence }, deps.newId),
      repeats,
      hotlists,
      policy,
      outbox,
      memory,
      clockState,
      clock,
      random: deps.random,
      log,
      onStored: () => uplink.wake(),
    })
    const healthDeps: HealthDeps = {
      ...{ cameraId: config.cameraId, pipeline, source, vision, settings, outbox, memory, hotlists },
      ...{ uplink, clockState, clock, log },
      device: createDeviceWatch({
        dataFolder: config.dataFolder,
        versions: { ...versions, node: process.version },
        clock,
      }),
      rate: createRateMeter({ pipeline, source, clock }),
      startedAtMs,
    }

    // Frames stop first, so that the last sightings can still be sent.
    const frames = new AbortController()
    const rest = new AbortController()
    let restartWanted = false
    const command: CommandDeps = {
      ...{ ...config, verifier, clockState },
      framesRead: () => pipeline.counters.read + pipeline.counters.still,
      isConnected: () => uplink.connected,
      onAck: (ack) => uplink.acknowledge(CONFIGURE, ack),
      restart() {
        restartWanted = true
        frames.abort()
      },
    }
    let failure: unknown = null
    const fail = (thrown: unknown) => {
      failure ??= thrown
      frames.abort()
    }
    let isTaking = true
    const sourceEnded = pipeline.run(source, frames.signal).finally(() => {
      isTaking = false
    })
    sourceEnded.catch(fail)
    const stuckMs = config.vision.frameTimeoutMs + STUCK_MS
    const others = Promise.all(
      [
        uplink.run(rest.signal),
        runRetention({ outbox, hotlists, policy, clockState, clock, log }, rest.signal),
        runMemory({ memory, repeats, pipeline, clock }, rest.signal),
        runHealth(healthDeps, config, rest.signal),
        clockState.run(rest.signal),
        updates.run(rest.signal),
        settings.run(command, rest.signal),
      ].map((part) => part.catch(fail)),
    )
    const stop = () => frames.abort()
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    // The signal is the process's, which outlives a camera that is told other settings: it must not hold all that this one had.
    closers.push(() => signal.removeEventListener('abort', stop))

    const isEmpty = () => outbox.rows === 0 && uplink.inFlight === 0
    async function untilEmpty(limitMs: number): Promise<void> {
      const endMs = clock.monotonicMs() + limitMs
      // Once the uplink is told to end, nothing empties the outbox any more: who waited on would keep the process alive.
      while (!isEmpty() && !rest.signal.aborted && clock.monotonicMs() < endMs)
        await clock.sleep(Math.min(DONE_CHECK_MS, limitMs))
    }

    async function life(): Promise<void> {
      const done = config.exitWhenDone
        ? sourceEnded.then(() => untilEmpty(Number.POSITIVE_INFINITY))
        : new Promise(() => {})
      await Promise.race([done.catch(() => {}), aborted(frames.signal)])
      frames.abort()
      await Promise.race([sourceEnded.catch(() => {}), clock.sleep(FINISH_READING_MS)])
      if (failure === null && uplink.connected) await untilEmpty(FINISH_SENDING_MS)
      // The last that is heard of a camera that is done must not be that something waits.
      reportHealth(healthDeps)
      rest.abort()
      await others
      await closeAll()
      log.info('edge_stopped', { count: pipeline.counters.made })
      if (failure !== null) throw failure
    }

    const stopped = life()
    stopped.catch(() => {})
    log.info('edge_started', {
      cameraId: config.cameraId,
      version: software,
      detector: config.vision.detector,
      reader: config.vision.reader,
    })
    return {
      health: () => cameraHealth(healthDeps),
      isAlive: () => !isTaking || clock.monotonicMs() - pipeline.turnedAtMs() < stuckMs,
      get connected() {
        return uplink.connected
      },
      pipeline: pipeline.counters,
      uplink: uplink.counters,
      get policyVersion() {
        return policy.version
      },
      get restartWanted() {
        return restartWanted
      },
      get visionPid() {
        return vision.pid
      },
      sourceEnded,
      stopped,
      async close() {
        frames.abort()
        await stopped.catch(() => {})
      },
    }
  } catch (thrown) {
    await closeAll()
    // Not by the exit code after which nobody starts it again: these settings go by themselves, after a few starts.
    if (isOnTrial && toAppError(thrown).code === 'configuration')
      throw new AppError('unavailable', `with the settings on trial: ${toAppError(thrown).message}`, { cause: thrown })
    throw thrown
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** `candor edge --config F`: runs until a signal or, with exitWhenDone, until all is sent. Resolves with the exit code. */
export async function edgeProcess(configFile: string): Promise<number> {
  const unknown: string[] = []
  const config = loadEdgeConfig(configFile, undefined, undefined, (members) => unknown.push(...members))
  const log = createLog({ level: config.logLevel, part: 'edge' }).with({ cameraId: config.cameraId })
  if (unknown.length > 0) logUnknown(log, configFile)(unknown)
  const stop = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(EXIT.failed)
    log.info('edge_stopping', { signal })
    stop.abort()
    // A part that hangs must not outlive what systemd waits for; the outbox is safe at any moment.
    setTimeout(() => process.exit(EXIT.failed), SHUTDOWN_MS).unref()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  // Only a parent that is a Node.js process and asked for it has such a channel: without it this camera has nobody to work for.
  const orphaned = () => onSignal('SIGHUP')
  process.once('disconnect', orphaned)
  process.channel?.unref()
  if (process.send !== undefined && !process.connected) orphaned()
  const ended = new AbortController()
  try {
    const systemd = createSystemd({ environment: process.env, clock: systemClock, log })
    stop.signal.addEventListener('abort', () => void systemd.stopping(), { once: true })
    let running = await runEdge(config, systemDeps(log), stop.signal)
    await systemd.ready()
    // systemd goes on counting while a camera that was told other settings starts anew: it is alive then for so long as that may take.
    let sinceMs: number | null = null
    const isAlive = () => (sinceMs === null ? running.isAlive() : systemClock.monotonicMs() - sinceMs < RESTART_MS)
    void systemd.runWatchdog(isAlive, ended.signal)
    for (;;) {
      await running.stopped
      if (!running.restartWanted || stop.signal.aborted) return EXIT.done
      sinceMs = systemClock.monotonicMs()
      running = await runEdge(config, systemDeps(log), stop.signal)
      sinceMs = null
    }
  } catch (thrown) {
    const error = toAppError(thrown)
    log.error('edge_failed', { code: error.code, error: describeError(error) })
    throw error
  } finally {
    ended.abort()
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
    process.off('disconnect', orphaned)
  }
}

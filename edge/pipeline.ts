/**
 * THE loop of the camera: frame → regions and reads → track → sighting → match → outbox. One frame at a time; everything that
 * can fail is counted here, and the next frame is taken. Vision is another process and the outbox is a local commit, so nothing
 * in here ever waits for the network.
 */
import type { Clock } from '../shared/clock.ts'
import { SECOND_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Random } from '../shared/ids.ts'
import type { Log } from '../shared/log.ts'
import { createBackOff } from '../shared/retry.ts'
import {
  type CameraHealth,
  EARLIEST_TIME_MS,
  type HotlistMatch,
  LATEST_TIME_MS,
  MAX_CROP_BYTES,
  type Region,
  type Sighting,
  sightingSchema,
} from '../shared/wire/index.ts'
import type { CaptureSource, Frame } from './capture/types.ts'
import type { Hotlists } from './hotlist/hotlist.ts'
import { limitLog } from './limited-log.ts'
import type { Memory } from './memory.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { CameraPolicy } from './policy.ts'
import type { Repeats } from './repeats.ts'
import type { FrameTime, Observation, Track, Tracker, Vote } from './track.ts'
import { cornersOfRegion } from './vision/geometry.ts'
import type { EvidenceCrop, Jurisdiction, VisionDoor } from './vision/types.ts'
import { type Awaited, abortable, awaitAgain } from './waiting.ts'

export interface PipelineCounters {
  read: number
  /** Frames in which nothing had moved, so that they were not read. */
  still: number
  /** Frames that are no pictures. */
  rejected: number
  /** Frames that were not read because vision was down or too slow, and crops that could not be made. */
  failed: number
  made: number
  matched: number
  /** Not stored for sending, by policy. */
  withheld: number
  /** Seen again within the window. */
  repeats: number
}

export interface PipelineDeps {
  cameraId: string
  /** Whether a frame shows what the one before it did, a moment later. */
  sequence: 'stills' | 'video'
  /** How long to wait for a frame before looking for vehicles that are gone, milliseconds. */
  gapMs: number
  versions: Sighting['versions']
  vision: Pick<VisionDoor, 'read' | 'crop' | 'jurisdiction'>
  tracker: Tracker
  repeats: Repeats
  hotlists: Pick<Hotlists, 'match' | 'revision'>
  policy: Pick<CameraPolicy, 'upload' | 'unmatchedInMemory'>
  outbox: Pick<Outbox, 'put'>
  memory: Memory<Seen>
  clockState: { readonly state: CameraHealth['clock'] }
  clock: Clock
  random: Random
  log: Log
  /** Something is new in the outbox. */
  onStored(): void
}

export interface Pipeline {
  readonly counters: Readonly<PipelineCounters>
  /** When the loop last asked for a frame, monotonic milliseconds; it does so at least once in `gapMs` but while a frame is read. */
  turnedAtMs(): number
  /** Until the source ends or `signal` aborts; what was being followed then is stored. */
  run(source: CaptureSource, signal: AbortSignal): Promise<void>
  /** Where lists have changed: what was held in memory and meets one now is stored, as any final is. Throws what ends the camera. */
  meetLate(): Promise<void>
}

/** A vehicle that is gone, as the memory holds it. */
export interface Seen {
  track: Track
  state: Followed
}

/** What the pipeline adds to a track: its picture with the frame it is of, and whether a preview has left. */
export interface Followed {
  picture: { crop: EvidenceCrop; capturedAtMs: number; clock: 'synced' | 'unsynced'; region: Region } | null
  preview: HotlistMatch | null
  /** The picture is in the outbox; a second one under the same id would be another picture. */
  cropStored: boolean
  /** Read from the picture when the vehicle has gone. */
  jurisdiction: Jurisdiction | null
}

/** Finals that wait for their plate's state at a time, 0.3 s each; those beyond leave without it. */
export const MAX_BEING_NAMED = 8
/** While vision is starting again, frames fail at once; waiting keeps the loop from spinning. */
const VISION_BACK_OFF = { firstMs: 50, mostMs: 2 * SECOND_MS }

export function createPipeline(deps: PipelineDeps): Pipeline {
  const { vision, tracker, repeats, hotlists, policy, outbox, memory, clock, log } = deps
  const counters: PipelineCounters = {
    read: 0,
    still: 0,
    rejected: 0,
    failed: 0,
    made: 0,
    matched: 0,
    withheld: 0,
    repeats: 0,
  }
  const followed = new WeakMap<Track, Followed>()
  const beingNamed = new Set<Promise<void>>()
  /** What a final that had waited could not be stored for; only what ends the camera. */
  let fault: { thrown: unknown } | null = null
  const backOff = createBackOff(VISION_BACK_OFF, deps.random)
  /** A camera can send what vision refuses as often as it likes. */
  const limited = limitLog(log, clock)

  /** Of the lists, when what is held was last held against them. */
  let metRevision = hotlists.revision
  let turnedAtMs = clock.monotonicMs()

  /** A camera that is told to stop stores what it has seen without waiting for the names of states. */
  const stopping = new AbortController()

  async function run(source: CaptureSource, signal: AbortSignal): Promise<void> {
    const frames = source[Symbol.asyncIterator]()
    signal.addEventListener('abort', () => stopping.abort(), { once: true })
    if (signal.aborted) stopping.abort()
    // Asked for only when the frame before is done with: the newest frame wins at that moment.
    let awaited: Awaited<IteratorResult<Frame>> | null = null
    while (!signal.aborted) {
      if (fault !== null) throw fault.thrown
      turnedAtMs = clock.monotonicMs()
      awaited ??= awaitAgain(frames.next(), clock)
      if (!(await awaited.settlesWithin(deps.gapMs, signal))) {
        end(tracker.expire(clock.monotonicMs()))
        continue
      }
      const arrived: IteratorResult<Frame> = await awaited.work
      awaited = null
      if (arrived.done === true) break
      await look(arrived.value, signal)
    }
    end(tracker.finish())
    await Promise.allSettled(beingNamed)
    if (fault !== null) throw fault.thrown
  }

  async function look(frame: Frame, signal: AbortSignal): Promise<void> {
    const takenAtMs = clock.monotonicMs()
    try {
      const { reads, still } = await vision.read(frame.encoded, { signal, unlessStill: deps.sequence === 'video' })
      counters.read += still ? 0 : 1
      counters.still += still ? 1 : 0
      backOff.reset()
      const time: FrameTime = {
        capturedAtMs: inRange(frame.capturedAtMs),
        clock: clockOf(frame),
        takenAtMs,
        readAtMs: clock.monotonicMs(),
      }
      if (still) {
        end(tracker.still(time))
        return
      }
      const { observed, ended } = tracker.observe(time, reads)
      const seen = new Set(observed.map(({ track }) => track))
      // Who is gone is told of first: the same vehicle come back in this very frame is then known as a repeat.
      end(ended.filter((track) => !seen.has(track)))
      for (const observation of observed) await follow(observation, frame, time)
      end(ended.filter((track) => seen.has(track)))
    } catch (thrown) {
      const error = toAppError(thrown)
      if (signal.aborted) return
      if (error.code === 'bad_input' || error.code === 'too_large') counters.rejected += 1
      else counters.failed += 1
      limited.warn('frame_not_read', { seq: frame.seq, code: error.code, error: error.message })
      if (error.code === 'internal') throw error
      if (error.code === 'unavailable') await clock.sleep(backOff.nextMs(), signal).catch(() => {})
    }
  }

  const clockOf = (frame: Frame) =>
    frame.clock === 'synced' && deps.clockState.state === 'synced' ? 'synced' : 'unsynced'

  /** Keeps the best picture of a vehicle, and sends a preview at once when it is on a list. */
  async function follow({ track, improved }: Observation, frame: Frame, time: FrameTime): Promise<void> {
    const state = stateOf(track)
    const vote = track.vote()
    const match = matchOf(vote)
    // After a preview the picture is in the outbox, and another one under the same id would contradict it.
    if (state.preview !== null || repeats.isRepeat(vote.plate, track.region, match, clock.monotonicMs())) return
    // A picture is only taken of what may leave the camera, or may yet meet a list.
    if (match === null && policy.upload !== 'all' && !policy.unmatchedInMemory) return
    if (improved || state.picture === null) {
      const { capturedAtMs, clock: clockThen } = time
      const crop = await cropOf(track, frame)
      if (crop !== null) state.picture = { crop, capturedAtMs, clock: clockThen, region: track.region }
    }
    if (match === null) return
    state.preview = match
    store(track, state, match, 0)
  }

  const matchOf = ({ plate, candidates, jurisdiction }: Vote) =>
    plate === null ? null : hotlists.match({ plate, candidates, jurisdiction }, clock.nowMs())

  function stateOf(track: Track): Followed {
    const state = followed.get(track) ?? { picture: null, preview: null, cropStored: false, jurisdiction: null }
    followed.set(track, state)
    return state
  }

  async function cropOf(track: Track, frame: Frame): Promise<EvidenceCrop | null> {
    try {
      return await vision.crop(frame.encoded, track.region, MAX_CROP_BYTES)
    } catch (thrown) {
      const error = toAppError(thrown)
      counters.failed += 1
      limited.warn('crop_not_made', { sightingId: track.sightingId, code: error.code, error: error.message })
      // A sighting without its picture is better than none.
      return null
    }
  }

  function end(tracks: readonly Track[]): void {
    for (const track of tracks) {
      const state = stateOf(track)
      const vote = track.vote()
      const { plate } = vote
      const match = matchOf(vote)
      const isRepeat = state.preview === null && repeats.isRepeat(plate, track.region, match, clock.monotonicMs())
      repeats.saw(plate, track.region, match ?? state.preview, clock.monotonicMs())
      if (isRepeat) {
        counters.repeats += 1
        continue
      }
      counters.made += 1
      if (match !== null) counters.matched += 1
      // A final corrects the preview before it, so it leaves as that one did, whatever it says.
      if (match !== null || state.preview !== null) finish(track, state, match)
      else if (policy.unmatchedInMemory) hold(track, state)
      else if (policy.upload === 'all') finish(track, state, match)
      else counters.withheld += 1
    }
  }

  function finish(track: Track, state: Followed, match: HotlistMatch | null): void {
    if (mayBeNamed(track, state)) nameAndStore(track, state, match)
    else store(track, state, match, 1)
  }

  function hold(track: Track, state: Followed): void {
    const held = { bornAtMs: track.openedAtMs, picture: state.picture?.crop.jpeg ?? null, sighting: { track, state } }
    memory.put(held, clock.monotonicMs())
  }

  async function meetLate(): Promise<void> {
    if (fault !== null) throw fault.thrown
    if (hotlists.revision === metRevision) return
    metRevision = hotlists.revision
    const meets = ({ track }: Seen) => matchOf(track.vote()) !== null
    for await (const { track, state } of memory.take(meets, () => clock.monotonicMs())) {
      counters.matched += 1
      finish(track, state, matchOf(track.vote()))
    }
  }

  /** Only so much at a time is looked at further: the frames come first. */
  function mayBeNamed(track: Track, state: Followed): boolean {
    if (stopping.signal.aborted) return false
    const { plate, jurisdiction } = track.vote()
    return plate !== null && jurisdiction === null && state.picture !== null && beingNamed.size < MAX_BEING_NAMED
  }

  /** The final waits until the plate's state has been read, while the next frames are looked at. */
  function nameAndStore(track: Track, state: Followed, match: HotlistMatch | null): void {
    const naming = (async () => {
      state.jurisdiction = await abortable(jurisdictionOf(track, state), stopping.signal).catch(() => null)
      store(track, state, match, 1)
    })()
    beingNamed.add(naming)
    naming
      .catch((thrown: unknown) => {
        fault = { thrown }
      })
      .finally(() => beingNamed.delete(naming))
  }

  async function jurisdictionOf(track: Track, { picture }: Followed): Promise<Jurisdiction | null> {
    if (picture === null) return null
    try {
      return await vision.jurisdiction(picture.crop.jpeg, cornersOfRegion(picture.crop.plate))
    } catch (thrown) {
      const error = toAppError(thrown)
      limited.warn('jurisdiction_not_read', { sightingId: track.sightingId, code: error.code, error: error.message })
      return null
    }
  }

  function store(track: Track, state: Followed, match: HotlistMatch | null, revision: 0 | 1): void {
    const isMatched = match !== null || state.preview !== null
    const sighting = sightingOf(track, state, match, revision)
    const checked = sightingSchema.safeParse(sighting)
    if (!checked.success) {
      counters.failed += 1
      log.error('sighting_invalid', {
        sightingId: track.sightingId,
        field: checked.error.issues[0]?.path.join('.') ?? '',
      })
      return
    }
    const crop = state.cropStored ? null : (state.picture?.crop.jpeg ?? null)
    try {
      const { sightingId, capturedAtMs, clock: clockNow } = sighting
      const stored = outbox.put(
        {
          sightingId,
          revision,
          matched: isMatched,
          capturedAtMs,
          clock: clockNow,
          payload: Buffer.from(JSON.stringify(sighting)),
        },
        crop,
      )
      state.cropStored ||= stored.crop
      if (!stored.sighting) {
        // The outbox has counted it.
        log.warn('sighting_dropped', { sightingId, revision })
        return
      }
      log.info('sighting_stored', { sightingId, revision, ageMs: Math.round(clock.nowMs() - capturedAtMs) })
      deps.onStored()
    } catch (thrown) {
      const error = toAppError(thrown)
      if (error.code !== 'storage_full' && error.code !== 'unavailable') throw error
      // The outbox has counted it; the camera goes on.
      log.error('sighting_lost', { sightingId: track.sightingId, code: error.code, error: error.message })
    }
  }

  function sightingOf(track: Track, state: Followed, match: HotlistMatch | null, revision: 0 | 1): Sighting {
    // Time, place and picture are of one frame.
    const { capturedAtMs, clock: clockThen, region } = state.picture ?? track.evidence
    const crop = state.picture?.crop ?? null
    const vote = track.vote()
    return {
      sightingId: track.sightingId,
      revision,
      cameraId: deps.cameraId,
      capturedAtMs,
      clock: clockThen,
      ...vote,
      jurisdiction: vote.jurisdiction ?? state.jurisdiction,
      region,
      match,
      crop: crop === null ? null : { sha256: crop.sha256, bytes: crop.jpeg.length },
      versions: deps.versions,
    }
  }

  return { counters, run, meetLate, turnedAtMs: () => turnedAtMs }
}

/** A camera that starts without a clock must still make sightings that the wire takes; they are marked as unsynced. */
function inRange(capturedAtMs: number): number {
  return Math.min(LATEST_TIME_MS, Math.max(EARLIEST_TIME_MS, Math.round(capturedAtMs)))
}

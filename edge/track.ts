/**
 * Reads of one passing vehicle over frames → one sighting. Pure: no clock, no storage; the pipeline hands in reads and takes
 * out tracks. A vehicle is followed by its plate text, and between neighbouring video frames also by place; what its plate says
 * is voted over all frames.
 */
import type { NewId } from '../shared/ids.ts'
import { confusableKey } from '../shared/plate.ts'
import { type Candidate, MAX_CANDIDATES, MAX_FRAMES_PER_SIGHTING, type Region } from '../shared/wire/index.ts'
import type { Jurisdiction, PlateRead, Vehicle } from './vision/types.ts'

/** Vehicles followed at a time; beyond it the one not seen for longest is ended early. */
export const MAX_OPEN_TRACKS = 64
/** Plates taken from one frame, best first. */
export const MAX_READS_PER_FRAME = 32
/** Texts that can be voted for in one track; a text that comes later is not counted. */
export const MAX_TEXTS_PER_TRACK = 64
/** A vehicle that stays in view is reported after this long; what follows is a repeat. Milliseconds. */
export const MAX_TRACK_MS = 10_000
/**
 * Neighbouring video frames: texts that differ in this many characters are one plate wherever they are, and where the vehicle could have
 * driven, in up to this share of the longer text: small plates are read badly, and two vehicles are not in one place.
 */
const MAX_NEIGHBOUR_EDITS = 1
const MAX_NEAR_EDIT_SHARE = 0.5
/** Two reads that are both as sure as this and differ in more than MAX_NEIGHBOUR_EDITS are two vehicles, one behind the other. */
const SURE = 0.9
/** Frames in which a vehicle may not be seen and is still expected where it was going. */
const MAX_MISSED_FRAMES = 3
/**
 * A plate is looked for around where the last two looks say that it is now, or around where it was when there is only one: this far, in
 * plate widths. At ten frames a second a width is 5 m/s across the picture.
 */
const REACH_WIDTHS = { moving: 0.6, unknown: 1.1 } as const
/** A plate's width from one frame to the next, at most so many times larger or smaller. */
const MAX_GROWTH = 1.6

/** When and how a frame was taken. */
export interface FrameTime {
  capturedAtMs: number
  clock: 'synced' | 'unsynced'
  /** Monotonic milliseconds: when the frame was taken up, and when it was read. */
  takenAtMs: number
  readAtMs: number
}

/** The frame that stands for the vehicle: time, place and picture of a sighting are all of this one frame. */
export interface Evidence {
  capturedAtMs: number
  clock: 'synced' | 'unsynced'
  region: Region
  confidence: number
}

export interface Vote {
  plate: string | null
  confidence: number
  candidates: Candidate[]
  jurisdiction: Jurisdiction | null
  vehicle: Vehicle | null
  /** Frames that voted. */
  frames: number
}

export interface Track {
  readonly sightingId: string
  readonly evidence: Evidence
  /** When the first frame that showed it was taken up, monotonic milliseconds. */
  readonly openedAtMs: number
  vote(): Vote
  /** Where the vehicle was last. */
  readonly region: Region
}

/** What one frame did to a track; `improved`: the frame now stands for the vehicle. */
export interface Observation {
  track: Track
  improved: boolean
}

export interface Tracker {
  /** One frame's reads. `ended` are tracks that are over. */
  observe(frame: FrameTime, reads: readonly PlateRead[]): { observed: Observation[]; ended: Track[] }
  /** Nothing has moved since the frame before: the vehicles that it showed are still there, and what is over by time is over. */
  still(frame: FrameTime): Track[]
  /** Tracks not seen for the gap; call when no frame comes. `nowMs` is monotonic. */
  expire(nowMs: number): Track[]
  /** All that is open: the source has ended. */
  finish(): Track[]
  readonly open: number
  /** Reads not taken because a frame had more than MAX_READS_PER_FRAME, or showed a plate twice. */
  readonly ignored: number
}

export interface TrackerConfig {
  /** A vehicle not seen for this long is gone, milliseconds. */
  gapMs: number
  /** Stills: each picture may show another vehicle, so place says nothing. */
  sequence: 'stills' | 'video'
}

interface OpenTrack extends Track {
  evidence: Evidence
  region: Region
  /** Of the plate's centre, px a frame; null until it was seen twice. */
  velocity: { x: number; y: number } | null
  lastSeenMs: number
  /** Number of the frame that last showed it. */
  lastFrame: number
  /** By text: its confidences summed over the frames, and the most that one of them gave it. */
  readonly texts: Map<string, { sum: number; most: number }>
  readonly jurisdictions: Map<string, { sum: number; count: number }>
  readonly colours: Map<Vehicle['colour'], number>
  /** Frames that showed a place for the plate, with a text or without. */
  looks: number
  frames: number
  unreadable: { frames: number; confidence: number }
}

export function createTracker(config: TrackerConfig, newId: NewId): Tracker {
  const tracks = new Set<OpenTrack>()
  let frameNumber = 0
  let ignored = 0

  function end(over: (track: OpenTrack) => boolean): Track[] {
    const ended = [...tracks].filter(over)
    for (const track of ended) tracks.delete(track)
    return ended
  }

  /** How well a read fits a track: 0 not at all; up to 1 by place alone; 2 and more by its text. */
  function sameVehicle(track: OpenTrack, text: string | null, read: PlateRead): number {
    const missed = frameNumber - 1 - track.lastFrame
    const near =
      config.sequence === 'video' && missed <= MAX_MISSED_FRAMES ? nearness(track, read.region, missed + 1) : 0
    if (read.plate === null || text === null) return near
    if (read.plate === text) return 4 + near
    if (confusableKey(read.plate) === confusableKey(text)) return 3 + near
    const isNeighbour = config.sequence === 'video' && missed === 0
    // Fleets have plates in a row: other characters are the same vehicle only where it could have driven.
    const longer = Math.max(read.plate.length, text.length)
    const isSure = read.confidence >= SURE && track.evidence.confidence >= SURE
    const mostNear = isSure ? MAX_NEIGHBOUR_EDITS : Math.floor(longer * MAX_NEAR_EDIT_SHARE)
    const most = near > 0 ? mostNear : isNeighbour ? MAX_NEIGHBOUR_EDITS : 0
    if (most === 0) return 0
    const edits = editDistance(read.plate, text, most)
    return edits <= most ? 1 + (1 - edits / longer) + near : 0
  }

  /** The read's track, if it has one: of all pairs the best first, so that no vehicle takes what fits another better. */
  function assign(reads: readonly PlateRead[]): (OpenTrack | null)[] {
    const pairs: { index: number; track: OpenTrack; score: number }[] = []
    for (const track of tracks) {
      const text = track.vote().plate
      for (const [index, read] of reads.entries()) {
        const score = sameVehicle(track, text, read)
        if (score > 0) pairs.push({ index, track, score })
      }
    }
    const assigned: (OpenTrack | null)[] = reads.map(() => null)
    const taken = new Set<OpenTrack>()
    for (const { index, track } of pairs.sort((a, b) => b.score - a.score)) {
      if (assigned[index] !== null || taken.has(track)) continue
      assigned[index] = track
      taken.add(track)
    }
    return assigned
  }

  return {
    observe(frame, reads) {
      frameNumber += 1
      const ended = end((track) => frame.takenAtMs - track.lastSeenMs > config.gapMs)
      const plates = new Set<string>()
      const taken = reads.slice(0, MAX_READS_PER_FRAME).filter(({ plate }) => {
        if (plate === null) return true
        if (plates.has(plate)) return false
        plates.add(plate)
        return true
      })
      ignored += reads.length - taken.length
      const assigned = assign(taken)
      const observed: Observation[] = []
      for (const [index, read] of taken.entries()) {
        let track = assigned[index] ?? null
        const isNew = track === null
        if (track === null) {
          if (tracks.size >= MAX_OPEN_TRACKS) ended.push(...endOldest(tracks))
          track = openTrack(newId(), frame, read, frameNumber)
          tracks.add(track)
        }
        observed.push({ track, improved: addRead(track, frame, read, frameNumber) || isNew })
      }
      ended.push(
        ...end((track) => frame.readAtMs - track.openedAtMs > MAX_TRACK_MS || track.frames >= MAX_FRAMES_PER_SIGHTING),
      )
      return { observed, ended }
    },
    still(frame) {
      const standing = [...tracks].filter((track) => track.lastFrame === frameNumber)
      for (const track of standing) track.lastSeenMs = frame.readAtMs
      return end(
        (track) =>
          frame.takenAtMs - track.lastSeenMs > config.gapMs || frame.readAtMs - track.openedAtMs > MAX_TRACK_MS,
      )
    },
    expire: (nowMs) => end((track) => nowMs - track.lastSeenMs > config.gapMs),
    finish: () => end(() => true),
    get open() {
      return tracks.size
    },
    get ignored() {
      return ignored
    },
  }
}

function endOldest(tracks: Set<OpenTrack>): Track[] {
  let oldest: OpenTrack | null = null
  for (const track of tracks) if (oldest === null || track.lastSeenMs < oldest.lastSeenMs) oldest = track
  if (oldest === null) return []
  tracks.delete(oldest)
  return [oldest]
}

function openTrack(sightingId: string, frame: FrameTime, read: PlateRead, frameNumber: number): OpenTrack {
  const track: OpenTrack = {
    sightingId,
    openedAtMs: frame.takenAtMs,
    evidence: evidenceOf(frame, read),
    region: read.region,
    velocity: null,
    lastSeenMs: frame.readAtMs,
    lastFrame: frameNumber,
    texts: new Map(),
    jurisdictions: new Map(),
    colours: new Map(),
    looks: 0,
    frames: 0,
    unreadable: { frames: 0, confidence: 0 },
    vote: () => voteOf(track),
  }
  return track
}

const evidenceOf = (frame: FrameTime, read: PlateRead): Evidence => ({
  capturedAtMs: frame.capturedAtMs,
  clock: frame.clock,
  region: read.region,
  confidence: read.plate === null ? 0 : read.confidence,
})

/** True when the frame is better evidence than the one before. */
function addRead(track: OpenTrack, frame: FrameTime, read: PlateRead, frameNumber: number): boolean {
  const frames = frameNumber - track.lastFrame
  if (frames > 0) {
    const [before, now] = [centreOf(track.region), centreOf(read.region)]
    track.velocity = { x: (now.x - before.x) / frames, y: (now.y - before.y) / frames }
  }
  track.lastSeenMs = frame.readAtMs
  track.lastFrame = frameNumber
  track.region = read.region
  track.looks += 1
  if (read.vehicle !== null) {
    const { colour, confidence } = read.vehicle
    track.colours.set(colour, (track.colours.get(colour) ?? 0) + confidence)
  }
  if (read.plate === null) {
    track.unreadable = {
      frames: track.unreadable.frames + 1,
      confidence: Math.max(track.unreadable.confidence, read.confidence),
    }
    return false
  }
  track.frames += 1
  const scores = new Map(read.candidates.map(({ plate, confidence }) => [plate, confidence]))
  scores.set(read.plate, read.confidence)
  for (const [text, confidence] of scores) {
    if (!track.texts.has(text) && track.texts.size >= MAX_TEXTS_PER_TRACK) continue
    const { sum, most } = track.texts.get(text) ?? { sum: 0, most: 0 }
    track.texts.set(text, { sum: sum + confidence, most: Math.max(most, confidence) })
  }
  if (read.jurisdiction !== null) {
    const { code, confidence } = read.jurisdiction
    const before = track.jurisdictions.get(code) ?? { sum: 0, count: 0 }
    track.jurisdictions.set(code, { sum: before.sum + confidence, count: before.count + 1 })
  }
  if (track.frames > 1 && read.confidence <= track.evidence.confidence) return false
  track.evidence = evidenceOf(frame, read)
  return true
}

/**
 * The text with the highest sum of confidences; an even vote goes to the text that was there first. It is as sure as the frame that was
 * surest of it, less by half where another text has as high a sum: measured on drawn vehicles, the mean over the frames said 0.26 too
 * little, since most frames of a passing vehicle are worse than the best one. Another text is less sure by as much as its sum is smaller.
 */
function voteOf(track: OpenTrack): Vote {
  if (track.frames === 0) {
    const { frames, confidence } = track.unreadable
    return {
      plate: null,
      confidence,
      candidates: [],
      jurisdiction: null,
      vehicle: vehicleOf(track),
      frames: Math.max(1, Math.min(frames, MAX_FRAMES_PER_SIGHTING)),
    }
  }
  const texts = [...track.texts].map(([plate, { sum, most }]) => ({ plate, sum, most })).sort((a, b) => b.sum - a.sum)
  const [best, rival] = texts
  const own = best?.sum ?? 0
  const share = (sum: number) => (own > 0 ? sum / own : 0)
  const sure = (best?.most ?? 0) * (1 - share(rival?.sum ?? 0) ** RIVAL_POWER / 2)
  const candidates = texts.slice(0, MAX_CANDIDATES).map(({ plate, sum, most }, place) => ({
    plate,
    confidence: track.frames === 1 ? most : place === 0 ? sure : Math.min(sure, most * share(sum)),
  }))
  const [state] = [...track.jurisdictions].sort((a, b) => b[1].sum - a[1].sum)
  return {
    plate: candidates[0]?.plate ?? null,
    confidence: candidates[0]?.confidence ?? 0,
    candidates,
    jurisdiction:
      state === undefined ? null : { code: state[0], confidence: Math.min(1, state[1].sum / state[1].count) },
    vehicle: vehicleOf(track),
    frames: track.frames,
  }
}

/** A rival with half the sum takes a sixteenth of the confidence. */
const RIVAL_POWER = 3

/** A colour that fewer than half of the looks agree on is not clear. */
const CLEAR_COLOUR = 0.5

function vehicleOf(track: OpenTrack): Vehicle | null {
  const [first] = [...track.colours].sort((a, b) => b[1] - a[1])
  if (first === undefined || first[1] / track.looks < CLEAR_COLOUR) return null
  return { colour: first[0], confidence: Math.min(1, first[1] / track.looks) }
}

const centreOf = ({ x, y, width, height }: Region) => ({ x: x + width / 2, y: y + height / 2 })

/** 1 where the track's plate should be after `frames`, falling to 0 at its reach; 0 for a plate of quite another size. */
function nearness(track: OpenTrack, region: Region, frames: number): number {
  const growth = region.width / track.region.width
  const most = MAX_GROWTH ** frames
  if (growth > most || growth < 1 / most) return 0
  const [from, to] = [centreOf(track.region), centreOf(region)]
  const { x, y } = track.velocity ?? { x: 0, y: 0 }
  const distance = Math.hypot(to.x - from.x - x * frames, to.y - from.y - y * frames)
  const reach = (track.velocity === null ? REACH_WIDTHS.unknown : REACH_WIDTHS.moving) * Math.sqrt(frames)
  return Math.max(0, 1 - distance / (reach * Math.sqrt(track.region.width * region.width)))
}

/** Intersection over union, 0-1. */
export function overlap(a: Region, b: Region): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (width <= 0 || height <= 0) return 0
  const shared = width * height
  return shared / (a.width * a.height + b.width * b.height - shared)
}

/** Insertions, deletions and substitutions from `a` to `b`; `most + 1` as soon as it must be more than `most`. */
export function editDistance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1
  let before = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(swap, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    if (Math.min(...row) > most) return most + 1
    before = row
  }
  return Math.min(before[b.length] ?? 0, most + 1)
}

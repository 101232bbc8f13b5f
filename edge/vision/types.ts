/** The nouns of vision: a frame's picture → PlateRegion → PlateRead, and the door that the rest of the camera sees. */
import { z } from 'zod'
import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { ScenePicture } from '../../shared/wire/heartbeat.ts'
import type { Candidate, Region, Vehicle } from '../../shared/wire/sighting.ts'
import type { Areas } from './areas.ts'

export type { Candidate, Region, Vehicle }

export interface Point {
  x: number
  y: number
}

/** Corners of a plate in original pixels, from the top left clockwise as the text is read. */
export type Corners = readonly [Point, Point, Point, Point]

/** A place where a plate may be. */
export interface PlateRegion {
  region: Region
  corners: Corners
  /** 0-1, of the detector alone; scores of two detectors cannot be compared. */
  confidence: number
}

/** Whose plate it is: a country, or a state of it, such as US-CA or RO. */
export interface Jurisdiction {
  code: string
  /** 0-1. */
  confidence: number
}

/** The text of one region in one frame. */
export interface PlateRead {
  /** `[A-Z0-9]{2,12}`, or null for a plate that cannot be read. */
  plate: string | null
  /** 0-1. */
  confidence: number
  /** Original pixels, floats, from the top left. */
  region: Region
  corners?: Corners
  jurisdiction: Jurisdiction | null
  /** Best first, at most MAX_CANDIDATES, the plate itself being the first. */
  candidates: Candidate[]
  /** Colour of the body around the plate; null where it is not clear. */
  vehicle: Vehicle | null
  /** Layout such as LLDDDLL that decided between O and 0 or I and 1 (layouts.ts); absent when the text stands as it was read. */
  format?: string
}

export interface FrameReading {
  widthPx: number
  heightPx: number
  /** Decoding included. */
  elapsedMs: number
  /** What each stage took: decode, detect, read. */
  stagesMs: Record<string, number>
  /** Nothing has moved since the last frame that was read: what it showed is still there, and this one was not looked at. */
  still: boolean
  /** Best first; none of a still frame. */
  reads: PlateRead[]
  /** How the picture itself is; only of frames that were looked at for that (scene-watch.ts). */
  picture?: ScenePicture
  /** Only where it was asked for. */
  preview?: Preview
}

export const DETECTORS = ['candor', 'ppocr', 'cascade'] as const
export const READERS = ['candor', 'ppocr', 'tesseract'] as const
export type DetectorName = (typeof DETECTORS)[number]
export type ReaderName = (typeof READERS)[number]

/**
 * Widths that a camera may be asked to find plates of, px: narrower ones than `least` cannot be read. The default costs nothing in frames up to
 * 1920×1080, where the detector sees plates as narrow anyway.
 */
export const SMALLEST_PLATE_PX = { least: 30, standard: 45, most: 300 } as const

/** Between two looks at how the picture itself is, milliseconds; a look costs about as much as decoding the frame does. */
export const LOOK_INTERVAL_MS = { least: 50, standard: 5_000, most: 600_000 } as const

/** Slice of the camera's configuration that vision needs. */
/** Characters. */
export const MAX_AIM = 64

export const visionConfigSchema = z.strictObject({
  detector: z.enum(DETECTORS).default('candor').describe('what finds plates in a picture'),
  reader: z.enum(READERS).default('candor').describe('what reads the text of a plate'),
  threads: z.int().min(1).max(8).default(2).describe('threads of the neural networks'),
  smallestPlatePx: z
    .int()
    .min(SMALLEST_PLATE_PX.least)
    .max(SMALLEST_PLATE_PX.most)
    .default(SMALLEST_PLATE_PX.standard)
    .describe('narrower plates need not be found by the detector candor, px; more is faster in frames beyond 1280×720'),
  motionGate: z.boolean().default(true).describe('frames of a video in which nothing has moved are not read'),
  minConfidence: z.number().min(0).max(1).default(0.25).describe('reads below this are not reported'),
  lookIntervalMs: z
    .int()
    .min(LOOK_INTERVAL_MS.least)
    .max(LOOK_INTERVAL_MS.most)
    .default(LOOK_INTERVAL_MS.standard)
    .describe('between two looks at the picture itself (brightness, sharpness, has the view moved), milliseconds'),
  aim: z
    .string()
    .max(MAX_AIM)
    .default('')
    .describe('a name for how the camera hangs; another one, and the view is learned anew. The set-up page writes one'),
  frameTimeoutMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(10_000)
    .describe('a frame that takes longer ends the vision process, which is started again; milliseconds'),
})
export type VisionConfig = z.infer<typeof visionConfigSchema>

/** What a person who sets the camera up sees of a frame. */
export interface Preview {
  /** The frame made smaller, its masks black. */
  jpeg: Buffer
  /** 0-1, of the part in which plates are searched, at full size; null where it has too few edges to tell (scene.ts). */
  sharpness: number | null
}

/** JPEG of one plate, for evidence. */
export interface EvidenceCrop {
  jpeg: Buffer
  /** Hex digest of `jpeg`. */
  sha256: string
  /** The plate in the crop's own pixels. */
  plate: Region
}

export interface ReadOptions {
  signal?: AbortSignal
  /** The frame follows the one before in a video: it need not be read where nothing has moved. */
  unlessStill?: boolean
  /** A picture of the frame for a person as well, at most so wide, px. */
  previewPx?: number
}

export interface VisionDoor {
  /**
   * One frame at a time: a call while another runs waits for it. Rejects with `bad_input` or `too_large` for a picture
   * that cannot be decoded, `unavailable` when the child died or passed the time limit (it is started again).
   */
  read(frame: Uint8Array, options?: ReadOptions): Promise<FrameReading>
  /** JPEG of at most `maxBytes` of `region` with a margin. Rejects with `too_large` if no quality fits. */
  crop(frame: Uint8Array, region: Region, maxBytes: number): Promise<EvidenceCrop>
  /** Whose plate lies within `corners`, by what is written on it; null where that cannot be seen. Rejects as `read` does. */
  jurisdiction(frame: Uint8Array, corners: Corners): Promise<Jurisdiction | null>
  /** How the picture was at the newest look; null before the first, and while no frame was read for PICTURE_FRESH_MS. */
  readonly picture: ScenePicture | null
  /** What counts of the picture, for frames that are asked about from now on. */
  setAreas(areas: Areas): void
  /** Times that the child was started again. */
  readonly restarts: number
  /** Process id of the child, null while there is none. */
  readonly pid: number | null
  close(): Promise<void>
}

export interface VisionDeps {
  clock: Clock
  log: Log
  /** Where what was learned of the view is kept; without it, nothing is. */
  viewFile?: string
}

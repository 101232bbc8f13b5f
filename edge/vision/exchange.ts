/** What goes between the door (parent) and the vision process (child), structured-cloned over the pipe. */
import type { ErrorCode } from '../../shared/errors.ts'
import type { Areas } from './areas.ts'
import type { Corners, EvidenceCrop, FrameReading, Jurisdiction, Region, VisionConfig } from './types.ts'

/** The first that the child is sent; it answers `ready` or `refused`. */
export interface OpenRequest {
  kind: 'open'
  config: VisionConfig
  /** Where the learned view is kept; null: nowhere. */
  viewFile: string | null
  areas: Areas
}

/** For the requests behind it; not answered. */
export interface AreasRequest {
  kind: 'areas'
  areas: Areas
}

export type FrameRequest =
  | {
      kind: 'read'
      id: number
      frame: Uint8Array
      unlessStill: boolean
      isVideo: boolean
      previewPx: number | null
    }
  | { kind: 'jurisdiction'; id: number; frame: Uint8Array; corners: Corners }
  | { kind: 'crop'; id: number; frame: Uint8Array; region: Region; maxBytes: number }

export type FrameAnswer = FrameReading | EvidenceCrop | Jurisdiction | null

export type ToChild = OpenRequest | AreasRequest | FrameRequest

export interface Versions {
  detector: string
  reader: string
}

export type FromChild =
  | { kind: 'ready'; versions: Versions }
  | { kind: 'refused'; code: ErrorCode; message: string; hint: string | null }
  | { kind: 'done'; id: number; value: FrameAnswer }
  | { kind: 'failed'; id: number; code: ErrorCode; message: string; hint: string | null }

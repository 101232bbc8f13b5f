/** What every source of frames gives the pipeline. One file a source; main.ts chooses by the configuration's `source.kind`. */
import type { ErrorCode } from '../../shared/errors.ts'

/** One picture as the lens saw it, still encoded: only the vision process decodes. */
export interface Frame {
  /** Counts up from 0 within one source; a gap is a dropped frame. */
  seq: number
  /** Integer milliseconds, UTC: when the shutter opened, or for a replay when the picture was put into its place. */
  capturedAtMs: number
  /** What the source knows of the clock behind `capturedAtMs`. */
  clock: 'synced' | 'unsynced'
  /** JPEG, PNG, WebP, TIFF or BMP; owned by whoever takes the frame. */
  encoded: Buffer
  /** For a person's eyes only (a log, a test); never given to the reader, which works from the bytes alone. */
  name: string | null
}

/**
 * Frames in order of time. Asking for the next one gives the newest there is: what came meanwhile was replaced and is counted in
 * `dropped`. The iteration ends with the source and throws AppError when the source fails.
 */
export interface CaptureSource extends AsyncIterable<Frame> {
  /** Frames replaced by newer ones because the reader was slower. */
  readonly dropped: number
  /** Files or packets that are no frame. */
  readonly rejected: number
  /** What a device in front of the camera does; absent where pictures are only replayed. */
  readonly live?: LiveStatus
  close(): Promise<void>
}

/** Counters run from the start of the source. */
export interface LiveStatus {
  /** `lost` from a fault until there is a whole frame again. */
  readonly state: 'opening' | 'delivering' | 'lost'
  /** Times that it gave frames again after a fault. */
  readonly reconnects: number
  /** Times that it did not open in time, or gave no whole frame for too long, and was ended. */
  readonly stalls: number
  /** Since the last whole frame, milliseconds; null: there has been none. */
  readonly frameAgeMs: number | null
  /** Of the newest fault, also when that is over; null: there has been none. */
  readonly errorCode: ErrorCode | null
}

/** One picture as a device gave it. */
export interface Shot {
  /** Not yet looked at: may be half a picture. */
  jpeg: Buffer
  /** Since the shutter opened, as far as the device can tell, milliseconds. */
  ageMs: number
}

/** A device that is open. */
export interface Connection {
  /** What of its silence is the device's own, beyond `stallMs`: before its first picture, and between two. Milliseconds; absent: none. */
  readonly ownSilenceMs?: { first: number; between: number }
  /** The newest picture, as soon as there is one; null: the device is to be opened again, which is no fault. Throws `unavailable`. */
  next(): Promise<Shot | null>
  /** At once, whatever the device does. Never rejects. */
  close(): Promise<void>
}

/** A camera that live.ts opens, again and again. One file a kind. */
export interface Device {
  /** For the log. */
  readonly kind: string
  /**
   * Throws `unavailable`. When `signal` aborts, everything that was begun is ended, and it rejects. `onRejected`: what came was no
   * whole picture, and is given to nobody.
   */
  open(signal: AbortSignal, onRejected: () => void): Promise<Connection>
}

/** Where encoded pictures come from, before they have a time. */
export interface Supply {
  /** Null at the end. Throws AppError. */
  next(): Promise<Pick<Frame, 'encoded' | 'name'> | null>
  /** To the start again. */
  rewind(): Promise<void>
  close(): Promise<void>
}

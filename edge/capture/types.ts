/** What every source of frames gives the pipeline. One file a source; main.ts chooses by the configuration's `source.kind`. */

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
  close(): Promise<void>
}

/** Where encoded pictures come from, before they have a time. */
export interface Supply {
  /** Null at the end. Throws AppError. */
  next(): Promise<Pick<Frame, 'encoded' | 'name'> | null>
  /** To the start again. */
  rewind(): Promise<void>
  close(): Promise<void>
}

/** What goes between stream.ts and its process. */

export type ToStreamChild =
  /** Once. `ffmpeg`: options as OpenCV takes them, `name;value|name;value`; `device`: a V4L2 device, and the size asked of it. */
  | { kind: 'open'; address: string; ffmpeg: string; device: { widthPx: number; heightPx: number } | null }
  | { kind: 'next' }

export type FromStreamChild =
  | { kind: 'opened' }
  /** One that was not given before. */
  | { kind: 'frame'; jpeg: Uint8Array; ageMs: number }

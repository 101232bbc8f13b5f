/** What goes between video.ts and its process. */

/** `open` closes what was open before. */
export type ToVideoChild = { kind: 'open'; path: string } | { kind: 'next' }

export type FromVideoChild =
  /** `frames`: as the header says, an estimate; 0 when it says nothing. */
  { kind: 'opened'; frames: number } | { kind: 'frame'; jpeg: Uint8Array } | { kind: 'end' }

/** What a detector and a reader are; there are two of each, chosen in the configuration. */
import type { DecodedText } from './ctc.ts'
import { boundsOf, cornersOf, grown, type TextBox } from './geometry.ts'
import type { Mat } from './opencv.ts'
import type { Corners, PlateRegion, Region } from './types.ts'

/** A place where a plate may be, with the box of its line of text. */
export interface TextRegion extends PlateRegion {
  text: TextBox
}

export interface PlateDetector {
  /** Named in every sighting. */
  readonly version: string
  /** Places in `picture` (RGB, stays the caller's), best first. */
  detect(picture: Mat): Promise<TextRegion[]>
  close(): Promise<void>
}

export interface PlateReader {
  readonly version: string
  /** Texts that the region may show, likeliest first; empty when there is none. */
  read(picture: Mat, region: TextRegion): Promise<DecodedText[]>
  close(): Promise<void>
}

/**
 * The plate around its line of text. Plates leave between 10 % (EU) and 60 % (Brazil, its town above) of the text's height free;
 * this lies between, and overlaps the labels of all three measured sets by over a half.
 */
export function plateOutline(text: TextBox): { region: Region; corners: Corners } {
  const corners = cornersOf(grown(text, { left: 0.12, right: 0.12, top: 0.3, bottom: 0.15 }))
  return { region: boundsOf(corners), corners }
}

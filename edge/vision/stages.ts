/** What a detector and a reader are; there are two of each, chosen in the configuration. */
import type { DecodedText } from './ctc.ts'
import { boundsOf, cornersOf, grown, type TextBox } from './geometry.ts'
import type { Mat } from './opencv.ts'
import type { Corners, Jurisdiction, PlateRegion, Region } from './types.ts'

/** A place where a plate may be, with about the box of its line of text. */
export interface TextRegion extends PlateRegion {
  text: TextBox
  /** The detector knows plates from other writing: what cannot be read here is a vehicle all the same. */
  isPlate: boolean
}

export interface PlateDetector {
  /** Named in every sighting. */
  readonly version: string
  /** Places in `picture` (RGB, stays the caller's), best first. */
  detect(picture: Mat): Promise<TextRegion[]>
  close(): Promise<void>
}

/** What a reader sees in one region. */
export interface RegionLook {
  /** Texts that it may show, likeliest first; empty when there is none. */
  texts: DecodedText[]
  /** The plate's corners as the reader sees them, px of the picture; null where it does not look for them. */
  corners: Corners | null
  /** Whose plate it looks like, whatever its text; null where the reader cannot tell. */
  jurisdiction: Jurisdiction | null
}

export interface PlateReader {
  readonly version: string
  /** One look for each region. */
  read(picture: Mat, regions: readonly TextRegion[]): Promise<RegionLook[]>
  /** How likely it is that each of a region's texts is its plate, 0-1; 0 for what is no plate. */
  confidences(texts: readonly DecodedText[], region: TextRegion): number[]
  close(): Promise<void>
}

/**
 * The plate around its line of text, from the text's shape alone. Plates whose text is short and high (US) are twice as wide as high, text
 * nearly from edge to edge; long ones leave 10 % (EU) to 60 % (Brazil, its town above) of the text's height, so the middle is taken.
 * Measured on the labels of three sets.
 */
export function plateOutline(text: TextBox): { region: Region; corners: Corners } {
  const aspect = text.widthPx / text.heightPx
  const tall = Math.max(0, aspect < 3.5 ? 0.515 * aspect - 1 : 0.33)
  const sides = aspect < 3.5 ? 0.03 : 0.15
  const above = aspect < 3.5 ? 0.55 : 0.7
  const corners = cornersOf(grown(text, { left: sides, right: sides, top: tall * above, bottom: tall * (1 - above) }))
  return { region: boundsOf(corners), corners }
}

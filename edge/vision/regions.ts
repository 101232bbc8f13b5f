/** The regions of one frame read, judged and ranked. Loads neither OpenCV nor a network. */
import type { Candidate } from '../../shared/wire/sighting.ts'
import { MAX_CANDIDATES } from '../../shared/wire/sighting.ts'
import { boundsOf, overlap } from './geometry.ts'
import { settleLookalikes } from './layouts.ts'
import { MAX_READ_LENGTH, MIN_READ_LENGTH } from './plausible.ts'
import type { PlateReader, RegionLook, TextRegion } from './stages.ts'
import type { PlateRead } from './types.ts'

/** Regions of one frame that are read; a street scene has about 4 of plate shape. */
export const MAX_REGIONS = 24
/** Two reads that overlap by more are of one plate. */
const SAME_PLATE_OVERLAP = 0.3

/** Narrower plates are not guessed at: a character would be under 3 px wide. */
export const MIN_READABLE_WIDTH_PX = 24
/**
 * Score from which a place is a vehicle's plate though it cannot be read, and most of its width, px of the frame: a plate wider than that
 * would have been read, and what is not is a window, a gate or a sign. Both as measured: README, decision 31.
 */
export const MIN_VEHICLE_SCORE = 0.65
export const MAX_UNREADABLE_WIDTH_PX = 180

const isReadable = (region: TextRegion) => region.region.width >= MIN_READABLE_WIDTH_PX
const isVehicle = ({ isPlate, confidence, region }: TextRegion) =>
  isPlate && confidence >= MIN_VEHICLE_SCORE && region.width <= MAX_UNREADABLE_WIDTH_PX

/** A plate that is there and cannot be read: its vehicle still counts. */
function unreadable({ region, corners, confidence }: TextRegion): PlateRead {
  return { plate: null, confidence, region, corners, jurisdiction: null, vehicle: null, candidates: [] }
}

/** A reader with its picture. */
export interface RegionReader extends Pick<PlateReader, 'confidences'> {
  read(regions: readonly TextRegion[]): Promise<RegionLook[]>
}

/** `regions` are best first; those beyond MAX_REGIONS are not read. The reads are best first, one for each place. */
export async function readRegions(
  regions: readonly TextRegion[],
  reader: RegionReader,
  minConfidence: number,
): Promise<PlateRead[]> {
  const taken = regions.slice(0, MAX_REGIONS)
  const looks = await reader.read(taken)
  const reads = taken.flatMap((region, index) => {
    const look = looks[index]
    const read = look !== undefined && isReadable(region) ? toRead(region, look, reader.confidences) : null
    if (read !== null && read.confidence >= minConfidence) return [read]
    return isVehicle(region) ? [unreadable(region)] : []
  })
  return withoutRepeats(reads)
}

function toRead(
  region: TextRegion,
  { texts, jurisdiction, corners }: RegionLook,
  confidences: PlateReader['confidences'],
): PlateRead | null {
  const sure = confidences(texts, region)
  const read: Candidate[] = texts
    .map(({ text }, place) => ({ plate: text, confidence: sure[place] ?? 0 }))
    .filter(({ plate }) => plate.length >= MIN_READ_LENGTH && plate.length <= MAX_READ_LENGTH)
    .filter(({ confidence }) => confidence > 0)
    .sort((a, b) => b.confidence - a.confidence)
  const first = read[0]
  if (first === undefined) return null
  const settled = settleLookalikes(first.plate)
  const best = settled === null ? first : { plate: settled.text, confidence: first.confidence }
  const others = settled === null ? read.slice(1) : read.filter(({ plate }) => plate !== settled.text)
  return {
    plate: best.plate,
    confidence: best.confidence,
    region: corners === null ? region.region : boundsOf(corners),
    corners: corners ?? region.corners,
    jurisdiction,
    vehicle: null,
    candidates: [best, ...others].slice(0, MAX_CANDIDATES),
    ...(settled !== null && { format: settled.layout }),
  }
}

/** Best first, those without a text last; a read that lies over a better one goes. */
function withoutRepeats(reads: readonly PlateRead[]): PlateRead[] {
  const kept: PlateRead[] = []
  for (const read of [...reads].sort(byWorth)) {
    if (kept.every((better) => overlap(better.region, read.region) <= SAME_PLATE_OVERLAP)) kept.push(read)
  }
  return kept
}

function byWorth(a: PlateRead, b: PlateRead): number {
  if ((a.plate === null) !== (b.plate === null)) return a.plate === null ? 1 : -1
  return b.confidence - a.confidence
}

/** One frame in, its plates out: decode → detect → read → rank. Runs in the vision process; edge/vision/child.ts calls it. */
import { createHash } from 'node:crypto'
import type { Candidate, Region } from '../../shared/wire/sighting.ts'
import { MAX_CANDIDATES } from '../../shared/wire/sighting.ts'
import type { DecodedText } from './ctc.ts'
import { openCascadeDetector } from './detect-cascade.ts'
import { openPpocrDetector } from './detect-ppocr.ts'
import { overlap } from './geometry.ts'
import { settleLookalikes } from './layouts.ts'
import { modelPaths } from './models.ts'
import { rgbMat } from './opencv.ts'
import { cutJpeg, decodePicture, limitDecodingThreads } from './picture.ts'
import { confidenceOf, MAX_READ_LENGTH, MIN_READ_LENGTH } from './plausible.ts'
import { openPpocrReader } from './read-ppocr.ts'
import { openTesseractReader } from './read-tesseract.ts'
import type { PlateDetector, PlateReader, TextRegion } from './stages.ts'
import type { EvidenceCrop, PlateRead, VisionConfig } from './types.ts'

/** Regions of one frame that are read; a street scene has about 4 of plate shape. */
export const MAX_REGIONS = 24
/** Two reads that overlap by more are of one plate. */
const SAME_PLATE_OVERLAP = 0.3

export interface FrameReader {
  readonly versions: { detector: string; reader: string }
  read(encoded: Uint8Array): Promise<{ widthPx: number; heightPx: number; reads: PlateRead[] }>
  crop(encoded: Uint8Array, region: Region, maxBytes: number): Promise<EvidenceCrop>
  close(): Promise<void>
}

type ReaderConfig = Pick<VisionConfig, 'detector' | 'reader' | 'threads' | 'minConfidence'>

export async function openFrameReader(config: ReaderConfig): Promise<FrameReader> {
  limitDecodingThreads(config.threads)
  const models = modelPaths()
  const detector: PlateDetector =
    config.detector === 'ppocr'
      ? await openPpocrDetector(models.ppocrDetector, config.threads)
      : openCascadeDetector(models.cascade)
  const reader: PlateReader =
    config.reader === 'ppocr'
      ? await openPpocrReader(models.ppocrReader, models.ppocrDictionary, config.threads)
      : await openTesseractReader(models.tesseractFolder)
  return {
    versions: { detector: detector.version, reader: reader.version },
    async read(encoded) {
      const picture = await decodePicture(encoded)
      const mat = rgbMat(picture.pixels, picture.widthPx, picture.heightPx)
      try {
        const regions = (await detector.detect(mat)).slice(0, MAX_REGIONS)
        const reads: PlateRead[] = []
        for (const region of regions) {
          const read = toRead(region, await reader.read(mat, region))
          if (read !== null && read.confidence >= config.minConfidence) reads.push(read)
        }
        return { widthPx: picture.widthPx, heightPx: picture.heightPx, reads: withoutRepeats(reads) }
      } finally {
        mat.release()
      }
    },
    async crop(encoded, region, maxBytes) {
      const jpeg = await cutJpeg(encoded, region, maxBytes)
      return { jpeg, sha256: createHash('sha256').update(jpeg).digest('hex') }
    },
    async close() {
      await Promise.all([detector.close(), reader.close()])
    },
  }
}

function toRead(region: TextRegion, texts: readonly DecodedText[]): PlateRead | null {
  const read: Candidate[] = texts
    .filter(({ text }) => text.length >= MIN_READ_LENGTH && text.length <= MAX_READ_LENGTH)
    .map(({ text, probability }) => ({ plate: text, confidence: confidenceOf(text, probability, region.text) }))
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
    region: region.region,
    corners: region.corners,
    jurisdiction: null,
    candidates: [best, ...others].slice(0, MAX_CANDIDATES),
    ...(settled !== null && { format: settled.layout }),
  }
}

/** Best first; a read that lies over a better one goes. */
function withoutRepeats(reads: readonly PlateRead[]): PlateRead[] {
  const kept: PlateRead[] = []
  for (const read of [...reads].sort((a, b) => b.confidence - a.confidence)) {
    if (kept.every((better) => overlap(better.region, read.region) <= SAME_PLATE_OVERLAP)) kept.push(read)
  }
  return kept
}

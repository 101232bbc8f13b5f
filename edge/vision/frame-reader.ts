/** One frame in, its plates out: decode → detect → read → rank. Runs in the vision process; edge/vision/child.ts calls it. */
import { createHash } from 'node:crypto'
import type { Region } from '../../shared/wire/sighting.ts'
import { openCandorDetector } from './detect-candor.ts'
import { openCascadeDetector } from './detect-cascade.ts'
import { openPpocrDetector } from './detect-ppocr.ts'
import { modelPaths } from './models.ts'
import { rgbMat } from './opencv.ts'
import { cutJpeg, decodePicture, limitDecodingThreads } from './picture.ts'
import { openCandorReader } from './read-candor.ts'
import { openPpocrReader } from './read-ppocr.ts'
import { openTesseractReader } from './read-tesseract.ts'
import { readRegions } from './regions.ts'
import type { PlateDetector, PlateReader, TextRegion } from './stages.ts'
import type { DetectorName, EvidenceCrop, PlateRead, ReaderName, VisionConfig } from './types.ts'

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
  const detectors: Record<DetectorName, () => PlateDetector | Promise<PlateDetector>> = {
    candor: () => openCandorDetector(models.detector, config.threads),
    ppocr: () => openPpocrDetector(models.ppocrDetector, config.threads),
    cascade: () => openCascadeDetector(models.cascade),
  }
  const readers: Record<ReaderName, () => Promise<PlateReader>> = {
    candor: () => openCandorReader(models.reader, config.threads),
    ppocr: () => openPpocrReader(models.ppocrReader, models.ppocrDictionary, config.threads),
    tesseract: () => openTesseractReader(models.tesseractFolder),
  }
  const detector = await detectors[config.detector]()
  const reader = await readers[config.reader]()
  return {
    versions: { detector: detector.version, reader: reader.version },
    async read(encoded) {
      const picture = await decodePicture(encoded)
      const mat = rgbMat(picture.pixels, picture.widthPx, picture.heightPx)
      try {
        const regions = await detector.detect(mat)
        const { confidence } = reader
        const read = (taken: readonly TextRegion[]) => reader.read(mat, taken)
        const reads = await readRegions(regions, { read, confidence }, config.minConfidence)
        return { widthPx: picture.widthPx, heightPx: picture.heightPx, reads }
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

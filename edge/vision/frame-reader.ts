/** One frame in, its plates out: decode → detect → read → rank. Runs in the vision process; edge/vision/child.ts calls it. */
import { createHash } from 'node:crypto'
import type { Region } from '../../shared/wire/sighting.ts'
import { openCascadeDetector } from './detect-cascade.ts'
import { openPpocrDetector } from './detect-ppocr.ts'
import { modelPaths } from './models.ts'
import { rgbMat } from './opencv.ts'
import { cutJpeg, decodePicture, limitDecodingThreads } from './picture.ts'
import { openPpocrReader } from './read-ppocr.ts'
import { openTesseractReader } from './read-tesseract.ts'
import { readRegions } from './regions.ts'
import type { PlateDetector, PlateReader } from './stages.ts'
import type { EvidenceCrop, PlateRead, VisionConfig } from './types.ts'

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
        const regions = await detector.detect(mat)
        const reads = await readRegions(regions, (region) => reader.read(mat, region), config.minConfidence)
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

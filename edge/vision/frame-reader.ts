/** One frame in, its plates out: decode → detect → read → rank. Runs in the vision process; edge/vision/child.ts calls it. */
import { createHash } from 'node:crypto'
import type { Region } from '../../shared/wire/sighting.ts'
import { openCandorDetector } from './detect-candor.ts'
import { openCascadeDetector } from './detect-cascade.ts'
import { openPpocrDetector } from './detect-ppocr.ts'
import { createJurisdictionReader } from './jurisdiction.ts'
import { modelPaths } from './models.ts'
import { createMotionGate, MOTION_GRID } from './motion.ts'
import { greyPicture, patch, rgbMat } from './opencv.ts'
import { cutJpeg, decodePicture, limitDecodingThreads } from './picture.ts'
import { openCandorReader } from './read-candor.ts'
import { openPpocrReader } from './read-ppocr.ts'
import { openTesseractReader } from './read-tesseract.ts'
import { readRegions } from './regions.ts'
import { openSceneWatch } from './scene-watch.ts'
import type { PlateDetector, PlateReader, TextRegion } from './stages.ts'
import type {
  Corners,
  DetectorName,
  EvidenceCrop,
  FrameReading,
  Jurisdiction,
  ReaderName,
  VisionConfig,
} from './types.ts'
import { bodyPlaces, dominantColour, SAMPLES_A_SIDE } from './vehicle-colour.ts'
import { VIEW_GRID } from './view.ts'

export interface FrameReader {
  readonly versions: { detector: string; reader: string }
  read(
    encoded: Uint8Array,
    options: { unlessStill: boolean; isVideo: boolean },
  ): Promise<Omit<FrameReading, 'elapsedMs'>>
  crop(encoded: Uint8Array, region: Region, maxBytes: number): Promise<EvidenceCrop>
  jurisdiction(encoded: Uint8Array, corners: Corners): Promise<Jurisdiction | null>
  close(): Promise<void>
}

type ReaderConfig = Omit<VisionConfig, 'motionGate' | 'frameTimeoutMs'>

export async function openFrameReader(
  config: ReaderConfig,
  monotonicMs: () => number,
  viewFile: string | null,
): Promise<FrameReader> {
  limitDecodingThreads(config.threads)
  const models = modelPaths()
  const detectors: Record<DetectorName, () => PlateDetector | Promise<PlateDetector>> = {
    candor: () => openCandorDetector(models.detector, config.threads, config.smallestPlatePx),
    ppocr: () => openPpocrDetector(models.ppocrDetector, config.threads),
    cascade: () => openCascadeDetector(models.cascade),
  }
  const readers: Record<ReaderName, () => Promise<PlateReader>> = {
    candor: () => openCandorReader(models.reader, models.calibration, config.threads),
    ppocr: () => openPpocrReader(models.ppocrReader, models.ppocrDictionary, config.threads),
    tesseract: () => openTesseractReader(models.tesseractFolder),
  }
  const detector = await detectors[config.detector]()
  const reader = await readers[config.reader]()
  const gate = createMotionGate()
  const watch = openSceneWatch(viewFile, monotonicMs, config.lookIntervalMs)
  const jurisdictions = createJurisdictionReader(models.tesseractFolder)
  return {
    versions: { detector: detector.version, reader: reader.version },
    async read(encoded, { unlessStill, isVideo }) {
      const stagesMs: Record<string, number> = {}
      let before = monotonicMs()
      const took = (stage: string) => {
        const now = monotonicMs()
        stagesMs[stage] = now - before
        before = now
      }
      const { pixels, widthPx, heightPx } = await decodePicture(encoded)
      const mat = rgbMat(pixels, widthPx, heightPx)
      try {
        took('decode')
        const { columns, rows } = MOTION_GRID
        const whole = { x: 0, y: 0, width: mat.cols, height: mat.rows }
        const cells = () => patch(mat, whole, VIEW_GRID.columns, VIEW_GRID.rows)
        const picture = watch.isDue() ? watch.look(greyPicture(mat), isVideo ? cells() : null) : null
        const looked = picture === null ? {} : { picture }
        took('scene')
        if (unlessStill && !gate.moved(patch(mat, whole, columns, rows))) {
          return { widthPx, heightPx, reads: [], still: true, stagesMs, ...looked }
        }
        took('motion')
        const regions = await detector.detect(mat)
        took('detect')
        const { confidences } = reader
        const read = (taken: readonly TextRegion[]) => reader.read(mat, taken)
        const reads = await readRegions(regions, { read, confidences }, config.minConfidence)
        took('read')
        for (const read of reads) {
          const places = bodyPlaces(read.region)
          read.vehicle = dominantColour(
            Buffer.concat(places.map((place) => patch(mat, place, SAMPLES_A_SIDE, SAMPLES_A_SIDE))),
          )
        }
        took('colour')
        return { widthPx, heightPx, reads, still: false, stagesMs, ...looked }
      } finally {
        mat.release()
      }
    },
    async crop(encoded, region, maxBytes) {
      const { jpeg, plate } = await cutJpeg(encoded, region, maxBytes)
      return { jpeg, plate, sha256: createHash('sha256').update(jpeg).digest('hex') }
    },
    async jurisdiction(encoded, corners) {
      const picture = await decodePicture(encoded)
      const mat = rgbMat(picture.pixels, picture.widthPx, picture.heightPx)
      try {
        return await jurisdictions.read(mat, corners)
      } finally {
        mat.release()
      }
    },
    async close() {
      await Promise.all([detector.close(), reader.close(), jurisdictions.close()])
    },
  }
}

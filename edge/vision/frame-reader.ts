/** One frame in, its plates out: decode → detect → read → rank. Runs in the vision process; edge/vision/child.ts calls it. */
import { createHash } from 'node:crypto'
import type { Region } from '../../shared/wire/sighting.ts'
import { type Areas, createBlackener, isReported, maskedCells, searchedPart, WHOLE_PICTURE } from './areas.ts'
import { openCandorDetector } from './detect-candor.ts'
import { openCascadeDetector } from './detect-cascade.ts'
import { openPpocrDetector } from './detect-ppocr.ts'
import { cornersOfRegion } from './geometry.ts'
import { createJurisdictionReader } from './jurisdiction.ts'
import { modelPaths } from './models.ts'
import { createMotionGate, MOTION_GRID } from './motion.ts'
import { greyPicture, type Mat, patch, rgbMat, windowOf } from './opencv.ts'
import { cutJpeg, decodePicture, encodePreview, limitDecodingThreads, type Picture } from './picture.ts'
import { openCandorReader } from './read-candor.ts'
import { openPpocrReader } from './read-ppocr.ts'
import { openTesseractReader } from './read-tesseract.ts'
import { readRegions } from './regions.ts'
import { sharpness } from './scene.ts'
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
    options: { unlessStill: boolean; isVideo: boolean; previewPx: number | null },
  ): Promise<Omit<FrameReading, 'elapsedMs'>>
  crop(encoded: Uint8Array, region: Region, maxBytes: number): Promise<EvidenceCrop>
  jurisdiction(encoded: Uint8Array, corners: Corners): Promise<Jurisdiction | null>
  /** For what is asked from now on. */
  setAreas(areas: Areas): void
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
  const kept = viewFile === null ? null : { file: viewFile, aim: config.aim }
  const watch = openSceneWatch(kept, monotonicMs, config.lookIntervalMs)
  const jurisdictions = createJurisdictionReader(models.tesseractFolder)
  let areas = WHOLE_PICTURE
  let blacken = createBlackener(areas)
  let hidden = maskedCells(areas, VIEW_GRID.columns, VIEW_GRID.rows)

  /** How the picture itself is; of a video also whether the view is the one that was learned. */
  const look = (picture: Picture, isVideo: boolean) =>
    withMat(picture, (mat) => {
      const whole = { x: 0, y: 0, width: mat.cols, height: mat.rows }
      const cells = isVideo ? patch(mat, whole, VIEW_GRID.columns, VIEW_GRID.rows) : null
      return watch.look(greyPicture(mat, whole), cells, hidden)
    })

  return {
    versions: { detector: detector.version, reader: reader.version },
    setAreas(next) {
      areas = next
      blacken = createBlackener(next)
      hidden = maskedCells(next, VIEW_GRID.columns, VIEW_GRID.rows)
    },
    async read(encoded, { unlessStill, isVideo, previewPx }) {
      // The same areas from the first to the last look at a frame, whatever is set meanwhile.
      const [seen, blackenFrame] = [areas, blacken]
      const stagesMs: Record<string, number> = {}
      let before = monotonicMs()
      const took = (stage: string) => {
        const now = monotonicMs()
        stagesMs[stage] = now - before
        before = now
      }
      const picture = await decodePicture(encoded)
      const { widthPx, heightPx } = picture
      took('decode')
      const searched = searchedPart(seen, widthPx, heightPx)
      // Before the masks, whose own edges are sharper than any lens and stay where they are when the camera is turned. Nothing under them is kept.
      const looked = watch.isDue() ? { picture: look(picture, isVideo) } : {}
      const sharp = previewPx === null ? null : withMat(picture, (mat) => sharpness(greyPicture(mat, searched)))
      took('scene')
      blackenFrame(picture.pixels, widthPx, heightPx)
      const preview =
        previewPx === null ? {} : { preview: { jpeg: await encodePreview(picture, previewPx), sharpness: sharp } }
      const mat = rgbMat(picture.pixels, widthPx, heightPx)
      try {
        took('areas')
        const { columns, rows } = MOTION_GRID
        if (unlessStill && !gate.moved(patch(mat, searched, columns, rows))) {
          return { widthPx, heightPx, reads: [], still: true, stagesMs, ...looked, ...preview }
        }
        took('motion')
        const found = await detectWithin(detector, mat, searched)
        const isSeen = ({ corners }: { corners: Corners }) => isReported(seen, corners, widthPx, heightPx)
        const regions = found.filter(isSeen)
        took('detect')
        const { confidences } = reader
        const read = (taken: readonly TextRegion[]) => reader.read(mat, taken)
        const all = await readRegions(regions, { read, confidences }, config.minConfidence)
        // The reader has seen the corners better than the detector.
        const reads = all.filter(({ region, corners }) => isSeen({ corners: corners ?? cornersOfRegion(region) }))
        took('read')
        for (const read of reads) {
          const places = bodyPlaces(read.region)
          read.vehicle = dominantColour(
            Buffer.concat(places.map((place) => patch(mat, place, SAMPLES_A_SIDE, SAMPLES_A_SIDE))),
          )
        }
        took('colour')
        return { widthPx, heightPx, reads, still: false, stagesMs, ...looked, ...preview }
      } finally {
        mat.release()
      }
    },
    async crop(encoded, region, maxBytes) {
      const blackenFrame = blacken
      const picture = await decodePicture(encoded)
      blackenFrame(picture.pixels, picture.widthPx, picture.heightPx)
      const { jpeg, plate } = await cutJpeg(picture, region, maxBytes)
      return { jpeg, plate, sha256: createHash('sha256').update(jpeg).digest('hex') }
    },
    // Of a crop, whose masks are black already.
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

function withMat<T>({ pixels, widthPx, heightPx }: Picture, work: (mat: Mat) => T): T {
  const mat = rgbMat(pixels, widthPx, heightPx)
  try {
    return work(mat)
  } finally {
    mat.release()
  }
}

/** What the detector finds in a part of the picture, in the picture's own pixels. */
async function detectWithin(detector: PlateDetector, picture: Mat, part: Region): Promise<TextRegion[]> {
  if (part.width === picture.cols && part.height === picture.rows) return detector.detect(picture)
  const cut = windowOf(picture, part)
  try {
    const found = await detector.detect(cut)
    const moved = ({ x, y }: { x: number; y: number }) => ({ x: x + part.x, y: y + part.y })
    return found.map((one) => {
      const [a, b, c, d] = one.corners
      return {
        ...one,
        region: { ...one.region, ...moved(one.region) },
        corners: [moved(a), moved(b), moved(c), moved(d)],
        text: { ...one.text, centre: moved(one.text.centre) },
      }
    })
  } finally {
    cut.release()
  }
}

/**
 * Finds plates the way of the years before neural networks: OpenCV's Haar cascade, and places with many upright edges. Kept for
 * machines without onnxruntime and as a measure; `candor bench reading` shows how far it is behind.
 */
import { alongText, boundsOf, cornersOf, grown, overlap, type TextBox } from './geometry.ts'
import { edgeBlobs, grey, openCascade, resized, withMats } from './opencv.ts'
import { type PlateDetector, plateOutline, type TextRegion } from './stages.ts'

/** Pictures are searched at this width; a plate of a twentieth of it is found. */
const SEARCH_WIDTH_PX = 960
const MIN_PLATE_WIDTH_PX = 40
/** Heights of characters that are searched for, px at the width above. */
const CHARACTER_HEIGHTS_PX = [14, 26] as const
const MAX_BLOBS = 300
/** Shape of a line of characters, and how much of its box the blob fills. */
const LINE = { leastAspect: 1.8, mostAspect: 7, leastHeightPx: 8, mostHeightPx: 90, mostAngle: 0.5 } as const
const MAX_PLACES = 16

export function openCascadeDetector(cascadePath: string): PlateDetector {
  const cascade = openCascade(cascadePath)
  return {
    version: 'opencv-haar-russian-plate+edges',
    async detect(picture) {
      const scale = Math.min(1.5, SEARCH_WIDTH_PX / picture.cols)
      const found = withMats((keep) => {
        const small = keep(resized(picture, Math.round(picture.cols * scale), Math.round(picture.rows * scale)))
        const light = keep(grey(small))
        const plates = cascade(light, MIN_PLATE_WIDTH_PX).map((plate): { box: TextBox; score: number } => ({
          score: 0.9,
          // The cascade's box is the whole plate with a margin; the text is its middle.
          box: {
            centre: { x: plate.x + plate.width / 2, y: plate.y + plate.height / 2 },
            widthPx: plate.width * 0.9,
            heightPx: plate.height * 0.65,
            angle: 0,
          },
        }))
        const lines = CHARACTER_HEIGHTS_PX.flatMap((height) => edgeBlobs(light, height, MAX_BLOBS))
          .map(({ box }) => alongText(box))
          .filter((box) => isLine(box))
          .map((box) => ({ score: 0.5 / (1 + Math.abs(Math.log(box.widthPx / box.heightPx / 3.5))), box }))
        return [...plates, ...lines]
      })
      const kept: TextRegion[] = []
      for (const { box, score } of found.sort((a, b) => b.score - a.score)) {
        const text: TextBox = {
          centre: { x: box.centre.x / scale, y: box.centre.y / scale },
          widthPx: box.widthPx / scale,
          heightPx: box.heightPx / scale,
          angle: box.angle,
        }
        const bounds = boundsOf(cornersOf(text))
        if (kept.some((other) => overlap(boundsOf(cornersOf(other.text)), bounds) > 0.6)) continue
        kept.push({
          text: grown(text, { left: 0.1, right: 0.1, top: 0.1, bottom: 0.1 }),
          confidence: score,
          isPlate: false,
          ...plateOutline(text),
        })
        if (kept.length === MAX_PLACES) break
      }
      return kept
    },
    async close() {},
  }
}

function isLine(box: TextBox): boolean {
  const aspect = box.widthPx / Math.max(1, box.heightPx)
  return (
    aspect >= LINE.leastAspect &&
    aspect <= LINE.mostAspect &&
    box.heightPx >= LINE.leastHeightPx &&
    box.heightPx <= LINE.mostHeightPx &&
    Math.abs(box.angle) <= LINE.mostAngle
  )
}

/**
 * The only importer of OpenCV. It runs in the vision process and those of video and streams alone, one thread each (the package is not
 * context-aware), and every Mat is released in `finally`: with the package's memory tracking on, V8 crashes; with it off, an
 * unreleased Mat is never given back. The process that imports this has set OPENCV4NODEJS_DISABLE_AUTOBUILD and
 * OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING.
 */
import { cv } from 'opencv4nodejs'
import { AppError } from '../../shared/errors.ts'
import { MAX_PICTURE_PIXELS } from './limits.ts'
import type { GreyPicture } from './scene.ts'
import type { Corners, Point, Region } from './types.ts'

export type Mat = InstanceType<typeof cv.Mat>

/** A rectangle that may be turned: centre, sides in px, and the direction of its first side in radians. */
export interface TurnedBox {
  centre: Point
  widthPx: number
  heightPx: number
  angle: number
}

/** Runs `work` and releases what it made, whatever happens. */
export function withMats<T>(work: (keep: <M extends Mat>(mat: M) => M) => T): T {
  const mats: Mat[] = []
  try {
    return work((mat) => {
      mats.push(mat)
      return mat
    })
  } finally {
    for (const mat of mats) mat.release()
  }
}

/** 8-bit picture of 3 channels (RGB here) over a copy of `pixels`. The caller releases it. */
export function rgbMat(pixels: Buffer, widthPx: number, heightPx: number): Mat {
  return new cv.Mat(pixels, heightPx, widthPx, cv.CV_8UC3)
}

export function resized(mat: Mat, widthPx: number, heightPx: number): Mat {
  const shrinks = widthPx * heightPx < mat.cols * mat.rows
  return mat.resize(heightPx, widthPx, 0, 0, shrinks ? cv.INTER_AREA : cv.INTER_LINEAR)
}

/** The quadrilateral `corners` of `mat`, pulled straight to `widthPx`×`heightPx`; outside the picture its edge is repeated. */
export function straightened(mat: Mat, corners: Corners, widthPx: number, heightPx: number): Mat {
  return withMats((keep) => {
    const from = corners.map((corner) => new cv.Point2(corner.x, corner.y))
    const to = [
      new cv.Point2(0, 0),
      new cv.Point2(widthPx, 0),
      new cv.Point2(widthPx, heightPx),
      new cv.Point2(0, heightPx),
    ]
    const transform = keep(cv.getPerspectiveTransform(from, to))
    return mat.warpPerspective(transform, new cv.Size(widthPx, heightPx), cv.INTER_CUBIC, cv.BORDER_REPLICATE)
  })
}

/** Large plates are pulled straight at this multiple of the size asked for and then averaged, so that no stroke falls between pixels. */
const OVERSAMPLED = 2

/** A plate pulled straight: the size of its picture, and parts of the plate's sides that it shows around the plate. */
export interface StraightSize {
  widthPx: number
  heightPx: number
  margin: { x: number; y: number }
}

/** Where the plate's corners come to lie in a picture of this size. */
function straightCorners({ margin, widthPx, heightPx }: StraightSize): Corners {
  const x = (margin.x * widthPx) / (1 + 2 * margin.x)
  const y = (margin.y * heightPx) / (1 + 2 * margin.y)
  return [
    { x, y },
    { x: widthPx - x, y },
    { x: widthPx - x, y: heightPx - y },
    { x, y: heightPx - y },
  ]
}

/** Warping counts from the middle of the first pixel; corners are at edges of pixels, as everywhere. */
const forWarping = (corners: Corners) => corners.map(({ x, y }) => new cv.Point2(x - 0.5, y - 0.5))

const oversampled = (size: StraightSize): StraightSize => ({
  ...size,
  widthPx: size.widthPx * OVERSAMPLED,
  heightPx: size.heightPx * OVERSAMPLED,
})

/** The plate within `corners` pulled straight. The caller releases it. */
export function straightenedPlate(mat: Mat, corners: Corners, size: StraightSize): Mat {
  return withMats((keep) => {
    const large = oversampled(size)
    const transform = keep(cv.getPerspectiveTransform(forWarping(corners), forWarping(straightCorners(large))))
    const warped = keep(
      mat.warpPerspective(transform, new cv.Size(large.widthPx, large.heightPx), cv.INTER_LINEAR, cv.BORDER_REPLICATE),
    )
    return warped.resize(size.heightPx, size.widthPx, 0, 0, cv.INTER_AREA)
  })
}

/**
 * The corners of a plate that lie off those which it was pulled straight by: `off` are x and y of each, in widths and heights of the
 * plate. In pixels of the picture again.
 */
export function movedCorners(corners: Corners, size: StraightSize, off: ArrayLike<number>): Corners {
  return withMats((keep) => {
    const large = oversampled(size)
    const straight = straightCorners(large)
    const back = keep(cv.getPerspectiveTransform(forWarping(straight), forWarping(corners))).getDataAsArray()
    const widthPx = straight[2].x - straight[0].x
    const heightPx = straight[2].y - straight[0].y
    const row = (n: number, x: number, y: number) =>
      (back[n]?.[0] ?? 0) * x + (back[n]?.[1] ?? 0) * y + (back[n]?.[2] ?? 0)
    const moved = (n: 0 | 1 | 2 | 3): Point => {
      const x = straight[n].x - 0.5 + (off[2 * n] ?? 0) * widthPx
      const y = straight[n].y - 0.5 + (off[2 * n + 1] ?? 0) * heightPx
      const depth = row(2, x, y)
      return { x: row(0, x, y) / depth + 0.5, y: row(1, x, y) / depth + 0.5 }
    }
    return [moved(0), moved(1), moved(2), moved(3)]
  })
}

/** RGB bytes of a part of `mat`, averaged to `columns` × `rows`; cut at the picture's edge, empty outside it. */
export function patch(mat: Mat, part: Region, columns: number, rows: number): Buffer {
  const left = Math.max(0, Math.round(part.x))
  const top = Math.max(0, Math.round(part.y))
  const width = Math.min(mat.cols, Math.round(part.x + part.width)) - left
  const height = Math.min(mat.rows, Math.round(part.y + part.height)) - top
  if (width < 1 || height < 1) return Buffer.alloc(0)
  return withMats((keep) => {
    const cut = keep(mat.getRegion(new cv.Rect(left, top, width, height)))
    return keep(cut.resize(rows, columns, 0, 0, cv.INTER_AREA)).getData()
  })
}

/** A part of `mat`, whole pixels within it: the same memory seen through a window. The caller releases it, before `mat`. */
export function windowOf(mat: Mat, { x, y, width, height }: Region): Mat {
  return mat.getRegion(new cv.Rect(x, y, width, height))
}

/** A part of `mat` (RGB), whole pixels within it, as plain grey pixels. */
export function greyPicture(mat: Mat, part: Region): GreyPicture {
  const pixels = withMats((keep) => keep(grey(keep(windowOf(mat, part)))).getData())
  return { widthPx: part.width, heightPx: part.height, pixels }
}

export interface Blob {
  box: TurnedBox
  bounds: Region
}

/** Least-area rectangles around the connected parts of a mask (bytes, 0 or not) of `widthPx`×`heightPx`, at most `most`. */
export function blobs(mask: Buffer, widthPx: number, heightPx: number, most: number): Blob[] {
  return withMats((keep) => {
    const mat = keep(new cv.Mat(mask, heightPx, widthPx, cv.CV_8UC1))
    const contours = mat.findContours(cv.RETR_LIST, cv.CHAIN_APPROX_SIMPLE)
    return contours
      .filter((contour) => contour.numPoints >= 4)
      .slice(0, most)
      .map((contour) => {
        const turned = contour.minAreaRect()
        const bounds = contour.boundingRect()
        return {
          box: {
            centre: { x: turned.center.x, y: turned.center.y },
            widthPx: turned.size.width,
            heightPx: turned.size.height,
            angle: (turned.angle * Math.PI) / 180,
          },
          bounds: { x: bounds.x, y: bounds.y, width: bounds.width, height: bounds.height },
        }
      })
  })
}

/** Decodes a BMP, which the other decoder does not know, into RGB bytes without padding; null when it is damaged. */
export function decodeBmp(encoded: Buffer): { widthPx: number; heightPx: number; pixels: Buffer } | null {
  return withMats((keep) => {
    const mat = keep(cv.imdecode(encoded, cv.IMREAD_COLOR))
    if (mat.empty) return null
    const rgb = keep(mat.cvtColor(cv.COLOR_BGR2RGB))
    return { widthPx: rgb.cols, heightPx: rgb.rows, pixels: rgb.getData() }
  })
}

/** Finds what a Haar or LBP cascade was trained for. */
export function openCascade(path: string): (grey: Mat, leastWidthPx: number) => Region[] {
  const cascade = new cv.CascadeClassifier(path)
  return (grey, leastWidthPx) => {
    const minSize = new cv.Size(leastWidthPx, Math.round(leastWidthPx / 3))
    const { objects } = cascade.detectMultiScale(grey, { scaleFactor: 1.1, minNeighbors: 2, minSize })
    return objects.map(({ x, y, width, height }) => ({ x, y, width, height }))
  }
}

/**
 * Places with many upright edges close together, as a line of characters has: black-hat, horizontal gradient, closing, threshold.
 * `grey` is of 8 bits; `characterHeightPx` is about how high the characters are.
 */
export function edgeBlobs(grey: Mat, characterHeightPx: number, most: number): Blob[] {
  return withMats((keep) => {
    const dark = cv.getStructuringElement(
      cv.MORPH_RECT,
      new cv.Size(characterHeightPx * 2, Math.round(characterHeightPx / 2)),
    )
    const hat = keep(grey.morphologyEx(keep(dark), cv.MORPH_BLACKHAT))
    const gradient = keep(keep(hat.sobel(cv.CV_32F, 1, 0, 3)).convertScaleAbs(1, 0))
    const join = keep(
      cv.getStructuringElement(cv.MORPH_RECT, new cv.Size(characterHeightPx, Math.round(characterHeightPx / 3))),
    )
    const closed = keep(keep(gradient.gaussianBlur(new cv.Size(5, 5), 0)).morphologyEx(join, cv.MORPH_CLOSE))
    const mask = keep(closed.threshold(0, 255, cv.THRESH_BINARY + cv.THRESH_OTSU))
    const small = keep(cv.getStructuringElement(cv.MORPH_RECT, new cv.Size(3, 3)))
    const opened = keep(mask.morphologyEx(small, cv.MORPH_OPEN))
    return blobs(opened.getData(), grey.cols, grey.rows, most)
  })
}

/** 8-bit grey of an RGB picture. The caller releases it. */
export function grey(picture: Mat): Mat {
  return picture.cvtColor(cv.COLOR_RGB2GRAY)
}

/** Quality at which frames of a video become JPEG: high, since a small plate is what suffers first. */
const VIDEO_JPEG_QUALITY = 95

export interface Video {
  /** Frames as the header says, an estimate; 0 when it says nothing. */
  frames: number
  /** JPEG of the next frame, null at the end or where it can be decoded no further. */
  next(): Buffer | null
  close(): void
}

/** Opens a video file. Throws `bad_input` when it is none, `too_large` when its frames are. */
export function openVideo(path: string): Video {
  let capture: InstanceType<typeof cv.VideoCapture>
  try {
    capture = new cv.VideoCapture(path, cv.CAP_FFMPEG)
  } catch (cause) {
    throw new AppError('bad_input', `${path} is no video that can be decoded`, { cause })
  }
  const pixels = capture.get(cv.CAP_PROP_FRAME_WIDTH) * capture.get(cv.CAP_PROP_FRAME_HEIGHT)
  if (pixels > MAX_PICTURE_PIXELS) {
    capture.release()
    throw new AppError('too_large', `frames of ${pixels} pixels; the limit is ${MAX_PICTURE_PIXELS}`)
  }
  const frames = capture.get(cv.CAP_PROP_FRAME_COUNT)
  return {
    frames: Number.isFinite(frames) && frames > 0 ? frames : 0,
    next: () =>
      withMats((keep) => {
        const mat = keep(capture.read())
        return mat.empty ? null : cv.imencode('.jpg', mat, [cv.IMWRITE_JPEG_QUALITY, VIDEO_JPEG_QUALITY])
      }),
    close: () => capture.release(),
  }
}

export interface Stream {
  /** JPEG of the frame that was read last; null before the first. */
  newest(): Buffer | null
  /** Waits for the next frame, which becomes the newest. False at the end. */
  read(): Promise<boolean>
  close(): void
}

/** "MJPG": what cameras on USB need to send large frames at full rate. */
const MOTION_JPEG = 0x47504a4d

/**
 * Opens what a camera sends over a network (by FFmpeg, with OPENCV_FFMPEG_CAPTURE_OPTIONS as set), or a V4L2 device. Throws
 * `unavailable`, `too_large`. Blocks meanwhile.
 */
export function openStream(address: string, device: { widthPx: number; heightPx: number } | null): Stream {
  let capture: InstanceType<typeof cv.VideoCapture>
  try {
    capture = new cv.VideoCapture(address, device === null ? cv.CAP_FFMPEG : cv.CAP_V4L2)
  } catch {
    // Without a cause: that could name the address, and the address its password.
    throw new AppError('unavailable', 'the camera does not answer, or sends nothing that can be decoded')
  }
  if (device !== null) {
    capture.set(cv.CAP_PROP_FOURCC, MOTION_JPEG)
    capture.set(cv.CAP_PROP_FRAME_WIDTH, device.widthPx)
    capture.set(cv.CAP_PROP_FRAME_HEIGHT, device.heightPx)
  }
  let held: Mat | null = null
  return {
    newest: () => (held === null ? null : cv.imencode('.jpg', held, [cv.IMWRITE_JPEG_QUALITY, VIDEO_JPEG_QUALITY])),
    async read() {
      const mat = await capture.readAsync()
      if (mat.empty || mat.cols * mat.rows > MAX_PICTURE_PIXELS) {
        const pixels = mat.cols * mat.rows
        mat.release()
        if (pixels <= MAX_PICTURE_PIXELS) return false
        throw new AppError('too_large', `frames of ${pixels} pixels; the limit is ${MAX_PICTURE_PIXELS}`)
      }
      held?.release()
      held = mat
      return true
    },
    close() {
      held?.release()
      held = null
      capture.release()
    },
  }
}

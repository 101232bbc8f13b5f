/** Encoded bytes → pixels. The only importer of sharp; every limit on pictures is held here, before anything is decoded. */
import sharp from 'sharp'
import { AppError } from '../../shared/errors.ts'

/** Longest encoded picture, bytes: a 40-megapixel JPEG at the best quality is about 30 MB. */
export const MAX_PICTURE_BYTES = 48 * 1024 * 1024
/** Most pixels, width × height: above any camera's sensor that the project knows (OV64A binned, 24-megapixel DSLR). */
export const MAX_PICTURE_PIXELS = 40_000_000
/** Shortest side in which a plate could be read, px. */
export const MIN_PICTURE_SIDE_PX = 16

const FORMATS: ReadonlySet<string> = new Set(['jpeg', 'png', 'webp', 'tiff', 'heif', 'gif'])

export interface Picture {
  widthPx: number
  heightPx: number
  /** RGB, 8 bits, no padding; widthPx × heightPx × 3 bytes. */
  pixels: Buffer
}

sharp.cache(false)

/** Threads that decoding may use. */
export function limitDecodingThreads(threads: number): void {
  sharp.concurrency(threads)
}

/** Decodes strictly; turned upright by its EXIF orientation. Throws `bad_input` or `too_large`. */
export async function decodePicture(encoded: Uint8Array): Promise<Picture> {
  if (encoded.byteLength === 0) throw new AppError('bad_input', 'the picture is empty')
  if (encoded.byteLength > MAX_PICTURE_BYTES) {
    throw new AppError('too_large', `the picture has ${encoded.byteLength} bytes; the limit is ${MAX_PICTURE_BYTES}`)
  }
  const image = sharp(encoded, { failOn: 'error', limitInputPixels: false, pages: 1 })
  const header = await image.metadata().catch((cause: unknown) => {
    throw new AppError('bad_input', 'not a picture that can be read', { cause })
  })
  if (!FORMATS.has(header.format)) throw new AppError('bad_input', `pictures of format ${header.format} are not read`)
  if (header.width * header.height > MAX_PICTURE_PIXELS) {
    throw new AppError(
      'too_large',
      `the picture has ${header.width}×${header.height} pixels; the limit is ${MAX_PICTURE_PIXELS} in all`,
    )
  }
  if (Math.min(header.width, header.height) < MIN_PICTURE_SIDE_PX) {
    throw new AppError('bad_input', `the picture is smaller than ${MIN_PICTURE_SIDE_PX} pixels`)
  }
  try {
    const { data, info } = await image
      .autoOrient()
      .toColourspace('srgb')
      .flatten()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    if (info.channels !== 3) throw new AppError('bad_input', `the picture has ${info.channels} channels`)
    return { widthPx: info.width, heightPx: info.height, pixels: data }
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('bad_input', 'the picture is damaged or cut short', { cause })
  }
}

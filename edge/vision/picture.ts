/** Encoded bytes → pixels. The only importer of sharp (BMP goes to OpenCV); every limit on pictures is held here, before anything is decoded. */
import sharp from 'sharp'
import { AppError } from '../../shared/errors.ts'
import { MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS, MIN_PICTURE_SIDE_PX } from './limits.ts'
import { decodeBmp } from './opencv.ts'
import type { Region } from './types.ts'

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
  if (encoded[0] === 0x42 && encoded[1] === 0x4d) return decodeBmpPicture(encoded)
  const image = sharp(encoded, { failOn: 'error', limitInputPixels: false, pages: 1 })
  const header = await image.metadata().catch((cause: unknown) => {
    throw new AppError('bad_input', 'not a picture that can be read', { cause })
  })
  if (!FORMATS.has(header.format)) throw new AppError('bad_input', `pictures of format ${header.format} are not read`)
  checkSize(header.width, header.height)
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

function checkSize(widthPx: number, heightPx: number): void {
  if (widthPx * heightPx > MAX_PICTURE_PIXELS) {
    throw new AppError(
      'too_large',
      `the picture has ${widthPx}×${heightPx} pixels; the limit is ${MAX_PICTURE_PIXELS} in all`,
    )
  }
  if (Math.min(widthPx, heightPx) < MIN_PICTURE_SIDE_PX) {
    throw new AppError('bad_input', `the picture is smaller than ${MIN_PICTURE_SIDE_PX} pixels`)
  }
}

/** File header of 14 bytes and the 40 of BITMAPINFOHEADER [Microsoft, Bitmap Storage]. */
const BMP_HEADER_BYTES = 54
const BMP_UNCOMPRESSED = 0

/** Only uncompressed BMP: there the header says how long the file must be, so that one cut short is told from a whole one. */
function decodeBmpPicture(encoded: Uint8Array): Picture {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
  if (bytes.length < BMP_HEADER_BYTES || bytes.readUInt32LE(14) < 40) {
    throw new AppError('bad_input', 'not a picture that can be read')
  }
  const widthPx = bytes.readInt32LE(18)
  // Negative: rows from the top.
  const heightPx = Math.abs(bytes.readInt32LE(22))
  checkSize(widthPx, heightPx)
  const bitsPerPixel = bytes.readUInt16LE(28)
  if (bytes.readUInt32LE(30) !== BMP_UNCOMPRESSED) throw new AppError('bad_input', 'compressed BMP is not read')
  const rowBytes = Math.ceil((widthPx * bitsPerPixel) / 32) * 4
  const picture = bytes.length < bytes.readUInt32LE(10) + rowBytes * heightPx ? null : decodeBmp(bytes)
  if (picture === null || picture.widthPx !== widthPx || picture.heightPx !== heightPx) {
    throw new AppError('bad_input', 'the picture is damaged or cut short')
  }
  return picture
}

/** What a crop shows around a plate as it is, in widths of the plate: its holder and frame, no window. */
const SHARP = { side: 0.25, above: 0.2, below: 0.2 } as const
/** What it shows in coarse cells: the vehicle's colour and shape, nothing and nobody in it. */
const COARSE = { side: 1, above: 0.8, below: 0.45 } as const
/** Side of a cell in widths of the plate: 6 cm for a US plate, 10 cm for a European one; a face is at most three of them wide. */
export const COARSE_CELL = 0.2
/** Tried in this order, then again at half the size, until the JPEG fits. */
const CROP_QUALITIES = [88, 75, 60, 45] as const
const MIN_CROP_WIDTH_PX = 40

interface Area {
  left: number
  top: number
  width: number
  height: number
}

/** `region` with so many of its widths around it, within the picture; whole pixels. */
function around(region: Region, by: typeof SHARP | typeof COARSE, widthPx: number, heightPx: number): Area {
  const left = Math.max(0, Math.floor(region.x - region.width * by.side))
  const top = Math.max(0, Math.floor(region.y - region.width * by.above))
  const right = Math.min(widthPx, Math.ceil(region.x + region.width * (1 + by.side)))
  const bottom = Math.min(heightPx, Math.ceil(region.y + region.height + region.width * by.below))
  return { left, top, width: right - left, height: bottom - top }
}

/** `region` in pixels of `area` that is shown at `scale`. */
function within(area: Area, region: Region, scale: number): Region {
  return {
    x: (region.x - area.left) * scale,
    y: (region.y - area.top) * scale,
    width: region.width * scale,
    height: region.height * scale,
  }
}

/**
 * JPEG of `region` and the vehicle around it, at most `maxBytes`; without any metadata. Beyond the plate's own neighbourhood the
 * picture is made of cells too coarse to show a person, whatever is there. Throws `bad_input` and `too_large`.
 */
export async function cutJpeg(
  { widthPx, heightPx, pixels }: Picture,
  region: Region,
  maxBytes: number,
): Promise<{ jpeg: Buffer; plate: Region }> {
  const sharpArea = around(region, SHARP, widthPx, heightPx)
  const area = around(region, COARSE, widthPx, heightPx)
  if (sharpArea.width < 1 || sharpArea.height < 1)
    throw new AppError('bad_input', 'the region lies outside the picture')
  const raw = { width: widthPx, height: heightPx, channels: 3 } as const
  const plate = await sharp(pixels, { raw }).extract(sharpArea).raw().toBuffer()
  const cellPx = region.width * COARSE_CELL
  const cells = await sharp(pixels, { raw })
    .extract(area)
    .resize(Math.max(1, Math.round(area.width / cellPx)), Math.max(1, Math.round(area.height / cellPx)), {
      fit: 'fill',
    })
    .raw()
    .toBuffer({ resolveWithObject: true })
  const crop = await sharp(cells.data, { raw: { width: cells.info.width, height: cells.info.height, channels: 3 } })
    .resize(area.width, area.height, { fit: 'fill', kernel: 'nearest' })
    .composite([
      {
        input: plate,
        raw: { width: sharpArea.width, height: sharpArea.height, channels: 3 },
        left: sharpArea.left - area.left,
        top: sharpArea.top - area.top,
      },
    ])
    // Composing adds an alpha channel.
    .removeAlpha()
    .raw()
    .toBuffer()
  for (let width = area.width; width >= Math.min(MIN_CROP_WIDTH_PX, area.width); width = Math.ceil(width / 2)) {
    for (const quality of CROP_QUALITIES) {
      const jpeg = await sharp(crop, { raw: { width: area.width, height: area.height, channels: 3 } })
        .resize({ width })
        .jpeg({ quality })
        .toBuffer()
      if (jpeg.byteLength <= maxBytes) return { jpeg, plate: within(area, region, width / area.width) }
    }
    if (width === 1) break
  }
  throw new AppError('too_large', `no crop of at most ${maxBytes} bytes can be made`)
}

/** Good enough to judge a plate by eye, and a third of the bytes of evidence. */
const PREVIEW_QUALITY = 70

/** The whole picture as JPEG, at most `mostWidthPx` wide, without any metadata. */
export async function encodePreview({ widthPx, heightPx, pixels }: Picture, mostWidthPx: number): Promise<Buffer> {
  return sharp(pixels, { raw: { width: widthPx, height: heightPx, channels: 3 } })
    .resize({ width: Math.min(widthPx, mostWidthPx) })
    .jpeg({ quality: PREVIEW_QUALITY })
    .toBuffer()
}

/** PNG of 8-bit grey pixels with their contrast stretched and a white border. */
export async function encodeGrey(pixels: Buffer, widthPx: number, heightPx: number, borderPx: number): Promise<Buffer> {
  return sharp(pixels, { raw: { width: widthPx, height: heightPx, channels: 1 } })
    .normalise()
    .extend({ top: borderPx, bottom: borderPx, left: borderPx, right: borderPx, background: '#fff' })
    .png({ compressionLevel: 1 })
    .toBuffer()
}

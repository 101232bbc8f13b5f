/** Pictures on a disk, one after another. Used by replay and by `candor read`, so that both see the same files in the same order. */
import { isUtf8 } from 'node:buffer'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { MAX_PICTURE_BYTES } from '../vision/limits.ts'
import type { Supply } from './types.ts'

/** Names of pictures in a folder; everything else in it is left alone. */
export const PICTURE_EXTENSIONS: ReadonlySet<string> = new Set(['.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif'])

/** As the file system has it: names are bytes, and only those that are UTF-8 are text. */
export type PicturePath = string | Buffer

/** For people; what is not UTF-8 in it is shown as such, and opens no file. */
export function shownPath(path: PicturePath): string {
  return path.toString('utf8')
}

/** The pictures of a folder, sorted by name; not those of the folders within. Throws AppError. */
export async function listPictures(folder: string): Promise<PicturePath[]> {
  const entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' }).catch((cause: unknown) => {
    throw new AppError('bad_input', `the folder ${folder} cannot be read`, { cause })
  })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({ bytes: entry.name, text: shownPath(entry.name) }))
    .filter(({ text }) => PICTURE_EXTENSIONS.has(extname(text).toLowerCase()))
    .sort((one, other) => (one.text < other.text ? -1 : one.text > other.text ? 1 : one.bytes.compare(other.bytes)))
    .map(({ bytes, text }) =>
      isUtf8(bytes) ? join(folder, text) : Buffer.concat([Buffer.from(join(folder, '/')), bytes]),
    )
}

/** Bytes that tell the formats apart; WebP has its name at byte 8. */
const SIGNATURE_BYTES = 12

/** Does the file begin as one of the formats that are read? A look, not a proof: only decoding shows that it is whole. */
export function looksLikePicture(start: Buffer): boolean {
  const begins = (bytes: readonly number[], at = 0) => bytes.every((byte, index) => start[at + index] === byte)
  const text = (from: number, to: number) => start.toString('latin1', from, to)
  return (
    begins([0xff, 0xd8, 0xff]) ||
    begins([0x89, 0x50, 0x4e, 0x47]) ||
    text(0, 2) === 'BM' ||
    (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') ||
    begins([0x49, 0x49, 0x2a, 0x00]) ||
    begins([0x4d, 0x4d, 0x00, 0x2a])
  )
}

export async function isPictureFile(file: PicturePath): Promise<boolean> {
  const handle = await open(file, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(SIGNATURE_BYTES), 0, SIGNATURE_BYTES, 0)
    return looksLikePicture(buffer.subarray(0, bytesRead))
  } finally {
    await handle.close()
  }
}

/** The bytes of one picture. Throws `bad_input` or `too_large` without holding a huge file in memory. */
export async function loadPicture(file: PicturePath): Promise<Buffer> {
  const found = await stat(file)
  if (!found.isFile()) throw new AppError('bad_input', 'not a file')
  if (found.size > MAX_PICTURE_BYTES) {
    throw new AppError('too_large', `the file has ${found.size} bytes; the limit is ${MAX_PICTURE_BYTES}`)
  }
  const encoded = await readFile(file)
  if (encoded.byteLength === 0) throw new AppError('bad_input', 'the picture is empty')
  if (!looksLikePicture(encoded)) throw new AppError('bad_input', 'not a picture')
  return encoded
}

/** Throws `bad_input` when `files` is empty, and later when a whole round gave not one picture. */
export function openPictures(where: string, files: readonly PicturePath[], log: Log, rejected: () => void): Supply {
  if (files.length === 0) {
    throw new AppError('bad_input', `there is no picture in ${where}`, {
      hint: `pictures end in ${[...PICTURE_EXTENSIONS].join(' ')}`,
    })
  }
  let next = 0
  let found = 0
  return {
    async next() {
      for (;;) {
        const file = files[next]
        if (file === undefined) {
          if (found === 0) throw new AppError('bad_input', `none of the ${files.length} files in ${where} is a picture`)
          return null
        }
        next += 1
        try {
          const encoded = await loadPicture(file)
          found += 1
          return { encoded, name: basename(shownPath(file)) }
        } catch (thrown) {
          rejected()
          const { code, message } = toAppError(thrown)
          log.warn('picture_rejected', { code, error: message })
        }
      }
    },
    async rewind() {
      next = 0
      found = 0
    },
    async close() {},
  }
}

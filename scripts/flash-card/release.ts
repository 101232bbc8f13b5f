/** Is this image what its maker has signed? SHA256SUMS.sig over SHA256SUMS, and of that the image and its map. Used by flash.ts. */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { AppError, systemCode } from '../../shared/errors.ts'

const SUMS = 'SHA256SUMS'
const MAX_SUMS_BYTES = 64 * 1024

function readSmall(file: string, hint: string): Buffer {
  try {
    if (statSync(file).size > MAX_SUMS_BYTES)
      throw new AppError('bad_input', `${file} is larger than ${MAX_SUMS_BYTES} bytes`)
    return readFileSync(file)
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown
    throw new AppError('bad_input', `${file} cannot be read: ${systemCode(thrown)}`, { hint, cause: thrown })
  }
}

/** File name → SHA-256, of what stands beside the image. Throws `integrity` when the signature is not of `keyFile`'s key. */
export function readSignedSums(image: string, keyFile: string): Map<string, string> {
  const folder = dirname(image)
  const hint = 'keep the files of a release together: image, .bmap, SHA256SUMS and SHA256SUMS.sig'
  const sums = readSmall(join(folder, SUMS), hint)
  const signature = readSmall(join(folder, `${SUMS}.sig`), hint)
  const key = readSmall(keyFile, 'name the public key of who made the image with --key')
  let isRight = false
  try {
    isRight = verify(null, sums, createPublicKey(key), signature)
  } catch (thrown) {
    throw new AppError('bad_input', `${keyFile} holds no public key`, { cause: thrown })
  }
  if (!isRight) {
    throw new AppError('integrity', `the signature of ${SUMS} is not of this key`, {
      hint: 'the files were changed, or are of another maker: get them anew, or name the right key with --key',
    })
  }
  const lines = sums.toString('utf8').trim().split('\n')
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]))
}

/** Throws `integrity`. */
export async function checkSum(
  file: string,
  sums: ReadonlyMap<string, string>,
  onRead: (bytes: number) => void,
): Promise<void> {
  const expected = sums.get(basename(file))
  if (expected === undefined) throw new AppError('integrity', `${basename(file)} is not among the signed files`)
  const hash = createHash('sha256')
  let read = 0
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer)
    read += (chunk as Buffer).length
    onRead(read)
  }
  if (hash.digest('hex') !== expected)
    throw new AppError('integrity', `${basename(file)} is not the file that was signed`, { hint: 'get it anew' })
}

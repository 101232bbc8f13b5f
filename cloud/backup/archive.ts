/**
 * A backup as one encrypted file: magic, a header in the clear, then chunks of AES-256-GCM as in STREAM [Hoang et al., 2015, "Online
 * Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"; age-encryption.org/v1]: the nonce counts the chunks and marks the last
 * one, so that none can be changed, moved, left out or cut off. Each file has a key of its own, from the day's key, a salt and the header.
 *
 * Within: for each file its path and length as JSON (4 bytes of length before it), then its bytes; at last a JSON without a path.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { z } from 'zod'
import { AppError, systemCode } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { renameDurably, SECRET_MODE } from '../../shared/secret-file.ts'

/** Plain bytes of a chunk; each costs its tag. */
export const CHUNK_BYTES = 256 * 1024
const TAG_BYTES = 16
const KEY_BYTES = 32
const MAGIC = Buffer.from('CANDORB2')
export const MAX_HEADER_BYTES = 4_096
/** Of the JSON before a file, bytes. */
const MAX_RECORD_BYTES = 4_096
const INFO = 'candor backup 2'

const headerSchema = z.strictObject({
  format: z.literal('candor-backup-2'),
  agency: slugSchema,
  madeAtMs: z.int(),
  software: z.string(),
  /** Of the key, UTC. */
  day: z.iso.date(),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  salt: z.string().min(43).max(64),
})
export type ArchiveHeader = z.infer<typeof headerSchema>

export const trailerSchema = z.strictObject({ files: z.int().min(1), auditSeq: z.int().min(0) })
export type ArchiveTrailer = z.infer<typeof trailerSchema>

const recordSchema = z.strictObject({ path: z.string().min(1).max(200), bytes: z.int().min(0) })

export interface ArchiveFile {
  path: string
  bytes: number
  content: AsyncIterable<Uint8Array>
}

/** Writes `path`, whole or not at all. `files` may read as they are asked; a file that gives another number of bytes ends it with `integrity`. */
export async function writeArchive(
  path: string,
  header: ArchiveHeader,
  dayKey: Uint8Array,
  files: AsyncIterable<ArchiveFile>,
  trailer: () => Promise<Omit<ArchiveTrailer, 'files'>>,
): Promise<ArchiveTrailer> {
  const beside = `${path}.tmp`
  const file = await open(beside, 'wx', SECRET_MODE)
  try {
    const json = Buffer.from(JSON.stringify(headerSchema.parse(header)))
    const head = Buffer.concat([MAGIC, lengthOf(json), json])
    await file.write(head)
    const chunks = createChunks(file, keyFor(dayKey, header, head))
    let count = 0
    for await (const { path: name, bytes, content } of files) {
      await chunks.add(recordOf({ path: name, bytes }))
      let left = bytes
      for await (const part of content) {
        left -= part.length
        await chunks.add(part)
      }
      if (left !== 0) throw new AppError('integrity', `${name} changed while it was read`)
      count += 1
    }
    const ended = { files: count, ...(await trailer()) }
    await chunks.add(recordOf(ended))
    await chunks.end()
    await file.sync()
    await file.close()
    await renameDurably(beside, path)
    return ended
  } catch (thrown) {
    await file.close().catch(() => {})
    await rm(beside, { force: true })
    if (systemCode(thrown) === 'ENOSPC') {
      throw new AppError('storage_full', `no space left for ${path}`, {
        hint: 'name a folder on a larger disk',
        cause: thrown,
      })
    }
    throw thrown
  }
}

/** The part in the clear, which nothing vouches for before the archive is read. Throws `not_found`, `integrity`. */
export async function readHeader(path: string): Promise<ArchiveHeader> {
  const file = await openArchive(path)
  try {
    return (await headerOf(file, path)).header
  } finally {
    await file.close()
  }
}

/**
 * Hands each file to `take`, in order, while it decrypts; `content` must be read to its end. Throws `integrity` at the first byte that is not
 * what was written: what was taken until then is to be thrown away.
 */
export async function readArchive(
  path: string,
  dayKey: Uint8Array,
  take: (file: ArchiveFile) => Promise<void>,
): Promise<{ header: ArchiveHeader; trailer: ArchiveTrailer }> {
  const file = await openArchive(path)
  try {
    const { header, head } = await headerOf(file, path)
    const plain = createPlain(decrypt(file, head.length, keyFor(dayKey, header, head)))
    for (let files = 0; ; files += 1) {
      const json = await plain.record()
      const record = recordSchema.safeParse(json)
      if (!record.success) {
        const trailer = trailerSchema.parse(json)
        if (trailer.files !== files || !(await plain.isOver())) throw changed()
        return { header, trailer }
      }
      let left = record.data.bytes
      await take({
        ...record.data,
        content: (async function* () {
          while (left > 0) {
            const part = await plain.some(left)
            left -= part.length
            yield part
          }
        })(),
      })
      if (left > 0) throw new AppError('internal', `${record.data.path} was not read to its end`)
    }
  } catch (thrown) {
    if (thrown instanceof z.ZodError || thrown instanceof SyntaxError) throw changed()
    throw thrown
  } finally {
    await file.close()
  }
}

function createChunks(file: FileHandle, key: Buffer) {
  let held: Uint8Array[] = []
  let bytes = 0
  let counter = 0
  async function write(plain: Uint8Array, isLast: boolean): Promise<void> {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(counter, isLast))
    counter += 1
    await file.write(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
  }
  return {
    async add(part: Uint8Array): Promise<void> {
      held.push(part)
      bytes += part.length
      // One more than a chunk: the last one is told apart when it is written.
      if (bytes <= CHUNK_BYTES) return
      const all = Buffer.concat(held)
      let at = 0
      for (; all.length - at > CHUNK_BYTES; at += CHUNK_BYTES) await write(all.subarray(at, at + CHUNK_BYTES), false)
      held = [all.subarray(at)]
      bytes = all.length - at
    },
    end: () => write(Buffer.concat(held), true),
  }
}

async function* decrypt(file: FileHandle, from: number, key: Buffer): AsyncGenerator<Buffer> {
  const { size } = await file.stat()
  const sealed = Buffer.alloc(CHUNK_BYTES + TAG_BYTES)
  let at = from
  for (let counter = 0; ; counter += 1) {
    const { bytesRead } = await file.read(sealed, 0, sealed.length, at)
    at += bytesRead
    const isLast = at >= size
    if (bytesRead < TAG_BYTES) throw changed()
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(counter, isLast))
    decipher.setAuthTag(sealed.subarray(bytesRead - TAG_BYTES, bytesRead))
    let plain: Buffer
    try {
      plain = Buffer.concat([decipher.update(sealed.subarray(0, bytesRead - TAG_BYTES)), decipher.final()])
    } catch (cause) {
      throw changed(cause)
    }
    yield plain
    if (isLast) return
  }
}

function createPlain(chunks: AsyncGenerator<Buffer>) {
  let held = Buffer.alloc(0)
  async function some(most: number): Promise<Buffer> {
    while (held.length === 0) {
      const { value, done } = await chunks.next()
      if (done === true) throw changed()
      held = value as Buffer<ArrayBuffer>
    }
    const part = held.subarray(0, most)
    held = held.subarray(part.length)
    return part
  }
  async function exactly(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let left = bytes; left > 0; ) {
      const part = await some(left)
      parts.push(part)
      left -= part.length
    }
    return Buffer.concat(parts)
  }
  return {
    some,
    async record(): Promise<unknown> {
      const length = (await exactly(4)).readUInt32BE()
      if (length > MAX_RECORD_BYTES) throw changed()
      return JSON.parse((await exactly(length)).toString('utf8'))
    },
    isOver: async () => held.length === 0 && (await chunks.next()).done === true,
  }
}

async function openArchive(path: string): Promise<FileHandle> {
  let file: FileHandle | null = null
  try {
    file = await open(path, 'r')
    if ((await file.stat()).isFile()) return file
  } catch (cause) {
    throw new AppError('not_found', `${path} cannot be read: ${systemCode(cause) ?? ''}`, { cause })
  }
  await file.close()
  throw new AppError('not_found', `${path} is no file`, { hint: 'name a file that `candor backup` made' })
}

async function headerOf(file: FileHandle, path: string): Promise<{ header: ArchiveHeader; head: Buffer }> {
  const start = Buffer.alloc(MAGIC.length + 4)
  const { bytesRead } = await file.read(start, 0, start.length, 0)
  const length = bytesRead === start.length ? start.readUInt32BE(MAGIC.length) : 0
  if (!start.subarray(0, MAGIC.length).equals(MAGIC) || length > MAX_HEADER_BYTES) {
    throw new AppError('integrity', `${path} is no backup that this version can read`)
  }
  const json = Buffer.alloc(length)
  await file.read(json, 0, length, start.length)
  try {
    return { header: headerSchema.parse(JSON.parse(json.toString('utf8'))), head: Buffer.concat([start, json]) }
  } catch (cause) {
    throw new AppError('integrity', `${path} is no backup that this version can read`, { cause })
  }
}

function keyFor(dayKey: Uint8Array, header: ArchiveHeader, head: Uint8Array): Buffer {
  const info = Buffer.concat([Buffer.from(INFO), createHash('sha256').update(head).digest()])
  return Buffer.from(hkdfSync('sha256', dayKey, Buffer.from(header.salt, 'base64url'), info, KEY_BYTES))
}

function nonceOf(counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64BE(BigInt(counter), 3)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

function lengthOf(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}

function recordOf(value: object): Buffer {
  const json = Buffer.from(JSON.stringify(value))
  return Buffer.concat([lengthOf(json), json])
}

const changed = (cause?: unknown) =>
  new AppError('integrity', 'the backup was changed after it was made, is cut off, or is not of this key', { cause })

/**
 * What the edge process may ask for, taken from a folder that it can write to and that is therefore not trusted: `install.json` names a bundle
 * beside it. The bundle is copied through an open file into a folder of root's, hashed on the way, so that nothing can be changed or
 * swapped after it was looked at. That it is a bundle of ours, RAUC finds out by its signature. Called by update.ts.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseOwn, unknownLine } from '../../shared/config.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import { MAX_RELEASE_BYTES, releaseVersionSchema } from '../../shared/wire/index.ts'

export const MAX_REQUEST_BYTES = 4_096
export const REQUEST_NAME = 'install.json'
/** Left free on the data partition beside a copy, for what waits for the cloud, bytes. */
const KEPT_FREE_BYTES = 64 * 1024 ** 2
const CHUNK_BYTES = 1024 ** 2

export const updateRequestSchema = z.strictObject({
  id: z.uuidv7(),
  version: releaseVersionSchema,
  bundle: z.string().regex(/^[0-9a-f]{64}\.raucb$/),
})
export type UpdateRequest = z.infer<typeof updateRequestSchema>

/** Is `one` older than `other`? Both `x.y.z`; throws `bad_input` for anything else, which is neither older nor newer. */
export function isOlder(one: string, other: string): boolean {
  const numbers = (text: string) => {
    if (!releaseVersionSchema.safeParse(text).success) throw new AppError('bad_input', `${text} is no version`)
    return text.split('.').map(Number)
  }
  const [a, b] = [numbers(one), numbers(other)]
  for (let i = 0; i < 3; i++) {
    const [x = 0, y = 0] = [a[i], b[i]]
    if (x !== y) return x < y
  }
  return false
}

/** A regular file with one name, of the folder's own user. No link is followed, and a pipe does not hang this. */
async function openPlain(
  folder: FileHandle,
  name: string,
  maxBytes: number,
): Promise<{ file: FileHandle; bytes: number }> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  let file: FileHandle
  try {
    file = await open(`/proc/self/fd/${folder.fd}/${name}`, flags)
  } catch (thrown) {
    const code = systemCode(thrown)
    throw new AppError('bad_input', code === 'ELOOP' ? `${name} is a link` : `${name} cannot be opened: ${code}`, {
      cause: thrown,
    })
  }
  try {
    const [found, owner] = [await file.stat(), await folder.stat()]
    if (!found.isFile()) throw new AppError('bad_input', `${name} is no regular file`)
    if (found.nlink !== 1) throw new AppError('bad_input', `${name} has another name as well`)
    if (found.uid !== owner.uid) throw new AppError('bad_input', `${name} belongs to somebody else`)
    if (found.size > maxBytes) throw new AppError('bad_input', `${name} is larger than ${maxBytes} bytes`)
    return { file, bytes: found.size }
  } catch (thrown) {
    await file.close()
    throw thrown
  }
}

const openFolder = (path: string) => open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)

/** Throws `bad_input`; the caller removes what it cannot read. */
export async function readRequest(folderPath: string): Promise<UpdateRequest> {
  const folder = await openFolder(folderPath)
  try {
    const { file } = await openPlain(folder, REQUEST_NAME, MAX_REQUEST_BYTES)
    try {
      const bytes = Buffer.alloc(MAX_REQUEST_BYTES)
      const { bytesRead } = await file.read(bytes, 0, MAX_REQUEST_BYTES, 0)
      return parseOwn(bytes.toString('utf8', 0, bytesRead), updateRequestSchema, (members) =>
        process.stderr.write(`${unknownLine(REQUEST_NAME, members)}\n`),
      )
    } catch (thrown) {
      if (thrown instanceof SyntaxError) throw new AppError('bad_input', `${REQUEST_NAME} is not JSON`)
      if (!(thrown instanceof z.ZodError)) throw thrown
      const [issue] = thrown.issues
      throw new AppError('bad_input', `${REQUEST_NAME}: ${issue?.path.join('.')}: ${issue?.message}`)
    } finally {
      await file.close()
    }
  } finally {
    await folder.close()
  }
}

/** Copies the bundle to `to`. Throws `bad_input` or `storage_full`, and leaves nothing then. */
export async function takeBundle(
  folderPath: string,
  name: string,
  to: string,
  maxBytes = MAX_RELEASE_BYTES,
): Promise<void> {
  const folder = await openFolder(folderPath)
  try {
    const { file, bytes } = await openPlain(folder, name, maxBytes)
    try {
      await copyHashed(file, bytes, name, to)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    await rm(to, { force: true })
    throw thrown
  } finally {
    await folder.close()
  }
}

async function copyHashed(file: FileHandle, bytes: number, name: string, to: string): Promise<void> {
  const target = join(to, '..')
  await mkdir(target, { recursive: true, mode: 0o700 })
  const { bavail, bsize } = await statfs(target)
  if (bavail * bsize < bytes + KEPT_FREE_BYTES)
    throw new AppError('storage_full', `${bytes} bytes of the bundle do not fit on the data partition`)
  const copy = await open(to, 'w', 0o600)
  try {
    const hash = createHash('sha256')
    const chunk = Buffer.alloc(CHUNK_BYTES)
    // Not one byte more than was looked at, though the file may grow meanwhile.
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(CHUNK_BYTES, bytes - at), at)
      if (bytesRead === 0) throw new AppError('bad_input', `${name} became shorter while it was read`)
      hash.update(chunk.subarray(0, bytesRead))
      await copy.write(chunk, 0, bytesRead)
      at += bytesRead
    }
    if (`${hash.digest('hex')}.raucb` !== name) throw new AppError('bad_input', 'the bundle is not the one of its name')
    await copy.sync()
  } finally {
    await copy.close()
  }
}

/** Both files, whatever they are; names that are folders are left. */
export async function removeRequest(folderPath: string, bundle: string | null): Promise<void> {
  const folder = await openFolder(folderPath)
  try {
    for (const name of [bundle, REQUEST_NAME]) {
      if (name !== null) await rm(`/proc/self/fd/${folder.fd}/${name}`, { force: true }).catch(() => {})
    }
  } finally {
    await folder.close()
  }
}

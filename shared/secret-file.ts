/** Small files that must be whole or absent: written beside, flushed, renamed. Used for keys, certificates and the audit's head. */
import { open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError, systemCode, toAppError } from './errors.ts'

/** Only the account that runs the program may read it. */
export const SECRET_MODE = 0o600
/** Certificates and public keys. */
export const PUBLIC_MODE = 0o644

/**
 * Replaces `path` by `content` so that after a power cut it holds the old bytes or the new ones, never a part. The folder is
 * flushed as well: without that the rename itself may be lost [fsync(2)]. Throws `storage_full`, else `unavailable`.
 */
export async function writeFileDurably(path: string, content: string | Uint8Array, mode = SECRET_MODE): Promise<void> {
  const beside = `${path}.tmp`
  await writeFlushed(beside, content, mode)
  await renameDurably(beside, path)
}

/**
 * Writes and flushes a new file `path`, in the place of what was left there, without renaming. Used where the rename must wait for something else. A link
 * that stands there is replaced and never followed: root writes into folders that others may write as well.
 */
export async function writeFlushed(path: string, content: string | Uint8Array, mode = SECRET_MODE): Promise<void> {
  try {
    await removeIfThere(path)
    const file = await open(path, 'wx', mode)
    try {
      // The account's umask may have taken away from the mode given to open.
      await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (thrown) {
    throw toFileError(thrown, path)
  }
}

/** Renames and flushes the folder. */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
    const folder = await open(dirname(to), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (thrown) {
    throw toFileError(thrown, to)
  }
}

/** The file's text, or null when there is none. */
export async function readFileIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw toFileError(thrown, path)
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw toFileError(thrown, path)
  }
}

/** Reads `path`, or makes it once from `make` (mode 0600). */
export async function readOrMakeSecretFile(path: string, make: () => string): Promise<string> {
  const there = await readFileIfThere(path)
  if (there !== null) return there
  const content = make()
  await writeFileDurably(path, content)
  return content
}

function toFileError(thrown: unknown, path: string): AppError {
  const error = toAppError(thrown)
  if (error.code === 'storage_full') return new AppError('storage_full', `no space left for ${path}`, { cause: thrown })
  return new AppError('unavailable', `${path} cannot be written or read: ${systemCode(thrown) ?? error.message}`, {
    hint: 'check that the folder exists, is on a mounted disk and belongs to the account that runs this',
    cause: thrown,
  })
}
